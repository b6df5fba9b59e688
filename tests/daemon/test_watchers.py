"""Watchers get their turns one by one, and all together no more than their share of a processor."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from pychat_client.protocol import wire
from pychatd.conversation.watchers import BURST, SHARE, Watchers
from tests.support.aio import in_loop


class _Watcher:
    """One that works for some time in each turn, and wants many."""

    uid = 1000

    def __init__(self, watchers: Watchers, turns: list[str], name: str, wants: int, works: float = 0.0) -> None:
        self._watchers, self._turns = watchers, turns
        self._name, self._wants, self._works = name, wants, works

    def tell(self, frames: Sequence[wire.Frame]) -> None:
        self._watchers.discard(self)

    def tell_ring(self) -> None: ...

    def tell_read(self) -> None: ...

    def begin_anew(self) -> None: ...

    def send_unread(self) -> None:
        self._watchers.wait_for_turn(self)

    def take_turn(self) -> None:
        end = time.thread_time() + self._works
        while time.thread_time() < end:
            pass
        self._turns.append(self._name)
        self._wants -= 1
        if self._wants:
            self.send_unread()

    def close(self, frames: Sequence[wire.Frame]) -> None: ...


async def _until(turns: list[str], count: int) -> None:
    while len(turns) < count:
        await asyncio.sleep(0)


@in_loop
async def test_each_has_its_turn_and_others_are_served_between_two() -> None:
    watchers, turns = Watchers(), list[str]()
    for name, wants in (("a", 3), ("b", 1), ("c", 2)):
        watchers.add(_Watcher(watchers, turns, name, wants))
    watchers.send_unread()
    assert not turns
    seen = set()
    while len(turns) < 6:
        seen.add(len(turns))
        await asyncio.sleep(0)
    assert turns == ["a", "b", "c", "a", "c", "a"]
    assert seen == set(range(6))


@in_loop
async def test_all_together_take_no_more_than_their_share() -> None:
    watchers, turns, works, count = Watchers(), list[str](), 0.005, 6
    for name in "ab":
        watchers.add(_Watcher(watchers, turns, name, count, works))
    begin = time.monotonic()
    watchers.send_unread()
    await _until(turns, 2 * count)
    assert time.monotonic() - begin >= ((2 * count - 1) * works - BURST) / SHARE * 0.9


@in_loop
async def test_one_that_goes_when_it_is_told_something_waits_no_longer() -> None:
    watchers, turns = Watchers(), list[str]()
    for name in "ab":
        watchers.add(_Watcher(watchers, turns, name, 1))
    watchers.send_unread()
    watchers.tell([wire.Away()])
    assert not watchers
    await asyncio.sleep(0.01)
    assert not turns
