"""Long work on the journal, done in pieces: between two of them the service does what it is there for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from pychatd.conversation.model import JournalError

TIDYING_PAUSE = 0.02
"""Seconds between two pieces: several times as long as one piece takes."""

Job = Callable[[], bool]
"""Does the next piece, and returns whether there are more. Raises JournalError."""


class Tidying:
    """Owns the work that is not done yet. What fails is given up, until somebody starts it again; the journal
    tells what is left."""

    def __init__(self, failed: Callable[[JournalError], None]) -> None:
        """failed: told the error of a piece that was done later."""
        self._failed = failed
        self._jobs: dict[object, Job] = {}
        self._timer: asyncio.TimerHandle | None = None

    def start(self, what: object, job: Job) -> None:
        """Does the first piece now, and the others later, in place of what is left of the same job. Raises
        JournalError."""
        self._jobs.pop(what, None)
        if job():
            self._jobs[what] = job
            self._wait()

    def stop(self) -> None:
        self._jobs.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _wait(self) -> None:
        if self._jobs and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(TIDYING_PAUSE, self._go_on)

    def _go_on(self) -> None:
        self._timer = None
        if not self._jobs:  # the last one was started again meanwhile, and is done
            return
        try:
            self.start(*next(iter(self._jobs.items())))
        except JournalError as error:
            self._failed(error)
        finally:
            self._wait()
