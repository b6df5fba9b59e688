"""The frames of the line protocol, version 1 (docs/protocol.md, "Verbs").

A frame is a frozen dataclass whose `str()` is its line without the line feed; `codec` makes frames
of bytes. Knows nothing of turns, counts or who may say what: that is conversation.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from pychat_client.text import CONTROL

VERSION = 1

WORDS_MAX = 200
"""Characters of a reason or of an error's sentence; more is cut when it is sent."""


@dataclass(frozen=True, slots=True)
class Message:
    """What a person said. `text` may hold U+2028 for a line break, and no other control."""

    handle: str
    text: str

    def __str__(self) -> str:
        return f"{self.handle}> {self.text}"


@dataclass(frozen=True, slots=True)
class Hello:
    """The first line of a version-1 endpoint, and the daemon's answer.

    session: the conversation's token; got: messages received so far; sent (console only): own
    messages known to be stored; turns: "alternate" or "free", a peer's only if it cannot do otherwise;
    call (peer only): how many calls this program has made, so that an older one which arrives late is told from a
    newer; keep (daemon only): how long the journal keeps what is said; key (daemon to console): the fingerprint
    that callers see; console (console only): this program's id, by which its messages are known as its own;
    suggested (console only): a handle the daemon has for the operator goes before this one; take
    (console only): take the place of the console that is attached.
    """

    version: int
    handle: str
    session: str | None = None
    got: int | None = None
    sent: int | None = None
    turns: str | None = None
    call: int | None = None
    keep: str | None = None
    key: str | None = None
    console: str | None = None
    suggested: bool = False
    take: bool = False

    def __str__(self) -> str:
        words = _optional(session=self.session, got=self.got, sent=self.sent, turns=self.turns, call=self.call)
        words += _optional(keep=self.keep, key=self.key, console=self.console)
        flags = _optional(suggested=self.suggested or None, take=self.take or None)
        return f"\\hello {self.version} {self.handle}{words}{flags}"


@dataclass(frozen=True, slots=True)
class Peer:
    """Daemon to console: the messages that follow are of this conversation.

    session: the conversation's number in the journal (no secret, unlike the peer's token); got: how
    many of the operator's messages are stored in it; heard, told: how many messages of the peer and
    of the operator come before those that follow, and are not repeated; address: where the peer
    called from; classic: it speaks no version 1, so nothing is acked by it; room: how many bytes of
    text its program takes, None for any number; plain: it calls without TLS; name: whose certificate
    it has shown, on a line with an allowlist.
    """

    handle: str
    session: str
    got: int
    heard: int
    told: int
    turns: str
    since: datetime
    address: str
    classic: bool = False
    room: int | None = None
    plain: bool = False
    name: str | None = None

    def __str__(self) -> str:
        counts = _optional(session=self.session, got=self.got, heard=self.heard, told=self.told)
        words = _optional(turns=self.turns, since=timestamp(self.since), address=self.address)
        flags = _optional(classic=self.classic or None, room=self.room, plain=self.plain or None, name=self.name)
        return f"\\peer {self.handle}{counts}{words}{flags}"


@dataclass(frozen=True, slots=True)
class Ack:
    """The first `count` of your messages are stored (from the daemon) or shown (from an endpoint)."""

    count: int

    def __str__(self) -> str:
        return f"\\ack {self.count}"


@dataclass(frozen=True, slots=True)
class Read:
    """The first `count` of your messages have been shown at the other end."""

    count: int

    def __str__(self) -> str:
        return f"\\read {self.count}"


@dataclass(frozen=True, slots=True)
class Timestamp:
    """The time of the next message line, where that is not now. own: it is the operator's own message;
    mine: the console that is told has said it; gone: the daemon does not have its words any more."""

    time: datetime
    own: bool = False
    mine: bool = False
    gone: bool = False

    def __str__(self) -> str:
        return f"\\at {timestamp(self.time)}" + " own" * self.own + " mine" * self.mine + " gone" * self.gone


