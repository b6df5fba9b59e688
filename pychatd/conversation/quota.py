"""How much the journal takes: of one conversation, of callers together, of the service, and of the disk.

A limit only refuses what is new, with a sentence for its sender, whose program keeps it. Nothing that is stored is
removed. The end of a conversation, and what was seen in it, have no limit.
"""

from __future__ import annotations

from pychat_client.protocol.turns import Role
from pychatd.conversation.journal import Journal
from pychatd.conversation.model import Conversation, JournalFullError, UnreadError

UNREAD_MAX = 20_000
"""Messages of a conversation that the operator has not read, from which on its peer has to wait: what a program
says in some busy days. They take 44 MB at most."""

UNREAD_TOGETHER_MAX = 20_000
"""Messages of all conversations that the operator has not read, from which on no new conversation begins. A caller
that has a conversation may go on in it."""

UNREAD_CONVERSATIONS_MAX = 1000
"""With this many conversations that the operator has not read, no new one begins: a console shows them in a
second, and nobody reads more."""

FREE_PART = 100
FREE_MAX = 100_000_000
"""Of the disk, one part in FREE_PART stays free, but no more bytes than FREE_MAX: other programs need them, and so
does the end of a conversation."""

CHECK_EVERY = 200
"""After so many messages the size and the disk are looked at again: that takes as long as to store two messages.
Meanwhile the journal grows by half a megabyte, and the messages of one read."""

MEGABYTE = 1_000_000


class Quota:
    """The limits of one journal."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._unchecked = 0  # messages that may be stored until the size and the disk are looked at again

    def check(self, conversation: Conversation, role: Role, count: int, journal_max: int) -> None:
        """Raises JournalFullError if messages of `role` in `conversation` cannot be stored now.

        count: of those that are about to be stored; journal_max: in megabytes, 0 for no limit."""
        if role is Role.PEER:
            if conversation.id:
                self._check_unread_of(conversation)
            else:
                self._check_unread_together()
        if self._unchecked <= 0:
            self.check_room(journal_max)
            self._unchecked = CHECK_EVERY
        self._unchecked -= count

    def check_room(self, journal_max: int) -> None:
        """Raises JournalFullError if the journal, or its disk, has no room for a message now."""
        self._check_size(journal_max)
        self._check_disk()

    def check_unread(self, running: Conversation | None) -> None:
        """Raises UnreadError if the running conversation cannot go on, or a new one cannot begin."""
        if running is not None:
            self._check_unread_of(running)
        self._check_unread_together()

    def _check_unread_of(self, conversation: Conversation) -> None:
        if conversation.unread(Role.PEER) >= UNREAD_MAX:
            raise UnreadError(
                f"No more messages are stored until the operator has read some: {UNREAD_MAX:,} are unread."
            )

    def _check_unread_together(self) -> None:
        conversations, messages = self._journal.unread_total(UNREAD_CONVERSATIONS_MAX)
        if conversations >= UNREAD_CONVERSATIONS_MAX or messages >= UNREAD_TOGETHER_MAX:
            raise UnreadError(
                "No new conversation begins until the operator has read some messages: too many messages of other "
                "callers are unread."
            )

    def _check_size(self, journal_max: int) -> None:
        if journal_max and self._journal.size() >= journal_max * MEGABYTE:
            raise JournalFullError(
                f"No more messages are stored: the journal has reached journal_max ({journal_max} MB). The "
                "operator can raise it, or remove conversations."
            )

    def _check_disk(self) -> None:
        free, total = self._journal.disk()
        if free < min(total // FREE_PART, FREE_MAX):
            raise JournalFullError("No more messages are stored: the disk of the journal is nearly full.")
