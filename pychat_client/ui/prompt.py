"""The line being typed, with its menu and toolbar: prompt_toolkit's prompt, and what a session needs besides."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import NamedTuple

from prompt_toolkit import PromptSession
from prompt_toolkit.auto_suggest import AutoSuggestFromHistory
from prompt_toolkit.buffer import Buffer
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.cursor_shapes import ModalCursorShapeConfig
from prompt_toolkit.document import Document
from prompt_toolkit.enums import EditingMode
from prompt_toolkit.filters import Condition, is_done, renderer_height_is_known, to_filter
from prompt_toolkit.formatted_text import FormattedText
from prompt_toolkit.history import History
from prompt_toolkit.input import Input
from prompt_toolkit.key_binding import KeyBindingsBase
from prompt_toolkit.key_binding.key_processor import KeyProcessor
from prompt_toolkit.layout import (
    ConditionalContainer,
    Dimension,
    FloatContainer,
    FormattedTextControl,
    HSplit,
    SearchBufferControl,
    Window,
    walk,
)
from prompt_toolkit.layout.processors import Processor, Transformation, TransformationInput
from prompt_toolkit.renderer import CPR_Support
from prompt_toolkit.validation import ValidationError, Validator

from pychat_client.errors import PychatError
from pychat_client.session.commands import ParsedLine, is_command
from pychat_client.session.session import Session
from pychat_client.text import printable
from pychat_client.ui.draft import ROWS_MAX, draft_rows
from pychat_client.ui.resize import ResizableRenderer
from pychat_client.ui.terminal import Terminal
from pychat_client.ui.theme import Theme
from pychat_client.ui.toolbar import fit_items, toolbar_items
from pychat_client.width import fixed_width

VI_ESCAPE_SECONDS = 0.1
"""How long Escape may be the beginning of another key in vi mode; terminals send all parts of a key at once."""

SOON = 0.01
"""Seconds that the drawing of what the other side does may wait. Nobody sees them, and a confirmation and the read
mark behind it need one drawing."""

_MENU_ROWS = 8
"""Rows of the line together with its menu, where the window has as many."""

_MESSAGE_ROWS = 3
"""Rows of the window that a long line leaves free, so that the user sees why it is refused."""

_NO_TOOLBAR = "This terminal does not report its cursor position, so there is no toolbar. Use \\status instead."


class _Around(NamedTuple):
    """What one drawing has around the line, and in how many rows."""

    name: FormattedText
    above: list[str]
    """Empty rows, and the other user's draft."""
    toolbar: FormattedText
    toolbar_rows: int
    toolbar_fits: bool
    """Whether none of its rows is left out."""
    height: Dimension
    """The rows of the line and its menu."""


