"""What a telnet client puts between a person's lines (RFC 854, 855 and 1184): taken out, and refused.

Knows bytes only; classic uses it for peers that send lines.
"""

from __future__ import annotations

import re

_IAC = b"\xff"
_DO, _DONT, _WILL, _WONT = b"\xfd", b"\xfe", b"\xfb", b"\xfc"
_REFUSAL = {_DO: _WONT, _WILL: _DONT}  # a refusal itself is never answered (RFC 854), so nothing loops
_INTERRUPT, _END_OF_FILE = b"\xf4", b"\xec"
# The parts of a subnegotiation are written so that no input is looked at twice.
_COMMAND = re.compile(
    rb"\xff(?:([\xfb-\xfe])(.)|\xfa[^\xff]*(?:\xff\xff[^\xff]*)*\xff\xf0|([\xec-\xf9\xff]))", re.DOTALL
)
_COMMAND_BYTE = re.compile(rb"\xff[\xec-\xfe]")
_UNFINISHED = re.compile(rb"\xff(?:[\xfb-\xfe]?|\xfa.*)\Z", re.DOTALL)

COMMAND_MAX = 512
"""Bytes that an unfinished command may have; the longest that telnet clients send is under 100."""


def speaks(data: bytes) -> bool:
    """Whether there is the beginning of a command in `data`."""
    return _COMMAND_BYTE.search(data) is not None


class Telnet:
    """Takes telnet's commands out of a stream."""

    def __init__(self) -> None:
        self.refusals = b""  # what has to be sent in answer; whoever sends it empties it
        self.interrupted = (
            False  # Ctrl-C, or the end of the input, typed at the other end: nothing counts after it
        )
        self._rest = b""  # an unfinished command
        self._end = b""  # a carriage return, until it is known what follows it

    def feed(self, data: bytes) -> bytes:
        """`data` without the commands, and each line end as CR LF or LF: CR NUL is one too."""
        if self.interrupted:
            return b""
        if _IAC not in data and b"\r" not in data and not self._rest and not self._end:
            return data
        data = self._rest + data
        unfinished = _UNFINISHED.search(_COMMAND.sub(lambda found: b" " * len(found[0]), data))
        end = len(data) if unfinished is None else unfinished.start()
        self._rest = data[end:]
        if len(self._rest) > COMMAND_MAX:
            self._rest = b""
        text, start = self._end, 0
        for found in _COMMAND.finditer(data, 0, end):
            text += data[start : found.start()]
            start = found.end()
            self._obey(found)
            if self.interrupted:
                return text.replace(b"\r\0", b"\r\n")
        text += data[start:end]
        self._end = b"\r" if text.endswith(b"\r") else b""
        return text.removesuffix(b"\r").replace(b"\r\0", b"\r\n")

    def _obey(self, found: re.Match[bytes]) -> None:
        verb, option, plain = found[1], found[2], found[3]
        if verb in _REFUSAL:
            self.refusals += _IAC + _REFUSAL[verb] + option
        elif plain in (_INTERRUPT, _END_OF_FILE):
            self.interrupted = True
