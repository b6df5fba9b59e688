"""The screens of the real programs: editor, held messages, rings, colours, history."""

from __future__ import annotations

import re
import signal
import time
from pathlib import Path

import pytest

from sample_talk import prefer
from tests.support.programs import Piped, Terminal
from tests.support.service import Service
from tests.support.waiting import wait_for

COLOUR = re.compile(rb"\x1b\[(?:[0-9;]*;)?([34][0-8]|9[0-7]|10[0-7])[;m]")
"""The colours of text and background, but not the terminal's own ones (39 and 49)."""


def test_messages_during_the_editor_are_shown_after_it(service: Service, tmp_path: Path) -> None:
    editor = tmp_path / "editor"
    wait = f"while [ ! -e {tmp_path}/go ]; do sleep 0.05; done"
    editor.write_text(f'#!/bin/sh\necho in the editor\n{wait}\nprintf ", edited" >>"$1"\n')
    editor.chmod(0o700)
    console = service.ready_console()
    client = service.ready_client(env={"VISUAL": str(editor)})
    client.enter("Hi!")
    console.sees("Client1> Hi!")
    client.type("half\x18\x05")
    client.sees("in the editor")
    console.enter("an answer that has to be laid out for the window as it is when it is shown")
    console.sees("Server> an answer")
    assert "an answer" not in client.text()
    client.resize(40, 24)
    (tmp_path / "go").touch()
    client.sees("Server> an answer that has to be")
    client.sees("\n        laid out for the window as it\n        is when it is shown")
    client.line_is("Client1> half, edited")
    client.enter()
    console.sees("Client1> half, edited")


@pytest.mark.parametrize(("key", "number"), [("\x03", "INT"), ("\x1c", "QUIT")])
def test_a_signal_in_the_editor_is_only_for_the_editor(
    service: Service, tmp_path: Path, key: str, number: str
) -> None:
    """A line editor leaves Ctrl-C and Ctrl-\\ to the terminal, which sends the signal to both programs."""
    editor, got = tmp_path / "editor", tmp_path / "interrupted"
    wait = f"trap 'echo; touch {got}' {number}\necho in the editor\nwhile [ ! -e {got} ]; do sleep 0.05; done"
    editor.write_text(f'#!/bin/sh\n{wait}\nprintf ", edited" >>"$1"\n')
    editor.chmod(0o700)
    client = service.ready_client(env={"VISUAL": str(editor)})
    client.type("half\x18\x05")
    client.sees("in the editor")
    client.type(key)
    client.line_is("Client1> half, edited")
    client.enter()
    client.sees("Client1> half, edited")
    client.line_is("Client1>")
    client.child.kill(signal.Signals[f"SIG{number}"])
    assert client.exit_status() == 130


def test_a_held_message_comes_back_when_the_caller_leaves(service: Service) -> None:
    console, client = service.talk()
    console.enter("an answer")
    client.sees("Server> an answer")
    console.enter("and one more thing")
    console.sees("held until your turn: and one more thing")
    client.enter("\\quit")
    console.sees("Not sent:")
    console.line_is("Server>")  # it is for nobody else by mistake
    console.enter("\\recall")
    console.line_is("Server> and one more thing")


def test_without_cursor_reports_there_is_no_toolbar(service: Service) -> None:
    client = service.ready_client(answers=False)
    client.sees("-- This terminal does not report its cursor position, so there is no toolbar.")
    client.enter("\\status")
    client.sees("You send the first message.")
    client.line_is("Client1>")
    assert "WARNING" not in client.text()
    assert "Server |" not in client.text()


def test_the_screen_waits_for_no_answer_of_a_terminal(service: Service) -> None:
    """The toolkit would wait a second. On a busy machine a single run can be slow."""

    def seconds(handle: str) -> float:
        client = service.client(handle, answers=False)
        wait_for(lambda: client.lines() and b"\x1b[6n" in client.raw, "the question where the cursor is")
        start = time.monotonic()
        client.sees("Send the first message")
        took = time.monotonic() - start
        client.enter("\\quit")  # the next one needs the seat
        assert client.exit_status() == 0
        return took

    assert min(map(seconds, ("Ann", "Bob", "Carol"))) < 0.9


