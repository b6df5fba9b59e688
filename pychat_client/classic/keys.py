"""Finds out by their pace that a terminal sends each key at once, as `socat -,raw` does (docs/classic.md).

A program sends a handle or a message at a time, which the network may tear. Somebody who types sends one key, and
the next one after a silence.
"""

from __future__ import annotations

from enum import Enum

from pychat_client.classic.framing import SILENCE

KEYS_SECONDS = 1.0
"""Seconds after a silence in which somebody who types presses the next key. A program that sends one character, or
whose bytes come one by one, waits so long for its answer."""

KEYS_MAX = 3
"""Keys that a read can bring on a busy host."""

_BACKSPACES = "\b\x7f"


class _Pace(Enum):
    """What has come since the last message."""

    KEYS = "keys"  # nothing, or only single keys
    PAUSED = "paused"  # single keys, and then a silence
    BURST = "burst"  # more than a key at a time
    TYPED = "typed"  # a key after a pause: from now on, lines


class KeyPace:
    """The pace of one stream."""

    def __init__(self) -> None:
        self._pace = _Pace.KEYS

    @property
    def typed(self) -> bool:
        """Whether somebody types."""
        return self._pace is _Pace.TYPED

    @property
    def patience(self) -> float | None:
        """Seconds of silence that end a burst; None for a typed line, which has an end."""
        if self.typed:
            return None
        return KEYS_SECONDS if self._pace is _Pace.PAUSED else SILENCE

    def read(self, data: bytes) -> None:
        """`data` came in one read."""
        if self.typed:
            return
        keys = len(data.decode(errors="replace"))
        if self._pace is _Pace.PAUSED and keys <= KEYS_MAX:
            self._pace = _Pace.TYPED
        elif keys > 1:
            self._pace = _Pace.BURST

    def silence(self) -> bool:
        """Nothing has come for `patience` seconds. Returns whether that is the end of a burst."""
        over = self._pace is not _Pace.KEYS
        if not self.typed:
            self._pace = _Pace.KEYS if over else _Pace.PAUSED
        return over


def edited(line: bytes, keys: bytes) -> bytes:
    """`line` with what was typed behind it: a return is a line feed, and a backspace takes a character back.

    A byte that is not UTF-8 counts as a character. One pass, whatever a stranger types."""
    text: list[str] = []
    for char in (line + keys.replace(b"\r", b"\n")).decode(errors="surrogateescape"):
        if char not in _BACKSPACES:
            text.append(char)
        elif text and text[-1] != "\n":
            text.pop()
    return "".join(text).encode(errors="surrogateescape")
