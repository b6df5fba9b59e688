"""Bytes to frames and back, however TCP split or joined them (docs/protocol.md, "Lines").

This module does no IO. A line that breaks the grammar is a ProtocolError; what may be said when is
for conversation to know.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import lru_cache

from pychat_client.errors import HandleError, ProtocolError
from pychat_client.protocol import wire
from pychat_client.text import CONTROL, MESSAGE_MAX, check_handle, nfc

LINE_MAX = 4096
"""Bytes of a line, line feed included. The longest legal one, 500 characters of 4 bytes behind a
handle of 10, has 2,043; a longer line is an error as soon as it is seen to be longer."""

_EPOCH = datetime.fromtimestamp(0, UTC)
_DOOMSDAY = datetime(9999, 1, 1, tzinfo=UTC)  # far enough from the last one to be shown in every zone
_NUMBER = re.compile(r"[0-9]{1,15}")
_SESSION = re.compile(r"[0-9A-Za-z_-]{1,64}")


def parse(line: bytes) -> wire.Frame | None:
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


class LineCodec:
    """Bytes in, frames out, and back; never holds more than one unfinished line of LINE_MAX bytes.

    It is told from nothing but the bytes, so feeding a whole stream gives the same frames, and the
    same error, as feeding it byte by byte.
    """

    patience: float | None = None

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> Iterator[wire.Frame]:
        """Yields the frames completed by `data`. Raises ProtocolError at the line that breaks a rule;
        the codec is of no more use then. What came before that line has been yielded."""
        lines = (self._rest + data).split(b"\n")
        self._rest = lines.pop()
        for line in lines:
            _check_length(len(line) + 1)
            if (frame := parse(line)) is not None:
                yield frame
        _check_length(len(self._rest))

    def silence(self) -> Iterator[wire.Frame]:
        yield from ()

    def eof(self) -> Iterator[wire.Frame]:
        """Nothing more will come: an unfinished line is dropped, its sender still has it unacked."""
        self._rest = b""
        yield from ()

    def encode(self, frame: wire.Frame) -> bytes:
        """The bytes of one line."""
        return f"{frame}\n".encode()

    def room(self, handle: str) -> int | None:
        """Nothing but the 500 characters limits a message."""
        return None


def _check_length(size: int) -> None:
    if size > LINE_MAX:
        raise ProtocolError("too-long", f"A line of more than {LINE_MAX} bytes cannot be a message.")


def _message(text: str) -> wire.Message:
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
    return wire.Message(_handle(handle), body)


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
        if time.tzinfo is not None and _EPOCH <= time < _DOOMSDAY:
            return time
    except ValueError:
        pass
    raise ProtocolError("syntax", "A time is written as in RFC 3339, and is from 1970 on.")


def _session(word: str) -> str:
    if _SESSION.fullmatch(word) is None:
        raise ProtocolError("syntax", "A session or a console is 1 to 64 letters, digits, '-' or '_'.")
    return word


def _keys(words: list[str]) -> dict[str, str]:
    """The `key=value` words; others are ignored, so that version 1 can grow."""
    return dict(word.split("=", 1) for word in words if "=" in word)


def _hello(rest: str) -> wire.Hello:
    words = rest.split(" ")
    if len(words) < 2:
        raise ProtocolError("syntax", "A hello is '\\hello VERSION HANDLE'.")
    if _number(words[0]) == 0:
        raise ProtocolError("version", "There is no version 0.")
    keys = _keys(words[2:])
    return wire.Hello(
        _number(words[0]),
        _handle(words[1]),
        session=_session(keys["session"]) if "session" in keys else None,
        got=_number(keys["got"]) if "got" in keys else None,
        sent=_number(keys["sent"]) if "sent" in keys else None,
        turns=keys.get("turns"),
        call=_number(keys["call"]) if "call" in keys else None,
        keep=keys.get("keep"),
        key=keys.get("key"),
        console=_session(keys["console"]) if "console" in keys else None,
        suggested=keys.get("suggested") == "1",
        take=keys.get("take") == "1",
    )


def _peer(rest: str) -> wire.Peer:
    handle, _, more = rest.partition(" ")
    keys = _keys(more.split(" "))
    try:
        return wire.Peer(
            _handle(handle),
            session=_session(keys["session"]),
            got=_number(keys["got"]),
            heard=_number(keys["heard"]),
            told=_number(keys["told"]),
            turns=keys["turns"],
            since=_time(keys["since"]),
            address=keys["address"],
            classic=keys.get("classic") == "1",
            room=_number(keys["room"]) if "room" in keys else None,
            plain=keys.get("plain") == "1",
            name=keys.get("name"),
        )
    except KeyError as error:
        raise ProtocolError("syntax", f"The word {error.args[0]}= is missing.") from None


def _here(rest: str) -> wire.Here:
    handle, _, more = rest.partition(" ")
    keys = _keys(more.split(" "))
    return wire.Here(
        _handle(handle) if handle else "",
        address=keys.get("address"),
        plain=keys.get("plain") == "1",
        name=keys.get("name"),
    )


def _at(rest: str) -> wire.Timestamp:
    time, _, more = rest.partition(" ")
    flags = more.split()
    return wire.Timestamp(_time(time), own="own" in flags, mine="mine" in flags, gone="gone" in flags)


def _history(rest: str) -> wire.History:
    since = _keys(rest.split()).get("since")
    return wire.History(None if since is None else _time(since))


def _error(rest: str) -> wire.Error:
    code, _, words = rest.partition(" ")
    return wire.Error(code, words)


_PARSERS: dict[str, Callable[[str], wire.Frame]] = {
    "hello": _hello,
    "peer": _peer,
    "ack": lambda rest: wire.Ack(_number(rest.partition(" ")[0])),
    "stored": lambda rest: wire.Stored(_number(rest.partition(" ")[0])),
    "read": lambda rest: wire.Read(_number(rest.partition(" ")[0])),
    "at": _at,
    "quit": wire.Quit,
    "busy": wire.Busy,
    "error": _error,
    "notice": wire.Notice,
    "history": _history,
    "status": wire.Status,
    "away": lambda rest: wire.Away(),
    "here": _here,
    "ready": lambda rest: wire.Ready(),
    "typing": lambda rest: wire.Typing(),
    "ring": lambda rest: wire.Ring(),
    "ping": lambda rest: wire.Ping(),
    "pong": lambda rest: wire.Pong(),
}