def test_after_a_late_answer_of_the_terminal_it_is_asked_again(service: Service) -> None:
    """In between, a sentence was printed: the answer is about another row."""
    client = service.ready_client(answers=False)
    assert client.raw.count(b"\x1b[6n") == 1
    client.type("\x1b[4;1R")
    wait_for(lambda: client.lines() and client.raw.count(b"\x1b[6n") == 2, "it is asked again")
    assert "operator |" not in client.text()  # the height of the window is not known
    client.type("\x1b[6;1R")
    client.sees("operator |")
    assert client.raw.count(b"\x1b[6n") == 2
    assert client.text().count("Send the first message") == 1


def _in_the_middle(service: Service, console: Terminal) -> Terminal:
    """A caller's program with its line in row 11 of the window, whose terminal tells nothing by itself."""
    console.sees("Waiting for calls")
    client = service.ready_client(answers=False)
    _answer(client, 1, row=1)  # too late
    _answer(client, 2, row=10)
    client.sees("Server |")
    client.enter("Hi!")
    console.sees("Client1> Hi!")
    _answer(client, 3, row=11)
    return client


def _answer(client: Terminal, number: int, row: int) -> None:
    """Answers the question where the cursor is, when it has been asked so often."""
    wait_for(lambda: client.lines() and client.raw.count(b"\x1b[6n") == number, "the question where the cursor is")
    client.type(f"\x1b[{row};1R")


def _toolbar_is_at_the_bottom(client: Terminal) -> None:
    wait_for(lambda: client.lines()[-1].startswith("Server |"), "the toolbar at the bottom", shown=client.text)


@pytest.mark.parametrize(
    ("text", "last", "rows"),
    [
        ("Hello", "Server> Hello", 1),
        ("two\nlines", "        lines", 2),
        (f"see https://example.org/{'x' * 200}", "x" * 60, 4),
    ],
    ids=["short", "lines", "link"],
)
def test_the_toolbar_is_drawn_at_once_below_a_message(service: Service, text: str, last: str, rows: int) -> None:
    """It waits for no answer of the terminal: the program knows how many rows it has printed."""
    console = service.console()
    client = _in_the_middle(service, console)
    console.enter(f"\x1b[200~{text}\x1b[201~")
    client.sees(last)
    _toolbar_is_at_the_bottom(client)
    assert client.lines()[-24:].index("Client1>") == 10 + rows


def test_a_terminal_that_tells_another_row_is_believed(service: Service) -> None:
    console = service.console()
    client = _in_the_middle(service, console)
    console.enter("Hello")
    client.sees("Server> Hello")
    _toolbar_is_at_the_bottom(client)
    _answer(client, 4, row=5)
    wait_for(lambda: client.lines()[-24:][4] == "Client1>", "more rows up to the bottom", shown=client.text)


@pytest.fixture(scope="module")
def shared_console(shared_service: Service) -> Piped:
    return shared_service.ready_plain("pychatd-console", "--handle", "Server")


UNASKED = "".join(
    [
        *("\x1b[?62;22c", "\x1b[>41;354;0c", "\x1b[?2026;2$y", "\x1b[8;24;80t", "\x1b[I", "\x1b[O"),
        *("\x1b]11;rgb:0000/0000/0000\x1b\\", "\x1b]10;rgb:ffff/ffff/ffff\x07", "\x1bP>|XTerm(380)\x1b\\"),
    ]
)
"""Answers to questions that we do not ask there. None of them may get into the line."""


@pytest.mark.parametrize(
    "answer",
    [
        *("\x1b[999;999R", "\x1b[0;0R", "\x1b[1;1R" * 20, "\x1b[99999999999999999999;1R", "\x1b[24;80R\x1b[1;40R"),
        UNASKED,
    ],
)
def test_a_wrong_answer_of_a_terminal_types_nothing(
    shared_service: Service, shared_console: Piped, answer: str
) -> None:
    shared_console.forget()
    client = shared_service.client(answers=False)
    wait_for(lambda: client.lines() and b"\x1b[6n" in client.raw, "the question where the cursor is")
    client.type(answer)
    client.sees("Send the first message")
    client.type("Hi!")
    client.line_is("Client1> Hi!")
    client.enter()
    shared_console.says("Client1> Hi!\n")
    shared_console.enter("Hello")
    client.sees("Server> Hello")
    assert len([line for line in client.lines() if line.endswith("> Hi!")]) == 1
    client.enter("\\quit")
    assert client.exit_status() == 0


