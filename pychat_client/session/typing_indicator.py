"""The signs of one chat: those its user gives, and what becomes of those that come (see signs).

Knows whether the other user is typing, and for how long that is to be believed.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from pychat_client.errors import NotAllowedError
from pychat_client.protocol import wire
from pychat_client.protocol.rate_limit import LATE, TYPING_SHOWN, Sign, Signs
from pychat_client.session.commands import is_command
from pychat_client.text import printable

if TYPE_CHECKING:
    from pychat_client.session.session import Session


class TypingIndicator:
    """What the two users notice of each other besides words."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._given = Signs()
        self._taken = Signs(slack=LATE)
        self._timer: asyncio.TimerHandle | None = None  # set while the other user is typing

    @property
    def typing(self) -> bool:
        """Whether the other user is typing now; nobody types who is away."""
        return self._timer is not None and self._session.can_sign

    def line_changed(self, line: str) -> None:
        """What stands in the line is another: tells the other side that something is being typed."""
        if line.strip() and not is_command(line) and self._session.can_sign:
            self._give(wire.Typing())

    def ring(self) -> None:
        """Asks the other user for attention. Raises NotAllowedError when nobody is there, or it is too soon."""
        if not self._session.can_sign:
            raise NotAllowedError("Nobody is there who could hear it.")
        if wait := self._given.wait(wire.Ring(), asyncio.get_running_loop().time()):
            raise NotAllowedError(f"You have just rung; again in {wait:.0f} s.")
        self._give(wire.Ring())
        self._session.view.notice(f"You ring {printable(self._session.endpoint.other_handle)}.")

    def take(self, sign: Sign) -> None:
        """The other user types, or rings."""
        if not self._session.endpoint.is_open:
            return
        if isinstance(sign, wire.Typing):
            self._note(True)
        elif self._taken.give(sign, asyncio.get_running_loop().time()):
            self._session.view.rung(self._session.endpoint.other_handle)

    def typing_is_over(self) -> None:
        """The message is there, or the one who typed is gone."""
        self._note(False)

    def _give(self, sign: Sign) -> None:
        if self._given.give(sign, asyncio.get_running_loop().time()):
            self._session.send_sign(sign)

    def _note(self, typing: bool) -> None:
        if self._timer is not None:
            self._timer.cancel()
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(TYPING_SHOWN, self._note, False) if typing else None
        self._session.view.refresh()
