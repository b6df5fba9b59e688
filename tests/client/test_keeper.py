"""What is on the disk before anything is sent, and that a screen does not wait for a slow disk."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from pychat_client.errors import PychatError
from pychat_client.protocol import wire
from pychat_client.protocol.endpoint import Endpoint
from pychat_client.protocol.turns import Turns
from pychat_client.session import keeper as keeper_module
from pychat_client.session.keeper import Keeper
from pychat_client.session.session_file import Kept, SessionFile
from tests.support.aio import in_loop
from tests.support.endpoints import say
from tests.support.notes import Notes
from tests.support.waiting import PATIENCE


class Screen(Notes):
    line = ""

    @property
    def shows_keys(self) -> bool:
        return True


@dataclass
class SlowFile(SessionFile):
    """Its disk syncs when it is told to. It tidies at once, unless a test wants that to wait, too."""

    lets: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    lets_tidy: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(100))
    asked: int = 0
    tidied: int = 0
    fails: bool = False
    full: bool = False

    def _write(self, kept: Kept) -> None:
        if self.full:
            raise sqlite3.OperationalError("database or disk is full")
        super()._write(kept)

    def sync(self) -> None:
        self.asked += 1
        self.lets.acquire()
        if self.fails:
            raise PychatError("The disk is broken.")
        super().sync()

    def tidy(self) -> None:
        self.tidied += 1
        self.lets_tidy.acquire()
        super().tidy()


@dataclass
class Talk:
    """A conversation without turns, with its keeper and what it has sent."""

    file: SlowFile
    view: Notes = field(default_factory=Screen)

    def __post_init__(self) -> None:
        self.endpoint = Endpoint("Bob")
        self.keeper = Keeper(self.endpoint, self.file, self.view)
        self.sent: list[str] = []
        self.endpoint.greet()
        self.receive(wire.Hello(1, "alice", session="5f0c", turns=Turns.FREE, got=0))

    def say(self, text: str) -> None:
        say(self.endpoint, text)
        self._flush()

    def receive(self, frame: wire.Frame) -> None:
        self.endpoint.receive(frame)
        self.displayed()

    def displayed(self) -> None:
        self.endpoint.mark_displayed(self.view.undisplayed)
        self._flush()

    def _flush(self) -> None:
        frames = [str(frame) for frame in self.endpoint.take_frames() if not isinstance(frame, wire.Hello)]
        self.keeper.record(lambda: self.sent.extend(frames))

    def texts(self) -> list[str]:
        """What the next program would send, if this one died now."""
        return [text for (text,) in self._kept("SELECT text FROM text ORDER BY number")]

    def decisions(self) -> tuple[bool, str, str]:
        """Whether the next program would end the conversation, for what reason, and what it would have in its
        line."""
        ((left, reason, draft),) = self._kept("SELECT left, reason, draft FROM state")
        return bool(left), reason, draft

    def _kept(self, query: str) -> list[Any]:
        copy = self.file.path.with_name("copy")
        for suffix in ("", "-wal"):
            copy.with_name(f"copy{suffix}").write_bytes(Path(f"{self.file.path}{suffix}").read_bytes())
        with closing(sqlite3.connect(copy)) as db:
            return db.execute(query).fetchall()


async def _until(condition: Callable[[], object]) -> None:
    """`in_loop` has the upper bound."""
    while not condition():
        await asyncio.sleep(0.001)


@pytest.fixture
def file(tmp_path: Path) -> Iterator[SlowFile]:
    file = SlowFile.take(tmp_path / "pychat/sessions/hosta:7000.db")
    assert isinstance(file, SlowFile)
    yield file
    file.lets.release(100)
    file.lets_tidy.release(100)
    file.close()


@in_loop
async def test_what_is_sent_is_synced_before_and_the_loop_goes_on(file: SlowFile) -> None:
    talk = Talk(file)
    talk.say("one")
    await _until(lambda: file.asked == 1)
    talk.say("two")
    assert talk.texts() == ["one", "two"]  # these two outlive the program already
    assert talk.sent == []
    file.lets.release()
    await _until(lambda: file.asked == 2)
    assert talk.sent == ["Bob> one"]
    file.lets.release()
    await _until(lambda: len(talk.sent) == 2)
    talk.keeper.close(keep=True)


@in_loop
async def test_who_has_no_screen_waits(file: SlowFile) -> None:
    talk = Talk(file, Notes())
    file.lets.release(2)
    for text in ("one", "two"):
        talk.say(text)
    assert talk.sent == ["Bob> one", "Bob> two"]
    talk.keeper.close(keep=True)


@in_loop
async def test_an_ack_needs_no_sync_and_keeps_its_place(file: SlowFile) -> None:
    talk = Talk(file)
    file.lets.release()
    talk.say("one")
    await _until(lambda: talk.sent)
    talk.receive(wire.Message("alice", "hello"))
    assert talk.sent == ["Bob> one", "\\ack 1"]
    talk.say("two")
    await _until(lambda: file.asked == 2)
    talk.receive(wire.Message("alice", "again"))
    assert talk.sent[2:] == []
    file.lets.release()
    await _until(lambda: len(talk.sent) == 4)
    assert talk.sent[2:] == ["Bob> two", "\\ack 2"]
    talk.keeper.close(keep=True)


@in_loop
async def test_a_stored_text_is_gone_a_moment_later(file: SlowFile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeper_module, "LATER", 0.05)
    talk = Talk(file)
    file.lets.release()
    talk.say("a secret")
    await _until(lambda: talk.sent)
    talk.receive(wire.Ack(1))
    await _until(lambda: all(b"a secret" not in path.read_bytes() for path in file.path.parent.iterdir()))
    assert file.asked == 1
    talk.keeper.close(keep=True)


@in_loop
async def test_what_is_said_while_the_file_is_tidied_is_in_it(
    file: SlowFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program that dies now has shown it as said."""
    monkeypatch.setattr(keeper_module, "LATER", 0.05)
    file.lets_tidy = threading.Semaphore(0)
    talk = Talk(file)
    file.lets.release()
    talk.say("one")
    await _until(lambda: file.tidied == 1)
    threading.Timer(0.1, file.lets_tidy.release).start()
    talk.say("two")
    assert talk.texts() == ["one", "two"]
    file.lets.release()
    await _until(lambda: len(talk.sent) == 2)
    file.lets_tidy.release(100)
    talk.keeper.close(keep=True)