def test_in_a_narrow_window_the_toolbar_explains_a_command(service: Service) -> None:
    client = service.client(columns=20, lines=10)
    client.sees("known host")
    client.type("\\")
    client.sees("\\recall")
    assert "..." not in client.text()
    for command, words in (
        ("help", "show this list"),
        ("status", "show who is there,"),
        ("held", "list the messages"),
    ):
        client.type("\t")
        client.line_is(f"Client1> \\{command}")
        client.sees(words)
    client.type("\x15held")
    client.line_is("Client1> held")
    assert words not in client.text()


def test_a_waiting_caller_sees_that_the_service_is_busy(service: Service) -> None:
    _, first = service.talk()
    client = service.client("Client2", "--wait")
    client.sees("busy | calling again (")
    first.enter("\\quit")
    client.sees("-- Connected to Server.")
    client.sees("Server | you send first")


def test_typing_is_shown_until_the_message_arrives(service: Service) -> None:
    console, client = service.talk()
    console.type("an answ")
    client.sees(" | typing | ")
    console.enter("er")
    client.sees("Server> an answer")
    wait_for(lambda: "typing" not in client.text(), "the sign is gone")


def test_without_signs_typing_and_read_marks_are_not_seen(service: Service) -> None:
    file = service.directory / "config/pychat/config.toml"
    file.parent.mkdir(parents=True)
    file.write_text("signs = false\n")  # of both: they run as one user
    console, client = service.talk()
    console.sees("Client1 has turned signs off")
    client.sees("Server has turned signs off")
    console.type("an answ")
    console.line_is("Server> an answ")
    console.enter("er")
    client.sees("Server> an answer")
    console.sees(" | sent")
    client.enter("\\status")
    client.sees("Sent: 1 (1 stored). Received: 1.")
    assert "| typing" not in client.text()


def test_an_unsent_line_is_shown_at_the_end(service: Service) -> None:
    console, client = service.talk()
    client.type("half a thought")
    client.line_is("Client1> half a thought")
    console.enter("\\quit")
    assert client.exit_status() == 0
    client.sees("Not sent: half a thought")


def test_an_idle_screen_does_nothing(service: Service) -> None:
    _, client = service.talk()
    status = Path(f"/proc/{client.child.pid}/status")

    def quiet() -> bool:
        """Whether the program has not run for a second and a half: there was no context switch."""
        before = _switches(status)
        time.sleep(1.5)
        return _switches(status) == before

    wait_for(quiet, "the program sleeps")


def _switches(status: Path) -> list[str]:
    return [line for line in status.read_text().splitlines() if "ctxt_switches" in line]


# ------------------------------------------------------------------ alerts


def test_a_ring_rings_at_the_other_side(service: Service) -> None:
    console, client = service.talk()
    client.enter("\\ring")
    client.sees("You asked Server for attention.")
    console.sees("Client1 rings.")
    wait_for(lambda: b"\a" in _raw(console), "the bell")
    client.enter("\\ring")
    client.sees("You can ring again in")
    client.line_is("Client1> \\ring")
    assert b"\a" not in _raw(client)


def test_with_the_bell_off_a_ring_is_silent(idle_service: Service) -> None:
    prefer(idle_service, 'bell = "off"')
    idle_service.start()
    console, client = idle_service.talk()
    client.enter("\\ring")
    console.sees("Client1 rings.")
    assert b"\a" not in _raw(console)
    assert b"\x1b[?1004h" not in _raw(console)