@dataclass(frozen=True, slots=True)
class Stored:
    """Daemon to a console that it refuses: so many messages which this console has said are stored in the
    conversation that its hello names, or that it is being told of; the others are not, and will not be."""

    count: int

    def __str__(self) -> str:
        return f"\\stored {self.count}"


@dataclass(frozen=True, slots=True)
class Quit:
    """The conversation is over."""

    reason: str = ""

    def __str__(self) -> str:
        return f"\\quit {_cut(self.reason)}".rstrip()


@dataclass(frozen=True, slots=True)
class Busy:
    """The seat is taken; the connection closes."""

    words: str = ""

    def __str__(self) -> str:
        return f"\\busy {_cut(self.words)}".rstrip()


@dataclass(frozen=True, slots=True)
class Error:
    """A rule was broken, or the daemon cannot go on: `code` for programs, `words` for people."""

    code: str
    words: str = ""

    def __str__(self) -> str:
        return f"\\error {self.code} {_cut(self.words)}".rstrip()


@dataclass(frozen=True, slots=True)
class Notice:
    """Daemon to an endpoint: a sentence to show; nothing else changes."""

    words: str

    def __str__(self) -> str:
        return f"\\notice {_cut(self.words)}"


@dataclass(frozen=True, slots=True)
class History:
    """Console socket only: what the journal has of all conversations, since a time or from the start.
    Answered with a `\\peer` line, the messages with their times, and a `\\quit` if it is over, for each."""

    since: datetime | None = None

    def __str__(self) -> str:
        return "\\history" + _optional(since=None if self.since is None else timestamp(self.since))


@dataclass(frozen=True, slots=True)
class Rejected:
    """What a lenient codec makes of a message that cannot be delivered; it goes back as an error
    line, and the conversation goes on. Only ever between a codec and the switchboard."""

    code: str
    words: str

    def __str__(self) -> str:
        return str(Error(self.code, self.words))


@dataclass(frozen=True, slots=True)
class Status:
    """Console socket only. Asked without words; answered with one JSON object."""

    report: str = ""

    def __str__(self) -> str:
        return f"\\status {self.report}".rstrip()


@dataclass(frozen=True, slots=True)
class _NoArguments:
    def __str__(self) -> str:
        return f"\\{type(self).__name__.lower()}"


class Away(_NoArguments):
    """The other end has no screen attached."""


@dataclass(frozen=True, slots=True)
class Here:
    """The other end has a screen attached; its user is called `handle`.

    To a console also where the peer calls from now, whether without TLS, and with whose certificate.
    """

    handle: str = ""
    address: str | None = None
    plain: bool = False
    name: str | None = None

    def __str__(self) -> str:
        words = _optional(address=self.address, plain=self.plain or None, name=self.name)
        return f"\\here {self.handle}{words}".rstrip()


class Ready(_NoArguments):
    """Daemon to console: what there was to tell has been told; what follows happens now."""


class Typing(_NoArguments):
    """The other user is typing now."""


class Ring(_NoArguments):
    """The other user asks for attention."""


class Ping(_NoArguments):
    """Are you there?"""


class Pong(_NoArguments):
    """I am."""


Frame = (
    Message
    | Hello
    | Peer
    | Ack
    | Stored
    | Read
    | Timestamp
    | Quit
    | Busy
    | Error
    | Notice
    | History
    | Rejected
    | Status
    | Away
    | Here
    | Ready
    | Typing
    | Ring
    | Ping
    | Pong
)


def timestamp(time: datetime) -> str:
    """RFC 3339 in UTC with milliseconds."""
    return time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _optional(**words: object) -> str:
    """` key=value` for each that is not None; a flag (True) travels as 1."""
    return "".join(f" {key}={int(v) if v is True else v}" for key, v in words.items() if v is not None)


def _cut(words: str) -> str:
    words = CONTROL.sub(" ", words)  # nothing in a sentence can begin another line
    return words if len(words) <= WORDS_MAX else words[: WORDS_MAX - 1] + "…"
