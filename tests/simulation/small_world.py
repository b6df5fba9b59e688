"""The smallest world: a caller, a console and the daemon, with nothing between them but frames under way.

The ends' rules (Endpoint, ConsoleEndpoint), both daemon ends, the switchboard and the conversation are the real
ones. There is no clock, no event loop and no file, so a whole world can be copied: `search` tries everything that
can happen.

A read brings all frames that are under way. A cut lets any first part of them arrive. The caller's program learns
of a cut before the daemon, which may still get the bytes of the dead connection, one frame after the other.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any, ClassVar
from unittest import mock

from pychat_client.errors import NotAllowedError
from pychat_client.protocol import wire
from pychat_client.protocol.codec import LineCodec
from pychat_client.protocol.console_endpoint import ConsoleEndpoint
from pychat_client.protocol.endpoint import Endpoint
from pychat_client.protocol.events import EndConfirmed, Ended, Event, Leftovers, MessageShown, RemoteError
from pychat_client.protocol.rate_limit import Signs
from pychat_client.protocol.turns import Role, Turns
from pychat_client.transport.connection import CloseReason, TransportState
from pychatd.conversation.blocklist import Blocklist
from pychatd.conversation.classic_queue import ClassicQueue
from pychatd.conversation.console_session import ConsoleSession
from pychatd.conversation.journal_health import JournalHealth
from pychatd.conversation.peer_session import PeerSession
from pychatd.conversation.reading_price import ReadingPrice
from pychatd.conversation.switchboard import Switchboard
from pychatd.conversation.token_bucket import TokenBucket
from pychatd.settings import Settings
from tests.simulation.list_journal import ListJournal
from tests.support.endpoints import HANDLES, NOON, OTHER
from tests.support.registers import Anybody

PEER, OPERATOR = Role.PEER, Role.OPERATOR
SETTINGS = {turns: Settings(7000, turns=turns, rate=0) for turns in Turns}
AGAIN = ("displaced", "stopping", "journal")
"""Errors after which a program calls again: all others would be wrong here, where nobody breaks a rule."""


class BrokenError(AssertionError):
    """A promise is broken."""


@dataclass(frozen=True)
class Budget:
    """How much can happen. words: of each side; the rest: of both together; splits: reads of one frame only;
    signs: a user sends no signs any more, or sends them again, from the next call on."""

    words: int = 1
    cuts: int = 0
    crashes: int = 0
    quits: int = 0
    consoles: int = 0
    splits: int = 0
    signs: int = 0


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
    """The daemon's end of a connection, with the frames that are under way on it."""

    codec = LineCodec()
    close_reason = CloseReason.CLOSED_BY_PEER

    def __init__(self, owner: Any, *_: object, **__: object) -> None:
        self.owner = owner
        self.state = TransportState.OPEN
        self.up: deque[wire.Frame] = deque()
        self.down: deque[wire.Frame | None] = deque()  # None: its end

    @property
    def writable(self) -> bool:
        return self.state is TransportState.OPEN

    def send(self, frames: Iterable[wire.Frame]) -> None:
        if self.writable:
            self.down.extend(frames)

    def close(self, frames: Iterable[wire.Frame] = (), seconds: float = 0) -> None:
        if self.writable:
            self.down.extend((*frames, None))
            self.state = TransportState.CLOSING

    def abort(self, reason: CloseReason) -> None:
        self.close()

    def certificate(self) -> None:
        return

    def use_codec(self, codec: object) -> None:
        return

    def start_keepalive(self) -> None:
        return

    def pause_reading(self) -> None:
        return

    def resume_reading(self) -> None:
        return


def nothing(*_: object) -> None:
    """Somebody is told, who does not matter here."""


