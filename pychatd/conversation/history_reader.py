"""What `pychatd-console --history` reads: the journal, told forward, as fast as the reader takes it."""

from __future__ import annotations

from datetime import UTC, datetime

from pychat_client.errors import JournalError, ProtocolError
from pychat_client.protocol import wire
from pychat_client.protocol.turns import Role
from pychat_client.transport.connection import Connection
from pychatd.conversation.journal import Conversation
from pychatd.conversation.switchboard import Switchboard

PATIENCE = 3600.0
"""Seconds for the last piece to be read: somebody may be paging through it."""


class HistoryReader:
    """The owner of one history reader's link; closes it behind the last message."""

    def __init__(self, switchboard: Switchboard, connection: Connection, since: datetime | None) -> None:
        """since: leaves out what was said before; None for everything."""
        self._switchboard = switchboard
        self._journal = switchboard.journal
        self._connection = connection
        self._since = since or datetime.fromtimestamp(0, UTC)
        self._conversation: Conversation | None = None
        self._last = 0
        self._seq = 0
        self.resume_writing(connection)

    def frames_received(self, connection: Connection, frames: list[wire.Frame]) -> None:
        """A reader has nothing to say."""

    def protocol_error(self, connection: Connection, error: ProtocolError) -> None:
        connection.close([wire.Error(error.code, str(error))])

    def connection_lost(self, connection: Connection, why: str) -> None:
        """Nothing is left behind."""

    def resume_writing(self, connection: Connection) -> None:
        try:
            while self._connection.writable and self._tell_some():
                pass
        except JournalError as error:
            self._switchboard.journal_failed(error)
            self._connection.close([wire.Error("journal", str(error))])

    def _tell_some(self) -> bool:
        """Sends the next piece; False behind the last one."""
        conversation = self._conversation
        if conversation is None:
            conversation = self._journal.next_since(self._last, self._since)
            if conversation is None:
                self._connection.close([wire.Ready()], seconds=PATIENCE)
                return False
            self._conversation, self._last, self._seq = conversation, conversation.id, 0
            self._connection.send([_heading(conversation)])
        entries = self._journal.entries(conversation.id, self._seq)
        if not entries:
            self._conversation = None
            if conversation.ended is not None:
                self._connection.send([wire.Timestamp(conversation.ended), wire.Quit(conversation.reason)])
            return True
        self._seq = entries[-1].seq
        frames: list[wire.Frame] = []
        for e in entries:
            if e.time >= self._since and e.text:
                frames += [wire.Timestamp(e.time, own=e.role is Role.OPERATOR), wire.Message(e.handle, e.text)]
        self._connection.send(frames)
        return True


def _heading(conversation: Conversation) -> wire.Peer:
    ledger = conversation.ledger
    return wire.Peer(
        conversation.handle,
        session=str(conversation.id),
        got=ledger.operator,
        heard=0,
        told=0,
        turns=ledger.turns.value,
        since=conversation.started,
        address=conversation.address,
        classic=conversation.classic,
    )
