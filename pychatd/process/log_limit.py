"""Keeps strangers from filling the log: the first lines of an address and kind of event, then a count a minute."""

from __future__ import annotations

import logging
from collections import Counter

from pychatd.caller_events import Event, network_of, note

FIRST = 5
"""Lines in a minute of one address and kind that are written in full: enough to see what it is."""

COUNTED_MAX = 256
"""Addresses and kinds in a minute that are counted on their own: memory and lines stay limited."""

OTHERS = "other addresses"

Key = tuple[Event, str]


class LogLimit(logging.Filter):
    """Drops the lines that are too many, and counts them."""

    def __init__(self) -> None:
        super().__init__()
        self._counts: Counter[Key] = Counter()  # in this minute

    def filter(self, record: logging.LogRecord) -> bool:
        event: Event | None = getattr(record, "event", None)
        if event is None or getattr(record, "more", None) is not None:
            return True
        key = (event, network_of(record.peer))  # type: ignore[attr-defined]  # caller_events.note sets both
        if key not in self._counts and len(self._counts) >= COUNTED_MAX:
            key = (event, OTHERS)
        self._counts[key] += 1
        return self._counts[key] <= FIRST

    def begin_minute(self) -> None:
        """Writes how many lines were dropped in the minute before."""
        counts, self._counts = self._counts, Counter()
        for (event, network), count in counts.items():
            if count > FIRST:
                more = count - FIRST
                note(
                    event,
                    network,
                    "%s more like this (%s) in the last minute",
                    f"{more:,}",
                    event.value,
                    more=more,
                )
