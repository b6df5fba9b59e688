"""Calling for a user who looks elsewhere: the bell, a notification of the desktop, a command.

Which of them, and when, the user's preferences say. Knows no screen: what a terminal is to obey goes out
through the function that it is given.
"""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Callable

from pychat_client.config.preferences import Preferences
from pychat_client.text import printable
from pychat_client.transport.connection import reason

IDLE_SECONDS = 120.0
"""Without a key for so long, nobody sits there, whatever has the focus."""

BELL_EVERY = 1.0
"""Seconds between two bells: a burst of messages is one noise."""

HOOKS_MAX = 4
"""Commands that run at once; more of them are hanging, and are not helped by another one."""

WORDS_MAX = 200
"""Characters of a notification; desktops cut them much earlier."""

BELL = "\a"


class Alerts:
    """When this user is called, and how."""

    def __init__(
        self,
        preferences: Preferences,
        write: Callable[[str], None],
        complain: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """write: to the terminal, as it is; complain: shows a sentence to the user."""
        self._preferences = preferences
        self._write = write
        self._complain = complain
        self._clock = clock
        self._focused = True  # until the terminal says something else; many say nothing
        self._touched = clock()
        self._called = False  # since the user was last seen
        self._bell_due = 0.0
        self._hooks: list[subprocess.Popen[bytes]] = []

    @property
    def wanted(self) -> bool:
        """Whether it matters where the user looks."""
        wants = self._preferences
        return wants.bell != "off" or wants.notify != "off" or bool(wants.hook)

    def touched(self) -> None:
        """The user has pressed a key."""
        self._touched = self._clock()
        self._called = False

    def focus(self, focused: bool) -> None:
        """The terminal has got the focus, or has lost it."""
        self._focused = focused
        self._called = False

    def unattended(self) -> bool:
        """Whether nobody seems to look at the terminal."""
        return not self._focused or self._clock() - self._touched > IDLE_SECONDS

    def alert(self, words: str, *, ring: bool) -> None:
        """Something has come: a ring calls always, a message the first time nobody looks. words: printable."""
        calls = ring or (self.unattended() and not self._called)
        if self._preferences.bell == "all" or (calls and self._preferences.bell == "unfocused"):
            self._ring_bell()
        if calls:
            self._called = True
            self._notify(words[:WORDS_MAX])
            self._start_hook(words[:WORDS_MAX], "ring" if ring else "message")

    def _ring_bell(self) -> None:
        now = self._clock()
        if now >= self._bell_due:
            self._bell_due = now + BELL_EVERY
            self._write(BELL)

    def _notify(self, words: str) -> None:
        """xterm's OSC 9 or rxvt's OSC 777. The title comes first, so that no words can pose as a number: to
        some terminals "9;4;" is a command."""
        if self._preferences.notify == "osc9":
            self._write(f"\x1b]9;pychat: {words}\a")
        elif self._preferences.notify == "osc777":
            self._write(f"\x1b]777;notify;pychat;{words}\a")

    def _start_hook(self, words: str, event: str) -> None:
        """The command as it is, no shell; what happened is in its environment, where no word of it can be
        taken for an option, and other users cannot read it."""
        self._hooks = [hook for hook in self._hooks if hook.poll() is None]
        if not self._preferences.hook or len(self._hooks) >= HOOKS_MAX:
            return
        environment = {**os.environb, b"PYCHAT_EVENT": event.encode(), b"PYCHAT_WORDS": words.encode()}
        nowhere = subprocess.DEVNULL
        try:
            hook = subprocess.Popen(  # noqa: S603 -- the user's own command
                self._preferences.hook,
                env=environment,
                stdin=nowhere,
                stdout=nowhere,
                stderr=nowhere,
                start_new_session=True,  # it goes on when the chat ends, and Ctrl-C is not for it
            )
        except OSError as error:
            name = printable(self._preferences.hook[0])
            self._complain(f"The hook {name} cannot be started: {reason(error)}.")
            return
        self._hooks.append(hook)
        threading.Thread(target=hook.wait, daemon=True).start()  # leaves no zombie, and nobody waits
