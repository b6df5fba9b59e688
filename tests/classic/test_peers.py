"""Fake classic clients call a real daemon with a real console, over slow and quick networks."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import time
from collections.abc import Iterator

import pexpect
import pytest

from pychatd.conversation.interfaces import Taken
from pychatd.conversation.peer_session import CLASSIC_SECONDS, busy_words
from tests.classic.cases import CLIENTS, Client, octets, with_text
from tests.support.programs import Piped
from tests.support.raw_ends import KEY_GAP, BlockingEnd, Delivery, at_once, in_pieces, key_by_key
from tests.support.service import Service
from tests.support.waiting import PATIENCE, wait_for


def client(family: str) -> Client:
    return next(case for case in CLIENTS if case.family == family)


SPLIT = [
    "the seed's",
    "handshake, bare, marked",
    "waits to be spoken to",
    "names, padded",
    "a length in front",
    "names, lines, after a while",
]
"""One client for each way to end a message also sends it in pieces; test_codecs.py splits the bytes of all."""

deliveries = pytest.mark.parametrize(
    ("case", "send"),
    [
        *((case, at_once) for case in CLIENTS if not case.keys and not case.prompt),
        *((client(family), in_pieces) for family in SPLIT),
    ],
    ids=lambda given: given.family if isinstance(given, Client) else given.__name__,
)


SILENT = "is connected, and has said nothing yet"
NOBODY = ("There is no caller yet.", "The conversation has ended.")
"""What the console's status says when it waits for calls."""


@pytest.fixture(scope="module")
def shared_console(shared_service: Service) -> Piped:
    return shared_service.ready_plain("pychatd-console", "--handle", "Bob")


@pytest.fixture
def called(request: pytest.FixtureRequest) -> Service:
    """The service that is called: one for all, or one's own where a test can be skipped amid a message."""
    found: Service = request.getfixturevalue("service" if _may_be_skipped(request) else "shared_service")
    return found


def _may_be_skipped(request: pytest.FixtureRequest) -> bool:
    return "send" in request.fixturenames and request.getfixturevalue("send") is in_pieces


@pytest.fixture
def console(request: pytest.FixtureRequest, called: Service) -> Iterator[Piped]:
    """Its console. That of the shared service waits for calls again behind each test."""
    if _may_be_skipped(request):
        yield called.ready_plain("pychatd-console", "--handle", "Bob")
        return
    shared_console: Piped = request.getfixturevalue("shared_console")
    shared_console.forget()
    yield shared_console

    def is_free() -> bool:
        status = called.status()
        return status["peer"] is None and status["calling"] is None

    def is_over() -> bool:
        """The console knows it too, and all that it had to say before has been read."""
        shared_console.forget()
        shared_console.enter("\\status")
        shared_console.notes("A message has at most")  # the last line
        return any(words in shared_console.notices() for words in NOBODY)

    if called.status()["peer"] is not None:  # a test that failed leaves its talk to no other test
        shared_console.enter("\\quit")
    wait_for(is_free, "the service is free again")
    wait_for(is_over, "the console waits for calls again", shown=shared_console.notices)


@pytest.fixture
def ann(called: Service, console: Piped, send: Delivery) -> Iterator[BlockingEnd]:
    """Connects when the console is ready: what it sends at once has come before the console shows it as silent."""
    fake = connected(called, send)
    yield fake
    fake.close()


def connected(service: Service, send: Delivery = at_once) -> BlockingEnd:
    return BlockingEnd(socket.create_connection(("127.0.0.1", service.port), PATIENCE), send)


def open_and_talk(case: Client, ann: BlockingEnd, console: Piped) -> None:
    if case.slow:
        console.notes(SILENT)
    for sent, got in case.opening:
        ann.raw(octets(sent))
        if case.first:
            console.says(f"{case.name}> {case.first}\n")
            console.enter("hi there")
        ann.gets(octets(got))
    if case.waits:
        console.notes(SILENT)
        console.enter("\\greet")
        console.says("guest>  \n")
        console.enter("hi there")
        ann.gets(octets(case.gets))
    ann.raw(octets(case.says))
    console.says(f"{case.name}> hello\n")


@deliveries
def test_two_turns_and_bobs_quit(case: Client, ann: BlockingEnd, console: Piped) -> None:
    open_and_talk(case, ann, console)
    console.notes("classic program, NOT ENCRYPTED")
    console.enter("hi there")
    ann.gets(octets(case.gets))
    ann.raw(with_text(octets(case.says), b"hello", "Grüße"))
    console.says(f"{case.name}> Grüße\n")
    console.enter("żółć")
    ann.gets(with_text(octets(case.gets), b"hi there", "żółć"))
    ann.raw(octets(case.says))
    console.enter("\\quit")
    ann.sees_the_end(octets(case.end))


