"""A watcher at a service that has enough of them waits for a place, and its user hears of it once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from pychat_client.config.preferences import Preferences
from pychat_client.protocol import wire
from pychat_client.transport.connection import Connection
from pychatd import watch
from pychatd.conversation.watchers import OF_ONE_USER
from pychatd.services import Place
from pychatd.watch_output import Output, ServiceOutput
from tests.support.in_process import ADDRESS, InProcessService, with_service


class _Lines(Output):
    """What the user reads, without time and port."""

    def __init__(self) -> None:
        super().__init__(Preferences(), as_json=False, remind=None)
        self.lines: list[str] = []

    def write(self, line: str) -> None:
        self.lines.append(line.partition("port 7000: ")[2])

    async def until(self, line: str) -> list[str]:
        while line not in self.lines:
            await asyncio.sleep(0.01)
        return self.lines


@asynccontextmanager
async def _watching(service: InProcessService, refusals: list[None]) -> AsyncIterator[_Lines]:
    """What a watcher of all services tells; refusals: gets one more at each try."""
    runtime = service.file.parent / "run"
    place = runtime / "7000"
    place.mkdir(parents=True)
    (place / "pid").write_text("1")

    def accept() -> Connection:
        refusals.append(None)
        connection = service.console_session().connection
        service.connections.append(connection)
        return connection

    server = await asyncio.get_running_loop().create_unix_server(accept, place / "console.sock")
    output = _Lines()
    finding = asyncio.create_task(watch._find([], runtime, output))
    yield output
    finding.cancel()
    await asyncio.wait([finding])
    server.close()


async def _crowd(service: InProcessService) -> None:
    for _ in range(OF_ONE_USER):
        await (await service.connect(service.console_session())).say("\\watch")
    while len(service.switchboard.watchers) < OF_ONE_USER:
        await asyncio.sleep(0)


def test_a_watcher_comes_in_when_a_place_is_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "CROWDED_SECONDS", 0.0)

    @with_service()
    async def run(service: InProcessService) -> None:
        await _crowd(service)
        tries: list[None] = []
        async with _watching(service, tries) as output:
            while len(tries) < 3:
                await asyncio.sleep(0.01)
            await service.lose(service._raws[0])
            lines = await output.until("watching, the service runs")
        assert [line.partition(":")[0] for line in lines] == ["not watching", "watching, the service runs"]

    run(tmp_path)


@with_service()
async def test_what_is_unread_comes_behind_the_word_that_it_is_watched(service: InProcessService) -> None:
    await service.peer("Hi!")
    async with _watching(service, []) as output:
        assert (await output.until("Bob> Hi!"))[:1] == ["watching, the service runs"]


@with_service()
async def test_calls_that_were_missed_at_the_same_moment_are_all_told_once(service: InProcessService) -> None:
    now = service.switchboard.now()
    service.switchboard.now = lambda: now  # type: ignore[method-assign]
    for handle in ("Ann", "Bob"):
        caller, _ = await service.greeted(handle)
        await caller.say("\\quit")
        await caller.rest()
    async with _watching(service, []) as output:
        await output.until(f"missed call of Bob from {ADDRESS}")
        service.connections[-1].abort()
        while output.lines.count("watching, the service runs") < 2:
            await asyncio.sleep(0.01)
        caller, _ = await service.greeted("Cy")
        lines = await output.until(f"Cy is calling from {ADDRESS}")
    assert [line[:18] for line in lines if "missed" in line] == ["missed call of Ann", "missed call of Bob"]


def test_a_daemon_that_was_started_again_is_asked_in_its_own_time() -> None:
    """Otherwise the time of the one before would go on beside it, for ever."""
    asked: list[None] = []
    service = watch.WatchedService(Place(7000, Path()), ServiceOutput(_Lines(), 7000), named=False)
    service._farewell, service._left_alone = wire.Error("crowded", "Enough."), 2
    for since in (1, 2):
        service._ask_again(since, lambda: asked.append(None))
        assert len(asked) == since - 1
