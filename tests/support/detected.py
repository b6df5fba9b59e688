"""A codec that detects who calls and then changes, as the codec of a connection does."""

from __future__ import annotations

from collections.abc import Iterator

from pychat_client.classic.other_protocols import ScreeningCodec
from pychat_client.protocol import wire
from pychat_client.protocol.codec import Codec


class Detected:
    """A ScreeningCodec, and from its decision on the codec that it has chosen."""

    def __init__(self, *, prompt: bool = True, answers: bool = True) -> None:
        self.screening = ScreeningCodec(self._use_codec, prompt=prompt, answers=answers)
        self.codec: Codec = self.screening

    def _use_codec(self, codec: Codec) -> None:
        self.codec = codec

    @property
    def patience(self) -> float | None:
        return self.codec.patience

    def feed(self, data: bytes) -> Iterator[wire.Frame]:
        return self.codec.feed(data)

    def silence(self) -> Iterator[wire.Frame]:
        return self.codec.silence()

    def eof(self) -> Iterator[wire.Frame]:
        return self.codec.eof()

    def encode(self, frame: wire.Frame) -> bytes:
        return self.codec.encode(frame)

    def max_text_bytes(self, handle: str) -> int | None:
        return self.codec.max_text_bytes(handle)
