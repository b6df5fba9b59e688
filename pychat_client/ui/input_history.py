"""The lines that the user has typed before, in a file that only the user can read.

The file has prompt_toolkit's format: a comment with the time, then the lines of an entry, each after a `+`.
"""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator
from contextlib import suppress
from pathlib import Path

from prompt_toolkit.history import FileHistory, History, InMemoryHistory

from pychat_client.errors import PychatError
from pychat_client.files import open_own, write_private

HISTORY_MAX = 1000
"""Entries in the file. So many are read in a few milliseconds."""


def open_history(path: Path | None) -> History:
    """The history in `path`, with mode 0600 and only its newest entries. In memory for None, or if that fails, as
    with a link to /dev/null."""
    if path is None:
        return _MemoryHistory()
    try:
        os.close(open_own(path, os.O_CREAT | os.O_APPEND | os.O_RDWR))
        trim_history(path)
    except (OSError, PychatError):
        return _MemoryHistory()
    return _OwnHistory(str(path))


class _Sparing(History):
    """Does not save a line that begins with a space, and shows only the newest of equal lines."""

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
    """Is lost when the program ends."""


class _OwnHistory(_Sparing, FileHistory):
    """If the disk is full, a line is not saved, and the user is not disturbed."""

    def store_string(self, string: str) -> None:
        savable = string.encode(errors="replace").decode()  # old toolkits fail for a byte that is not UTF-8
        with suppress(OSError):
            super().store_string(savable)


def trim_history(path: Path) -> None:
    """Keeps the newest HISTORY_MAX entries, and only the newest of equal ones."""
    before = path.read_bytes()
    entries = [entry for entry in before.split(b"\n# ")[1:] if b"\n+" in entry]
    newest: dict[bytes, bytes] = {}
    for entry in reversed(entries):
        newest.setdefault(entry.partition(b"\n+")[2].rstrip(b"\n"), entry.rstrip(b"\n"))
    kept = [*newest.values()][:HISTORY_MAX]
    if len(kept) < len(entries):
        write_private(path, b"".join(b"\n# " + entry + b"\n" for entry in reversed(kept)), "typed lines")
