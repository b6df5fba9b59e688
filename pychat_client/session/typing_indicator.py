"""Typing and ringing: which signs of its user a session sends, and which of the other's it believes.

Both kinds have a rate limit (see protocol/rate_limit). A sign of typing counts for a few seconds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from math import ceil

from pychat_client.errors import NotAllowedError
from pychat_client.protocol import wire
from pychat_client.protocol.rate_limit import LATE, TYPING_SHOWN, Sign, Signs
from pychat_client.session.commands import is_command


class TypingIndicator:
    """The signs of both users."""

    def __init__(self, send: Callable[[Sign], bool], changed: Callable[[], None]) -> None:
        """send: sends a sign, and returns whether the other user is there to see it; changed: `typing` is
        different now."""
        self._send = send
        self._changed = changed
        self._sent = Signs()
        self._received = Signs(slack=LATE)
        self._timer: asyncio.TimerHandle | None = None  # runs while the other user is typing
        self._draft = ""

    @property
    def typing(self) -> bool:
        """Whether the other user is typing now."""
        return self._timer is not None

    @property
    def draft(self) -> str:
        """What the other user is typing, with live typing; empty for nothing."""
        return self._draft

    def line_changed(self, line: str) -> None:
        """The user has changed the line: tells the other side, unless the line is a command."""
        now = asyncio.get_running_loop().time()
        if line.strip() and not is_command(line) and not self._sent.wait(wire.Typing(), now):
            self._give(wire.Typing(), now)

    def ring(self) -> None:
        """Asks the other user for attention. Raises NotAllowedError when that is too soon, or when the other
        user is not there."""
        now = asyncio.get_running_loop().time()
        if wait := self._sent.wait(wire.Ring(), now):
            raise NotAllowedError(f"You can ring again in {ceil(wait)} s.")
        if not self._give(wire.Ring(), now):
            raise NotAllowedError("You cannot ring now: the other person is not connected.")

    def other_types(self) -> None:
        """A sign of typing has arrived."""
        self._set_timer(asyncio.get_running_loop().call_later(TYPING_SHOWN, self._set_timer, None))

    def other_draft(self, draft: str) -> None:
        """A draft of the other user has arrived; an empty one takes the last one back."""
        if not draft:
            self.typing_is_over()
            return
        self._draft = draft
        self.other_types()

    def other_rings(self) -> bool:
        """A ring has arrived. Returns whether to show it; one that comes too soon is not shown."""
        return self._received.give(wire.Ring(), asyncio.get_running_loop().time())

    def typing_is_over(self) -> None:
        """The message has arrived, or the other user is not there any more."""
        if self.typing or self._draft:
            self._draft = ""
            self._set_timer(None)

    def _give(self, sign: Sign, now: float) -> bool:
        """A sign that cannot be sent now does not delay the next one."""
        return self._send(sign) and self._sent.give(sign, now)

    def _set_timer(self, timer: asyncio.TimerHandle | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = timer
        self._changed()
