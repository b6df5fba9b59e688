"""The lines of an input that is no screen, so read that none of them vanishes when the program ends.

Knows nothing of what the lines mean.
"""

from __future__ import annotations

import asyncio
import codecs
import os
import select
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress

INPUT_LINE_MAX = 1 << 16
"""Bytes of a line, and of a read: much more than a message has. Of a longer line only the beginning is kept."""

LAST_READ_SECONDS = 2.0
"""How long the end waits for a read that has begun; only where another program reads too can that be longer."""


def hung_up(fd: int) -> bool:
    """Whether the other end of `fd` is gone."""
    poll = select.poll()
    poll.register(fd, 0)  # poll reports a hang-up without being asked
    return any(event & (select.POLLHUP | select.POLLERR) for _, event in poll.poll(0))


def is_cut(line: bytes) -> bool:
    """Whether a line of an input was too long: then this is its beginning, with its line feed."""
    return len(line.removesuffix(b"\n")) > INPUT_LINE_MAX


def _cut(line: bytes) -> bytes:
    """So much of a line that memory stays bounded, and that `is_cut` knows it."""
    return line[: INPUT_LINE_MAX + 1]


class InputLines:
    """The lines of a file descriptor, each with its line feed; the last one may have none.

    A thread reads them, because an event loop cannot wait for a regular file. It reads on when all have been
    taken, and ends with the process. Not through sys.stdin: a thread that waits in its buffer aborts Python's
    shutdown.
    """

    def __init__(self, fd: int, changed: Callable[[], None]) -> None:
        """changed: called in the event loop when more lines have arrived, or the end."""
        self._fd = fd
        self._is_terminal = os.isatty(fd)
        self._changed = changed
        self._lines: deque[bytes] = deque()
        self._begun = b""  # a line without its end
        self._at_start = True  # no line is complete yet
        self._closed = False  # nothing is read any more
        self._reading = threading.Lock()
        self._all_taken = threading.Semaphore(0)
        threading.Thread(target=self._run, args=(asyncio.get_running_loop(),), daemon=True).start()

    @property
    def arrived(self) -> bool:
        """Whether there is something to take."""
        return bool(self._lines)

    @property
    def hung_up(self) -> bool:
        """Whether the input is a terminal that is gone: its window or its connection is closed."""
        return self._is_terminal and hung_up(self._fd)

    def take(self) -> bytes:
        """The next line; empty at the end of the input."""
        line = self._lines.popleft()
        if not self._lines:
            self._all_taken.release()
        return line

    def close(self) -> list[bytes]:
        """Reads nothing more; returns the lines that were read and not taken."""
        held = self._reading.acquire(timeout=LAST_READ_SECONDS)
        self._closed = True
        if held:
            self._reading.release()
        return [line for line in (*self._lines, self._begun) if line]

    # -------------------------------------------------------------- in the thread

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        with suppress(RuntimeError):  # the loop is closed
            while self._read():
                if self._lines:
                    loop.call_soon_threadsafe(self._changed)
                    self._all_taken.acquire()
            loop.call_soon_threadsafe(self._changed)

    def _read(self) -> bool:
        """Reads once; False when there is nothing more to read. What was read is in `_lines` before anybody can
        ask whether something was left."""
        with suppress(OSError, ValueError):  # a terminal that went away: the read finds its end
            select.select([self._fd], [], [])
        with self._reading:
            if self._closed:
                return False
            try:
                data = os.read(self._fd, INPUT_LINE_MAX)
            except BlockingIOError:  # another program has set that, and has read what there was
                return True
            except OSError:
                data = b""
            self._split(data)
            return bool(data)

    def _split(self, data: bytes) -> None:
        """Makes lines of what was read; nothing is the end."""
        arrived = self._begun + data
        if self._at_start:  # some editors put a mark in front of UTF-8, which is no text
            arrived = arrived.removeprefix(codecs.BOM_UTF8)
        *lines, begun = arrived.split(b"\n")
        self._at_start = self._at_start and not lines
        self._lines.extend(_cut(line) + b"\n" for line in lines)
        self._begun = _cut(begun)
        if not data:
            self._lines.extend([self._begun, b""] if self._begun else [b""])
            self._begun = b""