@deliveries
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
    console.notes("Not sent: the message has 492 bytes; the other side's classic program takes at most 490.")
    console.enter("ж" * 245)
    ann.gets(f"Bob> {'ж' * 245}\0".encode())


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
def test_a_program_is_told_that_the_service_is_busy(
    shared_service: Service, ann: BlockingEnd, console: Piped
) -> None:
    open_and_talk(CLIENTS[0], ann, console)
    other = connected(shared_service)
    other.raw(b"Eve")
    other.sees_the_end(f"\\busy {busy_words(Taken.TALKING, 0)}\0".encode())
    other.close()


@pytest.mark.parametrize("send", [at_once])
@pytest.mark.parametrize("case", [CLIENTS[0], client("names, lines, after a while")], ids=lambda case: case.family)
def test_a_last_message_before_a_break_arrives(case: Client, ann: BlockingEnd, console: Piped) -> None:
    open_and_talk(case, ann, console)
    console.enter("hi there")
    ann.gets(octets(case.gets))
    ann.raw(with_text(octets(case.says), b"hello", "important"))
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
    ann = connected(service)
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


# ------------------------------------------------------------------ clients that wait to be spoken to


@pytest.mark.parametrize("send", [at_once])
def test_a_client_that_waits_does_not_take_the_seat(
    shared_service: Service, ann: BlockingEnd, console: Piped
) -> None:
    console.notes(SILENT)
    other = connected(shared_service)
    open_and_talk(CLIENTS[0], other, console)
    console.enter("\\greet")
    console.notes("Somebody is talking here")
    assert console.notices().count(SILENT) == 1
    console.enter("\\quit")
    wait_for(lambda: console.notices().count(SILENT) == 2, "the caller is still there")
    other.close()


def test_a_console_that_attaches_later_learns_who_waits(service: Service) -> None:
    ann = connected(service)
    first = service.ready_plain("pychatd-console", "--handle", "Bob")
    first.notes(SILENT)
    first.end_input()
    assert first.exit_status() == 0
    service.ready_plain("pychatd-console", "--handle", "Bob").notes(SILENT)
    ann.close()


def test_a_client_that_waits_is_told_of_wherever_one_looks(service: Service) -> None:
    ann = connected(service)
    silent = f"A caller at {ann.socket.getsockname()[0]}:{ann.socket.getsockname()[1]} {SILENT}."
    wait_for(lambda: silent in service.pychatd("status").stdout, "the status")
    assert json.loads(service.pychatd("status", "--json").stdout)["calling"]["silent"]
    console = service.ready_plain("pychatd-console", "--handle", "Bob")
    console.enter("\\status")
    wait_for(lambda: console.notices().count(silent) == 2, "the console's status")
    ann.close()
    console.notes("Missed call: guest from")
    console.enter("\\status")
    console.notes("There is no caller yet.")
    assert "No conversation." in service.pychatd("status").stdout


def test_a_program_that_looks_for_open_ports_is_not_told_of(service: Service) -> None:
    console = service.ready_plain("pychatd-console", "--handle", "Bob")
    for _ in range(3):
        socket.create_connection(("127.0.0.1", service.port), PATIENCE).close()
    service.logs("without a word")
    console.enter("\\status")
    console.notes("There is no caller yet.")
    assert SILENT not in console.notices()
    assert "Missed call" not in console.notices()


def test_nobody_waits_to_be_spoken_to(console: Piped) -> None:
    console.enter("\\greet")
    console.notes("No caller waits for you to speak first.")


@pytest.mark.parametrize("send", [at_once])
def test_a_client_does_not_get_the_operators_name_by_waiting(ann: BlockingEnd, console: Piped) -> None:
    console.notes(SILENT)
    console.enter("\\greet")
    console.notes("guest calls from")
    console.says("guest>  \n")
    console.enter("hi there")
    ann.gets(b"Bob> hi there\0")
    ann.raw(b"B0b> hello\n")
    ann.sees_the_end(
        b"\\error handle Your handle looks too much like Bob, the handle of the operator. Call with another one.\0"
    )


# ------------------------------------------------------------------ programs that read little


