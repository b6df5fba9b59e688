"""Where the daemon's log goes: the system log's socket, or stderr, which systemd writes into its journal."""

from __future__ import annotations

import logging
import os
import socket
from pathlib import Path

log = logging.getLogger("pychatd")


def log_to_syslog(path: Path, port: int) -> None:
    """Sends the log to the syslog socket at `path` (RFC 3164 over a UNIX datagram socket)."""
    _log_to(_syslog_handler(path, f"pychatd@{port}[{os.getpid()}]: "), "%(message)s")


def log_to_stderr() -> None:
    """Sends the log to stderr; if that is systemd's journal, each line begins with its priority (sd-daemon(3))."""
    _log_to(logging.StreamHandler(), "%(prefix)s%(message)s" if _in_journal() else "%(levelname)s %(message)s")


def _syslog_handler(path: Path, ident: str) -> logging.Handler:
    """A handler for the syslog socket at `path`; each line begins with `ident`."""
    from logging.handlers import SysLogHandler  # 10 ms that `pychatd run` and `pychatd status` do not need

    class Syslog(SysLogHandler):
        """Drops lines instead of waiting: the daemon serves even if syslog hangs or is missing."""

        def _connect_unixsocket(self, address: str) -> None:
            super()._connect_unixsocket(address)  # type: ignore[misc]  # not in typeshed
            self.socket.setblocking(False)  # type: ignore[attr-defined]  # likewise

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
    priorities = {"DEBUG": 7, "INFO": 6, "WARNING": 4, "ERROR": 3, "CRITICAL": 2}

    def add_prefix(record: logging.LogRecord) -> bool:
        record.prefix = f"<{priorities.get(record.levelname, 6)}>"
        return True

    handler.addFilter(add_prefix)
    handler.setFormatter(logging.Formatter(layout))
    logging.raiseExceptions = False  # no tracebacks when syslog is gone
    log.handlers[:] = [handler]
    log.setLevel(logging.INFO)
    log.propagate = False
