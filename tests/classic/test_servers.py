"""`pychat --classic` against fake classic servers, and against our own daemon."""

from __future__ import annotations

import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest

from pychat_client.session.session import CLASSIC_END_SECONDS
from pychat_client.transport.connection import FINISH_SECONDS
from tests.classic.cases import SERVERS, Server, octets, with_text
from tests.support.programs import Piped
from tests.support.raw_ends import BlockingEnd, Delivery, at_once, in_pieces, key_by_key
from tests.support.service import BIN, Service
from tests.support.waiting import PATIENCE

servers = pytest.mark.parametrize(
    "case", [case for case in SERVERS if not case.keys], ids=lambda case: case.family
)

SPLIT = ["the seed's", "handshake, bare, marked", "names, two fields, padded", "a length in front"]
"""One server for each way to end a message also sends it in pieces; test_codecs.py splits the bytes of all."""

deliveries = pytest.mark.parametrize(
    ("case", "send"),
    [
        *((case, at_once) for case in SERVERS if not case.keys),
        *((case, in_pieces) for case in SERVERS if case.family in SPLIT),
    ],
    ids=lambda given: given.family if isinstance(given, Server) else given.__name__,
)


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        sock.settimeout(PATIENCE)
        yield sock


def call(service: Service, listener: socket.socket, *options: str) -> Piped:
    """`pychat --classic` on pipes, as Ann."""
    port = str(listener.getsockname()[1])
    words = [str(BIN / "pychat"), "--classic", "127.0.0.1", port, "--handle", "Ann", *options]
    return Piped(service.popen(words))


def answered(case: Server, listener: socket.socket, send: Delivery = at_once) -> BlockingEnd:
    """The fake server's end, after its opening."""
    bob = BlockingEnd(listener.accept()[0], send)
    bob.gets(case.hello())
    if case.opening:
        bob.raw(octets(case.opening))
    return bob


def test_the_user_is_told_that_nothing_is_encrypted(idle_service: Service, listener: socket.socket) -> None:
    ann = call(idle_service, listener, *SERVERS[0].options, "--json")
    answered(SERVERS[0], listener)
    ann.says('"plaintext": true')


@deliveries
def test_two_turns_and_the_servers_quit(
    case: Server, send: Delivery, idle_service: Service, listener: socket.socket
) -> None:
    ann = call(idle_service, listener, *case.options)
    bob = answered(case, listener, send)
    ann.notes(f"Connected to {case.name if case.opening else 'server'}, a classic program, NOT ENCRYPTED")
    ann.enter("hello")
    bob.gets(octets(case.hears))
    bob.raw(octets(case.says))
    ann.says(f"{case.name}> hi there\n")
    ann.enter("hello")
    bob.gets(octets(case.again))
    bob.raw(with_text(octets(case.says), b"hi there", "Grüße"))
    ann.says(f"{case.name}> Grüße\n")
    ann.enter("hello")
    bob.gets(octets(case.again))
    if case.quits:
        bob.raw(octets(case.quits))
    else:
        bob.end()
    ann.notes("ended the conversation")
    assert ann.exit_status() == 0
    bob.close()


@servers
def test_anns_quit(case: Server, idle_service: Service, listener: socket.socket) -> None:
    ann = call(idle_service, listener, *case.options)
    bob = answered(case, listener)
    ann.enter("hello")
    bob.gets(octets(case.hears))
    bob.raw(octets(case.says))
    ann.says(f"{case.name}> hi there\n")
    ann.enter("\\quit")
    bob.sees_the_end(octets(case.end))
    bob.close()
    assert ann.exit_status() == 0


@pytest.mark.parametrize(
    "options", [["--no-hello"], ["--no-hello", "--quit-word", "bye"], ["--end-mark", "@@@"], []]
)
@pytest.mark.parametrize("talks", [False, True])
def test_anns_quit_waits_for_no_server_that_stays(
    idle_service: Service, listener: socket.socket, options: list[str], talks: bool
) -> None:
    ann = call(idle_service, listener, *options, "--json")
    bob = BlockingEnd(listener.accept()[0])
    ann.enter('{"text": "hello"}')
    ann.says('"stored": 1')
    start = time.monotonic()
    ann.enter('{"command": "quit"}')
    while ann.process.poll() is None:
        if talks:
            with suppress(OSError):  # it has left
                bob.raw(b"still here\n")
        time.sleep(0.05)
    assert time.monotonic() - start < FINISH_SECONDS - CLASSIC_END_SECONDS
    assert ann.exit_status() == 0
    assert "Waiting until your messages" not in ann.out()
    bob.close()


def leave_by_ctrl_c(ann: Piped, bob: BlockingEnd) -> None:
    ann.process.send_signal(signal.SIGINT)


def leave_by_the_servers_quit(ann: Piped, bob: BlockingEnd) -> None:
    bob.raw(b"\\quit")