@pytest.mark.parametrize("handle", ["Robertsson", "Zażółć", "abcdefgh"])
@pytest.mark.parametrize("size", [8, 10])
def test_a_client_that_reads_little_gets_each_answer_in_turn(service: Service, handle: str, size: int) -> None:
    console = service.ready_plain("pychatd-console", "--handle", handle)
    ann = socket.create_connection(("127.0.0.1", service.port), PATIENCE)
    ann.settimeout(PATIENCE)
    ann.sendall(b"Ann")
    assert handle.encode().startswith(ann.recv(size).rstrip(b"\0"))
    for text in ("hi there", "and more"):
        ann.sendall(b"Ann> hello there\nhello there\n")
        wait_for(lambda: console.out().count("Ann> hello there\n") > 0, "the message")
        console.enter(text)
        assert ann.recv(500) == f"{handle}> {text}\0".encode()
    ann.close()


def at_once_connected(service: Service, data: bytes) -> BlockingEnd:
    """A program that has sent `data` when the daemon accepts its connection, however busy the host is."""
    service.send(signal.SIGSTOP)
    try:
        program = service.connect()
        program.raw(data)
    finally:
        service.send(signal.SIGCONT)
    return program


def test_a_program_taken_for_a_person_gets_what_it_reads_at_once(shared_service: Service, console: Piped) -> None:
    case = client("names, lines")
    ann = at_once_connected(shared_service, octets(case.says))
    console.says("Ann> hello\n")
    console.enter("x" * 494)
    console.notes("the other side's classic program takes at most 493.")
    console.enter("x" * 493)
    ann.gets(b"Bob> " + b"x" * 493 + b"\n")
    ann.raw(b"Ann> \n")
    console.says("Ann>  \n")
    console.enter("x" * 494)
    wait_for(lambda: console.notices().count("at most 493.") == 2, "the limit stays")
    console.enter("\\quit")
    ann.sees_the_end(octets(case.end))


def test_a_script_that_turns_out_to_be_a_person_gets_long_texts(shared_service: Service, console: Piped) -> None:
    ann = at_once_connected(shared_service, b"Ann> hello\n")
    console.says("Ann> hello\n")
    ann.raw(b"Ann> and more\n")
    ann.has_arrived()  # before the answer, which would make it a program's next line
    console.enter("one")
    console.says("Ann> and more\n")
    console.enter("x" * 500)
    ann.gets(b"Bob> one\nBob> " + b"x" * 500 + b"\n")
    console.enter("\\quit")
    ann.sees_the_end(b"\\quit\nThe conversation is over.\n")


@pytest.mark.parametrize("send", [key_by_key])
def test_keys_of_a_person_are_a_line(ann: BlockingEnd, console: Piped) -> None:
    ann.raw(b"hi yo\r")
    console.says("guest> hi yo\n")
    console.enter("hi there")
    ann.gets(b"Bob> hi there\n")


# ------------------------------------------------------------------ the end


@pytest.mark.parametrize("send", [at_once])
def test_a_person_who_types_on_is_let_go_soon(ann: BlockingEnd, console: Piped) -> None:
    open_and_talk(client("a person at nc"), ann, console)
    start = time.monotonic()
    console.enter("\\quit")
    ann.sees_the_end(b"\\quit\nThe conversation is over.\n")

    def is_let_go() -> bool:
        try:
            ann.raw(b"are you there?\n")
        except OSError:
            return True
        return False

    wait_for(is_let_go, "the connection is gone")
    assert time.monotonic() - start < CLASSIC_SECONDS / 10


# ------------------------------------------------------------------ the programs that people use


def real(*words: str) -> pexpect.spawn[str]:
    """A program on a terminal, as its user has it."""
    if shutil.which(words[0]) is None:
        pytest.skip(f"{words[0]} is not installed")
    return pexpect.spawn(words[0], list(words[1:]), timeout=PATIENCE, encoding="utf-8")


def test_a_real_raw_terminal_sends_lines(shared_service: Service, console: Piped) -> None:
    socat = real("socat", "-,raw,echo=0", f"TCP:127.0.0.1:{shared_service.port}")
    console.notes(SILENT)
    for key in "hi yo\r":
        socat.send(key)
        time.sleep(KEY_GAP)  # what is tested is this pause
    console.says("guest> hi yo\n")
    console.enter("hi there")
    socat.expect_exact("Bob> hi there\n")
    socat.close(force=True)


def test_real_nc_is_told_that_it_is_over_and_ends(shared_service: Service, console: Piped) -> None:
    nc = real("nc", "127.0.0.1", str(shared_service.port))
    console.notes(SILENT)
    nc.sendline("hello")
    console.says("guest> hello\n")
    start = time.monotonic()
    console.enter("\\quit")
    nc.expect_exact("The conversation is over.")
    while nc.isalive():
        nc.sendline("are you there?")
        assert time.monotonic() - start < PATIENCE
        time.sleep(KEY_GAP)  # as a person types on
    nc.close(force=True)
