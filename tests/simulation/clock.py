"""Virtual time: an event loop that never sleeps, and has no sockets to wait for.

Nothing but timers wakes it, so it jumps to the next one: an hour of silence costs nothing, and the same
run takes the same steps however busy the machine is. It replaces asyncio's turn of the loop by one that does only
what is needed here: most of a run is timers.

What is ready in one turn is done in any order, that of the seed. Now and then the machine is slow: what comes due
in the meantime is ready in the same turn. So any two events that can be ready together happen either way.
"""

from __future__ import annotations

import asyncio
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


class Callback(asyncio.TimerHandle):
    """A callback that waits for its turn, or for its time: asyncio's, without the context and the help to debug
    that no run needs. A run makes tens of thousands of them."""

    __slots__ = ()

    def __init__(self, callback: Callable[..., object], args: tuple[Any, ...]) -> None:
        self._callback, self._args, self._cancelled = callback, args, False

    def cancel(self) -> None:
        self._cancelled = True


class VirtualLoop(asyncio.BaseEventLoop):
    """An event loop on virtual time. `defects`: what callbacks have raised behind everybody's back."""

    def __init__(self, seed: int = 0) -> None:
        """seed: of the order in which things happen."""
        super().__init__()
        self._chance = Random(seed)
        self.defects: list[str] = []
        self._now = START
        self._turn: list[Callback] = []  # what `call_soon` was given
        self._timers: list[tuple[float, int, Callback]] = []  # a heap
        self._numbers = count()  # of the timers: those of one moment go in their order
        self.set_exception_handler(lambda _, context: self._note_defect(context))

    def time(self) -> float:
        return self._now

    def call_at(
        self, when: float, callback: Callable[[*_Ts], object], *args: *_Ts, context: Context | None = None
    ) -> Callback:
        waiting = Callback(callback, args)
        heappush(self._timers, (when, next(self._numbers), waiting))
        return waiting

    def call_later(
        self, delay: float, callback: Callable[[*_Ts], object], *args: *_Ts, context: Context | None = None
    ) -> Callback:
        waiting = Callback(callback, args)
        heappush(self._timers, (self._now + delay, next(self._numbers), waiting))
        return waiting

    def call_soon(
        self, callback: Callable[[*_Ts], object], *args: *_Ts, context: Context | None = None
    ) -> Callback:
        waiting = Callback(callback, args)
        self._turn.append(waiting)
        return waiting

    def _run_once(self) -> None:
        """A turn of the loop: whoever is ready now, and whose time has come."""
        timers, turn, chance = self._timers, self._turn, self._chance
        self._turn = []  # what is ready next
        self._now += TURN
        if not turn:
            while timers and timers[0][2]._cancelled:
                heappop(timers)
            if not timers:
                raise RuntimeError("everybody waits, and nothing is going to happen")
            self._now = max(self._now, timers[0][0])
        if chance.random() < SLOW_TURNS:
            self._now += chance.random() * SLOWNESS
        while timers and timers[0][0] <= self._now:
            turn.append(heappop(timers)[2])
        if len(turn) > 1:
            chance.shuffle(turn)
        for waiting in turn:
            if not waiting._cancelled:
                self._do(waiting)

    def _do(self, waiting: Callback) -> None:
        try:
            waiting._callback(*waiting._args)
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as error:  # as asyncio does
            context = {"message": f"Exception in callback {waiting._callback}", "exception": error}
            self.call_exception_handler(context)

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
