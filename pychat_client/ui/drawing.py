"""What was drawn in a window, and where it is when the window has another size. Sends nothing to the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import Enum

from prompt_toolkit.data_structures import Point, Size
from prompt_toolkit.layout.screen import Char, Screen

from pychat_client.records import record

_BREAKING, _CUTTING = ("VTE_VERSION", "KONSOLE_VERSION"), ("XTERM_VERSION",)
"""Variables of terminals that break rows, and that cut them. One that was started in another has those of both."""


class Wrapping(Enum):
    """What a terminal does with its rows when the window gets another width."""

    BREAKS = "breaks"
    """It wraps the lines again, so that a row becomes several, or several become one."""
    CUTS = "cuts"
    """Each row stays a row."""
    UNKNOWN = "unknown"


def wrapping_of(environ: Mapping[str, str]) -> Wrapping:
    """As far as the variables of the terminal say; UNKNOWN also if they say both."""
    if environ.get("TERM") in ("xterm-kitty", "linux"):
        return Wrapping.CUTS
    if environ.get("TMUX") or environ.get("TERM", "").startswith("tmux"):  # in whatever terminal it runs
        return Wrapping.BREAKS
    breaks, cuts = (any(environ.get(name) for name in names) for names in (_BREAKING, _CUTTING))
    if breaks is cuts:
        return Wrapping.UNKNOWN
    return Wrapping.BREAKS if breaks else Wrapping.CUTS


@record
class Drawing:
    """What was drawn in a window of `size`. Places count from 0."""

    screen: Screen
    cursor: Point
    size: Size
    joined: frozenset[int]
    """Rows whose line continues in the next row."""
    edge: bool
    """Whether the last row is also the last row of the window, and reaches its right edge."""

    def rows_above(self, size: Size, at: Point | None, known: Wrapping) -> tuple[int, Wrapping]:
        """How many rows the first is above the cursor in a window of `size`; and what the terminal does, as far as
        it is known now.

        at: where the cursor is now; None: the terminal has not told.
        """
        cut = Point(min(self.cursor.x, size.columns - 1), self.cursor.y)
        if size.columns == self.size.columns:
            return cut.y, known
        broken = self._broken(size.columns)
        seen = known if at is None else self._seen(size, at, cut, broken, known)
        rows = {Wrapping.BREAKS: broken.y, Wrapping.CUTS: cut.y, Wrapping.UNKNOWN: min(cut.y, broken.y)}[seen]
        # Never back to CUTS: rows also look cut if they arrived after a second change of size.
        learned = known is Wrapping.UNKNOWN or seen is Wrapping.BREAKS
        return rows, seen if learned else known

    def _seen(self, size: Size, at: Point, cut: Point, broken: Point, known: Wrapping) -> Wrapping:
        """What the terminal has done this time: its cursor is `at`. cut, broken: where the cursor is, counted from
        the first row, if the terminal cuts or breaks rows."""
        if at.x not in (cut.x, broken.x):
            return Wrapping.UNKNOWN
        if cut.x != broken.x:
            return Wrapping.BREAKS if at.x == broken.x else Wrapping.CUTS
        if known is Wrapping.UNKNOWN and self.edge and self._must_tell(size):
            stayed = at.y == size.rows - self.screen.height + cut.y  # as rows do that are cut
            return Wrapping.CUTS if stayed else Wrapping.BREAKS
        return known

    def _must_tell(self, size: Size) -> bool:
        """Whether the terminal has to break or cut a full bottom row, and nothing else moves the cursor's row."""
        return size.columns < self.size.columns and size.rows == self.size.rows

    def cell(self, x: int, y: int) -> Char:
        return self.screen.data_buffer[y][x]

    def end(self, y: int) -> int:
        """The column after the last character of a row."""
        return max((x for x, cell in self.screen.data_buffer[y].items() if cell.char != " "), default=-1) + 1

    def shorter_than(self, before: Drawing | None) -> list[int]:
        """The rows that have become shorter since the drawing `before`."""
        rows = range(0 if before is None else before.screen.height)
        return [y for y in rows if before is not None and self.end(y) < before.end(y)]

    def written(self, rows: Iterable[int]) -> list[tuple[int, int, str, str]]:
        """The content of some rows: place, character and style of each cell."""
        cells = self.screen.data_buffer
        return [(y, x, cell.char, cell.style) for y in rows for x, cell in sorted(cells[y].items())]

    def _broken(self, columns: int) -> Point:
        """Where the cursor is, counted from the first row, if the terminal has wrapped the rows again."""
        above, line, x = 0, [], 0
        for y in range(self.cursor.y):
            line += self._widths(y)
            if y in self.joined:
                x += self.size.columns
            else:
                above += len(_row_starts(line, columns))
                line, x = [], 0
        starts = _row_starts(line + self._widths(self.cursor.y), columns)
        x += self.cursor.x
        row = max(row for row, start in enumerate(starts) if start <= x)
        return Point(x - starts[row], above + row)

    def _widths(self, y: int) -> list[int]:
        """The width of each character of a row, including the one under the cursor."""
        end = max(self.end(y), self.cursor.x + 1 if y == self.cursor.y else 0)
        if y in self.joined:
            end = self.size.columns
        widths, x = [], 0
        while x < end:
            widths.append(max(self.cell(x, y).width, 1))
            x += widths[-1]
        return widths


def _row_starts(widths: list[int], columns: int) -> list[int]:
    """The columns of a line at which a terminal of `columns` columns begins a row, including the first."""
    starts, x = [0], 0
    for width in widths:
        if x + width - starts[-1] > columns:
            starts.append(x)
        x += width
    return starts
