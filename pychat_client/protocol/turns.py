"""Whose turn it is: two counts (docs/protocol.md, "A conversation"); both programs and the daemon keep them.

All that the daemon needs of the rules, and so all of them that it loads.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from pychat_client.errors import ProtocolError


class Role(Enum):
    """Whose words: the remote user's, or those of the person on host A."""

    PEER = "peer"
    OPERATOR = "operator"

    @property
    def other(self) -> Role:
        return Role.OPERATOR if self is Role.PEER else Role.PEER


class Turns(Enum):
    """Whether the two take turns, or may both speak at any time after the first message."""

    ALTERNATE = "alternate"
    FREE = "free"


@dataclass(slots=True)
class TurnState:
    """How many messages each role has said; who may speak now follows from that alone."""

    turns: Turns
    peer: int = 0
    operator: int = 0

    def may_speak(self, role: Role) -> bool:
        """The first message is the peer's; then they alternate, or are free."""
        if self.peer == 0:
            return role is Role.PEER
        if self.turns is Turns.FREE:
            return True
        return (role is Role.PEER) == (self.peer == self.operator)

    def add(self, role: Role, *, in_turn: bool = True) -> int:
        """Counts one message of `role` and returns its number. Raises ProtocolError out of turn, unless
        in_turn is False: a classic peer that has gone left messages which waited for their turn."""
        if in_turn and not self.may_speak(role):
            words = "The peer speaks first." if self.peer == 0 else "It is the other side's turn."
            raise ProtocolError("turn", words)
        if role is Role.PEER:
            self.peer += 1
            return self.peer
        self.operator += 1
        return self.operator

    def count(self, role: Role) -> int:
        return self.peer if role is Role.PEER else self.operator

    def copy(self) -> TurnState:
        """Counts to try on: the conversation takes them over when its journal has the messages."""
        return TurnState(self.turns, self.peer, self.operator)  # dataclasses.replace takes ten times as long
