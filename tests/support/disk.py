"""What is asked of a disk, in which order, and what was on it by then."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest


class Disk:
    """Watches the syncs and renames of this process, and can let syncs fail."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.asked: list[tuple[str, Path, object]] = []
        """("sync", a file, its bytes), ("sync", a directory, its names), ("rename", to where, what was there)."""
        self.breaks: Callable[[Path], bool] = lambda path: False  # of what the sync fails, with EIO
        self._fsync, self._replace = os.fsync, os.replace
        patch.setattr(os, "fsync", self._sync)
        patch.setattr(os, "replace", self._rename)

    @property
    def directories(self) -> list[Path]:
        """The directories that were synced."""
        return [path for what, path, _ in self.asked if what == "sync" and path.is_dir()]

    def _sync(self, fd: int) -> None:
        path = Path("/proc/self/fd", str(fd)).readlink()
        self.asked.append(("sync", path, sorted(os.listdir(fd)) if path.is_dir() else path.read_bytes()))
        if self.breaks(path):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        self._fsync(fd)

    def _rename(self, source: str, target: str, *, src_dir_fd: int, dst_dir_fd: int) -> None:
        path = Path("/proc/self/fd", str(dst_dir_fd)).readlink() / target
        self.asked.append(("rename", path, path.read_bytes() if path.exists() else None))
        self._replace(source, target, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)
