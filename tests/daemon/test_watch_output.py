"""When a watcher calls its user: once for what is unread, and again while it stays unread and nobody is there."""

from __future__ import annotations

import asyncio
import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pychat_client.config.preferences import Preferences
from pychat_client.protocol import wire
from pychat_client.protocol.turns import Turns
from pychat_client.session.transcript import local
from pychatd.watch_output import Output, ServiceOutput
from tests.support.aio import in_loop

SOON, LATER = timedelta(milliseconds=20), timedelta(hours=1)
"""Reminders that come within a test, and that do not."""


class _Watched:
    """What a watcher does for one service, with a hook that adds a line to a file."""

    def __init__(self, directory: Path, remind: timedelta) -> None:
        self._calls = directory / "calls"
        self._calls.touch()
        hook = ("sh", "-c", f'echo "$PYCHAT_EVENT" >>{self._calls}')
        self.output: ServiceOutput = Output(Preferences(hook=hook), as_json=True, remind=remind).for_service(7000)

    def message(self) -> None:
        self.output.message(wire.Message("Bob", "Hi!"), None)

    async def called(self, count: int) -> None:
        """Waits until the hook has started so often; not more often, if nothing is about to remind."""
        while len(self._calls.read_text().splitlines()) < count:
            await asyncio.sleep(0.01)

    def events(self) -> list[str]:
        """What the hook was started for, once all that were started have ended."""
        for hook in self.output._output.alerts._hooks:
            hook.wait()
        return sorted(self._calls.read_text().splitlines())

    @property
    def reminds(self) -> bool:
        return self.output._reminder is not None


@pytest.mark.parametrize("as_json", [False, True])
def test_it_tells_a_named_caller_from_a_stranger(capsys: pytest.CaptureFixture[str], as_json: bool) -> None:
    output = Output(Preferences(), as_json=as_json, remind=None).for_service(7000)
    output.calling(wire.Calling("Bob", "192.0.2.1"))
    output.calling(wire.Calling("Bob", "192.0.2.1", name="bob\u202elaptop"))
    output.missed(wire.Missed("Bob", "192.0.2.1", name="bob\u202elaptop"), None)
    stranger, bob, missed = capsys.readouterr().out.splitlines()
    if as_json:
        names = [json.loads(line)["name"] for line in (stranger, bob, missed)]
        assert names == [None, "bob\u202elaptop", "bob\u202elaptop"]
    else:
        assert missed.endswith("missed call of Bob from 192.0.2.1, with the certificate of bob<U+202E>laptop")
        assert stranger.endswith("Bob is calling from 192.0.2.1")
        assert bob.endswith("Bob is calling from 192.0.2.1, with the certificate of bob<U+202E>laptop")


def test_a_message_has_the_name_of_its_own_caller(capsys: pytest.CaptureFixture[str]) -> None:
    output = Output(Preferences(), as_json=True, remind=None).for_service(7000)
    for name in ("bob-laptop", None):
        output.conversation(wire.Peer("Bob", 1, 0, 0, 0, Turns.FREE, datetime.now(UTC), "192.0.2.1", name=name))
        output.message(wire.Message("Bob", "Hi!"), wire.Timestamp(datetime.now(UTC)))
    assert [json.loads(line)["name"] for line in capsys.readouterr().out.splitlines()] == ["bob-laptop", None]


@in_loop
async def test_it_calls_once_for_unread_and_for_each_other_event(tmp_path: Path) -> None:
    watched = _Watched(tmp_path, LATER)
    watched.message()
    watched.message()
    watched.output.ring()
    watched.output.missed(wire.Missed("Ann", "192.0.2.1"), wire.Timestamp(datetime.now(UTC)))
    assert watched.events() == ["message", "missed", "ring"]
    watched.output.missed(wire.Missed("Ann", "192.0.2.1"), None)  # the user was called for the call
    assert watched.events() == ["message", "missed", "ring"]


@in_loop
async def test_it_calls_again_until_a_console_comes(tmp_path: Path) -> None:
    watched = _Watched(tmp_path, SOON)
    watched.message()
    await watched.called(3)
    watched.output.attended()
    assert not watched.reminds


@in_loop
async def test_it_calls_nobody_while_a_console_is_attached(tmp_path: Path) -> None:
    watched = _Watched(tmp_path, SOON)
    watched.output.connected()
    watched.output.attended()
    watched.output.calling(wire.Calling("Bob", "192.0.2.1"))
    watched.output.missed(wire.Missed("Ann", "192.0.2.1"), wire.Timestamp(datetime.now(UTC)))
    watched.output.ring()
    watched.message()
    assert watched.events() == []
    assert not watched.reminds
    watched.output.unattended()
    await watched.called(2)  # for the message, which nobody may have read
    watched.output.calling(wire.Calling("Bob", "192.0.2.1"))
    await watched.called(4)
    assert set(watched.events()) == {"message", "calling"}


@in_loop
async def test_what_a_console_has_left_unread_is_told_again(tmp_path: Path) -> None:
    watched = _Watched(tmp_path, SOON)
    watched.message()
    watched.output.attended()
    watched.output.unattended()
    await watched.called(3)


@in_loop
async def test_it_calls_no_more_for_what_was_read(tmp_path: Path) -> None:
    watched = _Watched(tmp_path, LATER)
    watched.message()
    watched.output.lost()
    assert watched.reminds
    watched.output.connected()
    watched.output.read()
    assert not watched.reminds
    watched.output.connected()
    watched.output.attended()
    watched.output.unattended()
    assert not watched.reminds
    watched.message()
    await watched.called(2)


@in_loop
async def test_it_reminds_after_a_crash_that_took_the_console_too(tmp_path: Path) -> None:
    watched = _Watched(tmp_path, SOON)
    watched.message()
    watched.output.attended()
    watched.output.lost()
    watched.output.connected()
    await watched.called(3)


@pytest.mark.parametrize("as_json", [False, True])
def test_it_tells_why_a_caller_had_to_leave(capsys: pytest.CaptureFixture[str], as_json: bool) -> None:
    output = Output(Preferences(), as_json=as_json, remind=None).for_service(7000)
    output.missed(wire.Missed("Eve", "192.0.2.1", back="Bob"), None)
    output.missed(wire.Missed("Ann", "192.0.2.1"), None)
    eve, ann = capsys.readouterr().out.splitlines()
    if as_json:
        assert [json.loads(line)["back"] for line in (eve, ann)] == ["Bob", None]
    else:
        assert eve.endswith("missed call of Eve from 192.0.2.1, who had to leave: Bob was back")
        assert ann.endswith("missed call of Ann from 192.0.2.1")


@in_loop
async def test_each_line_tells_when_it_happened(capsys: pytest.CaptureFixture[str]) -> None:
    output = Output(Preferences(), as_json=False, remind=None).for_service(7000)
    before = wire.Timestamp(datetime(2026, 11, 25, 8, 30, tzinfo=UTC))
    output.calling(wire.Calling("Bob", "192.0.2.1"))
    output.missed(wire.Missed("Bob", "192.0.2.1"), before)
    output.message(wire.Message("Bob", "Hi!"), before)
    output.ended("bye", before)
    calling, *others = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\S+ port 7000: Bob is calling from 192.0.2.1", calling)
    assert all(line.startswith(f"{local(before.time)} port 7000: ") for line in others)
