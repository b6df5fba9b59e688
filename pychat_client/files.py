"""Writes files that survive a power failure, and that only this user can read.

A link that the user has set is written through: the file behind it changes, and keeps its mode. What is no regular
file of this user is left as it is, and is an error.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import struct
import sys
from pathlib import Path

from pychat_client import safe_paths
from pychat_client.errors import PychatError
from pychat_client.safe_paths import DirectoryEntry, directory_of, entry_of

PRIVATE = 0o600

_LOCK, _LOCK_FIELDS = (
    (struct.Struct("@hhqqi"), ("type", "whence", "start", "length", "pid"))
    if sys.platform in ("linux", "android")
    else (struct.Struct("@qqihh"), ("start", "length", "pid", "type", "whence"))
)
"""The struct flock of this system: Linux's or a BSD's (fcntl(2))."""

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_OLD = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # a FIFO must not make us wait


def make_directory(path: Path, mode: int = 0o700) -> None:
    """Makes a directory, and the missing ones above it (0755); all survive a power failure. Raises OSError.

    A directory that exists is synced too: the program that made it may have died before its sync.
    """
    with directory_of(path, mode=mode):
        pass


def write_private(path: Path, data: bytes, what: str) -> None:
    """Writes `data` to `path` (0600, its directory 0700): all of it or nothing. On return it survives a power
    failure. `what` names the file in an error. Raises PychatError."""
    try:
        make_directory(path.parent)
        with entry_of(path) as entry:
            mode = _mode(entry)
            new = f"{entry.name}.{os.urandom(8).hex()}"
            fd = os.open(new, _NEW, PRIVATE, dir_fd=entry.directory)
            try:
                _fill(fd, data, mode)
                os.replace(new, entry.name, src_dir_fd=entry.directory, dst_dir_fd=entry.directory)
            except OSError:
                os.unlink(new, dir_fd=entry.directory)
                raise
            safe_paths.sync(entry.directory)
    except OSError as error:
        raise PychatError(f"Cannot write the {what} to {path}: {error.strerror}.") from None


def _fill(fd: int, data: bytes, mode: int) -> None:
    with os.fdopen(fd, "wb") as file:
        os.fchmod(fd, mode)
        file.write(data)
        file.flush()
        os.fsync(fd)


def _mode(entry: DirectoryEntry) -> int:
    """The mode of the file that replaces the one in `entry`. Raises PermissionError if that may not be done."""
    try:
        status = os.stat(entry.name, dir_fd=entry.directory, follow_symlinks=False)
    except FileNotFoundError:
        return PRIVATE
    _check_own(status, entry)
    return stat.S_IMODE(status.st_mode) if entry.linked else PRIVATE


def read_file(path: Path, limit: int = -1) -> bytes:
    """All of a file, or its first `limit` bytes; nothing of a device, such as /dev/null. Raises OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        mode = os.fstat(fd).st_mode
        if stat.S_ISCHR(mode):
            return b""
        if not stat.S_ISREG(mode):
            raise PermissionError(errno.EPERM, "it is not a regular file")
        with os.fdopen(fd, "rb", closefd=False) as file:
            return file.read(limit)
    finally:
        os.close(fd)


def open_own(path: Path, flags: int, mode: int = PRIVATE) -> int:
    """A descriptor of a file of this user, opened with `flags`. With O_CREAT it is made, and its directory too.

    Other users keep no rights that `mode` does not give, unless the file has other names (links), and so other
    uses. Raises OSError; PermissionError for anything but a regular file of this user.
    """
    if flags & os.O_CREAT:
        make_directory(path.parent)
    with entry_of(path) as entry:
        fd = os.open(entry.name, flags | _OLD, mode, dir_fd=entry.directory)
        try:
            status = os.fstat(fd)
            _check_own(status, entry)
            if status.st_mode & 0o777 & ~mode and not entry.linked and status.st_nlink == 1:
                os.fchmod(fd, mode)
        except OSError:
            os.close(fd)
            raise
    return fd


def _check_own(status: os.stat_result, entry: DirectoryEntry) -> None:
    """Raises PermissionError for anything but a regular file of this user."""
    if not stat.S_ISREG(status.st_mode):
        raise PermissionError(errno.EPERM, "it is not a regular file")
    if not entry.alone:
        safe_paths.check_owner(status)


def make_sure(path: Path) -> None:
    """Makes it survive a power failure that a file is there, or is gone: the program that made it may have died
    before it synced the directory. Raises PychatError."""
    try:
        with entry_of(path) as entry:
            safe_paths.sync(entry.directory)
    except OSError as error:
        raise PychatError(f"Cannot sync the directory {path.parent}: {error.strerror}.") from None


def lock_holder(fd: int) -> int | None:
    """The pid of the process that has locked the file (lockf): the kernel says it. None if no process has."""
    question = _LOCK.pack(*(fcntl.F_WRLCK if name == "type" else 0 for name in _LOCK_FIELDS))
    answer = dict(zip(_LOCK_FIELDS, _LOCK.unpack(fcntl.fcntl(fd, fcntl.F_GETLK, question)), strict=True))
    return int(answer["pid"]) if answer["type"] != fcntl.F_UNLCK and answer["pid"] > 0 else None
