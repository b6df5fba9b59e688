"""What stands on the terminal below the messages, when the window changes its size.

The toolkit erases by going up as many rows as it has drawn. But in another window most terminals have broken
the rows anew, others have cut them, and nobody tells a program which. So here the terminal is asked where its
cursor stands now, nothing is drawn until it has answered, and the answer tells how far up the first row is. In
doubt it is the smaller number: a row too many would be one of somebody's message.

The rows of one long line are joined, as if the terminal itself had gone on in the next row. Else it would break
each of them in two whenever the window loses a column, and push as many rows out at the top.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from prompt_toolkit.application import Application
from prompt_toolkit.data_structures import Point, Size
from prompt_toolkit.enums import DEFAULT_BUFFER
from prompt_toolkit.layout import BufferControl, Layout
from prompt_toolkit.layout.screen import Char, Screen
from prompt_toolkit.renderer import Renderer

_EDGE = "\N{FIGURE SPACE}"
"""Is put at the right edge of the bottom row until it is known what the terminal does. Nobody sees it; but in a
narrower window that row is broken as well, which moves the cursor's row, or cut, which doesn't."""

REST_SECONDS = 0.3
"""How long the window must not have changed before anything is drawn in it: what is drawn for one size, and comes
to a terminal that has another by then, nobody can find again. tmux tells of a drag four times a second."""

_SAVE, _RESTORE = "\x1b7", "\x1b8"
"""The cursor (DECSC and DECRC)."""

_PROMPT = "\x1b]133;A\x1b\\"
"""Here begins a prompt. kitty, which would put the cursor elsewhere than its text, takes a prompt away by itself
and leaves the cursor its row (https://sw.kovidgoyal.net/kitty/shell-integration/, notes for shell developers)."""


@dataclass(frozen=True)
class Drawing:
    """What was drawn, in a window of `size`. Places count from 0."""

    screen: Screen
    cursor: Point
    size: Size
    joined: frozenset[int]
    """Rows whose line goes on in the next row."""
    edge: bool
    """Whether the last row is the window's too, and reaches its right edge."""

    def rows_above(self, size: Size, at: Point | None, *, breaks: bool | None) -> tuple[int, bool | None]:
        """How many rows the first is above the cursor in a window of `size`; and whether the terminal breaks rows.

        at: where the cursor is now. breaks: whether the terminal breaks rows, as known before. None: not known.
        """
        cut = Point(min(self.cursor.x, size.columns - 1), self.cursor.y)
        if size.columns == self.size.columns:
            return cut.y, breaks
        broken = self._broken(size.columns)
        if at is not None and at.x not in (cut.x, broken.x):
            return min(cut.y, broken.y), breaks
        if at is not None and cut.x != broken.x:
            # once True, it stays: what looks cut came to a terminal that had another size already
            return (broken.y, True) if at.x == broken.x else (cut.y, breaks or False)
        if at is not None and breaks is None and self.edge and self._must_tell(size):
            breaks = at.y != size.rows - self.screen.height + cut.y  # what is cut stays in its row
        return {True: broken.y, False: cut.y, None: min(cut.y, broken.y)}[breaks], breaks

    def _must_tell(self, size: Size) -> bool:
        """Whether a full bottom row has to be broken or cut, and nothing else moves the cursor's row."""
        return size.columns < self.size.columns and size.rows == self.size.rows

    def cell(self, x: int, y: int) -> Char:
        return self.screen.data_buffer[y][x]

    def end(self, y: int) -> int:
        """The column behind the last character of a row."""
        return max((x for x, cell in self.screen.data_buffer[y].items() if cell.char != " "), default=-1) + 1

    def written(self, rows: Iterable[int]) -> list[tuple[int, int, str, str]]:
        """What stands in some rows: each cell's place, character and style."""
        cells = self.screen.data_buffer
        return [(y, x, cell.char, cell.style) for y in rows for x, cell in sorted(cells[y].items())]

    def _broken(self, columns: int) -> Point:
        """Where the cursor is, from the first row on, if the terminal has broken the rows anew."""
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
        """The columns that each character of a row takes, that under the cursor included."""
        end = max(self.end(y), self.cursor.x + 1 if y == self.cursor.y else 0)
        if y in self.joined:
            end = self.size.columns
        widths, x = [], 0
        while x < end:
            widths.append(max(self.cell(x, y).width, 1))
            x += widths[-1]
        return widths


def _row_starts(widths: list[int], columns: int) -> list[int]:
    """The columns of a line at which a terminal of `columns` columns begins a row, the first included."""
    starts, x = [0], 0
    for width in widths:
        if x + width - starts[-1] > columns:
            starts.append(x)
        x += width
    return starts


class ResizableRenderer(Renderer):
    """The toolkit's, for a window whose size may change. It takes the place of `application.renderer`."""

    def __init__(self, toolkits: Renderer, term: str) -> None:
        """term: the name of the terminal (term(7)): two need to be treated differently."""
        self._drawn: Drawing | None = None
        self._left: Drawing | None = None  # what was drawn before the window changed; until it is erased
        self._changed = False  # the window has, since `_settle` last looked
        self._settling: asyncio.Task[None] | None = None
        self._at: Point | None = None  # the terminal's last answer
        self._kitty = term == "xterm-kitty"
        self._breaks = False if term in ("xterm-kitty", "linux") else None  # whether this terminal breaks rows
        self._joins = not term.startswith("rxvt")  # which takes joined rows for one when it places its cursor
        # what stood in the joined rows, and in the bottom row, when they were finished last
        self._finished: tuple[object, object] = (None, None)
        super().__init__(toolkits.style, toolkits.output)

    def reset(self, _scroll: bool = False, leave_alternate_screen: bool = True) -> None:
        super().reset(_scroll, leave_alternate_screen)
        self._drawn = self._left = None
        self._finished = (None, None)

    def render(self, app: Application[Any], layout: Layout, is_done: bool = False) -> None:
        self._look(app)
        if self._left is not None:
            return
        size = self.output.get_size()
        # In another encoding the edge would be seen, as a "?".
        edge = self.height_is_known and self.output.encoding().lower().startswith("utf")
        if self._drawn is None:
            self.output.write_raw(_PROMPT * self._kitty)
        super().render(app, layout, is_done)
        if (screen := self.last_rendered_screen) is not None:
            cursor = screen.get_cursor_position(layout.current_window)
            joined: frozenset[int] = _joined_rows(layout) if self._joins else frozenset()
            self._drawn = Drawing(screen, cursor, size, joined, edge)
            self._finish(self._drawn, app)

    def resized(self, app: Application[Any]) -> None:
        """The window has changed. Once it rests, what is drawn, if anything, is drawn anew."""
        self._changed = True
        if self._drawn is not None:
            left = self._drawn
            self.reset()
            self._left = left
        if self._left is not None and (self._settling is None or self._settling.done()):
            self._settling = app.create_background_task(self._settle(app))

    def reported(self, at: Point) -> None:
        """The terminal's answer: where its cursor is, in the window."""
        self._at = at
        self.report_absolute_cursor_row(at.y + 1)

    async def settled(self, app: Application[Any]) -> None:
        """Waits until the terminal has told what it was asked, and all that is drawn is where it seems to be."""
        self._look(app)
        while self._settling is not None and not self._settling.done():
            await asyncio.wait([self._settling])
            self._look(app)
        await self.wait_for_cpr_responses()

    async def _settle(self, app: Application[Any]) -> None:
        while self._changed:
            self._changed = False
            await asyncio.sleep(REST_SECONDS)
            if not self._changed and self._left is not None:
                self._at = None
                self.request_absolute_cursor_position()
                await self.wait_for_cpr_responses()
        if self._left is not None:
            above = self._erase_left(self._at)
            if self._at is None:
                self.request_absolute_cursor_position()
            else:
                self.report_absolute_cursor_row(max(self._at.y - above, 0) + 1)
            app.invalidate()

    def erase(self, leave_alternate_screen: bool = True) -> None:
        if self._left is not None:
            self._erase_left(None)
        else:
            super().erase(leave_alternate_screen)

    def _look(self, app: Application[Any]) -> None:
        """SIGWINCH may still be on its way."""
        if self._drawn is not None and self._drawn.size != self.output.get_size():
            self.resized(app)

    def _erase_left(self, at: Point | None) -> int:
        """Erases what stands there, if the cursor is `at`; tells how many rows up it began."""
        assert self._left is not None
        above, self._breaks = self._left.rows_above(self.output.get_size(), at, breaks=self._breaks)
        self.output.write_raw("\r")
        self.output.cursor_up(above)
        super().erase()
        return above

    def _finish(self, drawn: Drawing, app: Application[Any]) -> None:
        """What the toolkit leaves out. Nobody sees it, but it tells the terminal what belongs together."""
        output, cursor, bottom = self.output, drawn.cursor, drawn.screen.height - 1
        joined, last = drawn.written(rows := sorted(drawn.joined)), drawn.written([bottom])
        output.write_raw(_SAVE)
        if rows and (joined != self._finished[0] or cursor.y in rows):
            output.hide_cursor()
            for y in rows:
                self._join(drawn, y, app)
        if self._needs_edge(drawn) and last != self._finished[1]:
            self._move(cursor, Point(drawn.size.columns - 1, bottom))
            output.write(_EDGE)
        self._finished = (joined, last)
        if (missing := cursor.x + 1 - drawn.end(cursor.y)) > 0:
            # Nothing stands under the cursor: in another window terminals would put it elsewhere.
            self._move(cursor, Point(cursor.x + 1 - missing, cursor.y))
            output.write(" " * missing)
        output.write_raw(_RESTORE)
        if drawn.screen.show_cursor:
            output.show_cursor()
        output.flush()

    def _needs_edge(self, drawn: Drawing) -> bool:
        full = drawn.end(drawn.screen.height - 1) >= drawn.size.columns
        return self._breaks is None and drawn.edge and not full

    def _join(self, drawn: Drawing, y: int, app: Application[Any]) -> None:
        """Writes the end of a row and the beginning of the next, with no line feed between them."""
        edge = drawn.size.columns - 1
        edge -= drawn.cell(edge, y).width == 0  # the second half of a wide character
        self._move(drawn.cursor, Point(edge, y))
        for cell in (drawn.cell(edge, y), drawn.cell(0, y + 1)):
            self.output.set_attributes(self.style.get_attrs_for_style_str(cell.style), app.color_depth)
            self.output.write(cell.char)
        self.output.reset_attributes()

    def _move(self, cursor: Point, to: Point) -> None:
        """From where the cursor was saved. The window may have another size by now, so nothing else is certain."""
        self.output.write_raw(_RESTORE + _SAVE)  # saved again: some take it from a stack
        self.output.cursor_up(max(cursor.y - to.y, 0))
        self.output.cursor_down(max(to.y - cursor.y, 0))
        if to.x != cursor.x:
            self.output.write_raw("\r")
            self.output.cursor_forward(to.x)


def _joined_rows(layout: Layout) -> frozenset[int]:
    """The rows of the line being typed that go on in the next one. It is drawn at the top."""
    for window in layout.visible_windows:
        if isinstance(window.content, BufferControl) and window.content.buffer.name == DEFAULT_BUFFER:
            lines = window.render_info.visible_line_to_input_line if window.render_info else {}
            # those scrolled out of its window are above the first
            return frozenset(y for y, below in pairwise(sorted(lines)) if y >= 0 and lines[y] == lines[below])
    return frozenset()
