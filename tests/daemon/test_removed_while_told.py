"""A conversation is removed while an end is still being told it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from pychat_client.protocol.turns import Role, Turns
from pychatd.conversation.journal import REMOVED_AT_ONCE
from pychatd.conversation.model import REST_REMOVED
from tests.support.in_process import TOKEN, InProcessService, with_service
from tests.support.raw_ends import AsyncEnd

TEXTS = [f"{n} {'x' * 400}" for n in range(4 * REMOVED_AT_ONCE)]
"""More than the buffers of a connection take."""


def end(service: InProcessService) -> None:
    running = service.switchboard.conversation
    assert running is not None
    service.journal.end_conversation(running, "bye", service.switchboard.now())
    service.switchboard.conversation = None


async def removed(service: InProcessService) -> None:
    service.switchboard.retention.remove(1)
    while service.journal.by_id(1) is not None:
        await asyncio.sleep(0.01)


async def read_on(raw: AsyncEnd, count: int = 0) -> list[str]:
    """Acks what comes of conversation 1, until its end. The lines. count: of Bob's messages that it has."""
    lines: list[str] = []
    while not (lines and lines[-1].startswith("\\quit")):
        lines.append(await raw.hear())
        count += lines[-1].startswith("Bob> ")
        if lines[-1].startswith("\\peer") or (lines[-1].startswith("Bob> ") and not raw.waiting()):
            await raw.say(f"\\ack {count}")
    return lines


async def shows_the_next_call(service: InProcessService, console: AsyncEnd) -> None:
    peer = await service.call("\\hello 1 Eve", "Eve> Hello?")
    assert "\\ack 1" in await peer.news()
    await console.say("\\ack 0")
    assert "Eve> Hello?" in await console.news()


@with_service(turns=Turns.FREE)
async def test_a_console_is_told_that_the_rest_was_removed_and_the_next_call(service: InProcessService) -> None:
    service.fill(Role.PEER, TEXTS)
    end(service)
    console = await service.console()
    await removed(service)
    lines = await read_on(console)
    texts = [line for line in lines if line.startswith("Bob> ")]
    assert texts == [f"Bob> {text}" for text in ["Hi", *TEXTS]][: len(texts)]
    assert 0 < len(texts) < len(TEXTS)
    assert [line for line in lines if line.startswith("\\notice")] == [f"\\notice {REST_REMOVED}"]
    await shows_the_next_call(service, console)


@with_service(turns=Turns.FREE)
async def test_a_console_goes_on_behind_a_conversation_that_is_being_removed(service: InProcessService) -> None:
    """Its first messages are gone, and the last ones not yet."""
    service.fill(Role.PEER, TEXTS)
    end(service)
    service.switchboard.retention.remove(1)
    service.switchboard.stop()
    console = await service.console()
    lines = await read_on(console)
    assert not any(line.startswith("Bob> ") for line in lines)
    assert f"\\notice {REST_REMOVED}" in lines
    await shows_the_next_call(service, console)


@with_service(turns=Turns.FREE)
async def test_a_console_that_has_all_is_not_told_of_a_removal(service: InProcessService) -> None:
    service.fill(Role.OPERATOR, TEXTS)
    end(service)
    console = await service.console(" session=1 got=1 sent=0")
    await removed(service)
    lines = await read_on(console, 1)
    assert not any(line.startswith("\\notice") for line in lines)
    await shows_the_next_call(service, console)


@pytest.mark.parametrize("repeat", ["", " sent=1 after=0"])
def test_a_peer_gets_no_message_without_the_one_before(tmp_path: Path, repeat: str) -> None:
    @with_service(turns=Turns.FREE)
    async def check(service: InProcessService) -> None:
        service.fill(Role.OPERATOR, TEXTS)
        peer = await service.call(f"\\hello 1 Bob session={TOKEN} got=0{repeat}")
        await peer.hear()
        end(service)
        for _ in range(2):
            service.journal.remove(1)  # not to its end
        lines = [await peer.hear()]
        while not lines[-1].startswith("\\quit"):
            lines.append(await peer.hear())
        texts = [line for line in lines if line.startswith("alice> ")]
        assert texts == [f"alice> {text}" for text in TEXTS][: len(texts)]
        assert 0 < len(texts) < len(TEXTS)
        assert f"\\notice {REST_REMOVED}" in lines

    check(tmp_path)
