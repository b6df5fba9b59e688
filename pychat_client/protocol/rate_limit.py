"""How often an end can send a sign, and how long the other end shows it (docs/protocol.md, "Signs").

A sign says that a user is typing, or rings for attention. Both ends and the daemon use these limits; only drafts
are not limited by the daemon, because the last one has to arrive. Time is an argument.
"""

from __future__ import annotations

from pychat_client.protocol import wire

Sign = wire.Typing | wire.Ring

TYPING_EVERY = 3.0
"""Seconds between two signs of typing: fresh enough to be true, and less than one packet a sentence."""

DRAFT_EVERY = 0.3
"""Seconds between two drafts of live typing: it looks smooth, and a fast typist does not cost a packet a letter.
XEP-0301 asks for at most 0.7, ITU-T F.700 for less than 1."""

RING_EVERY = 10.0
"""Seconds between two rings, so that a terminal on another host does not ring without end."""

TYPING_SHOWN = 7.0
"""Seconds that a sign of typing is shown: long enough that a lost or late one makes nothing flicker."""

LATE = 1.0
"""Seconds by which the receiver lets a sign be early: the network can have delayed the one before it."""


class Signs:
    """When one end can send its next sign of each kind."""

    def __init__(self, slack: float = 0.0) -> None:
        """slack: seconds by which a sign can be early."""
        self._slack = slack
        self._due: dict[type[Sign], float] = {}

    def wait(self, sign: Sign, now: float) -> float:
        """Seconds until `sign` can be sent; 0.0 for now."""
        return max(0.0, self._due.get(type(sign), now) - self._slack - now)

    def give(self, sign: Sign, now: float) -> bool:
        """Whether `sign` can be sent now. If so, the next one has to wait."""
        if self.wait(sign, now) > 0:
            return False
        self._due[type(sign)] = now + (RING_EVERY if isinstance(sign, wire.Ring) else TYPING_EVERY)
        return True
