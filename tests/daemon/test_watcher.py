"""What a watcher is told: what nobody is there to read, once, and what happens now; it cannot do anything."""

from __future__ import annotations

import asyncio
import time

import pytest

from pychat_client.protocol import wire
from pychat_client.protocol.turns import Role, Turns
from pychat_client.transport.connection import READ_MAX
from pychatd.conversation import watcher
from pychatd.conversation.console_session import VISITOR_READ
from pychatd.conversation.model import JournalError
from pychatd.conversation.watchers import OF_ONE_USER, Watchers
from tests.support.in_process import ADDRESS, InProcessService, with_service
from tests.support.raw_ends import AsyncEnd

FILLING = 2000
"""Messages of 400 characters that are more than the buffers on the way to a watcher hold."""


async def _watch(service: InProcessService, words: str = "") -> AsyncEnd:
    raw = await service.connect(service.console_session())
    await raw.say(f"\\watch{words}")
    return raw


def _said(lines: list[str]) -> list[str]:
    return [line for line in lines if not line.startswith(("\\at", "\\peer", "\\here", "\\away"))]


@with_service(turns=Turns.FREE)
async def test_a_watcher_sees_the_call_and_what_nobody_reads(service: InProcessService) -> None:
    watching = await _watch(service)
    peer, _ = await service.peer("Hi!")
    await peer.say("Bob> Anybody?", "\\ring")
    await peer.news()
    await peer.say("\\quit bye")
    await peer.rest()
    told = await watching.news()
    assert told[0] == f"\\calling Bob address={ADDRESS}"
    assert _said(told[1:]) == ["Bob> Hi!", "Bob> Anybody?", "\\ring", "\\quit bye"]
    assert len([line for line in told if line.startswith("\\peer")]) == 1


@with_service(turns=Turns.FREE)
async def test_a_watcher_takes_no_seat_and_acks_nothing(service: InProcessService) -> None:
    await _watch(service)
    peer = await service.call("\\hello 1 Bob", "Bob> Hi!")
    answers = await peer.news()
    assert answers[1:] == ["\\away", "\\ack 1"]
    assert service.switchboard.unread().count == 1
    await service.console()
    assert await peer.news() == ["\\here alice"]


@with_service(turns=Turns.FREE)
async def test_a_watcher_is_not_told_what_a_console_shows(service: InProcessService) -> None:
    console, peer, _ = await service.talk(acked=True)
    watching = await _watch(service)
    await peer.say("Bob> seen", "\\ring")
    await peer.news()
    assert await watching.news() == ["\\here alice"]
    await console.say("\\ack 2")
    await console.news()
    await peer.say("Bob> not seen any more")
    await peer.news()
    await service.lose(console)
    assert _said(await watching.news()) == ["Bob> not seen any more"]


@with_service(turns=Turns.FREE)
async def test_a_returning_watcher_hears_everything_once(service: InProcessService) -> None:
    first = await _watch(service)
    peer, _ = await service.peer("one", "two")
    assert _said(await first.news())[-2:] == ["Bob> one", "Bob> two"]
    await service.lose(first)
    await peer.say("Bob> three", "\\quit")
    await peer.rest()
    await service.peer("four", handle="Ann")
    await service.restart()
    assert _said(await (await _watch(service, " session=1 got=2")).news()) == ["Bob> three", "\\quit", "Ann> four"]
    assert _said(await (await _watch(service, " session=2 got=1")).news()) == []
    assert len(_said(await (await _watch(service)).news())) == 5


@with_service(turns=Turns.FREE)
async def test_a_watcher_knows_who_rings_if_a_console_has_read_all(service: InProcessService) -> None:
    console, peer, _ = await service.talk(acked=True)
    await service.lose(console)
    assert service.switchboard.unread().count == 0
    watching = await _watch(service)
    (heading,) = await watching.news()
    assert heading.startswith("\\peer Bob ")
    await peer.say("\\ring")
    await peer.news()
    assert await watching.news() == ["\\ring"]


@with_service(turns=Turns.FREE, rate=0)
async def test_a_ring_does_not_come_before_who_rings(service: InProcessService) -> None:
    unread, _ = await service.peer(*map(str, range(watcher.SENT_AT_ONCE)), handle="Ann")
    await unread.say("\\quit")
    await unread.rest()
    peer, _ = await service.peer("Hi!")
    watching = await _watch(service)
    await peer.say("\\ring")
    while "Bob> Hi!" not in (told := await watching.news()):
        assert "\\ring" not in told


