"""What the user of an endpoint has to see: the events of `receive`, `say` and `quit`."""

from __future__ import annotations

from datetime import datetime
from enum import Enum

from pychat_client.protocol import wire
from pychat_client.records import record


@record
class MessageShown:
    """A message to show. own: this user has sent it; time: None for now."""

    message: wire.Message
    own: bool
    time: datetime | None = None


@record
class MessageQueued:
    """A message that was typed early. It goes when its turn comes."""

    text: str


@record
class Connected:
    """Both ends know the conversation: for the first time, or again after a lost connection (resumed)."""

    handle: str
    resumed: bool
    detail: wire.Peer | None = None


@record
class Leftovers:
    """Own texts that the user gets back, in the order in which they were typed.

    not_sent: texts that are not stored, and never will be
    not_confirmed: texts that were sent and not acked, so they may have arrived
    """

    not_sent: tuple[str, ...] = ()
    not_confirmed: tuple[str, ...] = ()


class EndedBy(Enum):
    """Who has ended a conversation."""

    YOU = "you"
    OTHER = "other"
    SERVICE = "service"  # nobody: the other side did not come back, or the journal is damaged


@record
class Ended:
    """The conversation with `other` has ended. unread: own messages that are stored, and that the other user has
    not seen as far as this end knows; time: None for now."""

    other: str
    by: EndedBy
    reason: str
    left: Leftovers = Leftovers()
    unread: int = 0
    time: datetime | None = None


@record
class WentBack:
    """The daemon's journal lacks messages that it had: it was restored, or its disk has lost them. The
    conversation cannot go on.

    own: how many of this user's are gone; others: how many of the other's; left: own texts that are not stored.
    """

    other: str
    own: int
    others: int
    left: Leftovers


@record
class Overtaken:
    """The daemon has messages of this user that this program's state does not know: the state came from a backup,
    or another copy of it was used. The conversation goes on. left: the texts of the state, each
    of which may have arrived."""

    left: Leftovers


@record
class OvertakenHere:
    """While this program was there, another one has gone on with the conversation, from a copy of its state. This
    one cannot go on; the next program does, and gives back the texts that are not stored, as `Overtaken`."""


@record
class EndConfirmed:
    """The daemon knows that this user has ended the conversation with `other`. left: own texts that it did not
    store any more; unread: own messages that it stored, and that the other user was not there to see."""

    other: str
    left: Leftovers
    unread: int = 0


@record
class Calling:
    """A caller is connected, and has not sent the first message yet. silent: it has not even said hello."""

    handle: str
    address: str
    silent: bool


@record
class MissedCall:
    """A call has ended without a message. time: None for now; name: whose certificate the caller has shown; back:
    who was back, so that the caller had to leave."""

    handle: str
    address: str
    time: datetime | None = None
    name: str | None = None
    back: str | None = None


@record
class Presence:
    """Whether the other user has a screen attached. words: what an operator who is away tells callers."""

    here: bool
    words: str = ""


@record
class SignsOff:
    """The other user sends no signs of typing and no read marks."""

    handle: str


@record
class Renamed:
    """The other user has another handle now."""

    old: str
    new: str


@record
class RemoteError:
    """The daemon's busy or error line: why it closes the connection."""

    code: str
    words: str


@record
class Notice:
    """A sentence of the daemon to show."""

    words: str


Event = (
    MessageShown
    | MessageQueued
    | Connected
    | Ended
    | EndConfirmed
    | WentBack
    | Overtaken
    | OvertakenHere
    | Calling
    | MissedCall
    | Presence
    | SignsOff
    | Renamed
    | RemoteError
    | Notice
)
