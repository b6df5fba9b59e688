"""What classic programs put into one write, and how much they take of one (docs/classic.md).

A program's message is a burst: bytes until a silence. It may be padded with NULs, end with a mark, or
begin with a name. This module knows bytes and text; the codecs beside it know who speaks when.
"""

from __future__ import annotations

import re

from pychat_client.errors import HandleError
from pychat_client.text import BREAK, CONTROL, check_handle, nfc

SILENCE = 0.15
"""Seconds without a byte that end a burst, beside the time that a byte needs to the other side and
back: a program that writes name and text apart has its second write held until the first is acked."""

FRAME_MAX = 499
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


def words(burst: bytes) -> tuple[bytes, bytes]:
    """The bytes of the message in a burst, and the end mark it had.

    With a mark all before it counts, several lines too; else what stands before the first NUL or line
    feed: behind it come padding, what was left in the buffer, or the seed's text once more.
    """
    end = burst.rstrip(b"\0\r\n")
    for mark in MARKS:
        if end.endswith(mark):
            return end.removesuffix(mark).rstrip(b"\r\n"), mark
    return re.split(rb"[\0\n]", burst, maxsplit=1)[0].removesuffix(b"\r"), b""


def split_name(text: str) -> tuple[str, str]:
    """The name that `text` begins with, and the whole prefix: `Ann> `, `Ann>`, `Ann >` or `Ann: `.
    Two empty texts when there is none."""
    found = _NAME.match(text)
    if found is not None:
        try:
            return check_handle(found[1]), found[0]
        except HandleError:
            pass
    return "", ""


def is_quit(text: str) -> bool:
    """Whether a message is a classic program's last."""
    return text in ("\\quit", "/quit")


def flat(text: str) -> str:
    """A message for somebody who knows no line breaks in one."""
    return text.replace(BREAK, " ")
