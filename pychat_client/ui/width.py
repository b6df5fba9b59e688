"""How many columns text takes in a terminal: the rule for wrapping messages and for laying out the toolbar.

The width of a character comes from the library `wcwidth`, with which prompt_toolkit draws. For whole strings,
the version in Debian 12 does not know flags and joined emoji, so this module finds what belongs together.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from functools import lru_cache

from pychat_client.text import CONTROL, EMOJI_STYLE, ZWJ, with_visibility

_SKIN_TONES = range(0x1F3FB, 0x1F400)
_FLAG_LETTERS = range(0x1F1E6, 0x1F200)

_NOTHING = "\N{WORD JOINER}"  # has no width in any terminal, and joins no emoji
_FIXED = dict.fromkeys([ord(ZWJ), ord(EMOJI_STYLE), *_SKIN_TONES], _NOTHING) | {
    letter: chr(ord("\N{FULLWIDTH LATIN CAPITAL LETTER A}") + number)
    for number, letter in enumerate(_FLAG_LETTERS)
}


def columns(text: str) -> int:
    """The columns that `text` takes where flags, keycaps and joined emoji are drawn as one."""
    return len(text) if text.isascii() else sum(map(_columns, _clusters(text)))


def most_columns(text: str) -> int:
    """The columns that `text` takes in a terminal that draws the parts of an emoji one by one, and in any other.

    `wrap` measures with this. If a row were too wide, the terminal would go on in the first column, where text
    can look like a message from somebody else.
    """
    return len(text) if text.isascii() else sum(map(_most_columns, _clusters(text)))


def wrap(line: str, room: int, first: int) -> list[str]:
    """Breaks `line` into at least one piece of at most `room` columns (the first piece: `first` columns).

    Breaks at spaces if possible, and never inside an emoji or between a character and its marks.
    """
    if len(line) <= first and line.isascii():  # most lines
        return [line]
    pieces: list[str] = []
    start = end = width = 0
    space, limit = -1, max(first, 2)
    for cluster in _clusters(line):
        added = _most_columns(cluster)
        if added and width and width + added > limit:
            cut = space + 1 if space >= start else end
            pieces.append(line[start:cut])
            width = most_columns(line[cut:end])
            start, space, limit = cut, -1, max(room, 2)
        if cluster == " ":
            space = end
        end += len(cluster)
        width += added
    return [*pieces, line[start:]]


def fixed_width(text: str) -> str:
    """`text` with as many characters, each of which has the same width in every terminal.

    It is for a line in which the cursor moves. The parts of an emoji are drawn one by one, without the colour of
    the skin, and a flag as its two letters. U+FFFD stands for what printable() shows as a code, but control
    characters stay: prompt_toolkit shows them as ^X.
    """
    if text.isascii():
        return text
    drawn = (
        char if visible or CONTROL.match(char) else "\N{REPLACEMENT CHARACTER}"
        for char, visible in with_visibility(text)
    )
    return "".join(drawn).translate(_FIXED)


def _clusters(text: str) -> Iterator[str]:
    """`text` in the pieces that a terminal may draw as one: a character with its marks, a flag, joined emoji."""
    start = 0
    for index in range(1, len(text)):
        if not _belongs(text[start:index], text[index]):
            yield text[start:index]
            start = index
    if text:
        yield text[start:]


def _belongs(cluster: str, char: str) -> bool:
    """Whether `char` is drawn together with the `cluster` before it."""
    if char.isascii():
        return False
    if ord(char) in _FLAG_LETTERS:
        return len(cluster) == 1 and ord(cluster) in _FLAG_LETTERS
    if ord(char) in _SKIN_TONES:
        return _character(cluster[-1]) == 2
    return cluster[-1] == ZWJ or _is_mark(char)


def _is_mark(char: str) -> bool:
    return unicodedata.category(char) in ("Mn", "Me", "Cf")


def _columns(cluster: str) -> int:
    is_emoji = ZWJ in cluster or EMOJI_STYLE in cluster or (len(cluster) > 1 and ord(cluster[0]) in _FLAG_LETTERS)
    return 2 if is_emoji else _character(cluster[0])


def _most_columns(cluster: str) -> int:
    return max(_columns(cluster), sum(_most(char) for char in cluster))


def _most(char: str) -> int:
    """The columns of a character drawn alone. The tables of terminals are older and newer than those here."""
    if char == EMOJI_STYLE:
        return 1  # it makes a narrow character a wide emoji
    if _is_mark(char):
        return 0
    if unicodedata.east_asian_width(char) in "WF" or ord(char) in _FLAG_LETTERS:
        return 2
    return max(_character(char), 1)


@lru_cache(maxsize=4096)
def _character(char: str) -> int:
    if char.isascii():
        return 1
    from wcwidth import wcwidth  # slow to load, and most lines in plain mode have nothing but ASCII

    return 0 if _is_mark(char) else max(wcwidth(char), 0)