def test_a_first_unseen_message_notifies_and_starts_the_hook(idle_service: Service, tmp_path: Path) -> None:
    hook = tmp_path / "hook"
    hook.write_text(f'#!/bin/sh\necho "$PYCHAT_EVENT $PYCHAT_WORDS" >>{tmp_path}/out\n')
    hook.chmod(0o700)
    prefer(idle_service, f'notify = "osc777"\nhook = ["{hook}"]')
    idle_service.start("--turns", "free")
    console, client = idle_service.talk()
    console.type("half\x1b[O")  # the terminal has lost the focus
    client.enter("\x1b]9;you\x1b\r\u202ethere")
    console.sees("there")
    out = tmp_path / "out"
    wait_for(lambda: out.exists() and out.read_text(), "the hook has run")
    words = "Client1> 9;you <U+202E>there"  # Alt-] types nothing
    assert out.read_text() == f"message {words}\n"
    assert b"\x1b]777;notify;pychat;" + words.encode() + b"\a" in _raw(console)
    client.enter("again")
    console.sees("Client1> again")
    console.line_is("Server> half")
    assert _raw(console).count(b"\x1b]777;") == 1


TITLE_BACK = b"\x1b[23;2t"


@pytest.mark.parametrize("comes_back", ["x", "\x1b[I", "\x1a", "\\detach\r", signal.SIGTERM, signal.SIGHUP])
def test_the_title_counts_what_is_unread_and_is_put_back(
    idle_service: Service, comes_back: str | signal.Signals
) -> None:
    idle_service.start("--turns", "free")
    console = idle_service.ready_console()
    client = idle_service.greeted()
    client.send("Client1> Hi!")
    console.sees("Client1> Hi!")
    console.type("\x1b[O")  # the terminal has lost the focus
    for count in (1, 2):
        client.send(f"Client1> text {count}")
        wait_for(lambda count=count: f"\x1b]2;Client1 ({count})\a".encode() in _raw(console), "the title")  # type: ignore[misc]
    assert TITLE_BACK not in _raw(console)
    if isinstance(comes_back, str):
        console.type(comes_back)
    else:
        console.child.kill(comes_back)
    wait_for(lambda: _raw(console).count(TITLE_BACK) == 1, "the title of before")


def _raw(terminal: Terminal) -> bytes:
    terminal.update()
    return terminal.raw


# ------------------------------------------------------------------ colours


@pytest.mark.parametrize(
    ("env", "coloured"),
    [
        ({}, True),
        ({"NO_COLOR": "1"}, False),
        ({"TERM": "vt100"}, False),
    ],
)
def test_colours_are_the_named_ones_if_there_are_any(
    service: Service, env: dict[str, str], coloured: bool
) -> None:
    """What decides is in tests/client/test_theme.py."""
    console = service.ready_console(env={"NO_COLOR": "", "FORCE_COLOR": "", **env})
    client = service.ready_client()
    client.enter("Hi!")
    console.sees("Client1> Hi!")
    console.type("\\")  # the menu too
    console.sees("show this list")
    colours = set(COLOUR.findall(_raw(console)))
    assert colours == ({b"90", b"36", b"32"} if coloured else set())


# ------------------------------------------------------------------ history


def test_no_history_saves_no_line_and_suggests_none(service: Service) -> None:
    console, client = service.talk()
    client.enter("\\quit")
    assert client.exit_status() == 0
    file = service.directory / "xdg-state/pychat/pychat-history"
    before = file.read_bytes()
    again = service.ready_client("Client1", "--no-history")
    again.enter("a secret")
    console.sees("Client1> a secret")
    again.type("\x1b[A")
    again.line_is("Client1> a secret")
    again.type("\x1b[A\x1b[A")
    again.type("\x15x")
    again.line_is("Client1> x")
    assert file.read_bytes() == before


def test_a_dumb_terminal_gets_no_escape_sequences(service: Service) -> None:
    console = service.ready_console()
    client = service.ready_client(env={"TERM": "dumb"})
    client.enter("Hi!")
    console.sees("Client1> Hi!")
    console.enter("Hello")
    client.sees("Server> Hello")
    client.enter("\\status")
    client.sees("It is your turn.")
    assert b"\x1b" not in _raw(client)
