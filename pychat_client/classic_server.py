"""A classic server as `pychat --classic` meets it: the seed's server and its siblings (docs/classic.md).

A codec that yields the frames of the line protocol, for an endpoint in the peer's role. Such a server
confirms nothing: what was handed to the connection counts as stored.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pychat_client import wire
from pychat_client.burst import BURST_MAX, SILENCE, clean, flat, is_quit, split_name, words
from pychat_client.codec import parse
from pychat_client.errors import HandleError, ProtocolError
from pychat_client.text import BREAK, MESSAGE_MAX, check_handle

GREETING_SECONDS = 0.7
"""How long a server that shakes hands may take, beside the way to it and back."""

FRAME_MAX = 500
"""Bytes of a whole write that servers take."""

NAMELESS = "server"
"""The handle of a server that has not told one."""

NO_SESSION = ""
"""The session of a conversation that cannot be resumed."""


@dataclass(frozen=True, slots=True)
class Habits:
    """What cannot be told from what a server sends.

    hello: whether it is told our handle first; end_mark: what it needs behind each message; quit_word:
    what it takes for the end.
    """

    hello: bool = True
    end_mark: str = ""
    quit_word: str = ""


class ServerCodec:
    """Frames to single writes, and bursts to frames."""

    def __init__(self, habits: Habits) -> None:
        self._habits = habits
        self._mark = habits.end_mark
        self._rest = b""
        self._greeting = False  # we have said who we are, and wait for an answer
        self._shook = False
        self._handle = NAMELESS
        self._prefix: str | None = None  # what its messages begin with; None until the first
        self._sent = 0
        self._acked = 0
        self._answered = 0

    @property
    def patience(self) -> float | None:
        if self._acked < self._sent:
            return 0
        if self._rest:
            return SILENCE
        return (GREETING_SECONDS if self._habits.hello else 0) if self._greeting else None

    def feed(self, data: bytes) -> Iterator[wire.Frame]:
        self._rest = (self._rest + data)[:BURST_MAX]
        yield from ()

    def silence(self) -> Iterator[wire.Frame]:
        if self._acked < self._sent:
            self._acked = self._sent
            yield wire.Ack(self._sent)
        else:
            burst, self._rest = self._rest, b""
            yield from self._burst(burst)

    def eof(self) -> Iterator[wire.Frame]:
        """The end of what it sends is its quit."""
        yield from self.silence()
        if self._rest:
            yield from self.silence()
        yield wire.Quit()

    def encode(self, frame: wire.Frame) -> bytes:
        match frame:
            case wire.Hello(_, handle):
                self._greeting = True
                return handle.encode() if self._habits.hello else b""
            case wire.Message(handle, text):
                self._sent += 1
                name = "" if self._shook and self._prefix == "" else f"{handle}> "
                return f"{name}{flat(text)}{self._mark or chr(10)}".encode()
            case wire.Quit():
                # One that shakes hands takes the end of the connection for it, as the seed's does.
                word = self._habits.quit_word or ("" if self._shook and not self._mark else "\\quit")
                return f"{word}{self._mark}".encode()
            case _:
                return b""

    def room(self, handle: str) -> int:
        """Bytes that the text of a message by `handle` may have."""
        return FRAME_MAX - len(f"{handle}> {self._mark or chr(10)}".encode())

    # -------------------------------------------------------------- what a burst means

    def _burst(self, burst: bytes) -> Iterator[wire.Frame]:
        said, mark = words(burst) if b"\0" in burst else words(burst.rstrip(b"\n").replace(b"\n", b"\r") + b"\n")
        self._mark = mark.decode() or self._mark
        text = BREAK.join(clean(line) for line in said.split(b"\r") if line)
        if self._greeting:
            self._greeting = False
            yield from self._greet(text)
        elif burst:
            yield from self._say(text)

    def _greet(self, text: str) -> Iterator[wire.Frame]:
        """The answer to our handle: its own, or none, or words of a server that has not understood."""
        try:
            self._handle = check_handle(text)
            self._shook, text = True, ""
        except HandleError:
            pass
        if refusal := _refusal(text):
            yield refusal
            return
        yield wire.Hello(wire.VERSION, self._handle, session=NO_SESSION, turns="alternate")
        if is_quit(text):
            yield wire.Quit()
        elif text:
            yield wire.Notice(text)

    def _say(self, text: str) -> Iterator[wire.Frame]:
        if self._prefix is None:
            name, prefix = split_name(text)
            if name and not (self._shook and name != self._handle):
                self._handle, self._prefix = name, prefix
            else:
                self._prefix = ""
        body = text.removeprefix(self._prefix)
        if is_quit(body) or (body and body == self._habits.quit_word):
            yield wire.Quit()
        elif refusal := _refusal(text):
            yield refusal
        elif self._answered < self._sent:
            self._answered = self._sent
            yield wire.Message(self._handle, body[:MESSAGE_MAX] or " ")
            if len(body) > MESSAGE_MAX:
                yield wire.Notice(body[MESSAGE_MAX:])
        elif body:  # nobody asked: shown, and it is no turn
            yield wire.Notice(f"{self._handle}> {body}")


def _refusal(text: str) -> wire.Frame | None:
    """What a pychatd says to a classic peer that it does not want."""
    if text.startswith(("\\busy", "\\error")):
        try:
            return parse(text.encode())
        except ProtocolError:
            pass
    return None
