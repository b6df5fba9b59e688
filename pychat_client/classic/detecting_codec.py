"""Peers that know only the seed's rules, and how they are told apart (docs/classic.md).

Each kind has a codec that yields the frames of the line protocol, so that nobody else needs to know
what such a peer really sends: `PersonCodec` here for people at `nc` or `telnet`, `ProgramCodec` in
program for programs. `GreetingCodec` decides by the first bytes which one a caller needs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from pychat_client.classic.framing import (
    GUEST,
    MARKS,
    SILENCE,
    VERSION,
    clean,
    flat,
    is_doubled,
    meaning,
    split_name,
)
from pychat_client.classic.program_codec import ProgramCodec
from pychat_client.classic.telnet import Telnet, speaks
from pychat_client.errors import ProtocolError
from pychat_client.protocol import wire
from pychat_client.protocol.codec import LINE_MAX, LineCodec
from pychat_client.text import MESSAGE_MAX, is_handle

_HELLO = b"\\hello "


class PersonCodec:
    """Lines in, lines out: each line is a message at once. Liberal in what it takes: controls and
    bytes that are not UTF-8 are shown as U+FFFD; an over-long line is refused and passed over."""

    patience: float | None = None

    def __init__(self) -> None:
        self._telnet = Telnet()
        self._rest = b""
        self._prefix: str | None = None  # what the first line began with: "Ann> ", or nothing
        self._handle = GUEST
        self._greeted = False
        self._blank = 0  # bytes of empty lines in a row: read and decoded for nothing
        self._over = False  # interrupted at telnet
        self._skipping = False  # inside a line that was too long: up to its end

    def feed(self, data: bytes) -> Iterator[wire.Frame]:
        lines = (self._rest + self._telnet.feed(data)).split(b"\n")
        self._rest = lines.pop()
        for line in lines:
            if self._skipping:
                self._skipping = False
            elif len(line) >= LINE_MAX:
                yield from self._too_long()
            else:
                yield from self._line(line)
        if self._skipping:
            self._rest = b""
        elif len(self._rest) >= LINE_MAX:
            self._rest = b""
            self._skipping = True
            yield from self._too_long()
        if self._telnet.refusals:
            yield wire.Ping()  # telnet asks for something: the link's pong carries the refusal
        if self._telnet.interrupted:
            self._rest = b""
            yield from self._interrupt()

    def silence(self) -> Iterator[wire.Frame]:
        yield from ()

    def eof(self) -> Iterator[wire.Frame]:
        """The end of what it sends is its quit; a last line needs no line feed."""
        rest, self._rest = self._rest, b""
        if rest and not self._skipping:
            yield from self._line(rest)
        if self._greeted and not self._over:
            yield wire.Quit()

    def encode(self, frame: wire.Frame) -> bytes:
        """Messages, and the control lines that a person can read; the others are left out."""
        match frame:
            case wire.Message(handle, text):
                return f"{handle}> {flat(text)}\n".encode()
            case wire.Quit() | wire.Busy() | wire.Error() | wire.Rejected():
                return f"{frame}\n".encode()
            case wire.Pong():
                refusals, self._telnet.refusals = self._telnet.refusals, b""
                return refusals
            case _:
                return b""

    def room(self, handle: str) -> int | None:
        """A person reads as much as is said."""
        return None

    def _line(self, line: bytes) -> Iterator[wire.Frame]:
        text = clean(line.strip(b"\0").removesuffix(b"\r"))
        if not text.strip():
            self._blank += len(line) + 1
            if self._blank > LINE_MAX:
                raise ProtocolError("empty", "There are only empty lines.")
            return
        self._blank = 0
        if self._prefix is None:
            self._learn(text)
        yield from self._hello()
        yield meaning(self._handle, text.removeprefix(self._prefix or "") or text)

    def _learn(self, text: str) -> None:
        """From the first line: who it is. `Ann> ` tells; "note: milk" and "a>b" do not."""
        name, body = split_name(text)
        self._prefix = ""
        if body and text == f"{name}> {body}" and is_handle(name):
            self._handle, self._prefix = name, f"{name}> "

    def _too_long(self) -> Iterator[wire.Frame]:
        yield from self._hello()
        yield wire.Rejected("too-long", f"Not delivered: at most {MESSAGE_MAX} characters can be sent.")

    def _interrupt(self) -> Iterator[wire.Frame]:
        """Ctrl-C at telnet: the line being typed is nothing, and there is no other."""
        if not self._over:
            self._over = True
            yield from self._hello()
            yield wire.Quit()

    def _hello(self) -> Iterator[wire.Frame]:
        if not self._greeted:
            self._greeted = True
            yield wire.Hello(VERSION, self._handle)


class DetectingCodec:
    """Waits until the first bytes tell who calls: `\\hello ` makes a version-1 caller at once; what
    else comes before the first silence makes a person's lines or a program's burst."""

    def __init__(self) -> None:
        self._start = b""
        self._codec: LineCodec | PersonCodec | ProgramCodec | None = None

    @property
    def patience(self) -> float | None:
        if self._codec is not None:
            return self._codec.patience
        return None if _HELLO.startswith(self._start) else SILENCE

    def feed(self, data: bytes) -> Iterator[wire.Frame]:
        if self._codec is not None:
            yield from self._codec.feed(data)
            return
        looked_at = len(self._start)
        self._start += data
        if self._start.startswith(_HELLO):
            yield from self._become(LineCodec())
        elif _is_talking(self._start, looked_at):
            yield from self._become(PersonCodec())
        elif len(self._start) >= LINE_MAX:
            yield from self._decide()

    def silence(self) -> Iterator[wire.Frame]:
        yield from self._decide()
        if self._codec is not None:
            yield from self._codec.silence()

    def eof(self) -> Iterator[wire.Frame]:
        yield from self._decide()
        if self._codec is not None:
            yield from self._codec.eof()

    def encode(self, frame: wire.Frame) -> bytes:
        return (self._codec or PersonCodec()).encode(frame)

    def room(self, handle: str) -> int | None:
        return None if self._codec is None else self._codec.room(handle)

    def _decide(self) -> Iterator[wire.Frame]:
        if self._codec is None and self._start:
            person = _from_person(self._start[:LINE_MAX])  # however many bytes the last read brought
            yield from self._become(PersonCodec() if person else ProgramCodec())

    def _become(self, codec: LineCodec | PersonCodec | ProgramCodec) -> Iterator[wire.Frame]:
        self._codec = codec
        start, self._start = self._start, b""
        yield from codec.feed(start)


def _is_talking(start: bytes, looked_at: int) -> bool:
    """Whether two lines or more are a person's already, who may never pause: not the seed's doubled text.
    looked_at: bytes of `start` of which the answer was no; each line is looked at once, however it drips in."""
    ends = [found.end() for found in re.finditer(b"\n", start[:LINE_MAX])]
    return any(_from_person(start[:end]) for end in ends[1:] if end > looked_at)


def _from_person(start: bytes) -> bool:
    """Whether the first burst is somebody's lines: `nc` sends whole lines, `telnet` commands too."""
    if speaks(start):
        return True
    marked = start.rstrip(b"\r\n").endswith(MARKS)
    return b"\n" in start and b"\0" not in start and not marked and not is_doubled(start)
