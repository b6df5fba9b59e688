"""Keeps the log short: of an address and kind of event the first lines, then a count a minute; of a line that says
again what fails, the first."""

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

log = logging.getLogger("pychatd")


class LogLimit(logging.Filter):
    """Drops the lines that are too many, and counts them."""

    def __init__(self) -> None:
        super().__init__()
        self._counts: Counter[Key] = Counter()  # in this minute
        self._repeated: Counter[tuple[int, str]] = Counter()  # likewise, by the level and the words of the line

    def filter(self, record: logging.LogRecord) -> bool:
        if getattr(record, "more", None) is not None:
            return True
        if getattr(record, "repeats", False):
            line = (record.levelno, record.getMessage())
            self._repeated[line] += 1
            return self._repeated[line] == 1
        event: Event | None = getattr(record, "event", None)
        if event is None:
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
        repeated, self._repeated = self._repeated, Counter()
        for (level, words), count in repeated.items():
            if more := count - 1:
                counted = f"{more:,} more like this in the last minute"
                log.log(level, "%s: %s", counted, words, extra={"more": more})
