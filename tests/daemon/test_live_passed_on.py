"""Live typing in the daemon: who is told that the other user wants it, and which drafts are passed on."""

from __future__ import annotations

import asyncio

from pychatd.conversation.reading_price import BURST, PEER_RATE
from tests.support.in_process import InProcessService, with_service
from tests.support.raw_ends import AsyncEnd, ConsoleEnd


async def _live_talk(
    service: InProcessService, console_words: str = " live=1"
) -> tuple[ConsoleEnd, AsyncEnd, list[str]]:
    """A console and a peer that wants live typing; and what the peer was told since its hello."""
    console = await service.console(console_words)
    peer = await service.call("\\hello 1 Bob live=1")
    await peer.news()
    await peer.say("Bob> Hi!")
    return console, peer, await peer.news()


@with_service()
async def test_both_ends_are_told_when_both_want_it(service: InProcessService) -> None:
    console, peer, told = await _live_talk(service)
    assert "\\live on" in told
    assert "\\live on" in await console.news()
    await console.say("\\ack 1")
    for sender, receiver in ((peer, console), (console, peer)):
        await sender.say("\\typing draft=H", "\\typing draft=He", "\\typing draft=")
        await sender.news()
        drafts = [line for line in await receiver.news() if line.startswith("\\typing")]
        assert drafts == ["\\typing draft=H", "\\typing draft=He", "\\typing draft="]
    assert service.stored() == ["Hi!"]


@with_service()
async def test_without_the_other_users_wish_no_text_is_passed_on(service: InProcessService) -> None:
    console, peer, told = await _live_talk(service, "")
    assert "\\live on" not in told
    assert "\\live on" in await console.news()  # the other user wants it
    await peer.say("\\typing draft=secret", "\\typing draft=secrets")
    await peer.news()
    assert await console.news() == ["\\typing"]


@with_service()
async def test_it_can_be_turned_on_and_off_in_the_middle(service: InProcessService) -> None:
    console, peer, _ = await _live_talk(service, "")
    await console.news()
    await console.say("\\ack 1", "\\live on")
    await console.news()
    assert "\\live on" in await peer.news()
    await peer.say("\\live off", "\\typing draft=secret")
    await peer.news()
    assert await console.news() == ["\\live off", "\\typing"]
    await console.say_blindly("\\typing draft=secret")
    await console.news()
    assert await peer.news() == ["\\typing"]


@with_service()
async def test_an_end_that_comes_back_is_told_again(service: InProcessService) -> None:
    console = await service.console(" live=1")
    peer, token = await service.peer("Hi!")
    assert "\\live on" not in await console.news()
    await service.lose(peer)
    again = await service.call(f"\\hello 1 Bob session={token} got=0 live=1")
    assert "\\live on" in await again.news()
    assert "\\live on" in await console.news()
    await service.lose(console)
    assert await again.news() == ["\\away", "\\live off"]
    other = await service.console(" live=1")
    assert "\\live on" in await again.news()
    assert "\\live on" in await other.news()
    await service.lose(again)
    assert await other.news() == ["\\away", "\\live off"]


@with_service()
async def test_the_next_caller_gets_no_draft_that_is_for_another_one(service: InProcessService) -> None:
    console, peer, _ = await _live_talk(service)
    await console.news()  # it acks nothing, so it is not told of the end yet
    await peer.say("\\quit")
    await peer.rest()
    other = await service.call("\\hello 1 Eve live=1", "Eve> Hello")
    await other.news()
    await console.say_blindly("\\typing draft=for Bob")
    await console.news()
    assert not any("draft" in line for line in await other.news())


@with_service()
async def test_a_peer_that_floods_is_read_slowly(service: InProcessService) -> None:
    """Its account for reading limits it, because no draft is dropped."""
    console, peer, _ = await _live_talk(service)
    await console.news()
    loop = asyncio.get_running_loop()
    began, drafts = loop.time(), int(PEER_RATE * 1.5)
    await peer.say(*["\\typing draft=x"] * drafts)
    for _ in range(drafts):
        assert await console.hear() == "\\typing draft=x"
    await peer.say("\\typing draft=y")  # it waits until the others are paid
    assert await console.hear() == "\\typing draft=y"
    assert loop.time() - began > (drafts - max(PEER_RATE, BURST)) / PEER_RATE * 0.8
    await console.say("\\ack 1")
    assert await peer.news() == ["\\read 1"]


@with_service()
async def test_a_classic_peer_gets_no_live_typing(service: InProcessService) -> None:
    console = await service.console(" live=1")
    peer = await service.classic("Bob> Hi!")
    assert "\\live on" not in await console.news()
    await console.say("\\ack 1", "\\typing draft=secret", "alice> Hello")
    await console.news()
    assert await peer.hear() == "alice> Hello"


@with_service()
async def test_a_console_that_takes_over_decides_anew(service: InProcessService) -> None:
    console, peer, _ = await _live_talk(service)
    await console.news()
    other = await service.console(" take=1")
    assert "\\live on" in await other.news()  # the peer wants it
    assert "\\live off" in await peer.news()
    await peer.say("\\typing draft=secret")
    await peer.news()
    assert not any("secret" in line for line in await other.news())
