"""The watchers of one service: tells all of them what happens, and sends each in turn what is unread.

They get their turns one by one, and between two of them the daemon serves everybody else. So a talk waits for one
small piece at most, however many watch and whatever they ask for. Knows no connections; the watchers own them.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence

from pychat_client.protocol import wire
from pychatd.conversation.interfaces import WatcherInterface
from pychatd.conversation.token_bucket import TokenBucket

OF_ONE_USER = 4
"""Watchers of one user: one on a terminal, one in the background, one of a program, and one more. Further ones are
refused, so that they do not put each other out at the console's socket, which has places for all users."""

SHARE = 0.1
"""Of a processor, for the turns of all watchers together."""

BURST = 0.02
"""Seconds of a processor that the turns may take at once after a pause: what has just come is told at once."""


class Watchers:
    """Those that are connected."""

    def __init__(self) -> None:
        self._watchers: dict[WatcherInterface, None] = {}
        self._waiting: dict[WatcherInterface, None] = {}  # for a turn, in this order
        self._account = TokenBucket()  # seconds of a processor
        self._next: asyncio.Handle | None = None  # the next turn

    def __len__(self) -> int:
        return len(self._watchers)

    def __iter__(self) -> Iterator[WatcherInterface]:
        """As they are now: one that is told something may go."""
        return iter(list(self._watchers))

    def is_crowded(self, uid: int) -> bool:
        """Whether a user has as many watchers as one may have."""
        return sum(watcher.uid == uid for watcher in self._watchers) >= OF_ONE_USER

    def add(self, watcher: WatcherInterface) -> None:
        self._watchers[watcher] = None

    def discard(self, watcher: WatcherInterface) -> None:
        self._watchers.pop(watcher, None)
        self._waiting.pop(watcher, None)

    def tell(self, frames: Sequence[wire.Frame]) -> None:
        for watcher in self:
            watcher.tell(frames)

    def send_unread(self) -> None:
        """There may be new messages that nobody is there to read."""
        for watcher in self:
            watcher.send_unread()

    def wait_for_turn(self, watcher: WatcherInterface) -> None:
        """Something may be unread for `watcher`."""
        self._waiting.setdefault(watcher)
        if self._next is None:
            self._next = asyncio.get_running_loop().call_soon(self._take_turn)

    def stop(self) -> None:
        self._waiting.clear()
        if self._next is not None:
            self._next.cancel()
            self._next = None

    def _take_turn(self) -> None:
        self._next = None
        if not self._waiting:
            return
        loop = asyncio.get_running_loop()
        watcher = next(iter(self._waiting))
        del self._waiting[watcher]
        begin = time.thread_time()
        watcher.take_turn()
        rest = self._account.spend(time.thread_time() - begin, SHARE, BURST, loop.time())
        if self._next is not None:
            self._next.cancel()
        self._next = loop.call_later(rest, self._take_turn)
