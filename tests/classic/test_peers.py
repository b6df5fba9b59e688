"""Fake classic clients call a real daemon with a real console, over slow and quick networks."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import pytest

from pychatd.conversation.peer_session import busy_words
from tests.classic.cases import CLIENTS, Client, octets
from tests.support.programs import Piped
from tests.support.raw_ends import BlockingEnd, Delivery, at_once, in_pieces
from tests.support.service import Service
from tests.support.waiting import PATIENCE

clients = pytest.mark.parametrize("case", CLIENTS, ids=lambda case: case.family)
networks = pytest.mark.parametrize("send", [at_once, in_pieces])


@pytest.fixture
def console(service: Service) -> Piped:
    return service.ready_plain("pychatd-console", "--handle", "Bob")


@pytest.fixture
def ann(service: Service, send: Delivery) -> Iterator[BlockingEnd]:
    fake = BlockingEnd(socket.create_connection(("127.0.0.1", service.port), PATIENCE), send)
    yield fake
    fake.close()


def open_and_talk(case: Client, ann: BlockingEnd, console: Piped) -> None:
    for sent, got in case.opening:
        ann.raw(octets(sent))
        if case.first:
            console.says(f"{case.name}> {case.first}\n")
            console.enter("hi there")
        ann.gets(octets(got))
    ann.raw(octets(case.says))
    console.says(f"{case.name}> hello\n")


@networks
@clients
def test_two_turns_and_bobs_quit(case: Client, ann: BlockingEnd, console: Piped) -> None:
    open_and_talk(case, ann, console)
    console.notes("classic program, NOT ENCRYPTED")
    console.enter("hi there")
    ann.gets(octets(case.gets))
    ann.raw(octets(case.says).replace(b"hello", "Grüße".encode()))
    console.says(f"{case.name}> Grüße\n")
    console.enter("żółć")
    ann.gets(octets(case.gets).replace(b"hi there", "żółć".encode()))
    ann.raw(octets(case.says))
    console.enter("\\quit")
    ann.sees_the_end(octets(case.end))


@networks
@clients
def test_anns_quit(case: Client, ann: BlockingEnd, console: Piped) -> None:
    open_and_talk(case, ann, console)
    console.enter("hi there")
    ann.gets(octets(case.gets))
    if case.last:
        ann.raw(octets(case.last))
        console.says(f"{case.name}> {case.last}\n")
    if case.quits:
        ann.raw(octets(case.quits))
    else:
        ann.end()
    console.notes(f"{case.name} ended the conversation")
    ann.sees_the_end(b"")


@pytest.mark.parametrize("send", [at_once])
def test_a_long_answer_is_refused_with_its_length(ann: BlockingEnd, console: Piped) -> None:
    open_and_talk(CLIENTS[0], ann, console)
    console.enter("ж" * 246)
    console.notes("Not sent: the message has 492 bytes; the other side's classic program takes at most 491.")
    console.enter("ж" * 245 + "x")
    ann.gets(f"Bob> {'ж' * 245}x\0".encode())


def test_a_program_takes_turns_at_a_free_service(idle_service: Service) -> None:
    idle_service.start("--turns", "free")
    console = idle_service.ready_plain("pychatd-console", "--handle", "Bob")
    ann = BlockingEnd(socket.create_connection(("127.0.0.1", idle_service.port), PATIENCE))
    open_and_talk(CLIENTS[0], ann, console)
    console.enter("one")
    console.enter("two")
    ann.gets(b"Bob> one\0")
    console.notes("held until your turn: two")
    ann.raw(octets(CLIENTS[0].says))
    ann.gets(b"Bob> two\0")
    ann.close()


@pytest.mark.parametrize("send", [at_once])
def test_a_program_is_told_that_the_service_is_busy(service: Service, ann: BlockingEnd, console: Piped) -> None:
    open_and_talk(CLIENTS[0], ann, console)
    other = BlockingEnd(socket.create_connection(("127.0.0.1", service.port), PATIENCE))
    other.raw(b"Eve")
    other.sees_the_end(f"\\busy {busy_words(60)}\0".encode())
    other.close()


@pytest.mark.parametrize("send", [at_once])
@pytest.mark.parametrize("case", [CLIENTS[0], CLIENTS[-3]], ids=lambda case: case.family)
def test_a_last_message_before_a_break_arrives(case: Client, ann: BlockingEnd, console: Piped) -> None:
    open_and_talk(case, ann, console)
    console.enter("hi there")
    ann.gets(octets(case.gets))
    ann.raw(octets(case.says).replace(b"hello", b"important"))
    ann.reset()
    console.says(f"{case.name}> important\n")


@pytest.mark.parametrize("send", [at_once])
def test_a_client_at_its_prompt_can_still_read_the_quit(ann: BlockingEnd, console: Piped) -> None:
    """It writes before it reads, and name and text apart: the connection has to be there for both."""
    open_and_talk(CLIENTS[0], ann, console)
    console.enter("\\quit")
    ann.sees_the_end(b"\\quit\0")
    ann.raw(b"Ann> ")
    time.sleep(0.2)
    ann.raw(b"hello")  # would raise


def test_the_daemon_checks_the_length_of_an_answer(service: Service) -> None:
    ann = BlockingEnd(socket.create_connection(("127.0.0.1", service.port), PATIENCE))
    ann.raw(b"Ann> hello")
    console = socket.socket(socket.AF_UNIX)
    console.connect(str(service.place / "console.sock"))
    file = console.makefile("rwb", buffering=0)
    file.write(b"\\hello 1 Bob\n")
    while not file.readline().startswith(b"Ann> "):
        pass
    file.write(b"\\ack 1\nBob> " + "ж".encode() * 300 + b"\n")
    answers = [line for line in file if not line.startswith(b"\\ack")]
    assert answers[-1].startswith(b"\\error too-long Not sent: the message has 600 bytes")
    console.close()
    ann.close()
