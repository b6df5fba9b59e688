"""Virtual time: an event loop that never sleeps, and has no sockets to wait for.

Nothing but timers wakes it, so it jumps to the next one: an hour of silence costs nothing, and the same
run takes the same steps however busy the machine is. It replaces asyncio's turn of the loop by one that does only
what is needed here: most of a run is timers.

What is ready in one turn is done in any order, that of the seed. Now and then the machine is slow: what comes due
in the meantime is ready in the same turn. So any two events that can be ready together happen either way.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context
from functools import partial
from heapq import heappop, heappush
from itertools import count
from random import Random
from typing import Any, TypeVarTuple

START = 1000.0
"""Seconds at the start of a run; any number will do but those that code might take for "never"."""

TURN = 1e-6
"""Seconds that a turn of the loop takes at least, as on a real machine: so nothing can stop time."""

SLOW_TURNS, SLOWNESS = 0.1, 0.02
"""The share of turns that begin late, and seconds by which they do at most: about what a piece of bytes takes, so
that what was sent before is ready as well."""


_Ts = TypeVarTuple("_Ts")


class Killed(BaseException):
    """The daemon has died in the middle of what it did: nobody in it may catch this."""


class VirtualLoop(asyncio.BaseEventLoop):
    """An event loop on virtual time. `defects`: what callbacks have raised behind everybody's back."""

    def __init__(self, seed: int = 0) -> None:
        """seed: of the order in which things happen."""
        super().__init__()
        self._chance = Random(seed)
        self.defects: list[str] = []
        self._now = START
        self._ready: deque[asyncio.Handle]  # asyncio's own: what `call_soon` was given
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []  # a heap
        self._numbers = count()  # of the timers: those of one moment go in their order
        self.set_exception_handler(lambda _, context: self._note_defect(context))

    def time(self) -> float:
        return self._now

    def call_at(
        self, when: float, callback: Callable[[*_Ts], object], *args: *_Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        timer = asyncio.TimerHandle(when, callback, args, self, context)
        heappush(self._timers, (when, next(self._numbers), timer))
        return timer

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """It is passed over when its time comes."""

    def _run_once(self) -> None:
        """A turn of the loop: whoever is ready now, and whose time has come."""
        timers, ready = self._timers, self._ready
        self._now += TURN
        if not ready:
            while timers and timers[0][2].cancelled():
                heappop(timers)
            if not timers:
                raise RuntimeError("everybody waits, and nothing is going to happen")
            self._now = max(self._now, timers[0][0])
        if self._chance.random() < SLOW_TURNS:
            self._now += self._chance.random() * SLOWNESS
        while timers and timers[0][0] <= self._now:
            ready.append(heappop(timers)[2])
        if len(ready) > 1:
            self._chance.shuffle(ready)
        for _ in range(len(ready)):
            handle = ready.popleft()
            if not handle.cancelled():
                handle._run()

    def _write_to_self(self) -> None:
        """Nobody waits who would have to be woken."""

    def _note_defect(self, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if not isinstance(error, Killed):
            self.defects.append(f"{context['message']}: {error!r}")


def run(main: Coroutine[Any, Any, None], seed: int = 0) -> None:
    """Runs `main` on virtual time, in a seed's order. Raises AssertionError for what callbacks have raised."""
    with asyncio.Runner(loop_factory=partial(VirtualLoop, seed)) as runner:
        runner.run(main)
        loop = runner.get_loop()
        assert isinstance(loop, VirtualLoop)
        assert not loop.defects, loop.defects
