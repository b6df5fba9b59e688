"""Bytes to frames and back, however TCP splits or joins them (docs/protocol.md, "Lines").

A line that breaks the grammar is a ProtocolError. Which frame may come when is a question for the endpoint.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from pychat_client.errors import ProtocolError
from pychat_client.protocol import wire
from pychat_client.text import CONTROL

LINE_MAX = 4096
"""Bytes of a line, line feed included. The longest legal line has 2,043: 500 characters of 4 bytes behind a handle
of 10. A longer line is an error as soon as LINE_MAX bytes have arrived without its end."""


def parse(line: bytes) -> wire.Frame | None:
    """The frame of one line without its line feed; None for a verb that this version does not know.

    Raises ProtocolError with code `utf-8`, `control`, `handle`, `empty`, `too-long`, `version` or `syntax`.
    """
    try:
        text = line.removesuffix(b"\r").decode()
    except UnicodeDecodeError as error:
        raise ProtocolError("utf-8", f"The line is not UTF-8 (byte {error.start + 1}).") from None
    if (found := CONTROL.search(text)) is not None:
        raise ProtocolError("control", f"The line contains the control character U+{ord(found[0]):04X}.")
    if not text.startswith("\\"):
        return wire.Message.parse(text)
    verb, _, rest = text[1:].partition(" ")
    read = wire.READERS.get(verb)
    return None if read is None else read(rest)


class Codec(Protocol):
    """Bytes to frames and back, for one connection: LineCodec, or the codec of a classic program."""

    @property
    def patience(self) -> float | None:
        """Seconds without a byte after which `silence` has to be called; None for never."""

    def feed(self, data: bytes) -> Iterator[wire.Frame]:
        """The frames that `data` completes. Raises ProtocolError behind the last good one."""

    def silence(self) -> Iterator[wire.Frame]:
        """The frames that are complete because nothing has come for `patience` seconds."""

    def eof(self) -> Iterator[wire.Frame]:
        """The last frames: nothing more will come."""

    def encode(self, frame: wire.Frame) -> bytes:
        """The bytes of a frame. To be called once for each, when it is sent."""

    def max_text_bytes(self, handle: str) -> int | None:
        """Bytes that the text of a message by `handle` can have; None for any number."""


class LineCodec:
    """Lines to frames and back. Keeps at most one unfinished line, of LINE_MAX bytes.

    How a stream is split into reads makes no difference: the frames are the same, and the error is the same.
    """

    patience: float | None = None

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> Iterator[wire.Frame]:
        """Yields the frames that `data` completes. Raises ProtocolError at the first line that breaks a rule,
        after the frames before it. The codec cannot be used any more then."""
        lines = (self._rest + data).split(b"\n")
        self._rest = lines.pop()
        for line in lines:
            if len(line) >= LINE_MAX:
                raise _too_long()
            if (frame := parse(line)) is not None:
                yield frame
        if len(self._rest) > LINE_MAX:
            raise _too_long()

    def silence(self) -> Iterator[wire.Frame]:
        yield from ()

    def eof(self) -> Iterator[wire.Frame]:
        """Drops an unfinished line: its sender does not get an ack for it."""
        self._rest = b""
        yield from ()

    def encode(self, frame: wire.Frame) -> bytes:
        return f"{frame}\n".encode()

    def max_text_bytes(self, handle: str) -> int | None:
        """The 500 characters are the only limit."""
        return None


def _too_long() -> ProtocolError:
    return ProtocolError("too-long", f"The line is too long: at most {LINE_MAX} bytes are allowed.")
