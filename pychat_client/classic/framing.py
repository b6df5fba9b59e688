"""What classic programs put into one write, and how much of a write they take (docs/classic.md).

A message of such a program is a burst: bytes until a silence. It can be padded with NULs, end with a mark, or
begin with a name. This module knows bytes and texts; the codecs know who speaks when.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from pychat_client.protocol import wire
from pychat_client.text import BREAK, CONTROL, MESSAGE_MAX, nfc

SILENCE = 0.15
"""Seconds without a byte that end a burst, plus the time to the other side and back. Some programs write name and
text apart, and TCP sends the second write only when the first is acked."""

WRITE_MAX = 499
"""Bytes of a whole write. The smallest receive buffer of a classic program is 500; some drop its last byte."""

BURST_MAX = 4096
"""Bytes of a burst that are kept. The largest that programs send have about 1,000."""

MARKS = (b"@@@", b"@!@")
"""The marks with which some programs end a message."""

CLASSIC_VERSION = 0
"""The version in the hello that a codec makes for a classic peer."""

GUEST = "guest"
"""The handle of a classic peer that has not said one."""

_NAME = re.compile(r"([^\s>\\]+?)(?: ?> ?|: )")


def clean(data: bytes) -> str:
    """The text of `data` in NFC. What is not UTF-8, and control characters, become U+FFFD."""
    return nfc(CONTROL.sub("\ufffd", data.decode(errors="replace")))


def clean_lines(data: bytes) -> str:
    """The text of `data`, with the line breaks of a message."""
    return BREAK.join(clean(line.removesuffix(b"\r")) for line in data.split(b"\n"))


def split_marked(burst: bytes, marks: Sequence[bytes]) -> tuple[list[bytes], bytes]:
    """The messages of a burst that ends with one of `marks`, and that mark. Nothing for another burst."""
    end = burst.rstrip(b"\0\r\n")
    for mark in marks:
        if end.endswith(mark) and not is_echoed_twice(end):
            return [piece.strip(b"\0\r\n") for piece in end.removesuffix(mark).split(mark)], mark
    return [], b""


def split_name(text: str) -> tuple[str, str]:
    """The name at the beginning of `text`, and the rest: `Ann> hi`, `Ann>hi`, `Ann >hi` or `Ann: hi`. Without a
    name: "", and the whole text."""
    found = _NAME.match(text)
    return ("", text) if found is None else (found[1], text[found.end() :])


def is_echoed_twice(data: bytes) -> bool:
    """Whether the second of two lines is the text of the first: the original classic client sends it twice."""
    first, _, second = data.rstrip(b"\0\r\n").partition(b"\n")
    return bool(second) and first.endswith(b"> " + second)


def is_quit(text: str) -> bool:
    """Whether a classic program ends the conversation with this message."""
    return text.strip() in ("\\quit", "/quit")


def classify(handle: str, text: str) -> wire.Message | wire.Quit | wire.Rejected:
    """What a classic peer means by `text`. An empty text is a message, too: the program waits for the answer."""
    if is_quit(text):
        return wire.Quit()
    if len(text) > MESSAGE_MAX:
        what = f"the message has {len(text)} characters; the limit is {MESSAGE_MAX}"
        return wire.Rejected("too-long", f"Not delivered: {what}.")
    return wire.Message(handle, text or " ")


def single_line(text: str) -> str:
    """A message for a program whose messages have no line breaks."""
    return text.replace(BREAK, " ")


def max_text_bytes(handle: str) -> int:
    """Bytes that the text of a message by `handle` can have; a mark can follow it."""
    return WRITE_MAX - len(f"{handle}> ".encode()) - max(map(len, MARKS))
