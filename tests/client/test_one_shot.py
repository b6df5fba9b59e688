"""How `pychat send` and `pychat replies` end when their conversation can no longer stay open."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path

import pytest

from pychat_client.errors import ExitStatus, PychatError
from pychat_client.protocol.endpoint import Endpoint
from pychat_client.session import keeper
from pychat_client.session.session import Session
from pychat_client.session.session_file import SessionFile
from pychat_client.transport.connection import Connection
from pychat_client.ui.one_shot import CommandView, OneShot, Replies
from tests.support.aio import in_loop
from tests.support.raw_ends import AsyncEnd, attach
from tests.support.waiting import PATIENCE

HELLO = "\\hello 1 alice session=5f0c turns=alternate"
BACK = f"{HELLO} got=1 sent=0"
"""The caller comes back, and the operator has not answered."""

LOST = ["The disk is full.", "So the conversation cannot stay open, and ends."]


class Command:
    """One of the two programs, and the daemon's end of its connection."""

    def __init__(self, view: CommandView, path: Path) -> None:
        self.view = view
        file = SessionFile.take(path)
        self.session = Session(Endpoint("Bob", saved=file.kept.endpoint, repeat=0), view, "hostA", file=file)
        self.connection = Connection(self.session)
        self.raw: AsyncEnd
        self._run: asyncio.Task[None]

    async def begin(self, hello: str) -> None:
        self._run = asyncio.create_task(self.view.run(self.session))
        self.raw = await attach(self.connection)
        self.session._supervisor.connected(self.connection)
        await self.raw.say(hello)

    async def lost(self) -> None:
        """Waits until it has found that the file cannot be written."""
        while self.session.keeps:
            await self.raw.news()

    async def says_until_it_quits(self) -> list[str]:
        """What it has said before. The daemon confirms the end."""
        lines: list[str] = []
        while (line := await self.raw.hear()) != "\\quit":
            assert line, f"it has ended the conversation without a word: {lines}"
            lines.append(line)
        with suppress(BrokenPipeError):  # it waits for nothing
            await self.raw.say("\\quit")
        return lines

    async def end(self) -> ExitStatus:
        """How it has ended, once the daemon has closed the connection."""
        self.raw.hang_up()
        await self._run
        await self.connection.closed
        return self.session.exit_status


async def _begun(path: Path) -> None:
    """`pychat send --open`: a conversation in which the operator is to answer."""
    first = Command(OneShot("Hi", expect_reply=False, seconds=None), path)
    await first.begin(HELLO)
    assert (await first.raw.news())[-1] == "Bob> Hi"
    await first.raw.say("\\ack 1")
    assert "\\quit" not in await first.raw.rest()
    assert await first.end() is ExitStatus.OK


def _fill(patch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise PychatError("The disk is full.")

    patch.setattr(SessionFile, "save", full)


def _notices(capsys: pytest.CaptureFixture[str], view: CommandView) -> list[str]:
    view.report()
    lines = capsys.readouterr().err.splitlines()
    return [line.removeprefix("pychat: ").split(" If this program")[0] for line in lines]


def test_replies_that_lose_the_file_end_the_conversation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    @in_loop
    async def check() -> None:
        path = tmp_path / "sessions" / "one"
        await _begun(path)
        one = Command(view := Replies(wait=False, as_json=False), path)
        _fill(monkeypatch)
        await one.begin(BACK)
        await one.says_until_it_quits()
        assert await one.end() is ExitStatus.FAILED
        assert _notices(capsys, view) == LOST

    check()


def test_a_reply_is_printed_and_the_lost_file_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    @in_loop
    async def check() -> None:
        path = tmp_path / "sessions" / "one"
        await _begun(path)
        one = Command(Replies(wait=True, as_json=False), path)
        await one.begin(BACK)
        await one.raw.news()
        _fill(monkeypatch)
        await one.raw.say("alice> Yes")
        await one.says_until_it_quits()
        assert await one.end() is ExitStatus.FAILED
        assert capsys.readouterr().out == "Yes\n"

    check()


@pytest.mark.parametrize("reply", [[], ["alice> Yes"]])
def test_a_message_in_an_open_conversation_that_loses_its_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], reply: list[str]
) -> None:
    """Where it is the operator's turn, nothing is sent; otherwise the message is stored. Either way what has come
    is printed: no other program can do that."""

    @in_loop
    async def check() -> None:
        path = tmp_path / "sessions" / "one"
        await _begun(path)
        one = Command(view := OneShot("Thanks", expect_reply=False, seconds=None), path)
        _fill(monkeypatch)
        await one.begin("\n".join([f"{HELLO} got=1 sent={len(reply)}", *reply]))
        if reply:
            assert (await one.raw.news())[-1] == "Bob> Thanks"
            await one.raw.say("\\ack 2")
        assert "Bob> Thanks" not in await one.says_until_it_quits()
        assert await one.end() is (ExitStatus.FAILED if reply else ExitStatus.NOT_SENT)
        assert capsys.readouterr().out == ("Yes\n" if reply else "")
        assert LOST[1] in _notices(capsys, view)

    check()


def test_what_cannot_be_recorded_at_the_end_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The disk is full just when the message is confirmed."""

    @in_loop
    async def check() -> None:
        one = Command(view := OneShot("Hi", expect_reply=False, seconds=None), tmp_path / "sessions" / "one")
        await one.begin(HELLO)
        await one.raw.news()
        _fill(monkeypatch)
        await one.raw.say("\\ack 1")
        await one.says_until_it_quits()
        assert await one.end() is ExitStatus.FAILED
        assert _notices(capsys, view) == [*LOST, "Your message is stored."]

    check()


IN_TIME = "Stored on the other host, but no reply came in time."


@pytest.mark.parametrize("known", [False, True], ids=["found then", "found before"])
def test_a_conversation_that_ends_at_the_time_limit_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], known: bool
) -> None:
    """known: that the file cannot be written, before the time is over."""

    @in_loop
    async def check() -> None:
        monkeypatch.setattr(keeper, "LATER", 0.0 if known else PATIENCE)
        one = Command(view := OneShot("Hi", expect_reply=True, seconds=PATIENCE), tmp_path / "sessions" / "one")
        await one.begin(HELLO)
        await one.raw.news()
        _fill(monkeypatch)
        await one.raw.say("\\ack 1")
        await one.raw.news()
        if known:
            await one.lost()
        view._give_up(one.session)
        await one.says_until_it_quits()
        assert await one.end() is ExitStatus.FAILED
        assert _notices(capsys, view) == ([LOST[0], IN_TIME, LOST[1]] if known else [IN_TIME, *LOST])

    check()


def test_a_conversation_that_is_ending_at_the_time_limit_is_told_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It could not stay open, and the daemon has not confirmed the end yet."""

    @in_loop
    async def check() -> None:
        one = Command(view := OneShot("Hi", expect_reply=False, seconds=PATIENCE), tmp_path / "sessions" / "one")
        await one.begin(HELLO)
        await one.raw.news()
        _fill(monkeypatch)
        await one.raw.say("\\ack 1")
        while await one.raw.hear() != "\\quit":
            pass
        view._give_up(one.session)
        assert await one.end() is ExitStatus.FAILED
        notices = _notices(capsys, view)
        assert notices.count(LOST[1]) == 1
        assert IN_TIME not in notices  # nobody has asked for one

    check()
