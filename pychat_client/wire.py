"""The line protocol, version 1: bytes to typed frames and back (docs/protocol.md, "Lines").

A frame is a frozen dataclass whose `str()` is its line without the line feed; `Codec` makes
the bytes and takes them apart, however TCP split or joined them. This module does no IO, and
knows nothing of turns, counts or who may say what: that is conversation.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache

from pychat_client.errors import HandleError, ProtocolError
from pychat_client.text import CONTROL, MESSAGE_MAX, check_handle, nfc

VERSION = 1

LINE_MAX = 4096
"""Bytes of a line, line feed included. The longest legal one, 500 characters of 4 bytes behind a
handle of 10, has 2,043; a longer line is an error as soon as it is seen to be longer."""

WORDS_MAX = 200
"""Characters of a reason or of an error's sentence; more is cut when it is sent."""

_NUMBER = re.compile(r"[0-9]{1,15}")
_SESSION = re.compile(r"[0-9A-Za-z_-]{1,64}")


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
    messages known to be stored; turns (daemon only): "alternate" or "free"; keep (daemon only): how
    long the journal keeps what is said; key (daemon to console): the fingerprint that callers see;
    suggested (console only): a handle the daemon has for the operator goes before this one; take
    (console only): take the place of the console that is attached.
    """

    version: int
    handle: str
    session: str | None = None
    got: int | None = None
    sent: int | None = None
    turns: str | None = None
    keep: str | None = None
    key: str | None = None
    suggested: bool = False
    take: bool = False

    def __str__(self) -> str:
        words = _optional(session=self.session, got=self.got, sent=self.sent, turns=self.turns)
        flags = _optional(keep=self.keep, key=self.key, suggested=self.suggested or None, take=self.take or None)
        return f"\\hello {self.version} {self.handle}{words}{flags}"


@dataclass(frozen=True, slots=True)
class Peer:
    """Daemon to console: the messages that follow are of this conversation.

    session: the conversation's number in the journal (no secret, unlike the peer's token); got: how
    many of the operator's messages are stored in it; heard, told: how many messages of the peer and
    of the operator come before those that follow, and are not repeated; address: where the peer
    called from; classic: it speaks no version 1, so nothing is acked by it; plain: it calls without
    TLS; name: whose certificate it has shown, on a line with an allowlist.
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
    plain: bool = False
    name: str | None = None

    def __str__(self) -> str:
        counts = _optional(session=self.session, got=self.got, heard=self.heard, told=self.told)
        words = _optional(turns=self.turns, since=timestamp(self.since), address=self.address)
        flags = _optional(classic=self.classic or None, plain=self.plain or None, name=self.name)
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
class At:
    """The time of the next message line, where that is not now. own: the operator's own message."""

    time: datetime
    own: bool = False

    def __str__(self) -> str:
        return f"\\at {timestamp(self.time)}" + (" own" if self.own else "")


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
class Unfit:
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
class _Bare:
    def __str__(self) -> str:
        return f"\\{type(self).__name__.lower()}"


class Away(_Bare):
    """The other end has no screen attached."""


class Here(_Bare):
    """The other end has a screen attached again."""


class Typing(_Bare):
    """The other user is typing now."""


class Ping(_Bare):
    """Are you there?"""


class Pong(_Bare):
    """I am."""


Frame = (
    Message
    | Hello
    | Peer
    | Ack
    | Read
    | At
    | Quit
    | Busy
    | Error
    | Notice
    | History
    | Unfit
    | Status
    | Away
    | Here
    | Typing
    | Ping
    | Pong
)


def timestamp(time: datetime) -> str:
    """RFC 3339 in UTC with milliseconds."""
    return time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def parse(line: bytes) -> Frame | None:
    """The frame of one line (without its line feed); None for a verb this version does not know.

    Raises ProtocolError with code `utf-8`, `control`, `handle`, `empty`, `too-long` or `syntax`.
    """
    try:
        text = line.removesuffix(b"\r").decode()
    except UnicodeDecodeError as error:
        raise ProtocolError("utf-8", f"The line is not UTF-8 (byte {error.start + 1}).") from None
    if (found := CONTROL.search(text)) is not None:
        raise ProtocolError("control", f"The line contains the control character U+{ord(found[0]):04X}.")
    if not text.startswith("\\"):
        return _message(text)
    verb, _, rest = text[1:].partition(" ")
    parser = _PARSERS.get(verb)
    return None if parser is None else parser(rest)


