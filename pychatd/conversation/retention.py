"""What the journal does not keep: conversations and texts that `keep` or an order removes.

It removes them a piece at a time, so that nobody waits for it, and goes on after a restart. Knows no connections.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime, timedelta

from pychat_client.protocol.turns import Role
from pychatd.conversation.journal import Journal
from pychatd.conversation.model import Conversation, JournalError
from pychatd.conversation.tidying import Tidying
from pychatd.settings import Settings

log = logging.getLogger("pychatd")


class Retention:
    """Removes from one journal."""

    def __init__(
        self, journal: Journal, removed: Callable[[], None], failed: Callable[[JournalError], None]
    ) -> None:
        """removed: called when a conversation is gone; failed: told the error of a piece that was done later."""
        self._journal = journal
        self._removed = removed
        self._failed = failed
        self._tidying = Tidying(failed)

    def prune(self, settings: Settings, now: datetime) -> None:
        """Removes what `keep` does not keep, and the rest of what was removed in part when the daemon stopped or
        the journal failed."""
        try:
            for number in self._journal.removals():
                self.remove(number)
            if settings.keep == "none":
                self._tidying.start("forget", self._journal.forget_shown)
            elif (days := settings.keep_days) is not None:
                self._prune_older(now, days)
        except JournalError as error:
            self._failed(error)

    def _prune_older(self, now: datetime, days: int) -> None:
        """Removes the conversations that ended longer ago. Raises JournalError."""
        before = now - timedelta(days=days)

        def piece() -> bool:
            removed, more = self._journal.prune(before)
            if removed:
                log.info("Removed %d conversations that ended more than %d days ago", removed, days)
            return more

        self._tidying.start("prune", piece)

    def remove(self, number: int) -> None:
        """Removes a conversation that is over, a piece now and the others later. Raises JournalError."""

        def piece() -> bool:
            more = self._journal.remove(number)
            if not more:
                self._removed()
            return more

        self._tidying.start(("remove", number), piece)

    def forget(self, conversation: Conversation, role: Role) -> None:
        """Removes the texts of `role` that the other side has seen. Raises JournalError."""
        self._tidying.start(
            (conversation.id, role),
            lambda: self._journal.forget_text(conversation, role, conversation.shown[role.other]),
        )

    def stop(self) -> None:
        """Removes nothing more: the next start goes on."""
        self._tidying.stop()
