"""Takes out what a telnet client puts between a person's lines, and refuses it (RFC 854, 855 and 1184)."""

from __future__ import annotations

import re

SUBNEGOTIATION_MAX = 500
"""Bytes of a subnegotiation. Telnet clients send less than 100. More than this counts as text."""

_DO, _DONT, _WILL, _WONT = b"\xfd", b"\xfe", b"\xfb", b"\xfc"
_REFUSAL = {_DO: _WONT, _WILL: _DONT}  # a refusal gets no answer (RFC 854), so there is no loop
_INTERRUPT, _END_OF_FILE = b"\xf4", b"\xec"

_INSIDE = rb"\xfa(?:[^\xff]|\xff\xff){0,%d}" % SUBNEGOTIATION_MAX
_COMMAND = re.compile(
    rb"\xff(?:([\xfb-\xfe])(.)|%s\xff\xf0|([\xec-\xf9\xff])|((?:[\xfb-\xfe]?|%s\xff?)\Z))" % (_INSIDE, _INSIDE),
    re.DOTALL,
)
"""A verb and its option, a subnegotiation, or a plain command. The last group is an unfinished one."""

_BEGINNING = re.compile(rb"\xff[\xec-\xfe]")


def has_commands(data: bytes) -> bool:
    """Whether a command begins in `data`."""
    return _BEGINNING.search(data) is not None


def is_interrupt(data: bytes) -> bool:
    """Whether `data` begins with what Ctrl-C sends, or the end of the input."""
    return data[:1] == b"\xff" and data[1:2] in (_INTERRUPT, _END_OF_FILE)


class Telnet:
    """Takes the commands out of one stream."""

    def __init__(self) -> None:
        self.used = False  # a command has come
        self.interrupted = False  # by Ctrl-C or the end of the input: nothing counts after it
        self._refusals = bytearray()
        self._rest = b""  # an unfinished command
        self._end = b""  # a carriage return, until it is known what follows it

    def feed(self, data: bytes) -> bytes:
        """`data` without the commands. A line ends with CR LF or LF; CR NUL becomes CR LF."""
        if self.interrupted:
            return b""
        text = self._end + b"".join(self._pieces(self._rest + data))
        self._end = b"\r" if text.endswith(b"\r") else b""
        return text.removesuffix(b"\r").replace(b"\r\0", b"\r\n")

    @property
    def has_refusals(self) -> bool:
        """Whether the client waits for an answer."""
        return bool(self._refusals)

    def take_refusals(self) -> bytes:
        """The answer to send now."""
        refusals, self._refusals = self._refusals, bytearray()
        return bytes(refusals)

    def _pieces(self, data: bytes) -> list[bytes]:
        """What is between the commands. Obeys them, and keeps an unfinished one."""
        pieces = []
        start, self._rest = 0, b""
        for found in _COMMAND.finditer(data):
            pieces.append(data[start : found.start()])
            start, self.used = found.end(), True
            verb, option, plain, unfinished = found.groups()
            if unfinished is not None:
                self._rest = found[0]
            elif verb in _REFUSAL:
                self._refusals += b"\xff" + _REFUSAL[verb] + option
            elif plain in (_INTERRUPT, _END_OF_FILE):
                self.interrupted = True
                return pieces
        return [*pieces, data[start:]]
