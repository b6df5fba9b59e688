"""What systemd gives the daemon, and what the daemon tells systemd: sockets, watchdog, status."""

from __future__ import annotations

import os
import socket
from contextlib import suppress

from pychat_client.errors import UsageError

PASSED_FIRST = 3
"""The first descriptor that systemd passes (sd_listen_fds(3))."""

_UNUSABLE = "The socket unit passes something that pychatd cannot use"


def passed_sockets() -> list[socket.socket]:
    """The listening sockets that systemd has opened for this process (sd_listen_fds(3)).

    Programs that we start inherit neither the sockets nor the variables. Raises UsageError for a descriptor that
    is not a listening stream socket.
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
            raise UsageError(f"{_UNUSABLE}: descriptor {fd} is not a socket ({error.strerror}).") from None
        if sock.type != socket.SOCK_STREAM or not listens:
            raise UsageError(f"{_UNUSABLE}: descriptor {fd} is not from ListenStream= with Accept=no.")
        passed.append(sock)
    return passed


def watchdog_seconds() -> float | None:
    """How long systemd waits for WATCHDOG=1 before it kills us (sd_watchdog_enabled(3)); None: no watchdog."""
    usec = os.environ.get("WATCHDOG_USEC", "")
    if os.environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    return int(usec) / 1e6 if usec.isdecimal() and int(usec) > 0 else None


def notify(*assignments: str) -> None:
    """Tells systemd about the service in one datagram (sd_notify(3)). Does nothing without systemd, nor while its
    socket is full: a supervisor that does not read must not stop the service."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        sock.sendto("\n".join(assignments).encode(), address)
