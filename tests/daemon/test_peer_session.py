"""How long a caller may take: the deadlines of one connection from outside."""

from __future__ import annotations

import asyncio

import pytest

from pychatd.conversation import peer_session
from tests.aio import Raw
from tests.daemon.line import Line, on_a_line

SHORT = 0.3
LONG = 60.0


@pytest.fixture
def short_hello(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peer_session, "HELLO_SECONDS", SHORT)
    monkeypatch.setattr(peer_session, "FIRST_MESSAGE_SECONDS", LONG)


@pytest.fixture
def short_first_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peer_session, "HELLO_SECONDS", LONG)
    monkeypatch.setattr(peer_session, "FIRST_MESSAGE_SECONDS", SHORT)


async def _is_too_slow(raw: Raw) -> None:
    """The next line tells that the time is over, and it is the last."""
    (answer,) = await raw.rest()
    assert answer.startswith("\\error slow You did not write in time")


async def _drip(raw: Raw, text: str) -> None:
    """Sends one character after the other until the connection is closed: far longer than the deadline."""
    loop = asyncio.get_running_loop()
    start, closed = loop.time(), asyncio.ensure_future(_is_too_slow(raw))
    for char in text * 100:
        if closed.done():
            break
        await loop.sock_sendall(raw.sock, char.encode())
        await asyncio.sleep(SHORT / 20)
    await closed
    assert SHORT <= loop.time() - start < SHORT * 10


@pytest.mark.usefixtures("short_hello")
@on_a_line()
async def test_a_silent_connection_is_closed(line: Line) -> None:
    await _is_too_slow(await line.call())


@pytest.mark.usefixtures("short_hello")
@on_a_line()
async def test_a_dripping_hello_gets_no_extra_time(line: Line) -> None:
    await _drip(await line.call(), "\\hello 1 Bob")


@pytest.mark.usefixtures("short_hello")
@on_a_line()
async def test_a_dripping_classic_line_gets_no_extra_time(line: Line) -> None:
    await _drip(await line.call(), "Bob> Hi")


@pytest.mark.usefixtures("short_first_message")
@on_a_line()
async def test_a_caller_without_a_first_message_is_closed(line: Line) -> None:
    raw, _ = await line.greeted()
    await _is_too_slow(raw)
    await line.lose(raw)
    assert not line.switchboard.waiting_callers


@pytest.mark.usefixtures("short_first_message")
@on_a_line()
async def test_a_dripping_first_message_gets_no_extra_time(line: Line) -> None:
    raw, _ = await line.greeted()
    await _drip(raw, "Bob> Hi")


@pytest.mark.usefixtures("short_first_message")
@on_a_line()
async def test_control_lines_and_pings_get_no_extra_time(line: Line) -> None:
    raw, _ = await line.greeted()
    start = asyncio.get_running_loop().time()
    while (answer := await raw.news())[-1:] == []:
        await raw.say("\\typing")
        await asyncio.sleep(SHORT / 20)
    assert answer[-1].startswith("\\error slow ")
    assert asyncio.get_running_loop().time() - start < SHORT * 10


@pytest.mark.usefixtures("short_first_message")
@on_a_line()
async def test_a_peer_can_be_silent_after_its_first_message(line: Line) -> None:
    raw, _ = await line.peer("Hi")
    await asyncio.sleep(SHORT * 2)
    assert await raw.news() == []
    assert line.counts() == (1, 0)


@pytest.mark.usefixtures("short_hello")
@on_a_line()
async def test_a_hello_gives_more_time_for_the_first_message(line: Line) -> None:
    raw, _ = await line.greeted()
    await asyncio.sleep(SHORT * 2)
    await raw.say("Bob> Hi")
    assert "\\ack 1" in await raw.news()


@pytest.mark.usefixtures("short_hello")
@on_a_line()
async def test_a_classic_caller_can_shorten_a_refused_message(line: Line) -> None:
    raw = await line.call("x" * 501)
    assert (await raw.hear()).startswith("\\error too-long ")
    await asyncio.sleep(SHORT * 2)
    await raw.say("shorter")
    while line.switchboard.conversation is None:
        await asyncio.sleep(0.01)
    assert line.counts() == (1, 0)
