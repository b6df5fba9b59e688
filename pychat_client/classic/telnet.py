"""What a telnet client puts between a person's lines (RFC 854, 855 and 1184): taken out, and refused.

Knows bytes only; classic uses it for peers that send lines.
"""

from __future__ import annotations

import re

SUBNEGOTIATION_MAX = 500
"""Bytes of a subnegotiation; the longest that telnet clients send is under 100. More is taken for text."""

_DO, _DONT, _WILL, _WONT = b"\xfd", b"\xfe", b"\xfb", b"\xfc"
_REFUSAL = {_DO: _WONT, _WILL: _DONT}  # a refusal itself is never answered (RFC 854), so nothing loops
_INTERRUPT, _END_OF_FILE = b"\xf4", b"\xec"

_INSIDE = rb"\xfa(?:[^\xff]|\xff\xff){0,%d}" % SUBNEGOTIATION_MAX
_COMMAND = re.compile(
    rb"\xff(?:([\xfb-\xfe])(.)|%s\xff\xf0|([\xec-\xf9\xff])|((?:[\xfb-\xfe]?|%s\xff?)\Z))" % (_INSIDE, _INSIDE),
    re.DOTALL,
)
"""A verb and its option, a subnegotiation, a plain command; or, as the last group, the beginning of one."""

_BEGINNING = re.compile(rb"\xff[\xec-\xfe]")


def speaks(data: bytes) -> bool:
    """Whether there is the beginning of a command in `data`."""
    return _BEGINNING.search(data) is not None


class Telnet:
    """Takes telnet's commands out of a stream."""

    def __init__(self) -> None:
        self.refusals = b""  # what has to be sent in answer; whoever sends it empties it
        self.interrupted = False  # Ctrl-C, or the end of the input, was typed: nothing counts after it
        self._rest = b""  # an unfinished command
        self._end = b""  # a carriage return, until it is known what follows it

    def feed(self, data: bytes) -> bytes:
        """`data` without the commands, and each line end as CR LF or LF: CR NUL is one too."""
        if self.interrupted:
            return b""
        text = self._end + b"".join(self._pieces(self._rest + data))
        self._end = b"\r" if text.endswith(b"\r") else b""
        return text.removesuffix(b"\r").replace(b"\r\0", b"\r\n")

    def _pieces(self, data: bytes) -> list[bytes]:
        """What is between the commands; obeys them, and keeps an unfinished one."""
        pieces = []
        start, self._rest = 0, b""
        for found in _COMMAND.finditer(data):
            pieces.append(data[start : found.start()])
            start = found.end()
            verb, option, plain, unfinished = found.groups()
            if unfinished is not None:
                self._rest = found[0]
            elif verb in _REFUSAL:
                self.refusals += b"\xff" + _REFUSAL[verb] + option
            elif plain in (_INTERRUPT, _END_OF_FILE):
                self.interrupted = True
                return pieces
        return [*pieces, data[start:]]
