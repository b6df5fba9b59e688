"""What a handle, a message and a port may be, and printable().

All text of another program goes through printable() before it reaches a screen, a log, a title or a notification.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter

from pychat_client.errors import HandleError, MessageError, UsageError
from pychat_client.look_alikes import looks_like

HANDLE_MAX = 10
"""Characters of a handle, as in the classic programs."""

MESSAGE_MAX = 500
"""Characters of a message, as in the classic programs; counted as code points after NFC."""

WORDS_MAX = 200
"""Characters of a reason or of an error's sentence. The sender cuts longer ones."""

COMBINING_MAX = 8
"""Combining marks that are shown on one character; more would cover the lines around it."""

BREAK = "\u2028"
"""Stands for a line break inside a message: on the wire, a message is always one line."""

CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
"""Control characters (C0, DEL, C1): not allowed in a line of the protocol."""

SURROGATE = re.compile("[\ud800-\udfff]")
"""A byte that is not UTF-8, as Python reads it from a terminal."""

_PORT = re.compile("[1-9][0-9]{0,4}")
_BREAKS = re.compile("\r\n|[\n\r\v\f\x85\u2028\u2029]")
_TAB = "    "  # replaces a tab in a paste, because control characters are not allowed

EMOJI_STYLE = "\ufe0f"
"""The variation selector that shows a character as an emoji where it also has a plain form."""

ZWJ = "\u200d"
"""The zero-width joiner, which makes one emoji of two."""

_ARROWS = "\u2194\u2195"  # the two of the arrows in emoji that are mathematical symbols
_VARIATIONS = frozenset(map(chr, [*range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0)]))
_BLACK_FLAG = "\U0001f3f4"  # the only base that emoji tag sequences (flags of regions) stand on
_FLAGS = frozenset(
    "".join(chr(0xE0000 + ord(char)) for char in f"{region}\x7f") for region in ("gbeng", "gbsct", "gbwls")
)
"""The tags of the three regions that have an emoji (UTS #51): other tags would hide text."""

_STYLES = "\ufe0e" + EMOJI_STYLE
_STYLED = "#*0123456789\u203c\u2049\u2139\u3030"  # have both styles, and are no symbols

_RUN_MAX = 4
"""Codes that are shown in a row. Of more, only the number is shown: they would fill the window."""
# Drawn as nothing, although they are letters, marks (Default_Ignorable_Code_Point) or symbols.
_BLANK = "\u2800\U0001d159\U00013441\U00013442\U00016fe4"
_INVISIBLE = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u3164\uffa0" + _BLANK)

_INK = ("Lu", "Ll", "Lt", "Lo", "Nd", "Nl", "No", "So", "Sc")
"""The categories of letters, digits and pictures: a handle such as `--` or `.` would pass for our own marks."""

YOU = "You"
"""How our own sentences call this user, so nobody has it as a handle."""


