"""One connection of a watcher (`pychatd-console --watch`): sees who calls, and what nobody is there to read.

Owns the connection, and the place in the journal up to which it has been told. It takes no seat and acks nothing.
What it has missed it gets from the journal, in small pieces when it is its turn (watchers). So it needs no queue,
and holds up no talk. One that does not read is dropped.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from pychat_client.errors import ProtocolError
from pychat_client.protocol import wire
from pychat_client.protocol.turns import Role
from pychat_client.transport.connection import CloseReason, Connection
from pychatd.conversation.model import TEXT_REMOVED, Conversation, JournalError
from pychatd.conversation.switchboard import Switchboard

SENT_AT_ONCE = 10
"""Messages or ends that are sent in one turn: a few tenths of a millisecond, in which nobody else is served."""

WATCHER_SECONDS = 30.0
"""How long a watcher may read nothing while something waits for it: its program is on this host."""


class Watcher:
    """Owns one watcher's connection (connection.Owner)."""

    def __init__(self, switchboard: Switchboard, connection: Connection, uid: int, question: wire.Watch) -> None:
        """uid: of its user; question: what an earlier connection of the same program was told last. Raises
        JournalError."""
        self.uid = uid
        self._switchboard = switchboard
        self._connection = connection
        self._number, self._told = switchboard.watched_place(question)  # a conversation, its peer's messages
        self._headed = 0  # the conversation whose heading this connection has got
        self._rung = False  # the watcher has not been told of it
        self._deadline: asyncio.TimerHandle | None = None  # while it does not read what waits for it
        self.tell_read()
        switchboard.watch(self)

    # -------------------------------------------------------------- from the connection

    def frames_received(self, connection: Connection, frames: list[wire.Frame]) -> None:
        self.protocol_error(connection, ProtocolError("syntax", "A watcher has nothing to say."))

    def protocol_error(self, connection: Connection, error: ProtocolError) -> None:
        connection.close([wire.Error(error.code, str(error))])

    def connection_lost(self, connection: Connection, why: str) -> None:
        self._cancel_deadline()
        self._switchboard.unwatch(self)

    def resume_writing(self, connection: Connection) -> None:
        self._cancel_deadline()
        self.send_unread()

    # -------------------------------------------------------------- from the switchboard (WatcherInterface)

    def tell(self, frames: Sequence[wire.Frame]) -> None:
        """Something happens now. A watcher that does not read would miss it: it has to ask again."""
        if self._connection.writable:
            self._connection.send(frames)
            self._set_deadline()
        else:
            self._connection.abort(CloseReason.SLOW_READER)

    def tell_ring(self) -> None:
        """The peer of the running conversation asks for attention: told after what it has said before."""
        self._rung = True
        self.send_unread()

    def tell_read(self) -> None:
        """Tells the watcher if nothing of what it has been told is unread any more. Raises JournalError."""
        first = self._switchboard.next_unseen(0)
        all_shown = first is None or (first.id, first.shown[Role.OPERATOR]) >= (self._number, self._told)
        if self._number and all_shown:
            self.tell([wire.Read(self._told)])

    def begin_anew(self) -> None:
        if self._number:
            self.tell([wire.Read(self._told)])
        self._number = self._told = self._headed = 0

    def send_unread(self) -> None:
        if self._connection.writable:
            self._switchboard.watchers.wait_for_turn(self)

    def take_turn(self) -> None:
        """Sends who talks, and the peer's messages that no console has shown: the next piece."""
        sent = 0
        try:
            while sent < SENT_AT_ONCE and self._switchboard.operator is None and (more := self._send_some()):
                sent += more
        except JournalError as error:
            self._switchboard.journal_failed(error)
            self._connection.close([wire.Error("journal", str(error))])
        if sent >= SENT_AT_ONCE:
            self.send_unread()
        else:
            self._send_ring()
        self._set_deadline()

    def close(self, frames: Sequence[wire.Frame]) -> None:
        self._connection.close(frames)

    # -------------------------------------------------------------- inside

    def _send_some(self) -> int:
        """Sends the next messages of a conversation, or its end. Returns how many of these there were."""
        conversation = self._switchboard.next_unseen(self._number - 1)
        if conversation is None:
            return 0
        if conversation.id != self._number:
            self._number, self._told = conversation.id, 0
        if (shown := conversation.shown[Role.OPERATOR]) > self._told:
            self._told, self._headed = shown, 0  # a new heading says how many a console has shown meanwhile
        entries = self._switchboard.journal.entries(conversation.id, self._told, Role.PEER, limit=SENT_AT_ONCE)
        frames = self._heading(conversation)
        for entry in entries:
            self._told = entry.n
            frames += [wire.Timestamp(entry.time), wire.Message(entry.handle, entry.text or TEXT_REMOVED)]
        if not entries and conversation.ended is not None:
            frames += [wire.Timestamp(conversation.ended), wire.Quit(conversation.reason)]
            self._number, self._told = self._number + 1, 0
        self._connection.send(frames)
        return len(entries) or bool(frames)

    def _send_ring(self) -> None:
        """Behind all that is unread. A console that has been attached meanwhile needs no more attention."""
        if self._rung and self._switchboard.operator is None:
            self._connection.send([wire.Ring()])
        self._rung = False

    def _heading(self, conversation: Conversation) -> list[wire.Frame]:
        if self._headed == conversation.id:
            return []
        self._headed = conversation.id
        return [conversation.heading(self._told, conversation.turn_state.operator)]

    def _set_deadline(self) -> None:
        """Something may wait for the watcher now: it has to read that in time."""
        if not self._connection.writable and self._deadline is None:
            loop = asyncio.get_running_loop()
            self._deadline = loop.call_later(WATCHER_SECONDS, self._connection.abort, CloseReason.SLOW_READER)

    def _cancel_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
