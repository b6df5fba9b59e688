"""A connection in memory: two ends for two Connections, and between them two ways with delays and accidents.

Bytes go in pieces, each way in order, as TCP has it. What breaks is said by the test: see `Cable`.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from math import inf
from random import Random

from pychat_client.transport.connection import Connection
from tests.simulation.clock import Killed
from tests.simulation.guests import ProvedByTls

ROOM = 60
"""Bytes under way at which a sender is to wait: few, so that the tests see senders wait."""

DEAF = 1 << 20
"""Bytes that an end takes at once which throws them away."""

Piece = bytes | OSError | None
"""Bytes; or the end, in order (None) or not."""


class Way:
    """One direction."""

    def __init__(self, rng: Random, slowest: float, whole: bool) -> None:
        """slowest: seconds that a piece may take; whole: what one write takes is one piece."""
        self.arrive: Callable[[Piece], None] = lambda piece: None
        self.drained: Callable[[], None] = lambda: None
        self.room: Callable[[], int] = lambda: 0  # bytes that the reader takes at once
        self.paused = False  # the reader does not read
        self.under_way = 0  # bytes that have been sent and have not arrived
        self._loop = asyncio.get_running_loop()
        self._rng = rng
        self._spread = slowest - 0.001
        self._whole = whole
        self._held_until = 0.0
        self._pieces: deque[tuple[float, Piece]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._ended = False

    def send(self, data: bytes) -> None:
        if self._ended:
            return
        self.under_way += len(data)
        random = self._rng.random
        if self._whole or (chance := random()) < 0.5:
            self._push(data)
            return
        size, first = len(data), int(random() * (len(data) + 1))
        second = first if chance < 0.75 else int(random() * (size + 1))
        if first > second:
            first, second = second, first
        for piece in (data[:first], data[first:second], data[second:]):
            if piece:
                self._push(piece)

    def end(self, error: OSError | None = None) -> None:
        """Behind what is under way, this way ends."""
        if not self._ended:
            self._push(error)
            self._ended = True

    def hold(self, seconds: float) -> None:
        """Nothing arrives for a while; then all of it does."""
        self._held_until = max(self._held_until, self._loop.time() + seconds)

    def release(self) -> None:
        """What is held arrives now."""
        self._held_until = 0.0
        self.look()

    def lose_tail(self) -> None:
        """Of what is under way only the first bytes arrive, perhaps none, and no end that was under way."""
        kept = self._rng.randrange(self.under_way + 1)
        pieces, self._pieces, self._ended = self._pieces, deque(), False
        self.under_way = kept
        for due, piece in pieces:
            if isinstance(piece, bytes) and kept:
                self._pieces.append((due, piece[:kept]))
                kept = max(0, kept - len(piece))

    def look(self) -> None:
        """Delivers what is due, and comes again for the rest."""
        now, pieces = self._loop.time(), self._pieces
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not pieces or self.paused or self._held_until > now:
            self._come_again()
            return
        due, room = b"", self.room()
        while pieces and pieces[0][0] <= now and len(due) < room:
            piece = pieces[0][1]
            if not isinstance(piece, bytes) and due:
                break  # the end is read alone
            pieces.popleft()
            if not isinstance(piece, bytes):
                self.arrive(piece)
                return
            due += piece
        if len(due) > room:
            pieces.appendleft((now, due[room:]))
            due = due[:room]
        self.under_way -= len(due)
        if due:
            self.arrive(due)
            self.drained()
        self._come_again()

    def _come_again(self) -> None:
        if self._timer is not None or self.paused or not self._pieces or self._held_until == inf:
            return
        due = max(self._pieces[0][0], self._held_until)
        self._timer = self._loop.call_at(max(due, self._loop.time()), self.look)

    def _push(self, piece: Piece) -> None:
        if self._ended:
            return
        due = self._loop.time() + 0.001 + self._rng.random() * self._spread
        self._pieces.append((max(due, self._pieces[-1][0]) if self._pieces else due, piece))
        self._come_again()


class End(asyncio.Transport):
    """One end of a cable, as a connection's protocol sees it."""

    def __init__(
        self,
        connection: Connection,
        out: Way,
        inward: Way,
        lost: Callable[[], None] = lambda: None,
        tls: ProvedByTls | None = None,
    ) -> None:
        """lost: told just before the connection is told that it is gone; tls: what this end asks of it."""
        super().__init__({"ssl_object": tls})
        self.dead = False  # its program does not run any more
        self.closed = False
        self.connection, self._out, self._in = connection, out, inward
        self._lost = lost
        self._full = False
        inward.arrive, inward.room = self._take, self._room
        out.drained = self._drained

    # -------------------------------------------------------------- for the connection (asyncio.Transport)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self.closed or self.dead:
            return
        self._out.send(bytes(data))
        if self._out.under_way > ROOM and not self._full:
            self._full = True
            self.connection.pause_writing()

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        if not self.dead:
            self._out.end()

    def get_write_buffer_size(self) -> int:
        return self._out.under_way

    def pause_reading(self) -> None:
        self._in.paused = True

    def resume_reading(self) -> None:
        self._in.paused = False
        self._in.look()

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        """What was written still goes."""
        self._close(None)

    def abort(self) -> None:
        self._close(None)

    # -------------------------------------------------------------- for the cable

    def break_off(self) -> None:
        """This end is told that the connection is gone; the other one is not."""
        self._close(ConnectionResetError(104, "reset"))

    def die(self) -> None:
        """Its program is gone; the system closes what it had open, and what was written still goes."""
        self.write_eof()
        self.dead = self.closed = True

    def _room(self) -> int:
        return DEAF if self.dead or self.closed else len(self.connection.get_buffer(-1))

    def _take(self, piece: Piece) -> None:
        if self.dead or self.closed:
            return
        if isinstance(piece, OSError):
            self._close(piece)
        elif piece is None:
            self.connection.eof_received()
            self._close(None)
        else:
            try:
                self.connection.get_buffer(len(piece))[: len(piece)] = piece
                self.connection.buffer_updated(len(piece))
            except Killed:
                return

    def _close(self, error: OSError | None) -> None:
        if self.closed or self.dead:
            return
        self.closed = True
        self._out.end()
        asyncio.get_running_loop().call_soon(self._say_lost, error)

    def _say_lost(self, error: OSError | None) -> None:
        if not self.dead:
            self._lost()
            self.connection.connection_lost(error)
            self.dead = True

    def _drained(self) -> None:
        if self._full and self._out.under_way <= ROOM // 2 and not (self.closed or self.dead):
            self._full = False
            self.connection.resume_writing()


