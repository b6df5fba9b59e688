"""What a read leads to: the links that are written to while it is being handled.

An ack, a sign that something was read and the message behind it, each to the end it is for, leave together
when the read has been handled: one record of TLS and one system call a link, not three.
"""

from __future__ import annotations

from typing import Protocol


class Writer(Protocol):
    """A link with something to write."""

    def flush(self) -> None: ...


class Outgoing:
    """There is one in a process, as there is one event loop, and it handles one read at a time."""

    def __init__(self) -> None:
        self.held = False  # a read is being handled
        self.links: dict[Writer, None] = {}

    def release(self) -> None:
        """The read has been handled: what waited for its end is written."""
        self.held = False
        links = list(self.links)
        self.links.clear()
        for link in links:
            link.flush()


outgoing = Outgoing()
