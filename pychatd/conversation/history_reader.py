"""`pychatd-console --history`: sends the journal from its start, as fast as the reader takes it.

It sends one batch in each turn of the loop, so that everybody else is served in between.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime

from pychat_client.errors import ProtocolError
from pychat_client.protocol import wire
from pychat_client.protocol.turns import Role
from pychat_client.transport.connection import CloseReason, Connection
from pychatd.conversation.journal import Journal
from pychatd.conversation.model import Conversation, Entry, JournalError

PAGER_SECONDS = 3600.0
"""How long the reader may take nothing, and to read the last messages: it may be a pager."""


class HistoryReader:
    """Owns the connection of one history reader; closes it behind the last message."""

    def __init__(
        self,
        journal: Journal,
        connection: Connection,
        since: datetime | None,
        number: int | None,
        on_failure: Callable[[JournalError], None],
    ) -> None:
        """since: leaves out the messages before it; None for all messages. number: only this conversation."""
        self._journal = journal
        self._connection = connection
        self._since = since or datetime.fromtimestamp(0, UTC)
        self._on_failure = on_failure
        self._conversation: Conversation | None = None  # the one that is being sent
        self._only = number
        self._previous = 0 if number is None else number - 1  # the number of the conversation that was begun last
        self._seq = 0
        self._next: asyncio.Handle | None = None  # the next batch, or the end for a reader that takes nothing
        self._go_on()

    def frames_received(self, connection: Connection, frames: list[wire.Frame]) -> None:
        """A reader has nothing to say."""

    def protocol_error(self, connection: Connection, error: ProtocolError) -> None:
        connection.close([wire.Error(error.code, str(error))])

    def connection_lost(self, connection: Connection, why: str) -> None:
        self._cancel_next()

    def resume_writing(self, connection: Connection) -> None:
        self._go_on()

    def _go_on(self) -> None:
        self._cancel_next()
        try:
            more = self._send_batch()
        except JournalError as error:
            self._on_failure(error)
            self._connection.close([wire.Error("journal", str(error))])
            more = False
        loop = asyncio.get_running_loop()
        if more and self._connection.writable:
            self._next = loop.call_soon(self._go_on)
        else:
            self._next = loop.call_later(PAGER_SECONDS, self._connection.abort, CloseReason.SLOW_READER)

    def _cancel_next(self) -> None:
        if self._next is not None:
            self._next.cancel()

    def _send_batch(self) -> bool:
        """Sends the next messages. Returns False behind the last one."""
        conversation = self._conversation
        if conversation is None:
            conversation = self._journal.next_since(self._previous, self._since)
            if conversation is None or self._only not in (None, conversation.id):
                self._connection.close([wire.Ready()], seconds=PAGER_SECONDS)
                return False
            self._conversation, self._previous, self._seq = conversation, conversation.id, 0
            self._connection.send([conversation.heading()])
        entries = self._journal.entries(conversation.id, self._seq)
        if not entries:
            self._conversation = None
            if conversation.ended is not None:
                by = conversation.ended_by
                at = wire.Timestamp(conversation.ended, own=by is Role.OPERATOR, service=by is None)
                self._connection.send([at, wire.Quit(conversation.reason)])
            return True
        self._seq = entries[-1].seq
        self._connection.send([frame for entry in entries for frame in self._frames_for(entry)])
        return True

    def _frames_for(self, entry: Entry) -> list[wire.Frame]:
        """The lines of one message; none if it is too old, or its text has been removed."""
        if entry.time < self._since or not entry.text:
            return []
        own = entry.role is Role.OPERATOR
        return [wire.Timestamp(entry.time, own=own), wire.Message(entry.handle, entry.text)]
