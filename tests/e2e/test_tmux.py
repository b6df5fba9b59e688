"""Suspending, pasting and resizing in tmux."""

from __future__ import annotations

import os
import re
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.programs import Piped
from tests.support.service import BIN, Service
from tests.support.tmux import Tmux, children, tmux
from tests.support.waiting import wait_for

pytestmark = pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed")


@pytest.fixture
def window(idle_service: Service, tmp_path: Path) -> Iterator[Tmux]:
    """A client in tmux, connected, with a console elsewhere."""
    idle_service.start("--turns", "free")
    with tmux(tmp_path, idle_service.env) as one:
        one.type(f"{BIN}/pychat localhost {idle_service.port} --accept-new --handle Bob")
        one.press("Enter")
        one.sees("Send the first message")
        one.type("Hi!")
        one.press("Enter")
        one.sees("Bob> Hi!")
        yield one


@pytest.fixture
def console(window: Tmux, idle_service: Service) -> Piped:
    """Without a screen of its own: here only what the client draws is looked at."""
    piped = idle_service.plain("pychatd-console", "--handle", "Server")
    piped.says("Bob> Hi!")
    return piped


def test_the_title_of_the_pane_counts_and_comes_back(window: Tmux, console: Piped) -> None:
    def title() -> str:
        return window.tmux("display-message", "-p", "#{pane_title}").strip()

    before = title()
    window.type("\x1b[O")  # the pane has lost the focus
    console.enter("one")
    wait_for(lambda: title() == "Server (1)", "the title")
    console.enter("two")
    wait_for(lambda: title() == "Server (2)", "the title")
    window.type("x")
    wait_for(lambda: title() == before, "the title of before")


def test_after_ctrl_z_fg_brings_the_line_and_new_messages(
    window: Tmux, console: Piped, idle_service: Service
) -> None:
    window.type("half a thou")
    window.line_is("Bob> half a thou")
    window.press("C-z")
    window.sees("Stopped")
    window.line_is("$")
    console.enter("Are you there?")
    _sends(idle_service, 1)
    window.type("echo in the sh''ell")
    window.press("Enter")
    window.sees("in the shell")
    window.type("fg")
    window.press("Enter")
    window.sees("Server> Are you there?")
    window.line_is("Bob> half a thou")
    window.type("ght")
    window.press("Enter")
    console.says("Bob> half a thought")


def _sends(service: Service, count: int) -> None:
    wait_for(lambda: service.status()["peer"]["sent"] == count, "the message is stored")


def _stop(program: Path, number: signal.Signals) -> None:
    os.kill(int(program.name), number)
    wait_for(lambda: _is_stopped(program), "it stops")


def _is_stopped(program: Path) -> bool:
    return (program / "stat").read_text().rpartition(") ")[2].startswith("T")


@pytest.mark.parametrize("draft", ["half a thou", "half\nof\nthree thou"], ids=["one-row", "three-rows"])
@pytest.mark.parametrize("stop", ["TSTP", "STOP"])
def test_after_a_stop_by_a_signal_fg_brings_the_line_and_new_messages(
    window: Tmux, console: Piped, idle_service: Service, stop: str, draft: str
) -> None:
    *above, last = draft.split("\n")
    line = f"     {last}" if above else f"Bob> {last}"
    (session,) = children(window.shell())
    modes = window.modes()
    for again in range(2):
        window.paste(draft)
        window.line_is(line)
        _stop(session, signal.Signals[f"SIG{stop}"])
        window.line_is("$")
        console.enter(f"Are you there? {again}")
        _sends(idle_service, again + 1)
        window.type("fg")
        window.press("Enter")
        window.sees(f"Server> Are you there? {again}")
        window.line_is(line)
        assert window.modes() == modes
        window.type("g")
        window.line_is(f"{line}g")
        window.paste("ht\nof one paste")
        window.line_is("     of one paste")
        window.press("C-c")
        window.line_is("Bob>")
        window.type("still here")
        window.press("Enter")
        console.says("Bob> still here")


def test_a_window_may_change_its_size_while_the_chat_is_stopped(window: Tmux) -> None:
    window.type(DRAFTS["a-row"])
    window.redrawn()
    _stop(children(window.shell())[0], signal.SIGSTOP)
    window.line_is("$")
    window.resize(50, 24)
    window.type("clear; fg")
    window.press("Enter")
    window.sees("no turns")
    window.redrawn()
    text = "\n".join(window._window().split())
    assert [text.count(words) for words in ("w00", "w16", "no\nturns", "[")] == [1, 1, 1, 0], text


