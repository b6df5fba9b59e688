"""A connection of which not one byte has come."""

from __future__ import annotations

import asyncio
import socket


class SilentCaller:
    """Waits for its first byte, or until the operator speaks first."""

    secure = False

    def __init__(self, sock: socket.socket, address: str) -> None:
        self.address = address
        self.greeted = False
        self._sock = sock
        self._woken = asyncio.Event()

    def greet(self) -> None:
        """The operator speaks first."""
        self.greeted = True
        self._woken.set()

    async def first_byte(self) -> int | None:
        """The first byte, without reading it. None if there is none, as the caller has left or was greeted."""
        loop = asyncio.get_running_loop()
        loop.add_reader(self._sock, self._woken.set)
        try:
            await self._woken.wait()
        finally:
            loop.remove_reader(self._sock)
        try:
            first = self._sock.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return None
        return first[0] if first else None
