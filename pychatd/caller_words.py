"""Sentences that the daemon and the programs that ask it both say: of who calls, what waits, and the journal."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pychat_client.phrases import counted
from pychat_client.text import printable

DIRECTORY_MAX = 85
"""Characters of a directory's name, in ASCII, that fit into a notice beside the words of `was_damaged`."""


def told(directory: Path) -> str:
    """The name of a directory; "" if it is too long for a notice."""
    name = str(directory)
    return name if len(ascii(name)) <= DIRECTORY_MAX else ""


def was_damaged(directory: str) -> str:
    """directory: of the journal, as `told` gives it."""
    place = printable(directory) or "its directory"
    return (
        "The journal was damaged, and pychatd has begun a new one. "
        f"When nobody needs the damaged file, move it out of {place}."
    )


def silent_words(address: str) -> str:
    """A caller is connected, and nothing else is known of it."""
    return f"A caller at {printable(address)} is connected, and has said nothing yet."


def unread_words(count: int, handles: Sequence[str], since: str = "") -> str:
    """How many messages wait, of whom and since when; empty if none waits."""
    if not count:
        return ""
    return f"{counted(count, 'unread message')} from {', '.join(map(printable, handles))}{since}."
