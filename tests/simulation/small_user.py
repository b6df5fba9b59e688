"""One side of a small world: a program with the real rules of its end, and what its user has seen.

A part of a world (parts): it is given frames, and gives frames back. It knows no connection, only whether there is
one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pychat_client.errors import NotAllowedError
from pychat_client.protocol import wire
from pychat_client.protocol.console_endpoint import ConsoleEndpoint
from pychat_client.protocol.endpoint import Endpoint
from pychat_client.protocol.events import EndConfirmed, Ended, Event, Leftovers, MessageShown, RemoteError
from pychat_client.protocol.turns import Role
from tests.simulation.broken import BrokenError
from tests.support.endpoints import HANDLES, say

AGAIN = ("stopping", "journal")
"""Errors after which a program calls again: all others would be wrong here, where nobody breaks a rule."""

Frames = tuple[wire.Frame, ...]


@dataclass(frozen=True)
class UserFacts:
    """What the others have to know of a user.

    unacked, held: texts that the program still has; received: how many messages of the other side it has counted;
    stored, read, unread: of its own messages, as it tells its user; left: the program is not there any more
    quiet, other_quiet: whether this user sends no signs, and whether the other one does not, as it tells its user
    """

    said: tuple[str, ...]
    shown: tuple[str, ...]
    not_sent: tuple[str, ...]
    not_confirmed: tuple[str, ...]
    unacked: tuple[str, ...]
    held: tuple[str, ...]
    received: int
    stored: int
    read: int
    unread: int
    quiet: bool
    other_quiet: bool
    is_open: bool
    ended: bool
    my_turn: bool
    left: bool

    @property
    def waits(self) -> tuple[str, ...]:
        return self.unacked + self.held


class SmallUser:
    """A user with a program."""

    def __init__(self, role: Role, *, signs: bool, console: str = "") -> None:
        """signs: whether the program sends read marks; console: the id of an operator's program."""
        self.role = role
        self.end = (
            ConsoleEndpoint(HANDLES[role], console=console, quiet=not signs)
            if role is Role.OPERATOR
            else Endpoint(HANDLES[role], quiet=not signs)
        )
        self.connected = False
        self.left = False
        self.said: list[str] = []
        self.shown: list[str] = []
        self.not_sent: list[str] = []
        self.not_confirmed: list[str] = []

    # -------------------------------------------------------------- what happens to them

    def call(self) -> Frames:
        self.connected = True
        self.end.greet()
        return self._frames()

    def change_signs(self) -> Frames:
        """From the next call on."""
        self.end.quiet = not self.end.quiet
        return ()

    def say(self, text: str) -> Frames:
        try:
            events = [say(self.end, text)]
        except NotAllowedError:
            return ()
        self.said.append(text)
        self._tell(events)
        return self._frames()

    def quit(self) -> Frames:
        self._tell([self.end.quit()])
        if not self.connected:
            self._leave_if_over()
        return self._frames()

    def read(self, frames: tuple[wire.Frame | None, ...]) -> Frames:
        """None: the end of the connection."""
        for frame in frames:
            if frame is not None:
                self._tell(self.end.receive(frame))
        self.end.mark_displayed()
        answers = self._frames()
        return self.lose() if None in frames else answers

    def lose(self) -> Frames:
        """The program learns that its connection is lost."""
        self.connected = False
        self.end.connection_lost()
        self._leave_if_over()
        return ()

    # -------------------------------------------------------------- what can be asked

    def facts(self) -> UserFacts:
        return UserFacts(
            tuple(self.said),
            tuple(self.shown),
            tuple(self.not_sent),
            tuple(self.not_confirmed),
            tuple(self.end.unacked),
            tuple(self.end.held),
            self.end.received_count,
            self.end.stored_count,
            self.end.read_count,
            self.end.unread_count,
            self.end.quiet,
            self.end.other.quiet,
            self.end.is_open,
            self.end.ended,
            self.end.my_turn,
            self.left,
        )

    # -------------------------------------------------------------- inside

    def _frames(self) -> Frames:
        return tuple(self.end.take_frames())

    def _leave_if_over(self) -> None:
        """An operator's program stays for the next caller."""
        if self.end.ended and self.role is Role.PEER:
            self.left = True
            self._give_back(self.end.take_back())

    def _tell(self, events: Iterable[Event]) -> None:
        for event in events:
            match event:
                case MessageShown(message, own) if not own:
                    self.shown.append(message.text)
                case Ended(left=left) | EndConfirmed(left=left):
                    self._give_back(left)
                case RemoteError(code) if code not in AGAIN:
                    raise BrokenError(f"the {self.role.value} is told {code!r}")
                case _:
                    pass

    def _give_back(self, left: Leftovers) -> None:
        self.not_sent += left.not_sent
        self.not_confirmed += left.not_confirmed
