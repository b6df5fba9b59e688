"""What Linux knows and offers for a TCP connection: round-trip time, keepalive, timeouts (tcp(7))."""

from __future__ import annotations

import socket
import struct
from contextlib import suppress

_TCP_INFO = struct.Struct("=68xI")
"""`struct tcp_info` of linux/tcp.h up to tcpi_rtt, in microseconds."""


def round_trip(sock: socket.socket | None) -> float:
    """The round-trip time in seconds, as the kernel has measured it; 0 without TCP."""
    microseconds = 0
    if sock is not None:
        with suppress(OSError):  # not TCP, or closed already
            (microseconds,) = _TCP_INFO.unpack(
                sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO.size)
            )
    return microseconds / 1e6


def set_options(sock: socket.socket, idle_seconds: float, answer_seconds: float) -> None:
    """Sends small lines without delay, and lets the kernel notice a dead route.

    idle_seconds: silence before the kernel asks; answer_seconds: how long it waits for an answer.
    """
    for level, option, value in (
        (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
        (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),  # for programs that know no pings
        (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, int(idle_seconds)),
        (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, int(answer_seconds / 3)),
        (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
        # Unacknowledged data ends the connection after the same time as silence.
        (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int((idle_seconds + answer_seconds) * 1000)),
    ):
        with suppress(OSError):  # the other side has reset the connection: asyncio reports that soon
            sock.setsockopt(level, option, value)
