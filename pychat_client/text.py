"""Text from people: handles, ports, messages of at most 500 characters, and printable().

printable() is the only way for text of another program to a screen, a log, a title or a notification.
This module does no IO and knows neither lines nor frames.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

from pychat_client.errors import HandleError, MessageError, UsageError

HANDLE_MAX = 10
"""Characters of a handle (the seed's rule)."""

MESSAGE_MAX = 500
"""Characters of a message, counted as code points after NFC (the seed's rule)."""

COMBINING_MAX = 8
"""Combining marks drawn on one character; more is not writing but a flood over the lines around it."""

BREAK = "\u2028"
"""How a line break inside a message travels: a message is always one line on the wire."""

CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
"""Control characters (C0, DEL, C1): never legal inside a line of the protocol."""

_BREAKS = re.compile("\r\n|[\n\r\v\f\x85\u2028\u2029]")
_TAB = "    "  # a pasted tab: a control character cannot travel, but nobody means to lose the paste

EMOJI_STYLE = "\ufe0f"
"""The variation selector that asks for an emoji where there is also a plain character."""

ZWJ = "\u200d"
"""The zero-width joiner, which makes one emoji of two."""

_ARROWS = "\u2194\u2195"  # the two of the arrows in emoji that are mathematical symbols
_VARIATIONS = frozenset(map(chr, [*range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0)]))
_BLACK_FLAG = "\U0001f3f4"  # the only base that emoji tag sequences (flags of regions) stand on
_TAGS = "".join(map(chr, range(0xE0020, 0xE0080)))
# Drawn as nothing although their category is a letter's or a mark's (Default_Ignorable_Code_Point).
_INVISIBLE = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u3164\uffa0")


def nfc(text: str) -> str:
    """`text` in Unicode normalisation form C, in which it is counted and sent."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def check_handle(text: str) -> str:
    """`text` in NFC if it is a handle.

    A handle is 1 to 10 code points, none of them white space, a control or format character,
    unassigned, private, a surrogate, invisible, `>` or a backslash; it does not begin with a
    combining mark. Raises HandleError with a sentence that says what is wrong.
    """
    handle = nfc(text)
    if not handle:
        raise HandleError(f"A handle is one word of 1 to {HANDLE_MAX} characters.")
    if any(char.isspace() for char in handle):
        raise HandleError(f"A handle is one word: '{printable(handle)}' has a space in it.")
    if len(handle) > HANDLE_MAX:
        raise HandleError(
            f"A handle has at most {HANDLE_MAX} characters: '{printable(handle[:40])}' has {len(handle)}."
        )
    for char in handle:
        if char in ">\\" or char in _INVISIBLE or char in _VARIATIONS or unicodedata.category(char)[0] == "C":
            raise HandleError(f"A handle cannot contain {_named(char)}.")
    if unicodedata.category(handle[0])[0] == "M":
        raise HandleError(f"A handle cannot begin with {_named(handle[0])}.")
    return handle


def as_sent(text: str) -> str:
    """`text` as it would travel, and as its characters are counted: NFC, line breaks as U+2028, tabs as spaces."""
    return nfc(_BREAKS.sub(BREAK, text).replace("\t", _TAB))


def is_handle(word: str) -> bool:
    """Whether `word`, in NFC, is a handle."""
    try:
        return check_handle(word) == word
    except HandleError:
        return False


def check_message(text: str) -> str:
    """What is sent for `text`: NFC, line breaks as U+2028, tabs as spaces.

    Raises MessageError with a sentence when it is empty, has more than 500 characters, or holds a
    control character.
    """
    message = as_sent(text)
    if not message.strip():
        raise MessageError("Not sent: the message is empty.")
    if len(message) > MESSAGE_MAX:
        raise MessageError(f"Not sent: {len(message)} characters, and at most {MESSAGE_MAX} can be sent.")
    if (found := CONTROL.search(message)) is not None:
        raise MessageError(f"Not sent: there is a control character in it, {_named(found[0])}.")
    if any("\ud800" <= char <= "\udfff" for char in message):
        raise MessageError("Not sent: there are bytes in it that are not UTF-8.")
    return message


def check_room(message: str, room: int | None) -> None:
    """Raises MessageError when `message` has more than `room` bytes (None: it may have any number)."""
    size = len(message.replace(BREAK, " ").encode())  # no classic program knows line breaks
    if room is not None and size > room:
        raise MessageError(f"Not sent: {size} bytes, and the other side's classic program takes at most {room}.")


def parse_port(word: str) -> int:
    """A port number. Raises UsageError."""
    if not is_port(word):
        raise UsageError(f"'{printable(word)}' is not a port: a number from 1 to 65535 is.")
    return int(word)


def is_port(word: str) -> bool:
    """Whether `word` is a port's number."""
    return word.isascii() and word.isdecimal() and 1 <= int(word[:6]) <= 65535


def printable(text: str) -> str:
    """`text` as one line that a terminal shows and never obeys.

    Whatever could move the cursor, change the direction of writing, hide or flood is shown as
    `<U+001B>`: controls, format and invisible characters (joiners inside emoji sequences stay),
    line and paragraph separators, private, unassigned and surrogate code points, and combining marks
    beyond the eighth on one character. That joiners of other scripts show as codes too is the price.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(char if shown else f"<U+{ord(char):04X}>" for char, shown in with_visibility(text))


def with_visibility(text: str) -> Iterator[tuple[str, bool]]:
    """Each character, and whether a terminal may get it."""
    marks = 0
    for index, char in enumerate(text):
        category = unicodedata.category(char)
        if category in ("Mn", "Me"):
            marks += 1
            visible = marks <= COMBINING_MAX and char not in _INVISIBLE and index > 0
        elif char == ZWJ:
            visible = _joins_emoji(text, index)
        else:
            marks = 0
            visible = _is_plain(char, category) or _is_flag_tag(text, index)
        yield char, visible


def printable_lines(message: str) -> list[str]:
    """The lines of a message (at least one), each fit for a terminal."""
    return [printable(line) for line in message.split(BREAK)]


def _named(char: str) -> str:
    name = unicodedata.name(char, "")
    return f"U+{ord(char):04X}" + (f" ({name})" if name else "")


def _is_plain(char: str, category: str) -> bool:
    if category == "Cn":  # newer emoji than this Python knows: in the blocks set aside for them
        return "\U0001f000" <= char <= "\U0001fbff"
    return category[0] != "C" and category not in ("Zl", "Zp") and char not in _INVISIBLE


def _is_emoji(char: str) -> bool:
    return unicodedata.category(char) == "So" or "\U0001f000" <= char <= "\U0001fbff" or char in _ARROWS


def _joins_emoji(text: str, index: int) -> bool:
    """Whether the joiner at `index` stands between two emoji (a variation selector may precede it)."""
    before = text[max(0, index - 2) : index].rstrip("\ufe0f")[-1:]
    after = text[index + 1 : index + 2]
    return bool(before and after) and _is_emoji(before) and _is_emoji(after)


def _is_flag_tag(text: str, index: int) -> bool:
    """Whether `index` is inside an emoji tag sequence (UTS #51): a black flag, then tag characters."""
    if text[index] not in _TAGS:
        return False
    start = max(0, index - 8)  # the longest flag in use has 6 tags; this also bounds the look back
    return text[start:index].rstrip(_TAGS).endswith(_BLACK_FLAG)
