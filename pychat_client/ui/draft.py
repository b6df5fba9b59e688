"""Live typing on the screen: the other user's draft in a few rows above the line, and erased again."""

from __future__ import annotations

from pychat_client.text import BREAK, printable
from pychat_client.width import columns, fixed_width, wrap

ROWS_MAX = 3
"""Rows of a draft: its end is what is new, and a long one must not push messages out of the window."""

_NOTHING = "\N{WORD JOINER}"  # of fixed_width, for a line in which the cursor moves

_ROOM_MIN = 10
"""Columns that the text has to get beside the name; in a narrow window the name has a row of its own."""


def draft_rows(handle: str, draft: str, room: int, most: int) -> list[str]:
    """At most `most` rows of `room` columns: the name, and the end of the draft, all indented alike."""
    text = fixed_width(printable(draft.replace(BREAK, " "))).replace(_NOTHING, "")
    name = fixed_width(f"{printable(handle)} … ")
    most = min(most, ROWS_MAX)
    indent = columns(name)
    if room - indent < _ROOM_MIN:
        rows = [f" {piece}" for piece in _pieces(text, room - 1)]
        return [wrap(name, room, room)[0], *_last(rows, most - 1)] if most > 1 else []
    pieces = _last(_pieces(text, room - indent), most)
    return [f"{' ' * indent if i else name}{piece}" for i, piece in enumerate(pieces)]


def _pieces(text: str, room: int) -> list[str]:
    """Without spaces at their ends, which a terminal counts when it breaks a row, and `resize` does not."""
    return [piece.rstrip(" ") for piece in wrap(text, room, room, letters=1)]


def _last(rows: list[str], number: int) -> list[str]:
    return rows[-number:] if number > 0 else []
