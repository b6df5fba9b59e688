"""The system log's socket. Loaded by `pychatd start` alone: under systemd the log is stderr."""

from __future__ import annotations

import socket
from logging.handlers import SysLogHandler
from pathlib import Path


def handler(path: Path, ident: str) -> SysLogHandler:
    """A handler for the socket at `path`, each of whose lines begins with `ident`."""
    syslog = _Syslog(str(path), facility=_Syslog.LOG_DAEMON, socktype=socket.SOCK_DGRAM)
    syslog.append_nul = False
    syslog.ident = ident
    return syslog


class _Syslog(SysLogHandler):
    """Drops lines rather than wait: a syslog that hangs, or is not there, is no reason not to serve."""

    def _connect_unixsocket(self, address: str) -> None:
        super()._connect_unixsocket(address)  # type: ignore[misc]  # not in typeshed
        self.socket.setblocking(False)  # type: ignore[attr-defined]  # likewise
