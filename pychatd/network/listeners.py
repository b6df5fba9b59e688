"""The listening sockets of a service: its port and its console's socket, opened here or passed by systemd.

systemd's sockets outlive this process, so we never remove them. There is no pidfile then: systemd itself
prevents a second daemon. Errors of the operating system become sentences here.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from pychat_client.errors import BusyError, PermissionDeniedError, PychatError, TransportError, UsageError
from pychat_client.safe_paths import directory_of, is_changeable
from pychatd.settings import EVERYWHERE, Settings

BACKLOG = 1024
"""Connections that the kernel may complete before we accept them. With a full queue it drops the first packet of a
call, which is repeated after one second, then after three: strangers could delay everybody by that.
pychatd@.socket has the same number."""


class Listeners(NamedTuple):
    """All listening sockets of a service."""

    tcp: list[socket.socket]
    console: socket.socket
    passed: bool
    """Whether they are systemd's."""

    @property
    def console_path(self) -> Path:
        return Path(self.console.getsockname())

    def descriptors(self) -> list[int]:
        return [sock.fileno() for sock in (*self.tcp, self.console)]

    def close(self) -> None:
        """Stops listening. Connections that wait in systemd's sockets stay there for the next daemon."""
        if not self.passed:
            with suppress(OSError):
                self.console_path.unlink()
        for sock in (*self.tcp, self.console):
            sock.close()


def sort(passed: Sequence[socket.socket]) -> Listeners:
    """Sorts the sockets from systemd into those of the port and that of the console, by their families.

    Raises UsageError when one of both is missing, or another socket is there.
    """
    tcp: list[socket.socket] = []
    consoles: list[socket.socket] = []
    for sock in passed:
        if sock.family in (socket.AF_INET, socket.AF_INET6):
            tcp.append(sock)
        elif sock.family == socket.AF_UNIX and not consoles and isinstance(sock.getsockname(), str):
            consoles.append(sock)
        else:
            raise UsageError(f"The socket unit passes a socket that pychatd cannot use: {sock.getsockname()!r}.")
        sock.setblocking(False)
    if not (tcp and consoles):
        missing = "the console's socket" if tcp else "the port"
        raise UsageError(
            f"The socket unit has no ListenStream= for {missing}: add one with "
            "'systemctl edit pychatd@PORT.socket'."
        )
    return Listeners(tcp, consoles[0], passed=True)


# ------------------------------------------------------------------ without systemd


def make_directory(directory: Path) -> None:
    """Makes a directory of the service, with mode 0700, if it is missing. It survives a power failure.

    Raises PermissionDeniedError, also where another user can change what is in it.
    """
    try:
        with directory_of(directory, mode=0o700) as fd:
            status = os.fstat(fd)
    except OSError as error:
        raise PermissionDeniedError(f"Cannot use the directory {directory}: {error.strerror}.") from None
    if is_changeable(status):
        raise PermissionDeniedError(
            f"Cannot use the directory {directory}: other users may change it; 'chmod go-w' prevents that."
        )
    if not os.access(directory, os.W_OK | os.X_OK):
        raise PermissionDeniedError(
            f"Cannot write to the directory {directory}: it is not yours, or it is read-only."
        )


def bind_tcp(settings: Settings) -> list[socket.socket]:
    """Opens listening sockets on every address of `settings`. With the default addresses, IPv6 may be missing.

    Raises BusyError when the port is in use, PermissionDeniedError below 1024 without the privilege, UsageError
    for an address that this machine does not have.
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
        # bind alone takes no zone (fe80::1%eth0). For a str, Python would load the codec of foreign names.
        host, flags = address.encode(), socket.AI_NUMERICHOST
        sock.bind(socket.getaddrinfo(host, port, family, socket.SOCK_STREAM, flags=flags)[0][4])
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
            return PermissionDeniedError(f"Cannot open port {port}: only root may open ports below 1024.")
        case errno.EINVAL if "%" not in address:
            return UsageError(
                f"The address {address} needs the name of its interface: write {address}%eth0, for example."
            )
        case errno.EADDRNOTAVAIL | errno.ENODEV | socket.EAI_NONAME:
            return UsageError(
                f"This host does not have the address {address}: set 'listen' to an address that it has."
            )
        case _:
            return TransportError(f"Cannot open port {port} on {address}: {error.strerror}.")


def bind_console(path: Path) -> socket.socket:
    """Opens the console's listening socket, which has mode 0660 from its first moment on.

    Removes what is at `path`, unless a program answers there: a daemon that was killed has left it.
    Raises BusyError for such a program (systemd's), PermissionDeniedError.
    """
    if _answers(path):
        raise BusyError(f"Another service has the console socket {path}.")
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    umask = os.umask(0o117)
    try:
        sock.setblocking(False)
        path.unlink(missing_ok=True)
        sock.bind(str(path))
        sock.listen(BACKLOG)
    except OSError as error:
        sock.close()
        raise PermissionDeniedError(f"Cannot make the console socket {path}: {error.strerror}.") from None
    finally:
        os.umask(umask)
    return sock


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.setblocking(False)
        try:
            sock.connect(str(path))
        except BlockingIOError:  # its queue is full
            return True
        except OSError:
            return False
    return True
