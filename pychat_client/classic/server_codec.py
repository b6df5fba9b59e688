"""A classic server, which `pychat --classic` calls (docs/classic.md).

Such a server confirms nothing, so a message counts as stored when the connection has it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pychat_client.classic import framing
from pychat_client.classic.framing import BURST_MAX, MARKS, SILENCE
from pychat_client.errors import ProtocolError
from pychat_client.protocol import wire
from pychat_client.protocol.codec import parse
from pychat_client.protocol.turns import Turns
from pychat_client.text import MESSAGE_MAX, is_handle

GREETING_SECONDS = 0.7
"""Seconds within which a server answers our handle with its own, plus the time to it and back."""

NAMELESS = "server"
"""The handle of a server that has not said one."""

NO_SESSION = ""
"""The session of a conversation that cannot be resumed."""

_LEAVING = ("\\error slow ", "\\error stopping ", "\\error journal ", "\\error waiting ")
"""The errors with which a pychatd leaves a classic peer during a conversation."""


@dataclass(frozen=True, slots=True)
class ServerQuirks:
    """What a server needs, and does not show in what it sends.

    hello: what it wants first; None for our handle, "" for nothing
    end_mark: what has to follow each message
    quit_word: the message that ends the conversation
    """

    hello: str | None = None
    end_mark: str = ""
    quit_word: str = ""


class ServerCodec:
    """Frames to single writes, and bursts to frames."""

    def __init__(self, quirks: ServerQuirks) -> None:
        self._quirks = quirks
        self._mark = quirks.end_mark
        self._rest = b""
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
            return SILENCE
        return (0 if self._quirks.hello == "" else GREETING_SECONDS) if self._greeting else None

    def feed(self, data: bytes) -> Iterator[wire.Frame]:
        self._rest = (self._rest + data)[:BURST_MAX]
        yield from ()

    def silence(self) -> Iterator[wire.Frame]:
        if self._acked < self._sent:
            self._acked = self._sent
            yield wire.Ack(self._sent)
        else:
            data, self._rest = self._rest, b""
            yield from self._burst(data)

    def eof(self) -> Iterator[wire.Frame]:
        """The end in place of an answer is the quit of a server that has shaken hands. From another server it is
        an accident, which the lost connection reports."""
        while self.patience is not None:
            yield from self.silence()
        if self._shook or self._answered == self._sent:
            yield wire.Quit()

    def encode(self, frame: wire.Frame) -> bytes:
        match frame:
            case wire.Hello(_, handle):
                self._greeting = True
                return (handle if self._quirks.hello is None else self._quirks.hello).encode()
            case wire.Message(handle, text):
                self._sent += 1
                name = "" if self._shook and self._name == "" else f"{handle}> "
                return f"{name}{framing.single_line(text)}{self._mark or chr(10)}".encode()
            case wire.Quit():
                # A server that shakes hands notices the end of the connection, as the original one does.
                word = self._quirks.quit_word or ("" if self._shook and not self._mark else "\\quit")
                return f"{word}{self._mark}".encode()
            case _:
                return b""

    def max_text_bytes(self, handle: str) -> int:
        return framing.max_text_bytes(handle) - max(0, len(self._quirks.end_mark.encode()) - max(map(len, MARKS)))

    # -------------------------------------------------------------- what a burst means

    def _burst(self, data: bytes) -> Iterator[wire.Frame]:
        own = (self._quirks.end_mark.encode(),) if self._quirks.end_mark else ()
        said, mark = framing.split_marked(data, (*own, *MARKS))
        self._mark = mark.decode() or self._mark
        texts = [framing.clean_lines(piece) for piece in said or [data.partition(b"\0")[0].strip(b"\r\n")]]
        if self._greeting:
            self._greeting = False
            yield from self._greet(texts.pop(0))
        for text in texts if data else ():
            yield from self._say(text)

    def _greet(self, text: str) -> Iterator[wire.Frame]:
        """The answer to our handle: its own handle, nothing, or a text from a server that does not shake hands."""
        if refusal := _refusal(text, ("\\busy", "\\error ")):
            yield refusal
            return
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
        if framing.is_quit(body) or (body and body == self._quirks.quit_word):
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
            yield wire.Notice(f"{self._handle}> {body}")

    def _named(self, name: str) -> str:
        """The name that its messages begin with, if this one begins with `name`."""
        if self._name is not None:
            return self._name
        known = name == self._handle if self._shook else is_handle(name)
        return name if known else ""


def _refusal(text: str, starts: tuple[str, ...]) -> wire.Frame | None:
    """The frame of a line with which a pychatd closes on a classic peer; None for another text."""
    if text.startswith(starts):
        try:
            return parse(text.encode())
        except ProtocolError:
            pass
    return None
