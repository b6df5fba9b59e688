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

TWO_WAY_MARKS = (b"@@@", b"@!@")
"""The marks with which some programs end a message, in both directions."""

ONE_WAY_MARK = b"||"
"""The mark with which some servers end a message. Their clients read on for it, and send none."""

MARKS = (*TWO_WAY_MARKS, ONE_WAY_MARK)

END_MAX = 4
"""Bytes that a write has besides name and text: a mark with its line feed, or a length in front."""

ANSWER_MAX = 7
"""Bytes of the handle that answers a bare handle. Programs read 8 or 10 bytes, with the NUL, before their first
message; what is more would be the answer to that."""

HANDLE_BYTES_MAX = 10
"""Bytes of our handle for a classic server: it reads no more, and the rest would be the first message."""

CLASSIC_VERSION = 0
"""The version in the hello that a codec makes for a classic peer."""

GUEST = "guest"
"""The handle of a classic peer that has not said one."""

COUNT_BYTES = 4
"""Bytes of a length in front of a message."""

FIELD_SIZES = range(8, 33)
"""Bytes that a padded field for a handle can have; a known one has 11."""

_FIELDS = re.compile(rb"([^\0\s>\\]+)\0{2,}([^\0]+)\0+")
EMPTY = " "
"""The text of a message that is empty. It passes the turn."""

_NAME_MAX = max(FIELD_SIZES)
"""Characters of a name in front of a message. A program's names are searched for in what it said first."""

_NAME = re.compile(rf"([^\s>\\]{{1,{_NAME_MAX}}}?)(?: ?> ?|: )")


def clean(data: bytes) -> str:
    """The text of `data` in NFC. What is not UTF-8, and control characters, become U+FFFD."""
    return nfc(CONTROL.sub("\ufffd", data.decode(errors="replace")))


def clean_lines(data: bytes) -> str:
    """The text of `data`, with the line breaks of a message."""
    return BREAK.join(clean(line.removesuffix(b"\r")) for line in data.split(b"\n"))


def split_marked(burst: bytes, marks: Sequence[bytes]) -> tuple[list[bytes], bytes]:
    """The messages of a burst that ends with one of `marks`, and that mark. Nothing for another burst.

    If a line feed stands before the last mark, it belongs to the mark: `a@@@b\\n@@@` is one message."""
    end = burst.rstrip(b"\0\r\n")
    for mark in marks:
        if end.endswith(mark) and not is_echoed_twice(end):
            whole = b"\n" + mark.lstrip(b"\n")
            whole = whole if end.endswith(whole) else mark
            return [piece.strip(b"\0\r\n") for piece in end.removesuffix(whole).split(whole)], whole
    return [], b""


def split_fields(burst: bytes) -> tuple[bytes, bytes] | None:
    """Handle and text of a burst that is two fields, each padded with NULs; None for another burst."""
    found = _FIELDS.fullmatch(burst)
    fits = found is not None and found.start(2) in FIELD_SIZES
    return (found[1], found[2]) if found is not None and fits else None


def split_by_lengths(burst: bytes) -> list[bytes]:
    """The texts of a burst in which each has its length in front, in four bytes. Nothing for another burst."""
    texts = []
    while burst:
        size = int.from_bytes(burst[:COUNT_BYTES])
        text, burst = burst[COUNT_BYTES : COUNT_BYTES + size], burst[COUNT_BYTES + size :]
        if not 0 < size == len(text) or CONTROL.search(clean_lines(text.rstrip(b"\0")).replace(BREAK, "")):
            return []
        texts.append(text.strip(b"\0\r\n"))
    return texts


def with_length(text: str) -> bytes:
    """`text` with its length in front."""
    data = text.encode()
    return len(data).to_bytes(COUNT_BYTES) + data


def cut_to_bytes(text: str, size: int) -> str:
    """As many characters of `text` as have at most `size` bytes."""
    return text.encode()[:size].decode(errors="ignore")


def prefix(text: str) -> str:
    """The name at the beginning of `text`, with what separates it from the rest; "" without a name."""
    found = _NAME.match(text)
    return "" if found is None else found[0]


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
    return wire.Message(handle, text or EMPTY)


def single_line(text: str) -> str:
    """A message for a program whose messages have no line breaks."""
    return text.replace(BREAK, " ")


def max_text_bytes(handle: str) -> int:
    """Bytes that the text of a message by `handle` can have."""
    return WRITE_MAX - len(f"{handle}> ".encode()) - END_MAX
