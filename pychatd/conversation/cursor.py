"""How much of the journal the daemon has sent to a console."""

from __future__ import annotations

import sys
from dataclasses import dataclass

from pychat_client.protocol.turns import Role
from pychatd.conversation.model import Conversation, Entry

_NEVER = sys.maxsize  # behind every message


@dataclass(slots=True)
class Cursor:
    """A place in the journal, read forward: one conversation after the other, each from its first message.

    previous: the highest number of a conversation that was sent before
    seq: how many messages of this conversation, of both sides, have been sent or left out
    peer_offset, operator_offset: the first messages of each side, which are not repeated
    own_until: the operator's messages up to this one are repeated; this console has sent the later ones itself
    again_after: of what the console has already, the messages behind this one are repeated
    due: how many of the peer's messages the console has, or has been sent
    acked: the console's last ack; None before it has acked the line that begins the conversation

    Each conversation has a cursor of its own, and so has the time between two. It moves with each message and each
    ack.
    """

    previous: int = 0
    seq: int = 0
    peer_offset: int = 0
    operator_offset: int = 0
    own_until: int = 0
    again_after: int = _NEVER
    due: int = 0
    acked: int | None = None

    @property
    def in_step(self) -> bool:
        """Whether the console knows which conversation it is being told. Until then an ack, a message or a
        `\\quit` may be for the one before."""
        return self.acked is not None

    @property
    def owes_ack(self) -> bool:
        """Whether the console still has to ack some of what it has been sent."""
        return self.acked is None or self.acked < self.due

    def begin(
        self, conversation: Conversation, peer_offset: int, operator_offset: int, again_after: int | None = None
    ) -> Cursor:
        """The start of `conversation`, without the first messages of each side. again_after: these are repeated,
        too, from here on."""
        again_after = _NEVER if again_after is None else again_after
        return Cursor(
            self.previous,
            # seq >= n for each message, so this leaves out nothing else
            min(peer_offset, operator_offset, again_after),
            peer_offset,
            operator_offset,
            conversation.turn_state.operator,
            again_after,
            peer_offset,
        )

    def finish(self, conversation: Conversation) -> Cursor:
        """The place behind all that were sent with `conversation`, which may be an older one."""
        return Cursor(max(self.previous, conversation.id))

    def told_to(self, last: Entry) -> None:
        """`last` is the last message that has been sent or left out."""
        self.seq = last.seq
        self.due = max(self.due, last.n if last.role is Role.PEER else last.seq - last.n)

    def leave_out_rest(self, conversation: Conversation) -> None:
        self.seq = conversation.turn_state.peer + conversation.turn_state.operator

    def acked_to(self, count: int) -> None:
        self.acked = count if self.acked is None else max(self.acked, count)

    def repeats(self, entry: Entry) -> bool:
        """Whether the daemon sends the console a message: it neither has it, nor has sent it since."""
        if entry.role is Role.OPERATOR:
            return self.operator_offset < entry.n <= self.own_until
        return entry.n > self.peer_offset

    def repeats_again(self, entry: Entry) -> bool:
        """Whether a message is repeated that the console has already, or has sent itself since."""
        return entry.seq > self.again_after and not self.repeats(entry)
