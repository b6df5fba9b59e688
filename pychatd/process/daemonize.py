"""The process: daemonizing, the pidfile, logs, and systemd (its sockets, its watchdog, its notices).

Everything that can go wrong at a start goes wrong before the process detaches, so that it reaches
the terminal with an exit status. Knows nothing of chat.
"""

from __future__ import annotations

import fcntl
import logging
import os
import resource
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from pychat_client.errors import BusyError, ExitStatus, PermissionDeniedError, PychatError, UsageError

FILES_MAX = 4096
"""Open files: a line needs a hundred. python-daemon 2.3 makes a set of all possible ones, and closes each."""

PASSED_FIRST = 3
"""The first of the descriptors that systemd passes (sd_listen_fds(3))."""

ACQUIRE_SECONDS = 1.0
"""How long a lock may be held by nobody we can name: `status` and `stop` take it for an instant."""

log = logging.getLogger("pychatd")


class Pidfile:
    """A pidfile held by flock(2): what a killed daemon leaves behind locks nobody out.

    `acquire` before detaching (the lock belongs to the open file and survives fork), then enter the
    context in the process that stays, which writes its pid; leaving removes the file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd = -1

    def fileno(self) -> int:
        return self._fd

    def acquire(self) -> None:
        """Takes the lock. Raises BusyError with the holder's pid, PermissionDeniedError."""
        patience = time.monotonic() + ACQUIRE_SECONDS
        try:
            while True:
                fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
                try:
                    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    # Whoever held it may have removed it meanwhile: then this lock is on no file any more.
                    if os.path.samestat(os.fstat(fd), self.path.stat()):
                        break
                except FileNotFoundError:
                    pass
                except BlockingIOError:
                    pid = read_pid(self.path)
                    if pid is not None or time.monotonic() > patience:
                        os.close(fd)
                        raise BusyError(f"pychatd runs already, with pid {pid or 'unknown'}.") from None
                    time.sleep(0.01)  # read_pid of another process has it for an instant
                os.close(fd)
        except OSError as error:
            raise PermissionDeniedError(f"The pidfile {self.path} cannot be written: {error.strerror}.") from None
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
    """The pid in a pidfile whose lock is held; None where nobody holds it. Raises PermissionDeniedError."""
    try:
        with path.open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return int(file.read().strip() or 0) or None
    except PermissionError:
        raise PermissionDeniedError(f"The pidfile {path} is not yours to read.") from None
    except (OSError, ValueError):
        pass
    return None


# ------------------------------------------------------------------ start


def detach(pidfile: Pidfile, keep: Iterable[int], serve: Callable[[Callable[[], None]], int]) -> int:
    """Runs `serve(ready)` in a daemon of its own (python-daemon); returns when it has called ready().

    keep: file descriptors that stay open. Returns ExitStatus.OK here once the daemon serves; when it fails
    before, prints its sentence and returns its status. In the daemon it never returns.
    """
    reader, writer = os.pipe()
    if os.fork():
        os.close(writer)
        with os.fdopen(reader, encoding="utf-8") as report:
            word, _, sentence = report.read().partition(" ")
        if word == "ready":
            return ExitStatus.OK
        print(f"pychatd: {sentence or 'The daemon ended while it started; see the system log.'}", file=sys.stderr)
        return int(word or ExitStatus.FAILED)
    os.close(reader)
    try:
        status = _serve_detached(pidfile, keep, serve, writer)
    except PychatError as error:
        _report(writer, f"{int(error.status)} {error}")
        status = error.status
    except Exception:
        log.exception("The daemon failed")
        status = ExitStatus.FAILED
    logging.shutdown()
    os._exit(status)


