"""Redraws the line and the toolbar when the window changes its size.

prompt_toolkit erases by moving up as many rows as it has drawn. But when the size changes, most terminals wrap
the rows again, others cut them, and only a few tell by a variable which they are. So this renderer asks the
terminal where its cursor is now, and draws nothing until it has the answer, from which it computes how far up the
first row is. If it is not certain, it takes the smaller number: with one row too many it would erase a row of a
message.

The renderer joins the rows of a long line, as if the terminal itself had wrapped it. Otherwise the terminal would
break each of them in two when the window loses a column, and move as many rows out of the window at the top.
"""

from __future__ import annotations

import asyncio
import re
import signal
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import groupby, pairwise
from operator import attrgetter
from typing import Any

from prompt_toolkit.application import Application
from prompt_toolkit.data_structures import Point
from prompt_toolkit.enums import DEFAULT_BUFFER
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.keys import Keys
from prompt_toolkit.layout import BufferControl, Layout
from prompt_toolkit.layout.screen import Char
from prompt_toolkit.renderer import CPR_Support, Renderer

from pychat_client.ui.drawing import Drawing, Wrapping, wrapping_of
from pychat_client.ui.terminal import TerminalOutput

_EDGE = "\N{FIGURE SPACE}"
"""An invisible character at the right edge of the bottom row, until the renderer knows what the terminal does. A
narrower window wraps that row too, which moves the row of the cursor, or cuts it, which does not."""

REST_SECONDS = 0.3
"""How long a window has to keep its size before anything is drawn in it. If the size has changed again when the
drawing arrives, nothing tells where it went. tmux reports four sizes a second while somebody drags an edge."""

_SAVE, _RESTORE = "\x1b7", "\x1b8"
"""Save and restore the position of the cursor (DECSC and DECRC)."""

_PROMPT = "\x1b]133;A\x1b\\"
"""Tells that a prompt begins here. kitty, which would move the cursor away from its text, then erases the prompt
and keeps the cursor's row (https://sw.kovidgoyal.net/kitty/shell-integration/, notes for shell developers)."""


def report_keys() -> KeyBindings:
    """The terminal's answer where its cursor is, which is a key to the toolkit. The renderer below takes it."""
    keys = KeyBindings()

    @keys.add(Keys.CPRResponse, save_before=lambda event: False)
    def _(event: KeyPressEvent) -> object:
        row, column = re.findall(r"\d+", event.data)
        assert isinstance(event.app.renderer, ResizableRenderer)
        # The toolkit draws after each key, but not after this value.
        return None if event.app.renderer.reported(Point(int(column) - 1, int(row) - 1)) else NotImplemented

    return keys


