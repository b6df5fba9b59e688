"""The pidfile of a daemon that systemd has not started: its lock allows one daemon on a port.

A second lock (fcntl(2)) tells who the daemon is: the kernel names its process. The number in the file is for
people, and could be that of any process.
"""

from __future__ import annotations

import fcntl
import os
import stat
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from pychat_client.errors import BusyError, PermissionDeniedError
from pychat_client.files import lock_holder, open_own
from pychat_client.safe_paths import entry_of

ACQUIRE_SECONDS = 1.0
"""How long to retry while the lock is held, but by no daemon yet: one that starts takes the second lock soon, and
the socket unit of systemd holds the first one briefly."""


class Pidfile:
    """A pidfile with a lock of flock(2): the file that a killed daemon leaves behind stops no other one.

    Call `acquire` before detaching: the lock belongs to the open file and survives fork. Then enter the context
    in the process that stays; this writes its pid. Leaving the context removes the file, and its directory.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd = -1

    def fileno(self) -> int:
        return self._fd

    def acquire(self) -> None:
        """Takes the lock. Raises BusyError with the holder's pid, or PermissionDeniedError."""
        patience = time.monotonic() + ACQUIRE_SECONDS
        try:
            while not self._try():
                pid = holder(self.path)
                if pid is not None or time.monotonic() > patience:
                    raise BusyError(f"pychatd is already running, with pid {pid or 'unknown'}.")
                time.sleep(0.01)
        except OSError as error:
            raise PermissionDeniedError(f"Cannot write the pidfile {self.path}: {error.strerror}.") from None

    def _try(self) -> bool:
        """Whether the lock is ours now. The last holder may remove the file, and its directory, meanwhile."""
        fd = -1
        try:
            fd = open_own(self.path, os.O_RDWR | os.O_CREAT, 0o644)
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(fd), self.path.stat()):
                self._fd = fd
                return True
        except (FileNotFoundError, BlockingIOError):
            pass
        if fd >= 0:
            os.close(fd)
        return False

    def __enter__(self) -> Pidfile:
        fcntl.lockf(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)  # first: a number without a lock is a dead daemon's
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, f"{os.getpid()}\n".encode(), 0)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def release(self) -> None:
        """Removes the file and its directory, if nothing else is in it, and gives up the lock."""
        with suppress(OSError):
            self.path.unlink()
            self.path.parent.rmdir()
        os.close(self._fd)


def holder(path: Path) -> int | None:
    """The pid of the daemon whose pidfile is at `path`; None if there is no daemon.

    Raises PermissionDeniedError, also where another user can have put the file.
    """
    try:
        with entry_of(path) as entry:
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            fd = os.open(entry.name, flags, dir_fd=entry.directory)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise PermissionDeniedError(f"Cannot use the pidfile {path}: {error.strerror}.") from None
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
            raise PermissionDeniedError(f"Cannot use the pidfile {path}: it is not a regular file with one name.")
        return lock_holder(fd)
    finally:
        os.close(fd)


def is_left_behind(path: Path) -> bool:
    """Whether the daemon there has ended without removing its pidfile: it was killed, or the host went down.

    Raises PermissionDeniedError, as `holder` does.
    """
    return _has_number(path) and holder(path) is None and _has_number(path)  # the last daemon may remove it now


def _has_number(path: Path) -> bool:
    try:
        return path.lstat().st_size > 0
    except OSError:
        return False
