"""A token bucket: how much may happen in a second."""

from __future__ import annotations

from math import inf


class TokenBucket:
    """Fills with time, up to a burst. More can be taken than there is; the debt is paid first then."""

    def __init__(self) -> None:
        self._tokens = inf  # cut to the burst at the first use
        self._filled_at = 0.0

    def spend(self, count: float, rate: float, burst: float, now: float) -> float:
        """Takes `count` tokens. Returns after how many seconds, at `rate` tokens a second, the debt is paid."""
        self._tokens = min(burst, self._tokens + (now - self._filled_at) * rate) - count
        self._filled_at = now
        return max(0.0, -self._tokens / rate)
