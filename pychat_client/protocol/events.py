"""What a conversation tells its user: the events of Endpoint.receive and Endpoint.say."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from pychat_client.protocol import wire


@dataclass(frozen=True, slots=True)
class MessageShown:
    """A message to show. own: this user's; time: None for now."""

    message: wire.Message
    own: bool
    time: datetime | None = None


@dataclass(frozen=True, slots=True)
class MessageQueued:
    """A message typed early; it goes when the turn comes."""

    text: str


@dataclass(frozen=True, slots=True)
class Connected:
    """The other end is known: at the start (resumed False), or again after a lost link."""

    handle: str
    resumed: bool
    detail: wire.Peer | None = None


@dataclass(frozen=True, slots=True)
class Leftovers:
    """Own texts that are given back to the user, in the order in which they were typed.

    not_sent: those that are not stored and never will be; not_confirmed: those that were sent, and whose ack
    did not come: they may have arrived.
    """

    not_sent: tuple[str, ...] = ()
    not_confirmed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Ended:
    """The conversation with `other` has ended. unread: how many own messages are stored, and not shown to the
    other user as far as is known here."""

    other: str
    by_other: bool
    reason: str
    left: Leftovers = Leftovers()
    unread: int = 0


@dataclass(frozen=True, slots=True)
class TextsReturned:
    """Own texts that crossed the end of the conversation, which this user has been told of."""

    left: Leftovers


@dataclass(frozen=True, slots=True)
class Presence:
    """Whether the other end has a screen attached."""

    here: bool


@dataclass(frozen=True, slots=True)
class Renamed:
    """The other user has another handle now."""

    old: str
    new: str


@dataclass(frozen=True, slots=True)
class RemoteError:
    """The other end's busy or error line: why the connection will close."""

    code: str
    words: str


@dataclass(frozen=True, slots=True)
class Notice:
    """A sentence of the daemon's."""

    words: str


Event = (
    MessageShown | MessageQueued | Connected | Ended | TextsReturned | Presence | Renamed | RemoteError | Notice
)
