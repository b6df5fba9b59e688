"""What a conversation tells its user: the events of Endpoint.receive and Endpoint.say."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from pychat_client import wire


@dataclass(frozen=True, slots=True)
class Said:
    """A message to show. own: this user's; time: None for now."""

    message: wire.Message
    own: bool
    time: datetime | None = None


@dataclass(frozen=True, slots=True)
class Held:
    """A message typed early; it goes when the turn comes."""

    text: str


@dataclass(frozen=True, slots=True)
class Met:
    """The other end is known: at the start (resumed False), or again after a lost link."""

    handle: str
    resumed: bool
    detail: wire.Peer | None = None


@dataclass(frozen=True, slots=True)
class Over:
    """The conversation with `other` has ended. undelivered: own texts that the other side has never got."""

    other: str
    by_other: bool
    reason: str
    undelivered: tuple[str, ...] = ()


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
class Complaint:
    """The other end's busy or error line: why the connection will close."""

    code: str
    words: str


@dataclass(frozen=True, slots=True)
class Told:
    """A sentence of the daemon's."""

    words: str


Event = Said | Held | Met | Over | Presence | Renamed | Complaint | Told