class Prompt:
    """The prompt of one session."""

    def __init__(
        self,
        session: Session,
        terminal: Terminal,
        *,
        keyboard: Input,
        theme: Theme,
        history: History,
        bindings: KeyBindingsBase,
        editing: EditingMode,
        notice: Callable[[str], None],
    ) -> None:
        """notice: shows a sentence above the line."""
        self._session = session
        self._terminal = terminal
        self._notice = notice
        self._validator = LineValidator(session)
        self._prompt_session: PromptSession[str] = PromptSession(
            message=lambda: self._around.name,
            history=history,
            auto_suggest=AutoSuggestFromHistory(),
            completer=CommandCompleter(session, terminal),
            complete_while_typing=Condition(lambda: is_command(self.line.text)),
            validator=self._validator,
            validate_while_typing=False,
            key_bindings=bindings,
            input_processors=[FixedWidthProcessor()],
            editing_mode=editing,
            cursor=ModalCursorShapeConfig() if editing is EditingMode.VI else None,
            prompt_continuation=lambda width, line, wrapped: " " * width,
            tempfile_suffix=".txt",
            style=theme.style,
            color_depth=theme.depth,
            erase_when_done=True,
            input=keyboard,
            output=terminal,
        )
        self._app = self._prompt_session.app
        self._renderer = ResizableRenderer(self._app.renderer, terminal, os.environ)
        self._window = (
            self._prompt_session.layout.current_window
        )  # of the line; during a search another is current
        self._around = _Around(self._name(), [], FormattedText(), 0, False, Dimension())  # until the first drawing
        self._drawing: asyncio.TimerHandle | None = None  # of `redraw`, until something draws
        self._origin = _Origin(self._app.key_processor)
        self._adapt_toolkit(editing)

    def _adapt_toolkit(self, editing: EditingMode) -> None:
        """Sets what the toolkit has no parameters for."""
        self._app.renderer = self._renderer
        self._renderer.cpr_not_supported_callback = self._do_without_toolbar
        # The toolkit would ask for the size twice a second, and keep an idle machine awake. SIGWINCH is enough.
        self._app.terminal_size_polling_interval = None
        if editing is EditingMode.VI:
            self._app.timeoutlen = self._app.ttimeoutlen = VI_ESCAPE_SECONDS
        self._app.before_render += self._lay_out
        self._app.after_render += self._has_drawn
        self._window.height = lambda: self._around.height
        self._arrange()
        self.line.accept_handler = self._accept
        self.line.on_text_changed += self._line_changed
        mend_search(self._prompt_session)

    def _arrange(self) -> None:
        """Puts the other user's draft above the line, and the toolbar below it, in place of the toolkit's windows:
        its toolbar would keep a row of a window that has no more than one, and the others are never shown here,
        but would be laid out for each drawing."""
        toolbar = Window(
            FormattedTextControl(lambda: self._around.toolbar, style="class:bottom-toolbar.text"),
            style="class:bottom-toolbar",
            height=lambda: Dimension.exact(self._around.toolbar_rows),
        )
        above = Window(
            FormattedTextControl(lambda: [("class:draft", "\n".join(self._around.above))]),
            height=lambda: Dimension.exact(len(self._around.above)),
        )
        container = self._prompt_session.layout.container
        assert isinstance(container, HSplit)
        line = next(part for part in walk(container) if isinstance(part, FloatContainer))
        line.floats = line.floats[:1]  # the menu
        container.children = [
            above,
            line,
            ConditionalContainer(toolbar, filter=renderer_height_is_known & ~is_done),
        ]

    # -------------------------------------------------------------- the screen's side

    @property
    def line(self) -> Buffer:
        return self._prompt_session.default_buffer

    @property
    def has_toolbar(self) -> bool:
        """False where the terminal has not told the position of its cursor, or must not be asked for it."""
        if self._terminal.must_not_be_asked:
            return False
        asked = self._terminal.responds_to_cpr
        return not asked or self._renderer.cpr_support is not CPR_Support.NOT_SUPPORTED

    @property
    def is_running(self) -> bool:
        return self._app.is_running

    async def run(self, touched: Callable[[], None], line: str = "") -> None:
        """Reads what the user types until `exit`. touched: is called for each key; line: what it has at first."""
        self._app.key_processor.before_key_press += lambda _: touched()
        await self._prompt_session.prompt_async(default=line, pre_run=self._begin, handle_sigint=False)

    def exit(self) -> None:
        if self._app.is_running and not self._app.is_done:
            self._app.exit(result="")

    def redraw(self) -> None:
        """Draws soon, together with what else changes until then; a key draws at once."""
        if self._app.is_running and self._drawing is None:
            self._drawing = asyncio.get_running_loop().call_later(SOON, self._app.invalidate)

    def draw_at_bottom(self) -> None:
        """Draws all of it again, below what another program has written."""
        self._renderer.begin_at_bottom()
        self._app.invalidate()

    async def settled(self) -> None:
        """Waits until the terminal has told where its cursor is. A later answer would be about another place."""
        await self._renderer.settled(self._app)

    def when_settled(self, act: Callable[[], None]) -> None:
        async def wait() -> None:
            await self.settled()
            act()

        self._app.create_background_task(wait())

    @contextmanager
    def replaced(self, rows: int) -> Iterator[None]:
        """While the line is not on the screen, so that so many rows can be printed in its place."""
        if not self._app.is_running:
            yield
            return
        again = self._can_draw_again()
        with self._renderer.replaced(rows, self._app if again else None):
            yield
        if again:
            self.redraw()
        else:
            self._app.invalidate()

    # -------------------------------------------------------------- the toolkit's side

    def _begin(self) -> None:
        self._renderer.watch_size(self._app)
        if not self.has_toolbar:
            self._do_without_toolbar()

    def _do_without_toolbar(self) -> None:
        """Nothing would tell this user that the other one sees the line."""
        self._notice(_NO_TOOLBAR)
        self._session.stop_live()

    def _accept(self, line: Buffer) -> bool:
        """Submits a line that LineValidator has let pass. Tells the toolkit to keep what is in the line then."""
        typed = line.document
        line.append_to_history()
        line.reset()  # \recall puts a message into an empty line
        line.on_text_changed.fire()  # the toolkit does not tell of a reset
        try:
            if typed.text.strip():
                self._session.submit(self._validator.parsed)
        except PychatError as error:
            line.document = typed
            self._notice(str(error))
        return True

    def _line_changed(self, line: Buffer) -> None:
        self._origin.line_changed(line.text, self._session.endpoint.session)
        unaware = not self._around.toolbar_fits
        self._session.line_changed(line.text, private=self._origin.is_elsewhere or unaware)

    # -------------------------------------------------------------- what is around the line

    def toolbar(self) -> FormattedText:
        narrow = self._terminal.narrow
        return fit_items(toolbar_items(self._session, self.line.text, narrow=narrow), self._terminal.columns)

    def _name(self) -> FormattedText:
        style = "class:prompt.turn" if self._session.status.my_turn else "class:prompt"
        name = f"{fixed_width(printable(self._session.endpoint.handle))}> "
        return FormattedText([(style, name)])

    def _lay_out(self, _: object) -> None:
        """Works out once what the toolkit asks for several times in a drawing.

        The toolbar takes the rows that the line and a row of messages leave. What the other user is typing has a
        few rows that give way to both; all of them take at most half of the window, and have room when it becomes
        half as wide. The line and its menu have the rest, and without a menu leave room for a few messages.
        """
        name, toolbar = self._name(), self.toolbar()
        self._around = self._around._replace(name=name)  # the line begins behind it
        rows, columns = self._terminal.get_size()
        wanted = _rows(toolbar)
        toolbar_rows = min(wanted, max(rows - 2, 0))
        line = self._line_rows(rows, columns)
        draft = self._draft_rows(columns, rows // 2 - line - toolbar_rows)
        room = max(rows - toolbar_rows - len(draft), 0)
        menu = min(_MENU_ROWS, room) if is_command(self.line.text) else 0
        line = min(line, max(room - _MESSAGE_ROWS, 1))
        above = [*[""] * self._empty_rows(rows, len(draft), max(menu, line) + toolbar_rows), *draft]
        toolbar_fits = toolbar_rows == wanted
        self._around = _Around(
            name, above, toolbar, toolbar_rows, toolbar_fits, Dimension(min=menu, preferred=line)
        )
        if not toolbar_fits:
            self._session.hide_line()

    def _has_drawn(self, _: object) -> None:
        if self._drawing is not None:
            self._drawing.cancel()
            self._drawing = None

    def _can_draw_again(self) -> bool:
        """Whether the next drawing has the rows of the last one, wherever it begins. Asks for less than a layout,
        because what is printed waits for it."""
        around, screen = self._around, self._renderer.last_rendered_screen
        if screen is None or self._app.invalidated or around.above or self._session.typing_indicator.draft:
            return False
        needed = max(around.height.min, around.height.preferred) + around.toolbar_rows
        return screen.height == needed and _rows(self.toolbar()) == around.toolbar_rows

    def _line_rows(self, rows: int, columns: int) -> int:
        """The rows that the line needs, up to those of the window."""
        content, prefix = self._window.content, self._window.get_line_prefix
        return content.preferred_height(columns, rows, True, prefix) or 1

    def _draft_rows(self, columns: int, most: int) -> list[str]:
        if not (draft := self._session.typing_indicator.draft):
            return []
        return draft_rows(self._session.endpoint.other.handle, draft, columns, most)

    def _empty_rows(self, rows: int, draft: int, others: int) -> int:
        """The rows to leave empty above the draft and the line.

        When the window becomes half as wide, each row becomes two, and the terminal moves as many rows at the top
        of the window into its scrollback. So there have to be as many above them. And while live typing is on, the
        line keeps its place when the draft becomes shorter.
        """
        if not self._renderer.height_is_known:
            return 0
        above, drawn = self._renderer.rows_above_layout, draft + others
        wanted = max(drawn - above, ROWS_MAX - draft if self._session.status.watched else 0)
        return max(min(wanted, rows - above - drawn), 0)


class _Origin:
    """Where the line comes from. What was not typed or pasted in this conversation (an earlier line, a suggestion,
    a message that was taken back, a deleted word) may have been written to somebody else."""

    def __init__(self, keys: KeyProcessor) -> None:
        self._keys = keys
        self._line = ""
        self._conversation: str | int | None = None  # in which the line was begun
        self.is_elsewhere = False
        """Whether a part of the line may come from elsewhere."""

    def line_changed(self, line: str, conversation: str | int | None) -> None:
        if not self._line:
            self._conversation = conversation
        added = _added(self._line, line)
        here = conversation == self._conversation and self._is_typed(added)
        self.is_elsewhere = bool(line) and (self.is_elsewhere or not here)
        self._line = line

    def _is_typed(self, added: str) -> bool:
        """Whether the key that is just handled can have added this to the line: it is a letter, or a paste."""
        pressed = self._keys.key_buffer
        typed = pressed[0].data.replace("\r", "\n") if len(pressed) == 1 else ""  # a paste has CR
        return not added.strip() or (not typed.startswith("\x1b") and set(added) <= set(typed))


def _added(before: str, after: str) -> str:
    """What is new in `after`, without what both begin and end with."""
    begin = _length_of_same(before, after)
    end = _length_of_same(before[begin:][::-1], after[begin:][::-1])
    return after[begin : len(after) - end]


def _length_of_same(one: str, other: str) -> int:
    """How many characters both begin with."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((i for i, (a, b) in pairs if a != b), min(len(one), len(other)))


def _rows(text: FormattedText) -> int:
    return "".join(words for _, words, *_ in text).count("\n") + 1


class LineValidator(Validator):
    """Asks the session whether a line can be submitted, before the toolkit accepts it.

    The toolkit puts each line that it has accepted into the history. A refused line must not be there.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._parsed = ParsedLine("")

    @property
    def parsed(self) -> ParsedLine:
        """The line that was validated last."""
        return self._parsed

    def validate(self, document: Document) -> None:
        try:
            if document.text.strip():
                self._parsed = self._session.validate(document.text)
        except PychatError as error:
            raise ValidationError(document.cursor_position, str(error)) from error


class CommandCompleter(Completer):
    """After a backslash, the commands and what each does."""

    def __init__(self, session: Session, terminal: Terminal) -> None:
        self._session = session
        self._terminal = terminal

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:
        text = document.text_before_cursor
        if is_command(text) and " " not in text:
            for name, help_line in self._session.commands.items():
                if name.startswith(text[1:]):
                    beside = None if self._terminal.narrow else help_line  # else the toolbar shows it
                    yield Completion(f"\\{name}", -len(text), display_meta=beside)


class FixedWidthProcessor(Processor):
    """Draws the line so that a terminal obeys nothing in it and finds its cursor. The text itself stays."""

    def apply_transformation(self, transformation_input: TransformationInput) -> Transformation:
        parts = transformation_input.fragments
        drawn = iter(fixed_width("".join(text for _, text, *_ in parts)))
        return Transformation([(style, "".join(islice(drawn, len(text)))) for style, text, *_ in parts])


def mend_search(session: PromptSession[str]) -> None:
    """Draws what is pasted into a search (Ctrl-R) as safely as the line, in as many rows as it needs."""
    for window in session.layout.find_all_windows():
        if isinstance(window.content, SearchBufferControl):
            window.content.input_processors = [FixedWidthProcessor(), *(window.content.input_processors or [])]
            window.wrap_lines = to_filter(True)
