"""Somebody with `pychatd-console --watch` in a world: what is told, and when the user is called, is noted down."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pychat_client.config.preferences import Preferences
from pychat_client.protocol import wire
from pychatd.services import Place
from pychatd.watch import LOOK_SECONDS, WatchedService
from pychatd.watch_output import Output, ServiceOutput
from tests.simulation.checker import Event, History

if TYPE_CHECKING:
    from tests.simulation.world import World


class Notes(ServiceOutput):
    """What a watcher tells its user."""

    def __init__(self, history: History) -> None:
        super().__init__(Output(Preferences(), as_json=True, remind=timedelta(seconds=20)), 7000)
        self._history = history
        self._now = asyncio.get_running_loop().time

    def _emit(self, kind: str, words: str, at: wire.Timestamp | None = None, **fields: Any) -> None:
        if kind == "message":
            self._history.events.append(Event(self._now(), "told", fields["text"]))

    def _alert(self, words: str, event: str) -> None:
        self._history.events.append(Event(self._now(), "alert", words))


class Onlooker(WatchedService):
    """Comes back whenever there is a daemon."""

    def __init__(self, world: World, name: str) -> None:
        self.history = History(name, peer=False)
        super().__init__(Place(0, Path()), Notes(self.history), named=False)
        self._world = world
        self._listening = asyncio.get_running_loop().create_task(self.run())

    async def run(self) -> None:
        while True:
            if (connection := self._world.connect_onlooker(self)) is not None:
                await self.listen(connection)
            await asyncio.sleep(LOOK_SECONDS)

    def rest(self) -> None:
        """All has settled."""
        self.history.events.append(Event(asyncio.get_running_loop().time(), "rest"))

    def leave(self) -> None:
        self._listening.cancel()
