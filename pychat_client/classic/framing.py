"""What classic programs put into one write, and how much they take of one (docs/classic.md).

A program's message is a burst: bytes until a silence. It may be padded with NULs, end with a mark, or
begin with a name. This module knows bytes and words; the codecs beside it know who speaks when.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from pychat_client.protocol import wire
from pychat_client.text import BREAK, CONTROL, MESSAGE_MAX, nfc

SILENCE = 0.15
"""Seconds without a byte that end a burst, beside the time that a byte needs to the other side and
back: a program that writes name and text apart has its second write held until the first is acked."""

WRITE_MAX = 499
"""Bytes of a whole write: the smallest receive buffer seen is 500, and some drop the last byte."""

BURST_MAX = 4096
"""Bytes of a burst that are kept; the largest that programs send are frames of about 1,000."""

MARKS = (b"@@@", b"@!@")
"""What some programs end a message with."""

VERSION = 0
"""The version in the hello that stands for a classic peer's missing one."""

GUEST = "guest"
"""The handle of a classic peer that has not told one."""

_NAME = re.compile(r"([^\s>\\]+?)(?: ?> ?|: )")


def clean(data: bytes) -> str:
    """The text of `data`: what is not UTF-8, and controls, as U+FFFD; NFC."""
    return nfc(CONTROL.sub("\ufffd", data.decode(errors="replace")))


def clean_lines(data: bytes) -> str:
    """The text of `data`, several lines as a message has them."""
    return BREAK.join(clean(line.removesuffix(b"\r")) for line in data.split(b"\n"))


def split_marked(burst: bytes, marks: Sequence[bytes]) -> tuple[list[bytes], bytes]:
    """The messages of a burst that ends with one of `marks`, and that mark; none for another burst."""
    end = burst.rstrip(b"\0\r\n")
    for mark in marks:
        if end.endswith(mark) and not is_doubled(end):
            return [piece.strip(b"\0\r\n") for piece in end.removesuffix(mark).split(mark)], mark
    return [], b""


def split_name(text: str) -> tuple[str, str]:
    """The name that `text` begins with, and what follows it: `Ann> hi`, `Ann>hi`, `Ann >hi` or `Ann: hi`.
    No name, and the whole text, where there is none."""
    found = _NAME.match(text)
    return ("", text) if found is None else (found[1], text[found.end() :])


def is_doubled(data: bytes) -> bool:
    """Whether these are two lines of which the second is the text of the first, a fault of the seed's client."""
    first, _, second = data.rstrip(b"\0\r\n").partition(b"\n")
    return bool(second) and first.endswith(b"> " + second)


def is_quit(text: str) -> bool:
    """Whether a message is a classic program's last."""
    return text.strip() in ("\\quit", "/quit")


def meaning(handle: str, words: str) -> wire.Message | wire.Quit | wire.Rejected:
    """What the words of a classic peer are: a message, its quit, or too many. None at all are a message too:
    a program that has sent them waits for the answer."""
    if is_quit(words):
        return wire.Quit()
    if len(words) > MESSAGE_MAX:
        what = f"{len(words)} characters, and at most {MESSAGE_MAX} can be sent"
        return wire.Rejected("too-long", f"Not delivered: {what}.")
    return wire.Message(handle, words or " ")


def flat(text: str) -> str:
    """A message for somebody who knows no line breaks in one."""
    return text.replace(BREAK, " ")


def room(handle: str) -> int:
    """Bytes that the text of a message by `handle` may have, whatever mark may have to follow it."""
    return WRITE_MAX - len(f"{handle}> ".encode()) - max(map(len, MARKS))