class Cable:
    """A live connection between a user's program and the daemon."""

    def __init__(
        self,
        rng: Random,
        slowest: float,
        user: Connection,
        daemon: Connection,
        *,
        local: bool,
        lost: Callable[[], None],
        tls: ProvedByTls | None = None,
    ) -> None:
        """slowest: seconds that a piece may take; local: a UNIX socket, which does not take a write apart;
        lost, tls: see End, of the daemon's end."""
        self.up, self.down = Way(rng, slowest, local), Way(rng, slowest, local)
        self.user, self.daemon = End(user, self.up, self.down), End(daemon, self.down, self.up, lost, tls)
        daemon.connection_made(self.daemon)
        user.connection_made(self.user)

    @property
    def live(self) -> bool:
        return not (self.user.closed or self.daemon.closed)

    def cut(self, late: float = 0.0) -> None:
        """Both ends learn it, the daemon `late`; of what is under way the tails are lost."""
        self.up.hold(late)
        for way in (self.up, self.down):
            way.lose_tail()
            way.end(ConnectionResetError(104, "reset"))

    def half_close(self) -> None:
        """The daemon hears the end of what the user's program sends, behind all of it."""
        self.up.end()

    def stall(self, seconds: float) -> None:
        """Nothing goes either way for a while."""
        self.up.hold(seconds)
        self.down.hold(seconds)

    def ghost(self, late: float) -> None:
        """Only the user's program learns that the connection is gone. What was under way to the daemon
        arrives `late` (inf: never), and no end behind it: the daemon has to find out by itself."""
        self.down.hold(inf)
        self.up.hold(late)
        self.up._ended = True  # no end is sent behind it
        self.user.break_off()
