"""Ports for tests that run beside each other."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from itertools import cycle, islice

NO_PORTS = (
    *("0", "65536", "00065536", "99999", "9" * 5000, "-1", "http", "7000x", "7000.0", "7e3", "0x1b58", "7_000"),
    *("007000", "07000", "00", "+7000", " 7000", "7000 ", "7000\t", "7,000"),
    *("\u0667\u0660\u0660\u0660", "\uff17\uff10\uff10\uff10", "7\u0660\u0660\u0660", "\u00b2", "7000\ufeff"),
)
"""Words that are no port, although int() or another program takes some of them for one."""

_SHARE = 400
"""Ports that one process of tests has for itself: the bench has 200 services at a time."""


@cache
def _share() -> tuple[Iterator[int], socket.socket]:
    """Ports that no other process of tests on this machine takes, and what holds them for as long as we live.

    Between a test's choice of a port and its daemon's bind(2), and while a daemon is started anew, nobody holds
    it. None is among those that the kernel chooses itself (ip_local_port_range): a connection could be given it.
    """
    claim = socket.socket(socket.AF_UNIX)
    for first in range(10_000, 32_768 - _SHARE, _SHARE):
        with suppress(OSError):
            claim.bind(f"\0pychat-tests-{first}")  # abstract (unix(7)): as far as ports reach, and gone with us
            return cycle(range(first, first + _SHARE)), claim
    raise AssertionError("too many processes run tests")


def free_port() -> int:
    """A port that nobody has, in either family, nor will be given by the kernel or to other tests meanwhile."""
    ports, _ = _share()
    for port in islice(ports, _SHARE):
        with suppress(OSError), socket.socket(socket.AF_INET6) as sock:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            sock.bind(("::", port))
            return port
    raise AssertionError("all ports of this process are in use")
