"""A token bucket: how many messages a second are read."""

from __future__ import annotations


class TokenBucket:
    """Fills with time, up to one second's worth; each message takes one token."""

    def __init__(self) -> None:
        self._tokens = 0.0
        self._filled_at = 0.0

    def spend(self, count: int, rate: float, now: float) -> float:
        """Takes `count` tokens. Returns after how many seconds, at `rate` tokens a second, the debt is paid."""
        self._tokens = min(rate, self._tokens + (now - self._filled_at) * rate) - count
        self._filled_at = now
        return max(0.0, -self._tokens / rate)
