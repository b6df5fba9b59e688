"""Whether the journal works: when the daemon tells both sides, and when it has to read the journal again."""

from __future__ import annotations

import logging
from collections.abc import Callable

from pychat_client.protocol import wire

FAILED = "pychatd cannot store messages now (is its disk full?). It delivers them when it can."
WORKS_AGAIN = "Messages are stored again."

log = logging.getLogger("pychatd")


class JournalHealth:
    """Remembers the journal's failures. Two facts: an outage that was reported lasts until a message is stored;
    what an error has left open lasts until the journal is read again."""

    def __init__(self, broadcast: Callable[[wire.Notice], None]) -> None:
        self.needs_reload = False
        self._outage_reported = False
        self._broadcast = broadcast

    def failed(self) -> None:
        """Tells both ends, once for each outage. The journal may hold more than it has confirmed: a commit of
        which the sync failed."""
        self.needs_reload = True
        if not self._outage_reported:
            self._outage_reported = True
            self._broadcast(wire.Notice(FAILED))

    def reloaded(self) -> None:
        self.needs_reload = False

    def stored(self) -> None:
        """A message has been stored."""
        if self._outage_reported:
            self._outage_reported = False
            log.info("The journal can be written again")
            self._broadcast(wire.Notice(WORKS_AGAIN))