@in_loop
async def test_what_waits_is_sent_before_the_end(file: SlowFile) -> None:
    talk = Talk(file)
    talk.say("last words")
    await _until(lambda: file.asked == 1)
    talk.say("and more")
    file.lets.release(2)
    talk.keeper.close(keep=True)
    assert talk.sent == ["Bob> last words", "Bob> and more"]


@pytest.mark.parametrize(
    ("decide", "decided"),
    [
        (lambda keeper: keeper.record_end("bye"), (True, "bye", "")),
        (lambda keeper: keeper.record_line("taken back"), (False, "", "taken back")),
        (lambda keeper: keeper.record_line("\\quit\u2028it"), (False, "", "\\\\quit\nit")),
    ],
    ids=["the end", "the line", "a line with a backslash"],
)
@in_loop
async def test_what_the_user_decides_is_synced_on_return(
    decide: Callable[[Keeper], None], decided: tuple[bool, str, str], file: SlowFile
) -> None:
    """It waits for what is being synced, which is sent before."""
    talk = Talk(file)
    talk.say("one")
    await _until(lambda: file.asked == 1)
    file.lets.release(2)
    decide(talk.keeper)
    assert talk.sent == ["Bob> one"]
    assert file.asked == 2
    assert talk.decisions() == decided
    assert talk.texts() == ["one"]
    file.lets.release(100)
    talk.keeper.close(keep=True)


@pytest.mark.parametrize(
    ("texts", "line", "kept"),
    [
        (["\\one", "\\two"], "\\\\three", "\\\\one\n\\two\n\\three"),
        ([], "\\\\three", "\\\\three"),
        ([], "\\status", "\\status"),
        (["\\quit"], "", "\\\\quit"),
    ],
)
@in_loop
async def test_what_could_not_be_said_is_in_the_next_line_as_it_is_typed(
    texts: list[str], line: str, kept: str, file: SlowFile
) -> None:
    file.lets.release(100)
    endpoint, view = Endpoint("Bob"), Screen()
    for text in texts:
        say(endpoint, text)
    view.line = line
    Keeper(endpoint, file, view).record_end()
    assert file.kept == Kept(None, kept)


