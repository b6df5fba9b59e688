"""Writes files that survive a power failure, and that only this user can read."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path

from pychat_client.errors import PychatError

_CANNOT_SYNC = (errno.EINVAL, errno.EACCES)
"""The errors of a file system that cannot sync directories, and of a directory that we may not read."""


def make_directory(path: Path, mode: int = 0o700) -> None:
    """Makes a directory, and the missing ones above it (0755); all survive a power failure. Raises OSError.

    A directory that exists is synced too: the program that made it may have died before its sync.
    """
    if not path.is_dir():
        make_directory(path.parent, 0o755)
        path.mkdir(mode=mode, exist_ok=True)
    sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Makes changes in a directory (files made, renamed, removed) survive a power failure. Raises OSError."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
    except OSError as error:
        if error.errno not in _CANNOT_SYNC:
            raise


def write_private(path: Path, data: bytes, what: str) -> None:
    """Writes `data` to `path` (0600, its directory 0700): all of it or nothing. On return it survives a power
    failure. `what` names the file in an error. Raises PychatError."""
    try:
        make_directory(path.parent)
        fd, new = tempfile.mkstemp(prefix=f"{path.name}.", dir=path.parent)  # 0600
        try:
            with os.fdopen(fd, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(fd)
            Path(new).replace(path)
        except OSError:
            Path(new).unlink()
            raise
        sync_directory(path.parent)
    except OSError as error:
        raise PychatError(f"Cannot write the {what} to {path}: {error.strerror}.") from None


def make_sure(path: Path) -> None:
    """Makes a file that exists survive a power failure: the program that made it may have died before it synced
    the directory. Raises PychatError."""
    try:
        sync_directory(path.parent)
    except OSError as error:
        raise PychatError(f"Cannot sync the directory {path.parent}: {error.strerror}.") from None
