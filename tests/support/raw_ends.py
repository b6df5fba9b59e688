"""Bare connections that send and read what a test wants: one for asyncio, and one for code that blocks."""

from __future__ import annotations

import asyncio
import fcntl
import select
import socket
import struct
import sys
import termios
import time
from collections.abc import Callable
from contextlib import suppress

import pytest

from pychat_client.classic.framing import SILENCE
from pychat_client.protocol import codec, wire
from pychat_client.transport.connection import Connection
from tests.support.waiting import PATIENCE, wait_for

Delivery = Callable[[socket.socket, bytes], None]

GAP = 0.03
"""Seconds between two pieces of a message: less than the silence that ends a classic message."""

KEY_GAP = 0.3
"""Seconds between two keys: more than the silence that ends a classic message."""


def at_once(sock: socket.socket, data: bytes) -> None:
    sock.sendall(data)


def in_pieces(sock: socket.socket, data: bytes) -> None:
    """As a busy network delivers it: a segment now, the next a little later. Skips if this host is too busy."""
    size, last = max(1, len(data) // 3), time.monotonic()
    for start in range(0, len(data), size):
        sock.sendall(data[start : start + size])
        if time.monotonic() - last >= SILENCE / 2:
            pytest.skip("the pieces of a message came too far apart to be one")
        last = time.monotonic()
        time.sleep(GAP)  # what is tested is this pause


def key_by_key(sock: socket.socket, data: bytes) -> None:
    """As a terminal that sends each key at once."""
    for byte in data:
        sock.sendall(bytes([byte]))
        time.sleep(KEY_GAP)  # what is tested is this pause


class BlockingEnd:
    """A bare connection for code that blocks: as a person at nc, or as a program of one's own."""

    def __init__(self, sock: socket.socket, deliver: Delivery = at_once) -> None:
        sock.settimeout(PATIENCE)
        with suppress(OSError):  # a UNIX socket has no such option, and needs none
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket = sock
        self._deliver = deliver
        self._unread = b""

    def send(self, *lines: str | bytes) -> None:
        """Sends `lines` in one write, each with its line feed."""
        self.raw(b"".join((line.encode() if isinstance(line, str) else line) + b"\n" for line in lines))

    def raw(self, data: bytes) -> None:
        """Sends bytes as they are."""
        self._deliver(self.socket, data)

    def has_arrived(self) -> None:
        """Waits until the other side can read all that was sent."""

        def unacknowledged() -> int:
            return int.from_bytes(fcntl.ioctl(self.socket, termios.TIOCOUTQ, bytes(4)), sys.byteorder)

        wait_for(lambda: not unacknowledged(), "what was sent has arrived")

    def greet(self, handle: str = "Client1") -> str:
        """Says hello. The word with the session's token in the answer."""
        self.send(f"\\hello 1 {handle}")
        answer = self.line()
        assert answer.startswith("\\hello 1 ")
        return next(word for word in answer.split() if word.startswith("session="))

    def line(self) -> str:
        """The next line, without its line feed; empty at the end of the connection."""
        while b"\n" not in self._unread and self._receive():
            pass
        line, _, self._unread = self._unread.partition(b"\n")
        return line.decode()

    def reads(self, *starts: str) -> str:
        """Reads lines until one begins with one of `starts`; returns that line."""
        before = []
        while line := self.line():
            if line.startswith(starts):
                return line
            before.append(line)
        raise AssertionError(f"no line that begins with {starts}, but {before}")

    def rest(self) -> list[str]:
        """All lines until the other side closes."""
        while self._receive():
            pass
        data, self._unread = self._unread, b""
        return data.decode().splitlines()

    def gets(self, data: bytes) -> None:
        """Waits until exactly `data` has come since the last time."""
        while len(self._unread) < len(data) and self._receive():
            pass
        assert self._unread == data
        self._unread = b""

    def sees_the_end(self, data: bytes) -> None:
        """Waits until the other side closes; exactly `data` has come before."""
        while self._receive():
            pass
        assert self._unread == data

    def came(self) -> bytes:
        """What has come so far; does not wait, and leaves it for the next call."""
        while select.select([self.socket], [], [], 0)[0] and self._receive():
            pass
        return self._unread

    def end(self) -> None:
        """Sends no more; still reads."""
        self.socket.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Ends the connection with RST."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def close(self) -> None:
        self.socket.close()

    def _receive(self) -> bool:
        """Waits for more bytes. False at the end of the connection."""
        try:
            data = self.socket.recv(65536)
        except TimeoutError:
            raise AssertionError(f"nothing comes within {PATIENCE:.0f} s; before came {self._unread!r}") from None
        self._unread += data
        return bool(data)


class AsyncEnd:
    """The other end of a connection in this process. It reads only when the test asks it to."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self.sock = sock
        self._rest = b""

    async def say(self, *lines: str) -> None:
        """All lines in one write."""
        await self.raw("".join(f"{line}\n" for line in lines).encode())

    async def raw(self, data: bytes) -> None:
        """Sends bytes as they are."""
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

        The connection answers a ping before its owner sees what came with it, and the second ping after that.
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


class ConsoleEnd(AsyncEnd):
    """The end of a console. `say` first acks what the console has received; `say_blindly` does not."""

    async def say(self, *lines: str) -> None:
        speaks = any(line.startswith(("alice> ", "\\quit", "\\order block")) for line in lines)
        await super().say(*(["\\ack 0"] if speaks else []), *lines)

    async def say_blindly(self, *lines: str) -> None:
        await super().say(*lines)


async def attach(connection: Connection) -> AsyncEnd:
    """Connects as a server does with an accepted socket; returns the other end."""
    return AsyncEnd(await connected(connection))


async def connected(connection: Connection) -> socket.socket:
    """The other end's socket of a connection that has just been made."""
    ours, theirs = socket.socketpair()
    await asyncio.get_running_loop().connect_accepted_socket(lambda: connection, ours)
    return theirs
