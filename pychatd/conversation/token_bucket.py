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
        self._fill(rate, burst, now)
        self._tokens -= count
        return max(0.0, -self._tokens / rate)

    def take(self, count: float, rate: float, burst: float, now: float) -> bool:
        """Takes `count` tokens if there are so many."""
        self._fill(rate, burst, now)
        if self._tokens < count:
            return False
        self._tokens -= count
        return True

    def _fill(self, rate: float, burst: float, now: float) -> None:
        self._tokens = min(burst, self._tokens + (now - self._filled_at) * rate)
        self._filled_at = now
