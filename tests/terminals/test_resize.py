"""After any change of size, the line, the toolbar and each message are on the screen once."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.programs import Terminal
from tests.support.service import BIN, Service
from tests.support.waiting import wait_for
from tests.terminals.base import Emulator, settled
from tests.terminals.multiplexers import GnuScreen, Tmux
from tests.terminals.x import Alacritty, Kitty, Mlterm, St, Urxvt, Vte, Xterm, XWindow

ON_X = (Xterm, Vte, Kitty, Alacritty, Urxvt, Mlterm, St)

SHORT = ["zq01", "zq02"]
LONG = [f"zq{number:02}" for number in range(1, 37)]
"""180 characters: several rows at each width except the widest, and fewer rows than the lowest window has."""

WHOLE = [f"zq{number:02}" for number in range(1, 91)]
"""450 characters, nearly a whole message."""

TOOLBAR = "turns"
"""A word that is only in the toolbar."""

SLOW_SECONDS = 10.0

WINDOWS = [(60, 20), (40, 24), (100, 10), (300, 30), (20, 24), (80, 24)]
DRAG = [(columns, 24) for columns in (*range(79, 39, -1), *range(41, 81))]
LOWER = [(80, rows) for rows in (*range(23, 9, -1), *range(11, 25))]


@pytest.fixture(params=[Tmux, GnuScreen, *(pytest.param(one, marks=pytest.mark.terminals) for one in ON_X)])
def emulator(request: pytest.FixtureRequest, idle_service: Service, tmp_path: Path) -> Iterator[Emulator]:
    kind: type[Emulator] = request.param
    if missing := kind.missing():
        pytest.skip(f"not installed: {missing}")
    idle_service.start("--turns", "free")
    directory = tmp_path / "window"
    directory.mkdir()
    one = kind(directory, idle_service.env)
    yield one
    one.close()


@pytest.fixture
def console(emulator: Emulator, idle_service: Service) -> Terminal:
    """A client in the emulator, a console elsewhere, and some messages."""
    console = begin(emulator, idle_service)
    talk(console, emulator)
    return console


def begin(emulator: Emulator, idle_service: Service) -> Terminal:
    words = ["--accept-new", "--handle", "Bob", "localhost", str(idle_service.port)]
    emulator.start(str(BIN / "pychat"), *words)
    emulator.sees("Send the first message")
    emulator.type("Hi!")
    emulator.enter()
    emulator.sees("Bob> Hi!")
    console = idle_service.console()
    console.sees("Bob> Hi!")
    return console


MESSAGES = [f"mm{number:02}" for number in range(12)]

LINK = "https://example.org/" + "a-long_path/" * 6 + "mm06"
"""Of more than a row of 80 columns: the terminal itself goes on with it, and wraps it again."""


def talk(console: Terminal, emulator: Emulator) -> None:
    for word in MESSAGES:
        console.enter(LINK if word in LINK else f"{word} is a message")
    emulator.sees(MESSAGES[-1])


def see_each_other_type(emulator: Emulator, console: Terminal) -> None:
    emulator.type("\\live")
    emulator.enter()
    emulator.sees("your side only")
    console.enter("\\live")
    emulator.sees("watched")


def type_line(emulator: Emulator, words: list[str]) -> None:
    """What is drawn in the very moment of a change may leave a copy (docs/use.md): so this waits until all is."""
    emulator.type(" ".join(words))
    emulator.sees(words[-1])
    settled(emulator.text)


def faults(emulator: Emulator, words: list[str], messages: list[str]) -> list[str]:
    """The words that are not on the screen exactly once.

    A program that draws after the screen looked settled has some seconds more: what stays wrong is a fault.
    """
    end = time.monotonic() + SLOW_SECONDS
    while (found := _faults_now(emulator, words, messages)) and time.monotonic() < end:
        pass
    return found


def _faults_now(emulator: Emulator, words: list[str], messages: list[str]) -> list[str]:
    text = "".join(settled(emulator.text).split())  # a word that is broken at the edge goes on behind an indent
    gone = 0
    while not emulator.SCROLLBACK and gone < len(messages) and messages[gone] not in text:
        gone += 1  # the oldest ones: they have left the window
    counts = {word: text.count(word) for word in (*words, TOOLBAR, *messages[gone:])}
    copies = words if emulator.COPIES and words != SHORT else []
    return [f"{word} {times} times" for word, times in counts.items() if times != 1 and word not in copies]


def check(emulator: Emulator, words: list[str], messages: list[str], sizes: list[tuple[int, int]]) -> None:
    wrong = []
    for columns, rows in sizes:
        emulator.resize(columns, rows)
        if found := faults(emulator, words, messages):
            wrong.append(f"{columns}x{rows}: {', '.join(found)}")
    assert wrong == [], "\n".join([*wrong, emulator.text()])
    assert messages[-1] in emulator.text(), "the newest one is in the window now"


@pytest.mark.parametrize("words", [SHORT, LONG], ids=["short", "long"])
def test_other_windows(emulator: Emulator, console: Terminal, words: list[str]) -> None:
    type_line(emulator, words)
    check(emulator, words, MESSAGES, WINDOWS)
    console.enter("mm99 is the last one")
    emulator.sees("mm99")
    assert faults(emulator, words, [*MESSAGES, "mm99"]) == []


@pytest.mark.parametrize(
    ("words", "sizes"), [(SHORT, DRAG), (LONG, DRAG), (LONG, LOWER)], ids=["short-edge", "long-edge", "long-lower"]
)
def test_drag(emulator: Emulator, console: Terminal, words: list[str], sizes: list[tuple[int, int]]) -> None:
    """As a person does it: faster than a program can draw."""
    type_line(emulator, words)
    for columns, rows in sizes:
        emulator.resize(columns, rows)
    assert faults(emulator, words, MESSAGES) == [], emulator.text()
    assert MESSAGES[-1] in emulator.text(), "the newest one is in the window now"


def test_message_where_a_long_line_was(emulator: Emulator, console: Terminal) -> None:
    """Its rows are broken between words, and no terminal takes them for one line, as it did with the line."""
    emulator.resize(40, 24)
    type_line(emulator, LONG)
    emulator.enter()
    console.sees(LONG[-1])
    wait_for(lambda: ">Bob> zq01" in emulator.text(), "the message is printed", shown=emulator.text)
    emulator.resize(80, 24)
    rows = [row for row in settled(emulator.lines) if "zq" in row]
    assert max(map(len, rows)) <= 40, emulator.text()
    assert faults(emulator, LONG, MESSAGES) == []


def test_lower_windows_with_a_whole_message(emulator: Emulator, console: Terminal) -> None:
    type_line(emulator, WHOLE)
    check(emulator, WHOLE, MESSAGES, [(80, 12), (80, 24), (80, 10), (80, 30)])


def test_draft_of_the_other_user(emulator: Emulator, console: Terminal) -> None:
    """With live typing it stands above the line, in up to three rows."""
    see_each_other_type(emulator, console)
    console.type("draft " * 30 + "dd99")
    emulator.sees("dd99")
    type_line(emulator, SHORT)
    check(emulator, SHORT, [*MESSAGES, *["dd99"] * (not emulator.KEEPS_DRAFTS)], WINDOWS)
    console.type("\x15")
    if not emulator.KEEPS_DRAFTS:
        wait_for(lambda: "dd99" not in emulator.text(), "the draft is gone", shown=emulator.text)


def test_draft_in_rows_that_were_longer_before(emulator: Emulator, console: Terminal) -> None:
    """Of what is erased at the end of a row, tmux makes a row when it becomes narrower."""
    see_each_other_type(emulator, console)
    for number in range(8):
        console.enter(f"pp{number}")
    emulator.sees("pp7")  # now the draft gets the rows of the line and the toolbar
    console.type("dd00 and so on, so that the draft has more rows than one, which it has now")
    emulator.sees("now")
    type_line(emulator, SHORT)
    emulator.resize(40, 24)
    assert faults(emulator, SHORT, [*MESSAGES, "dd00"]) == [], emulator.text()


@pytest.mark.parametrize(("line", "columns"), [(SHORT, 20), (LONG, 40)], ids=["short", "long"])
def test_draft_in_a_window_that_is_not_full(
    emulator: Emulator, idle_service: Service, line: list[str], columns: int
) -> None:
    """Before the messages fill the window, nothing of the draft gets into the scrollback either."""
    console = begin(emulator, idle_service)
    see_each_other_type(emulator, console)
    draft = [f"dd{number:02}" for number in range(40)]
    console.type(" ".join(draft))
    emulator.sees(draft[-1])
    type_line(emulator, line)
    wait_for(lambda: "| typing" not in emulator.text(), "nothing more is drawn by itself", shown=emulator.text)
    emulator.resize(columns, 24)
    assert faults(emulator, line, ["Hi!"]) == [], emulator.text()
    console.type("\x15")
    wait_for(lambda: draft[-1] not in emulator.text(), "the draft is gone", shown=emulator.text)
    assert [word for word in draft if word in emulator.text()] == [], emulator.text()


def test_a_selected_link_is_what_was_sent(emulator: Emulator, console: Terminal) -> None:
    """Three clicks in any of its rows select it. tests/e2e/test_tmux.py does the same in tmux."""
    if not isinstance(emulator, XWindow):
        pytest.skip("has no mouse here")
    assert any(emulator.select_line(row) == LINK for row in range(emulator.rows))


def test_console(emulator: Emulator, idle_service: Service) -> None:
    """The console has the same screen."""
    runtime = ["--runtime-directory", str(idle_service.runtime)]
    emulator.start(str(BIN / "pychatd-console"), str(idle_service.port), *runtime, "--handle", "Server")
    emulator.sees("Waiting for calls")
    client = idle_service.ready_client()
    for word in MESSAGES:
        client.enter(f"{word} is a message")
    emulator.sees(MESSAGES[-1])
    type_line(emulator, LONG)
    check(emulator, LONG, MESSAGES, WINDOWS)
