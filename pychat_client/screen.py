"""The chat screen in a terminal, on prompt_toolkit. Knows no sockets and no rules.

One prompt that never ends: what arrives is printed above the half-typed line, into the terminal's
own scrollback. All text of others is printable() before it gets here or on its way in here.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from prompt_toolkit import PromptSession, print_formatted_text
from prompt_toolkit.auto_suggest import AutoSuggestFromHistory
from prompt_toolkit.buffer import Buffer, ValidationState
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.enums import DEFAULT_BUFFER
from prompt_toolkit.filters import has_focus
from prompt_toolkit.formatted_text import FormattedText, StyleAndTextTuples
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.input import Input
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.output import Output
from prompt_toolkit.styles import Style
from prompt_toolkit.utils import get_cwidth
from prompt_toolkit.validation import ValidationError, Validator

from pychat_client import wire
from pychat_client.chat import Chat, View
from pychat_client.errors import HandleError, PychatError
from pychat_client.text import MESSAGE_MAX, check_handle, nfc, printable, printable_lines, wrap

HISTORY_MAX = 1000
"""Lines of history kept: years of talk, read in a few milliseconds."""

_STYLE = Style.from_dict(
    {
        "time": "ansibrightblack",
        "own": "bold",
        "other": "ansicyan bold",
        "notice": "ansibrightblack",
        # without a background: a full-width bar leaves rubbish behind when the window is resized
        "bottom-toolbar": "noreverse ansibrightblack",
        "validation-toolbar": "noreverse ansired",
    }
)
_TIME = "%H:%M "
_INDENT = " " * 8
"""In front of a message's later lines: never where a name begins, so no text can pose as a message."""


class Screen(View):
    """The view of a terminal; see chat.View for the contract."""

    def __init__(self, history: Path | None, input: Input | None = None, output: Output | None = None) -> None:
        """history: a file of ours, or None for this run only; input, output: for tests."""
        self._chat: Chat | None = None
        self._restored: str | None = None
        self._waiting: list[FormattedText] = []  # printed together, once per turn of the event loop
        self._session: PromptSession[str] = PromptSession(
            message=self._prompt,
            history=open_history(history),
            auto_suggest=AutoSuggestFromHistory(),
            bottom_toolbar=self._toolbar,
            validator=_ChatValidator(self),
            validate_while_typing=False,
            completer=_Commands(self),
            complete_while_typing=False,
            key_bindings=self._bindings(),
            prompt_continuation=lambda width, line, wrapped: " " * width,
            enable_suspend=True,
            style=_STYLE,
            input=input,
            output=output,
        )
        self._session.default_buffer.accept_handler = self._accept

    @property
    def chat(self) -> Chat | None:
        return self._chat

    # -------------------------------------------------------------- chat.View

    def message(self, message: wire.Message, *, own: bool, time: datetime, replayed: bool) -> None:
        when, name = time.strftime(_TIME), f"{printable(message.handle)}> "
        style = "class:own" if own else "class:other"
        self._print([("class:time", when), (style, name), ("", self._body(message.text, get_cwidth(when + name)))])

    def held(self, text: str) -> None:
        before = "-- held until your turn: "
        self._print([("class:notice", before + self._body(text, len(before)))])

    def notice(self, sentence: str) -> None:
        before = "-- "
        self._print([("class:notice", before + self._body(sentence, len(before), " " * len(before)))])

    def restore(self, text: str) -> None:
        self._restored = text

    def refresh(self) -> None:
        if self._session.app.is_running:
            self._session.app.invalidate()

    async def run(self, chat: Chat) -> None:
        self._chat = chat
        if not chat.done:
            try:
                await self._session.prompt_async()
            except (EOFError, KeyboardInterrupt):  # a SIGINT from elsewhere, a terminal that went away
                chat.interrupt()
        self._flush()

    def stop(self) -> None:
        app = self._session.app
        if app.is_running and not app.is_done:
            app.exit(result="")

    # -------------------------------------------------------------- keys

    def _bindings(self) -> KeyBindings:
        keys = KeyBindings()

        in_line = has_focus(DEFAULT_BUFFER)  # and not in a search, which has its own way out

        @keys.add("c-c", filter=in_line)
        def _(event: KeyPressEvent) -> None:
            """Clears the line; on an empty line, leaves."""
            if event.current_buffer.text:
                event.current_buffer.reset()
            elif self._chat is not None:
                self._chat.interrupt()

        @keys.add("c-d", filter=in_line)
        def _(event: KeyPressEvent) -> None:
            if event.current_buffer.text:
                event.current_buffer.delete()
            elif self._chat is not None:
                self._chat.leave()

        # Also as Ctrl-J: while something is printed above, the terminal turns what Enter sends into that.
        @keys.add("enter", filter=in_line)
        @keys.add("c-j", filter=in_line)
        def _(event: KeyPressEvent) -> None:
            event.current_buffer.validation_state = ValidationState.UNKNOWN  # what was refused may be right now
            event.current_buffer.validate_and_handle()

        @keys.add("escape", "enter")
        @keys.add("escape", "c-j")
        def _(event: KeyPressEvent) -> None:
            event.current_buffer.insert_text("\n")

        return keys

    def _accept(self, buffer: Buffer) -> bool:
        """Enter, after validation: True keeps the text in the line."""
        if self._chat is None or not buffer.text.strip():
            return False
        self._restored = None
        try:
            self._chat.typed(buffer.text)
        except PychatError as error:
            self.notice(str(error))
            return True
        if self._restored is not None:  # the line was \recall: what it brought back takes its place
            buffer.document = Document(self._restored)
            return True
        return False

    # -------------------------------------------------------------- drawing

    def _prompt(self) -> FormattedText:
        handle = printable(self._chat.end.handle) if self._chat is not None else ""
        return FormattedText([("class:own", f"{handle}> ")])

    def _toolbar(self) -> FormattedText:
        if self._chat is None:
            return FormattedText([])
        words = self._chat.situation.summary()
        used = len(nfc(self._session.default_buffer.text))
        if used > MESSAGE_MAX // 2:  # once that is worth knowing
            words += f" | {used}/{MESSAGE_MAX}"
        return FormattedText([("", words)])

    def _body(self, text: str, used: int, indent: str = _INDENT) -> str:
        """`text` made printable and wrapped behind `used` columns; later lines are indented."""
        room = max(self._session.output.get_size().columns - len(indent), 10)
        pieces: list[str] = []
        for line in printable_lines(text):
            first = room if pieces else room + len(indent) - used
            pieces += wrap(line, room, first)
        return f"\n{indent}".join(pieces)

    def _print(self, parts: StyleAndTextTuples) -> None:
        """Prints above the line being typed; a burst of lines is drawn once."""
        self._waiting.append(FormattedText(parts))
        if not self._session.app.is_running:
            self._flush()
        elif len(self._waiting) == 1:
            asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        waiting, self._waiting = self._waiting, []
        if waiting:
            lines = FormattedText([part for parts in waiting for part in [*parts, ("", "\n")]])
            print_formatted_text(
                lines, end="", style=_STYLE, output=self._session.output, include_default_pygments_style=False
            )


