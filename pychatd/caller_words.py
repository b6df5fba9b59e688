"""Sentences that the daemon and the programs that ask it both say: of who calls, what waits, and numbers."""

from __future__ import annotations

from collections.abc import Sequence

from pychat_client.errors import UsageError
from pychat_client.text import counted, printable


def conversation_number(word: str) -> int:
    """A number as the journal gives it to a conversation, from 1 on. Raises UsageError."""
    if not (word.isascii() and word.isdigit() and len(word) <= 18 and int(word)):
        raise UsageError(f"'{printable(word[:80])}' is not the number of a conversation.")
    return int(word)


def silent_words(address: str) -> str:
    """A caller is connected, and nothing else is known of it."""
    return f"A caller at {printable(address)} is connected, and has said nothing yet."


def unread_words(count: int, handles: Sequence[str], since: str = "") -> str:
    """How many messages wait, of whom and since when; empty if none waits."""
    if not count:
        return ""
    return f"{counted(count, 'unread message')} from {', '.join(map(printable, handles))}{since}."
