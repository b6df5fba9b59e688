"""What the codecs of classic callers share: the handle, and the hello that such a caller does not send."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from pychat_client.classic.framing import CLASSIC_VERSION, EMPTY, GUEST
from pychat_client.errors import ProtocolError
from pychat_client.protocol import wire
from pychat_client.protocol.turns import Turns

UNSAID_MAX = 1 << 14
"""Bytes that may come before the first message: four times what is kept of a burst. Who sends more is no chat
program, and must not count as a caller that says nothing: padding without an end is read slowly, and may still be
there when its sender has long gone."""


class CallerCodec:
    """Base of PersonCodec and ProgramCodec."""

    turns: ClassVar[Turns | None] = None
    """What its hello says about turns."""

    def __init__(self) -> None:
        self._rest = b""  # bytes that are not frames yet
        self._handle = GUEST
        self._greeted = False
        self._unsaid = 0  # bytes that have come before the hello

    def greet(self) -> Iterator[wire.Frame]:
        """The operator speaks first. As the protocol gives the first message to the caller, an empty one stands
        for the call."""
        yield from self._hello()
        yield wire.Message(self._handle, EMPTY)

    def _count(self, data: bytes) -> None:
        """Raises ProtocolError if a caller sends and sends, and says nothing."""
        self._unsaid += 0 if self._greeted else len(data)
        if self._unsaid > UNSAID_MAX:
            raise ProtocolError("empty", f"You sent more than {UNSAID_MAX:,} bytes without a message.")

    def _hello(self) -> Iterator[wire.Frame]:
        """The hello, once, in front of the first other frame."""
        if not self._greeted:
            self._greeted = True
            yield wire.Hello(CLASSIC_VERSION, self._handle, turns=self.turns)
