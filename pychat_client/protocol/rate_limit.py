"""Signs: what one user's program tells the other's besides words: that its user types, and rings.

How often an end may give one, and for how long one is shown (docs/protocol.md, "Signs"). Programs and
daemon keep the same clock of it. No IO; time is an argument.
"""

from __future__ import annotations

from pychat_client.protocol import wire

Sign = wire.Typing | wire.Ring

TYPING_EVERY = 3.0
"""Seconds between two signs of typing: often enough to be believed, and under a packet for a sentence."""

RING_EVERY = 10.0
"""Seconds between two rings: nobody can make a terminal on another host ring without end."""

TYPING_SHOWN = 7.0
"""Seconds that a sign of typing is shown: one that is lost or late makes nothing flicker."""

LATE = 1.0
"""Seconds by which the daemon lets two signs be too close: the way to it may hold up the first of them."""


class Signs:
    """When one end may give its next sign of each kind."""

    def __init__(self, slack: float = 0.0) -> None:
        """slack: seconds by which a sign may be early."""
        self._slack = slack
        self._due: dict[type[Sign], float] = {}

    def wait(self, sign: Sign, now: float) -> float:
        """Seconds until `sign` may be given; 0.0 when it may be now."""
        return max(0.0, self._due.get(type(sign), now) - self._slack - now)

    def give(self, sign: Sign, now: float) -> bool:
        """Whether `sign` may be given now; if so, the next one has to wait."""
        if self.wait(sign, now) > 0:
            return False
        self._due[type(sign)] = now + (RING_EVERY if isinstance(sign, wire.Ring) else TYPING_EVERY)
        return True
