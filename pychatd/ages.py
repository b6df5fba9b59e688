"""How long ago or for how long, as a user writes it: 90s, 30m, 12h or 7d."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta

from pychat_client.errors import UsageError
from pychat_client.text import printable

_AGE = re.compile("([0-9]{1,6})([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def parse_age(word: str) -> timedelta | None:
    """The time that `word` is; None for another word."""
    found = _AGE.fullmatch(word)
    return None if found is None else timedelta(**{_UNITS[found[2]]: int(found[1])})


def age_of(least: str) -> Callable[[str], timedelta]:
    """Reads a time of `least` or more from the command line. What it returns raises UsageError."""
    low = parse_age(least)
    assert low is not None

    def read(word: str) -> timedelta:
        age = parse_age(word)
        if age is None or age < low:
            raise UsageError(f"'{printable(word[:80])}' is not a time of {least} or more, such as 30m, 12h or 7d.")
        return age

    return read
