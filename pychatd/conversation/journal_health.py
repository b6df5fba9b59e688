"""Whether the journal works: when the daemon tells both sides, and when it has to read the journal again."""

from __future__ import annotations

import logging
from collections.abc import Callable
from enum import Enum

from pychat_client.protocol import wire
from pychatd.conversation.model import JournalError, JournalFullError

FAILED = "pychatd cannot store messages now (is its disk full?)."
WORKS_AGAIN = "pychatd can store messages again."

log = logging.getLogger("pychatd")


class Health(Enum):
    """What both ends know of the journal. A failure lasts until a message is stored, or a look shows that it is
    over."""

    WORKS = "messages are stored"
    LIMITED = "a limit was reached"
    FAILED = "an error was reported"


class JournalHealth:
    """Remembers the journal's failures. Two facts: an outage that was reported lasts as Health says; what an error
    has left open lasts until the journal is read again."""

    def __init__(self, broadcast: Callable[[wire.Notice], None]) -> None:
        self.needs_reload = False
        self.state = Health.WORKS
        self._found = ""  # the last look at the journal: what is wrong
        self._broadcast = broadcast

    @property
    def works(self) -> bool:
        """Whether messages can be stored, as far as is known."""
        return self.state is Health.WORKS

    def failed(self, error: JournalError) -> None:
        """Logs the error, and tells both ends, once for each outage. After all errors but those of a limit, the
        journal may hold more than it has confirmed: a commit of which the sync failed."""
        full = isinstance(error, JournalFullError)
        self.needs_reload = self.needs_reload or not full
        if full and not self.works:
            return
        _log(logging.ERROR, str(error))
        if self.works:
            self._broadcast(wire.Notice(str(error) if full else FAILED))
        self.state = Health.LIMITED if full else Health.FAILED

    def looked(self, error: JournalError | None) -> None:
        """Somebody has asked, and this is what a look at the journal and its limits has shown; after a failure, a
        try to write. Logs it once."""
        found = "" if error is None else str(error)
        if found and found != self._found:
            _log(logging.ERROR, found)
        self._found = found
        if error is None and not self.needs_reload:
            self.stored()

    def reloaded(self) -> None:
        self.needs_reload = False

    def stored(self) -> None:
        """A message has been stored, or could be."""
        if not self.works:
            self._over()

    def _over(self) -> None:
        self.state = Health.WORKS
        _log(logging.INFO, "The journal can be written again")
        self._broadcast(wire.Notice(WORKS_AGAIN))


def _log(level: int, words: str) -> None:
    """A disk can fail as often as somebody says something: the log has it once in a minute (log_limit)."""
    log.log(level, "%s", words, extra={"repeats": True})