class Codec:
    """Bytes in, frames out, and back; never holds more than one unfinished line of LINE_MAX bytes.

    It is told from nothing but the bytes, so feeding a whole stream gives the same frames, and the
    same error, as feeding it byte by byte.
    """

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Yields the frames completed by `data`. Raises ProtocolError at the line that breaks a rule;
        the codec is of no more use then. What came before that line has been yielded."""
        lines = (self._rest + data).split(b"\n")
        self._rest = lines.pop()
        for line in lines:
            _check_length(len(line) + 1)
            if (frame := parse(line)) is not None:
                yield frame
        _check_length(len(self._rest))

    def eof(self) -> Iterator[Frame]:
        """Nothing more will come: an unfinished line is dropped, its sender still has it unacked."""
        self._rest = b""
        yield from ()

    def encode(self, frame: Frame) -> bytes:
        """The bytes of one line."""
        return f"{frame}\n".encode()


def _check_length(size: int) -> None:
    if size > LINE_MAX:
        raise ProtocolError("too-long", f"A line of more than {LINE_MAX} bytes cannot be a message.")


def _message(text: str) -> Message:
    handle, mark, body = text.partition("> ")
    if not mark:
        raise ProtocolError("syntax", "A message is a line 'HANDLE> TEXT'.")
    body = nfc(body)
    if not body:
        raise ProtocolError("empty", "The message is empty.")
    if len(body) > MESSAGE_MAX:
        raise ProtocolError(
            "too-long", f"The message has {len(body)} characters, and at most {MESSAGE_MAX} can be sent."
        )
    return Message(_handle(handle), body)


@lru_cache(maxsize=16)  # every message of a conversation begins with one of two handles
def _handle(word: str) -> str:
    try:
        return check_handle(word)
    except HandleError as error:
        raise ProtocolError("handle", str(error)) from None


def _number(word: str) -> int:
    if _NUMBER.fullmatch(word) is None:
        raise ProtocolError("syntax", "A count is a decimal number.")
    return int(word)


def _time(word: str) -> datetime:
    try:
        time = datetime.fromisoformat(word)
    except ValueError:
        time = None
    if time is None or time.tzinfo is None:
        raise ProtocolError("syntax", "A time is written as in RFC 3339.")
    return time


def _session(word: str) -> str:
    if _SESSION.fullmatch(word) is None:
        raise ProtocolError("syntax", "A session is 1 to 64 letters, digits, '-' or '_'.")
    return word


def _keys(words: list[str]) -> dict[str, str]:
    """The `key=value` words; others are ignored, so that version 1 can grow."""
    return dict(word.split("=", 1) for word in words if "=" in word)


def _hello(rest: str) -> Hello:
    words = rest.split()
    if len(words) < 2:
        raise ProtocolError("syntax", "A hello is '\\hello VERSION HANDLE'.")
    keys = _keys(words[2:])
    return Hello(
        _number(words[0]),
        _handle(words[1]),
        session=_session(keys["session"]) if "session" in keys else None,
        got=_number(keys["got"]) if "got" in keys else None,
        sent=_number(keys["sent"]) if "sent" in keys else None,
        turns=keys.get("turns"),
        keep=keys.get("keep"),
        key=keys.get("key"),
        suggested="suggested" in keys,
        take="take" in keys,
    )


def _peer(rest: str) -> Peer:
    handle, _, more = rest.partition(" ")
    keys = _keys(more.split())
    try:
        return Peer(
            _handle(handle),
            session=_session(keys["session"]),
            got=_number(keys["got"]),
            heard=_number(keys["heard"]),
            told=_number(keys["told"]),
            turns=keys["turns"],
            since=_time(keys["since"]),
            address=keys["address"],
            classic="classic" in keys,
            plain="plain" in keys,
            name=keys.get("name"),
        )
    except KeyError as error:
        raise ProtocolError("syntax", f"The word {error.args[0]}= is missing.") from None


def _at(rest: str) -> At:
    time, _, more = rest.partition(" ")
    return At(_time(time), own="own" in more.split())


def _history(rest: str) -> History:
    since = _keys(rest.split()).get("since")
    return History(None if since is None else _time(since))


def _error(rest: str) -> Error:
    code, _, words = rest.partition(" ")
    return Error(code, words)


_PARSERS: dict[str, Callable[[str], Frame]] = {
    "hello": _hello,
    "peer": _peer,
    "ack": lambda rest: Ack(_number(rest)),
    "read": lambda rest: Read(_number(rest)),
    "at": _at,
    "quit": Quit,
    "busy": Busy,
    "error": _error,
    "notice": Notice,
    "history": _history,
    "status": Status,
    "away": lambda rest: Away(),
    "here": lambda rest: Here(),
    "typing": lambda rest: Typing(),
    "ping": lambda rest: Ping(),
    "pong": lambda rest: Pong(),
}


def _optional(**words: object) -> str:
    """` key=value` for each that is not None; a flag (True) travels as 1."""
    return "".join(f" {key}={int(v) if v is True else v}" for key, v in words.items() if v is not None)


def _cut(words: str) -> str:
    return words if len(words) <= WORDS_MAX else words[: WORDS_MAX - 1] + "…"
