"""What waits for the operator: how many messages that no console has shown, of whom, and since when."""

from __future__ import annotations

from datetime import datetime

from pychat_client.protocol.turns import Role
from pychat_client.records import record
from pychatd.conversation.journal import Journal
from pychatd.conversation.model import Conversation
from pychatd.conversation.quota import UNREAD_CONVERSATIONS_MAX

HANDLES_MAX = 5
"""Callers that are named: the status is a line, and the history has all of them."""


@record
class Unread:
    """count: messages; handles: who sent them, the first ones; since: when the oldest came, None without any."""

    count: int = 0
    handles: tuple[str, ...] = ()
    since: datetime | None = None


def unread(journal: Journal, running: Conversation | None) -> Unread:
    """What waits now. running: the running conversation, whose counts are newer than the journal's. Raises
    JournalError."""
    found = journal.unread_counts(UNREAD_CONVERSATIONS_MAX)
    if running is not None and (count := running.unread(Role.PEER)):
        first = journal.entries(running.id, running.shown[Role.OPERATOR], Role.PEER, limit=1)
        found += [(running.handle, count, first[0].time if first else running.started)]
    return Unread(
        sum(count for _, count, _ in found),
        tuple(dict.fromkeys(handle for handle, _, _ in found))[:HANDLES_MAX],
        min((since for _, _, since in found), default=None),
    )
