"""A promise is broken in a small world."""

from __future__ import annotations


class BrokenError(AssertionError):
    """A promise is broken."""


def must(condition: bool, promise: str) -> None:
    if not condition:
        raise BrokenError(promise)
