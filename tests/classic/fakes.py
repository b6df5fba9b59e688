"""Fake classic programs: bytes out as they are given, bytes in as they come."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from contextlib import suppress

from tests.e2e.ends import PATIENCE, wait_for

OneShot = Callable[[socket.socket, bytes], None]

GAP = 0.03
"""Seconds between two pieces of a message: under the silence that ends one."""


def at_once(sock: socket.socket, data: bytes) -> None:
    sock.sendall(data)


def in_pieces(sock: socket.socket, data: bytes) -> None:
    """As a busy network delivers it: a segment now, the next a little later."""
    size = max(1, len(data) // 3)
    for start in range(0, len(data), size):
        sock.sendall(data[start : start + size])
        time.sleep(GAP)  # what is tested is this pause


class Fake:
    """One end of a connection."""

    def __init__(self, sock: socket.socket, send: OneShot = at_once) -> None:
        sock.settimeout(PATIENCE)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket = sock
        self._send = send
        self.got = b""
        self.closed = False

    def says(self, data: bytes) -> None:
        self._send(self.socket, data)

    def gets(self, data: bytes) -> None:
        """Waits until exactly `data` has come since the last time."""
        wait_for(lambda: self._read() and len(self.got) >= len(data), f"{data!r}")
        assert self.got == data
        self.got = b""

    def sees_the_end(self, data: bytes) -> None:
        """Waits for the close; exactly `data` has come before it."""
        wait_for(lambda: self._read() and self.closed, f"the close; so far {self.got!r}")
        assert self.got == data

    def _read(self) -> bool:
        self.socket.setblocking(False)
        with suppress(BlockingIOError):
            while data := self.socket.recv(65536):
                self.got += data
            self.closed = True
        self.socket.settimeout(PATIENCE)
        return True

    def close(self) -> None:
        self.socket.close()
