"""The daemon of a small world: both daemon ends, the switchboard and the conversation are the real ones.

A part of a world (parts): it is given frames, and gives frames back. There is no clock, no event loop and no file,
so it can be copied. It knows each connection by a number: CALLER, CONSOLE, or one from DEAD on for a connection
that its program has lost, and the daemon not yet: an even one for a caller's, an odd one for a console's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Any, ClassVar
from unittest import mock

from pychat_client.protocol import wire
from pychat_client.protocol.codec import LineCodec
from pychat_client.protocol.rate_limit import Signs
from pychat_client.protocol.turns import Role, Turns
from pychat_client.transport.connection import CloseReason, TransportState
from pychatd.conversation.blocklist import Blocklist
from pychatd.conversation.classic_queue import ClassicQueue
from pychatd.conversation.console_session import ConsoleSession
from pychatd.conversation.journal_health import JournalHealth
from pychatd.conversation.model import hash_token
from pychatd.conversation.peer_session import PeerSession
from pychatd.conversation.reading_price import ReadingPrice
from pychatd.conversation.switchboard import Switchboard
from pychatd.conversation.token_bucket import TokenBucket
from pychatd.settings import Settings
from tests.simulation.list_journal import ListJournal
from tests.support.allowed_callers import Anybody
from tests.support.endpoints import NOON

CALLER, CONSOLE, DEAD = 0, 1, 2

SETTINGS = {turns: Settings(7000, turns=turns, rate=0) for turns in Turns}

END = None
"""What comes behind the last frame of a connection that the daemon has closed."""

Sent = tuple[tuple[wire.Frame | None, ...], tuple[wire.Frame | None, ...]]
"""What the daemon has sent in one step: to the caller's program, and to the console."""


class Timer:
    """Nothing is ever due."""

    def cancel(self) -> None:
        return

    def __reduce__(self) -> str:
        return "TIMER"


TIMER = Timer()


class NoLoop:
    """Time stands still."""

    def time(self) -> float:
        return 0.0

    def call_soon(self, *_: object) -> Timer:
        return TIMER

    def call_later(self, *_: object) -> Timer:
        return TIMER


class FakeConnection:
    """The daemon's end of a connection, with the frames that it sends in one step."""

    codec = LineCodec()
    close_reason = CloseReason.CLOSED_BY_PEER

    def __init__(self, owner: Any, *_: object, **__: object) -> None:
        self.owner = owner
        self.state = TransportState.OPEN
        self.sent: list[wire.Frame | None] = []

    @property
    def writable(self) -> bool:
        return self.state is TransportState.OPEN

    def send(self, frames: Iterable[wire.Frame]) -> None:
        if self.writable:
            self.sent.extend(frames)

    def close(self, frames: Iterable[wire.Frame] = (), seconds: float = 0) -> None:
        if self.writable:
            self.sent.extend((*frames, END))
            self.state = TransportState.CLOSING

    def abort(self, reason: CloseReason) -> None:
        self.close()

    def certificate(self) -> None:
        return

    def accept_certificate(self, certificate: bytes) -> None:
        """Nobody has one."""

    def use_codec(self, codec: object) -> None:
        return

    def start_keepalive(self) -> None:
        return

    def read_freely(self) -> None:
        return

    def pause_reading(self) -> None:
        return

    def resume_reading(self) -> None:
        return


def anybody(certificate_hash: bytes | None, name: str | None) -> bool:
    """Whether this one may call."""
    return True


def nothing(*_: object) -> None:
    """Somebody is told, who does not matter here."""


class Copied:
    """What its class has as an attribute changes nothing here, and is not copied."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        for name in vars(type(self)):
            vars(self).pop(name, None)


class NoQuota:
    """Few messages are within all limits."""

    def check(self, *_: object) -> None:
        return


class NoRetention:
    """Nothing is so old that it goes."""

    def prune(self, *_: object) -> None:
        return


class SmallSwitchboard(Copied, Switchboard):
    """Without a clock, and without limits."""

    _account = TokenBucket()
    _health = JournalHealth(nothing)
    _quota = NoQuota()  # type: ignore[assignment]
    _seat_timer = TIMER  # type: ignore[assignment]
    retention = NoRetention()  # type: ignore[assignment]
    blocklist = Blocklist(Path("/nonexistent"))
    started = NOON
    write_batch = None  # type: ignore[assignment]

    def __init__(self, turns: Turns, journal: ListJournal) -> None:
        super().__init__(SETTINGS[turns], journal, None, nothing, anybody)

    def now(self) -> datetime:
        return NOON


class SmallPeerSession(Copied, PeerSession):
    _price = ReadingPrice()
    _queue = ClassicQueue()
    _register = Anybody()
    _screening = None  # type: ignore[assignment]
    _seen = TIMER  # type: ignore[assignment]
    _signs = Signs()


class SmallConsoleSession(Copied, ConsoleSession):
    _signs = Signs()


def no_status() -> str:
    return ""


def no_orders(_: str) -> list[str]:
    return []


def _token(length: int) -> bytes:
    """Not random, so that the same steps lead to the same world."""
    return SmallDaemon.token.to_bytes(length)


@contextmanager
def stand_still() -> Iterator[None]:
    """The daemon's code runs without a loop, and opens no connections."""
    with (
        mock.patch.object(asyncio, "get_running_loop", NoLoop),
        mock.patch("pychatd.conversation.endpoint_session.Connection", FakeConnection),
        mock.patch("pychatd.conversation.peer_session.os.urandom", _token),
    ):
        yield


