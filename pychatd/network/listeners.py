"""What a line listens on: its port and its console's socket, its own ones or those that systemd passes.

systemd's tell by their family what they are for. They outlive this process, so they are never removed here;
nor is there a pidfile then, which guards the console's socket against a second daemon. Operating system
errors become sentences here.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pychat_client import files
from pychat_client.errors import BusyError, PermissionDeniedError, PychatError, TransportError, UsageError
from pychatd.settings import EVERYWHERE, Settings

BACKLOG = 64
"""Connections the kernel may complete before we accept them."""


@dataclass(frozen=True, slots=True)
class Listeners:
    """All that a line listens on."""

    tcp: list[socket.socket]
    console: socket.socket
    passed: bool
    """Whether they are systemd's, and outlive this process."""

    @property
    def console_path(self) -> Path:
        return Path(self.console.getsockname())

    def descriptors(self) -> list[int]:
        return [sock.fileno() for sock in (*self.tcp, self.console)]

    def close(self) -> None:
        """Listens no more. What waits in systemd's sockets is left for the next daemon."""
        if not self.passed:
            with suppress(OSError):
                self.console_path.unlink()
        for sock in (*self.tcp, self.console):
            sock.close()


def sort(passed: Sequence[socket.socket]) -> Listeners:
    """What of the sockets that systemd passes is the port's, and what the console's. Raises UsageError when
    one of both is missing, or something else is there."""
    tcp: list[socket.socket] = []
    consoles: list[socket.socket] = []
    for sock in passed:
        if sock.family in (socket.AF_INET, socket.AF_INET6):
            tcp.append(sock)
        elif sock.family == socket.AF_UNIX and not consoles and isinstance(sock.getsockname(), str):
            consoles.append(sock)
        else:
            raise UsageError(f"systemd passes a socket that is of no use here: {sock.getsockname()!r}.")
        sock.setblocking(False)
    if not (tcp and consoles):
        missing = "the console's socket" if tcp else "the port"
        raise UsageError(f"The socket unit does not open {missing}: it needs a ListenStream= for that as well.")
    return Listeners(tcp, consoles[0], passed=True)


# ------------------------------------------------------------------ our own


def make_directory(directory: Path) -> None:
    """A directory of the line, 0700 if we make it; power loss does not take it away.

    Raises PermissionDeniedError.
    """
    try:
        files.make_directory(directory)
    except OSError as error:
        raise PermissionDeniedError(f"The directory {directory} cannot be made: {error.strerror}.") from None
    if not os.access(directory, os.W_OK | os.X_OK):
        raise PermissionDeniedError(f"The directory {directory} cannot be written: it is not yours, or read-only.")


def bind_tcp(settings: Settings) -> list[socket.socket]:
    """Listening sockets on every address of `settings`; of the default ones IPv6 may be missing.

    Raises BusyError when the port is in use, PermissionDeniedError below 1024 without the right, UsageError for
    an address that is not of this machine.
    """
    optional = settings.listen == EVERYWHERE
    bound: list[socket.socket] = []
    try:
        for address in settings.listen:
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            try:
                bound.append(_bind(family, address, settings.port))
            except OSError as error:
                if not (optional and family == socket.AF_INET6 and error.errno in _NO_IPV6):
                    raise _bind_error(error, address, settings.port) from None
    except PychatError:
        for sock in bound:
            sock.close()
        raise
    return bound


_NO_IPV6 = (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL, errno.EPROTONOSUPPORT)


def _bind(family: socket.AddressFamily, address: str, port: int) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind((address, port))
        sock.listen(BACKLOG)
    except OSError:
        sock.close()
        raise
    return sock


def _bind_error(error: OSError, address: str, port: int) -> PychatError:
    match error.errno:
        case errno.EADDRINUSE:
            return BusyError(f"Port {port} is in use by another program (on {address}).")
        case errno.EACCES | errno.EPERM:
            return PermissionDeniedError(f"Port {port} cannot be opened: ports below 1024 are root's.")
        case errno.EADDRNOTAVAIL:
            return UsageError(f"{address} is not an address of this machine; see --listen.")
        case _:
            return TransportError(f"Port {port} cannot be opened on {address}: {error.strerror}.")


def bind_console(path: Path) -> socket.socket:
    """The listening console socket, 0660 from its first instant. The pidfile's lock is held, so what
    lies at `path` is a dead daemon's. Raises PermissionDeniedError."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    umask = os.umask(0o117)
    try:
        sock.setblocking(False)
        path.unlink(missing_ok=True)
        sock.bind(str(path))
        sock.listen(BACKLOG)
    except OSError as error:
        sock.close()
        raise PermissionDeniedError(f"The console socket {path} cannot be made: {error.strerror}.") from None
    finally:
        os.umask(umask)
    return sock