@with_service(turns=Turns.FREE)
async def test_a_ring_that_waits_is_not_told_once_a_console_is_there(service: InProcessService) -> None:
    watching = await _watch(service)
    await watching.news()
    (one,) = service.switchboard.watchers
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Watchers, "wait_for_turn", lambda *_: None)  # others have their turns first
        peer, _ = await service.peer("Hi!")
        await peer.say("\\ring")
        await peer.news()
        await service.console()
    one.take_turn()
    assert await watching.news() == [f"\\calling Bob address={ADDRESS}", "\\here alice"]


@with_service()
async def test_a_watcher_that_comes_sees_who_calls(service: InProcessService) -> None:
    await service.greeted()
    assert await (await _watch(service)).news() == [f"\\calling Bob address={ADDRESS}"]


@with_service()
async def test_a_watcher_hears_that_the_journal_fails(service: InProcessService) -> None:
    watching = await _watch(service)
    await watching.news()
    service.switchboard.journal_failed(JournalError("The disk is full."))
    (notice,) = await watching.news()
    assert notice.startswith("\\notice ")


@with_service()
async def test_a_watcher_hears_of_a_console_before_the_caller(service: InProcessService) -> None:
    """It alerts nobody while a console is attached."""
    await service.console()
    await service.greeted()
    assert await (await _watch(service)).news() == ["\\here alice", f"\\calling Bob address={ADDRESS}"]


@with_service()
async def test_a_watcher_hears_of_the_calls_that_it_has_missed(service: InProcessService) -> None:
    caller, _ = await service.greeted()
    await service.lose(caller)
    at, missed = await (await _watch(service)).news()
    assert at.startswith("\\at ")
    assert missed == f"\\missed Bob address={ADDRESS}"
    console = await service.console()
    await console.news()
    assert not any(line.startswith("\\missed") for line in await (await _watch(service)).news())


@with_service(turns=Turns.FREE)
async def test_a_watcher_hears_when_nothing_is_unread_any_more(service: InProcessService) -> None:
    watching = await _watch(service)
    peer, _ = await service.peer("one", "two")
    console = await service.console()
    await console.news()
    await watching.news()
    await console.say("\\ack 1")
    await console.news()
    await service.lose(console)
    assert await watching.news() == ["\\away"]
    assert not _said(await (await _watch(service, " session=1 got=2")).news())
    console = await service.console()
    await console.news()
    await console.say("\\ack 2")
    await console.news()
    await service.lose(console)
    assert await watching.news() == ["\\here alice", "\\away", "\\read 2"]
    assert (await (await _watch(service, " session=1 got=2")).news())[0] == "\\read 2"
    await peer.say("Bob> three")
    await peer.news()
    told = await (await _watch(service, " session=1 got=2")).news()
    assert (told[0], told[-1]) == ("\\read 2", "Bob> three")


@with_service(turns=Turns.FREE)
async def test_what_is_removed_is_not_unread_any_more(service: InProcessService) -> None:
    watching = await _watch(service)
    peer, _ = await service.peer("one")
    await peer.say("\\quit")
    await peer.rest()
    await watching.news()
    service.switchboard.retention.remove(1)
    assert await watching.news() == ["\\read 0"]


@with_service(turns=Turns.FREE)
async def test_a_watcher_begins_anew_with_another_journal(service: InProcessService) -> None:
    peer, _ = await service.peer("one")
    await peer.say("\\quit")
    await peer.rest()
    for number, got in ((2, 1), (3, 0), (1, 2), (2**40, 0)):
        watching = await _watch(service, f" session={number} got={got}")
        assert _said(await watching.news()) == ["Bob> one", "\\quit"], number
        await service.lose(watching)
    assert not await (await _watch(service, " session=2 got=0")).news()


@with_service(turns=Turns.FREE)
async def test_a_watcher_begins_anew_when_the_journal_is_damaged(service: InProcessService) -> None:
    watching = await _watch(service)
    peer, _ = await service.peer("one", "two")
    await watching.news()
    service.damage_journal()
    await peer.rest()
    assert "\\read 2" in await watching.news()
    await service.peer("three", handle="Eve")
    assert _said(await watching.news())[-1] == "Eve> three"


@pytest.mark.usefixtures("seen_soon")
@with_service()
async def test_a_watcher_hears_once_of_a_caller_that_says_nothing(service: InProcessService) -> None:
    silent = f"\\calling guest address={ADDRESS} silent=1"
    first = await _watch(service)
    await first.news()
    caller = await service.call()
    assert await first.hear() == silent
    assert await (await _watch(service)).hear() == silent
    other, _ = await service.greeted("Ann")
    await other.say("\\quit")
    await other.rest()
    assert await first.news() == [f"\\calling Ann address={ADDRESS}", f"\\missed Ann address={ADDRESS}"]
    await service.lose(caller)
    assert await first.hear() == f"\\missed guest address={ADDRESS}"


