"""What a conversation is: its messages with their places, whose they are, and what each side has seen.

Values and rules only: no I/O, no clock, no connection.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from pychat_client.errors import ProtocolError, PychatError, UsageError
from pychat_client.protocol.turns import Role, Turns, TurnState
from pychat_client.protocol.wire import Message, Missed, Peer
from pychat_client.records import record
from pychat_client.text import printable

TEXT_REMOVED = "(not kept)"
"""Stands for a message whose text has been removed, where its place still counts."""

REST_REMOVED = "The rest of this conversation has been removed from the journal."
"""A notice for an end that was being told a conversation meanwhile."""


class JournalError(PychatError):
    """The journal cannot be written or read."""


class JournalDamagedError(JournalError):
    """The file was corrupt. It has been renamed, and a new one takes its place."""


class JournalFullError(JournalError):
    """A limit is reached, and nothing was written. Both users read the sentence."""


class UnreadError(JournalFullError):
    """Too much of what callers sent is unread."""


@record
class Opening:
    """What a caller's hello fixes for the conversation that its first message starts.

    token_hash: None for a classic peer; certificate_hash: None without a client certificate; call: the number
    that the caller's program gives to this call, 0 if it does not count its calls; quiet: its user sends no read
    marks; name: whose certificate it has shown, None if the service knows nobody's.
    """

    handle: str
    address: str
    token_hash: bytes | None
    certificate_hash: bytes | None
    turns: Turns
    call: int = 0
    quiet: bool = False
    name: str | None = None

    @property
    def classic(self) -> bool:
        """Whether the peer does not speak version 1: it has no token, and cannot come back."""
        return self.token_hash is None

    def is_repeated_by(self, handle: str, call: int) -> bool:
        """Whether call number `call` from the same host is a later one of the same program, with no token yet."""
        return 0 < self.call < call and handle == self.handle


class LastOperator(NamedTuple):
    """Who was at the console last. handle: empty if nobody was; away: what callers are told until a console is
    attached again, empty for nothing."""

    handle: str = ""
    away: str = ""


class MissedCall(NamedTuple):
    """A call that has ended without a message. name: whose certificate the caller has shown, None for nobody's;
    back: the peer who was back, so that the caller had to leave. The journal does not keep that."""

    handle: str
    address: str
    time: datetime
    name: str | None = None
    back: str | None = None

    def line(self) -> Missed:
        """Tells a console or a watcher of it."""
        return Missed(self.handle, self.address, self.name, self.back)


@record
class Entry:
    """A message with its place: `seq` counts both sides, `n` counts those of its role, both from 1.

    console: the id of the console that sent it; None for the peer's messages.
    """

    role: Role
    seq: int
    n: int
    handle: str
    text: str
    time: datetime
    console: str | None = None

    @classmethod
    def numbered(  # noqa: PLR0917 -- a call by keyword takes twice as long, and there is one for each message
        cls,
        turn_state: TurnState,
        role: Role,
        message: Message,
        now: datetime,
        in_turn: bool = True,
        console: str | None = None,
    ) -> Entry:
        """Counts a message of `role` in `turn_state`, and gives it its place. Raises ProtocolError out of turn."""
        n = turn_state.add(role, in_turn)
        return cls(role, turn_state.peer + turn_state.operator, n, message.handle, message.text, now, console)


class UnreadConversation(NamedTuple):
    """A conversation that is over, and of which the operator has not seen `messages` messages."""

    number: int
    handle: str
    address: str
    name: str | None
    ended: datetime
    messages: int


@dataclass(slots=True)
class Conversation:
    """One conversation and its counts. `id` is 0 until the first message is stored."""

    handle: str
    address: str
    """Where the peer calls from, or has called from last."""

    token_hash: bytes | None
    turn_state: TurnState
    started: datetime
    id: int = 0
    ended: datetime | None = None
    ended_by: Role | None = None
    """Whose user has ended it; None for the service itself, and while it runs."""

    reason: str = ""
    certificate_hash: bytes | None = None
    """A caller that resumes has to show the same certificate."""

    name: str | None = None
    """Whose certificate that is, as the service knew it at the peer's last call, or has renamed it since; None if
    it knew nobody's."""

    shown: dict[Role, int] = field(default_factory=lambda: {Role.PEER: 0, Role.OPERATOR: 0})
    """How many of the other side's messages the user of each role has seen."""

    quiet: dict[Role, bool] = field(default_factory=lambda: {Role.PEER: False, Role.OPERATOR: False})
    """Whether the user of each role sends no read marks: the other side does not learn what they have seen."""

    call: int = 0
    """The number of the peer's newest call that this daemon has seen. An older call may still arrive."""

    @classmethod
    def opened(cls, opening: Opening, now: datetime) -> Conversation:
        """A new conversation, of which nothing is stored yet. It begins in a whole millisecond, as in the journal
        and in the lines: consoles compare it."""
        return cls(
            opening.handle,
            opening.address,
            opening.token_hash,
            TurnState(opening.turns),
            now.replace(microsecond=now.microsecond // 1000 * 1000),
            certificate_hash=opening.certificate_hash,
            name=opening.name,
        )

    @property
    def classic(self) -> bool:
        """Whether the peer does not speak version 1: it has no token, and cannot come back."""
        return self.token_hash is None

    def is_same(self, other: Conversation) -> bool:
        """Whether `other` is this conversation, and not one that has its number in another journal."""
        return (self.id, self.started) == (other.id, other.started)

    def unread(self, role: Role) -> int:
        """How many messages of `role` the other user has not seen."""
        return self.turn_state.count(role) - self.shown[role.other]

    def check_count(self, role: Role, count: int) -> None:
        """Raises ProtocolError when one side counts more messages of `role` than there are."""
        sent = self.turn_state.count(role)
        if count > sent:
            raise ProtocolError("ack", f"{count} messages were confirmed, but only {sent} were sent.")

    def mark_shown(self, role: Role, count: int) -> bool:
        """Notes that the user of `role` has seen `count` messages. Returns whether that is new.

        Raises ProtocolError for more messages than there are."""
        self.check_count(role.other, count)
        new = count > self.shown[role]
        if new:
            self.shown[role] = count
        return new

    def read_mark(self, role: Role) -> int:
        """How many messages the other side may know that the user of `role` has seen."""
        return 0 if self.quiet[role] else self.shown[role]

    def mark_stored(self, number: int, turn_state: TurnState) -> None:
        """The journal has all messages that `turn_state` counts, as conversation `number`."""
        self.id, self.turn_state = number, turn_state

    def end(self, reason: str, now: datetime, by: Role | None) -> None:
        self.ended, self.reason, self.ended_by = now, reason, by

    def note_call(self, opening: Opening) -> None:
        """Its peer calls, perhaps from elsewhere."""
        self.address, self.name, self.call = opening.address, opening.name, max(self.call, opening.call)

    def rename_peer(self, name: str) -> None:
        """The owner of its peer's certificate has another name."""
        self.name = name

    def adopt(self, stored: Conversation) -> None:
        """Takes over the counts and the end that the journal has."""
        self.turn_state = stored.turn_state
        self.ended, self.reason, self.ended_by = stored.ended, stored.reason, stored.ended_by

    def heading(self, peer_offset: int = 0, operator_offset: int = 0) -> Peer:
        """The line that tells a console that what follows belongs to this conversation.

        The offsets are the numbers of messages of each side that are not repeated."""
        return Peer(
            self.handle,
            session=self.id,
            got=self.turn_state.operator,
            heard=peer_offset,
            told=operator_offset,
            turns=self.turn_state.turns,
            since=self.started,
            address=self.address,
            classic=self.classic,
            name=self.name,
            quiet=self.quiet[Role.PEER],
        )


def conversation_number(word: str) -> int:
    """A number as the journal gives it to a conversation, from 1 on. Raises UsageError."""
    if not (word.isascii() and word.isdigit() and len(word) <= 18 and int(word)):
        raise UsageError(f"'{printable(word[:80])}' is not the number of a conversation.")
    return int(word)


def hash_token(token: str) -> bytes:
    """What is stored of a session token, so that a copied journal lets nobody resume."""
    return hashlib.sha256(token.encode()).digest()


def hash_certificate(der: bytes) -> bytes:
    return hashlib.sha256(der).digest()
