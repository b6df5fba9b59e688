"""A TCP proxy that is a bad network: random pieces, stalls and cuts, all drawn from one seed.

It runs in a thread of its own, so that a test can drive programs meanwhile. It forwards faithfully
until it is armed; armed, it cuts at random byte positions, a given number of times at most.
"""

from __future__ import annotations

import asyncio
import random
import socket
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum


class Cut(Enum):
    """What happens to a connection at a random byte; what is behind that byte is lost."""

    RESET = "both sides get an RST"
    CLOSE = "both sides get a FIN"
    HALF = "the receiver of that byte gets a FIN, the other direction goes on"
    GHOST = "the client gets an RST, the daemon is told nothing and keeps a dead connection"


@dataclass(frozen=True)
class Weather:
    """How bad the network is."""

    cuts: int
    between: tuple[int, int] = (1, 2000)
    """Bytes, of both directions together, from one cut to the next."""
    piece: int = 64
    """Bytes of the longest piece that is forwarded at once."""
    stall: float = 0.02
    """How likely a piece is delayed."""
    stall_seconds: float = 0.1
    kinds: tuple[Cut, ...] = tuple(Cut)


@dataclass(eq=False)
class _Pair:
    """The two connections of one call: the client's, and ours to the daemon."""

    client: asyncio.StreamWriter
    daemon: asyncio.StreamWriter
    cut: bool = False  # nothing is forwarded any more
    ghost: bool = False  # the client's is gone, and the daemon is not to know


class Proxy:
    """Listens on `port` and calls the daemon's for each connection."""

    def __init__(self, daemon_port: int, seed: int, weather: Weather) -> None:
        self.cuts: dict[Cut, int] = dict.fromkeys(weather.kinds, 0)
        self._weather = weather
        self._rng = random.Random(seed)
        self._daemon_port = daemon_port
        self._armed = False
        self._strike: Callable[[], None] | None = None
        self._left = 0  # bytes until the next cut
        self._pairs: set[_Pair] = set()
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._socket.getsockname()[1])
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(10)

    @property
    def cuts_made(self) -> int:
        return sum(self.cuts.values())

    def arm(self) -> None:
        """From now on it cuts, until there have been enough cuts; the first comes soon, in a short run too."""
        least, most = self._weather.between
        self._left = self._rng.randint(least, max(least, most // 4))
        self._armed = True

    def disarm(self) -> None:
        """From now on it cuts no more; stalls and pieces go on."""
        self._armed = False

    def strike(self, action: Callable[[], None]) -> None:
        """Does `action` as soon as the daemon says something more, before it is forwarded."""
        self._strike = action

    def close(self) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    # -------------------------------------------------------------- in the thread

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._call, sock=self._socket)

    async def _end(self) -> None:
        self._server.close()
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for pair in list(self._pairs):
            _close(pair)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _call(self, reader: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        try:
            back, daemon = await asyncio.open_connection("127.0.0.1", self._daemon_port)
        except OSError:  # the daemon is down: so is this connection
            _reset(client)
            return
        pair = _Pair(client, daemon)
        self._pairs.add(pair)
        with suppress(asyncio.CancelledError):  # this proxy ends
            await asyncio.gather(self._forward(pair, reader, daemon), self._forward(pair, back, client))
        _close(pair)
        self._pairs.discard(pair)

    async def _forward(self, pair: _Pair, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(1 << 16):
                if writer is pair.client and (strike := self._strike) is not None:
                    self._strike = None
                    strike()
                if not (pair.cut or await self._send(pair, data, writer) or pair.ghost):
                    return
            if not pair.ghost and writer.can_write_eof():
                writer.write_eof()
        except OSError:  # one side has reset: so does the other
            if not pair.ghost:
                _reset(pair.client)
                _reset(pair.daemon)

    async def _send(self, pair: _Pair, data: bytes, writer: asyncio.StreamWriter) -> bool:
        """Forwards `data` in pieces; False when it has cut before the end."""
        weather, rng = self._weather, self._rng
        while data:
            size = rng.randint(1, weather.piece)
            piece, data = data[:size], data[size:]
            if rng.random() < weather.stall:
                await asyncio.sleep(rng.uniform(0, weather.stall_seconds))
            if self._armed and self._left < len(piece):
                writer.write(piece[: self._left])
                self._cut(pair, writer, rng.choice(weather.kinds))
                return False
            self._left -= len(piece)
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)
            if pair.cut:  # by the other direction
                return False
        return True

    def _cut(self, pair: _Pair, receiver: asyncio.StreamWriter, kind: Cut) -> None:
        self.cuts[kind] += 1
        self._left = self._rng.randint(*self._weather.between)
        self._armed = self.cuts_made < self._weather.cuts
        pair.cut = kind is not Cut.HALF
        match kind:
            case Cut.RESET:
                _reset(pair.client)
                _reset(pair.daemon)
            case Cut.CLOSE:
                _close(pair)
            case Cut.HALF:
                with suppress(OSError):
                    receiver.write_eof()
            case Cut.GHOST:  # what the daemon still sends is read, and thrown away
                pair.ghost = True
                _reset(pair.client)


def _reset(writer: asyncio.StreamWriter) -> None:
    """Ends one connection with an RST."""
    sock: socket.socket | None = writer.get_extra_info("socket")
    if sock is not None and sock.fileno() >= 0:
        with suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def _close(pair: _Pair) -> None:
    pair.client.close()
    pair.daemon.close()
