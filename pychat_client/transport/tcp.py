"""What this system knows and offers for a TCP connection: round-trip time, keepalive, timeouts (tcp(7), tcp(4)).

What a system lacks is done without: pings notice a dead connection everywhere, only later.
"""

from __future__ import annotations

import socket
import struct
from contextlib import suppress

_ROUND_TRIPS = (
    ("TCP_INFO", struct.Struct("=68xI"), 1e6),  # `struct tcp_info` of Linux and FreeBSD: tcpi_rtt, microseconds
    ("TCP_CONNECTION_INFO", struct.Struct("=44xI"), 1e3),  # macOS: tcpi_srtt, milliseconds
)
"""Where kernels tell the round-trip time: the option, what it gives up to that field, parts of a second."""


def round_trip(sock: socket.socket | None) -> float:
    """The round-trip time in seconds, as the kernel measured it; 0 without TCP, or where it does not tell."""
    for name, info, parts in _ROUND_TRIPS:
        option = getattr(socket, name, None)
        if sock is not None and option is not None:
            with suppress(OSError, struct.error):  # not TCP, closed already, or it tells less
                return float(info.unpack(sock.getsockopt(socket.IPPROTO_TCP, option, info.size))[0] / parts)
    return 0.0


def set_options(sock: socket.socket, idle_seconds: float, answer_seconds: float) -> None:
    """Sends small lines without delay, and lets the kernel notice a dead route.

    idle_seconds: silence before the kernel asks; answer_seconds: how long it waits for an answer.
    """
    for level, name, value in (
        (socket.IPPROTO_TCP, "TCP_NODELAY", 1),
        (socket.SOL_SOCKET, "SO_KEEPALIVE", 1),  # for programs that know no pings
        (socket.IPPROTO_TCP, "TCP_KEEPIDLE", int(idle_seconds)),
        (socket.IPPROTO_TCP, "TCP_KEEPALIVE", int(idle_seconds)),  # its name on macOS
        (socket.IPPROTO_TCP, "TCP_KEEPINTVL", int(answer_seconds / 3)),
        (socket.IPPROTO_TCP, "TCP_KEEPCNT", 3),
        # Unacknowledged data ends the connection after the same time as silence.
        (socket.IPPROTO_TCP, "TCP_USER_TIMEOUT", int((idle_seconds + answer_seconds) * 1000)),
    ):
        if (option := getattr(socket, name, None)) is not None:
            with suppress(OSError):  # the other side has reset the connection: asyncio reports that soon
                sock.setsockopt(level, option, value)
