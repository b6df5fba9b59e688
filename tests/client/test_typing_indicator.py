"""Typing and ringing: how often a sign is sent, and how long one is shown."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from pychat_client.errors import NotAllowedError
from pychat_client.protocol import rate_limit, wire
from pychat_client.protocol.console_endpoint import ConsoleEndpoint
from pychat_client.protocol.endpoint import Endpoint
from pychat_client.protocol.rate_limit import RING_EVERY, TYPING_EVERY, TYPING_SHOWN, Sign, Signs
from pychat_client.session import typing_indicator
from pychat_client.session.session import Session
from pychat_client.transport.connection import Connection
from tests.support.aio import in_loop
from tests.support.endpoints import HELLO
from tests.support.notes import Notes
from tests.support.raw_ends import AsyncEnd, attach


class Watcher(Notes):
    """A view that keeps its alerts, too."""

    def __init__(self) -> None:
        super().__init__()
        self.alerts: list[tuple[str, bool]] = []

    def alert(self, words: str, *, ring: bool) -> None:
        self.alerts.append((words, ring))


@pytest.mark.parametrize(("sign", "pause"), [(wire.Typing(), TYPING_EVERY), (wire.Ring(), RING_EVERY)])
def test_a_sign_waits_for_its_time(sign: Sign, pause: float) -> None:
    signs = Signs()
    assert signs.give(sign, 100.0)
    assert signs.wait(sign, 101.0) == pause - 1
    assert not signs.give(sign, 100.0 + pause - 0.01)
    assert signs.give(sign, 100.0 + pause)


def test_the_two_kinds_do_not_wait_for_each_other() -> None:
    signs = Signs()
    assert signs.give(wire.Typing(), 0.0)
    assert signs.give(wire.Ring(), 0.0)


def test_slack_lets_a_sign_be_early() -> None:
    signs = Signs(slack=1.0)
    assert signs.give(wire.Ring(), 0.0)
    assert not signs.give(wire.Ring(), RING_EVERY - 1.1)
    assert signs.give(wire.Ring(), RING_EVERY - 0.9)


def test_repeated_typing_is_shown_without_a_gap() -> None:
    assert TYPING_SHOWN > 2 * TYPING_EVERY


@asynccontextmanager
async def talking(*, quiet: bool = False) -> AsyncIterator[tuple[Session, Watcher, AsyncEnd]]:
    """A caller's session after the first message, its view, and the daemon's end of the connection."""
    view = Watcher()
    one = Session(Endpoint("Bob", quiet=quiet), view, "the test")
    connection = Connection(one)
    raw = await attach(connection)
    one._supervisor.connected(connection)
    await raw.say(HELLO)
    await raw.news()
    one.submit("Hi!")
    assert await raw.hear() == "Bob> Hi!"
    await raw.say("\\ack 1")
    await raw.news()
    try:
        yield one, view, raw
    finally:
        connection.abort()
        with suppress(asyncio.CancelledError):
            await connection.closed
        raw.hang_up()


@in_loop
async def test_not_every_key_sends_a_sign_of_typing() -> None:
    async with talking() as (one, _, raw):
        for length in range(1, 8):
            one.typing_indicator.line_changed("thought"[:length])
        assert await raw.news() == ["\\typing"]


@in_loop
async def test_without_signs_a_ring_works_and_typing_is_not_told() -> None:
    async with talking(quiet=True) as (one, _, raw):
        one.typing_indicator.line_changed("thought")
        one.submit("\\ring")
        assert await raw.news() == ["\\ring"]


@in_loop
async def test_an_empty_line_and_a_command_send_no_sign() -> None:
    async with talking() as (one, _, raw):
        for line in ("", "   ", "\\", "\\status", "\\quit I am off"):
            one.typing_indicator.line_changed(line)
        assert await raw.news() == []


@in_loop
async def test_a_message_with_a_backslash_sends_a_sign() -> None:
    async with talking() as (one, _, raw):
        one.typing_indicator.line_changed("\\\\o/")
        assert await raw.news() == ["\\typing"]


@in_loop
async def test_only_a_ring_is_sent_to_an_operator_who_is_away() -> None:
    async with talking() as (one, view, raw):
        await raw.say("\\away")
        await raw.news()
        one.typing_indicator.line_changed("thought")
        one.submit("\\ring")
        assert await raw.news() == ["\\ring"]
        assert "only if pychatd-console --watch runs there" in view.sentences[-1]


@in_loop
async def test_typing_is_shown_until_no_sign_follows() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(typing_indicator, "TYPING_SHOWN", 0.05)
        async with talking() as (one, _, raw):
            await raw.say("\\typing")
            await raw.news()
            assert one.status.typing
            assert "alice is typing." in one.status.status_lines()
            assert "typing" in [part.words for part in one.status.parts()]
            while one.status.typing:
                await asyncio.sleep(0.01)
            assert "alice is typing." not in one.status.status_lines()


@in_loop
async def test_a_message_ends_typing() -> None:
    async with talking() as (one, _, raw):
        await raw.say("\\typing", "alice> Hello")
        await raw.news()
        assert not one.status.typing


@in_loop
async def test_a_lost_connection_ends_typing() -> None:
    async with talking() as (one, _, raw):
        await raw.say("\\typing")
        await raw.news()
        raw.hang_up()
        while one.status.connected:
            await asyncio.sleep(0)
        assert not one.status.typing


@in_loop
async def test_a_user_who_goes_away_is_not_typing() -> None:
    async with talking() as (one, _, raw):
        await raw.say("\\typing", "\\away")
        await raw.news()
        assert not one.status.typing


@in_loop
async def test_the_next_ring_has_to_wait() -> None:
    async with talking() as (one, view, raw):
        one.submit("\\ring")
        assert view.sentences[-1] == "You asked alice for attention."
        with pytest.raises(NotAllowedError, match=r"You can ring again in 10 s"):
            one.submit("\\ring")
        assert await raw.news() == ["\\ring"]


@in_loop
async def test_rings_that_arrive_call_the_user_once() -> None:
    async with talking() as (_, view, raw):
        await raw.say("\\ring", "\\ring", "\\ring")
        await raw.news()
        assert view.sentences[-1] == "alice rings."
        assert view.alerts == [("alice rings.", True)]


@in_loop
async def test_an_alert_of_a_message_is_printable() -> None:
    async with talking() as (_, view, raw):
        await raw.say("alice> one\u2028two \u202e!")
        await raw.news()
        assert view.alerts == [("alice> one two <U+202E>!", False)]


@in_loop
async def test_the_wait_for_the_next_ring_is_rounded_up() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rate_limit, "RING_EVERY", 0.4)
        async with talking() as (one, _, __):
            one.submit("\\ring")
            with pytest.raises(NotAllowedError, match=r"You can ring again in 1 s"):
                one.submit("\\ring")


@in_loop
async def test_a_ring_needs_a_connection_and_a_conversation() -> None:
    one = Session(Endpoint("Bob"), Watcher(), "the test")
    with pytest.raises(NotAllowedError, match="there is no connection"):
        one.submit("\\ring")
    connection = Connection(one)
    raw = await attach(connection)
    one._supervisor.connected(connection)
    await raw.say(HELLO, "\\here alice")
    await raw.news()
    with pytest.raises(NotAllowedError, match="no conversation is open"):
        one.submit("\\ring")
    raw.hang_up()
    await connection.closed


@in_loop
async def test_replayed_messages_are_no_alert() -> None:
    view = Watcher()
    one = Session(ConsoleEndpoint("alice"), view, "the test")
    connection = Connection(one)
    raw = await attach(connection)
    one._supervisor.connected(connection)
    peer = "\\peer Bob session=1 got=0 heard=0 told=0 turns=free since=2024-05-01T12:00Z address=::1"
    await raw.say("\\hello 1 alice", peer, "\\at 2024-05-01T12:00Z", "Bob> before", "\\ready", "Bob> now")
    await raw.news()
    assert view.messages == ["before", "now"]
    assert view.alerts == [("Bob> now", False)]
    raw.hang_up()
    await connection.closed


@in_loop
async def test_a_call_alerts_a_console_which_cannot_ring_who_has_gone() -> None:
    view = Watcher()
    one = Session(ConsoleEndpoint("alice"), view, "the test")
    connection = Connection(one)
    raw = await attach(connection)
    one._supervisor.connected(connection)
    await raw.say("\\hello 1 alice", "\\ready", "\\calling Bob address=192.0.2.1")
    await raw.news()
    assert view.alerts == [("Bob is calling.", False)]
    peer = "\\peer Bob session=1 got=0 heard=0 told=0 turns=free since=2024-05-01T12:00Z address=192.0.2.1"
    await raw.say(peer, "Bob> Hi!", "\\away")
    await raw.news()
    with pytest.raises(NotAllowedError, match="the other person is not connected"):
        one.submit("\\ring")
    raw.hang_up()
    await connection.closed
