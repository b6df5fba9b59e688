"""A disk that loses its power: what is left of a SQLite file then.

SQLite writes into the file itself only what it has synced in the write-ahead log, and syncs it there before it
begins the log anew. So only the log loses something: what was appended since its last sync. Any sectors of that
may be there. A file that was removed stays so: its directory was synced.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random

SECTOR = 512
"""Bytes that a disk writes whole, or not at all."""

FULL = 2
"""SQLite's number for `synchronous = FULL`: it syncs each commit before it returns."""

_LOG_HEADER, _PAGE_HEADER = 32, 24
"""Bytes before the pages of a log, and before each page. Both have the log's salt: older pages have another."""


@dataclass(frozen=True)
class LogEnd:
    """How far a log goes. salt: changes when SQLite begins it anew."""

    salt: bytes = b""
    size: int = 0


NOWHERE = LogEnd()
"""The end of a log that is empty."""


def memory() -> str | None:
    """A place for files in memory, where there is one: a run makes some, and throws them away."""
    return "/dev/shm" if Path("/dev/shm").is_dir() else None


@contextmanager
def left_alone(file: Path) -> Iterator[None]:
    """The program that has this file is gone, and does not tidy it up: what closes it here changes nothing."""
    left = {path: path.read_bytes() for path in (file, log_of(file)) if path.exists()}
    yield
    for path, data in left.items():
        path.write_bytes(data)


def log_of(file: Path) -> Path:
    return file.with_name(f"{file.name}-wal")


def end_of(log: Path, known: LogEnd = NOWHERE) -> LogEnd:
    """Behind the last page of a log. known: where it was before."""
    try:
        fd = os.open(log, os.O_RDONLY)
    except FileNotFoundError:
        return NOWHERE
    header = os.pread(fd, _LOG_HEADER, 0)
    if len(header) < _LOG_HEADER:
        os.close(fd)
        return NOWHERE
    page, salt = _PAGE_HEADER + int.from_bytes(header[8:12]), header[16:24]
    size = known.size if known.salt == salt else _LOG_HEADER
    while os.pread(fd, len(salt), size + 8) == salt:
        size += page
    os.close(fd)
    return LogEnd(salt, size)


def lose_power(log: Path, synced: LogEnd, rng: Random) -> bool:
    """Keeps of a log what was synced, and what chance has left of the rest. Returns whether that is all of it."""
    end = end_of(log)
    begin = synced.size if synced.salt == end.salt else 0
    if begin >= end.size:
        return True
    whole = log.read_bytes()[: end.size]
    left = bytearray(whole)
    share = rng.choice((0.0, 0.0, 0.1, 0.5, 1.0))
    lost = [start for start in range(begin, end.size, SECTOR) if rng.random() < share]
    for start in lost:
        sector = slice(start, min(start + SECTOR, end.size))
        left[sector] = bytes(sector.stop - sector.start)
    if lost and rng.random() < 0.5:  # nor has the system noted how long the file is
        del left[lost[0] :]
    log.write_bytes(left)
    return left.ljust(end.size, b"\0") == whole  # a sector of zeros is not missed