def _serve_detached(
    pidfile: Pidfile, keep: Iterable[int], serve: Callable[[Callable[[], None]], int], writer: int
) -> int:
    limit_files()  # before the import: python-daemon counts what may be open then
    from daemon import DaemonContext

    context = DaemonContext(
        working_directory="/",
        umask=0o077,
        detach_process=True,
        files_preserve=[*keep, pidfile.fileno(), writer],
        pidfile=pidfile,
        signal_map={signal.SIGTSTP: None, signal.SIGTTIN: None, signal.SIGTTOU: None},
    )
    with context:
        return serve(lambda: _report(writer, "ready "))


def _report(writer: int, words: str) -> None:
    with suppress(OSError):  # who started us is gone, or has had its answer
        os.write(writer, words.encode())
        os.close(writer)


def limit_files() -> None:
    """Allows no more open files than a line can need."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY or hard > FILES_MAX:
        resource.setrlimit(resource.RLIMIT_NOFILE, (FILES_MAX, FILES_MAX))


# ------------------------------------------------------------------ logs


def log_to_syslog(path: Path, port: int) -> None:
    """Sends the log to the syslog socket at `path` (RFC 3164 over a UNIX datagram socket)."""
    from pychatd.process.syslog import handler

    _log_to(handler(path, f"pychatd@{port}[{os.getpid()}]: "), "%(message)s")


def log_to_stderr() -> None:
    """Sends the log to stderr; with systemd's priority in front where systemd reads it (sd-daemon(3))."""
    _log_to(logging.StreamHandler(), "%(prefix)s%(message)s" if _in_journal() else "%(levelname)s %(message)s")


def _in_journal() -> bool:
    """Whether stderr is the stream that JOURNAL_STREAM names (systemd.exec(5)): a program on a terminal of
    the session, or with a file there, inherits the variable too."""
    try:
        stream = os.fstat(2)
    except OSError:  # closed
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{stream.st_dev}:{stream.st_ino}"


def _log_to(handler: logging.Handler, layout: str) -> None:
    priorities = {"DEBUG": 7, "INFO": 6, "WARNING": 4, "ERROR": 3, "CRITICAL": 2}

    def add_prefix(record: logging.LogRecord) -> bool:
        record.prefix = f"<{priorities.get(record.levelname, 6)}>"
        return True

    handler.addFilter(add_prefix)
    handler.setFormatter(logging.Formatter(layout))
    logging.raiseExceptions = False  # a syslog that went away must not write tracebacks
    log.handlers[:] = [handler]
    log.setLevel(logging.INFO)
    log.propagate = False


# ------------------------------------------------------------------ systemd


def passed_sockets() -> list[socket.socket]:
    """The listening sockets that systemd has made for this process (sd_listen_fds(3)).

    What tells of them is removed from the environment, and no program started from here inherits them.
    Raises UsageError for a descriptor that is no listening stream socket.
    """
    pid, count, _ = (os.environ.pop(name, "") for name in ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"))
    if pid != str(os.getpid()) or not count.isdecimal():
        return []
    passed: list[socket.socket] = []
    for fd in range(PASSED_FIRST, PASSED_FIRST + int(count)):
        try:
            os.set_inheritable(fd, False)
            sock = socket.socket(fileno=fd)
            listens = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
        except OSError as error:
            raise UsageError(f"Descriptor {fd} of systemd is no socket: {error.strerror}.") from None
        if sock.type != socket.SOCK_STREAM or not listens:
            raise UsageError(f"Descriptor {fd} of systemd is not from ListenStream= with Accept=no.")
        passed.append(sock)
    return passed


def watchdog_seconds() -> float | None:
    """After which silence of ours systemd takes us for hung (sd_watchdog_enabled(3)); None for never."""
    usec = os.environ.get("WATCHDOG_USEC", "")
    if os.environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    return int(usec) / 1e6 if usec.isdecimal() and int(usec) > 0 else None


def notify(*words: str) -> None:
    """Tells systemd about the service (sd_notify(3)): one datagram; nothing outside systemd."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
        sock.sendto("\n".join(words).encode(), address)
