"""A person at `nc` or `telnet` as a caller (docs/classic.md)."""

from __future__ import annotations

from collections.abc import Iterator

from pychat_client.classic.caller_codec import CallerCodec
from pychat_client.classic.framing import WRITE_MAX, classify, clean, single_line, split_name
from pychat_client.classic.keys import edited
from pychat_client.classic.telnet import Telnet
from pychat_client.errors import ProtocolError
from pychat_client.protocol import wire
from pychat_client.protocol.codec import LINE_MAX
from pychat_client.text import MESSAGE_MAX, is_handle

BLANK = b" \t\r\0\xef\xbb\xbf"
"""What a line may have that says nothing: white space, padding, and the bytes of a byte order mark."""

OVER = "The conversation is over.\n"
"""What a person reads behind `\\quit`. Some programs at the other end stay, and would take more."""


class PersonCodec(CallerCodec):
    """Lines in, lines out: each line is a message at once.

    It accepts what a person can send by accident. Control characters and bytes that are not UTF-8 become U+FFFD; a
    line that is too long is refused and skipped.
    """

    patience: float | None = None

    def __init__(self, *, prompt: bool = False, typed: bool = False) -> None:
        """prompt: the first line came sooner than a person types, so it may be a program; typed: each key comes at
        once."""
        super().__init__()
        self._may_be_program = prompt  # which sends a line, and waits for the answer
        self._unanswered = 0  # lines since our last message
        self._typed = typed
        self._telnet = Telnet()
        self._prefix: str | None = None  # what the first line began with: "Ann> ", or nothing
        self._blank = 0  # bytes of empty lines in a row
        self._over = False  # interrupted at telnet
        self._skipping = False  # in a line that is too long, until its end

    def feed(self, data: bytes) -> Iterator[wire.Frame]:
        if self._typed:
            lines = edited(self._rest, data).split(b"\n")
        else:
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
        if not self._typed:
            self._count(data)
        if self._telnet.has_refusals:
            yield wire.Ping()  # telnet asks for something; the pong of the connection carries the refusal
        if self._telnet.interrupted:
            self._rest = b""
            yield from self._interrupt()

    def silence(self) -> Iterator[wire.Frame]:
        yield from ()

    def eof(self) -> Iterator[wire.Frame]:
        """When a person sends nothing more, that is their quit. The last line needs no line feed."""
        rest, self._rest = self._rest, b""
        if rest and not self._skipping:
            yield from self._line(rest)
        if self._greeted and not self._over:
            yield wire.Quit()

    def encode(self, frame: wire.Frame) -> bytes:
        """Messages, and the control lines that a person can read. The others are left out."""
        match frame:
            case wire.Message(handle, text):
                self._unanswered = 0
                return f"{handle}> {single_line(text)}\n".encode()
            case wire.Quit() if not self._may_be_program:
                return f"{frame}\n{OVER}".encode()
            case wire.Quit() | wire.Busy() | wire.Error() | wire.Rejected():
                return f"{frame}\n".encode()
            case wire.Pong():
                return self._telnet.take_refusals()
            case _:
                return b""

    def max_text_bytes(self, handle: str) -> int | None:
        """A person reads texts of any length."""
        return WRITE_MAX - len(f"{handle}> \n".encode()) if self._may_be_program else None

    def _line(self, line: bytes) -> Iterator[wire.Frame]:
        text = clean(line.strip(b"\0").removesuffix(b"\r"))
        if not line.strip(BLANK) or not text.strip():
            self._blank += len(line) + 1
            if self._blank > LINE_MAX:
                raise ProtocolError("empty", "You sent too many empty lines.")
            return
        self._blank = 0
        self._unanswered += 1
        if self._unanswered > 1 or self._telnet.used:
            self._may_be_program = False
        if self._prefix is None:
            self._learn(text)
        yield from self._hello()
        yield classify(self._handle, text.removeprefix(self._prefix or ""))

    def _learn(self, text: str) -> None:
        """The handle, if the first line begins with one, as `Ann> ` does. "note: milk" and "a>b" do not.

        Nobody types their name in front, but programs send it, however late their users say something."""
        name, body = split_name(text)
        self._prefix = ""
        if text in (f"{name}> {body}", f"{name} > {body}") and is_handle(name):
            self._handle, self._prefix = name, text.removesuffix(body)
            self._may_be_program = not self._typed and not self._telnet.used

    def _too_long(self) -> Iterator[wire.Frame]:
        yield from self._hello()
        yield wire.Rejected("too-long", f"Not delivered: a message has at most {MESSAGE_MAX} characters.")

    def _interrupt(self) -> Iterator[wire.Frame]:
        """Ctrl-C at telnet: drops the unfinished line, and ends the conversation."""
        if not self._over:
            self._over = True
            yield from self._hello()
            yield wire.Quit()