def test_a_signal_to_go_on_leaves_one_of_everything(window: Tmux) -> None:
    (session,) = children(window.shell())
    window.paste("half\na thought")
    window.line_is("     a thought")
    os.kill(int(session.name), signal.SIGCONT)
    window.redrawn()
    text = "\n".join(window.lines())
    assert [text.count(words) for words in ("half", "a thought", "no turns")] == [1, 1, 1], text


def test_a_chat_that_a_signal_has_stopped_stops_in_the_background(window: Tmux, console: Piped) -> None:
    (session,) = children(window.shell())
    _stop(session, signal.SIGSTOP)
    window.line_is("$")
    window.type("bg; echo in the background")
    window.press("Enter")
    window.sees("in the background")
    wait_for(lambda: _is_stopped(session), "it stops again")
    window.type("fg")
    window.press("Enter")
    window.line_is("Bob>")
    window.type("Back")
    window.press("Enter")
    console.says("Bob> Back")


def test_an_editor_stops_together_with_the_chat(idle_service: Service, tmp_path: Path) -> None:
    idle_service.start("--turns", "free")
    editor = tmp_path / "editor"
    editor.write_text('#!/bin/sh\nkill -TSTP 0\nprintf "edited" >"$1"\n')  # as vi does at Ctrl-Z
    editor.chmod(0o700)
    with tmux(tmp_path, {**idle_service.env, "VISUAL": str(editor)}) as one:
        one.type(f"{BIN}/pychat localhost {idle_service.port} --accept-new --handle Bob")
        one.press("Enter")
        one.line_is("Bob>")
        one.press("C-x", "C-e")
        one.sees("Stopped")
        one.line_is("$")
        one.type("fg")
        one.press("Enter")
        one.line_is("Bob> edited")


@pytest.mark.parametrize(
    "draft", ["the end", "some\nrows\nto the end", f"{40 * 'long '}the end"], ids=["row", "rows", "long"]
)
def test_what_an_editor_leaves_in_a_row_stays_above_the_line(
    idle_service: Service, tmp_path: Path, draft: str
) -> None:
    idle_service.start("--turns", "free")
    editor = tmp_path / "editor"
    editor.write_text("#!/bin/sh\nprintf 'first\\nsaved it'\n")
    editor.chmod(0o700)
    with tmux(tmp_path, {**idle_service.env, "VISUAL": str(editor)}) as one:
        one.type(f"{BIN}/pychat localhost {idle_service.port} --accept-new --handle Bob")
        one.press("Enter")
        one.line_is("Bob>")
        one.paste(draft)
        end = "the end"
        for again in range(2):
            wait_for(lambda: one._cursor_line().endswith(end), "the line", shown=one._text)
            one.press("C-x", "C-e")
            wait_for(lambda again=again: _rows(one).count("saved it") == again + 1, "its row", shown=one._text)  # type: ignore[misc]
            wait_for(lambda: one._cursor_line().endswith(end), "the line again", shown=one._text)
            one.redrawn()
            text = "\n".join(_rows(one))
            assert [text.count(words) for words in ("Bob>", "you send first", end)] == [1, 1, 1], text


def test_messages_during_an_editor_leave_its_last_row(idle_service: Service, tmp_path: Path) -> None:
    idle_service.start("--turns", "free")
    editor = tmp_path / "editor"
    wait = f"while [ ! -e {tmp_path}/go ]; do sleep 0.05; done"
    editor.write_text(f"#!/bin/sh\nprintf {70 * 's'}\n{wait}\n")
    editor.chmod(0o700)
    console = idle_service.ready_plain("pychatd-console")
    with tmux(tmp_path, {**idle_service.env, "VISUAL": str(editor)}) as one:
        one.type(f"{BIN}/pychat localhost {idle_service.port} --accept-new --handle Bob")
        one.press("Enter")
        one.line_is("Bob>")
        one.type("Hi!")
        one.press("Enter")
        console.says("Hi!")
        one.paste(DRAFTS["a-row"])
        one.redrawn()
        one.press("C-x", "C-e")
        one.line_is(70 * "s")
        console.enter("one\ntwo")
        _sends(idle_service, 2)
        (tmp_path / "go").touch()
        one.sees("> two")
        one.redrawn()
        text = "\n".join(_rows(one))
        assert [text.count(words) for words in (70 * "s", "> one", "> two", "w00", "no turns")] == 5 * [1], text


