"""Limits the wrong invitations that the daemon looks at, so that guessing one is hopeless. Knows no connection."""

from __future__ import annotations

from collections import Counter

WINDOW_SECONDS = 3600.0
"""The time in which wrong invitations are counted; then all counts begin anew."""

GUESSES_OF_ADDRESS = 10
"""Wrong invitations of one address (`caller_events.network_of`) in that time: more than a user tries who calls the
wrong port."""

GUESSES_OF_ALL = 1000
"""Wrong invitations of all addresses in that time. At this rate, guesses at one of 1,000 open invitations have a
chance of one in a million in 100 million years. It also limits the memory for the addresses."""


class Guesses:
    """Counts the wrong invitations."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._since = float("-inf")

    def count(self, network: str) -> None:
        """A caller from `network` has shown a wrong invitation."""
        self._counts[network] += 1

    def are_too_many(self, network: str, now: float) -> bool:
        """Whether invitations from `network`, or from everywhere, are refused unread."""
        if now - self._since >= WINDOW_SECONDS:
            self._counts.clear()
            self._since = now
        return self._counts[network] >= GUESSES_OF_ADDRESS or self._counts.total() >= GUESSES_OF_ALL