class Copied:
    """A part of a world. What its class has as an attribute changes nothing here, and is not copied: a world is
    copied for each step."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        for name in vars(type(self)):
            vars(self).pop(name, None)


class NoQuota:
    """Few messages are within all limits."""

    def check(self, *_: object) -> None:
        return


class NoTidying:
    """Nothing is so old that it goes."""

    def start(self, *_: object) -> None:
        return


class SmallSwitchboard(Copied, Switchboard):
    """Without a clock, and without limits."""

    _account = TokenBucket()
    _health = JournalHealth(nothing)
    _quota = NoQuota()  # type: ignore[assignment]
    _seat_timer = TIMER  # type: ignore[assignment]
    _tidying = NoTidying()  # type: ignore[assignment]
    blocklist = Blocklist(Path("/nonexistent"))
    started = NOON
    write_batch = None  # type: ignore[assignment]

    def __init__(self, turns: Turns, journal: ListJournal) -> None:
        super().__init__(SETTINGS[turns], journal, None, nothing)

    def now(self) -> datetime:
        return NOON


class SmallPeerSession(Copied, PeerSession):
    _price = ReadingPrice()
    _queue = ClassicQueue()
    _register = Anybody()
    _screening = None  # type: ignore[assignment]
    _seen = TIMER  # type: ignore[assignment]
    _signals = Signs()


class SmallConsoleSession(Copied, ConsoleSession):
    _signals = Signs()


def no_status() -> str:
    return ""


def no_orders(_: str) -> list[str]:
    return []


def _token(length: int) -> bytes:
    """Not random, so that the same steps lead to the same world."""
    return SmallWorld.token.to_bytes(length)


@contextmanager
def stand_still() -> Iterator[None]:
    """The daemon's code runs without a loop, and opens no connections."""
    with (
        mock.patch.object(asyncio, "get_running_loop", NoLoop),
        mock.patch("pychatd.conversation.endpoint_session.Connection", FakeConnection),
        mock.patch("pychatd.conversation.peer_session.os.urandom", _token),
    ):
        yield


@dataclass(eq=False)
class User:
    """One side: its program, and what its user has seen. left: the program is not there any more."""

    role: Role
    end: Endpoint
    connection: FakeConnection | None = None
    said: list[str] = field(default_factory=list)
    shown: list[str] = field(default_factory=list)
    not_sent: list[str] = field(default_factory=list)
    not_confirmed: list[str] = field(default_factory=list)
    left: bool = False


