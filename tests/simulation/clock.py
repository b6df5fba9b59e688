"""Virtual time: an event loop that never sleeps, and has no sockets to wait for.

Nothing but timers wakes it, so it jumps to the next one: an hour of silence costs nothing, and the same
run takes the same steps however busy the machine is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any

START = 1000.0
"""Seconds at the start of a run; any number will do but those that code might take for "never"."""

TURN = 1e-6
"""Seconds that a turn of the loop takes at least, as on a real machine: so nothing can stop time."""


class Killed(BaseException):
    """The daemon has died in the middle of what it did: nobody in it may catch this."""


class VirtualLoop(asyncio.BaseEventLoop):
    """An event loop on virtual time. `defects`: what callbacks have raised behind everybody's back."""

    def __init__(self) -> None:
        super().__init__()
        self.defects: list[str] = []
        self._now = START
        self._selector = self  # whom asyncio asks to wait
        self.set_exception_handler(lambda _, context: self._note_defect(context))

    def time(self) -> float:
        return self._now

    def select(self, timeout: float | None) -> Sequence[object]:
        """Instead of waiting."""
        if timeout is None:
            raise RuntimeError("everybody waits, and nothing is going to happen")
        self._now += max(timeout, TURN)
        return ()

    def _process_events(self, event_list: Sequence[object]) -> None:
        """There are none."""

    def _write_to_self(self) -> None:
        """Nobody waits who would have to be woken."""

    def _note_defect(self, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if not isinstance(error, Killed):
            self.defects.append(f"{context['message']}: {error!r}")


def run(main: Coroutine[Any, Any, None]) -> None:
    """Runs `main` on virtual time. Raises AssertionError for what callbacks have raised."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(main)
        loop = runner.get_loop()
        assert isinstance(loop, VirtualLoop)
        assert not loop.defects, loop.defects
