"""A reader of the history gets all of it, keeps nobody waiting, and is dropped when it takes nothing."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from pychat_client.protocol.turns import Role
from pychatd.conversation import history_reader
from pychatd.conversation.model import Entry
from tests.support.in_process import InProcessService, with_service


@with_service(turns="free")
async def test_a_reader_that_takes_nothing_is_dropped(service: InProcessService) -> None:
    service.fill(Role.PEER, ["x" * 500] * 5000)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(history_reader, "PAGER_SECONDS", 0.05)
        session = service.console_session()
        reader = await service.connect(session)
        await reader.say("\\history")
        await service.closed(reader)


@with_service(turns="free")
async def test_a_reader_that_takes_all_gets_all(service: InProcessService) -> None:
    service.fill(Role.PEER, ["x" * 500] * 5000)
    reader = await service.connect(service.console_session())
    await reader.say("\\history")
    count = 0
    while (line := await reader.hear()) != "\\ready":
        count += line.startswith("Bob> ")
    assert count == 5001


@with_service(turns="free")
async def test_others_are_served_between_two_batches(service: InProcessService) -> None:
    service.fill(Role.PEER, ["x"] * 1000)
    served: list[str] = []
    read = service.journal.entries

    def entries(*args: Any, **options: Any) -> list[Entry]:
        served.append("history")
        asyncio.get_running_loop().call_soon(served.append, "others")
        return read(*args, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(service.journal, "entries", entries)
        reader = await service.connect(service.console_session())
        await reader.say("\\history")
        while await reader.hear() != "\\ready":
            pass
    assert served.count("history") > 5
    assert "history history" not in " ".join(served)
