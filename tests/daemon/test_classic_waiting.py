"""What a classic caller has sent before its turn, when something ends the conversation or the journal fails."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, NoReturn

import pytest

from pychat_client.protocol.turns import Role, Turns
from pychatd.conversation.journal_health import FAILED
from pychatd.conversation.model import JournalFullError
from pychatd.conversation.quota import Quota
from tests.support.in_process import InProcessService, with_service

SAID = ["one", "two", "three"]


def _texts(service: InProcessService) -> list[str]:
    return [entry.text for entry in service.journal.entries(1, 0, limit=100)]


def _is_full(*_: Any) -> NoReturn:
    raise JournalFullError("No more messages are stored: the disk is full.")


def _refuses_the_peer(_: Quota, conversation: Any, role: Role, *others: Any) -> None:
    if role is Role.PEER:
        _is_full()


@pytest.mark.parametrize("durable", [False, True])
def test_a_failing_journal_loses_no_line(tmp_path: Path, durable: bool) -> None:
    @with_service()
    async def run(service: InProcessService) -> None:
        await _end_with_a_failing_journal(service, durable=durable)

    run(tmp_path)


async def _end_with_a_failing_journal(service: InProcessService, *, durable: bool) -> None:
    peer = await service.classic(*(f"Bob> {text}" for text in SAID))
    console = await service.console()
    await console.news()
    service.fail_next_append(durable=durable)
    await console.say("\\quit")
    await console.rest()
    await service.lose(console)
    await peer.say("Bob> four", "Bob> five")
    await service.lose(peer)
    assert _texts(service) == [*SAID, "four", "five"]


@with_service()
async def test_the_operator_reads_that_the_last_lines_could_not_be_stored(service: InProcessService) -> None:
    peer = await service.classic(*(f"Bob> {text}" for text in SAID))
    console = await service.console()
    await console.news()
    service.fail_next_append(durable=False)
    await service.cut(peer)
    assert f"\\notice {FAILED}" in await console.news()


@with_service(turns=Turns.FREE, rate=20)
async def test_lines_that_wait_for_the_rate_outlive_the_end(service: InProcessService) -> None:
    console = await service.console()
    peer = await service.classic("Bob> 0")
    await peer.say(*(f"Bob> {number}" for number in range(1, 40)))
    while len(_texts(service)) == 1:
        await asyncio.sleep(0.01)
    await console.say("\\quit")
    await peer.rest()
    assert _texts(service) == [str(number) for number in range(40)]


@pytest.mark.parametrize("by", Role)
def test_both_sides_read_that_the_journal_is_full_at_the_end(tmp_path: Path, by: Role) -> None:
    @with_service()
    async def run(service: InProcessService) -> None:
        with pytest.MonkeyPatch.context() as patch:
            await _end_with_a_full_journal(service, by, patch)

    run(tmp_path)


async def _end_with_a_full_journal(service: InProcessService, by: Role, patch: pytest.MonkeyPatch) -> None:
    peer = await service.classic(*(f"Bob> {text}" for text in SAID))
    console = await service.console()
    await console.news()
    patch.setattr(Quota, "check", _is_full)
    await (peer if by is Role.PEER else console).say("\\quit")
    refusal = "\\error journal Not delivered: 2 lines that still waited. No more messages are stored"
    assert (await peer.rest())[0].startswith(refusal)
    assert "the disk is full" in " ".join(await console.news())
    conversation = service.journal.by_id(1)
    assert conversation is not None
    assert conversation.ended_by is by


@with_service()
async def test_a_person_is_not_told_that_a_program_keeps_lines(service: InProcessService) -> None:
    peer = await service.classic(*(f"Bob> {text}" for text in SAID))
    console = await service.console()
    await console.news()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Quota, "check", _refuses_the_peer)
        await console.say("alice> Hi!")
        heard = await peer.rest()
    assert heard[-1].startswith("\\error journal ")
    assert heard[-1].endswith("Your last lines may not be delivered: call again later, and repeat them.")


@with_service()
async def test_what_a_blocked_caller_still_had_to_say_is_not_shown(service: InProcessService) -> None:
    await service.classic(*(f"Bob> {text}" for text in SAID))
    console = await service.console()
    await console.news()
    await console.say("\\order block Bob")
    await console.news()
    assert _texts(service) == SAID[:1]


@with_service()
async def test_a_reason_is_only_words(service: InProcessService) -> None:
    """Also the one with which the daemon itself drops what waits."""
    await service.classic(*(f"Bob> {text}" for text in SAID))
    console = await service.console()
    await console.news()
    await console.say("\\quit the caller was blocked")
    await console.news()
    assert _texts(service) == SAID
