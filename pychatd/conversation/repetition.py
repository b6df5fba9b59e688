"""The history that a returning peer's new program shows again: the last messages of both sides.

The peer has counted these messages before, and shows them to its user. A message that it does not have comes among
them, in its place. Knows no connection.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pychat_client.protocol import wire
from pychat_client.protocol.turns import Role
from pychatd.conversation.journal import Journal
from pychatd.conversation.model import TEXT_REMOVED, Conversation, Entry


@dataclass(slots=True)
class Repetition:
    """A place in the journal up to which the peer has been told.

    seq: of the last message that was told or left out
    received: the operator's messages that the peer has
    own: the peer's messages that were stored when it came back; it sends the later ones itself
    """

    seq: int
    received: int
    own: int

    @classmethod
    def begin(cls, journal: Journal, conversation: Conversation, hello: wire.Hello, after: int) -> Repetition:
        """All but the first `after` messages, and all that the peer does not know. Raises JournalError."""
        state = conversation.turn_state
        received, stored = min(hello.got or 0, state.operator), min(hello.sent or 0, state.peer)
        unknown = [
            entry.seq
            for known, role in ((received, Role.OPERATOR), (stored, Role.PEER))
            for entry in journal.entries(conversation.id, known, role, limit=1)
        ]
        return cls(min([after, *(seq - 1 for seq in unknown)]), received, state.peer)

    def frames(self, entries: Iterable[Entry]) -> Iterator[wire.Frame]:
        """The lines for `entries`, which follow each other: one of each, so that the peer can count them."""
        for entry in entries:
            self.seq = entry.seq
            own = entry.role is Role.PEER
            gone = not entry.text or (own and entry.n > self.own)
            yield wire.Timestamp(entry.time, own=own, gone=gone, again=own or entry.n <= self.received)
            yield wire.Message(entry.handle, entry.text or TEXT_REMOVED)
