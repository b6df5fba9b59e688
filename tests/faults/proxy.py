"""A TCP proxy that is a bad network: random pieces, stalls and cuts, all drawn from one seed.

It runs in a thread of its own, so that a test can drive programs meanwhile. It forwards faithfully
until it is armed; armed, it cuts at random byte positions, a given number of times at most. A test that
needs a certain line to be late holds it back with `hold` instead, and lets it go when it likes.
"""

from __future__ import annotations

import asyncio
import random
import socket
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum

ENCRYPTED = 0x17
"""The type of a TLS record that is encrypted. The client's first one ends its handshake; then each line that it
says at once (its hello, messages, acks) is one."""

LATE_LINES = (1, 4)
"""So many lines the client has said in a newer call when those of a LATE one arrive: from its hello itself to
what only a client says that has been answered."""

LATE_SECONDS = 0.2
"""The longest time a client goes on in a call whose words are late already: to end a handshake, to say hello."""


class Cut(Enum):
    """What happens to a connection at a random byte; what is behind that byte is lost, but where it is late."""

    RESET = "both sides get an RST"
    CLOSE = "both sides get a FIN"
    HALF = "the receiver of that byte gets a FIN, the other direction goes on"
    GHOST = "the client gets an RST, the daemon is told nothing and keeps a dead connection"
    LATE = "the client gets an RST; what it said last arrives when it has called again already"
    LATE_HELLO = "both sides get an RST, and then the next call is LATE from its hello on"


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


class _Records:
    """Counts the encrypted records of one direction; a record may come in any pieces."""

    def __init__(self) -> None:
        self.encrypted = 0
        self._header = b""
        self._left = 0  # bytes until the next header

    def take(self, data: bytes, most: int | None = None) -> int:
        """Counts on; how many bytes of `data` come before the encrypted record after the first `most`."""
        for place, byte in enumerate(data):
            if self._left:
                self._left -= 1
                continue
            if not self._header and byte == ENCRYPTED:
                if self.encrypted == most:
                    return place
                self.encrypted += 1
            self._header += bytes([byte])
            if len(self._header) == 5:
                self._left, self._header = int.from_bytes(self._header[3:]), b""
        return len(data)


@dataclass(eq=False)
class _Pair:
    """The two connections of one call: the client's, and ours to the daemon."""

    client: asyncio.StreamWriter
    daemon: asyncio.StreamWriter
    number: int
    cut: bool = False  # nothing is forwarded any more
    ghost: bool = False  # the client's is gone, and the daemon is not to know
    said: _Records = field(default_factory=_Records)  # by the client
    kept: bytes | None = None  # what the client says from now on waits here
    answers: int = 0  # of the daemon; its end is one

    @property
    def lines(self) -> int:
        """How many the client has said; what ends its handshake is none."""
        return self.said.encrypted - 1

    def part(self) -> None:
        """The client is cut off; the daemon is told nothing."""
        self.cut = self.ghost = True
        _reset(self.client)

    def let_go(self) -> None:
        """What was kept arrives; a client that is still there can go on."""
        kept, self.kept = self.kept, None
        if kept is not None and not self.daemon.is_closing():
            self.daemon.write(kept)
            if self.cut:
                self.daemon.write_eof()


class Hold:
    """One call that is held back: the first that wants to say more than `lines` lines.

    For the thread of the test.
    """

    def __init__(self, lines: int, loop: asyncio.AbstractEventLoop) -> None:
        self.lines = lines
        self.pair: _Pair | None = None  # set by the proxy, once something is held
        self._loop = loop
        self._answers = 0

    @property
    def holds(self) -> bool:
        """Whether the client has said something that the daemon has not got."""
        return self.pair is not None

    def cut(self) -> None:
        """The client gets an RST, the daemon is told nothing."""
        self._do(lambda pair: pair.part())

    def let_go(self) -> None:
        """What is held arrives, and what the client says from now on if it has not been cut off."""

        def go(pair: _Pair) -> None:
            self._answers = pair.answers
            pair.let_go()

        self._do(go)

    @property
    def answered(self) -> bool:
        """Whether the daemon has dealt with what was let go: it said something, or ended the connection,
        which it may have done before."""
        assert self.pair
        return self.pair.answers > self._answers or self.pair.daemon.is_closing()

    def _do(self, action: Callable[[_Pair], None]) -> None:
        pair = self.pair
        assert pair, "nothing is held yet"

        async def act() -> None:
            action(pair)

        asyncio.run_coroutine_threadsafe(act(), self._loop).result(10)


