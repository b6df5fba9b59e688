"""How both programs leave: what they wait for, and what they say about messages that are not stored."""

from __future__ import annotations

import os
import pty
import select
import signal
import termios
import tty
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.support.programs import Piped, Terminal
from tests.support.service import BIN, Service
from tests.support.waiting import PATIENCE, wait_for

NOT_SENT = "Not sent:"
NOT_CONFIRMED = "Not confirmed; it may have arrived:"
KEPT = {
    "pychat": "1 message is not stored yet. The next 'pychat localhost ",
    "pychatd-console": "1 message is not stored yet. The next console sends it.",
}

PASTE_ON, PASTE_OFF, CURSOR_ON, CURSOR_OFF = b"\x1b[?2004h", b"\x1b[?2004l", b"\x1b[?25h", b"\x1b[?25l"

BACK = {"pychat": "Connected to Server again.", "pychatd-console": "Back in the conversation with Client1."}


@contextmanager
def _stalled(service: Service) -> Iterator[None]:
    """The daemon reads nothing meanwhile."""
    service.send(signal.SIGSTOP)
    try:
        yield
    finally:
        service.send(signal.SIGCONT)


def _pair(service: Service) -> tuple[Piped, Piped]:
    """A client and a console that talk."""
    console = service.ready_plain("pychatd-console", "--plain", "--handle", "Server")
    client = service.plain("pychat", "--plain", "--handle", "Client1")
    client.enter("Hi!")
    console.says("Client1> Hi!\n")
    wait_for(lambda: _stored(client, 1), "the ack of the first message")
    return client, console


def _stored(client: Piped, count: int) -> bool:
    """Asks for the status, and says whether an answer has told so many."""
    client.enter("\\status")
    return f"{count} stored" in client.notices()


@pytest.fixture
def free_service(idle_service: Service) -> Service:
    file = idle_service.configure('turns = "free"\ngrace = 0')
    idle_service.start("--config", file)
    return idle_service


def test_detach_waits_for_the_last_ack(free_service: Service) -> None:
    client, console = _pair(free_service)
    console.enter("one\n\\detach")
    assert console.exit_status() == 0
    assert "Not" not in console.notices()
    client.says("Server> one\n")


def test_a_leaving_console_refuses_messages(free_service: Service) -> None:
    _, console = _pair(free_service)
    with _stalled(free_service):
        console.enter("one\n\\detach\ntwo")
        console.notes("Detached")
        assert console.exit_status() == 9
    assert KEPT["pychatd-console"] in console.notices()
    assert f"{NOT_SENT}\npychatd-console:     two\n" in console.notices()


def test_a_quit_in_a_stall_tells_of_unconfirmed_messages(free_service: Service) -> None:
    client, console = _pair(free_service)
    with _stalled(free_service):
        client.enter("two\n\\quit")
        assert client.exit_status() == 9
    assert f"{NOT_CONFIRMED}\npychat:     two\n" in client.notices()
    assert NOT_SENT not in client.notices()
    console.says("Client1> two\n")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT])
@pytest.mark.parametrize("program", ["pychat", "pychatd-console"])
def test_a_signal_before_the_ack_never_says_not_sent(
    free_service: Service, program: str, number: signal.Signals
) -> None:
    client, console = _pair(free_service)
    leaving, other = (client, console) if program == "pychat" else (console, client)
    with _stalled(free_service):
        leaving.enter("two\n\\status")
        leaving.notes("Sent: 2 (1 stored" if program == "pychat" else "Sent: 1 (0 stored")
        leaving.process.send_signal(number)
        assert leaving.exit_status() == 130
    assert KEPT[program] in leaving.notices()
    assert NOT_SENT not in leaving.notices()
    other.says("> two\n")
    options = ("--plain",) if program == "pychat" else ("--plain", "--handle", "Server")
    free_service.plain(program, *options).notes(BACK[program])
    assert other.out().count("> two\n") == 1


def test_a_message_given_to_no_connection_is_not_sent(free_service: Service) -> None:
    _, console = _pair(free_service)
    free_service.kill()
    console.notes("Connection lost")
    console.enter("one\n\\detach")
    assert console.exit_status() == 6
    assert KEPT["pychatd-console"] in console.notices()


