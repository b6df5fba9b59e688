"""What the codecs of classic callers share: the handle, and the hello that such a caller does not send."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from pychat_client.classic.framing import CLASSIC_VERSION, EMPTY, GUEST
from pychat_client.protocol import wire
from pychat_client.protocol.turns import Turns


class CallerCodec:
    """Base of PersonCodec and ProgramCodec."""

    turns: ClassVar[Turns | None] = None
    """What its hello says about turns."""

    def __init__(self) -> None:
        self._rest = b""  # bytes that are not frames yet
        self._handle = GUEST
        self._greeted = False

    def greet(self) -> Iterator[wire.Frame]:
        """The operator speaks first. As the protocol gives the first message to the caller, an empty one stands
        for the call."""
        yield from self._hello()
        yield wire.Message(self._handle, EMPTY)

    def _hello(self) -> Iterator[wire.Frame]:
        """The hello, once, in front of the first other frame."""
        if not self._greeted:
            self._greeted = True
            yield wire.Hello(CLASSIC_VERSION, self._handle, turns=self.turns)
