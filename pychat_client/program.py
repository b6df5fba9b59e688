"""A classic program as a peer: the seed's client and its siblings (docs/classic.md).

A codec that yields the frames of the line protocol. Such a program shows what one read brings and
then waits for its user, so it is sent one write for each message of its own, and nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from pychat_client import wire
from pychat_client.burst import (
    BURST_MAX,
    FRAME_MAX,
    GUEST,
    SILENCE,
    VERSION,
    clean,
    flat,
    is_quit,
    split_name,
    words,
)
from pychat_client.errors import HandleError
from pychat_client.text import BREAK, MESSAGE_MAX, check_handle

_PORT = re.compile(r"[0-9]{1,5}")
_PORT_AND_NAME = re.compile(r"[0-9]{4,5}(?=[^\W\d]\w*(?: ?>|: ))")  # the two writes in one segment


class ProgramCodec:
    """Bursts in, single writes out."""

    def __init__(self) -> None:
        self._rest = b""
        self._handle = GUEST
        self._own = ""  # the operator's handle, which the answer to a handshake has told it
        self._prefix: str | None = None  # what its messages begin with; None until the first
        self._first = True  # nothing has come yet
        self._shook = False  # it began with its bare handle, and waits for ours
        self._greeted = False
        self._mark = b""  # what it ends messages with
        self._unanswered = ""  # its last message, until it has had an answer

    @property
    def patience(self) -> float | None:
        return SILENCE if self._rest else None

    def feed(self, data: bytes) -> Iterator[wire.Frame]:
        self._rest = (self._rest + data)[:BURST_MAX]
        if self._mark:  # no need to wait
            *whole, self._rest = self._rest.split(self._mark)
            for burst in whole:
                yield from self._burst(burst + self._mark)
            self._rest = self._rest.lstrip(b"\0")

    def silence(self) -> Iterator[wire.Frame]:
        burst, self._rest = self._rest, b""
        yield from self._burst(burst)

    def eof(self) -> Iterator[wire.Frame]:
        """The end of what it sends is its quit."""
        burst, self._rest = self._rest, b""
        yield from self._burst(burst, last=True)
        if self._greeted:
            yield wire.Quit()

    def encode(self, frame: wire.Frame) -> bytes:
        """One write: the handle that it waits for, a message in its own style, the end."""
        end = (self._mark or b"\0").decode()
        match frame:
            case wire.Hello(_, handle) if self._shook:
                self._own = handle
                return f"{handle}\0".encode()
            case wire.Message(handle, text):
                self._unanswered = ""
                name = f"{handle}> " if self._prefix else ""
                return f"{name}{flat(text)}{end}".encode()
            case wire.Quit():
                # Without names in front it knows no quit either: the end of the connection has to do.
                return b"" if self._shook and not self._prefix and not self._mark else f"\\quit{end}".encode()
            case wire.Busy() | wire.Error() | wire.Unfit():
                return f"{frame}{end}".encode()
            case _:
                return b""

    def room(self, handle: str) -> int:
        """Bytes that the text of a message by `handle` may have."""
        return FRAME_MAX - len(f"{handle}> ".encode()) - len(self._mark or b"\0")

    # -------------------------------------------------------------- what a burst means

    def _burst(self, burst: bytes, *, last: bool = False) -> Iterator[wire.Frame]:
        if not burst.strip(b"\0"):  # padding that came late
            return
        said, mark = words(burst)
        self._mark = mark or self._mark
        said, *joined = said.split(mark) if mark else [said]  # messages that a segment joined
        text = _text(said)
        if self._first:
            self._first = False
            if _PORT.fullmatch(text) and b"\n" not in burst:
                return  # a port for something else
            text = text.removeprefix(found[0]) if (found := _PORT_AND_NAME.match(text)) else text
            if not last and b"\n" not in burst and _is_handle(text):
                self._shook, self._handle = True, text
                yield from self._hello()
                return
        yield from self._say(text)
        if not mark:  # behind padding: another message, or what was left in a buffer
            pieces = re.split(rb"\0+", burst)[1:]
            joined = [piece for piece in pieces if self._prefix and piece.startswith(self._prefix.encode())]
        for piece in joined:
            yield from self._say(_text(words(piece.strip(b"\0"))[0]))

    def _say(self, text: str) -> Iterator[wire.Frame]:
        if self._prefix is None:
            self._learn_prefix(text)
        elif self._prefix and text == self._unanswered:
            return  # the seed's text once more, which the network has torn off
        body = text.removeprefix(self._prefix or "")
        yield from self._hello()
        if is_quit(body):
            yield wire.Quit()
        elif len(body) > MESSAGE_MAX:
            yield wire.Unfit(
                "too-long", f"Not delivered: {len(body)} characters, and at most {MESSAGE_MAX} can be sent."
            )
        else:
            self._unanswered = body
            yield wire.Message(self._handle, body or " ")  # an empty one passes the turn all the same

    def _learn_prefix(self, text: str) -> None:
        """From the first message: whether names stand in front, and which."""
        name, prefix = split_name(text)
        if not self._shook:
            self._handle = name or GUEST
        elif text.startswith(f"{self._handle}{self._own}> "):
            prefix = f"{self._handle}{self._own}> "  # the seed's, for a handle of ten without its NUL
        elif name != self._handle:
            prefix = ""
        self._prefix = prefix

    def _hello(self) -> Iterator[wire.Frame]:
        if not self._greeted:
            self._greeted = True
            yield wire.Hello(VERSION, self._handle, turns="alternate")


def _text(said: bytes) -> str:
    return BREAK.join(map(clean, said.strip(b"\0").split(b"\n")))


def _is_handle(text: str) -> bool:
    try:
        return check_handle(text) == text
    except HandleError:
        return False