def _rows(window: Tmux) -> list[str]:
    return [line.rstrip() for line in window.lines()]


def test_the_line_is_always_at_the_bottom(window: Tmux) -> None:
    """Then messages or empty rows are above it, and leave the window when it becomes smaller."""

    def is_at_the_bottom() -> bool:
        return window.tmux("display-message", "-p", "#{cursor_y} #{cursor_x}").strip() == "22 5"

    wait_for(is_at_the_bottom, "the line is above the toolbar")
    window.press("C-l")
    wait_for(lambda: "Hi!" not in window._window() and is_at_the_bottom(), "the same in a cleared window")
    window.press("C-z")
    window.sees("Stopped")
    window.type("clear; fg")
    window.press("Enter")
    wait_for(is_at_the_bottom, "the same after the shell has cleared the window")


QUESTIONS = {
    "host": ("--handle Bob", "Trust this host from now on? (yes/no, or paste the fingerprint)", ("ye", "s")),
    "handle": ("--accept-new", "Your handle:", ("Bo", "b")),
}
"""Options, what is asked then, and the parts of an answer."""


@contextmanager
def _asked(service: Service, directory: Path, question: str) -> Iterator[tuple[Tmux, str]]:
    """A client in tmux that asks, and what is asked."""
    options, words, _ = QUESTIONS[question]
    with tmux(directory, service.env) as one:
        one.type(f"{BIN}/pychat localhost {service.port} {options}")
        one.press("Enter")
        one.line_is(words)
        yield one, words


def _stop_question(window: Tmux, stop: str) -> None:
    """stop: a key, or the name of a signal."""
    if stop == "C-z":
        window.press(stop)
        window.sees("Stopped")
    else:
        _stop(children(window.shell())[0], signal.Signals[stop])
    window.line_is("$")


@pytest.mark.parametrize("question", QUESTIONS)
@pytest.mark.parametrize("stop", ["C-z", "SIGTSTP", "SIGSTOP"])
def test_a_question_goes_on_after_a_stop(service: Service, tmp_path: Path, stop: str, question: str) -> None:
    begun, rest = QUESTIONS[question][2]
    with _asked(service, tmp_path, question) as (window, words):
        modes = window.modes()
        window.type(begun)
        window.line_is(f"{words} {begun}")
        for again in range(2):
            _stop_question(window, stop)
            window.type(f"echo in the sh''ell {again}; stty -echo -icanon isig; fg")
            window.press("Enter")
            window.sees(f"in the shell {again}")
            window.line_is(f"{words} {begun}")
            assert window.modes() == modes
        assert "in the shell 0" in "\n".join(window.lines())  # above the question
        window.type(rest)
        window.line_is(f"{words} {begun}{rest}")
        window.press("Enter")
        window.sees("Send the first message")


def test_a_signal_to_go_on_draws_a_question_below_itself(service: Service, tmp_path: Path) -> None:
    """Nothing tells whether it was stopped, and another program has used the terminal."""
    with _asked(service, tmp_path, "handle") as (window, words):
        window.type("Bo")
        window.line_is(f"{words} Bo")
        os.kill(int(children(window.shell())[0].name), signal.SIGCONT)
        wait_for(lambda: _rows(window).count(f"{words} Bo") == 2, "it is drawn below", shown=window._text)
        window.type("b")
        window.line_is(f"{words} Bob")


@pytest.mark.parametrize("stop", ["C-z", "SIGTSTP", "SIGSTOP"])
def test_a_stopped_question_ends_with_its_window(service: Service, tmp_path: Path, stop: str) -> None:
    with _asked(service, tmp_path, "handle") as (window, _):
        (asking,) = children(window.shell())
        _stop_question(window, stop)
        window.close()
        wait_for(lambda: not asking.exists(), "the client ends")


@pytest.mark.parametrize("stop", [signal.SIGTSTP, signal.SIGSTOP])
def test_a_suspended_chat_ends_with_its_window(window: Tmux, console: Piped, stop: signal.Signals) -> None:
    """prompt_toolkit would wait for ever to restore a terminal that is gone, and use all of a processor."""
    (session,) = children(window.shell())
    _stop(session, stop)
    window.line_is("$")
    window.close()
    wait_for(lambda: not session.exists(), "the client ends")
    console.notes("Bob is not connected now")


