"""Fake classic clients call a real daemon with a real console, over slow and quick networks."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from tests.classic.cases import CLIENTS, Client, octets
from tests.classic.fakes import Fake, Sender, at_once, in_pieces
from tests.e2e.harness import PATIENCE, Line, Piped

clients = pytest.mark.parametrize("case", CLIENTS, ids=lambda case: case.family)
networks = pytest.mark.parametrize("send", [at_once, in_pieces])


@pytest.fixture
def console(line: Line) -> Piped:
    console = line.plain("pychatd-console", "--handle", "Bob")
    console.notes("This is the line")
    return console


@pytest.fixture
def ann(line: Line, send: Sender) -> Iterator[Fake]:
    fake = Fake(socket.create_connection(("127.0.0.1", line.port), PATIENCE), send)
    yield fake
    fake.close()


def open_and_talk(case: Client, ann: Fake, console: Piped) -> None:
    for sent, got in case.opening:
        ann.says(octets(sent))
        ann.gets(octets(got))
    ann.says(octets(case.says))
    console.says(f"{case.name}> hello\n")


@networks
@clients
def test_two_turns_and_bobs_quit(case: Client, ann: Fake, console: Piped) -> None:
    open_and_talk(case, ann, console)
    console.notes("classic program, NOT ENCRYPTED")
    console.enter("hi there")
    ann.gets(octets(case.gets))
    ann.says(octets(case.says).replace(b"hello", "Grüße".encode()))
    console.says(f"{case.name}> Grüße\n")
    console.enter("żółć")
    ann.gets(octets(case.gets).replace(b"hi there", "żółć".encode()))
    ann.says(octets(case.says))
    console.enter("\\quit")
    ann.sees_the_end(octets(case.end))


@networks
@clients
def test_anns_quit(case: Client, ann: Fake, console: Piped) -> None:
    open_and_talk(case, ann, console)
    console.enter("hi there")
    ann.gets(octets(case.gets))
    if case.quits:
        ann.says(octets(case.quits))
    else:
        ann.socket.shutdown(socket.SHUT_WR)
    console.notes(f"{case.name} ended the conversation")
    ann.sees_the_end(b"")


@pytest.mark.parametrize("send", [at_once])
def test_a_too_long_answer_is_refused_with_the_number_and_not_cut(ann: Fake, console: Piped) -> None:
    open_and_talk(CLIENTS[0], ann, console)
    console.enter("ж" * 247)
    console.notes("Not sent: 494 bytes, and the other side's classic program takes at most 493.")
    console.enter("ж" * 246 + "x")
    ann.gets(f"Bob> {'ж' * 246}x\0".encode())


def test_on_a_free_line_a_program_still_takes_turns(idle_line: Line) -> None:
    idle_line.start("--turns", "free")
    console = idle_line.plain("pychatd-console", "--handle", "Bob")
    console.notes("This is the line")
    ann = Fake(socket.create_connection(("127.0.0.1", idle_line.port), PATIENCE))
    open_and_talk(CLIENTS[0], ann, console)
    console.enter("one")
    console.enter("two")
    ann.gets(b"Bob> one\0")
    console.notes("held until your turn: two")
    ann.says(octets(CLIENTS[0].says))
    ann.gets(b"Bob> two\0")
    ann.close()


@pytest.mark.parametrize("send", [at_once])
def test_a_busy_line_says_so_to_a_program_too(line: Line, ann: Fake, console: Piped) -> None:
    open_and_talk(CLIENTS[0], ann, console)
    other = Fake(socket.create_connection(("127.0.0.1", line.port), PATIENCE))
    other.says(b"Eve")
    other.sees_the_end(
        b"\\busy The line is taken: somebody else is talking. Try again later, or run 'pychat --wait'.\0"
    )
    other.close()
