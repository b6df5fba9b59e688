"""Live typing: when the line being typed goes to the other user, as a draft.

Knows the line and the time. Whether the other user may see it, and how a draft travels, is for the session.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from pychat_client.protocol.rate_limit import DRAFT_EVERY
from pychat_client.text import CONTROL, MESSAGE_MAX, as_sent, well_formed


def draft_of(line: str) -> str:
    """What the other user sees of a line. Nothing of a command, and of one that begins with a space."""
    if line.startswith("\\") or line[:1].isspace():
        return ""
    return CONTROL.sub("\N{REPLACEMENT CHARACTER}", well_formed(as_sent(line)))[:MESSAGE_MAX]


class DraftSender:
    """The drafts of this user."""

    def __init__(self, send: Callable[[str], bool]) -> None:
        """send: sends a draft, and returns whether the other user gets it."""
        self._send = send
        self._line = ""
        self._sent = ""  # what the other user sees
        self._due = 0.0
        self._timer: asyncio.TimerHandle | None = None  # runs while the line has changed too soon

    def line_changed(self, line: str) -> None:
        """Sends the line: now, or as soon as the last draft is old enough."""
        self._line = line
        if self._timer is not None or draft_of(line) == self._sent:
            return
        loop = asyncio.get_running_loop()
        # An empty line waits: with Enter it is empty before the message goes, which takes the draft's place.
        due = self._due if draft_of(line) else loop.time() + DRAFT_EVERY
        if loop.time() >= due:
            self._give()
        else:
            self._timer = loop.call_at(due, self._give)

    def message_sent(self) -> None:
        """The message has taken the place of the draft. If it was held, the line may be the next one by now; its
        draft has to arrive after the message."""
        self._sent = ""
        if self._timer is None and draft_of(self._line):
            self._timer = asyncio.get_running_loop().call_later(DRAFT_EVERY, self._give)

    def stop(self) -> None:
        """The other user sees no draft any more."""
        self._sent = ""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _give(self) -> None:
        self._timer = None
        draft = draft_of(self._line)
        if draft != self._sent and self._send(draft):
            self._sent = draft
            self._due = asyncio.get_running_loop().time() + DRAFT_EVERY
