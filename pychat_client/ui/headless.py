"""What all front ends without a screen share: they draw nothing, and wait until something has changed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from pychat_client.session.session import Session
from pychat_client.ui.front_end import FrontEnd


class HeadlessView(FrontEnd):
    """A front end without a screen."""

    def __init__(self) -> None:
        self._changed = asyncio.Event()
        self._session: Session | None = None

    def alert(self, words: str, *, ring: bool) -> None:
        """Writes nothing more than the line for the event itself."""

    def refresh(self) -> None:
        self._changed.set()

    def stop(self) -> None:
        self._changed.set()

    async def _until(self, condition: Callable[[], bool]) -> None:
        """Waits for `condition`, or until the session is done."""
        assert self._session is not None
        while not (condition() or self._session.done):
            self._changed.clear()
            await self._changed.wait()
