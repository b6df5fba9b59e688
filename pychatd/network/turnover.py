"""Which newcomers may take the place of another connection, so that a crowd costs little and delays nobody.

A newcomer pays for a place, and pays more if its network has called often. So in a crowd that calls again and
again, those who have hardly called yet nearly always get a place. Knows networks and times, no connection.
"""

from __future__ import annotations

from collections import Counter

from pychatd.conversation.token_bucket import TokenBucket

TURNOVER = 1.0
"""How often in a second all places may change hands, if all newcomers call for the first time. So each keeps its
place for a second on average, in which a handshake and a hello arrive from anywhere, and a crowd costs few
handshakes."""

PRICE_MAX = 8
"""What a place costs at most, in first calls: so seven of eight first calls get in among a crowd that always calls
again. Those who share the address of such a crowd still have a chance."""

BURST_SECONDS = 4.0
"""So much is saved for a sudden crowd."""

NEIGHBOURS_RATE = 256.0
"""Places a second that go to newcomers of networks that have all of theirs. Only these lose by that, so a program
that calls quickly is served; the limit is for the processor."""

HALF_LIFE = 30.0
"""Seconds after which calls count half: who is put out and calls again with growing pauses pays little."""

NETWORKS_MAX = 8192
"""Networks whose calls are counted, to bound the memory; a call from one more counts as its first."""


class Turnover:
    """The account of newcomers."""

    def __init__(self) -> None:
        self._account = TokenBucket()
        self._neighbours = TokenBucket()
        self._calls: Counter[str] = Counter()  # counted while all places are taken
        self._since = 0.0

    def allows(self, network: str, places: int, now: float) -> bool:
        """Whether a newcomer from `network` may take one of so many `places`; if so, it has paid."""
        self._forget(now)
        if network in self._calls or len(self._calls) < NETWORKS_MAX:
            self._calls[network] += 1
        rate = TURNOVER * places
        price = min(max(1, self._calls[network]), PRICE_MAX)
        return self._account.take(price, rate, max(rate * BURST_SECONDS, PRICE_MAX), now)

    def allows_neighbour(self, now: float) -> bool:
        """Whether a newcomer may take the place of one of its own network, which has no more places."""
        return self._neighbours.take(1, NEIGHBOURS_RATE, NEIGHBOURS_RATE * BURST_SECONDS, now)

    def _forget(self, now: float) -> None:
        half_lives = int((now - self._since) / HALF_LIFE)
        if half_lives > 0:
            halved = {network: calls >> half_lives for network, calls in self._calls.items()}
            self._calls = Counter({network: calls for network, calls in halved.items() if calls})
            self._since = now