def test_a_displaced_console_knows_what_is_stored(free_service: Service) -> None:
    client, console = _pair(free_service)
    with _stalled(free_service):
        console.enter("stored\n\\status")
        console.notes("0 stored")
    client.says("Server> stored\n")
    console.process.send_signal(signal.SIGSTOP)  # it does not read the ack
    console.process.send_signal(signal.SIGCONT)
    free_service.kill()
    console.notes("Connection lost")
    console.process.send_signal(signal.SIGSTOP)
    free_service.start("--config", free_service.configure('turns = "free"'))
    other = free_service.plain("pychatd-console", "--plain", "--handle", "Other", user="other")
    other.notes("sent earlier: stored")
    console.process.send_signal(signal.SIGCONT)
    assert console.exit_status() == 4
    assert "stored\n" not in console.notices().partition("is using the console")[2]


def test_input_lines_after_the_end_are_given_back(free_service: Service) -> None:
    free_service.ready_plain("pychatd-console", "--plain", "--handle", "Server")
    client = free_service.plain("pychat", "--plain", "--handle", "Client1")
    client.notes("Connected to")
    client.enter("one\n\\quit\ntwo\n\n\\status\nthree")
    assert client.exit_status() == 6
    returned = f"{NOT_SENT}\npychat:     two\npychat: {NOT_SENT}\npychat:     three\n"
    assert client.notices().endswith(returned)


@pytest.mark.parametrize("who", ["the caller", "the operator"])
def test_the_end_counts_messages_that_were_not_seen(free_service: Service, who: str) -> None:
    client, console = _pair(free_service)
    if who == "the caller":
        console.enter("\\detach")
        client.notes("is not at the console")
        client.enter("one\ntwo\n\\quit")
    else:
        client.process.send_signal(signal.SIGSTOP)
        console.enter("one\ntwo")
        wait_for(lambda: free_service.status()["peer"]["sent"] == 2, "both are stored")
        client.process.kill()
        console.notes("is not connected")
        free_service.greeted("Client2").send("Client2> Hi!")
    left, other = (client, "Server") if who == "the caller" else (console, "Client1")
    left.notes(f"2 of your messages were stored, but {other} has not seen them.")


def test_the_log_counts_messages_that_were_not_seen(free_service: Service) -> None:
    client = free_service.plain("pychat", "--plain", "--handle", "Client1")
    client.enter("one\ntwo\n\\quit")
    assert client.exit_status() == 0
    free_service.logs("ended by the peer, unread from the peer: 2")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT])
def test_a_signal_gives_back_the_lines_that_were_read(service: Service, number: signal.Signals) -> None:
    client = service.plain("pychat", "--plain", "--handle", "Client1")
    client.notes("Connected to")
    client.enter("one")
    wait_for(lambda: _stored(client, 1), "the ack of the first one")
    client.enter("two\nthree\nfour")
    client.notes("held until your turn: two")
    client.process.send_signal(number)
    assert client.exit_status() == 130
    assert KEPT["pychat"] in client.notices()  # the one that was held
    given_back = [f"{NOT_SENT}\npychat:     {text}\n" for text in ("three", "four")]
    assert all(words in client.notices() for words in given_back)


@pytest.mark.parametrize("name", ["HUP", "INT", "TERM", "QUIT"])
def test_a_signal_that_was_ignored_at_the_start_stays_ignored(service: Service, name: str) -> None:
    words = [str(BIN / "pychat"), "--accept-new", "--plain", "--handle", "Client1", "localhost", str(service.port)]
    client = Piped(service.popen(["sh", "-c", f'trap "" {name}; exec "$@"', "sh", *words]))
    client.notes("Connected to")
    client.process.send_signal(signal.Signals[f"SIG{name}"])
    client.enter("Hi!\n\\quit")
    assert client.exit_status() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT])
def test_a_signal_puts_the_terminal_in_order(free_service: Service, number: signal.Signals) -> None:
    console, client = free_service.talk()
    client.sees("no turns")
    for leaving, other in ((client, console), (console, client)):
        leaving.type("half")
        leaving.sees("half")
        leaving.child.kill(number)
        assert leaving.exit_status() == 130
        assert _is_cooked(leaving)
        assert leaving.raw.rfind(PASTE_OFF) > leaving.raw.rfind(PASTE_ON)
        assert leaving.raw.rfind(CURSOR_ON) > leaving.raw.rfind(CURSOR_OFF)
        if other is console:
            console.sees("Client1 is not connected now")
            client = free_service.client()
            client.line_is("Client1> half")
    assert free_service.status()["peer"]["handle"] == "Client1"


