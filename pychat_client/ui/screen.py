"""The session on a terminal: one prompt that never ends, and everything that arrives above it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from prompt_toolkit.document import Document
from prompt_toolkit.enums import EditingMode
from prompt_toolkit.input import Input

from pychat_client.config.preferences import Preferences
from pychat_client.protocol import wire
from pychat_client.session.commands import escaped
from pychat_client.session.session import Session
from pychat_client.text import as_sent
from pychat_client.ui import key_bindings, stops, theme
from pychat_client.ui.alerts import Alerts
from pychat_client.ui.front_end import FrontEnd
from pychat_client.ui.input_history import open_history
from pychat_client.ui.keyboard import open_keyboard
from pychat_client.ui.prompt import Prompt
from pychat_client.ui.scrollback import Scrollback
from pychat_client.ui.terminal import Foreground, Terminal

HANGUP_SECONDS = 0.5
"""How long prompt_toolkit has to end after the terminal is gone."""


class Screen(FrontEnd):
    """The view of a terminal."""

    def __init__(
        self,
        preferences: Preferences,
        history: Path | None,
        colours: theme.Theme,
        terminal: Terminal,
        keyboard: Input,
    ) -> None:
        """history: the file for what the user types; None keeps it in memory."""
        self._terminal = terminal
        self._keyboard = keyboard
        self._scrollback = Scrollback(terminal, colours, self._printed)
        self._session: Session | None = None
        self._alerts = Alerts(preferences, terminal.write_escape, self.notice)
        self._prompt: Prompt | None = None  # before the session
        self._running: asyncio.Task[None] | None = None  # the task of `run`
        self._lending: asyncio.Task[None] | None = None  # asyncio itself does not keep a task alive
        self._line_at_end = ""  # what was in the line when the session was done, which may have recorded it

        def make_prompt(session: Session) -> Prompt:
            return Prompt(
                session,
                terminal,
                keyboard=keyboard,
                theme=colours,
                history=open_history(history),
                bindings=key_bindings.make_bindings(
                    session, self.notice, self._alerts.focus, self._lend, self._suspend
                ),
                editing=EditingMode.VI if preferences.keys == "vi" else EditingMode.EMACS,
                notice=self.notice,
            )

        self._make_prompt = make_prompt

    # -------------------------------------------------------------- what the session shows

    def message(self, message: wire.Message, *, own: bool, time: datetime, replayed: bool) -> None:
        self._scrollback.message(message, own=own, time=time)
        if not (own or replayed):
            self._alerts.message(message.handle)

    def held(self, text: str) -> None:
        self.notice(f"held until your turn: {text}")

    def notice(self, sentence: str) -> None:
        self._scrollback.notice(sentence)

    def show_folded(self) -> bool:
        return self._scrollback.show_folded()

    def alert(self, words: str, *, ring: bool) -> None:
        self._alerts.alert(words, ring=ring)

    def recalled(self, text: str) -> None:
        if self._prompt is not None and not self._prompt.line.text:
            self._prompt.line.document = Document(escaped(text))

    @property
    def line(self) -> str:
        return "" if self._prompt is None else self._prompt.line.text

    @property
    def undisplayed(self) -> int:
        return self._scrollback.unprinted

    @property
    def behind(self) -> bool:
        return self._scrollback.is_behind

    def flush(self) -> None:
        if not self._terminal.hung_up():
            self._scrollback.flush_all()

    @property
    def shows_keys(self) -> bool:
        return True

    @property
    def keys(self) -> Sequence[tuple[str, str]]:
        return key_bindings.KEYS

    @property
    def narrow(self) -> bool:
        return self._terminal.narrow

    @property
    def shows_drafts(self) -> bool:
        return self._prompt is None or self._prompt.has_toolbar

    def refresh(self) -> None:
        if self._prompt is not None:
            self._prompt.redraw()

    # -------------------------------------------------------------- from its beginning to its end

    async def run(self, session: Session) -> None:
        """Reads what the user types until the session is done."""
        self._session = session
        self._terminal.go_to_bottom()
        await session.caught_up()
        if not session.done:
            await self._chat(session)
        self._scrollback.flush()

    def _printed(self) -> None:
        """Tells the session a moment later: it may be giving this view something, or failing to record it."""
        if self._session is not None and not self._terminal.hung_up():
            asyncio.get_running_loop().call_soon(self._session.displayed)

    async def _chat(self, session: Session) -> None:
        self._running = asyncio.current_task()
        self._prompt = prompt = self._make_prompt(session)
        self._scrollback.print_above(prompt)
        self._take()
        try:
            await prompt.run(self._alerts.touched, session.take_line())
        except EOFError:
            session.interrupt()
        finally:
            stops.leave_stops_to_system()
            with suppress(OSError):  # the terminal is gone
                self._alerts.leave()
                self._terminal.leave()
        if self._lending is not None:
            await asyncio.wait([self._lending])  # an editor gives its text back a moment after it has ended
        line = prompt.line.text
        edited = line != self._line_at_end
        if line.strip() and (edited or not session.stays_open):  # the line is not on the screen any more
            self.notice(f"Not sent: {as_sent(line)}")

    def stop(self) -> None:
        if self._prompt is not None:
            self._line_at_end = self._prompt.line.text
            self._prompt.exit()
        if self._running is not None and self._terminal.hung_up():
            # A suspended session, or one with an open editor, would wait forever for a terminal that is gone.
            asyncio.get_running_loop().call_later(HANGUP_SECONDS, self._running.cancel)

    def _lend(self, guest: Foreground, use: Callable[[], Awaitable[None]]) -> None:
        """Leaves the terminal to `guest` until `use` ends. What arrives meanwhile is shown then."""
        if self._prompt is not None and (self._lending is None or self._lending.done()):
            self._lending = asyncio.ensure_future(self._lend_until_done(self._prompt, guest, use))

    async def _lend_until_done(
        self, prompt: Prompt, guest: Foreground, use: Callable[[], Awaitable[None]]
    ) -> None:
        await prompt.settled()
        if not prompt.is_running:  # the session has ended meanwhile
            return
        stops.leave_stops_to_system()
        self._alerts.leave()
        self._terminal.lend(guest)
        try:
            await use()
        finally:
            self._alerts.touched()
            if prompt.is_running:
                self._take()
                await prompt.settled()  # the guest may have left something in the row of the cursor
            self._scrollback.flush()

    def _take(self) -> None:
        self._terminal.take(focus=self._alerts.wanted)
        stops.handle_stops(self._keyboard, self._has_terminal, self._suspend, self._gone_on)

    def _has_terminal(self) -> bool:
        running = self._prompt is not None and self._prompt.is_running
        return running and self._terminal.foreground is Foreground.SESSION

    def _suspend(self) -> None:
        self._lend(Foreground.SUSPENDED, lambda: stops.suspend(self._terminal.go_to_bottom))

    def _gone_on(self) -> None:
        """The shell has used the terminal, which was not lent to it."""
        if self._prompt is not None:
            self._terminal.take(focus=self._alerts.wanted)
            self._prompt.draw_at_bottom()


def open_screen(history: Path | None, preferences: Preferences) -> Screen:
    """The screen on the terminal of this program."""
    colours = theme.choose(os.environ, theme.terminal_has_colours)
    return Screen(preferences, history, colours, Terminal.on_stdout(), open_keyboard())
