"""Where the daemon's log goes: the system log's socket, systemd's journal, or stderr."""

from __future__ import annotations

import logging
import os
import socket
import sys
from contextlib import suppress
from pathlib import Path

from pychatd.caller_events import Event
from pychatd.process.log_limit import LogLimit

SYSTEMD_JOURNAL = "/run/systemd/journal/socket"
"""Where systemd's journal takes lines with fields."""

PRIORITIES = {"DEBUG": 7, "INFO": 6, "WARNING": 4, "ERROR": 3, "CRITICAL": 2}

log = logging.getLogger("pychatd")
_limit = LogLimit()


def log_to_syslog(path: Path, port: int) -> StartWarnings:
    """Sends the log to the syslog socket at `path` (RFC 3164 over a UNIX datagram socket). Returns what keeps its
    warnings from now on, such as that nobody reads there."""
    _log_to(_syslog_handler(path, f"pychatd@{port}[{os.getpid()}]: "), "%(message)s")
    kept = StartWarnings()
    log.addHandler(kept)
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as trial:
            trial.connect(str(path))
    except OSError as error:
        log.warning(
            "The log of this service is lost, because nobody reads it at %s (%s): start a syslog daemon, or set "
            "'syslog' to the socket of one.",
            path,
            error.strerror or error,
        )
    return kept


class StartWarnings(logging.Handler):
    """Keeps the warnings and errors of a start, for the terminal of whoever starts the daemon."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.words: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.words.append(record.getMessage())

    def end(self) -> list[str]:
        """The start is over. Returns all that was kept."""
        log.removeHandler(self)
        return self.words


def log_to_stderr(port: int) -> None:
    """Sends the log to stderr; or to systemd's journal, if stderr is that."""
    if _in_journal():
        _log_to(_JournalHandler(port), "%(message)s")
    else:
        _log_to(logging.StreamHandler(), "%(levelname)s %(message)s")


def begin_minute() -> None:
    """To be called each minute: writes how many lines were too many in the minute before."""
    _limit.begin_minute()


class _JournalHandler(logging.Handler):
    """Sends lines with fields, in the native protocol of systemd's journal; PYCHAT_EVENT, PYCHAT_PEER and
    PYCHAT_PORT are for searches. If that fails, the line goes to stderr with its priority (sd-daemon(3))."""

    def __init__(self, port: int) -> None:
        super().__init__()
        self._port = port
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)

    def emit(self, record: logging.LogRecord) -> None:
        priority, message = PRIORITIES.get(record.levelname, 6), self.format(record)
        data = [_field("MESSAGE", message), f"PRIORITY={priority}\nSYSLOG_IDENTIFIER=pychatd\n".encode()]
        data += [_field(f"PYCHAT_{name}", text) for name, text in self._fields(record).items()]
        try:
            self._socket.sendto(b"".join(data), SYSTEMD_JOURNAL)
        except OSError:
            with suppress(OSError):
                print(f"<{priority}>{message}", file=sys.stderr, flush=True)

    def _fields(self, record: logging.LogRecord) -> dict[str, str]:
        """The fields of our own; those of a caller's event are from caller_events.note."""
        fields = {"PORT": str(self._port)}
        if isinstance(event := getattr(record, "event", None), Event):
            fields |= {"EVENT": event.value, "PEER": getattr(record, "peer", "")}
        if more := getattr(record, "more", None):
            fields["MORE"] = str(more)
        return fields


def _field(name: str, text: str) -> bytes:
    """One field of the journal's native protocol, which needs the length of what has several lines."""
    data = text.encode(errors="replace")
    if b"\n" not in data:
        return f"{name}=".encode() + data + b"\n"
    return name.encode() + b"\n" + len(data).to_bytes(8, "little") + data + b"\n"


def _syslog_handler(path: Path, ident: str) -> logging.Handler:
    """A handler for the syslog socket at `path`; each line begins with `ident`."""
    from logging.handlers import SysLogHandler  # 10 ms that `pychatd run` and `pychatd status` do not need

    class Syslog(SysLogHandler):
        """Drops lines instead of waiting: the daemon serves even if syslog hangs or is missing."""

        def _connect_unixsocket(self, address: str) -> None:
            super()._connect_unixsocket(address)  # type: ignore[misc]  # not in typeshed
            self.socket.setblocking(False)  # type: ignore[attr-defined]  # likewise

        def format(self, record: logging.LogRecord) -> str:
            """What cannot be sent would be no line at all: a path can have a byte that is no UTF-8."""
            return super().format(record).encode(errors="backslashreplace").decode()

    handler = Syslog(str(path), facility=SysLogHandler.LOG_DAEMON, socktype=socket.SOCK_DGRAM)
    handler.append_nul = False
    handler.ident = ident
    return handler


def _in_journal() -> bool:
    """Whether stderr is the stream that JOURNAL_STREAM names (systemd.exec(5)). The variable alone does not tell:
    a program whose stderr is a terminal or a file inherits it too."""
    try:
        stream = os.fstat(2)
    except OSError:  # closed
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{stream.st_dev}:{stream.st_ino}"


def _log_to(handler: logging.Handler, layout: str) -> None:
    handler.addFilter(_limit)
    handler.setFormatter(logging.Formatter(layout))
    logging.raiseExceptions = False  # no tracebacks when syslog is gone
    log.handlers[:] = [handler]
    log.setLevel(logging.INFO)
    log.propagate = False