class ResizableRenderer(Renderer):
    """Takes the place of prompt_toolkit's renderer, in `application.renderer`."""

    def __init__(self, replaced: Renderer, output: TerminalOutput, environ: Mapping[str, str]) -> None:
        """environ: what it says of the terminal, because some terminals need another treatment."""
        self._one_write, self._go_to_bottom = output.one_write, output.go_to_bottom
        term = environ.get("TERM", "")
        self._drawn: Drawing | None = None
        self._left: Drawing | None = None  # what was drawn before the window changed, until it is erased
        self._changed = False  # the window has changed since `_settle` last looked
        self._settling: asyncio.Task[None] | None = None
        self._at: Point | None = None  # the terminal's last answer
        self._late = False  # something was printed since the question that is not answered yet
        self._kitty = term == "xterm-kitty"
        self._wrapping = wrapping_of(environ)
        self._joins = not term.startswith("rxvt")  # it takes joined rows for one when it moves the cursor
        # the content of the joined rows and of the bottom row when they were finished last
        self._finished: tuple[object, object] = (None, None)
        super().__init__(replaced.style, output)

    def reset(self, _scroll: bool = False, leave_alternate_screen: bool = True) -> None:
        super().reset(_scroll, leave_alternate_screen)
        self._drawn = self._left = None
        self._finished = (None, None)

    def render(self, app: Application[Any], layout: Layout, is_done: bool = False) -> None:
        self._look(app)
        if self._left is None:
            with self._one_write():
                self._draw(app, layout, is_done)

    def _draw(self, app: Application[Any], layout: Layout, is_done: bool) -> None:
        size = self.output.get_size()
        # In another encoding the edge would be visible, as a "?".
        edge = self.height_is_known and self.output.encoding().lower().startswith("utf")
        if self._drawn is None:
            self.output.write_raw(_PROMPT * self._kitty)
        super().render(app, layout, is_done)
        if (screen := self.last_rendered_screen) is not None:
            cursor = screen.get_cursor_position(layout.current_window)
            joined: frozenset[int] = _joined_rows(layout) if self._joins else frozenset()
            before, self._drawn = self._drawn, Drawing(screen, cursor, size, joined, edge)
            self._finish(self._drawn, before, app)

    def watch_size(self, app: Application[Any]) -> None:
        """Replaces the toolkit's own reaction to a new size, which would erase rows above the drawing.

        To be called when `app` starts, shortly before the toolkit sets its own handler.
        """
        loop = asyncio.get_running_loop()
        loop.call_soon(loop.add_signal_handler, signal.SIGWINCH, lambda: self.resized(app))

    def resized(self, app: Application[Any]) -> None:
        """The window has changed. As soon as it keeps its size, everything is drawn again."""
        self._changed = True
        if self._drawn is not None:
            left = self._drawn
            self.reset()
            self._left = left
        if self._left is not None and (self._settling is None or self._settling.done()):
            self._settling = app.create_background_task(self._settle(app))

    def request_absolute_cursor_position(self) -> None:
        """The first answer is not waited for. So something may be printed meanwhile; the answer is late then."""
        self._late = not self._answers and self.waiting_for_cpr
        super().request_absolute_cursor_position()

    @contextmanager
    def replaced(self, rows: int, app: Application[Any] | None) -> Iterator[None]:
        """Erases the drawing, so that so many rows can be printed in its place, all in one write. The next drawing
        waits for no answer, because these rows tell where it begins; one that tells otherwise is believed.

        app: the same is drawn again below the rows, in that write; it must need all its rows there as well.
        """
        below, drawn, size = 0, self._drawn, self.output.get_size()
        if self._left is None and self.height_is_known:
            below = size.rows - self.rows_above_layout
        with self._one_write():
            self.erase()
            yield
            self.request_absolute_cursor_position()
            if below:
                self._min_available_height = max(below - rows, 1)
                if app is not None and drawn is not None and drawn.size == size:  # SIGWINCH may arrive later
                    self._draw_again(drawn, app)

    def _draw_again(self, drawn: Drawing, app: Application[Any]) -> None:
        """Draws what was drawn before, where the cursor is: without asking the layout, which takes far longer."""
        output, cursor, bottom = self.output, drawn.cursor, drawn.screen.height - 1
        output.write_raw(_PROMPT * self._kitty)
        output.hide_cursor()
        output.disable_autowrap()
        for y in range(bottom + 1):
            output.write_raw("\r\n" * (y > 0))
            self._write_row(drawn, y, app)
        output.write_raw("\r")
        output.cursor_up(bottom - cursor.y)
        output.cursor_forward(cursor.x)
        output.enable_autowrap()
        self._last_screen, self._last_size, self._cursor_pos = drawn.screen, drawn.size, cursor
        self._drawn = drawn
        self._finish(drawn, None, app)

    def reported(self, at: Point) -> bool:
        """Takes the terminal's answer: where its cursor is in the window. Whether to draw again. Asks again after
        a late one."""
        late, known, self._at = self._late, self._min_available_height, at
        self.report_absolute_cursor_row(at.y + 1)
        if self._left is None and late:
            self.erase()
        elif self._left is None and at.x > 0 and not self.waiting_for_cpr:  # else it was asked again since then
            self._erase_behind(at.x)
        else:
            return self._min_available_height != known
        self.request_absolute_cursor_position()
        return True

    @property
    def _answers(self) -> bool:
        """Whether the terminal has answered before; some never do."""
        return self.cpr_support is CPR_Support.SUPPORTED

    async def settled(self, app: Application[Any]) -> None:
        """Waits until a terminal that answers has answered, and all is where the renderer takes it to be."""
        self._look(app)
        while self._settling is not None and not self._settling.done():
            await asyncio.wait([self._settling])
            self._look(app)
        if self._answers:
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

    def clear(self) -> None:
        """Clears the window (Ctrl-L). The line stays at the bottom."""
        self.erase()
        self.output.erase_screen()
        self._go_to_bottom()
        self.request_absolute_cursor_position()

    def begin_here(self) -> None:
        """Leaves the drawing as it is: another program has written below it. The next one begins at the cursor."""
        self.reset()
        self.request_absolute_cursor_position()

    def begin_at_bottom(self) -> None:
        """Erases the drawing. The next one begins at the bottom."""
        self.erase()
        self._go_to_bottom()
        self.request_absolute_cursor_position()

    def _erase_behind(self, column: int) -> None:
        """Erases a drawing that begins behind what another program has left in a row. The next begins below."""
        above = self._cursor_pos.y
        self.reset()
        self.output.write_raw("\r")
        self.output.cursor_up(above)
        self.output.cursor_forward(column)
        self.output.erase_end_of_line()
        self.output.write_raw("\r\n")
        super().erase()

    def _look(self, app: Application[Any]) -> None:
        """Looks at the size itself, because SIGWINCH may arrive later."""
        if self._drawn is not None and self._drawn.size != self.output.get_size():
            self.resized(app)

    def _erase_left(self, at: Point | None) -> int:
        """Erases what is left of the old drawing. Returns how many rows above the cursor (`at`) it began."""
        assert self._left is not None
        above, self._wrapping = self._left.rows_above(self.output.get_size(), at, self._wrapping)
        self.output.write_raw("\r")
        self.output.cursor_up(above)
        super().erase()
        return above

    def _finish(self, drawn: Drawing, before: Drawing | None, app: Application[Any]) -> None:
        """Draws what the toolkit does not: it is invisible, and tells the terminal what belongs together."""
        output, cursor, bottom = self.output, drawn.cursor, drawn.screen.height - 1
        joined, last = drawn.written(rows := sorted(drawn.joined)), drawn.written([bottom])
        output.write_raw(_SAVE)
        if shorter := drawn.shorter_than(before):
            output.hide_cursor()
            for y in shorter:
                self._write_anew(drawn, y, app)
        if rows and (joined != self._finished[0] or cursor.y in rows or shorter):
            output.hide_cursor()
            for y in rows:
                self._join(drawn, y, app)
        if self._needs_edge(drawn) and last != self._finished[1]:
            self._move(cursor, Point(drawn.size.columns - 1, bottom))
            output.write(_EDGE)
        self._finished = (joined, last)
        if (missing := cursor.x + 1 - drawn.end(cursor.y)) > 0:
            # With no character under it, terminals would move the cursor when the size changes.
            self._move(cursor, Point(cursor.x + 1 - missing, cursor.y))
            output.write(" " * missing)
        output.write_raw(_RESTORE)
        if drawn.screen.show_cursor:
            output.show_cursor()

    def _needs_edge(self, drawn: Drawing) -> bool:
        full = drawn.end(drawn.screen.height - 1) >= drawn.size.columns
        return self._wrapping is Wrapping.UNKNOWN and drawn.edge and not full

    def _join(self, drawn: Drawing, y: int, app: Application[Any]) -> None:
        """Writes the end of a row and the beginning of the next without a line feed between them."""
        edge = drawn.size.columns - 1
        edge -= drawn.cell(edge, y).width == 0  # the second half of a wide character
        self._move(drawn.cursor, Point(edge, y))
        self._write([drawn.cell(edge, y), drawn.cell(0, y + 1)], app)

    def _write_anew(self, drawn: Drawing, y: int, app: Application[Any]) -> None:
        """Writes a row that has become shorter. Of what is erased behind its text, tmux makes rows when it becomes
        narrower, and forgets only a whole row. VTE takes a row that is erased otherwise (EL 2) for a full one."""
        self._move(drawn.cursor, Point(0, y))
        self.output.erase_end_of_line()
        self._write_row(drawn, y, app)

    def _write_row(self, drawn: Drawing, y: int, app: Application[Any]) -> None:
        """Writes a row up to the last cell that a user can see: also a space of the menu or of a selection."""
        assert self._style_string_has_style is not None  # filled as `_attrs_for_style` is
        seen, row = self._style_string_has_style, drawn.screen.data_buffer[y]
        end = max((x for x, cell in row.items() if cell.char != " " or seen[cell.style]), default=-1) + 1
        self._write([drawn.cell(x, y) for x in range(end)], app)

    def _write(self, cells: Iterable[Char], app: Application[Any]) -> None:
        assert self._attrs_for_style is not None  # the toolkit's cache, filled by the drawing before this
        for style, run in groupby(cells, key=attrgetter("style")):
            self.output.set_attributes(self._attrs_for_style[style], app.color_depth)
            self.output.write("".join(cell.char for cell in run))
        self.output.reset_attributes()

    def _move(self, cursor: Point, to: Point) -> None:
        """Moves from the saved position: if the window has another size by now, no other place is certain."""
        self.output.write_raw(_RESTORE + _SAVE)  # saved again, because some terminals have a stack
        self.output.cursor_up(max(cursor.y - to.y, 0))
        self.output.cursor_down(max(to.y - cursor.y, 0))
        if to.x != cursor.x:
            self.output.write_raw("\r")
            self.output.cursor_forward(to.x)


def _joined_rows(layout: Layout) -> frozenset[int]:
    """The rows of the line being typed that continue in the next row. Only the other user's draft is above it."""
    for window in layout.visible_windows:
        is_line = isinstance(window.content, BufferControl) and window.content.buffer.name == DEFAULT_BUFFER
        if is_line and (info := window.render_info) is not None:
            lines, top = info.visible_line_to_input_line, info._y_offset
            # Rows that have scrolled out of the window are above the first.
            return frozenset(
                top + y for y, below in pairwise(sorted(lines)) if y >= 0 and lines[y] == lines[below]
            )
    return frozenset()
