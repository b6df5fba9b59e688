"""Does what waits for the disk, one piece of work at a time: in a thread, so that the loop goes on, or at once.

Knows no file and no conversation.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue

from pychat_client.errors import PychatError

Work = Callable[[], None]
"""Raises PychatError when it fails. Another error is a fault of ours, and ends the work as well."""

Done = Callable[[PychatError | None], None]
"""Learns why the work has failed; None when it has not."""


class AtOnce:
    """Does the work while the loop waits. A thread would take longer than most syncs."""

    def start(self, work: Work, done: Done, patience: float = 0.0) -> None:
        """Does `work`, and then calls `done`."""
        done(_failure_of(work))

    def wait(self) -> None:
        """There is no work that is not done."""

    def forget(self) -> None:
        """There is no work that is not done."""

    def close(self) -> None:
        """There is nothing to end."""


class DiskThread(AtOnce):
    """Does the work in a thread, which starts with the first work. All methods are for the thread of the loop."""

    def __init__(self) -> None:
        self._work: SimpleQueue[Work | None] = SimpleQueue()
        self._results: SimpleQueue[PychatError | None] = SimpleQueue()
        self._done: Done | None = None  # of the present work
        self._started = False

    def start(self, work: Work, done: Done, patience: float = 0.0) -> None:
        """Does `work` in the thread, and then calls `done` in the loop: before this returns, if it takes no longer
        than `patience`, in seconds. Only when there is no other work."""
        self._done = done
        if not self._started:
            self._started = True
            loop = asyncio.get_running_loop()
            threading.Thread(target=self._run, args=[loop], daemon=True).start()
        self._work.put(work)
        if patience:
            with suppress(Empty):
                self._finish(self._results.get(timeout=patience))

    def wait(self) -> None:
        """Blocks until the present work is done, and has called its `done`."""
        if self._done is not None:
            self._finish(self._results.get())

    def forget(self) -> None:
        """Blocks until the present work is done, and does not call its `done`."""
        if self._done is not None:
            self._results.get()
            self._done = None

    def close(self) -> None:
        """Ends the thread, behind the present work."""
        self._work.put(None)

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        while (work := self._work.get()) is not None:
            self._results.put(_failure_of(work))
            with suppress(RuntimeError):  # the program ends, and the loop is closed
                loop.call_soon_threadsafe(self._collect)

    def _collect(self) -> None:
        """In the loop; `wait` may have been quicker."""
        if not self._results.empty():
            self._finish(self._results.get())

    def _finish(self, error: PychatError | None) -> None:
        done, self._done = self._done, None
        assert done is not None
        done(error)


def _failure_of(work: Work) -> PychatError | None:
    try:
        work()
    except PychatError as error:
        return error
    except Exception as error:  # a fault of ours: with its thread, everything would wait for ever
        return PychatError(f"The work for the disk has failed: {error!r}.")
    return None
