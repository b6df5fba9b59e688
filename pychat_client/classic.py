"""Peers that know only the seed's rules: `nc`, `telnet` (docs/protocol.md, "Classic peers").

A codec that yields the frames of the line protocol, so that nobody else needs to know what such a
peer really sends. `GreetingCodec` decides by the first line which codec a caller needs.
"""

from __future__ import annotations

from collections.abc import Iterator

from pychat_client import wire
from pychat_client.codec import LINE_MAX, LineCodec
from pychat_client.errors import HandleError, ProtocolError
from pychat_client.text import CONTROL, MESSAGE_MAX, check_handle, nfc

VERSION = 0
"""The version in the hello that stands for a classic peer's missing one."""

GUEST = "guest"
"""The handle of a classic peer that has not told one."""

_HELLO = b"\\hello "


class ClassicCodec:
    """Lines in, lines out. Liberal in what it takes: NULs, other controls and bytes that are not
    UTF-8 are shown as U+FFFD; an over-long line is refused and passed over; nothing is an error."""

    def __init__(self) -> None:
        self._rest = b""
        self._handle = GUEST
        self._greeted = False
        self._blank = 0  # bytes of empty lines in a row: read and decoded for nothing
        self._skipping = False  # inside a line that was too long: up to its end

    def feed(self, data: bytes) -> Iterator[wire.Frame]:
        lines = (self._rest + data).split(b"\n")
        self._rest = lines.pop()
        for line in lines:
            if self._skipping:
                self._skipping = False
            elif len(line) >= LINE_MAX:
                yield from self._too_long(f"at most {MESSAGE_MAX} characters can be sent")
            else:
                yield from self._line(line)
        if self._skipping:
            self._rest = b""
        elif len(self._rest) >= LINE_MAX:
            self._rest = b""
            self._skipping = True
            yield from self._too_long(f"at most {MESSAGE_MAX} characters can be sent")

    def eof(self) -> Iterator[wire.Frame]:
        """The end of what it sends is its quit; a last line needs no line feed."""
        rest, self._rest = self._rest, b""
        if rest and not self._skipping:
            yield from self._line(rest)
        if self._greeted:
            yield wire.Quit()

    def encode(self, frame: wire.Frame) -> bytes:
        """Messages, and the control lines that a person can read; the others are left out."""
        match frame:
            case wire.Message(handle, text):
                return f"{handle}> {text.replace(chr(0x2028), ' ')}\n".encode()
            case wire.Quit() | wire.Busy() | wire.Error() | wire.Unfit():
                return f"{frame}\n".encode()
            case _:
                return b""

    def _line(self, line: bytes) -> Iterator[wire.Frame]:
        text = line.decode(errors="replace").strip("\0").removesuffix("\r")
        if not text.strip():
            self._blank += len(line) + 1
            if self._blank > LINE_MAX:
                raise ProtocolError("empty", "There are only empty lines.")
            return
        self._blank = 0
        handle, body = self._split(nfc(CONTROL.sub("\ufffd", text)))
        yield from self._hello(handle)
        self._handle = handle
        if body in ("\\quit", "/quit"):
            yield wire.Quit()
        elif len(body) > MESSAGE_MAX:
            yield from self._too_long(f"{len(body)} characters, and at most {MESSAGE_MAX} can be sent")
        else:
            yield wire.Message(handle, body)

    def _too_long(self, why: str) -> Iterator[wire.Frame]:
        yield from self._hello(self._handle)
        yield wire.Unfit("too-long", f"Not delivered: {why}.")

    def _hello(self, handle: str) -> Iterator[wire.Frame]:
        if not self._greeted:
            self._greeted = True
            yield wire.Hello(VERSION, handle)

    def _split(self, text: str) -> tuple[str, str]:
        """`NAME> TEXT`, or the whole text from the handle known so far."""
        name, mark, body = text.partition("> ")
        if mark and body:
            try:
                return check_handle(name), body
            except HandleError:
                pass
        return self._handle, text


class GreetingCodec:
    """Waits for the first bytes: `\\hello ` makes a version-1 caller, anything else a classic one."""

    def __init__(self) -> None:
        self._start = b""
        self._codec: LineCodec | ClassicCodec | None = None

    def feed(self, data: bytes) -> Iterator[wire.Frame]:
        if self._codec is None:
            data = self._start = self._start + data
            if len(data) < len(_HELLO) and _HELLO.startswith(data):
                return
            self._codec = LineCodec() if data.startswith(_HELLO) else ClassicCodec()
        yield from self._codec.feed(data)

    def eof(self) -> Iterator[wire.Frame]:
        codec = self._codec
        if codec is None:
            codec = ClassicCodec()
            yield from codec.feed(self._start)
        yield from codec.eof()

    def encode(self, frame: wire.Frame) -> bytes:
        return (self._codec or ClassicCodec()).encode(frame)
