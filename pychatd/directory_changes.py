"""Tells when something in a directory comes or goes, without looking again and again.

Linux sends a process SIGIO for that (F_NOTIFY in fcntl(2)). inotify, which is newer, has no function in Python's
library. Knows nothing of services.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path


class DirectoryChanges:
    """Watches some directories."""

    def __init__(self) -> None:
        self._descriptors: list[int] = []
        self._changed = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGIO, self._changed.set)

    def watch(self, directories: Iterable[Path]) -> bool:
        """From now on watches these, or for one that is not there, where it would appear, until something changes.
        Returns whether the system tells of changes in all of them."""
        self._close()
        watched = [self._watch(directory) for directory in dict.fromkeys(map(_existing, directories))]
        return all(watched)

    def note(self) -> None:
        """Something has changed elsewhere."""
        self._changed.set()

    async def wait(self, seconds: float) -> bool:
        """Returns whether something has changed, since the last call, before so many seconds were over."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        changed = self._changed.is_set()
        self._changed.clear()
        return changed

    def close(self) -> None:
        self._close()
        asyncio.get_running_loop().remove_signal_handler(signal.SIGIO)

    def _close(self) -> None:
        for descriptor in self._descriptors:
            os.close(descriptor)
        self._descriptors = []

    def _watch(self, directory: Path) -> bool:
        if sys.platform != "linux":
            return False
        events = fcntl.DN_CREATE | fcntl.DN_DELETE | fcntl.DN_RENAME | fcntl.DN_MODIFY
        try:
            descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            self._descriptors.append(descriptor)
            fcntl.fcntl(descriptor, fcntl.F_NOTIFY, events)
        except OSError:  # we may not read it, or this kernel has no such thing
            return False
        return True


def _existing(directory: Path) -> Path:
    """`directory`, or the nearest one above it that is there, as far as we may see."""
    return next((path for path in (directory, *directory.parents) if _is_there(path)), directory)


def _is_there(directory: Path) -> bool:
    try:
        return directory.is_dir()
    except PermissionError:
        return False
