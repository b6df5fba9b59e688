"""The pidfile of a daemon that systemd has not started: its lock allows one daemon on a port."""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from pychat_client.errors import BusyError, PermissionDeniedError

ACQUIRE_SECONDS = 1.0
"""How long to retry while the lock is held but the pidfile is empty: `status` and `stop` lock it briefly."""


class Pidfile:
    """A pidfile with a lock of flock(2): the file that a killed daemon leaves behind stops no other one.

    Call `acquire` before detaching: the lock belongs to the open file and survives fork. Then enter the context
    in the process that stays; this writes its pid. Leaving the context removes the file.
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
            while True:
                fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
                try:
                    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    # The last holder may have removed the file meanwhile: then try again with the new one.
                    if os.path.samestat(os.fstat(fd), self.path.stat()):
                        break
                except FileNotFoundError:
                    pass
                except BlockingIOError:
                    pid = read_pid(self.path)
                    if pid is not None or time.monotonic() > patience:
                        os.close(fd)
                        raise BusyError(f"pychatd is already running, with pid {pid or 'unknown'}.") from None
                    time.sleep(0.01)  # another process is in read_pid
                os.close(fd)
        except OSError as error:
            raise PermissionDeniedError(f"Cannot write the pidfile {self.path}: {error.strerror}.") from None
        self._fd = fd

    def __enter__(self) -> Pidfile:
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, f"{os.getpid()}\n".encode(), 0)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(OSError):
            self.path.unlink()
        os.close(self._fd)


def read_pid(path: Path) -> int | None:
    """The pid of the process that holds the lock of a pidfile; None if no process does.

    Raises PermissionDeniedError.
    """
    try:
        with path.open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return int(file.read().strip() or 0) or None
    except PermissionError:
        raise PermissionDeniedError(f"Permission denied for the pidfile {path}.") from None
    except (OSError, ValueError):
        pass
    return None
