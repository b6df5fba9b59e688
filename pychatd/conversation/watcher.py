"""One connection of a watcher (`pychatd-console --watch`): sees who calls, and what nobody is there to read.

Owns the connection, and the place in the journal up to which it has been told. It takes no seat and acks nothing.
What it has missed it gets from the journal, in small pieces, so it needs no queue and holds up no talk. One that
does not read is dropped, and one that sends much is read slowly.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from pychat_client.errors import ProtocolError
from pychat_client.protocol import wire
from pychat_client.protocol.turns import Role
from pychat_client.transport.connection import CloseReason, Connection
from pychatd.conversation.model import TEXT_REMOVED, Conversation, JournalError
from pychatd.conversation.reading_price import STRANGER_READ, ReadingPrice
from pychatd.conversation.switchboard import Switchboard

PIECE = 50
"""Messages or ends that are sent at once: about half a millisecond, in which nobody else is served."""

PAUSE = 0.005
"""Seconds between two pieces, for each watcher: all of them together take about a tenth of a processor."""

SHARES = 16
"""Watchers among whom the price of reading is divided: there are no more connections at the console's socket."""

READ_SECONDS = 30.0
"""How long a watcher may read nothing while something waits for it: its program is on this host."""


class Watcher:
    """Owns one watcher's connection (connection.Owner)."""

    def __init__(self, switchboard: Switchboard, connection: Connection, question: wire.Watch) -> None:
        """question: what an earlier connection of the same program was told last. Raises JournalError."""
        self._switchboard = switchboard
        self._connection = connection
        self._number, self._told = switchboard.watched_place(question)  # a conversation, its peer's messages
        self._headed = 0  # the conversation whose heading this connection has got
        self._timer: asyncio.TimerHandle | None = None  # until the next piece, or the end
        self._price = ReadingPrice()
        connection.use_pace(self)
        self.tell_read()
        switchboard.watch(self)

    # -------------------------------------------------------------- from the connection

    def frames_received(self, connection: Connection, frames: list[wire.Frame]) -> None:
        self.protocol_error(connection, ProtocolError("syntax", "A watcher has nothing to say."))

    def protocol_error(self, connection: Connection, error: ProtocolError) -> None:
        connection.close([wire.Error(error.code, str(error))])

    def connection_lost(self, connection: Connection, why: str) -> None:
        self._wait(None)
        self._switchboard.unwatch(self)

    def resume_writing(self, connection: Connection) -> None:
        self._send_piece()

    # -------------------------------------------------------------- from the connection (connection.Pace)

    @property
    def read_max(self) -> int:
        return STRANGER_READ

    def pause_after(self, data: bytes) -> float:
        return self._price.of_stranger(data, 0, SHARES, asyncio.get_running_loop().time())

    # -------------------------------------------------------------- from the switchboard (ports.WatcherPort)

    def tell(self, frames: Sequence[wire.Frame]) -> None:
        """Something happens now. A watcher that does not read would miss it: it has to ask again."""
        if self._connection.writable:
            self._connection.send(frames)
        else:
            self._connection.abort(CloseReason.SLOW_READER)

    def tell_ring(self, conversation: Conversation) -> None:
        """The peer of the running conversation asks for attention. A watcher that still gets unread messages does
        not know of that conversation, and has something to alert its user for."""
        if self._headed == conversation.id:
            self.tell([wire.Ring()])

    def tell_read(self) -> None:
        """Tells the watcher if nothing of what it has been told is unread any more. Raises JournalError."""
        first = self._switchboard.next_unseen(0)
        all_shown = first is None or (first.id, first.shown[Role.OPERATOR]) >= (self._number, self._told)
        if self._number and all_shown:
            self.tell([wire.Read(self._told)])

    def send_unread(self) -> None:
        """Sends who talks, and the peer's messages that no console has shown, as far as the watcher reads."""
        if self._timer is None and self._connection.writable:
            self._send_piece()

    def close(self, frames: Sequence[wire.Frame]) -> None:
        self._connection.close(frames)

    # -------------------------------------------------------------- inside

    def _send_piece(self) -> None:
        self._wait(None)
        sent = 0
        try:
            while sent < PIECE and self._switchboard.operator is None and (more := self._send_some()):
                sent += more
        except JournalError as error:
            self._switchboard.journal_failed(error)
            self._connection.close([wire.Error("journal", str(error))])
        if not self._connection.writable:
            self._wait(READ_SECONDS, lambda: self._connection.abort(CloseReason.SLOW_READER))
        elif sent >= PIECE:
            self._wait(PAUSE * len(self._switchboard.watchers), self._send_piece)

    def _send_some(self) -> int:
        """Sends the next messages of a conversation, or its end. Returns how many of these there were."""
        conversation = self._switchboard.next_unseen(self._number - 1)
        if conversation is None:
            return 0
        if conversation.id != self._number:
            self._number, self._told = conversation.id, 0
        self._told = max(self._told, conversation.shown[Role.OPERATOR])
        entries = self._switchboard.journal.entries(conversation.id, self._told, Role.PEER, limit=PIECE)
        frames = self._heading(conversation)
        for entry in entries:
            self._told = entry.n
            frames += [wire.Timestamp(entry.time), wire.Message(entry.handle, entry.text or TEXT_REMOVED)]
        if not entries and conversation.ended is not None:
            frames += [wire.Timestamp(conversation.ended), wire.Quit(conversation.reason)]
            self._number, self._told = self._number + 1, 0
        self._connection.send(frames)
        return len(entries) or bool(frames)

    def _heading(self, conversation: Conversation) -> list[wire.Frame]:
        if self._headed == conversation.id:
            return []
        self._headed = conversation.id
        return [conversation.heading(self._told, conversation.turn_state.operator)]

    def _wait(self, seconds: float | None, action: Callable[[], None] = lambda: None) -> None:
        """Does `action` later, in place of what was to be done; None: nothing."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if seconds is not None:
            self._timer = asyncio.get_running_loop().call_later(seconds, action)
