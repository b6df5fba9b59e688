"""Lays text out for a stream: the one way in which everything but the screen is printed.

A pipe or a file gets the text as it is. A terminal gets it in rows, each counted at the most columns that it can
take. So the terminal itself never continues a row at the left edge, where our own words stand, except for one long
word, such as a link. Text of others has been through printable() before.
"""

from __future__ import annotations

import os
from typing import TextIO

from pychat_client.width import joined, rows, wrap

INDENT = 4
"""Columns before the later rows of a message or a sentence."""

_COLUMNS = 80  # of a terminal that does not tell its width


def fit(stream: TextIO, text: str, indent: int = INDENT) -> str:
    """One entry with lines: all lines but the first are indented, also in a pipe or a file. In a terminal at most
    a third of the width is indented."""
    lines = text.split("\n")
    if stream.isatty():
        columns = _columns(stream)
        indent = min(indent, columns // 3)
        room = columns - indent
        laid_out = [row for i, line in enumerate(lines) for row in rows(line, room, None if i else columns)]
        return joined(laid_out, indent)
    return f"\n{' ' * indent}".join(lines)


def fit_page(stream: TextIO, text: str) -> str:
    """Our own sentences, a line each; an indented line stays indented in all its rows. In a pipe or a file, the
    text stays as it is."""
    if not stream.isatty():
        return text
    return "\n".join(_row(stream, line) for line in text.split("\n"))


def _row(stream: TextIO, line: str) -> str:
    words = line.lstrip(" ")
    indent = min(len(line) - len(words), _columns(stream) // 3)
    if not indent:
        return fit(stream, line)
    room = _columns(stream) - indent
    return "\n".join(" " * indent + piece for piece in wrap(words, room, room))


def _columns(stream: TextIO) -> int:
    """The width of the terminal behind `stream`; that of stdout can be another one."""
    try:
        return os.get_terminal_size(stream.fileno()).columns or _COLUMNS
    except OSError:  # it went away
        return _COLUMNS