@pytest.mark.parametrize("stop", [signal.SIGTSTP, signal.SIGSTOP])
def test_a_suspended_chat_moves_to_another_window(
    window: Tmux, console: Piped, idle_service: Service, stop: signal.Signals
) -> None:
    window.type("half")
    window.line_is("Bob> half")
    _stop(children(window.shell())[0], stop)
    window.line_is("$")
    moved = idle_service.client(None, "--take-over")
    moved.line_is("Bob> half")
    window.type("fg")
    window.press("Enter")
    window.sees("Another window has taken over this conversation.")
    window.line_is("$")


def test_a_paste_of_several_lines_waits_for_enter(window: Tmux, console: Piped, idle_service: Service) -> None:
    window.paste("one\ntwo\n\\quit\n")
    window.line_is("     \\quit")
    assert idle_service.status()["peer"]["received"] == 1
    window.press("Enter")
    console.says("Bob> one")
    console.says("\\quit\n")
    assert idle_service.status()["peer"]["received"] == 2


def test_a_paste_of_100_kilobytes_changes_nothing(window: Tmux, console: Piped) -> None:
    window.type("half a thought")
    window.paste("wörd " * 20_480)
    window.sees("Not pasted: the line takes at most 5,000 characters")
    window.line_is("Bob> half a thought")
    window.press("Enter")
    console.says("Bob> half a thought")


SIZES = [(60, 20), (40, 24), (100, 10), (300, 30), (20, 24), (80, 24)]
"""Of windows, one after the other, in columns and rows. tests/terminals has them with a short and a long line."""

DRAG = [(columns, 24) for columns in [79, *range(78, 39, -3), *range(41, 81, 3)]]
"""Sizes while somebody drags an edge slowly; tests/terminals does it fast."""

DRAFTS = {
    "a-row": " ".join(f"w{number:02}" for number in range(17)),
    "long": " ".join(f"w{number:02}" for number in range(30)),
    "lines": "\n".join(" ".join(f"w{line}{number}" for number in range(10)) for line in range(3)),
    "wide": " ".join(f"w{number:02} 日本語" for number in range(14)),
}
"""Lines being typed. Each word of w and digits has to be on the screen once."""


@pytest.mark.parametrize(
    ("draft", "sizes"),
    [
        *(pytest.param(DRAFTS[name], SIZES, id=f"{name}-sizes") for name in ("a-row", "lines", "wide")),
        pytest.param(DRAFTS["long"], DRAG, id="long-drag"),
    ],
)
def test_resizing_leaves_one_of_everything(
    window: Tmux, console: Piped, draft: str, sizes: list[tuple[int, int]]
) -> None:
    for number in range(4):
        console.enter(f"message {number} that is much too long for the narrow windows that are about to come")
        window.sees(f"message {number}")
    window.paste(draft)
    window.redrawn()
    for step, (columns, rows) in enumerate(sizes):
        window.resize(columns, rows)
        window.redrawn()
        if step % 3 == 0:
            console.enter(f"now-{step}-")
            window.sees(f"Server> now-{step}-")
            window.redrawn()
    once = [f"> message {number} " for number in range(4)] + [f"> now-{step}-" for step in range(0, len(sizes), 3)]
    once += [*re.findall(r"w\d+", draft), "no turns"]
    text = "\n".join(window.lines())
    assert {words: count for words in once if (count := text.count(words)) != 1} == {}, text


def test_ctrl_z_just_after_a_change_of_size_leaves_no_copy(window: Tmux) -> None:
    window.type(DRAFTS["long"])
    window.redrawn()
    window.resize(50, 24)
    window.press("C-z")
    window.sees("Stopped")
    assert "w00" not in "\n".join(window.lines())
    window.type("fg")
    window.press("Enter")
    window.sees("w00")


def test_an_encoding_without_the_edge_character_shows_none(idle_service: Service, tmp_path: Path) -> None:
    idle_service.start("--turns", "free")
    with tmux(tmp_path, {**idle_service.env, "PYTHONIOENCODING": "latin-1:replace"}) as one:
        one.type(f"{BIN}/pychat localhost {idle_service.port} --accept-new --handle Bob")
        one.press("Enter")
        one.sees("you send first")
        one.redrawn()
        assert "?" not in "\n".join(one.lines())


