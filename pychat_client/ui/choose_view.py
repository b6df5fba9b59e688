"""Chooses the view: what the options ask for, and what this terminal can show."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from pychat_client.config.paths import history_file
from pychat_client.config.preferences import Preferences
from pychat_client.records import record
from pychat_client.transport import question
from pychat_client.transport.question import Ask
from pychat_client.ui.front_end import FrontEnd


@record
class ViewOptions:
    """How a conversation is shown and kept; both `pychat` and `pychatd-console` have these options."""

    plain: bool = False
    json: bool = False
    history: bool = True  # save the lines that are typed, and suggest them
    live: bool = False  # let both sides see what is typed
    log: Path | None = None  # the transcript

    @property
    def without_screen(self) -> bool:
        return self.json or wants_plain(self.plain)

    def wants_live(self, preferences: Preferences) -> bool:
        """Whether to ask for live typing. Plain lines never have it, and a program only at its own request."""
        if self.json:
            return self.live
        return (self.live or preferences.live) and not wants_plain(self.plain)


def wants_plain(asked: bool) -> bool:
    """Whether to use plain lines: the user asked for them, or no terminal here can show a screen."""
    terminal = sys.stdin.isatty() and sys.stdout.isatty()
    return asked or not terminal or os.environ.get("TERM", "dumb") in ("", "dumb", "unknown")


def make_front_end(program: str, options: ViewOptions, preferences: Preferences) -> FrontEnd:
    """The front end for `options` and this terminal, with the input history of `program`."""
    if options.json:
        from pychat_client.ui.json_lines import JsonLines

        return JsonLines()
    if wants_plain(options.plain):
        from pychat_client.ui.plain import Plain

        return Plain(program, preferences)
    from pychat_client.ui.screen import open_screen  # loads prompt_toolkit

    keeps = options.history and preferences.history
    return open_screen(history_file(program) if keeps else None, preferences)


def ask_handle(options: ViewOptions) -> str:
    """Asks the user for a handle, in the way of the view that will follow."""
    if options.without_screen:
        from pychat_client.ui.plain import ask_handle as ask
    else:
        from pychat_client.ui.screen_question import ask_handle as ask
    return ask()


def host_question(*, plain: bool) -> Ask:
    """How to ask the user about a host's key. plain: no screen follows."""
    if wants_plain(plain):
        return question.ask
    from pychat_client.ui.screen_question import ask_about_host

    return ask_about_host
