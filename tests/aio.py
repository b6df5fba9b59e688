"""Async tests without a plugin, and the raw other end of a link."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Coroutine
from contextlib import suppress
from functools import wraps
from typing import Any, ParamSpec

from pychat_client.protocol import codec, wire
from pychat_client.transport.connection import Connection

P = ParamSpec("P")

PATIENCE = 20.0
"""Seconds until a test that waits for what never comes fails."""


def in_loop(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Runs an async test; what a callback of the loop raised behind its back fails it too."""

    @wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        unseen: list[dict[str, Any]] = []

        async def guarded() -> None:
            asyncio.get_running_loop().set_exception_handler(lambda _, context: unseen.append(context))
            async with asyncio.timeout(PATIENCE):
                await test(*args, **kwargs)

        asyncio.run(guarded())
        assert not unseen

    return run


class Raw:
    """The other end of a link's socket: speaks and hears lines, and reads only when it is asked to."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self.sock = sock
        self._rest = b""

    async def say(self, *lines: str) -> None:
        """All lines in one write."""
        data = "".join(f"{line}\n" for line in lines).encode()
        await asyncio.get_running_loop().sock_sendall(self.sock, data)

    async def hear(self) -> str:
        """The next line; "" at the end."""
        while b"\n" not in self._rest:
            data = await asyncio.get_running_loop().sock_recv(self.sock, 1 << 16)
            if not data:
                assert not self._rest, "the last line has no end"
                return ""
            self._rest += data
        line, _, self._rest = self._rest.partition(b"\n")
        return line.decode()

    async def frame(self) -> wire.Frame:
        frame = codec.parse((await self.hear()).encode())
        assert frame is not None
        return frame

    async def news(self) -> list[str]:
        """All that was sent to this end until everything it has said has been dealt with.

        The link answers a ping before its owner sees what came with it, the second one after that.
        """
        lines: list[str] = []
        for _ in range(2):
            with suppress(BrokenPipeError):  # closed: what was sent before can still be read
                await self.say("\\ping")
            while (line := await self.hear()) not in ("\\pong", ""):
                lines.append(line)
        return lines

    async def rest(self) -> list[str]:
        """All lines until the other side closes."""
        lines: list[str] = []
        while line := await self.hear():
            lines.append(line)
        return lines

    def waiting(self) -> bytes:
        """What lies in the socket now, without taking it."""
        try:
            return self.sock.recv(1 << 16, socket.MSG_PEEK)
        except BlockingIOError:
            return b""

    def hang_up(self) -> None:
        self.sock.close()


async def attach(connection: Connection) -> Raw:
    """Connects `link` as a server does with an accepted socket; returns the other end."""
    return Raw(await connected(connection))


async def connected(connection: Connection) -> socket.socket:
    """The other end's socket of a link that has just been connected."""
    ours, theirs = socket.socketpair()
    await asyncio.get_running_loop().connect_accepted_socket(lambda: connection, ours)
    return theirs
