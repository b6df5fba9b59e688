"""Which kind of program calls: version 1, a person, or a classic program (docs/classic.md).

The first bytes of a caller decide. Each kind has its own codec, so the rest of the daemon sees only frames.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import islice

from pychat_client.classic.framing import TWO_WAY_MARKS, is_echoed_twice
from pychat_client.classic.keys import KeyPace
from pychat_client.classic.person_codec import PersonCodec
from pychat_client.classic.program_codec import ProgramCodec
from pychat_client.classic.telnet import has_commands
from pychat_client.protocol import wire
from pychat_client.protocol.codec import LINE_MAX, Codec, LineCodec

HELLO = b"\\hello "
"""What a program of version 1 sends first."""

_PORT = re.compile(rb"[0-9]{4,5}\n")
"""What some programs send at once, and then wait to be spoken to. A person does not type so fast."""

_LINES_MAX = 16
"""Lines that are examined as they come, each with all before it. A person whom these do not show is recognized at
the first pause."""

_MARK_BETWEEN = re.compile(rb"\n(?:%s)[^\r\n]" % b"|".join(TWO_WAY_MARKS))
"""Two messages that TCP has joined."""


class DetectingCodec:
    """The codec of a connection until the first bytes tell the kind of caller. It is not used after that.

    `\\hello ` means version 1 at once. What comes before the first silence is either the lines of a person, or a
    burst of a program.
    """

    def __init__(self, hand_over: Callable[[Codec], None], *, prompt: bool = False, answers: bool = True) -> None:
        """hand_over: is given the codec that the connection uses from then on; prompt: see PersonCodec; answers:
        see ProgramCodec."""
        self._hand_over = hand_over
        self._answers = answers
        self._start = b""
        self._pace = KeyPace()
        self._prompt = prompt

    @property
    def patience(self) -> float | None:
        return None if HELLO.startswith(self._start) else self._pace.patience

    def feed(self, data: bytes) -> Iterator[wire.Frame]:
        examined = len(self._start)
        self._start += data
        self._pace.read(data)
        if self._start.startswith(HELLO):
            yield from self._become(LineCodec())
        elif self._pace.typed:
            yield from self._become(PersonCodec(typed=True))
        elif _is_talking(self._start, examined):
            yield from self._become(PersonCodec())
        elif len(self._start) >= LINE_MAX:
            yield from self._become(self._classic_codec())

    def silence(self) -> Iterator[wire.Frame]:
        if self._start and self._pace.silence():
            codec = self._classic_codec()
            yield from self._become(codec)
            yield from codec.silence()

    def eof(self) -> Iterator[wire.Frame]:
        if self._start:
            codec = self._classic_codec()
            yield from self._become(codec)
            yield from codec.eof()

    def greet(self) -> Iterator[wire.Frame]:
        """The operator speaks first: the caller is a program that waits for that."""
        codec = ProgramCodec(answers=self._answers)
        self._hand_over(codec)
        said = [*codec.feed(self._start), *codec.silence()]  # it may have begun to say something
        yield from said or codec.greet()

    def encode(self, frame: wire.Frame) -> bytes:
        """A caller of unknown kind gets what a person can read, such as `\\error slow`."""
        return PersonCodec().encode(frame)

    def max_text_bytes(self, handle: str) -> int | None:
        return None

    def _classic_codec(self) -> Codec:
        """For a caller that has not said `\\hello `."""
        # The last read can bring any number of bytes.
        person = _is_from_person(self._start[:LINE_MAX]) and not (self._prompt and _PORT.fullmatch(self._start))
        return PersonCodec(prompt=self._prompt) if person else ProgramCodec(answers=self._answers)

    def _become(self, codec: Codec) -> Iterator[wire.Frame]:
        self._hand_over(codec)
        yield from codec.feed(self._start)


def _is_talking(start: bytes, examined: int) -> bool:
    """Whether two lines or more are certainly a person's, who may never pause.

    examined: bytes of `start` that did not decide it before. Each line is examined once, however slowly it comes.
    """
    line_feeds = islice(re.finditer(b"\n", start[:LINE_MAX]), 1, _LINES_MAX)
    return any(_is_from_person(start[: found.end()]) for found in line_feeds if found.end() > examined)


def _is_from_person(start: bytes) -> bool:
    """Whether the first burst is a person's lines. `nc` sends whole lines; `telnet` sends commands, too."""
    if has_commands(start):
        return True
    marked = start.rstrip(b"\r\n").endswith(TWO_WAY_MARKS) or _MARK_BETWEEN.search(start)
    return b"\n" in start and b"\0" not in start and not marked and not is_echoed_twice(start)
