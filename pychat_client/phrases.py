"""Pieces of English sentences that several modules need."""

from __future__ import annotations

from pychat_client.text import printable


def counted(count: int, noun: str) -> str:
    """So many things: "1 message", "2 messages"."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def of_whose(*counts: tuple[int, str]) -> str:
    """How many of whose messages: "1 of your messages and 2 of Bob's messages"."""
    return " and ".join(f"{count} of {whose} messages" for count, whose in counts if count)


def with_certificate(name: str | None, then: str = "") -> str:
    """Stands behind who calls from where: whose certificate the caller has shown, and `then`. Empty for None."""
    return "" if name is None else f", with the certificate of {printable(name)}{then}"


def had_to_leave(back: str | None) -> str:
    """Stands behind who has called in vain, and had to leave because `back` was back. Empty for None."""
    return "" if back is None else f", who had to leave: {printable(back)} was back"
