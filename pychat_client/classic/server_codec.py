"""A classic server as `pychat --classic` meets it: the seed's server and its siblings (docs/classic.md).

A codec that yields the frames of the line protocol, for an endpoint in the peer's role. Such a server
confirms nothing: what was handed to the connection counts as stored.
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
"""How long a server that shakes hands may take, beside the way to it and back."""

NAMELESS = "server"
"""The handle of a server that has not told one."""

NO_SESSION = ""
"""The session of a conversation that cannot be resumed."""

_LEAVING = ("\\error slow ", "\\error stopping ", "\\error journal ", "\\error waiting ")
"""With what a pychatd closes on a classic peer in the middle of a conversation."""


@dataclass(frozen=True, slots=True)
class ServerQuirks:
    """What cannot be told from what a server sends.

    hello: what it wants first, None for our handle, empty for nothing; end_mark: what it needs behind
    each message; quit_word: what it takes for the end.
    """

    hello: str | None = None
    end_mark: str = ""
    quit_word: str = ""


class ServerCodec:
    """Frames to single writes, and bursts to frames."""

    def __init__(self, habits: ServerQuirks) -> None:
        self._habits = habits
        self._mark = habits.end_mark
        self._rest = b""
        self._greeting = False  # we have said who we are, and wait for an answer
        self._shook = False
        self._handle = NAMELESS
        self._name: str | None = None  # what its messages begin with, empty for nothing; None until the first
        self._sent = 0
        self._acked = 0
        self._answered = 0

    @property
    def patience(self) -> float | None:
        if self._acked < self._sent:
            return 0
        if self._rest:
            return SILENCE
        return (0 if self._habits.hello == "" else GREETING_SECONDS) if self._greeting else None

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
        """The end of what it sends, in place of an answer, is its quit where it has shaken hands. From another
        it is an accident, which the end of the link tells."""
        while self.patience is not None:
            yield from self.silence()
        if self._shook or self._answered == self._sent:
            yield wire.Quit()

    def encode(self, frame: wire.Frame) -> bytes:
        match frame:
            case wire.Hello(_, handle):
                self._greeting = True
                return (handle if self._habits.hello is None else self._habits.hello).encode()
            case wire.Message(handle, text):
                self._sent += 1
                name = "" if self._shook and self._name == "" else f"{handle}> "
                return f"{name}{framing.flat(text)}{self._mark or chr(10)}".encode()
            case wire.Quit():
                # One that shakes hands takes the end of the connection for it, as the seed's does.
                word = self._habits.quit_word or ("" if self._shook and not self._mark else "\\quit")
                return f"{word}{self._mark}".encode()
            case _:
                return b""

    def room(self, handle: str) -> int:
        return framing.room(handle) - max(0, len(self._habits.end_mark.encode()) - max(map(len, MARKS)))

    # -------------------------------------------------------------- what a burst means

    def _burst(self, data: bytes) -> Iterator[wire.Frame]:
        own = (self._habits.end_mark.encode(),) if self._habits.end_mark else ()
        said, mark = framing.split_marked(data, (*own, *MARKS))
        self._mark = mark.decode() or self._mark
        texts = [framing.clean_lines(piece) for piece in said or [data.partition(b"\0")[0].strip(b"\r\n")]]
        if self._greeting:
            self._greeting = False
            yield from self._greet(texts.pop(0))
        for text in texts if data else ():
            yield from self._say(text)

    def _greet(self, text: str) -> Iterator[wire.Frame]:
        """The answer to our handle: its own, or none, or words of a server that has not understood."""
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
        if not self._sent and not self._shook and self._habits.hello is None:
            self._shake(text)  # it has taken its time for its handle
            if self._shook:
                yield wire.Here(self._handle)
                return
        name, body = framing.split_name(text)
        body = body if name and name == self._named(name) else text
        if framing.is_quit(body) or (body and body == self._habits.quit_word):
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
        elif body:  # nobody asked: shown, and it is no turn
            yield wire.Notice(f"{self._handle}> {body}")

    def _named(self, name: str) -> str:
        """The name that its messages begin with, when one of them begins with `name`."""
        if self._name is not None:
            return self._name
        known = name == self._handle if self._shook else is_handle(name)
        return name if known else ""


def _refusal(text: str, starts: tuple[str, ...]) -> wire.Frame | None:
    """What a pychatd says to a classic peer when it closes."""
    if text.startswith(starts):
        try:
            return parse(text.encode())
        except ProtocolError:
            pass
    return None
