"""The callers that are connected and have said nothing: one at a time calls, while the seat is free.

Some classic programs wait to be spoken to. Others of these connections are people who still type, and programs
that look for open ports. None of them has the seat.
"""

from __future__ import annotations

from typing import Protocol

from pychat_client.errors import UsageError
from pychatd.conversation.interfaces import PeerInterface, SilentInterface

SEEN_SECONDS = 1.0
"""How long a caller says nothing before the operator is told: programs of version 1 say hello at once, and
programs that look for open ports leave at once."""

SILENT_SECONDS = 600.0
"""How long such a caller may wait until the operator speaks."""


class Seat(Protocol):
    """What the switchboard does with those who call."""

    def seat_is_free(self) -> bool: ...

    def announce_silent(self, caller: SilentInterface, *, new: bool) -> None:
        """Tells that `caller` is calling. new: nobody knows of it yet."""

    def miss_silent(self, caller: SilentInterface) -> None:
        """Tells that `caller` has gone."""


class SilentCallers:
    """Those of one service, in the order of their calls."""

    def __init__(self, seat: Seat) -> None:
        self._seat = seat
        self._callers: list[SilentInterface] = []
        self._announced: SilentInterface | None = None

    def __bool__(self) -> bool:
        return bool(self._callers)

    def add(self, caller: SilentInterface) -> None:
        self._callers.append(caller)
        if self._callers[0] is caller:
            self.announce()

    def replace(self, old: SilentInterface, new: SilentInterface) -> None:
        """`old` goes on as `new`: its first byte has come, and perhaps still no word."""
        self._callers = [new if caller is old else caller for caller in self._callers]
        self._announced = new if self._announced is old else self._announced

    def discard(self, caller: PeerInterface | SilentInterface) -> None:
        """`caller` is not silent any more, and has the seat."""
        self._callers = [other for other in self._callers if other is not caller]

    def leave(self, *leaving: SilentInterface) -> None:
        """These have gone, or may not call. If one of them was calling, the next one of the others does."""
        gone = [caller for caller in self._callers if caller in leaving]
        self._callers = [caller for caller in self._callers if caller not in gone]
        if self._announced is not None and self._announced in gone:
            self._seat.miss_silent(self._announced)
            self.announce()

    def announce(self) -> None:
        """The seat may be free: tells that the first one is calling."""
        if (first := self.calling) is not None:
            new, self._announced = first is not self._announced, first
            self._seat.announce_silent(first, new=new)

    def stop(self) -> None:
        """The daemon stops, which ends all of them: only who was calling is missed."""
        callers, self._callers = self._callers, []
        if self._announced is not None and self._announced in callers:
            self._seat.miss_silent(self._announced)

    @property
    def waiting(self) -> tuple[SilentInterface, ...]:
        return tuple(self._callers)

    @property
    def calling(self) -> SilentInterface | None:
        """The one that the operator could speak to now."""
        return self._callers[0] if self._callers and self._seat.seat_is_free() else None

    @property
    def first(self) -> SilentInterface:
        """The one that the operator speaks to next. Raises UsageError if there is none."""
        if not self._callers:
            raise UsageError("No caller waits for you to speak first.")
        return self._callers[0]