def _is_cooked(terminal: Terminal) -> bool:
    """Whether it waits for whole lines, and sends the signals of Ctrl-C, Ctrl-\\ and Ctrl-Z."""
    wanted = termios.ICANON | termios.ISIG
    return bool(termios.tcgetattr(terminal.child.child_fd)[tty.LFLAG] & wanted == wanted)


def test_ctrl_backslash_leaves_a_conversation_of_plain_lines(free_service: Service) -> None:
    console = free_service.ready_plain("pychatd-console", "--plain")
    client = free_service.client("Client1", "--plain")
    client.sees("Send the first message")
    client.enter("Hi!")
    console.says("Client1> Hi!")
    client.type("\x1c")
    assert client.exit_status() == 130
    console.notes("Client1 is not connected now")


def test_a_user_who_waits_for_acks_is_told_so(free_service: Service) -> None:
    client, _ = _pair(free_service)
    with _stalled(free_service):
        client.enter("two\n\\quit")
        client.notes("Waiting until your messages are stored.")
    assert client.exit_status() == 0


def test_in_doubt_outweighs_why_the_calls_were_given_up(free_service: Service) -> None:
    console = free_service.ready_plain("pychatd-console", "--plain", "--handle", "Server")
    client = free_service.plain("pychat", "--plain", "--handle", "Client1", "--retry-for", "5")
    client.enter("Hi!")
    console.says("Client1> Hi!\n")
    free_service.send(signal.SIGSTOP)
    client.enter("two\n\\status")
    client.notes("Sent: 2 (1 stored")
    free_service.kill()
    client.notes("giving up")
    assert client.exit_status() == 9


def test_an_operator_who_leaves_tells_callers_why(service: Service) -> None:
    console, client = service.talk()
    console.enter("\\away Back at nine")
    assert console.exit_status() == 0
    client.sees('Server says: "Back at nine".')
    client.enter("\\status")
    client.sees("You are Client1")
    back = service.console()
    back.sees("Client1> Hi!")
    client.sees("Server is at the console now.")
    assert client.text().count("Back at nine") == 2  # the notice, and the status


def test_the_words_for_callers_are_harmless_in_any_program(service: Service) -> None:
    caller = service.greeted()
    console = service.console()
    caller.send("Client1> Hi!")
    console.sees("Client1> Hi!")
    console.enter("\\away At \u202enine")
    assert caller.reads("\\away ") == "\\away At <U+202E>nine"


def test_words_for_callers_are_refused_if_they_are_too_long(service: Service) -> None:
    console = service.ready_console()
    console.enter(f"\\away {201 * 'x'}")
    console.sees("the limit is 200.")
    assert console.child.isalive()


@pytest.mark.parametrize("connected", [True, False])
@pytest.mark.parametrize("option", [None, "--plain"])
def test_a_terminal_that_is_gone_is_left_without_a_signal(
    free_service: Service, option: str | None, connected: bool
) -> None:
    """It is not the controlling terminal here, so the kernel sends no SIGHUP."""
    master, slave = pty.openpty()
    words = [str(BIN / "pychat"), "--accept-new", "localhost", str(free_service.port), "--handle", "Client1"]
    words += filter(None, [option])
    client = free_service.popen(words, stdin=slave, stdout=slave, stderr=slave, start_new_session=True)
    os.close(slave)
    _shown(master, "Send the first message")
    os.write(master, b"Hi!\r")
    wait_for(lambda: (free_service.status()["peer"] or {}).get("received") == 1, "the message is stored")
    if not connected:
        free_service.kill()
        _shown(master, "Connection lost")
    os.close(master)
    assert client.wait(PATIENCE) == 130
    if connected:
        free_service.client().sees("Client1> Hi!")


def _shown(master: int, words: str) -> None:
    """Reads what a program writes until `words` are there, and answers where the cursor is."""
    seen = b""

    def read() -> bool:
        nonlocal seen
        if select.select([master], [], [], 0.1)[0]:
            data = os.read(master, 65536)
            seen += data
            if b"\x1b[6n" in data:
                os.write(master, b"\x1b[5;1R")
        return words.encode() in seen

    wait_for(read, f"{words!r} on the terminal")
