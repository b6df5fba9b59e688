"""How many columns text takes in a terminal, and in which rows a line lies. Does no I/O, and knows no terminal.

The width of a character comes from the library `wcwidth`, with which prompt_toolkit draws. For whole strings,
the version in Debian 12 does not know flags and joined emoji, so this module finds what belongs together. But
terminals have other tables than this one. So `wrap` counts at its widest what they may draw in different widths.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache

from pychat_client.records import record
from pychat_client.text import CONTROL, EMOJI_STYLE, ZWJ, with_visibility

DOUBTFUL = 2
"""Columns of a character whose width is not the same in all terminals: one that is ambiguous in Unicode, a symbol
that may be an emoji, or one that is younger than some terminal's table. No terminal draws one in more."""

_NARROW = ("N", "Na", "H")
"""The classes of East Asian width that have one column."""

_SKIN_TONES = range(0x1F3FB, 0x1F400)
_FLAG_LETTERS = range(0x1F1E6, 0x1F200)

_WIDENED = (*range(0x3248, 0x3250), *range(0x4DC0, 0x4E00))
"""Numbers on squares and hexagrams: some terminals, and newer versions of Unicode, give them two columns."""
_WORD = r"[!#-;=?-_a-~]"  # ASCII but for spaces, quotation marks and brackets; one column each in every terminal
_URL = r"[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=%]"  # RFC 3986
_QUOTED = r"(?<=[<\"`“”„»«])(?!-)" + rf"{_WORD}+(?=[>\"`“”«»])"
_LINK = rf"(?<!{_URL})[A-Za-z][A-Za-z0-9+.\-]*://{_URL}+"
_WHOLE = re.compile(rf"(?<!\S)(?!-){_WORD}+(?!\S)|{_QUOTED}|{_LINK}")
"""What may stay whole: a word of ASCII characters, also in quotation marks or angle brackets, and a link behind or
before any other character. It does not begin as a notice does, and no character can be the `>` behind a name."""

_NOTHING = "\N{WORD JOINER}"  # has no width in any terminal, and joins no emoji
_FIXED = dict.fromkeys([ord(ZWJ), ord(EMOJI_STYLE), *_SKIN_TONES], _NOTHING) | {
    letter: chr(ord("\N{FULLWIDTH LATIN CAPITAL LETTER A}") + number)
    for number, letter in enumerate(_FLAG_LETTERS)
}
_FIXED |= dict.fromkeys(_WIDENED, "\N{REPLACEMENT CHARACTER}")


def columns(text: str) -> int:
    """The columns that `text` takes where flags, keycaps and joined emoji are drawn as one."""
    return len(text) if text.isascii() else sum(map(_columns, _clusters(text)))


def most_columns(text: str, letters: int = DOUBTFUL) -> int:
    """The most columns that `text` takes in any terminal, whichever version of Unicode it knows.

    letters: columns of a letter of ambiguous width, such as the Cyrillic ones. Only a user who has chosen it in a
    terminal of East Asia sees them wide.
    """
    return len(text) if text.isascii() else sum(_most(char, letters) for char in text)


def wrap(line: str, room: int, first: int, letters: int = DOUBTFUL) -> list[str]:
    """Breaks `line` into at least one piece of at most `room` columns (the first piece: `first` columns) in every
    terminal. If a row were too wide, the terminal would go on in the first column, where text can look like a
    message from somebody else. letters: as for most_columns.

    Breaks at spaces if possible, and otherwise between what is drawn as one, where that has room in a row.
    """
    if len(line) <= first and line.isascii():  # most lines
        return [line]
    pieces: list[str] = []
    start = end = width = 0
    space, limit = -1, max(first, DOUBTFUL)
    for part in _parts(line, max(room, DOUBTFUL), letters):
        added = most_columns(part, letters)
        while width and width + added > limit:  # twice: what is behind the space may fill a row, too
            cut = space + 1 if space >= start else end
            pieces.append(line[start:cut])
            width = most_columns(line[cut:end], letters)
            start, space, limit = cut, -1, max(room, DOUBTFUL)
        if part == " ":
            space = end
        end += len(part)
        width += added
    return [*pieces, line[start:]]