@dataclass(frozen=True)
class DaemonFacts:
    """What the others have to know of a daemon.

    stored: the text of each side's messages; speakers: who has said them, in each conversation; talks: whether a
    conversation runs; unread: of each side's messages in it; listening: the connections that it reads;
    known: those of which it has not learned the end
    """

    stored: tuple[tuple[str, ...], tuple[str, ...]]
    speakers: tuple[tuple[Role, ...], ...]
    talks: bool
    unread: tuple[int, int]
    listening: frozenset[int]
    known: frozenset[int]


class SmallDaemon:
    """The daemon, its journal and its ends of the connections."""

    token: ClassVar[int] = 0

    def __init__(self, turns: Turns) -> None:
        self._turns = turns
        self.journal = ListJournal()
        self.switchboard = SmallSwitchboard(turns, self.journal)
        self.connections: dict[int, FakeConnection] = {}

    # -------------------------------------------------------------- what happens to it

    def accept_caller(self) -> Sent:
        session = SmallPeerSession(self.switchboard, "192.0.2.7", Anybody(), secure=True)
        return self._connected(CALLER, session.connection)

    def accept_console(self) -> Sent:
        session = SmallConsoleSession(self.switchboard, "alice", 1000, no_status, no_orders)
        return self._connected(CONSOLE, session.connection)

    def read(self, number: int, frames: tuple[wire.Frame, ...]) -> Sent:
        SmallDaemon.token = self._free_token(frames)
        connection = self.connections[number]
        connection.owner.frames_received(connection, list(frames))
        return self._step_done()

    def read_and_crash(self, number: int, frames: tuple[wire.Frame, ...]) -> Sent:
        """It may be stored, and nobody is told."""
        self.read(number, frames)
        return self.crash()

    def crash(self) -> Sent:
        """What is stored stays."""
        self.connections = {}
        self.switchboard = SmallSwitchboard(self._turns, self.journal)
        return (), ()

    def lose(self, number: int) -> Sent:
        """It learns that a connection is lost."""
        connection = self.connections.pop(number)
        connection.state = TransportState.CLOSED
        connection.owner.connection_lost(connection, "reset")
        return self._step_done()

    def keep_dead(self, side: int, number: int) -> Sent:
        """A program has lost its connection, and the daemon has not noticed."""
        self.connections[number] = self.connections.pop(side)
        return (), ()

    # -------------------------------------------------------------- what can be asked

    def facts(self) -> DaemonFacts:
        talk = self.switchboard.conversation
        return DaemonFacts(
            (tuple(self.journal.texts(Role.PEER)), tuple(self.journal.texts(Role.OPERATOR))),
            tuple(map(tuple, self.journal.speakers)),
            talk is not None,
            (0, 0) if talk is None else (talk.unread(Role.PEER), talk.unread(Role.OPERATOR)),
            frozenset(number for number, connection in self.connections.items() if connection.writable),
            frozenset(self.connections),
        )

    # -------------------------------------------------------------- inside

    def _free_token(self, frames: tuple[wire.Frame, ...]) -> int:
        """The first that neither the daemon nor the caller's program has: which one it is changes nothing."""
        used = self.journal.token_hashes()
        if (caller := self.switchboard.waiting) is not None:
            used.add(caller.opening.token_hash)
        used |= {hash_token(one.session) for one in frames if isinstance(one, wire.Hello) and one.session}
        return next(number for number in count(1) if hash_token(number.to_bytes(16).hex()) not in used)

    def _connected(self, number: int, connection: Any) -> Sent:
        self.connections[number] = connection
        return self._step_done()

    def _step_done(self) -> Sent:
        """Takes what was sent. What was sent on a dead connection is lost."""
        sent = self._sent_to(CALLER), self._sent_to(CONSOLE)
        for connection in self.connections.values():
            connection.sent.clear()
        self.connections = {number: one for number, one in self.connections.items() if self._matters(one)}
        return sent

    def _sent_to(self, number: int) -> tuple[wire.Frame | None, ...]:
        connection = self.connections.get(number)
        return () if connection is None else tuple(connection.sent)

    def _matters(self, connection: FakeConnection) -> bool:
        """What is neither read any more nor in a seat has lost nothing when it is lost."""
        switchboard = self.switchboard
        seats = (switchboard.peer, switchboard.waiting, switchboard.operator)
        return connection.writable or any(connection.owner is one for one in seats)