def nfc(text: str) -> str:
    """`text` in Unicode normalisation form C, in which text is counted and sent."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def check_handle(text: str) -> str:
    """`text` in NFC if it is a valid handle. Raises HandleError.

    A handle has 1 to 10 code points. White space, control and format characters, unassigned, private and
    surrogate code points, invisible characters, `>` and the backslash are not allowed, it cannot begin with a
    combining mark, and it is not only punctuation.
    """
    handle = nfc(text)
    if not handle:
        raise HandleError(f"A handle is one word of 1 to {HANDLE_MAX} characters.")
    if any(char.isspace() for char in handle):
        raise HandleError(f"A handle is one word: '{printable(handle)}' contains a space.")
    if len(handle) > HANDLE_MAX:
        raise HandleError(
            f"A handle has at most {HANDLE_MAX} characters: '{printable(handle[:40])}' has {len(handle)}."
        )
    for char in handle:
        if char in ">\\" or char in _INVISIBLE or char in _VARIATIONS or unicodedata.category(char)[0] == "C":
            raise HandleError(f"A handle cannot contain {_named(char)}.")
    if unicodedata.category(handle[0])[0] == "M":
        raise HandleError(f"A handle cannot begin with {_named(handle[0])}.")
    if not any(unicodedata.category(char) in _INK for char in handle):
        raise HandleError(
            f"A handle needs a letter, a digit or a picture: '{handle}' looks like one of pychat's own marks."
        )
    if looks_like(handle, YOU):
        raise HandleError(f"A handle cannot be '{handle}': pychat's own sentences use the word for you.")
    return handle


def as_sent(text: str) -> str:
    """`text` as it is sent, and as its characters are counted: NFC, line breaks as U+2028, tabs as spaces."""
    return nfc(_BREAKS.sub(BREAK, text).replace("\t", _TAB))


def well_formed(text: str) -> str:
    """`text` as it can be written: with U+FFFD for each byte that is not UTF-8."""
    return SURROGATE.sub("\N{REPLACEMENT CHARACTER}", text)


def is_handle(word: str) -> bool:
    """Whether `word` is a valid handle, and is in NFC already."""
    try:
        return check_handle(word) == word
    except HandleError:
        return False


def check_message(text: str) -> str:
    """`text` as it is sent (as_sent).

    Raises MessageError if it is empty, has more than 500 characters, or contains a control character.
    """
    message = as_sent(text)
    if not message.strip():
        raise MessageError("Not sent: the message is empty.")
    if len(message) > MESSAGE_MAX:
        raise MessageError(f"Not sent: the message has {len(message)} characters; the limit is {MESSAGE_MAX}.")
    if (found := CONTROL.search(message)) is not None:
        raise MessageError(f"Not sent: the message contains a control character, {_named(found[0])}.")
    if SURROGATE.search(message) is not None:
        raise MessageError("Not sent: the message contains bytes that are not UTF-8.")
    return message


def check_room(message: str, max_bytes: int | None) -> None:
    """Raises MessageError if `message` has more bytes than a classic program takes; None: there is no limit."""
    if max_bytes is None:
        return
    size = len(message.replace(BREAK, " ").encode())  # a classic program gets a space for a line break
    if size > max_bytes:
        raise MessageError(
            f"Not sent: the message has {size} bytes; the other side's classic program takes at most {max_bytes}."
        )


def parse_port(word: str) -> int:
    """A port number. Raises UsageError."""
    if not is_port(word):
        raise UsageError(f"'{printable(word)}' is not a valid port (1-65535).")
    return int(word)


def is_port(word: str) -> bool:
    """Whether `word` is a port number, in its one spelling: `07000` would be another directory, unit or known host
    than `7000`."""
    return _PORT.fullmatch(word) is not None and int(word) <= 65535


def printable(text: str) -> str:
    """`text` as one line that a terminal only shows: nothing in it can control the terminal.

    A character that could move the cursor, change the direction of writing, hide text or cover other lines
    becomes a code such as `<U+001B>`: control, format and invisible characters, line and paragraph separators,
    private, unassigned and surrogate code points, and the ninth and later combining marks on one character. Of
    many in a row only the number is shown. Joiners, variation selectors and tags stay where an emoji needs them;
    side effect: those of other scripts become codes too.
    """
    if text.isascii() and text.isprintable():
        return text
    runs = groupby(with_visibility(text), key=itemgetter(1))
    return "".join(_shown("".join(char for char, _ in run), plain=plain) for plain, run in runs)


def _shown(run: str, *, plain: bool) -> str:
    """Characters that a terminal may get as they are, or codes for them."""
    if plain:
        return run
    if len(run) > _RUN_MAX:
        return f"<{len(run)} invisible characters>"
    return "".join(f"<U+{ord(char):04X}>" for char in run)


def with_visibility(text: str) -> Iterator[tuple[str, bool]]:
    """Each character, and whether a terminal may get it as it is."""
    marks = 0
    for index, char in enumerate(text):
        category = unicodedata.category(char)
        if category in ("Mn", "Me"):
            marks += 1
            visible = marks <= COMBINING_MAX and char not in _INVISIBLE and index > 0
            if char in _VARIATIONS:
                visible = char in _STYLES and _has_styles(text[index - 1 : index])
        elif char == ZWJ:
            visible = _joins_emoji(text, index)
        else:
            marks = 0
            visible = _is_plain(char, category) or _is_flag_tag(text, index)
        yield char, visible


def quoted(words: str) -> str:
    """The other side's words in a sentence of ours: they cannot end the quotation."""
    return f'"{printable(words).replace(chr(34), chr(39))}"'


def printable_lines(message: str) -> list[str]:
    """The lines of a message (at least one), each made printable."""
    return [printable(line) for line in message.split(BREAK)]


def _named(char: str) -> str:
    name = unicodedata.name(char, "")
    return f"U+{ord(char):04X}" + (f" ({name})" if name else "")


def _is_plain(char: str, category: str) -> bool:
    if category == "Cn":  # in the blocks for emoji: newer ones than this Python knows
        return "\U0001f000" <= char <= "\U0001fbff"
    return category[0] != "C" and category not in ("Zl", "Zp") and char not in _INVISIBLE


def _is_emoji(char: str) -> bool:
    return unicodedata.category(char) == "So" or "\U0001f000" <= char <= "\U0001fbff" or char in _ARROWS


def _has_styles(char: str) -> bool:
    """Whether a variation selector changes how `char` is drawn."""
    return bool(char) and (_is_emoji(char) or char in _STYLED)


def _joins_emoji(text: str, index: int) -> bool:
    """Whether the joiner at `index` is between two emoji (a variation selector may come before it)."""
    before = text[max(0, index - 2) : index].rstrip("\ufe0f")[-1:]
    after = text[index + 1 : index + 2]
    return bool(before and after) and _is_emoji(before) and _is_emoji(after)


def _is_flag_tag(text: str, index: int) -> bool:
    """Whether `index` is among the tags behind a black flag that make the flag of a region."""
    if not "\U000e0020" <= text[index] <= "\U000e007f":
        return False
    start = text.rfind(_BLACK_FLAG, max(0, index - 6), index) + 1
    return start > 0 and text[start : start + 6] in _FLAGS
