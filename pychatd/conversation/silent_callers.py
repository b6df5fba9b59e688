"""The callers that are connected and have said nothing: the operator is told of one at a time.

Some classic programs wait to be spoken to. Others of these connections are people who still type, and programs
that look for open ports. None of them has the seat.
"""

from __future__ import annotations

from collections.abc import Callable

from pychat_client.errors import UsageError
from pychat_client.protocol import wire
from pychatd.conversation.ports import SilentPort

SEEN_SECONDS = 1.0
"""How long a caller says nothing before the operator is told: programs of version 1 say hello at once."""

SILENT_SECONDS = 600.0
"""How long such a caller may wait until the operator speaks."""


class SilentCallers:
    """Those of one service, in the order of their calls."""

    def __init__(self, notify: Callable[[wire.Notice], bool]) -> None:
        """notify: tells the operator, if one is there who can talk to a caller now; returns whether."""
        self._notify = notify
        self._callers: dict[SilentPort, None] = {}
        self._shown: SilentPort | None = None

    def __bool__(self) -> bool:
        return bool(self._callers)

    def add(self, caller: SilentPort) -> None:
        self._callers[caller] = None
        self.show()

    def replace(self, old: SilentPort, new: SilentPort) -> None:
        """`old` goes on as `new`: its first byte has come, and perhaps still no word."""
        if old in self._callers:
            self._callers = {new if one is old else one: None for one in self._callers}
            self._shown = new if self._shown is old else self._shown

    def remove(self, caller: SilentPort) -> None:
        """It has said hello, or has gone."""
        self._callers.pop(caller, None)
        if self._shown is caller:
            self._shown = None
            self.show()

    def show(self, *, again: bool = False) -> None:
        """Tells the operator of the first one. again: it may be another operator."""
        first = next(iter(self._callers), None)
        if first is not None and (again or self._shown is not first):
            shown = self._notify(wire.Notice(_words(first.address)))
            self._shown = first if shown else None

    @property
    def first(self) -> SilentPort:
        """The one that the operator can speak to. Raises UsageError if there is none."""
        for caller in self._callers:
            return caller
        raise UsageError("Nobody is connected who waits to be spoken to.")


def _words(address: str) -> str:
    return (
        f"A caller at {address} is connected, and has said nothing yet. "
        "If it is a classic program that waits for you, \\greet lets you speak first."
    )
