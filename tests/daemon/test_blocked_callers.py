"""A caller who is blocked while connected, or while the journal fails, is put out."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.in_process import ADDRESS, InProcessService, with_service

ELSEWHERE = "192.0.2.9"
REFUSED = "\\error blocked The operator has blocked you here."


@pytest.mark.parametrize("order", ["\\order block conversation=1", f"\\order block {ELSEWHERE}"])
def test_a_peer_is_blocked_where_it_is_now(tmp_path: Path, order: str) -> None:
    @with_service()
    async def check(service: InProcessService) -> None:
        console, peer, token = await service.talk()
        await service.lose(peer)
        peer, _ = await service.resumed(token, address=f"{ELSEWHERE}:40000")
        await console.say(order)
        assert (await peer.rest())[-1] == "\\quit the caller was blocked"
        assert service.switchboard.blocklist.words == [ELSEWHERE]

    check(tmp_path)


@with_service()
async def test_a_peer_that_is_away_is_blocked_where_it_was_last(service: InProcessService) -> None:
    peer, token = await service.peer("spam")
    await service.lose(peer)
    peer, _ = await service.resumed(token, address=f"{ELSEWHERE}:40000")
    await service.lose(peer)
    await service.restart()
    console = await service.console()
    await console.say("\\order block conversation=1")
    await console.news()
    assert service.switchboard.blocklist.words == [ELSEWHERE]


@with_service()
async def test_a_block_while_the_journal_fails_holds_when_it_works(service: InProcessService) -> None:
    console, peer, _ = await service.talk(acked=True)
    await console.say("alice> Hello")
    await peer.news()
    service.break_journal()
    await console.say("\\order block conversation=1")
    assert (await console.rest())[-1].startswith("\\error journal")
    await peer.say("Bob> spam")
    assert (await peer.rest())[-1] == "\\quit the caller was blocked"
    assert [entry.text for entry in service.journal.entries(1, 0)] == ["Hi!", "Hello"]


@with_service(turns="free")
async def test_a_caller_that_waits_is_put_out(service: InProcessService) -> None:
    waiting, _ = await service.greeted("Eve")
    service.switchboard.blocklist.add(ADDRESS.partition(":")[0])
    assert not service.switchboard.put_out_unwelcome()
    assert await waiting.hear() == REFUSED
    await service.lose(waiting)
    assert service.switchboard.waiting is None
