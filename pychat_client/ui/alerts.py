"""Alerts a user who looks elsewhere: by the bell, a notification of the desktop, or a command.

The user's preferences say which of them, and when. Escape sequences go to the function that Alerts is given.
"""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Callable

from pychat_client.config.preferences import Preferences
from pychat_client.text import printable
from pychat_client.transport.os_errors import describe
from pychat_client.ui.window import WindowTitle, notification

IDLE_SECONDS = 120.0
"""After so long without a key the user is taken to be away, even if the terminal has the focus."""

BELL_EVERY = 1.0
"""Seconds between two bells, so that many messages at once ring only once."""

HOOKS_MAX = 4
"""Hooks that run at the same time. If this many run, they hang, and another one would not help."""

ALERT_MAX = 200
"""Characters of a notification. Desktops show fewer."""

BELL = "\a"


class Alerts:
    """Decides when to alert the user, and does it."""

    def __init__(
        self,
        preferences: Preferences,
        write: Callable[[str], None],
        complain: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """write: sends an escape sequence to the terminal; complain: shows a sentence to the user."""
        self._preferences = preferences
        self._write = write
        self._complain = complain
        self._clock = clock
        self._focused = True  # until the terminal reports something else; many report nothing
        self._touched = clock()
        self._alerted = False  # since the user was last here
        self._bell_due = 0.0
        self._title = WindowTitle(write, os.environ)
        self._hooks: list[subprocess.Popen[bytes]] = []

    @property
    def wanted(self) -> bool:
        """Whether any alert is switched on, so that the focus of the terminal matters."""
        wants = self._preferences
        return wants.bell != "off" or wants.notify != "off" or bool(wants.hook)

    def touched(self) -> None:
        """The user has pressed a key."""
        self._touched = self._clock()
        self._alerted = False
        self._title.restore()

    def focus(self, focused: bool) -> None:
        """The terminal has got or lost the focus."""
        self._focused = focused
        self._alerted = False
        if focused:
            self._title.restore()

    def leave(self) -> None:
        """The session leaves the terminal, for good or for another program."""
        self._title.restore()

    def message(self, handle: str) -> None:
        """A message has just been shown."""
        if self.wanted and self.unattended():
            self._title.message(handle)

    def unattended(self) -> bool:
        """Whether the user seems to look elsewhere."""
        return not self._focused or self._clock() - self._touched > IDLE_SECONDS

    def alert(self, words: str, *, ring: bool) -> None:
        """Alerts for each ring, and for the first message that the user does not see. words: printable."""
        due = ring or (self.unattended() and not self._alerted)
        if self._preferences.bell == "all" or (due and self._preferences.bell == "unfocused"):
            self._ring_bell()
        if due:
            self._alerted = True
            self._notify(words[:ALERT_MAX])
            self._start_hook(words[:ALERT_MAX], "ring" if ring else "message")

    def announce(self, words: str, event: str) -> None:
        """Alerts a user who watches for such an event, wherever they look.

        words: printable; event: for the hook."""
        if self._preferences.bell != "off":
            self._ring_bell()
        self._notify(words[:ALERT_MAX])
        self._start_hook(words[:ALERT_MAX], event)

    def _ring_bell(self) -> None:
        now = self._clock()
        if now >= self._bell_due:
            self._bell_due = now + BELL_EVERY
            self._write(BELL)

    def _notify(self, words: str) -> None:
        if self._preferences.notify != "off":
            self._write(notification(words, self._preferences.notify, os.environ))

    def _start_hook(self, words: str, event: str) -> None:
        """Starts the user's command, without a shell.

        What happened is in its environment. There it cannot be taken for an option, nor read by other users.
        """
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
                start_new_session=True,  # it goes on when the session ends, and gets no Ctrl-C
            )
        except (OSError, ValueError) as error:
            name = printable(self._preferences.hook[0])
            self._complain(f"Cannot start the hook {name}: {describe(error)}.")
            return
        self._hooks.append(hook)
        threading.Thread(target=hook.wait, daemon=True).start()  # so that it leaves no zombie