class SmallWorld:
    """A state, and what can happen in it. Raises BrokenError when a promise is broken."""

    token: ClassVar[int] = 1

    def __init__(self, turns: Turns, budget: Budget) -> None:
        self.budget = budget
        self.journal = ListJournal()
        self._turns = turns
        self.words = {PEER: 0, OPERATOR: 0}
        self.cuts = self.crashes = self.quits = self.consoles = self.splits = self.signs = 0
        self.switchboard = SmallSwitchboard(turns, self.journal)
        self.users = {PEER: User(PEER, Endpoint(HANDLES[PEER])), OPERATOR: User(OPERATOR, self._new_console())}
        self.ghosts: list[FakeConnection] = []  # the caller's program has lost them, and the daemon not yet
        self.seen: list[str] = []  # at consoles that are not there any more

    def begin(self) -> None:
        """The console is attached, and waits for calls."""
        console = self.users[OPERATOR]
        self._calls(console)
        while not self.rests_for(console):
            assert console.connection is not None
            self._arrives(console.connection, len(console.connection.up))
            self._comes_down(console, len(console.connection.down))

    # -------------------------------------------------------------- what can happen

    def actions(self) -> Iterator[tuple[str, Callable[[], None]]]:
        """All of it, each with a name."""
        for user in self.users.values():
            yield from self._actions_of(user)
        for index, ghost in enumerate(self.ghosts):
            if ghost.up:
                yield f"late bytes {index}", partial(self._arrives, ghost, 1)
            yield f"the daemon notices {index}", partial(self._noticed, ghost)
        if self.crashes < self.budget.crashes:
            yield "crash", self._crash

    def _actions_of(self, user: User) -> Iterator[tuple[str, Callable[[], None]]]:
        who, connection, budget = user.role.value, user.connection, self.budget
        if user.left:
            return
        if self.words[user.role] < budget.words and not user.end.ended:
            yield f"{who} speaks", partial(self._speaks, user)
        if self.quits < budget.quits and user.end.is_open:
            yield f"{who} quits", partial(self._quits, user)
        if connection is None:
            yield f"{who} calls", partial(self._calls, user)
            if self.signs < budget.signs:
                yield (
                    f"{who} calls {'with' if user.end.quiet else 'without'} signs",
                    partial(self._calls_otherwise, user),
                )
            return
        yield from self._reads(user, connection)
        if self.cuts < budget.cuts:
            late = len(connection.up) + 1 if user.role is OPERATOR else 1
            for up, down in product(range(late), range(len(connection.down) + 1)):
                yield f"{who} is cut behind {up} up, {down} down", partial(self._is_cut, user, up, down)
        if self.consoles < budget.consoles and user.role is OPERATOR:
            yield "another console", self._console_dies

    def _reads(self, user: User, connection: FakeConnection) -> Iterator[tuple[str, Callable[[], None]]]:
        who, up, down = user.role.value, len(connection.up), len(connection.down)
        if up:
            yield f"{who} up", partial(self._arrives, connection, up)
            if self.crashes < self.budget.crashes:
                yield f"{who} up, and crash before the answer", partial(self._arrives_and_crash, connection)
        if down:
            yield f"{who} down", partial(self._comes_down, user, down)
        if self.splits < self.budget.splits:
            if up > 1:
                yield f"{who} one up", partial(self._split, partial(self._arrives, connection, 1))
            if down > 1:
                yield f"{who} one down", partial(self._split, partial(self._comes_down, user, 1))

    def _split(self, step: Callable[[], None]) -> None:
        self.splits += 1
        step()

    def _speaks(self, user: User) -> None:
        text = f"{user.role.value[0]}{self.words[user.role] + 1}"
        try:
            events = [user.end.say(text)]
        except NotAllowedError:
            return
        self.words[user.role] += 1
        user.said.append(text)
        self._tell(user, events)

    def _quits(self, user: User) -> None:
        self.quits += 1
        self._tell(user, [user.end.quit()])
        if user.connection is None and user.role is PEER:
            self._leaves(user)

    def _calls_otherwise(self, user: User) -> None:
        self.signs += 1
        user.end.quiet = not user.end.quiet
        self._calls(user)

    def _calls(self, user: User) -> None:
        SmallWorld.token = 1 + user.end._calls
        switchboard = self.switchboard
        session: PeerSession | ConsoleSession
        if user.role is PEER:
            session = SmallPeerSession(switchboard, "192.0.2.7", Anybody(), secure=True)
        else:
            session = SmallConsoleSession(switchboard, "alice", 1000, no_status, no_orders)
        assert isinstance(session.connection, FakeConnection)
        user.connection = session.connection
        user.end.greet()
        self._flush(user)

    def _arrives(self, connection: FakeConnection, count: int) -> None:
        frames = [connection.up.popleft() for _ in range(count)]
        if connection.state is TransportState.OPEN:
            connection.owner.frames_received(connection, frames)
        self._check()

    def _arrives_and_crash(self, connection: FakeConnection) -> None:
        """It may be stored, and nobody is told."""
        before = [(c, len(c.down)) for c in self._connections()]
        self._arrives(connection, len(connection.up))
        for other, length in before:
            while len(other.down) > length:
                other.down.pop()
        self._crash()

    def _comes_down(self, user: User, count: int) -> None:
        connection = user.connection
        assert connection is not None
        frames = [connection.down.popleft() for _ in range(count)]
        for frame in frames:
            if frame is not None:
                self._tell(user, user.end.receive(frame))
        user.end.mark_displayed()
        self._flush(user)
        if None in frames:
            self._lose(user)
            self._daemon_loses(connection)
        self._check()

    def _is_cut(self, user: User, up: int, down: int) -> None:
        self.cuts += 1
        connection = user.connection
        assert connection is not None
        self._arrives(connection, up)
        self._comes_down(user, down)
        if user.connection is None:
            return
        self._lose(user)
        connection.down.clear()
        if user.role is PEER:
            self.ghosts.append(connection)
        else:  # on one host, both ends learn it at once
            self._daemon_loses(connection)

    def _noticed(self, ghost: FakeConnection) -> None:
        self.ghosts.remove(ghost)
        self._daemon_loses(ghost)

    def _crash(self) -> None:
        """What the daemon has stored stays. What it has sent may arrive before the end of the connection."""
        self.crashes += 1
        self.ghosts.clear()
        for user in self.users.values():
            if user.connection is not None:
                user.connection.up.clear()
                user.connection.down.append(None)
                user.connection.state = TransportState.CLOSED
        self.switchboard = SmallSwitchboard(self._turns, self.journal)

    def _console_dies(self) -> None:
        self.consoles += 1
        old = self.users[OPERATOR]
        if old.connection is not None:
            self._daemon_loses(old.connection)
        self.seen += old.shown
        self.users[OPERATOR] = User(OPERATOR, self._new_console())

    # -------------------------------------------------------------- inside

    def _new_console(self) -> ConsoleEndpoint:
        return ConsoleEndpoint(HANDLES[OPERATOR], console=f"{self.consoles:016x}")

    def _connections(self) -> list[FakeConnection]:
        live = (user.connection for user in self.users.values())
        return [*self.ghosts, *(connection for connection in live if connection is not None)]

    def _lose(self, user: User) -> None:
        user.connection = None
        user.end.connection_lost()
        if user.end.ended and user.role is PEER:
            self._leaves(user)

    def _leaves(self, user: User) -> None:
        user.left = True
        self._give_back(user, user.end.take_back())

    def _daemon_loses(self, connection: FakeConnection) -> None:
        if connection.state is not TransportState.CLOSED:
            connection.state = TransportState.CLOSED
            connection.up.clear()
            connection.owner.connection_lost(connection, "reset")

    def _flush(self, user: User) -> None:
        frames = user.end.take_frames()
        if user.connection is not None and user.connection.state is not TransportState.CLOSED:
            user.connection.up.extend(frames)

    def _tell(self, user: User, events: Iterable[Event]) -> None:
        for event in events:
            match event:
                case MessageShown(message, own) if not own:
                    user.shown.append(message.text)
                case Ended(left=left) | EndConfirmed(left=left):
                    self._give_back(user, left)
                case RemoteError(code) if code not in AGAIN:
                    raise BrokenError(f"the {user.role.value} is told {code!r}")
                case _:
                    pass
        self._flush(user)
        self._check()

    def _give_back(self, user: User, left: Leftovers) -> None:
        user.not_sent += left.not_sent
        user.not_confirmed += left.not_confirmed

    # -------------------------------------------------------------- what must hold

    def _check(self) -> None:
        for user in self.users.values():
            stored, others = self.journal.texts(user.role), self.journal.texts(OTHER[user.role])
            received = user.end.received_count
            _must(user.shown == others[received - len(user.shown) : received], "shown once, and in order")
            _must(len(set(stored)) == len(stored), "stored once")
            _must(not set(user.not_sent) & set(stored), "what is not sent is not stored")
            self._nothing_disappears(user, set(stored))
        _must(all(map(self._in_turn, self.journal.speakers)), "in turn")

    def _nothing_disappears(self, user: User, stored: set[str]) -> None:
        waits = {*user.end.outbox, *user.end.held}
        for text in user.said:
            back = (text in user.not_sent) + (text in user.not_confirmed)
            _must(back <= 1, f"{text} is given back once")
            _must(text in stored or text in waits or back == 1, f"{text} is not lost")
            _must(not (back and text in waits), f"{text} is given back, or waits")
        mine = [text for text in self.journal.texts(user.role) if text in user.said]
        _must(mine == sorted(mine), "stored as it was said")

    def _in_turn(self, speakers: list[Role]) -> bool:
        return speakers[0] is PEER and (
            self._turns is Turns.FREE or speakers == ([PEER, OPERATOR] * len(speakers))[: len(speakers)]
        )

    def check_rest(self) -> None:
        """Nothing is under way, and both are there: what has to be delivered is delivered."""
        peer, operator = self.users[PEER], self.users[OPERATOR]
        _must({*self.seen, *operator.shown} >= set(self.journal.texts(PEER)), "all is shown at a console")
        if not peer.left:
            _must(peer.shown == self.journal.texts(OPERATOR), "all is shown to the caller")
        for user in (user for user in self.users.values() if not user.left and user.end.is_open):
            _must(not user.end.outbox, "nothing is left unconfirmed")
            _must(not user.end.held or not user.end.my_turn, "nothing waits that could go")
            self._all_is_read(user, self.users[OTHER[user.role]])
        over = self.switchboard.conversation is None and bool(self.journal.speakers)
        _must(peer.left or peer.end.ended is over, "the caller knows whether the conversation is over")
        _must(operator.end.is_open is (bool(self.journal.speakers) and not over), "and so does the operator")

    def _all_is_read(self, user: User, other: User) -> None:
        """All is shown to the other user, who is there: the daemon knows that, and this end, unless it may not."""
        if other.left:
            return
        talk = self.switchboard.conversation
        _must(talk is None or talk.unread(user.role) == 0, "the daemon knows what is shown")
        end = user.end
        _must(end.other.quiet is other.end.quiet, "each end knows whether the other one sends signs")
        _must(other.end.quiet or end.read_count == end.stored_count, "what is shown is called read")
        _must(end.unread_count == 0, "and nothing is called unread")

    def rests_for(self, user: User) -> bool:
        """Whether nothing is under way to or from this one."""
        return user.connection is not None and not user.connection.up and not user.connection.down

    @property
    def rests(self) -> bool:
        return not self.ghosts and all(user.left or self.rests_for(user) for user in self.users.values())


def _must(condition: bool, promise: str) -> None:
    if not condition:
        raise BrokenError(promise)
