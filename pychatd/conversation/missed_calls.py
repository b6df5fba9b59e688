"""The calls without a message that no console knows of, as the daemon and the journal have them.

To store one costs a sync, and everybody who can call can cause one. So the first is stored at once, and those that
follow soon are stored together.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator

from pychatd.conversation.journal import Journal
from pychatd.conversation.model import JournalError, MissedCall

MISSED_MAX = 20
"""Missed calls that the next console is told of, the newest ones: as many as fit on a screen. The log has all."""

STORE_SECONDS = 1.0
"""Seconds between two syncs. A daemon that is killed forgets the calls of so long, or tells of them again."""


class MissedCalls:
    """Those of one service, oldest first."""

    def __init__(self, journal: Journal, failed: Callable[[JournalError], None]) -> None:
        """failed: told why they could not be stored. Raises JournalError."""
        self._journal = journal
        self._failed = failed
        self._calls = deque(journal.missed_calls(), maxlen=MISSED_MAX)
        self._stored = tuple(self._calls)
        self._timer: asyncio.TimerHandle | None = None  # until they may be stored again

    def __len__(self) -> int:
        return len(self._calls)

    def __iter__(self) -> Iterator[MissedCall]:
        return iter(self._calls)

    def add(self, call: MissedCall) -> None:
        self._calls.append(call)
        self._changed()

    def clear(self) -> None:
        """A console knows of all of them."""
        self._calls.clear()
        self._changed()

    def stop(self) -> None:
        """Stores what is not stored yet."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._store()

    def _changed(self) -> None:
        if self._timer is None and self._store():
            self._timer = asyncio.get_running_loop().call_later(STORE_SECONDS, self._waited)

    def _waited(self) -> None:
        self._timer = None
        self._changed()

    def _store(self) -> bool:
        """Returns whether there was something to store."""
        calls = tuple(self._calls)
        if calls == self._stored:
            return False
        self._stored = calls
        try:
            self._journal.save_missed_calls(calls)
        except JournalError as error:  # a restart forgets them, or tells of them again
            self._failed(error)
        return True
