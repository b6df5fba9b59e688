"""The connection of one session: calls, and calls again with growing pauses after a connection is lost.

The supervisor is the only one that knows whether there is a connection. It decides whether to call again; what
that means to the user is the session's business. It knows no rules of a conversation and no view.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from enum import Enum
from typing import Protocol

from pychat_client.errors import TransportError, UnreachableError, UntrustedHostError
from pychat_client.protocol import wire
from pychat_client.transport.connection import CloseReason, Connection

PAUSE_FIRST = 0.5
"""Seconds before the second call: a daemon that restarts needs about as long."""

PAUSE_MAX = 15.0
"""The longest pause, so that a user whose network is back does not wait long."""

JOURNAL = "journal"
"""The code of an error line: the daemon cannot store messages now. It closes each connection that brings some."""

RETRYABLE_CODES = ("stopping", JOURNAL)
"""Codes of an error line after which the client calls again: the daemon keeps the conversation. Not "displaced": a
newer program goes on with it, and the two would displace each other for ever."""

BUSY = "busy"
"""The code of a \\busy line: somebody else has the seat."""


Connect = Callable[[], Awaitable[Connection]]
"""Opens a connection, or raises TransportError."""


def longer_pause(pause: float) -> float:
    """The pause after `pause`: twice as long, up to PAUSE_MAX."""
    return min(pause * 2, PAUSE_MAX)


class ConnectionState(Enum):
    """Whether there is a connection, and how far it has got."""

    DISCONNECTED = "disconnected"  # no connection; the next call follows after a pause
    CONNECTING = "connecting"  # a call is under way
    HANDSHAKE = "handshake"  # connected; the other end has not said hello yet
    LIVE = "live"  # the other end has said hello
    TURNED_AWAY = "turned away"  # the other end has said why it is about to close the connection
    CLOSED = "closed"  # the session is done: no call follows


class Verdict(Enum):
    """What follows when a call has failed or a connection is lost."""

    BEGIN_TO_RETRY = "begin to retry"  # the supervisor calls again, and the user does not know that yet
    KEEP_RETRYING = "keep retrying"  # the supervisor calls again, as before
    GIVE_UP = "give up"
    REFUSED = "refused"  # the other side does not accept our certificate


class Listener(Protocol):
    """The session, as its supervisor sees it."""

    def connection_made(self) -> None:
        """A call has succeeded: the session can send."""

    def call_failed(self, error: TransportError, verdict: Verdict) -> None:
        """A call has failed."""

    def give_up(self, seconds: float) -> None:
        """The time in which a connection had to be made is over."""


class ConnectionSupervisor:
    """Makes the connections of one session, one after the other."""

    def __init__(self, listener: Listener, *, wait: bool = False, returning: bool = False) -> None:
        """wait: call until the other side answers and is free, also before there was ever a connection; returning:
        an earlier program had one, so a connection that is lost before its first answer is as any other."""
        self._listener = listener
        self._wait = wait
        self._returning = returning
        self._state = ConnectionState.DISCONNECTED
        self._connection: Connection | None = None
        self._attempts = 0
        self._was_live = False  # there was a live connection at some time, or a returning program had one
        self._last_code = ""  # why the other end turned us away; empty since a hello, or a call that failed
        self._pause = PAUSE_FIRST
        self._patience: asyncio.Timeout | None = None  # of the pause between two calls, or of a call
        self._retry_for: float | None = None  # seconds without a live connection after which to give up
        self._limit: asyncio.TimerHandle | None = None  # runs while there is none

    # -------------------------------------------------------------- what can be asked

    @property
    def is_live(self) -> bool:
        return self._state is ConnectionState.LIVE

    @property
    def connection(self) -> Connection | None:
        """The connection, live or not."""
        return self._connection

    @property
    def is_connected(self) -> bool:
        """Whether there is a connection, live or not."""
        return self._connection is not None

    @property
    def attempts(self) -> int:
        """How many calls in a row have failed; a connection that was lost counts as one."""
        return self._attempts

    @property
    def busy(self) -> bool:
        """Whether somebody else had the seat at the last call."""
        return self._last_code == BUSY

    # -------------------------------------------------------------- calling

    async def run(self, connect: Connect, retry_for: float | None = None) -> None:
        """Keeps the session connected until it is done. retry_for: seconds without a connection after which to
        give up, also in the middle of a call; None for never."""
        self._retry_for = retry_for
        self._start_limit()
        try:
            while True:
                await self._call(connect)
                if self._state is ConnectionState.CLOSED:
                    return
                # A random part, so that clients that were cut off together do not come back together.
                await self._rest(self._pause * random.uniform(0.5, 1.0))  # noqa: S311 -- not a secret
                self._pause = longer_pause(self._pause)
        finally:
            self._stop_limit()

    async def _call(self, connect: Connect) -> None:
        """Makes one call, and returns when it has failed or its connection is lost."""
        self._change(ConnectionState.CONNECTING)
        try:
            connection = await self._dial(connect)
        except TransportError as error:
            self._change(ConnectionState.DISCONNECTED)
            self._last_code = ""
            self._listener.call_failed(error, self._verdict_on(error))
            self._attempts += 1
            return
        if self._state is ConnectionState.CLOSED:
            connection.close()
        elif not connection.closed.done():
            self.connected(connection)
        await asyncio.wait([connection.closed])

    def connected(self, connection: Connection) -> None:
        """The session uses `connection` from now on."""
        self._connection = connection
        self._change(ConnectionState.HANDSHAKE)
        self._listener.connection_made()

    async def _dial(self, connect: Connect) -> Connection:
        """Connects; begins again when the routes of this host have changed meanwhile."""
        while True:
            async with self._until_hurried():
                return await connect()

    async def _rest(self, seconds: float) -> None:
        async with self._until_hurried():
            await asyncio.sleep(seconds)

    @asynccontextmanager
    async def _until_hurried(self) -> AsyncIterator[None]:
        """Ends early when the routes of this host change."""
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(None) as self._patience:
                    yield
        finally:
            self._patience = None

    def _verdict_on(self, error: TransportError) -> Verdict:
        patient = self._was_live or (self._wait and isinstance(error, UnreachableError))
        if not patient or isinstance(error, UntrustedHostError):
            return Verdict.GIVE_UP
        first = self._attempts == int(self._was_live)  # a lost connection is an attempt already
        return Verdict.BEGIN_TO_RETRY if first else Verdict.KEEP_RETRYING

    # -------------------------------------------------------------- for the session

    def greeted(self) -> bool:
        """The other end has said hello. Returns whether that ends a wait for the first answer."""
        awaited = self._wait and self._attempts > 0 and not self._was_live
        self._change(ConnectionState.LIVE)
        self._attempts = 0
        self._was_live = True
        self._last_code = ""
        return awaited

    def turned_away(self, code: str) -> Verdict:
        """The other end has said that it closes the connection, and why."""
        repeated = code == self._last_code
        if self.is_live and code != JOURNAL:  # that daemon may turn us away for as long as its disk is full
            self._pause = PAUSE_FIRST
        self._last_code = code
        self._change(ConnectionState.TURNED_AWAY)
        was_here = self._was_live or self._returning
        calls_again = self._wait or (was_here and code != BUSY)
        if code not in (*RETRYABLE_CODES, BUSY) or not calls_again:
            return Verdict.GIVE_UP
        return Verdict.KEEP_RETRYING if repeated else Verdict.BEGIN_TO_RETRY

    def connection_lost(self, connection: Connection, *, resumable: bool) -> Verdict:
        """The connection is lost. resumable: the other side can go on with the conversation later."""
        if self.is_live:
            self._pause = PAUSE_FIRST
        self._connection = None
        self._attempts += 1
        self._was_live = self._was_live or self._returning
        self._change(ConnectionState.DISCONNECTED)
        if connection.close_reason is CloseReason.NOT_LISTED:
            return Verdict.REFUSED
        if not resumable or not (self._was_live or self._wait):
            return Verdict.GIVE_UP
        known = self._last_code == JOURNAL  # the user was told then that messages wait and are sent later
        return (
            Verdict.BEGIN_TO_RETRY
            if self._was_live and self._attempts == 1 and not known
            else Verdict.KEEP_RETRYING
        )

    def send(self, frames: Sequence[wire.Frame]) -> bool:
        """Sends `frames`. Returns whether there is a connection."""
        if self._connection is not None:
            self._connection.send(frames)
        return self._connection is not None

    def probe(self) -> None:
        """Finds out whether the other side is still there: without an answer, the connection is lost."""
        if self._connection is not None:
            self._connection.probe()

    def hurry(self) -> None:
        """Another way to the other side may work now: does not wait for the next call, or the end of this one."""
        self._pause = PAUSE_FIRST
        if self._patience is not None:
            self._patience.reschedule(asyncio.get_running_loop().time())

    def hang_up(self, seconds: float | None = None) -> None:
        """Closes the connection, once all frames are sent; seconds: as for Connection.close."""
        if self._connection is not None:
            self._connection.close(seconds=seconds)

    def close(self) -> None:
        """The session is done: closes the connection, and calls no more."""
        self._change(ConnectionState.CLOSED)
        self.hang_up()

    def _change(self, state: ConnectionState) -> None:
        if self._state is ConnectionState.CLOSED:
            return
        was_live, self._state = self.is_live, state
        if state in (ConnectionState.LIVE, ConnectionState.CLOSED):
            self._stop_limit()
        elif was_live:
            self._start_limit()

    def _start_limit(self) -> None:
        if self._retry_for is not None:
            loop = asyncio.get_running_loop()
            self._limit = loop.call_later(self._retry_for, self._listener.give_up, self._retry_for)

    def _stop_limit(self) -> None:
        if self._limit is not None:
            self._limit.cancel()
            self._limit = None
