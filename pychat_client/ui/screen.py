"""The chat screen in a terminal, on prompt_toolkit. Knows no sockets and no rules.

One prompt that never ends: what arrives is printed above the half-typed line, into the terminal's
own scrollback. All text of others is printable() before it gets here or on its way in here.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import date, datetime
from pathlib import Path

from prompt_toolkit import PromptSession
from prompt_toolkit.application import run_in_terminal
from prompt_toolkit.auto_suggest import AutoSuggestFromHistory
from prompt_toolkit.buffer import Buffer
from prompt_toolkit.cursor_shapes import ModalCursorShapeConfig
from prompt_toolkit.data_structures import Point
from prompt_toolkit.document import Document
from prompt_toolkit.filters import Condition, to_filter
from prompt_toolkit.formatted_text import FormattedText, StyleAndTextTuples
from prompt_toolkit.input import Input, create_input
from prompt_toolkit.layout import Dimension, SearchBufferControl
from prompt_toolkit.renderer import print_formatted_text

from pychat_client.config.preferences import Preferences
from pychat_client.errors import HandleError, PychatError
from pychat_client.protocol import wire
from pychat_client.session.commands import escaped, is_command, unescaped
from pychat_client.session.session import Session
from pychat_client.session.status import Emphasis
from pychat_client.session.view import View
from pychat_client.text import MESSAGE_MAX, as_sent, check_handle, printable, printable_lines
from pychat_client.ui import key_bindings, theme
from pychat_client.ui.alerts import Alerts
from pychat_client.ui.input_history import open_history
from pychat_client.ui.resize import ResizableRenderer
from pychat_client.ui.terminal import Output, Terminal
from pychat_client.ui.width import columns as width
from pychat_client.ui.width import fixed_width, most_columns, wrap

HANGUP_SECONDS = 0.5
"""How long prompt_toolkit may take to end when the terminal is gone."""

COUNT_FROM = MESSAGE_MAX // 2
"""Characters in the line from which on the toolbar tells how many are left."""

_TIME = "%H:%M "
_DAY = "%A, %d %B %Y"
_INDENT = 8
"""Columns in front of a message's later lines: a name begins elsewhere, so no text can pose as a message."""

_NARROW = 40
"""Columns below which half of that has to do, and the menu has names only."""

_MENU = 8
"""Rows that the line takes together with its menu, where there are as many."""

_MESSAGES = 3
"""Rows of the window that a long line leaves them: a refusal is seen there."""

_NO_TOOLBAR = (
    "This terminal does not tell where its cursor is, so there is no toolbar: \\status tells what would be in it."
)

_KINDS = {Emphasis.PLAIN: "", Emphasis.TURN: "class:turn", Emphasis.WARNING: "class:warning"}


