"""A classic program as a peer: the seed's client and its siblings (docs/classic.md).

A codec that yields the frames of the line protocol. Such a program shows what one read brings and
then waits for its user, so it is sent one write for each message of its own, and nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from pychat_client.classic import framing
from pychat_client.classic.framing import BURST_MAX, GUEST, MARKS, SILENCE, VERSION
from pychat_client.protocol import wire
from pychat_client.protocol.turns import Turns
from pychat_client.text import is_handle, nfc

_PORT = re.compile(r"[0-9]{1,5}")
_PORT_AND_NAME = re.compile(r"[0-9]{4,5}(?=[^\W\d]\w*(?: ?>|: ))")  # the two writes in one segment


class ProgramCodec:
    """Bursts in, single writes out."""

    def __init__(self) -> None:
        self._rest = b""
        self._handle = GUEST
        self._own = ""  # the operator's handle, which the answer to a handshake has told it
        self._name: str | None = None  # what its messages begin with, empty for nothing; None until the first
        self._first = True  # nothing has come yet
        self._shook = False  # it began with its bare handle, and waits for ours
        self._greeted = False
        self._mark = b""  # what it ends messages with
        self._unanswered: str | None = None  # its last message, until it has had an answer

    @property
    def patience(self) -> float | None:
        return SILENCE if self._rest else None

    def feed(self, data: bytes) -> Iterator[wire.Frame]:
        self._rest = (self._rest + data)[:BURST_MAX]
        if self._mark:  # no need to wait
            whole, mark, rest = self._rest.rpartition(self._mark)
            self._rest = rest.lstrip(b"\0\r\n")
            yield from self._burst(whole + mark)

    def silence(self) -> Iterator[wire.Frame]:
        data, self._rest = self._rest, b""
        yield from self._burst(data)

    def eof(self) -> Iterator[wire.Frame]:
        """The end of what it sends is its quit."""
        data, self._rest = self._rest, b""
        yield from self._burst(data, last=True)
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
                self._unanswered = None
                name = f"{handle}> " if self._name else ""
                return f"{name}{framing.flat(text)}{end}".encode()
            case wire.Quit():
                # Without names and marks it knows no quit either: the end of the connection has to do.
                return b"" if self._shook and not self._name and not self._mark else f"\\quit{end}".encode()
            case wire.Busy() | wire.Error() | wire.Rejected():
                return f"{frame}{end}".encode()
            case _:
                return b""

    def room(self, handle: str) -> int:
        return framing.room(handle)

    # -------------------------------------------------------------- what a burst means

    def _burst(self, data: bytes, *, last: bool = False) -> Iterator[wire.Frame]:
        if not data.strip(b"\0"):  # padding that came late
            return
        if self._first:
            self._first = False
            opening, _, rest = data.partition(b"\0")
            if _PORT.fullmatch(opening.decode(errors="replace")) and not last:
                # A port for something else; the message may be behind it.
                yield from self._burst(rest.lstrip(b"\0"))
                return
            if not last and _is_word(opening) and not rest.strip(b"\0"):
                self._shook, self._handle = True, framing.clean(opening)
                yield from self._hello()
                return
            data = data.removeprefix(_port_before_name(opening))
        marks = MARKS if self._name is None else (self._mark,) if self._mark else ()
        said, self._mark = framing.split_marked(data, marks)
        if not said:
            said = self._unpadded(data)
        for message in said:
            yield from self._say(framing.clean_lines(message))

    def _unpadded(self, data: bytes) -> list[bytes]:
        """What is before the first NUL or line feed; behind padding only what begins with a name is a message
        of its own, which a segment has joined, and no rest of an older one."""
        first, *others = re.split(rb"\0+", data)
        name = self._name or framing.split_name(framing.clean(first))[0]
        joined = [piece for piece in others if name and framing.split_name(framing.clean(piece))[0] == name]
        return [piece.partition(b"\n")[0].removesuffix(b"\r") for piece in (first, *joined)]

    def _say(self, text: str) -> Iterator[wire.Frame]:
        name, body = framing.split_name(text)
        if self._name is None:
            self._name = self._learn(name)
        elif self._name and text == self._unanswered:
            return  # the seed's text once more, which the network has torn off
        if name != self._name:
            body = text
        yield from self._hello()
        frame = framing.meaning(self._handle, body)
        if isinstance(frame, wire.Message):
            self._unanswered = body
        yield frame

    def _learn(self, name: str) -> str:
        """From the first message: the name in front of all of them, or nothing."""
        if not self._shook:
            if not is_handle(name):
                return ""
            self._handle = name
            return name
        # The seed's client has no room for the NUL of a handle of ten: ours follows it.
        return name if name in (self._handle, self._handle + self._own) else ""

    def _hello(self) -> Iterator[wire.Frame]:
        if not self._greeted:
            self._greeted = True
            yield wire.Hello(VERSION, self._handle, turns=Turns.ALTERNATE)


def _is_word(data: bytes) -> bool:
    """Whether these bytes are a handle."""
    try:
        return is_handle(nfc(data.decode()))
    except UnicodeDecodeError:
        return False


def _port_before_name(data: bytes) -> bytes:
    found = _PORT_AND_NAME.match(framing.clean(data))
    return b"" if found is None else found[0].encode()
