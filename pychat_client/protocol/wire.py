"""The frames of the line protocol, version 1 (docs/protocol.md, "Verbs").

A frame is a record. `str()` writes its line without the line feed; `parse` reads what follows the verb.
Frames know nothing of turns, of counts, and of who can say what.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import ClassVar, Self

from pychat_client.errors import ProtocolError
from pychat_client.protocol import grammar
from pychat_client.protocol.turns import Turns
from pychat_client.records import record
from pychat_client.text import MESSAGE_MAX, nfc

VERSION = 1


@record
class Message:
    """What a person said. In `text`, U+2028 stands for a line break; there is no other control character."""

    handle: str
    text: str

    def __str__(self) -> str:
        return f"{self.handle}> {self.text}"

    @classmethod
    def parse(cls, line: str) -> Self:
        handle, mark, text = line.partition("> ")
        if not mark:
            raise ProtocolError("syntax", "A message is a line 'HANDLE> TEXT'.")
        if not text.isascii():
            text = nfc(text)
        if not text:
            raise ProtocolError("empty", "The message is empty.")
        if len(text) > MESSAGE_MAX:
            sentence = f"The message has {len(text)} characters; the limit is {MESSAGE_MAX}."
            raise ProtocolError("too-long", sentence)
        return cls(grammar.handle(handle), text)


@record
class Hello:
    """The first line of a version-1 endpoint, and the daemon's answer.

    session: a peer's token, or the number of a console's conversation
    got: messages received so far
    sent: own messages that this end knows to be stored; in the daemon's answer to a peer, the operator's messages
    after: repeat the messages of both sides to this end, without the first `after`; in the answer, how many the
        daemon leaves out
    digest (daemon to peer): of the peer's messages that it does not know to be stored, and that are
    turns: a peer says it only if it can do nothing but take turns
    call: a number that grows with each call; one with a lower number has arrived late
    keep (daemon only): how long the journal keeps the messages: "forever", "none", or days such as "30d"
    key (daemon to console): the fingerprint that callers see
    console (console only): the id of this program, by which the daemon knows its messages
    since (console only): when the conversation of `session` began
    suggested (console only): a handle that the daemon is configured with goes before this one
    take (console only): take the place of the console that is attached
    proof (peer only): the fingerprint of the certificate that this end can prove in TLS, when the daemon asks
    invite, certificate (peer only): the secret of an invitation, and the certificate (base64) to keep for it
    invited (daemon to peer): the name under which the daemon has kept its certificate since an invitation
    quiet: its user sends no signs of typing and no read marks; from the daemon, the operator does not
    live (not from the daemon): this user wants live typing
    """

    version: int
    handle: str
    session: str | None = None
    got: int | None = None
    sent: int | None = None
    after: int | None = None
    digest: str | None = None
    turns: Turns | None = None
    call: int | None = None
    keep: str | None = None
    key: str | None = None
    console: str | None = None
    since: datetime | None = None
    suggested: bool = False
    take: bool = False
    proof: str | None = None
    invite: str | None = None
    certificate: str | None = None
    invited: str | None = None
    quiet: bool = False
    live: bool = False

    KEYS: ClassVar[grammar.Keys] = {
        "session": grammar.session,
        "got": grammar.number,
        "sent": grammar.number,
        "after": grammar.number,
        "digest": grammar.digest,
        "turns": grammar.turns,
        "call": grammar.number,
        "keep": grammar.keep,
        "key": str,
        "console": grammar.session,
        "since": grammar.time,
        "suggested": grammar.flag,
        "take": grammar.flag,
        "proof": str,
        "invite": str,
        "certificate": str,
        "invited": str,
        "quiet": grammar.flag,
        "live": grammar.flag,
    }

    def __str__(self) -> str:
        return f"\\hello {self.version} {self.handle}{grammar.write_keys(self)}"

    @classmethod
    def parse(cls, rest: str) -> Self:
        version, *others = rest.split(" ")
        if not others:
            raise ProtocolError("syntax", "A hello is '\\hello VERSION HANDLE'.")
        if grammar.number(version) == 0:
            raise ProtocolError("version", "Version 0 does not exist.")
        return cls(int(version), grammar.handle(others[0]), **grammar.read_keys(cls, others[1:]))

    @property
    def conversation(self) -> int | None:
        """The session of a console: the number of the conversation that it knows. None if there is none."""
        try:
            return None if self.session is None else grammar.number(self.session)
        except ProtocolError:
            return None


@record
class Peer:
    """Daemon to console: the messages that follow are of this conversation.

    session: the number of the conversation in the journal; unlike the peer's token it is no secret
    got: how many of the operator's messages are stored in it
    heard, told: how many messages of the peer and of the operator the daemon does not repeat now
    address: where the peer called from
    classic: its program is a classic one, which acks nothing
    room: how many bytes of text its program takes, None for any number
    plain: it calls without TLS
    name: whose certificate it has shown at its last call, where the service knows callers
    after: the daemon repeats what the console has already, without the first `after` messages of both sides
    mine, digest: how many of the operator's messages that follow this same console has sent, and their digest
    quiet: its user sends no signs of typing and no read marks
    """

    handle: str
    session: int
    got: int
    heard: int
    told: int
    turns: Turns
    since: datetime
    address: str
    classic: bool = False
    room: int | None = None
    plain: bool = False
    name: str | None = None
    after: int | None = None
    mine: int | None = None
    digest: str | None = None
    quiet: bool = False

    KEYS: ClassVar[grammar.Keys] = {
        "session": grammar.number,
        "got": grammar.number,
        "heard": grammar.number,
        "told": grammar.number,
        "turns": grammar.turns,
        "since": grammar.time,
        "address": str,
        "classic": grammar.flag,
        "room": grammar.number,
        "plain": grammar.flag,
        "name": str,
        "after": grammar.number,
        "mine": grammar.number,
        "digest": grammar.digest,
        "quiet": grammar.flag,
    }

    def __str__(self) -> str:
        return f"\\peer {self.handle}{grammar.write_keys(self)}"

    @classmethod
    def parse(cls, rest: str) -> Self:
        handle, *others = rest.split(" ")
        return cls(grammar.handle(handle), **grammar.read_keys(cls, others))


@record
class _Count:
    """A line with one count."""

    count: int

    def __str__(self) -> str:
        return f"\\{type(self).__name__.lower()} {self.count}"

    @classmethod
    def parse(cls, rest: str) -> Self:
        return cls(grammar.number(rest.partition(" ")[0]))


class Ack(_Count):
    """The first `count` of your messages are stored (from the daemon) or shown (from an endpoint)."""


class Read(_Count):
    """The first `count` of your messages have been shown at the other end."""


@record
class Stored:
    """Daemon to a console that it refuses: `count` messages of this console are stored, in the conversation of its
    hello or in the one that the daemon is sending. The others are not stored, and will not be.

    digest: of those among them that it does not know to be stored, if the conversation is that of its hello
    """

    count: int
    digest: str | None = None

    KEYS: ClassVar[grammar.Keys] = {"digest": grammar.digest}

    def __str__(self) -> str:
        return f"\\stored {self.count}{grammar.write_keys(self)}"

    @classmethod
    def parse(cls, rest: str) -> Self:
        count, *others = rest.split(" ")
        return cls(grammar.number(count), **grammar.read_keys(cls, others))


@record
class Timestamp:
    """The time of the next message, quit or missed line, where that is not now.

    own: it is a message of the user who reads it, or this user has ended the conversation; mine: this same
        console has sent it; gone: only its place counts; again: this end has counted it before; service: the
        service itself ended the conversation, and no user
    """

    time: datetime
    own: bool = False
    mine: bool = False
    gone: bool = False
    again: bool = False
    service: bool = False

    FLAGS: ClassVar = ("own", "mine", "gone", "again", "service")

    def __str__(self) -> str:
        flags = "".join(f" {name}" for name in self.FLAGS if getattr(self, name))
        return f"\\at {grammar.timestamp(self.time)}{flags}"

    @classmethod
    def parse(cls, rest: str) -> Self:
        time, *words = rest.split(" ")
        return cls(grammar.time(time), **{name: name in words for name in cls.FLAGS})


@record
class Quit:
    """The conversation is over."""

    reason: str = ""

    def __str__(self) -> str:
        return f"\\quit {grammar.shortened(self.reason)}".rstrip()


@record
class Busy:
    """Somebody else has the seat. The daemon closes the connection."""

    words: str = ""

    def __str__(self) -> str:
        return f"\\busy {grammar.shortened(self.words)}".rstrip()


@record
class Error:
    """A rule was broken, or the daemon cannot go on: `code` is for programs, `words` are for people."""

    code: str
    words: str = ""

    def __str__(self) -> str:
        return f"\\error {self.code} {grammar.shortened(self.words, grammar.ORDER_MAX)}".rstrip()

    @classmethod
    def parse(cls, rest: str) -> Self:
        code, _, sentence = rest.partition(" ")
        return cls(code, sentence)


@record
class Notice:
    """Daemon to an endpoint: a sentence to show; nothing else changes."""

    words: str

    def __str__(self) -> str:
        return f"\\notice {grammar.shortened(self.words)}"


@record
class History:
    """Console socket only: asks for what the journal has, of all conversations or one, since a time or not.

    The daemon answers with a `\\peer` line, the messages with their times, and a `\\quit` if it is over, for each.
    """

    since: datetime | None = None
    conversation: int | None = None

    KEYS: ClassVar[grammar.Keys] = {"since": grammar.time, "conversation": grammar.number}

    def __str__(self) -> str:
        return f"\\history{grammar.write_keys(self)}"

    @classmethod
    def parse(cls, rest: str) -> Self:
        return cls(**grammar.read_keys(cls, rest.split()))


@record
class Watch:
    """Console socket only: asks for what happens from now on, and for what nobody has read.

    session, got: the last conversation that this program knows of, and how many messages of its peer it has
    """

    session: int | None = None
    got: int | None = None

    KEYS: ClassVar[grammar.Keys] = {"session": grammar.number, "got": grammar.number}

    def __str__(self) -> str:
        return f"\\watch{grammar.write_keys(self)}"

    @classmethod
    def parse(cls, rest: str) -> Self:
        return cls(**grammar.read_keys(cls, rest.split()))


@record
class Rejected:
    """A message of a classic program that cannot be delivered. Its sender gets an error line, and the conversation
    goes on. No codec reads it: it goes only from a classic codec to the session of the peer, and back."""

    code: str
    words: str

    def __str__(self) -> str:
        return str(Error(self.code, self.words))


@record
class Status:
    """Console socket only. The question has no report; the answer has one JSON object."""

    report: str = ""

    def __str__(self) -> str:
        return f"\\status {self.report}".rstrip()


@record
class Backup:
    """Console socket only: asks for the file of the journal. The answer is lines with the bytes of the file, in
    base64, and then a ready, or an error."""

    piece: str = ""

    def __str__(self) -> str:
        return f"\\backup {self.piece}".rstrip()


@record
class Order:
    """Console socket only: what an administrator wants done, such as `block 192.0.2.9`, or one line of the answer.

    A ready, or an error, ends the answer. An attached console gets the lines as notices.
    """

    words: str

    def __str__(self) -> str:
        return f"\\order {grammar.shortened(self.words, grammar.ORDER_MAX)}"


@record
class Away:
    """From the daemon: the other end has no screen attached; words: what the operator tells callers about that.
    From a console: the operator leaves, and callers get these words until a console is attached."""

    words: str = ""

    def __str__(self) -> str:
        return f"\\away {grammar.shortened(self.words)}".rstrip()


@record
class Here:
    """The other end has a screen attached; its user's handle is `handle`. quiet: as in `Hello`.

    A console also learns where the peer calls from now, whether without TLS, with whose certificate, and the room
    of its program, as in `Peer`.
    """

    handle: str = ""
    address: str | None = None
    plain: bool = False
    name: str | None = None
    quiet: bool = False
    room: int | None = None

    KEYS: ClassVar[grammar.Keys] = {
        "address": str,
        "plain": grammar.flag,
        "name": str,
        "quiet": grammar.flag,
        "room": grammar.number,
    }

    def __str__(self) -> str:
        return f"\\here {self.handle}{grammar.write_keys(self)}".rstrip()

    @classmethod
    def parse(cls, rest: str) -> Self:
        handle, *others = rest.split(" ")
        return cls(grammar.handle(handle) if handle else "", **grammar.read_keys(cls, others))


@record
class Calling:
    """Daemon to console: a caller is connected, and may send the first message.

    silent: it has said nothing yet, and may be a classic program that waits to be spoken to. The other words are
    those of `Peer`.
    """

    handle: str
    address: str
    plain: bool = False
    name: str | None = None
    silent: bool = False

    KEYS: ClassVar[grammar.Keys] = {"address": str, "plain": grammar.flag, "name": str, "silent": grammar.flag}

    def __str__(self) -> str:
        return f"\\calling {self.handle}{grammar.write_keys(self)}"

    @classmethod
    def parse(cls, rest: str) -> Self:
        handle, *others = rest.split(" ")
        return cls(grammar.handle(handle), **grammar.read_keys(cls, others))


@record
class Missed:
    """Daemon to console: a call has ended without a message. name: as in `Peer`; back: the caller had to leave,
    because the user of this handle was back."""

    handle: str
    address: str
    name: str | None = None
    back: str | None = None

    KEYS: ClassVar[grammar.Keys] = {"address": str, "name": str, "back": grammar.handle}

    def __str__(self) -> str:
        return f"\\missed {self.handle}{grammar.write_keys(self)}"

    @classmethod
    def parse(cls, rest: str) -> Self:
        handle, *others = rest.split(" ")
        return cls(grammar.handle(handle), **grammar.read_keys(cls, others))


@record
class _NoArguments:
    """A line that is only its verb."""

    def __str__(self) -> str:
        return f"\\{type(self).__name__.lower()}"

    @classmethod
    def parse(cls, rest: str) -> Self:
        return cls()


class Ready(_NoArguments):
    """From the daemon: you know all that happened before; what follows happens now."""


class Prove(_NoArguments):
    """Daemon to a caller: I have asked for your certificate in TLS. The caller sends the same line back, and
    the proof comes before that."""


@record
class Typing:
    """The other user is typing now. draft: with live typing, all that stands in the line; empty for nothing."""

    draft: str | None = None

    def __str__(self) -> str:
        return "\\typing" if self.draft is None else f"\\typing draft={self.draft}"

    @classmethod
    def parse(cls, rest: str) -> Self:
        _, mark, draft = rest.partition("draft=")
        return cls(nfc(draft)[:MESSAGE_MAX] if mark else None)


@record
class Live:
    """Whether a user wants live typing: that of an endpoint, or, from the daemon, the other one."""

    wanted: bool

    def __str__(self) -> str:
        return f"\\live {'on' if self.wanted else 'off'}"

    @classmethod
    def parse(cls, rest: str) -> Self:
        return cls(rest.partition(" ")[0] == "on")


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
    | Watch
    | Rejected
    | Status
    | Backup
    | Order
    | Calling
    | Missed
    | Away
    | Here
    | Ready
    | Prove
    | Typing
    | Live
    | Ring
    | Ping
    | Pong
)

READERS: dict[str, Callable[[str], Frame]] = {
    "hello": Hello.parse,
    "peer": Peer.parse,
    "ack": Ack.parse,
    "stored": Stored.parse,
    "read": Read.parse,
    "at": Timestamp.parse,
    "quit": Quit,
    "busy": Busy,
    "error": Error.parse,
    "notice": Notice,
    "history": History.parse,
    "watch": Watch.parse,
    "status": Status,
    "backup": Backup,
    "order": Order,
    "calling": Calling.parse,
    "missed": Missed.parse,
    "away": Away,
    "here": Here.parse,
    "ready": Ready.parse,
    "prove": Prove.parse,
    "typing": Typing.parse,
    "live": Live.parse,
    "ring": Ring.parse,
    "ping": Ping.parse,
    "pong": Pong.parse,
}
"""What makes a frame of the words behind each verb."""
