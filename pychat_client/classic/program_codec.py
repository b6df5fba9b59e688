"""A classic client as a caller (docs/classic.md).

Such a program shows what one read brings, and then waits for its user. So it gets one write for each message that
it has sent, and nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from pychat_client.classic import framing
from pychat_client.classic.caller_codec import CallerCodec
from pychat_client.classic.framing import ANSWER_MAX, BURST_MAX, COUNT_BYTES, MARKS, ONE_WAY_MARK, SILENCE
from pychat_client.classic.telnet import is_interrupt
from pychat_client.protocol import wire
from pychat_client.protocol.turns import Turns
from pychat_client.text import is_handle, nfc

_PORT = re.compile(r"[0-9]{1,5}")
_PORT_AND_NAME = re.compile(r"[0-9]{4,5}(?=[^\W\d]\w*(?: ?>|: ))")  # two writes that TCP has joined
_UNENDED = re.compile(rb"([^\0]{10})[\x01-\x09\x0b-\x1f]")
"""A handle that fills its field: the client also sends what is behind that, such as the number of its socket."""

_CUT_MIN = 8
"""Bytes of a handle that can be the beginning of a longer name: no client has a smaller field for it."""

_NAME_AND_PORT = re.compile(rb"[^\s>\\\0]+> [0-9]{4,5}")
"""What programs send first that read on for ONE_WAY_MARK. Others pad it."""


class ProgramCodec(CallerCodec):
    """Bursts in, single writes out."""

    turns = Turns.ALTERNATE  # it reads only when its user has said something

    def __init__(self, *, answers: bool = True) -> None:
        """answers: a bare handle gets the operator's."""
        super().__init__()
        self._answers = answers
        self._own = ""  # the operator's handle, if the program was told it in a handshake
        self._name: str | None = None  # what its messages begin with, "" for nothing; None before the first
        self._first = True  # nothing has come yet
        self._shook = False  # it began with its bare handle, and waits for ours
        self._opening = ""  # its first message, if that began with no name
        self._colon = False  # what it writes behind its name
        self._mark = b""  # what its messages end with
        self._end = b"\0"  # what it reads on for, if its messages end with no mark
        self._counted = False  # all that it sends and reads has its length in front
        self._fields = False  # its handle and its text are padded
        self._unanswered: str | None = None  # its last message, until it gets an answer

    @property
    def patience(self) -> float | None:
        return SILENCE if self._rest else None

    def feed(self, data: bytes) -> Iterator[wire.Frame]:
        self._count(data)
        self._rest = (self._rest + data)[:BURST_MAX]
        if self._mark:  # it ends a message without a silence
            whole, mark, rest = self._rest.rpartition(self._mark)
            self._rest = rest.lstrip(b"\0\r\n")
            yield from self._burst(whole + mark)

    def silence(self) -> Iterator[wire.Frame]:
        data, self._rest = self._rest, b""
        yield from self._burst(data)

    def eof(self) -> Iterator[wire.Frame]:
        """When a program sends nothing more, that is its quit."""
        data, self._rest = self._rest, b""
        yield from self._burst(data, last=True)
        if self._greeted:
            yield wire.Quit()

    def greet(self) -> Iterator[wire.Frame]:
        self._first = False  # what it sends then is an answer, and no handle
        yield from super().greet()

    def encode(self, frame: wire.Frame) -> bytes:
        """One write: the handle that it waits for, a message in its own style, or the end."""
        match frame:
            case wire.Hello(_, handle) if self._shook and self._answers:
                if self._counted:
                    return framing.with_length(handle)
                self._own = framing.cut_to_bytes(handle, ANSWER_MAX)
                return f"{self._own}\0".encode()
            case wire.Message(handle, text):
                self._unanswered = None
                name = "" if self._name == "" else f"{handle}> "
                return self._written(f"{name}{framing.single_line(text)}")
            case wire.Quit():
                # A program without names and marks knows no quit: it notices the end of the connection.
                unknown = self._shook and not (self._name or self._mark or self._counted)
                slash = self._colon or ONE_WAY_MARK in (self._mark, self._end)
                return b"" if unknown else self._written("/quit" if slash else "\\quit")
            case wire.Busy() | wire.Error() | wire.Rejected():
                return self._written(str(frame))
            case _:
                return b""

    def _written(self, text: str) -> bytes:
        if self._counted:
            return framing.with_length(text)
        return text.encode() + (self._mark.lstrip(b"\n") or self._end)

    def max_text_bytes(self, handle: str) -> int:
        return framing.max_text_bytes(handle)

    # -------------------------------------------------------------- what a burst means

    def _burst(self, data: bytes, *, last: bool = False) -> Iterator[wire.Frame]:
        if not data.strip(b"\0"):  # late padding
            return
        if self._greeted and is_interrupt(data):  # a person at telnet, to whom the operator spoke first
            yield wire.Quit()
            return
        if self._first:
            self._first = False
            opening, _, rest = data.partition(b"\0")
            if _PORT.fullmatch(opening.removesuffix(b"\n").decode(errors="replace")) and not last:
                # Some programs first send a port for something else. A message can follow it.
                self._end = b"\n" if opening.endswith(b"\n") else self._end  # it reads as it writes
                yield from self._burst(rest.lstrip(b"\0"))
                return
            if not last and (handle := self._bare_handle(data)):
                self._shook, self._handle = True, framing.clean(handle)
                yield from self._hello()
                return
            data = data.removeprefix(_port_before_name(opening))
            self._end = ONE_WAY_MARK if _NAME_AND_PORT.fullmatch(data) else self._end
        for message in self._split(data):
            yield from self._say(framing.clean_lines(message))

    def _bare_handle(self, data: bytes) -> bytes:
        """The handle that the first burst is; nothing for another burst."""
        if data[:COUNT_BYTES] == len(data[COUNT_BYTES:]).to_bytes(COUNT_BYTES) and _is_word(data[COUNT_BYTES:]):
            self._counted = True
            return data[COUNT_BYTES:]
        opening, _, rest = data.partition(b"\0")
        unended = _UNENDED.fullmatch(opening)
        handle = opening if unended is None else unended[1]
        return handle if _is_word(handle) and not rest.strip(b"\0") else b""

    def _split(self, data: bytes) -> list[bytes]:
        """The messages of a burst."""
        if said := framing.split_by_lengths(data):
            self._counted = self._counted or not self._shook  # if its handle had no length, it reads none either
            return said
        if (fields := self._split_fields(data)) is not None:
            return [fields]
        marks = MARKS if self._name is None else (self._mark.lstrip(b"\n") or self._end,)
        said, self._mark = framing.split_marked(data, marks)
        return said or self._unpadded(data)

    def _split_fields(self, data: bytes) -> bytes | None:
        """The text of a burst that is two padded fields; None for another burst. Only the first burst tells that a
        program sends such bursts: in a later one, there can be anything behind the padding."""
        fields = framing.split_fields(data) if self._fields or self._name is None else None
        if fields is None or not _is_word(fields[0]):
            return None
        text = fields[1].strip(b"\r\n")
        if not self._fields:
            self._fields, self._handle = True, framing.clean(fields[0])
            self._name = self._handle if framing.split_name(framing.clean(text))[0] == self._handle else ""
        return text

    def _unpadded(self, data: bytes) -> list[bytes]:
        """What is before the first NUL or line feed. Behind the padding there can be the rest of an older message,
        or another message that TCP has joined: that one begins as the first does."""
        first, *others = re.split(rb"\0+", data.lstrip(b"\0"))
        begins = framing.prefix(framing.clean(first))
        joined = [piece for piece in others if begins and framing.prefix(framing.clean(piece)) == begins]
        return [piece.partition(b"\n")[0].removesuffix(b"\r") for piece in (first, *joined)]

    def _say(self, text: str) -> Iterator[wire.Frame]:
        name, body = framing.split_name(text)
        if self._name is None:
            self._name = self._learn(name)
            self._opening = "" if self._shook or self._name else text
            self._colon = text.startswith(f"{self._name}: ")
        elif name and re.search(rf"(?<!\w){re.escape(name)}(?!\w)", self._opening):
            self._name, self._opening = name, ""  # its first message was automatic, and told the name
        elif self._name and text == self._unanswered:
            return  # the second copy of a text that the original client sends twice
        if name != self._name:
            body = text
        yield from self._hello()
        frame = framing.classify(self._handle, body)
        if isinstance(frame, wire.Message):
            self._unanswered = body
        yield frame

    def _learn(self, name: str) -> str:
        """The name in front of every message, or nothing, as the first message tells it."""
        if not self._shook:
            if not is_handle(name):
                return ""
            self._handle = name
            return name
        # A handle of 10 characters has no NUL behind it in the original client, which appends our handle to it.
        # A handshake may have cut the name.
        known = name in (self._handle, self._handle + self._own)
        cut = len(self._handle.encode()) >= _CUT_MIN and name.startswith(self._handle)
        return name if known or cut else ""


def _is_word(data: bytes) -> bool:
    """Whether these bytes are a handle."""
    try:
        return is_handle(nfc(data.decode()))
    except UnicodeDecodeError:
        return False


def _port_before_name(data: bytes) -> bytes:
    found = _PORT_AND_NAME.match(framing.clean(data))
    return b"" if found is None else found[0].encode()
