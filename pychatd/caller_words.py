"""Sentences that the daemon and the programs that ask it both say: of who calls, what waits, and the journal."""

from __future__ import annotations

from collections.abc import Sequence

from pychat_client.phrases import counted
from pychat_client.text import printable

WAS_DAMAGED = (
    "The journal was damaged, and pychatd has begun a new one. The damaged file lies beside it: when nobody needs "
    "it any more, move it away."
)


def silent_words(address: str) -> str:
    """A caller is connected, and nothing else is known of it."""
    return f"A caller at {printable(address)} is connected, and has said nothing yet."


def unread_words(count: int, handles: Sequence[str], since: str = "") -> str:
    """How many messages wait, of whom and since when; empty if none waits."""
    if not count:
        return ""
    return f"{counted(count, 'unread message')} from {', '.join(map(printable, handles))}{since}."