@in_loop
async def test_a_disk_that_fails_is_told_and_holds_nothing_up(file: SlowFile) -> None:
    talk = Talk(file)
    file.fails = True
    file.lets.release()
    talk.say("one")
    await _until(lambda: talk.sent == ["Bob> one"])
    talk.say("two")
    assert talk.sent == ["Bob> one", "Bob> two"]
    assert talk.view.sentences == [
        "The disk is broken. If this program dies now, messages that are not confirmed are lost."
    ]
    assert not talk.keeper.works
    assert not file.path.exists()
    talk.keeper.close(keep=True)


@in_loop
async def test_a_file_that_is_too_old_is_gone_before_more_is_sent(file: SlowFile) -> None:
    """The next program would not know of what this one has sent meanwhile."""
    talk = Talk(file)
    talk.say("one")
    await _until(lambda: file.asked == 1)
    found: list[bool] = []
    talk.keeper.record(lambda: found.append(file.path.exists()))
    file.full = True
    file.lets.release()
    talk.say("two")
    assert found == [False]
    assert talk.sent == ["Bob> one", "Bob> two"]
    assert len(talk.view.sentences) == 1
    await asyncio.sleep(0)  # what the thread has left for the loop
    talk.say("three")
    assert talk.sent[2:] == ["Bob> three"]
    talk.keeper.close(keep=True)


class LatinScreen(Screen):
    """A byte of Latin-1 was pasted into its line."""

    line = "caf\udce9"


@pytest.mark.parametrize("decide", [Keeper.record_all, Keeper.record_end], ids=["all", "the end"])
@in_loop
async def test_a_line_that_is_not_utf8_is_kept_as_it_is_shown(
    decide: Callable[[Keeper], None], file: SlowFile
) -> None:
    file.lets.release(100)
    talk = Talk(file, LatinScreen())
    talk.say("one")
    decide(talk.keeper)
    assert talk.decisions()[2] == "caf\ufffd"
    assert talk.keeper.works
    assert talk.view.sentences == []
    talk.keeper.close(keep=True)


class BusyScreen(Screen):
    """It shows what it is given a moment later."""

    waiting = 0

    @property
    def undisplayed(self) -> int:
        return self.waiting


@in_loop
async def test_a_message_that_is_not_on_the_screen_yet_is_not_recorded(file: SlowFile) -> None:
    """The next program shows it."""
    file.lets.release(100)
    view = BusyScreen()
    talk = Talk(file, view)
    talk.say("one")
    await _until(lambda: talk.sent)
    talk.receive(wire.Message("alice", "seen"))
    view.waiting = 1
    talk.receive(wire.Message("alice", "not seen"))
    assert talk._kept("SELECT received FROM state") == [(1,)]
    assert talk.sent == ["Bob> one", "\\ack 1"]
    view.waiting = 0
    talk.displayed()
    assert talk.sent[2:] == ["\\ack 2"]
    assert talk._kept("SELECT received FROM state") == [(2,)]
    talk.keeper.close(keep=True)


@in_loop
async def test_what_waits_goes_in_order_around_a_tidy(file: SlowFile, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two slow syncs, the tidy between them, and then a disk that is quick."""
    monkeypatch.setattr(keeper_module, "LATER", 0.0)
    monkeypatch.setattr(keeper_module, "QUICK", 0.0)
    file.lets_tidy = threading.Semaphore(0)
    talk = Talk(file)
    talk.say("one")
    await _until(lambda: file.asked == 1)
    await asyncio.sleep(0)  # the tidy waits behind it
    talk.say("two")
    file.lets.release()
    await _until(lambda: file.asked == 2)
    talk.say("three")
    monkeypatch.setattr(keeper_module, "QUICK", PATIENCE)
    file.lets.release(100)
    file.lets_tidy.release(100)
    await _until(lambda: len(talk.sent) == 3)
    assert talk.sent == ["Bob> one", "Bob> two", "Bob> three"]
    talk.keeper.close(keep=True)


@pytest.mark.parametrize(
    "decide",
    [
        lambda keeper: keeper.record_all(),
        lambda keeper: keeper.record_end(),
        lambda keeper: keeper.record_line(""),
    ],
    ids=["all", "the end", "the line"],
)
@in_loop
async def test_no_decision_records_what_is_not_on_the_screen(
    decide: Callable[[Keeper], None], file: SlowFile
) -> None:
    file.lets.release(100)
    view = BusyScreen()
    talk = Talk(file, view)
    talk.receive(wire.Message("alice", "seen"))
    view.waiting = 1
    talk.receive(wire.Message("alice", "not seen"))
    decide(talk.keeper)
    assert talk._kept("SELECT received FROM state") == [(1,)]
    talk.keeper.close(keep=True)
