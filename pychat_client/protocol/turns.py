"""Whose turn it is follows from two counts (docs/protocol.md, "A conversation").

Both ends and the daemon keep these counts. They are all that the daemon needs of the rules of a conversation.
"""

from __future__ import annotations

from enum import Enum

from pychat_client.errors import ProtocolError


class Turns(Enum):
    """Whether the two take turns, or can both speak at any time after the first message."""

    ALTERNATE = "alternate"
    FREE = "free"


class Role(Enum):
    """Who said something: the caller (the daemon's peer), or the operator at the console."""

    PEER = "peer"
    OPERATOR = "operator"

    __hash__ = object.__hash__  # that of Enum is a function in Python, and each message looks up some roles

    @property
    def other(self) -> Role:
        return Role.OPERATOR if self is Role.PEER else Role.PEER


class TurnState:
    """How many messages each role has said. Who may speak now follows from that alone."""

    __slots__ = ("operator", "peer", "turns")
    __hash__ = None  # type: ignore[assignment]  # the counts change

    def __init__(self, turns: Turns, peer: int = 0, operator: int = 0) -> None:
        self.turns = turns
        self.peer = peer
        self.operator = operator

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TurnState) and self._values() == other._values()

    def _values(self) -> tuple[Turns, int, int]:
        return self.turns, self.peer, self.operator

    def may_speak(self, role: Role) -> bool:
        """The first message is the peer's; then they alternate, or are free."""
        if self.peer == 0:
            return role is Role.PEER
        if self.turns is Turns.FREE:
            return True
        return (role is Role.PEER) == (self.peer == self.operator)

    def add(self, role: Role, in_turn: bool = True) -> int:
        """Counts a message of `role` that another program has sent, and returns its number. Raises ProtocolError
        if it was not its turn.

        in_turn: False for messages of a classic peer that waited for their turn when the conversation ended.
        """
        if in_turn and not self.may_speak(role):
            words = "The caller sends the first message." if self.peer == 0 else "It is the other side's turn."
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
        return TurnState(*self._values())
