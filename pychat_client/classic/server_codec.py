"""A classic server, which `pychat --classic` calls (docs/classic.md).

Such a server confirms nothing, so a message counts as stored when the connection has it.
"""

from __future__ import annotations

from collections.abc import Iterator

from pychat_client.classic import framing
from pychat_client.classic.framing import ANSWER_MAX, BURST_MAX, END_MAX, HANDLE_BYTES_MAX, MARKS, ONE_WAY_MARK
from pychat_client.classic.keys import KeyPace, edited
from pychat_client.errors import ProtocolError
from pychat_client.protocol import wire
from pychat_client.protocol.codec import parse
from pychat_client.protocol.turns import Turns
from pychat_client.records import record
from pychat_client.text import MESSAGE_MAX, is_handle

GREETING_SECONDS = 0.7
"""Seconds within which a server answers our handle with its own, plus the time to it and back."""

NAMELESS = "server"
"""The handle of a server that has not said one."""

NO_SESSION = ""
"""The session of a conversation that cannot be resumed."""

_QUITS = {"": "\\quit", "@@@": "\\quit\n@@@", "||": "/quit"}
"""What ends the conversation, by the mark behind a server's messages. The clients of those with @@@ send a line
feed before it, and some servers end only with that. Those with || expect no mark."""

_LEAVING = ("\\error slow ", "\\error stopping ", "\\error journal ", "\\error waiting ")
"""The errors with which a pychatd leaves a classic peer during a conversation."""


@record
class ServerQuirks:
    """What a server needs, and does not show in what it sends.

    hello: what it wants first; None for our handle, "" for nothing
    end_mark: what has to follow each message
    quit_word: all that is sent to end the conversation; "" for nothing but the end of the connection, None for
        what programs of this kind take
    """

    hello: str | None = None
    end_mark: str = ""
    quit_word: str | None = None

    def max_text_bytes(self, handle: str) -> int:
        """How many bytes the text of a message from `handle` may have, for the server to read it whole."""
        return framing.max_text_bytes(handle) - max(0, len(self.end_mark.encode()) - END_MAX)