class Screen(View):
    """The view of a terminal; see chat.View for the contract."""

    def __init__(
        self,
        preferences: Preferences,
        history: Path | None,
        colours: theme.Theme,
        terminal: Terminal,
        input: Input,
    ) -> None:
        """history: a file of ours, or None for this run only."""
        self._session: Session | None = None
        self._terminal = terminal
        self._task: asyncio.Task[None] | None = None  # that of `run`
        self._alerts = Alerts(preferences, terminal.raw, self.notice)
        self._lent = False  # an editor or the shell has the terminal
        self._accepting = False  # Enter is being dealt with
        self._restored: str | None = None
        self._waiting: list[Callable[[], StyleAndTextTuples]] = []  # printed together
        self._day = date.min  # of the newest message shown
        self._style = colours.style
        self._depth = colours.depth
        vi = preferences.keys == "vi"
        self._prompt_session: PromptSession[str] = PromptSession(
            message=self._prompt,
            history=open_history(history),
            auto_suggest=AutoSuggestFromHistory(),
            bottom_toolbar=self._toolbar,
            completer=key_bindings.CommandCompleter(self),
            complete_while_typing=Condition(lambda: is_command(self._line.text)),
            key_bindings=key_bindings.make_bindings(self),
            input_processors=[key_bindings.FixedWidthProcessor()],
            vi_mode=vi,
            cursor=ModalCursorShapeConfig() if vi else None,
            prompt_continuation=lambda width, line, wrapped: " " * width,
            tempfile_suffix=".txt",
            style=self._style,
            color_depth=self._depth,
            erase_when_done=True,
            input=input,
            output=terminal,
        )
        # SIGWINCH tells of a new size; asking twice a second would keep an idle machine awake
        self._prompt_session.app.terminal_size_polling_interval = None
        self._renderer = ResizableRenderer(self._prompt_session.app.renderer, os.environ.get("TERM", ""))
        self._prompt_session.app.renderer = self._renderer
        self._window = self._prompt_session.layout.current_window  # of the line
        self._window.height = self._height
        _mend_search(self._prompt_session)
        self._renderer.cpr_not_supported_callback = lambda: self.notice(_NO_TOOLBAR)
        if vi:
            self._prompt_session.app.timeoutlen = self._prompt_session.app.ttimeoutlen = (
                key_bindings.VI_ESCAPE_SECONDS
            )
        self._prompt_session.app.key_processor.before_key_press += lambda _: self._alerts.touched()
        self._line.accept_handler = self._accept
        self._line.on_text_changed += self._changed

    @property
    def session(self) -> Session | None:
        return self._session

    @property
    def _line(self) -> Buffer:
        return self._prompt_session.default_buffer

    # -------------------------------------------------------------- chat.View

    def message(self, message: wire.Message, *, own: bool, time: datetime, replayed: bool) -> None:
        if time.date() != self._day:
            if self._day != date.min or time.date() != datetime.now(time.tzinfo).date():
                self.notice(time.strftime(_DAY))
            self._day = time.date()
        when, name = time.strftime(_TIME), f"{printable(message.handle)}> "
        style = "class:own" if own else "class:other"
        used = most_columns(when + name)
        self._print(lambda: [("class:time", when), (style, name), ("", self._body(message.text, used))])

    def held(self, text: str) -> None:
        self.notice(f"held until your turn: {text}")

    def notice(self, sentence: str) -> None:
        before = "-- "
        self._print(lambda: [("class:notice", before + self._body(sentence, len(before), len(before)))])

    def alert(self, words: str, *, ring: bool) -> None:
        self._alerts.alert(words, ring=ring)

    def restore(self, text: str) -> None:
        if self._accepting:
            self._restored = escaped(text)
        elif not self._line.text:
            self._line.document = Document(escaped(text))

    @property
    def keys(self) -> Sequence[tuple[str, str]]:
        return key_bindings.KEYS

    def refresh(self) -> None:
        if self._prompt_session.app.is_running:
            self._prompt_session.app.invalidate()

    async def run(self, session: Session) -> None:
        self._session = session
        if not session.done:
            self._terminal.take(focus=self._alerts.wanted)
            self._task = asyncio.current_task()
            try:
                await self._prompt_session.prompt_async(pre_run=self._watch_size)
            except (EOFError, KeyboardInterrupt):  # a SIGINT from elsewhere
                session.interrupt()
            finally:
                with suppress(OSError):  # there is no terminal any more
                    self._terminal.leave()
        if self._line.text.strip():  # and the line is erased now
            self.notice(f"This was not sent: {as_sent(self._line.text)}")
        self._flush()

    def stop(self) -> None:
        app = self._prompt_session.app
        if app.is_running and not app.is_done:
            app.exit(result="")
        if self._task is not None and self._terminal.hung_up():
            # The toolkit would wait for ever for what a suspension or an editor was to put back in order there.
            asyncio.get_running_loop().call_later(HANGUP_SECONDS, self._task.cancel)

    # -------------------------------------------------------------- keys (key_bindings.Hands)

    def focus(self, focused: bool) -> None:
        self._alerts.focus(focused)

    def cursor_at(self, place: Point) -> None:
        self._renderer.reported(place)

    def suspend(self) -> None:
        self._lend(lambda: run_in_terminal(lambda: os.kill(0, signal.SIGTSTP)))

    def edit(self) -> None:
        self._lend(self._line.open_in_editor)

    def _lend(self, use: Callable[[], Awaitable[None]]) -> None:
        """Leaves the terminal to somebody else until `use` is over; what arrives meanwhile is shown then."""

        async def lend() -> None:
            await self._renderer.settled(self._prompt_session.app)
            self._lent = True
            self._terminal.leave()
            await use()

        asyncio.ensure_future(lend()).add_done_callback(lambda _: self._take_back())

    def _take_back(self) -> None:
        self._lent = False
        self._alerts.touched()
        if self._prompt_session.app.is_running:
            self._terminal.take(focus=self._alerts.wanted)
        self._flush()

    def _watch_size(self) -> None:
        """Called before the toolkit begins to watch the window itself: it would erase what it must not."""
        loop, app = asyncio.get_running_loop(), self._prompt_session.app
        loop.call_soon(loop.add_signal_handler, signal.SIGWINCH, lambda: self._renderer.resized(app))

    def _changed(self, buffer: Buffer) -> None:
        if self._session is not None and not self._accepting:
            self._session.typing_indicator.line_changed(buffer.text)

    def _accept(self, buffer: Buffer) -> bool:
        """Enter, after validation: True keeps the text in the line."""
        if self._session is None or not buffer.text.strip():
            return False
        self._restored, self._accepting = None, True
        try:
            self._session.submit(buffer.text)
        except PychatError as error:
            self.notice(str(error))
            return True
        finally:
            self._accepting = False
        if self._restored is not None:  # the line was \recall: what it brought back takes its place
            buffer.document = Document(self._restored)
            return True
        return False

    # -------------------------------------------------------------- drawing

    def _prompt(self) -> FormattedText:
        if self._session is None:
            return FormattedText([("", "> ")])
        mine = self._session.status.my_turn
        style = "class:prompt class:prompt.turn" if mine else "class:prompt"
        return FormattedText([(style, f"{fixed_width(printable(self._session.endpoint.handle))}> ")])

    def _toolbar(self) -> FormattedText:
        if self._session is None:
            return FormattedText([])
        parts = [(_KINDS[part.kind], fixed_width(part.words)) for part in self._session.status.parts()]
        if self.narrow and is_command(self._line.text) and self._line.text[1:] in self._session.commands:
            parts.insert(0, ("", self._session.commands[self._line.text[1:]]))  # a low window has no room for all
        left = MESSAGE_MAX - len(as_sent(unescaped(self._line.text)))
        if left < 0:
            parts.append(("class:warning", f"{-left} too many"))
        elif left < MESSAGE_MAX - COUNT_FROM and not is_command(self._line.text):
            parts.append(("", f"{left} left"))
        return FormattedText(_fit(parts, self._columns()))

    def _height(self) -> Dimension:
        """Of the line with its menu, which gets what the toolbar leaves. Without one, a few messages are seen."""
        size = self._terminal.get_size()
        toolbar = "".join(words for _, words, *_ in self._toolbar())
        room = max(size.rows - toolbar.count("\n") - 1, 0)
        menu = min(_MENU, room) if is_command(self._line.text) else 0
        rows = self._window.content.preferred_height(
            size.columns, max(room - _MESSAGES, 1), True, self._window.get_line_prefix
        )
        return Dimension(min=menu, preferred=rows)

    @property
    def narrow(self) -> bool:
        return self._columns() < _NARROW

    def _columns(self) -> int:
        return self._terminal.get_size().columns

    def _body(self, text: str, used: int, indent: int | None = None) -> str:
        """`text` made printable and wrapped behind `used` columns; later lines are indented."""
        columns = self._columns()
        if indent is None:
            indent = _INDENT // 2 if self.narrow else _INDENT
        room = max(columns - indent, 10)
        pieces: list[str] = []
        for line in printable_lines(text):
            pieces += wrap(line, room, room if pieces else columns - used)
        return f"\n{' ' * indent}".join(pieces)

    def _print(self, lay_out: Callable[[], StyleAndTextTuples]) -> None:
        """Prints above the line being typed; a burst of lines is drawn at once, for the window as it is then."""
        self._waiting.append(lay_out)
        if not self._prompt_session.app.is_running:
            self._flush()
        elif len(self._waiting) == 1:
            self._prompt_session.app.create_background_task(self._flush_soon())

    async def _flush_soon(self) -> None:
        """Once the terminal has told where its cursor is: what it says later is of a place that has moved."""
        await self._renderer.settled(self._prompt_session.app)
        self._flush()

    def _flush(self) -> None:
        """Not through run_in_terminal: it lets the terminal echo the keys of that moment itself."""
        if self._lent or not self._waiting:
            return
        text = FormattedText([part for lay_out in self._waiting for part in (*lay_out(), ("", "\n"))])
        self._waiting = []
        app = self._prompt_session.app
        if app.is_running:
            self._renderer.erase()
        print_formatted_text(self._terminal, text, self._style, color_depth=self._depth)
        if app.is_running:
            self._renderer.request_absolute_cursor_position()
            app.invalidate()


