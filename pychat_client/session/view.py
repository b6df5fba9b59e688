"""What a session asks of the view that shows it. A view shows; what it reads from the user, its `run` gives in."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from datetime import datetime

from pychat_client.protocol import wire
from pychat_client.text import printable, printable_lines

OWN = ">"
"""Stands before the handle of an own message, so that it differs from the other side's without colours too. No
handle has this character."""


def named(handle: str, *, own: bool) -> str:
    """What stands before the text of a message."""
    return f"{OWN if own else ''}{printable(handle)}> "


class View(ABC):
    """Shows one conversation. Sentences are printable already; texts of messages are as they were received."""

    @abstractmethod
    def message(self, message: wire.Message, *, own: bool, time: datetime, replayed: bool) -> None:
        """Shows a message. replayed: it was sent earlier, while this program was not there."""

    @abstractmethod
    def notice(self, sentence: str) -> None:
        """Shows a sentence about the conversation."""

    @abstractmethod
    def refresh(self) -> None:
        """`Session.status` has changed."""

    @abstractmethod
    def stop(self) -> None:
        """The session is done: the front end's `run` has to return."""

    def held(self, text: str) -> None:
        """Shows an own message that is held until it is this user's turn."""
        self.notice(f"held until your turn: {' '.join(printable_lines(text))}")

    def news(self, sentence: str) -> None:
        """Shows a notice about something that is as it should be. A view without a person can leave it out."""
        self.notice(sentence)

    def alert(self, words: str, *, ring: bool) -> None:  # noqa: B027 -- a default, and not abstract
        """Calls a user who looks elsewhere; the view shows the event itself in any case. words: printable;
        ring: call the user also when the terminal has the focus."""

    def rung(self, handle: str) -> None:
        """The other user asks for attention."""
        words = f"{printable(handle)} rings."
        self.notice(words)
        self.alert(words, ring=True)

    @property
    def shows_drafts(self) -> bool:
        """Whether it shows what the other user is typing (live typing)."""
        return False

    def recalled(self, text: str) -> None:  # noqa: B027 -- a default, and not abstract
        """The user takes back an own message: puts it into the line, if there is one and it is empty."""

    def show_folded(self) -> bool:
        """Shows the newest message whole that was folded, and not shown whole since. False if there is none."""
        return False

    @property
    def line(self) -> str:
        """The line being typed, if there is one."""
        return ""

    @property
    def undisplayed(self) -> int:
        """How many messages of the other side it was given and shows a moment later, at most. When it has shown
        them, it calls `Session.displayed`, but not while it is being given something."""
        return 0

    @property
    def behind(self) -> bool:
        """Whether so much waits to be shown that it should be given no more now. When that is over, it calls
        `Session.displayed`."""
        return False

    def flush(self) -> None:  # noqa: B027 -- a default, and not abstract
        """Shows at once what it would show a moment later, if it can."""

    @property
    def shows_keys(self) -> bool:
        """Whether this view, and not the terminal, shows each key: then nothing may keep a key waiting."""
        return False

    @property
    def keys(self) -> Sequence[tuple[str, str]]:
        """The keys of this view, each with what it does."""
        return ()

    @property
    def narrow(self) -> bool:
        """Whether there is no room for help beside a command. Then a notice can have line breaks (U+2028)."""
        return False

    def not_sent(self, text: str) -> None:
        """Shows an own message that is not stored and will not be sent, so that the user can copy it."""
        self._give_back("Not sent:", text)

    def not_confirmed(self, text: str) -> None:
        """Shows an own message that may be stored, so that the user can copy it: this program has sent it and got
        no confirmation, or another program with the same state may have sent it."""
        self._give_back("Not confirmed; it may have arrived:", text)

    def _give_back(self, heading: str, text: str) -> None:
        self.notice(heading)
        for line in printable_lines(text):
            self.notice(f"    {line}")