class ServerCodec:
    """Frames to single writes, and bursts to frames."""

    def __init__(self, quirks: ServerQuirks) -> None:
        self._quirks = quirks
        self._mark = quirks.end_mark  # behind our messages
        self._ends = quirks.end_mark  # behind its messages
        self._counted = False  # its messages have their length in front
        self._rest = b""
        self._pace = KeyPace()
        self._greeting = False  # we have sent our handle, and wait for an answer
        self._shook = False  # it has answered with its own
        self._handle = NAMELESS
        self._name: str | None = None  # what its messages begin with, "" for nothing; None before the first
        self._sent = 0
        self._acked = 0
        self._answered = 0

    @property
    def patience(self) -> float | None:
        if self._acked < self._sent:
            return 0
        if self._rest:
            return self._pace.patience
        return (0 if self._quirks.hello == "" else GREETING_SECONDS) if self._greeting else None

    def feed(self, data: bytes) -> Iterator[wire.Frame]:
        self._pace.read(data)
        if self._pace.typed:
            line, end, self._rest = edited(b"", self._rest + data)[:BURST_MAX].rpartition(b"\n")
            if end:
                yield from self._burst(line)
        else:
            self._rest = (self._rest + data)[:BURST_MAX]

    def silence(self) -> Iterator[wire.Frame]:
        if self._acked < self._sent:
            self._acked = self._sent
            yield wire.Ack(self._sent)
        elif not self._rest or self._pace.silence():
            data, self._rest = self._rest, b""
            yield from self._burst(data)

    def eof(self) -> Iterator[wire.Frame]:
        """The end in place of an answer is the quit of a server that has shaken hands, or is said to know no other
        quit. From another server it is an accident, which the lost connection reports."""
        while self.patience is not None:
            yield from self.silence()
        if self._rest:
            yield from self._burst(self._rest)
        if self._shook or self._quirks.quit_word == "" or self._answered == self._sent:
            yield wire.Quit()

    def encode(self, frame: wire.Frame) -> bytes:
        match frame:
            case wire.Hello(_, handle):
                self._greeting = True
                own = framing.cut_to_bytes(handle, HANDLE_BYTES_MAX)
                return (own if self._quirks.hello is None else self._quirks.hello).encode()
            case wire.Message(handle, text):
                self._sent += 1
                name = "" if self._shook and self._name == "" else f"{handle}> "
                return self._written(f"{name}{framing.single_line(text)}", self._mark or "\n")
            case wire.Quit():
                return self._written(self._quit_word(), "")
            case _:
                return b""

    def _written(self, text: str, end: str) -> bytes:
        return framing.with_length(text) if self._counted and text else f"{text}{end}".encode()

    def _quit_word(self) -> str:
        """All that ends the conversation."""
        if self._quirks.quit_word is not None:
            return self._quirks.quit_word
        if self._shook and not self._mark and not self._ends:
            return ""  # a server that shakes hands notices the end of the connection, as the original one does
        mark = self._mark or self._ends
        return _QUITS.get(mark, f"\\quit{mark}")

    def max_text_bytes(self, handle: str) -> int:
        return self._quirks.max_text_bytes(handle)

    # -------------------------------------------------------------- what a burst means

    def _burst(self, data: bytes) -> Iterator[wire.Frame]:
        texts = [framing.clean_lines(piece) for piece in self._split(data)]
        if self._greeting:
            self._greeting = False
            yield from self._greet(texts.pop(0))
        for text in texts if data else ():
            yield from self._say(text)

    def _split(self, data: bytes) -> list[bytes]:
        """The messages of a burst, at least one."""
        if said := framing.split_by_lengths(data):
            self._counted = True
            return said
        own = (self._quirks.end_mark.encode(),) if self._quirks.end_mark else ()
        said, mark = framing.split_marked(data, (*own, *MARKS))
        if said:
            self._learn_mark(mark)
            return said
        if fields := framing.split_fields(data):
            return [fields[0] + b"> " + fields[1].strip(b"\r\n")]
        return [data.lstrip(b"\0").partition(b"\0")[0].strip(b"\r\n")]

    def _learn_mark(self, mark: bytes) -> None:
        """An option wins over what the server shows."""
        self._ends = mark.decode()
        if not self._quirks.end_mark and mark.lstrip(b"\n") != ONE_WAY_MARK:
            self._mark = self._ends

    def _greet(self, text: str) -> Iterator[wire.Frame]:
        """The answer to our handle: its own handle, nothing, or a text from a server that does not shake hands."""
        if refusal := _refusal(text, ("\\busy", "\\error ")):
            yield refusal
            return
        if self._quirks.hello != "":  # who was sent no handle answers none
            self._shake(text)
        yield wire.Hello(wire.VERSION, self._handle, session=NO_SESSION, turns=Turns.ALTERNATE)
        if framing.is_quit(text):
            yield wire.Quit()
        elif text and not self._shook:
            yield wire.Notice(text)

    def _shake(self, text: str) -> None:
        if is_handle(text):
            self._handle, self._shook = text, True

    def _say(self, text: str) -> Iterator[wire.Frame]:
        if not self._sent and not self._shook and self._quirks.hello is None:
            self._shake(text)  # its handle can come late
            if self._shook:
                yield wire.Here(self._handle)
                return
        name, body = framing.split_name(text)
        body = body if name and name == self._named(name) else text
        if framing.is_quit(body) or (body and body == self._leaving()):
            yield wire.Quit()
        elif refusal := _refusal(text, _LEAVING):
            yield refusal
        elif self._answered < self._sent:
            self._answered = self._sent
            self._name = self._named(name)
            self._handle = self._name or self._handle
            yield wire.Message(self._handle, body[:MESSAGE_MAX] or " ")
            if len(body) > MESSAGE_MAX:
                yield wire.Notice(body[MESSAGE_MAX:])
        elif body:  # no answer to a message of ours: shown, but not a turn
            yield wire.Notice(f"{self._named(name) or self._handle}> {body}")

    def _leaving(self) -> str:
        """The word with which the server ends the conversation, without its mark."""
        return (self._quirks.quit_word or "").removesuffix(self._mark).strip()

    def _named(self, name: str) -> str:
        """The name that its messages begin with, if this one begins with `name`."""
        if self._name is not None:
            return self._name
        # A handshake may have cut it.
        known = self._handle in (name, framing.cut_to_bytes(name, ANSWER_MAX)) if self._shook else is_handle(name)
        return name if known else ""


def _refusal(text: str, starts: tuple[str, ...]) -> wire.Frame | None:
    """The frame of a line with which a pychatd closes on a classic peer; None for another text."""
    if text.startswith(starts):
        try:
            return parse(text.encode())
        except ProtocolError:
            pass
    return None