def _mend_search(session: PromptSession[str]) -> None:
    """What is pasted into a search (Ctrl-R) is drawn too; and a narrow window needs rows to show what is found."""
    for window in session.layout.find_all_windows():
        if isinstance(window.content, SearchBufferControl):
            window.content.input_processors = [
                key_bindings.FixedWidthProcessor(),
                *(window.content.input_processors or []),
            ]
            window.wrap_lines = to_filter(True)


def _fit(parts: Sequence[tuple[str, str]], columns: int) -> StyleAndTextTuples:
    """The parts of the toolbar, in as many lines as they need: it is complete on a narrow terminal too."""
    fitted: StyleAndTextTuples = []
    used = 0
    for style, words in parts:
        before = " | " if used else ""
        if used and used + len(before) + width(words) > columns:
            before, used = "\n", 0
        pieces = wrap(words, columns, columns)
        fitted += [("", before), (style, "\n".join(pieces))]
        used = used + len(before.strip("\n")) + width(words) if len(pieces) == 1 else width(pieces[-1])
    return fitted


def open_screen(history: Path | None, preferences: Preferences) -> Screen:
    """The screen of this program's terminal."""
    colours = theme.choose(os.environ, theme.terminal_has_colours)
    return Screen(preferences, history, colours, Terminal.on_stdout(), create_input())


def ask_handle() -> str:
    """Asks for a handle until there is a good one. Raises EOFError or KeyboardInterrupt."""
    question: PromptSession[str] = PromptSession(
        "Your handle: ",
        enable_suspend=True,
        input_processors=[key_bindings.FixedWidthProcessor()],
        output=Output.on_stdout(),
    )
    _mend_search(question)
    while True:
        try:
            return check_handle(question.prompt().strip())
        except HandleError as error:
            print(error)
