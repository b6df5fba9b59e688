"""Watches how long the oldest own message waits for its confirmation.

A dead network says nothing. So after a few seconds the session asks the other side for a sign of life.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from pychat_client.protocol.endpoint import Endpoint

LATE_SECONDS = 3.0
"""After this time a message counts as late: a confirmation takes a round trip and a sync of the other disk."""


class DeliveryWatch:
    """The wait for one endpoint's confirmations."""

    def __init__(self, endpoint: Endpoint, late: Callable[[], None]) -> None:
        """late: is called when a message is late, and every LATE_SECONDS from then on."""
        self._endpoint = endpoint
        self._late = late
        self._stored = 0  # messages when the wait began
        self._since = 0.0
        self._timer: asyncio.TimerHandle | None = None

    @property
    def seconds(self) -> float | None:
        """For how long a message has been late; None if none is."""
        if self._timer is None:
            return None
        waited = asyncio.get_running_loop().time() - self._since
        return waited if waited >= LATE_SECONDS else None

    def update(self, *, connected: bool) -> None:
        """Something was sent, confirmed, or the connection has changed."""
        waits = connected and bool(self._endpoint.unacked) and not self._endpoint.calls_classic_server
        if self._timer is not None and waits and self._stored == self._endpoint.stored_count:
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if waits:
            self._stored = self._endpoint.stored_count
            self._since = asyncio.get_running_loop().time()
            self._set_timer()

    def _set_timer(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(LATE_SECONDS, self._on_timer)

    def _on_timer(self) -> None:
        self._set_timer()
        self._late()
