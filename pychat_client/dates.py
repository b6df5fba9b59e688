"""How a day is written for people."""

from __future__ import annotations

from datetime import UTC, datetime


def day(moment: datetime) -> str:
    """Such as "27 November", by the clock of this host; with its year if that is not the present one."""
    there, now = moment.astimezone(), datetime.now(UTC).astimezone()
    return f"{there:%d %B}" if there.year == now.year else f"{there:%d %B %Y}"
