"""A screen without a terminal: keys come through a pipe, and tests look at the line and the output."""

from __future__ import annotations

import asyncio
import io
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pyte
from prompt_toolkit.data_structures import Size
from prompt_toolkit.input import PipeInput, create_pipe_input

from pychat_client.config.preferences import Preferences
from pychat_client.protocol.endpoint import Endpoint
from pychat_client.session.session import Session
from pychat_client.session.session_file import SessionFile
from pychat_client.transport.connection import Connection
from pychat_client.ui.keyboard import drop_unknown
from pychat_client.ui.prompt import Prompt
from pychat_client.ui.screen import Screen
from pychat_client.ui.terminal import Terminal
from pychat_client.ui.theme import UNCOLOURED, Theme
from tests.support.endpoints import HELLO
from tests.support.raw_ends import AsyncEnd, attach

COLUMNS, ROWS = 80, 50

ALT_ENTER, ALT_UP, UP, RIGHT = "\x1b\r", "\x1b[1;3A", "\x1b[A", "\x1b[C"
CTRL_C, CTRL_D, CTRL_E, CTRL_R, CTRL_U, CTRL_X = "\x03", "\x04", "\x05", "\x12", "\x15", "\x18"


class _Written(io.StringIO):
    """What is written to the terminal."""

    encoding = "utf-8"


class Desk:
    """A screen, its keyboard, and the daemon's end of its connection."""

    def __init__(
        self,
        screen: Screen,
        terminal: Terminal,
        keyboard: PipeInput,
        written: io.StringIO,
        session: Session,
        raw: AsyncEnd,
    ) -> None:
        self.screen = screen
        self.terminal = terminal
        self.session = session
        self.raw = raw
        self._keyboard = keyboard
        self._written = written
        self.final = ""  # everything that was written, when the chat is over

    @property
    def prompt(self) -> Prompt:
        """The prompt, which exists once the chat has begun."""
        assert self.screen._prompt is not None
        return self.screen._prompt

    def press(self, *keys: str) -> None:
        """keys: with a surrogate for a byte that is not UTF-8."""
        self._keyboard.send_bytes("".join(keys).encode(errors="surrogateescape"))

    def paste(self, text: str) -> None:
        self.press(f"\x1b[200~{text}\x1b[201~")

    @property
    def line(self) -> str:
        """The line being typed."""
        return self.prompt.line.text

    @property
    def written(self) -> str:
        """Everything that was written to the terminal."""
        return self._written.getvalue()

    @property
    def bells(self) -> int:
        """How often the terminal's bell was rung. The titles of the window end with the same character."""
        return re.sub(r"\x1b\]2;[^\a]*\a", "", self.written).count("\a")

    def toolbar(self) -> str:
        return "".join(words for _, words, *_ in self.prompt.toolbar())

    def menu(self) -> list[tuple[str, str]]:
        """The commands in the menu, each with its help."""
        state = self.prompt.line.complete_state
        return [] if state is None else [(one.text, one.display_meta_text) for one in state.completions]

    def rows(self) -> list[str]:
        """What a terminal shows."""
        return [row.rstrip() for row in self.shown().display]

    def shown(self) -> pyte.Screen:
        """A terminal with all that was written to it."""
        screen = pyte.Screen(COLUMNS, ROWS)
        pyte.Stream(screen).feed(self.written)
        return screen

    async def until(self, condition: Callable[[], object]) -> None:
        """Waits; the time limit of the test is the limit."""
        while not condition():
            await asyncio.sleep(0.005)

    async def rests(self) -> None:
        """Waits until nothing more is to be drawn."""
        await self.until(lambda: self.prompt._drawing is None and not self.prompt._app.invalidated)

    async def history_is_there(self) -> None:
        """Waits until prompt_toolkit has read the history again, which it does after each line."""
        await self.until(lambda: len(self.prompt.line._working_lines) > 1)

    async def line_is(self, text: str) -> None:
        await self.until(lambda: self.line == text)

    async def sees(self, words: str) -> None:
        await self.until(lambda: any(words in row for row in self.rows()))

    async def says(self, *lines: str) -> None:
        """The other side sends `lines`; waits until the session has handled them."""
        await self.raw.say(*lines)
        await self.raw.news()


@asynccontextmanager
async def desk(
    history: Path | None = None,
    *,
    turns: str = "free",
    theme: Theme = UNCOLOURED,
    file: SessionFile | None = None,
    **preferences: Any,
) -> AsyncIterator[Desk]:
    """The screen of a caller who is connected and has sent nothing. file: keeps the conversation."""
    written = _Written()
    with create_pipe_input() as keyboard:
        drop_unknown(keyboard)
        terminal = Terminal(written, lambda: Size(rows=ROWS, columns=COLUMNS), term="xterm")
        screen = Screen(Preferences(**preferences), history, theme, terminal, keyboard)
        session = Session(Endpoint("Bob"), screen, "the test", file=file)
        connection = Connection(session)
        raw = await attach(connection)
        session._supervisor.connected(connection)
        running = asyncio.create_task(screen.run(session))
        one = Desk(screen, terminal, keyboard, written, session, raw)
        await one.says(HELLO.replace("turns=free", f"turns={turns}"))
        try:
            yield one
        finally:
            session.interrupt()
            with suppress(asyncio.CancelledError):
                await running
            one.final = one.written
            connection.abort()
            raw.hang_up()
            await connection.closed
