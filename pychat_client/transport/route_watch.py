"""Tells when the addresses or routes of this host change: a laptop wakes up, a telephone changes its network.

Linux tells it over a netlink socket (rtnetlink(7)). Elsewhere nobody tells, and a lost connection is noticed
later.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress

_GROUPS = 0x1 | 0x10 | 0x40 | 0x100 | 0x400
"""RTMGRP_LINK, and of IPv4 and IPv6 the addresses (IFADDR) and the routes (ROUTE)."""

SETTLE_SECONDS = 0.5
"""A change comes in many messages; the new address is usable shortly after them."""


class RouteWatch:
    """Watches until `close`."""

    def __init__(self, changed: Callable[[], None]) -> None:
        """changed: is called a moment after each change."""
        self._changed = changed
        self._timer: asyncio.TimerHandle | None = None
        self._socket: socket.socket | None = None
        with suppress(OSError):  # a sandbox may not allow it
            self._socket = _open()
        if self._socket is not None:
            asyncio.get_running_loop().add_reader(self._socket, self._readable, self._socket)

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket)
            self._socket.close()
            self._socket = None

    def _readable(self, sock: socket.socket) -> None:
        with suppress(OSError):  # more than its buffer takes: there was a change, too
            while sock.recv(1 << 16):
                pass
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(SETTLE_SECONDS, self._settled)

    def _settled(self) -> None:
        self._timer = None
        self._changed()


def _open() -> socket.socket | None:
    if not hasattr(socket, "AF_NETLINK"):
        return None
    sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)  # NETLINK_ROUTE
    try:
        sock.setblocking(False)
        sock.bind((0, _GROUPS))
    except OSError:
        sock.close()
        raise
    return sock
