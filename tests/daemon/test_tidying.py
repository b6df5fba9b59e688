"""Long work on the journal is done in pieces, and the loop runs between them."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from functools import partial

from pychat_client.protocol.turns import Role, Turns
from pychatd.conversation.journal import REMOVED_AT_ONCE
from pychatd.conversation.model import JournalError
from pychatd.conversation.tidying import TIDYING_PAUSE, Tidying
from tests.support.aio import in_loop
from tests.support.in_process import InProcessService, with_service


@in_loop
async def test_the_loop_runs_between_two_pieces() -> None:
    story: list[str] = []
    pieces = iter([True, True, False])
    tidying = Tidying(lambda error: None)

    def piece() -> bool:
        story.append("piece")
        asyncio.get_running_loop().call_soon(story.append, "loop")
        return next(pieces)

    tidying.start("work", piece)
    while len(story) < 6:
        await asyncio.sleep(0.001)
    assert story == ["piece", "loop"] * 3


@in_loop
async def test_a_failure_is_told_and_stops_no_other_work() -> None:
    told: list[JournalError] = []
    tidying = Tidying(told.append)
    done = asyncio.Event()
    first = iter([True])

    def fails() -> bool:
        if next(first, False):
            return True
        raise JournalError("broken")

    def works() -> bool:
        if told:
            done.set()
        return not told

    tidying.start("fails", fails)
    tidying.start("works", works)
    await done.wait()
    assert [str(error) for error in told] == ["broken"]


@in_loop
async def test_work_that_somebody_else_has_finished_meanwhile_is_done() -> None:
    wrong: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: wrong.append(context))
    tidying, done = Tidying(lambda error: None), asyncio.Event()
    more = iter([True, False])
    tidying.start("work", lambda: next(more))
    tidying.start("work", lambda: next(more))  # before the next piece is due
    asyncio.get_running_loop().call_later(2 * TIDYING_PAUSE, done.set)
    await done.wait()
    assert wrong == []


@in_loop
async def test_the_same_work_waits_only_once() -> None:
    calls: list[str] = []
    tidying = Tidying(lambda error: None)

    def work(name: str) -> bool:
        calls.append(name)
        return len(calls) < 4

    for name in ("old", "new"):
        tidying.start("work", partial(work, name))
    while len(calls) < 4:
        await asyncio.sleep(0.001)
    assert calls == ["old", "new", "new", "new"]


def texts(service: InProcessService) -> list[str]:
    """What the journal still has of the first conversation."""
    return [e.text for e in service.journal.entries(1, 0, limit=4 * REMOVED_AT_ONCE) if e.text]


@with_service(keep="none", turns=Turns.FREE)
async def test_a_long_conversation_is_forgotten_while_the_talk_goes_on(service: InProcessService) -> None:
    service.fill(Role.PEER, [f"{n}" for n in range(3 * REMOVED_AT_ONCE)])
    console = await service.console()
    await console.say(f"\\ack {3 * REMOVED_AT_ONCE + 1}")
    await console.news()
    while texts(service):
        await asyncio.sleep(0.01)


@with_service(keep="none", turns=Turns.FREE)
async def test_a_restart_goes_on_forgetting(service: InProcessService) -> None:
    service.fill(Role.PEER, [f"{n}" for n in range(3 * REMOVED_AT_ONCE)])
    console = await service.console()
    await console.say(f"\\ack {3 * REMOVED_AT_ONCE + 1}")
    await console.news()
    service.switchboard.stop()
    await service.restart()
    assert texts(service)
    while texts(service):
        await asyncio.sleep(0.01)


@with_service(keep="none")
async def test_a_text_that_was_read_while_the_journal_failed_goes(service: InProcessService) -> None:
    console, _, _ = await service.talk()
    service.break_journal()
    await console.say("\\ack 1")
    assert (await console.rest())[-1].startswith("\\error journal")
    assert texts(service) == ["Hi!"]
    await service.lose(console)
    await service.console()
    assert not texts(service)


@with_service(keep="none", turns=Turns.FREE)
async def test_all_that_was_read_is_forgotten_in_the_end(service: InProcessService) -> None:
    """No console has been attached since the failure."""
    console, peer, _ = await service.talk()
    service.break_journal()
    await console.say("\\ack 1")
    await console.rest()
    await peer.say("\\quit")
    await peer.rest()
    assert not texts(service)


async def being_removed(service: InProcessService) -> None:
    """Conversation 1 is over, and its first messages have been removed."""
    conversation = service.fill(Role.PEER, [f"{n}" for n in range(3 * REMOVED_AT_ONCE)])
    service.journal.end_conversation(conversation, "", service.switchboard.now())
    service.switchboard.conversation = None
    service.switchboard.retention.remove(1)


@with_service()
async def test_a_restart_goes_on_removing(service: InProcessService) -> None:
    await being_removed(service)
    service.switchboard.stop()
    await service.restart()
    assert service.journal.by_id(1) is not None
    while service.journal.by_id(1) is not None:
        await asyncio.sleep(0.01)


@with_service()
async def test_a_removal_goes_on_when_the_journal_works_again(service: InProcessService) -> None:
    await being_removed(service)
    service.break_journal()
    while service.switchboard._health.works:
        await asyncio.sleep(0.01)
    assert service.journal.by_id(1) is not None
    await service.peer("Hi!")
    while service.journal.by_id(1) is not None:
        await asyncio.sleep(0.01)


@with_service(keep="1d", turns=Turns.FREE)
async def test_a_long_conversation_is_pruned_to_its_end(service: InProcessService) -> None:
    conversation = service.fill(Role.PEER, [f"{n}" for n in range(3 * REMOVED_AT_ONCE)])
    conversation.mark_shown(Role.OPERATOR, 3 * REMOVED_AT_ONCE + 1)
    service.journal.end_conversation(conversation, "", service.switchboard.now() - timedelta(days=2))
    service.switchboard.conversation = None
    service.switchboard.prune()
    assert len(service.journal.entries(1, REMOVED_AT_ONCE, limit=4 * REMOVED_AT_ONCE)) > REMOVED_AT_ONCE
    while service.journal.by_id(1) is not None:
        await asyncio.sleep(0.01)