@record
class Row:
    """A row of a line. whole: a word that is longer than a row, such as a link. It begins in the first column, and
    the terminal itself goes on with it in the next row, so that a user can select and click all of it."""

    text: str
    whole: bool = False

    def height(self, columns: int) -> int:
        """The rows that it takes in a window of `columns`."""
        return -(-len(self.text) // columns) if self.whole else 1


def rows(line: str, room: int, first: int | None, letters: int = DOUBTFUL) -> list[Row]:
    """`line` in rows of `room` columns, as `wrap` breaks it, but long words stay whole.

    first: the columns that are left behind other text, None at the beginning of a row. What follows a whole word
    begins a row, so that it cannot look like a name with that word before it.
    """
    if len(line) <= room:  # as most are: no word is longer than a row
        return _broken(line, room, first, letters)
    found: list[Row] = []
    start, left = 0, first
    for word in _WHOLE.finditer(line):
        if len(word[0]) > room:
            before = line[start : word.start()].rstrip(" ")
            if before or left is not None:  # the row of the other text has to end
                found += _broken(before, room, left, letters)
            found.append(Row(word[0], whole=True))
            start, left = word.end() + line.startswith(" ", word.end()), None
    if start < len(line) or not found:
        found += _broken(line[start:], room, left, letters)
    return found


def _broken(text: str, room: int, left: int | None, letters: int) -> list[Row]:
    return [Row(piece) for piece in wrap(text, room, room if left is None else left, letters)]


def joined(found: list[Row], indent: int) -> str:
    """The rows with line feeds between them; all but the first and the whole words are indented."""
    margin = " " * indent
    return found[0].text + "".join(f"\n{'' if row.whole else margin}{row.text}" for row in found[1:])


def _parts(line: str, room: int, letters: int) -> Iterator[str]:
    """The parts between which `line` can be broken: clusters, and the characters of one that fills a row."""
    for cluster in _clusters(line):
        if most_columns(cluster, letters) > room:
            yield from cluster
        else:
            yield cluster


def fixed_width(text: str) -> str:
    """`text` with as many characters, each of which has the same width in every terminal.

    It is for a line in which the cursor moves. The parts of an emoji are drawn one by one, without the colour of
    the skin, and a flag as its two letters. U+FFFD stands for what printable() shows as a code, and for what
    terminals draw in other widths; but control characters stay: prompt_toolkit shows them as ^X.
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


def _most(char: str, letters: int) -> int:
    """The most columns of a character that is drawn alone, as the parts of an emoji may be."""
    if char.isascii():
        return 1
    most = _most_known(char)
    return letters if most is None else most


@lru_cache(maxsize=4096)
def _most_known(char: str) -> int | None:
    """The same; None for a letter of ambiguous width."""
    category, width = unicodedata.category(char), unicodedata.east_asian_width(char)
    if category[0] == "M" or char == ZWJ:
        return DOUBTFUL if width in "WF" else 1  # a terminal that joins nothing gives it a column of its own
    if category[0] == "L" and width == "A" and _is_old(char):
        return None
    return 1 if category != "So" and width in _NARROW and _is_old(char) else DOUBTFUL


def _is_old(char: str) -> bool:
    """Whether the character is so old that all terminals know the same width for it."""
    old = unicodedata.ucd_3_2_0
    return old.category(char) != "Cn" and old.east_asian_width(char) == unicodedata.east_asian_width(char)


@lru_cache(maxsize=4096)
def _character(char: str) -> int:
    if char.isascii():
        return 1
    from wcwidth import wcwidth  # slow to load, and most lines in plain mode have nothing but ASCII

    return 0 if _is_mark(char) else max(wcwidth(char), 0)
