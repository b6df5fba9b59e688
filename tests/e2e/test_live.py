"""Live typing between the real programs: what both users see, and that nothing of it stays anywhere."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sample_talk import prefer
from tests.bench.measure import wakeups
from tests.e2e.test_json import Program
from tests.security import corpus
from tests.support.programs import Terminal
from tests.support.raw_ends import BlockingEnd
from tests.support.service import BIN, Service
from tests.support.user import run
from tests.support.waiting import PATIENCE, wait_for

SECRET = "Rosebud"


def _talk(service: Service, *options: str) -> tuple[Terminal, Terminal]:
    """A console and a client with live typing, after the first message."""
    console = service.ready_console("--live", *options)
    client = service.ready_client("Client1", "--live", *options)
    client.line_is("Client1>")
    client.enter("Hi!")
    console.sees("Client1> Hi!")
    for one in (console, client):
        one.sees("watched")
    return console, client


def _gone(terminal: Terminal, words: str) -> None:
    """Waits until `words` are nowhere on the screen, nor in the scrollback."""
    wait_for(lambda: words not in terminal.text(), f"no {words!r}", shown=terminal.text)


def test_both_see_what_the_other_one_types(service: Service) -> None:
    console, client = _talk(service)
    console.type("Hello, how ar")
    client.sees("Server … Hello, how ar")
    client.type("I am")  # it is not the client's turn: it will be held
    console.sees("Client1 … I am")
    console.enter("e you?")
    client.sees("Server> Hello, how are you?")
    _gone(client, "…")
    client.type("\x15")
    _gone(console, "…")
    client.type("\\live\r")
    client.sees("Live typing is off")
    wait_for(lambda: "watched" not in console.text(), "the console knows it")
    client.type("not seen")
    console.sees("typing")
    assert "not seen" not in console.text()


def test_the_line_keeps_its_place_while_the_other_user_types(service: Service) -> None:
    console, client = _talk(service)
    client.type("half")
    client.line_is("Client1> half")
    console.type("word " * 40 + "dd99")
    client.sees("dd99")

    def is_in_place() -> bool:
        line, toolbar = client.lines()[-2:]
        return line == "Client1> half" and toolbar.startswith("Server |")

    console.type("\x15")
    _gone(client, "…")
    wait_for(is_in_place, "the line is where it was", shown=client.text)
    console.enter("Hi!")
    client.sees("Server> Hi!")
    wait_for(is_in_place, "the line is where it was", shown=client.text)


def test_nobody_is_watched_without_seeing_it(service: Service) -> None:
    console, client = _talk(service)
    client.type("seen")
    console.sees("Client1 … seen")
    client.resize(80, 2)  # too low for the toolbar
    _gone(console, "…")
    client.type(" or not")
    client.line_is("Client1> seen or not")
    client.resize(80, 24)
    client.sees("watched")
    client.type("!")
    console.sees("Client1 … seen or not!")
    assert b"or not" not in console.raw.replace(b"or not!", b"")


def test_the_configuration_of_both_sides_turns_it_on(service: Service) -> None:
    prefer(service, "live = true\n")
    console = service.ready_console()
    client = service.ready_client()
    client.line_is("Client1>")
    client.enter("Hi!")
    client.sees("watched")
    console.enter("\\status")
    console.tells("Live typing is on: Client1 sees what you type, and you see what Client1 types.")


def test_before_the_first_message_nobody_is_told_of_a_refusal(service: Service) -> None:
    """Both want it, and neither program can know that yet."""
    console, client = service.ready_console(), service.ready_client()
    for one in (console, client):
        one.enter("\\live")
        one.tells("Live typing is on at your side. It begins after the first message, if the other side wants it.")
        assert "watched" not in one.text()
    client.enter("Hi!")
    for one, other in ((console, "Client1"), (client, "Server")):
        one.sees("watched")
        one.tells(f"Live typing is on: {other} sees what you type, and you see what {other} types.")


def test_a_line_for_one_caller_is_not_shown_to_the_next(service: Service) -> None:
    console, client = _talk(service)
    console.type("darling I am")
    client.sees("Server … darling I am")
    client.enter("\\quit")
    assert client.exit_status() == 0
    second = Program(service, "pychat", "--live", "--handle", "Client2")
    second.tells("state", connected=True)
    second.say(text="Hello")
    console.sees("Client2> Hello")
    second.tells("state", live=True)
    console.type("\x7f")
    console.line_is("Server> darling I a")
    console.type("\x15new")
    second.tells("draft", text="new")
    assert not any("darling" in found["text"] for found in second.told("draft"))


@pytest.mark.parametrize(("at_console", "at_client"), [((), ("--live",)), (("--live",), ())])
def test_one_side_alone_sees_nothing(
    service: Service, at_console: tuple[str, ...], at_client: tuple[str, ...]
) -> None:
    console = service.ready_console(*at_console)
    client = service.ready_client("Client1", *at_client)
    client.line_is("Client1>")
    client.enter("Hi!")
    console.sees("Client1> Hi!")
    for typing, looking in ((console, client), (client, console)):
        typing.type(SECRET)
        looking.sees("typing")
        assert f"… {SECRET}" not in looking.text()
        assert "watched" not in looking.text()


def test_plain_lines_never_have_it(service: Service) -> None:
    console = service.ready_console("--plain", "--live")
    client = service.ready_client("Client1", "--live")
    client.line_is("Client1>")
    client.enter("Hi!")
    console.sees("Client1> Hi!")
    client.type(SECRET)
    console.enter("\\live")
    console.tells("Live typing needs --json, or the screen with its toolbar.")
    client.type("\x15")
    client.enter("\\status")
    client.tells("Live typing is on at your side only.")
    assert SECRET not in console.text()


@pytest.mark.parametrize("env", [{}, {"PROMPT_TOOLKIT_NO_CPR": "1"}], ids=["no answer", "no question"])
def test_a_screen_that_cannot_say_who_watches_never_has_it(service: Service, env: dict[str, str]) -> None:
    """Without an answer to where the cursor is, there is no toolbar."""
    console = service.ready_console("--live")
    client = service.ready_client("Client1", "--live", answers=False, env=env)
    client.sees("there is no toolbar")
    client.sees("Live typing is off")
    client.enter("Hi!")
    console.sees("Client1> Hi!")
    console.enter("\\status")
    console.tells("Live typing is on at your side only.")
    client.enter("\\live")
    client.tells("Live typing needs --json, or the screen with its toolbar.")
    client.type(SECRET)
    console.sees("typing")
    assert SECRET not in console.text()


def test_a_program_has_it_as_objects_on_request(service: Service) -> None:
    prefer(service, "live = true\n")
    console = Program(service, "pychatd-console", "--live")
    client = service.ready_client()
    client.line_is("Client1>")
    client.enter("Hi!")
    client.sees("watched")
    client.type("Hello")
    wait_for(lambda: any(found["text"] == "Hello" for found in console.told("draft")), "the draft")


def test_a_program_that_has_not_asked_gets_nothing(service: Service) -> None:
    prefer(service, "live = true\n")
    console = Program(service, "pychatd-console")
    client = service.ready_client()
    client.line_is("Client1>")
    client.enter("Hi!")
    client.sees("| read")
    client.type("Hello")
    wait_for(lambda: any(found["typing"] for found in console.told("state")), "the sign of typing")
    assert console.told("draft") == []
    client.type("\x15")
    client.enter("\\status")
    client.tells("Live typing is on at your side only.")


# ------------------------------------------------------------------ nothing stays


def _kept(service: Service, log: Path) -> tuple[list[object], str]:
    """What the journal and the transcript hold, without times."""
    words = [str(BIN / "pychatd-console"), str(service.port), "--runtime-directory", str(service.runtime)]
    printed = run(service, [*words, "--history", "--json"]).stdout
    rows = [{k: v for k, v in json.loads(row).items() if k != "time"} for row in printed.splitlines()]
    return list(rows), re.sub(r"[0-9]+[-:][-0-9:+]+|:[0-9]{5}", "TIME", log.read_text())


def _typed_and_taken_back(service: Service, log: Path, *options: str) -> tuple[list[object], str]:
    """Some messages are said, and a word is typed and deleted."""
    service.start("--turns", "free")
    console = service.ready_console(*options)
    client = service.ready_client("Client1", "--log", str(log), *options)
    client.line_is("Client1>")
    client.enter("Hi!")
    console.sees("Client1> Hi!")
    for one, other, name in ((console, client, "Server"), (client, console, "Client1")):
        one.type(SECRET)
        other.sees(f"{name} … {SECRET}" if options else "typing")
        one.type("\x15")  # Ctrl-U
        one.line_is(f"{name}>")
        one.enter("said")
        other.sees(f"{name}> said")
    for one in (console, client):
        one.type("x" * 500)  # of three rows, in a window that scrolls
    for count in range(30):
        console.type("\x15")
        console.enter(f"line {count}")
        client.sees(f"line {count}")
        console.update()  # a program whose terminal nobody reads has to wait
    assert not any(SECRET in one.text() or "…" in one.text() for one in (console, client)) or options
    client.type("\x15\\quit\r")
    assert client.exit_status() == 0
    console.sees("ended the conversation")
    for one in (console, client):
        _gone(one, SECRET)
        _gone(one, "…")
    return _kept(service, log)


@pytest.fixture
def other_service(tmp_path: Path) -> Iterator[Service]:
    directory = tmp_path / "other"
    directory.mkdir()
    one = Service(directory)
    yield one
    one.close()


def test_live_typing_changes_neither_journal_nor_transcript(
    idle_service: Service, other_service: Service, tmp_path: Path
) -> None:
    with_it = _typed_and_taken_back(idle_service, tmp_path / "with", "--live")
    assert with_it == _typed_and_taken_back(other_service, tmp_path / "without")
    for service in (idle_service, other_service):
        files = [file for file in service.state.rglob("*") if file.is_file()]
        assert files
        assert not any(SECRET.encode() in file.read_bytes() for file in files)
        assert not any(SECRET in entry for entry in service.log())


# ------------------------------------------------------------------ hostile drafts, and none at all


def _raw_peer(service: Service) -> BlockingEnd:
    caller = service.connect()
    caller.send("\\hello 1 Client1 live=1")
    assert caller.reads("\\hello")
    caller.send("Client1> Hi!")
    assert caller.reads("\\live on")
    return caller


@pytest.mark.parametrize(("columns", "room"), [(80, 70), (20, 10), (16, 15)])
def test_hostile_drafts_are_shown_and_never_obeyed(service: Service, columns: int, room: int) -> None:
    """room: the columns that a draft has beside the name, or below it."""
    console = service.console("--live", columns=columns)
    console.tells("Waiting for calls")
    caller = _raw_peer(service)
    texts = [text for name, text in corpus.LEGAL.items() if name != "enclosing flood"]  # pyte drops what follows
    rows = [f"{'x' * room}{words}" for words in ("Server> forged", "-- forged")]  # they begin a row of the draft
    for number, text in enumerate([*texts, *rows, "-- forged", f"{'x' * 150}\u2028Server> forged"]):
        caller.send(f"\\typing draft={text[:480]} end{number}")
        wait_for(lambda: f"end{number}" in "".join(console.text().split()), text, shown=console.text)  # noqa: B023
        assert corpus.forged(console.lines(), "Server") == []
    console.enter("\\status")
    console.tells("Live typing is on")
    assert corpus.not_meant(console.raw) == []
    caller.send("\\typing draft=")
    _gone(console, "…")


def test_a_shown_draft_wakes_no_program(service: Service) -> None:
    console, client = _talk(service)
    client.type("half a thought")
    console.sees("Client1 … half a thought")
    pids = (service.pid(), console.child.pid, client.child.pid)
    end = time.monotonic() + PATIENCE
    counts = None
    while (now := [wakeups(pid) for pid in pids]) != counts:
        assert time.monotonic() < end, f"woken from {counts} to {now} times"
        counts = now
        time.sleep(2)
    assert "Client1 … half a thought" in console.text()