class Proxy:
    """Listens on `port` and calls the daemon's for each connection."""

    def __init__(self, daemon_port: int, seed: int, weather: Weather) -> None:
        self.cuts: dict[Cut, int] = dict.fromkeys(weather.kinds, 0)
        self._weather = weather
        self._rng = random.Random(seed)
        self._daemon_port = daemon_port
        self._armed = False
        self._most = 0  # cuts, with those that there have been
        self._strike: Callable[[], None] | None = None
        self._strike_left: int | None = None  # bytes until the strike; None: the daemon's next words
        self._left = 0  # bytes until the next cut
        self._pairs: set[_Pair] = set()
        self._calls = 0
        self._late: list[tuple[_Pair, int]] = []  # what waits for so many lines of a newer call
        self._hold: Hold | None = None  # asked for, and there has been no such call yet
        self._late_hello = False  # the next call is late
        self.late_arrivals = 0
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._socket.getsockname()[1])
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(10)

    @property
    def cuts_made(self) -> int:
        return sum(self.cuts.values())

    def arm(self, cuts: int | None = None) -> None:
        """From now on it cuts, until there have been enough cuts; the first comes soon, in a short run too.
        cuts: so many at most until this is called again."""
        least, most = self._weather.between
        self._left = self._rng.randint(least, max(least, most // 4))
        allowed = self._weather.cuts if cuts is None else self.cuts_made + cuts
        self._most = min(allowed, self._weather.cuts)
        self._armed = self.cuts_made < self._most

    def disarm(self) -> None:
        """From now on it cuts no more; stalls and pieces go on."""
        self._armed = False

    def strike(self, action: Callable[[], None], after: int | None = None) -> None:
        """Does `action` as soon as the daemon says something more, before it is forwarded; or after so many more
        bytes, of both directions together."""
        self._strike, self._strike_left = action, after

    def hold(self, lines: int) -> Hold:
        """Holds back what a call says to the daemon after so many lines (its hello is the first); only one."""
        self._hold = Hold(lines, self._loop)
        return self._hold

    def cut(self) -> None:
        """Resets both ends of every call."""

        async def act() -> None:
            for pair in self._pairs:
                _break(pair)

        asyncio.run_coroutine_threadsafe(act(), self._loop).result(10)

    def lose_client(self) -> None:
        """The client's host has gone, with all that is on its way; the daemon is told nothing."""

        async def act() -> None:
            for pair in self._pairs:
                pair.part()

        asyncio.run_coroutine_threadsafe(act(), self._loop).result(10)

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
        self._calls += 1
        pair = _Pair(client, daemon, self._calls)
        self._pairs.add(pair)
        with suppress(asyncio.CancelledError):  # this proxy ends
            await asyncio.gather(self._forward(pair, reader, daemon), self._forward(pair, back, client))
        _close(pair)
        self._pairs.discard(pair)

    async def _forward(self, pair: _Pair, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        to_daemon = writer is pair.daemon
        try:
            while data := await reader.read(1 << 16):
                goes = self._heard(pair, data) if to_daemon else self._answered(pair, data)
                if not (pair.cut or await self._send(pair, data[:goes], writer) or pair.ghost):
                    return
                if goes < len(data):
                    self._keep(pair, data[goes:])
                self._deliver_late(pair)
            if not pair.ghost and pair.kept is None and writer.can_write_eof():
                writer.write_eof()
        except OSError:  # one side has reset: so does the other
            if not pair.ghost:
                _break(pair)
        finally:
            pair.answers += not to_daemon  # by its end

    def _answered(self, pair: _Pair, data: bytes) -> int:
        pair.answers += 1
        if self._strike is not None and self._strike_left is None:
            self._do_strike()
        return len(data)

    def _do_strike(self) -> None:
        strike, self._strike, self._strike_left = self._strike, None, None
        if strike is not None:
            strike()

    def _heard(self, pair: _Pair, data: bytes) -> int:
        """Counts what the client says; how many bytes of it go on now."""
        if pair.kept is not None or (self._hold is None and not self._late_hello):
            return pair.said.take(data)
        return pair.said.take(data, 1 if self._hold is None else self._hold.lines + 1)

    def _keep(self, pair: _Pair, data: bytes) -> None:
        """This is the call that is to be held back, or late, from here on."""
        if pair.kept is not None:  # it is late already, since a moment ago
            pair.kept += data
        elif self._hold is not None:
            pair.kept, self._hold.pair, self._hold = data, pair, None
        else:
            self._late_hello = False
            self._make_late(pair, data)

    def _deliver_late(self, newer: _Pair) -> None:
        """What waits for this call to have come so far arrives."""
        for late in [(pair, lines) for pair, lines in self._late if pair.number < newer.number]:
            pair, lines = late
            if newer.lines >= lines:
                self._late.remove(late)
                self.late_arrivals += 1
                pair.let_go()

    async def _send(self, pair: _Pair, data: bytes, writer: asyncio.StreamWriter) -> bool:
        """Forwards `data` in pieces; False when it has cut before the end."""
        weather, rng = self._weather, self._rng
        while data:
            if pair.kept is not None and writer is pair.daemon:
                pair.kept += data
                return True
            size = rng.randint(1, weather.piece)
            piece, data = data[:size], data[size:]
            if rng.random() < weather.stall:
                await asyncio.sleep(rng.uniform(0, weather.stall_seconds))
            if self._armed and pair.kept is None:
                if self._left < len(piece):
                    writer.write(piece[: self._left])
                    return self._cut(pair, writer, rng.choice(weather.kinds), piece[self._left :] + data)
                self._left -= len(piece)
            if self._strike_left is not None:
                piece, data = self._near_the_strike(piece, data)
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)
            if pair.cut:  # by the other direction
                return False
        return True

    def _near_the_strike(self, piece: bytes, data: bytes) -> tuple[bytes, bytes]:
        """The piece up to the byte at which it strikes, and what is behind it."""
        assert self._strike_left is not None
        if not self._strike_left:
            self._do_strike()
            return piece, data
        left, self._strike_left = self._strike_left, max(0, self._strike_left - len(piece))
        return piece[:left], piece[left:] + data

    def _cut(self, pair: _Pair, receiver: asyncio.StreamWriter, kind: Cut, rest: bytes) -> bool:
        """rest: what was to be sent to the receiver; whether the connection goes on for the sender."""
        self.cuts[kind] += 1
        self._left = self._rng.randint(*self._weather.between)
        self._armed = self.cuts_made < self._most
        pair.cut = kind not in (Cut.HALF, Cut.LATE)
        match kind:
            case Cut.RESET:
                _break(pair)
            case Cut.CLOSE:
                _close(pair)
            case Cut.HALF:
                with suppress(OSError):
                    receiver.write_eof()
            case Cut.GHOST:  # what the daemon still sends is read, and thrown away
                pair.part()
            case Cut.LATE:
                self._make_late(pair, rest if receiver is pair.daemon else b"")
                return True
            case Cut.LATE_HELLO:
                self._late_hello = True
                _break(pair)
        return False

    def _make_late(self, pair: _Pair, said: bytes) -> None:
        """said: what the client has said and the daemon has not got."""
        pair.kept = said
        self._late.append((pair, self._rng.randint(*LATE_LINES)))
        self._loop.call_later(self._rng.uniform(0, LATE_SECONDS), pair.part)


def _break(pair: _Pair) -> None:
    """Ends both connections with an RST."""
    _reset(pair.client)
    _reset(pair.daemon)


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
