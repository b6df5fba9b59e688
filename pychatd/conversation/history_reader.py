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

    def __init__(self, board: Switchboard, link: Connection, since: datetime | None) -> None:
        """since: leaves out what was said before; None for everything."""
        self._board = board
        self._journal = board.journal
        self._link = link
        self._since = since or datetime.fromtimestamp(0, UTC)
        self._conversation: Conversation | None = None
        self._last = 0
        self._seq = 0
        self.link_writable(link)

    def link_frames(self, link: Connection, frames: list[wire.Frame]) -> None:
        """A reader has nothing to say."""

    def link_broken(self, link: Connection, error: ProtocolError) -> None:
        link.finish([wire.Error(error.code, str(error))])

    def link_lost(self, link: Connection, why: str) -> None:
        """Nothing is left behind."""

    def link_writable(self, link: Connection) -> None:
        try:
            while self._link.writable and self._tell_some():
                pass
        except JournalError as error:
            self._board.journal_failed(error)
            self._link.finish([wire.Error("journal", str(error))])

    def _tell_some(self) -> bool:
        """Sends the next piece; False behind the last one."""
        conversation = self._conversation
        if conversation is None:
            conversation = self._journal.next_since(self._last, self._since)
            if conversation is None:
                self._link.finish([wire.Ready()], seconds=PATIENCE)
                return False
            self._conversation, self._last, self._seq = conversation, conversation.id, 0
            self._link.send([_heading(conversation)])
        entries = self._journal.entries(conversation.id, self._seq)
        if not entries:
            self._conversation = None
            if conversation.ended is not None:
                self._link.send([wire.Timestamp(conversation.ended), wire.Quit(conversation.reason)])
            return True
        self._seq = entries[-1].seq
        frames: list[wire.Frame] = []
        for e in entries:
            if e.time >= self._since and e.text:
                frames += [wire.Timestamp(e.time, own=e.role is Role.OPERATOR), wire.Message(e.handle, e.text)]
        self._link.send(frames)
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
