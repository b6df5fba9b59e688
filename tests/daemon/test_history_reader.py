"""A reader of the history that takes nothing is dropped after a bounded time."""

from __future__ import annotations

import pytest

from pychat_client.protocol.turns import Role
from pychatd.conversation import history_reader
from tests.support.in_process import InProcessService, with_service


@with_service(turns="free")
async def test_a_reader_that_takes_nothing_is_dropped(service: InProcessService) -> None:
    service.fill(Role.PEER, ["x" * 500] * 5000)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(history_reader, "READ_SECONDS", 0.05)
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