class _ChatValidator(Validator):
    """Keeps text that would be refused in the line, with the reason below it."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen

    def validate(self, document: Document) -> None:
        if self._screen.chat is not None and document.text.strip():
            try:
                self._screen.chat.check(document.text)
            except PychatError as error:
                raise ValidationError(len(document.text), str(error)) from None


class _Commands(Completer):
    """Tab after a backslash offers the commands."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:
        text = document.text_before_cursor
        if self._screen.chat is not None and text.startswith("\\") and " " not in text:
            for name, help_line in self._screen.chat.commands.items():
                if name.startswith(text[1:]):
                    yield Completion(f"\\{name}", -len(text), display_meta=help_line)


def open_history(path: Path | None) -> History:
    """A history in `path`, made 0600 and cut to its newest entries; in memory if that fails."""
    if path is None:
        return InMemoryHistory()
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_APPEND | os.O_RDWR, 0o600))
        path.chmod(0o600)
        trim_history(path)
    except OSError:
        return InMemoryHistory()
    return _SilentHistory(str(path))


class _SilentHistory(FileHistory):
    """A disk that is full costs the line in the file, and nothing on the screen."""

    def store_string(self, string: str) -> None:
        with suppress(OSError):
            super().store_string(string)


def trim_history(path: Path) -> None:
    """Keeps the newest HISTORY_MAX entries (each a comment line, then lines that begin with `+`)."""
    entries = path.read_bytes().split(b"\n# ")
    if len(entries) > HISTORY_MAX * 2:  # not at every start
        new = path.with_suffix(".new")
        new.touch(mode=0o600)
        new.write_bytes(b"\n# " + b"\n# ".join(entries[-HISTORY_MAX:]))
        new.replace(path)


def ask_handle() -> str:
    """Asks for a handle until there is a good one. Raises EOFError or KeyboardInterrupt."""
    question: PromptSession[str] = PromptSession("Your handle: ")
    while True:
        try:
            return check_handle(question.prompt().strip())
        except HandleError as error:
            print(error)
