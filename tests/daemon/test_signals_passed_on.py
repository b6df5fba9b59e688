"""Typing and ring signals: passed on if the other end is there, never stored, and limited in rate."""

from __future__ import annotations

import pytest

from tests.daemon.line import Line, on_a_line

SIGNALS = ["\\typing", "\\ring"]


@pytest.mark.parametrize("signal", SIGNALS)
def test_a_signal_reaches_the_other_end_and_is_not_stored(
    signal: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    @on_a_line()
    async def check(line: Line) -> None:
        console, peer, _ = await line.talk()
        await peer.say(signal)
        await peer.news()
        assert await console.news() == [signal]
        await console.say_blindly("\\ack 1", signal)
        await console.news()
        assert await peer.news() == ["\\read 1", signal]
        assert line.stored() == ["Hi!"]

    check(tmp_path_factory.mktemp("line"))


@on_a_line()
async def test_a_signal_too_soon_after_another_is_dropped(line: Line) -> None:
    console, peer, _ = await line.talk()
    await peer.say("\\typing", "\\ring", "\\typing", "\\ring", "\\typing")
    await peer.news()
    assert await console.news() == ["\\typing", "\\ring"]


@on_a_line()
async def test_a_waiting_caller_cannot_send_signals(line: Line) -> None:
    console = await line.console()
    caller, _ = await line.greeted()
    await caller.say("\\typing", "\\ring")
    assert await caller.news() == []
    assert await console.news() == ["\\ready"]


@on_a_line()
async def test_a_signal_without_a_console_is_dropped(line: Line) -> None:
    peer, _ = await line.peer("Hi!")
    await peer.say("\\ring")
    await peer.news()
    console = await line.console()
    assert "\\ring" not in await console.news()


@on_a_line()
async def test_a_console_that_is_not_in_step_cannot_send_signals(line: Line) -> None:
    console = await line.console()
    peer, _ = await line.peer("Hi!")
    await console.say_blindly("\\ring")
    await console.news()
    assert await peer.news() == []


@on_a_line()
async def test_a_console_gets_no_signals_of_the_next_conversation(line: Line) -> None:
    console = await line.console()
    first, _ = await line.peer("Hi!")
    await console.news()
    await first.say("\\quit")  # which the console is told once it has acked all that came before
    await first.rest()
    second, _ = await line.peer("Hello", handle="Eve")
    await second.say("\\ring")
    await second.news()
    assert await console.news() == []


@on_a_line()
async def test_a_classic_peer_gets_no_signals(line: Line) -> None:
    console = await line.console()
    peer = await line.classic("Bob> Hi!")
    await console.news()
    await console.say("\\ack 1", "\\ring", "alice> Hello")
    await console.news()
    assert await peer.hear() == "alice> Hello"
