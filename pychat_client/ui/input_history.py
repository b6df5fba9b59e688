"""What was typed before: a file of the user's own, its newest lines, each once.

The file has the toolkit's format: a comment with the time, then the lines of an entry, each behind a `+`.
"""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator
from contextlib import suppress
from pathlib import Path

from prompt_toolkit.history import FileHistory, History, InMemoryHistory

HISTORY_MAX = 1000
"""Entries kept: years of talk, read in a few milliseconds."""


def open_history(path: Path | None) -> History:
    """A history in `path`, made 0600 and cut to its newest entries; in memory for None, or if that fails."""
    if path is None:
        return _MemoryHistory()
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_APPEND | os.O_RDWR, 0o600))
        path.chmod(0o600)
        trim_history(path)
    except OSError:
        return _MemoryHistory()
    return _OwnHistory(str(path))


class _Sparing(History):
    """A line that begins with a space is not kept, and of equal lines only the newest is shown."""

    def append_string(self, string: str) -> None:
        if not string.startswith(" "):
            super().append_string(string)

    async def load(self) -> AsyncGenerator[str, None]:
        seen = set()
        async for string in super().load():
            if string not in seen:
                seen.add(string)
                yield string


class _MemoryHistory(_Sparing, InMemoryHistory):
    """For this run only."""


class _OwnHistory(_Sparing, FileHistory):
    """A disk that is full costs the line in the file, and nothing on the screen."""

    def store_string(self, string: str) -> None:
        with suppress(OSError):
            super().store_string(string)


def trim_history(path: Path) -> None:
    """Keeps the newest HISTORY_MAX entries, and of equal ones the newest."""
    before = path.read_bytes()
    entries = [entry for entry in before.split(b"\n# ")[1:] if b"\n+" in entry]
    newest: dict[bytes, bytes] = {}
    for entry in reversed(entries):
        newest.setdefault(entry.partition(b"\n+")[2].rstrip(b"\n"), entry.rstrip(b"\n"))
    kept = [*newest.values()][:HISTORY_MAX]
    if len(kept) < len(entries):
        new = path.with_suffix(".new")
        new.touch(mode=0o600)
        new.write_bytes(b"".join(b"\n# " + entry + b"\n" for entry in reversed(kept)))
        new.replace(path)