@pytest.mark.parametrize("leave", [leave_by_ctrl_c, leave_by_the_servers_quit])
def test_a_server_that_does_not_close_holds_nobody_up(
    leave: Callable[[Piped, BlockingEnd], None], idle_service: Service, listener: socket.socket
) -> None:
    ann = call(idle_service, listener)
    bob = answered(SERVERS[0], listener)
    ann.enter("hello")
    bob.gets(b"Ann> hello\n")
    start = time.monotonic()
    leave(ann, bob)
    ann.exit_status()
    assert time.monotonic() - start < FINISH_SECONDS - CLASSIC_END_SECONDS
    bob.close()


def test_keys_of_a_person_are_one_answer(idle_service: Service, listener: socket.socket) -> None:
    ann = call(idle_service, listener, "--no-hello")
    bob = BlockingEnd(listener.accept()[0], key_by_key)
    ann.enter("hello")
    bob.gets(b"Ann> hello\n")
    bob.raw(b"hi yo\r")
    ann.says("server> hi yo\n")
    bob.close()


def test_an_unasked_message_has_the_name_of_the_server(idle_service: Service, listener: socket.socket) -> None:
    ann = call(idle_service, listener, "--no-hello")
    bob = BlockingEnd(listener.accept()[0])
    ann.notes("Connected to server")
    bob.raw(b"Bob> who is it?")
    ann.notes("Bob> who is it?")
    assert "server> " not in ann.notices()
    bob.close()


def test_a_server_that_reads_ten_bytes_gets_no_more_of_a_handle(
    idle_service: Service, listener: socket.socket
) -> None:
    ann = call(idle_service, listener, "--handle", "Żółćżółć")
    bob = listener.accept()[0]
    bob.settimeout(PATIENCE)
    name = bob.recv(10)
    assert name == "Żółćż".encode()
    bob.sendall(b"Bob")
    ann.notes("Connected to Bob")
    ann.enter("hello")
    assert bob.recv(500) == "Żółćżółć> hello\n".encode()
    bob.close()


def test_a_long_message_is_refused_with_its_length(idle_service: Service, listener: socket.socket) -> None:
    ann = call(idle_service, listener)
    bob = answered(SERVERS[0], listener)
    ann.enter("ж" * 250)
    ann.notes("Not sent: the message has 500 bytes; the other side's classic program takes at most 490.")
    ann.enter("x" * 490)
    bob.gets(b"Ann> " + b"x" * 490 + b"\n")
    bob.close()


def test_a_second_message_waits_for_the_answer(idle_service: Service, listener: socket.socket) -> None:
    ann = call(idle_service, listener)
    bob = answered(SERVERS[0], listener)
    ann.enter("one")
    ann.enter("two")
    bob.gets(b"Ann> one\n")
    ann.notes("held until your turn: two")
    assert bob.came() == b""
    bob.raw(b"Bob> hi there")
    bob.gets(b"Ann> two\n")
    bob.close()


def test_a_broken_connection_says_what_is_not_known(idle_service: Service, listener: socket.socket) -> None:
    ann = call(idle_service, listener)
    bob = answered(SERVERS[0], listener)
    ann.enter("hello")
    bob.gets(b"Ann> hello\n")
    bob.reset()
    ann.notes("Your last message may not have arrived.")
    assert ann.exit_status() == 1


def test_a_server_that_dies_is_not_a_clean_end(idle_service: Service, listener: socket.socket) -> None:
    ann = call(idle_service, listener, "--no-hello")
    bob = BlockingEnd(listener.accept()[0])
    ann.enter("Grüße")
    bob.gets("Ann> Grüße\n".encode())
    bob.close()
    ann.notes("Your last message may not have arrived.")
    assert ann.exit_status() == 1


def test_a_missing_server_is_reported(idle_service: Service, listener: socket.socket) -> None:
    listener.close()
    port = str(idle_service.port)
    ann = Piped(idle_service.popen([str(BIN / "pychat"), "--classic", "127.0.0.1", port, "--handle", "Ann"]))
    ann.notes("Cannot connect to 127.0.0.1")
    assert ann.exit_status() == 3


def test_our_own_daemon_is_a_classic_server(service: Service) -> None:
    console = service.ready_plain("pychatd-console", "--handle", "Bob")
    port = str(service.port)
    ann = Piped(service.popen([str(BIN / "pychat"), "--classic", "127.0.0.1", port, "--handle", "Ann"]))
    ann.notes("Connected to Bob, a classic program")
    ann.enter("hello")
    console.says("Ann> hello\n")
    console.enter("hi there")
    ann.says("Bob> hi there\n")
    console.enter("\\quit")
    ann.enter("more")
    ann.notes("Bob ended the conversation")
    assert ann.exit_status() == 0