@with_service(turns=Turns.FREE, rate=0)
async def test_what_is_unread_goes_out_in_pieces_and_all_of_it(service: InProcessService) -> None:
    texts = [str(number) for number in range(3 * watcher.SENT_AT_ONCE + 1)]
    service.fill(Role.PEER, texts)
    await service.restart()
    watching = await _watch(service)
    told = [await watching.hear() for _ in range(2 * len(texts) + 3)]
    assert _said(told) == ["Bob> Hi", *(f"Bob> {text}" for text in texts)]
    assert await watching.news() == []


@with_service()
async def test_a_program_that_floods_is_read_slowly_in_small_pieces(service: InProcessService) -> None:
    for first in ("\\watch", "\\ping"):  # what counts is that it is not the console
        session = service.console_session()
        raw = await service.connect(session)
        assert len(session.connection.get_buffer(READ_MAX)) == VISITOR_READ
        await raw.say(first)
        begin = time.monotonic()
        for count in (300, 1):
            await raw.say(*count * ["\\ping"])
            for _ in range(count):
                assert await raw.hear() == "\\pong"
        assert time.monotonic() - begin > 0.1
        assert len(session.connection.get_buffer(READ_MAX)) == VISITOR_READ


@with_service()
async def test_the_console_is_read_as_it_comes(service: InProcessService) -> None:
    session = service.console_session()
    raw = await service.connect(session)
    await raw.say("\\hello 1 alice")
    await raw.news()
    assert len(session.connection.get_buffer(READ_MAX)) == READ_MAX
    count = 10_000
    async with asyncio.timeout(30):  # at a visitor's pace this takes 40 s
        await raw.say(*count * ["\\ping"])
        for _ in range(count):
            assert await raw.hear() == "\\pong"


@with_service()
async def test_a_watcher_has_nothing_to_say(service: InProcessService) -> None:
    for line in ("alice> Hi!", "\\quit", "\\ack 1", "\\hello 1 alice"):
        watching = await _watch(service)
        await watching.news()
        await watching.say(line)
        assert (await watching.rest())[-1].startswith("\\error syntax")
        await service.lose(watching)
    assert not service.switchboard.watchers


@with_service(turns=Turns.FREE, rate=0)
async def test_a_watcher_that_does_not_read_is_dropped(
    service: InProcessService,
) -> None:
    patch = pytest.MonkeyPatch()
    patch.setattr(watcher, "WATCHER_SECONDS", 0.2)
    try:
        await _watch(service)
        peer, _ = await service.peer("Hi!")
        count, more = 1, FILLING
        while service.switchboard.watchers:
            await peer.say(*(f"Bob> {400 * 'x'}" for _ in range(more)))
            count, more = count + more, 1
            while await peer.hear() != f"\\ack {count}":
                pass
            await asyncio.sleep(0)
    finally:
        patch.undo()


@with_service()
async def test_who_reads_nothing_that_is_told_is_put_out(service: InProcessService) -> None:
    patch = pytest.MonkeyPatch()
    patch.setattr(watcher, "WATCHER_SECONDS", 0.2)
    try:
        await (await _watch(service)).news()
        (one,) = service.switchboard.watchers
        assert isinstance(one, watcher.Watcher)
        while one._connection.writable:
            one.tell([wire.Notice("x" * 400)])
            await asyncio.sleep(0)
        while service.switchboard.watchers:
            await asyncio.sleep(0.01)
    finally:
        patch.undo()


@with_service()
async def test_many_may_watch_and_hear_that_the_daemon_stops(service: InProcessService) -> None:
    several = [await _watch(service) for _ in range(3)]
    for one in several:
        await one.news()
    service.switchboard.stop()
    for one in several:
        assert (await one.rest())[-1].startswith("\\error stopping")


@with_service()
async def test_one_user_has_a_few_watchers_and_another_user_his_own(service: InProcessService) -> None:
    several = [await _watch(service) for _ in range(OF_ONE_USER)]
    for one in several:
        await one.news()
    assert (await (await _watch(service)).rest())[0].startswith("\\error crowded 4 programs ")
    other = await service.connect(service.console_session("bob", uid=1001))
    await other.say("\\watch")
    assert await other.news() == []
    await service.lose(several[0])
    assert await (await _watch(service)).news() == []
    assert len(service.switchboard.watchers) == OF_ONE_USER + 1