def test_a_burst_of_messages_leaves_one_toolbar(window: Tmux, console: Piped) -> None:
    window.type("half a thought")
    console.enter("\n".join(str(number) for number in range(200)))
    window.sees("Server> 199")
    window.line_is("Bob> half a thought")
    lines = window.lines()
    assert [line.split("> ")[1] for line in lines if "Server> " in line] == [str(number) for number in range(200)]
    assert len([line for line in lines if "no turns" in line]) == 1


def test_a_line_that_fills_the_window_leaves_no_copies(window: Tmux, console: Piped) -> None:
    """tmux keeps what is erased from the first place of its window on, as if a person had cleared it."""
    window.resize(20, 10)
    window.type("so long a line " * 12 + "end")
    window.line_is("     end")
    for number in range(3):
        console.enter(f"now {number}")
        window.sees(f"Server> now {number}")
    window.press("C-u")
    window.line_is("Bob>")
    assert "so long" not in "\n".join(window.lines())


@pytest.mark.parametrize(
    ("emoji", "drawn"),
    [
        ("\U0001f468\u200d\U0001f469\u200d\U0001f467", "\U0001f468\U0001f469\U0001f467"),
        ("\U0001f1e9\U0001f1ea", "\uff24\uff25"),
        ("\u2764\ufe0f", "\u2764"),
        ("\U0001f44d\U0001f3fd", "\U0001f44d"),
    ],
    ids=["family", "flag", "heart", "skin"],
)
def test_the_cursor_is_right_among_emoji(window: Tmux, emoji: str, drawn: str) -> None:
    """Terminals give joined emoji different numbers of columns."""
    window.type(f"{emoji}{emoji} tail")
    window.press("C-a")
    window.type("X")
    window.press("C-e")
    window.type("Y")
    window.line_is(f"Bob> X{drawn}{drawn} tailY")


def test_an_empty_window_shows_one_prompt_at_the_start(idle_service: Service, tmp_path: Path) -> None:
    idle_service.start("--turns", "free")
    with tmux(tmp_path, idle_service.env) as one:
        call = f"--handle Bob localhost {idle_service.port}"
        one.type(f"{BIN}/pychat send --accept-new {call} Hi; clear; {BIN}/pychat {call}")
        one.press("Enter")
        one.sees("Send the first message")
        one.line_is("Bob>")
        assert len([line for line in one.lines() if line.startswith("Bob>")]) == 1


def test_the_question_for_a_handle_is_there_once(service: Service, tmp_path: Path) -> None:
    with tmux(tmp_path, service.env) as one:
        call = f"localhost {service.port}"
        send = f"{BIN}/pychat send --accept-new --handle Bob {call} Hi"
        one.type(f"{send}; clear; {BIN}/pychat {call}")
        one.press("Enter")
        one.line_is("Your handle:")
        one.paste("B\u202eo\nb")
        one.line_is("b")
        one.sees("Your handle: B\ufffdo")
        one.press("BSpace", "BSpace", "C-u")
        one.type("Bob")
        one.press("Enter")
        one.sees("Send the first message")
        assert [row for row in one.lines() if "Your handle:" in row] == ["Your handle: Bob"]


@pytest.mark.parametrize("char", ["\u3248", "\u4dff"])
def test_the_cursor_is_where_the_next_character_goes(window: Tmux, console: Piped, char: str) -> None:
    """tmux gives some characters another width than the table that the line is drawn with."""
    window.type(char * 10)
    window.type("end")
    window.line_is(f"Bob> {10 * chr(0xFFFD)}end")
    assert window.tmux("display-message", "-p", "#{cursor_x}").strip() == "18"
    window.press("Enter")
    console.says(f"Bob> {char * 10}end")


LINK = "https://example.org/" + "a-long_path/" * 14 + "?q=1&r=%20"
"""More than two rows of 80 columns."""


def test_a_selected_link_is_what_was_sent(window: Tmux, console: Piped) -> None:
    console.enter(f"see {LINK} in rows")
    window.sees("in rows")
    for columns in (80, 61, 100):
        window.resize(columns, 24)
        window.redrawn()
        assert LINK in window.lines()
        window.tmux("set-option", "-g", "word-separators", " ")
        window.tmux("copy-mode")
        for command in (("search-backward", "https://"), ("select-word",), ("copy-selection-and-cancel",)):
            window.tmux("send-keys", "-X", *command)
        assert window.tmux("show-buffer") == LINK
