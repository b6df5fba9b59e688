"""Signs of typing and rings: passed on to who is there, never stored, and not too often."""

from __future__ import annotations

import pytest

from tests.daemon.line import Line, on_a_line

SIGNS = ["\\typing", "\\ring"]


@pytest.mark.parametrize("sign", SIGNS)
def test_a_sign_goes_to_the_other_side_and_not_into_the_journal(
    sign: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    @on_a_line()
    async def check(line: Line) -> None:
        console = await line.console()
        peer, _ = await line.peer("Hi!")
        await console.news()
        await peer.say(sign)
        await peer.news()
        assert await console.news() == [sign]
        await console.say_blindly("\\ack 1", sign)
        await console.news()
        assert await peer.news() == ["\\read 1", sign]
        assert line.stored() == ["Hi!"]

    check(tmp_path_factory.mktemp("line"))


@on_a_line()
async def test_the_second_sign_of_a_kind_comes_too_early_and_goes_nowhere(line: Line) -> None:
    console = await line.console()
    peer, _ = await line.peer("Hi!")
    await console.news()
    await peer.say("\\typing", "\\ring", "\\typing", "\\ring", "\\typing")
    await peer.news()
    assert await console.news() == ["\\typing", "\\ring"]


@on_a_line()
async def test_a_caller_without_the_seat_gives_no_signs(line: Line) -> None:
    console = await line.console()
    caller, _ = await line.greeted()
    await caller.say("\\typing", "\\ring")
    assert await caller.news() == []
    assert await console.news() == ["\\ready"]


@on_a_line()
async def test_a_sign_without_a_console_is_dropped(line: Line) -> None:
    peer, _ = await line.peer("Hi!")
    await peer.say("\\ring")
    await peer.news()
    console = await line.console()
    assert "\\ring" not in await console.news()


@on_a_line()
async def test_a_console_that_is_not_in_step_gives_no_signs(line: Line) -> None:
    console = await line.console()
    peer, _ = await line.peer("Hi!")
    await console.say_blindly("\\ring")
    await console.news()
    assert await peer.news() == []


@on_a_line()
async def test_a_console_that_is_still_told_the_conversation_before_gets_no_signs_of_this_one(line: Line) -> None:
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
async def test_a_classic_peer_gets_no_signs(line: Line) -> None:
    console = await line.console()
    peer = await line.classic("Bob> Hi!")
    await console.news()
    await console.say("\\ack 1", "\\ring", "alice> Hello")
    await console.news()
    assert await peer.hear() == "alice> Hello"
