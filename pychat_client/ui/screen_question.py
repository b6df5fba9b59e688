"""Questions on the terminal before the session: one text, one line below it. Knows nothing of what is asked.

When the window changes, the text is laid out anew, and what has been typed stays.
"""

from __future__ import annotations

import asyncio
import os
import sys

from prompt_toolkit import PromptSession
from prompt_toolkit.input.typeahead import get_typeahead
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent

from pychat_client.errors import HandleError
from pychat_client.layout import fit_page
from pychat_client.text import check_handle
from pychat_client.transport.interruptible import run_interruptible
from pychat_client.transport.question import PASTE_SECONDS, arrives, discard
from pychat_client.ui import stops
from pychat_client.ui.keyboard import open_keyboard
from pychat_client.ui.prompt import FixedWidthProcessor, mend_search
from pychat_client.ui.resize import ResizableRenderer, report_keys
from pychat_client.ui.terminal import TerminalOutput

_ANSWER_ROWS = 3
"""Rows of the window that the text leaves free: a fingerprint takes as many in 30 columns."""


class Question:
    """A question whose text is laid out for the width that the window has."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._keyboard = open_keyboard()
        self._output = TerminalOutput.on_stdout()
        self._prompt_session: PromptSession[str] = PromptSession(
            lambda: "\n".join(self._shown()) + " ",
            key_bindings=self._keys(),
            input_processors=[FixedWidthProcessor()],
            input=self._keyboard,
            output=self._output,
        )
        self._app = self._prompt_session.app
        self._app.terminal_size_polling_interval = None
        self._renderer = ResizableRenderer(self._app.renderer, self._output, os.environ)
        self._app.renderer = self._renderer
        self._suspending: asyncio.Task[None] | None = None
        mend_search(self._prompt_session)

    def ask(self) -> str:
        """The line that is typed. Raises EOFError, KeyboardInterrupt, and what the handler of a signal raises."""
        if above := self._rows()[: -len(self._shown())]:
            print("\n".join(above))
        return run_interruptible(self._prompt_session.prompt_async(pre_run=self._begin, handle_sigint=False))

    @property
    def is_followed(self) -> bool:
        """Whether more was typed than the line, at the same moment. What was, is discarded."""
        return bool(get_typeahead(self._keyboard)) or arrives(PASTE_SECONDS)

    def _begin(self) -> None:
        self._renderer.watch_size(self._app)
        self._handle_stops()

    def _handle_stops(self) -> None:
        stops.handle_stops(self._keyboard, self._has_terminal, self._suspend, self._gone_on)

    def _has_terminal(self) -> bool:
        return self._app.is_running and (self._suspending is None or self._suspending.done())

    def _suspend(self) -> None:
        if self._has_terminal():
            self._suspending = self._app.create_background_task(self._suspend_until_back())

    async def _suspend_until_back(self) -> None:
        stops.leave_stops_to_system()
        await stops.suspend()
        self._handle_stops()

    def _gone_on(self) -> None:
        self._renderer.begin_here()
        self._app.invalidate()

    def _keys(self) -> KeyBindings:
        keys = report_keys()

        @keys.add("c-z")
        def _(_: KeyPressEvent) -> None:
            self._suspend()

        return keys

    def _rows(self) -> list[str]:
        return fit_page(sys.stdout, self._text).split("\n")

    def _shown(self) -> list[str]:
        """The last rows of the text, as many as there is room for."""
        return self._rows()[-max(self._output.get_size().rows - _ANSWER_ROWS, 1) :]


def ask_about_host(text: str) -> str | None:
    """As transport.question.ask, with a text that is laid out anew when the window changes."""
    discard()
    question = Question(text)
    try:
        line = question.ask()
    except EOFError:
        return ""
    return None if "\n" in line or question.is_followed else f"{line}\n"


def ask_handle() -> str:
    """Asks for a handle until it is valid. Raises EOFError or KeyboardInterrupt."""
    while True:
        try:
            return check_handle(Question("Your handle:").ask().strip())
        except HandleError as error:
            print(error)
