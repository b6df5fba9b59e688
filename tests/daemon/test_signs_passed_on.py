"""The signs, typing and ring: passed on if the other end is there, never stored, and limited in rate."""

from __future__ import annotations

import pytest

from tests.support.in_process import InProcessService, with_service

SIGNS = ["\\typing", "\\ring"]


@pytest.mark.parametrize("sign", SIGNS)
def test_a_sign_reaches_the_other_end_and_is_not_stored(
    sign: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    @with_service()
    async def check(service: InProcessService) -> None:
        console, peer, _ = await service.talk()
        await peer.say(sign)
        await peer.news()
        assert await console.news() == [sign]
        await console.say_blindly("\\ack 1", sign)
        await console.news()
        assert await peer.news() == ["\\read 1", sign]
        assert service.stored() == ["Hi!"]

    check(tmp_path_factory.mktemp("line"))


@with_service()
async def test_a_sign_too_soon_after_another_is_dropped(service: InProcessService) -> None:
    console, peer, _ = await service.talk()
    await peer.say("\\typing", "\\ring", "\\typing", "\\ring", "\\typing")
    await peer.news()
    assert await console.news() == ["\\typing", "\\ring"]


@with_service()
async def test_a_waiting_caller_cannot_send_signs(service: InProcessService) -> None:
    console = await service.console()
    caller, _ = await service.greeted()
    await console.news()
    await caller.say("\\typing", "\\ring")
    assert await caller.news() == []
    assert await console.news() == []


@with_service()
async def test_a_sign_without_a_console_is_dropped(service: InProcessService) -> None:
    peer, _ = await service.peer("Hi!")
    await peer.say("\\ring")
    await peer.news()
    console = await service.console()
    assert "\\ring" not in await console.news()


@with_service()
async def test_a_console_that_is_not_in_step_cannot_send_signs(service: InProcessService) -> None:
    console = await service.console()
    peer, _ = await service.peer("Hi!")
    await console.say_blindly("\\ring")
    await console.news()
    assert await peer.news() == []


@with_service()
async def test_a_console_gets_no_signs_of_the_next_conversation(service: InProcessService) -> None:
    console = await service.console()
    first, _ = await service.peer("Hi!")
    await console.news()
    await first.say("\\quit")  # the console is told once it has acked all messages
    await first.rest()
    second, _ = await service.peer("Hello", handle="Eve")
    await second.say("\\ring")
    await second.news()
    assert "\\ring" not in await console.news()


@with_service()
async def test_a_classic_peer_gets_no_signs(service: InProcessService) -> None:
    console = await service.console()
    peer = await service.classic("Bob> Hi!")
    await console.news()
    await console.say("\\ack 1", "\\ring", "alice> Hello")
    await console.news()
    assert await peer.hear() == "alice> Hello"
