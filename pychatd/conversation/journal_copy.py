"""A copy of the journal's file, as it is at one moment, while the service goes on.

The write-ahead log is written into the file first; from then on new messages stay in the log, so nothing changes
the file while it is read. Copying its pages as SQLite does would need the same space once more on the disk. Knows
the file and the connection that SQLite has to it, no conversations.
"""

from __future__ import annotations

import os
import sqlite3
import sys
from pathlib import Path

from pychat_client.errors import PychatError

WAL_MAX = 500_000_000
"""Bytes of the write-ahead log, from which on a copy is given up: a reader that takes a piece now and then must
not fill the disk."""

WAL_PAGES = 1000
"""Pages in the write-ahead log, from which on SQLite writes it into the file: its default."""


class CopyError(PychatError):
    """The copy cannot be made, or completed. The journal itself is fine."""


class LockedError(CopyError):
    """Another program uses the journal, such as its daemon."""


class JournalCopy:
    """Owns the state of being copied. Knows a descriptor that stays open: closing it would end SQLite's lock."""

    def __init__(self, connection: sqlite3.Connection, path: Path, descriptor: int) -> None:
        """Raises sqlite3.Error and OSError."""
        self._log = path.with_name(f"{path.name}-wal")
        self._descriptor = descriptor
        self._connection: sqlite3.Connection | None = connection
        busy = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
        if busy:
            raise sqlite3.OperationalError("its write-ahead log is in use")
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        if sys.platform == "linux":
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_SEQUENTIAL)
        self.size = os.fstat(descriptor).st_size

    def read(self, offset: int, size: int) -> bytes:
        """The next bytes; none behind the last one. Raises CopyError."""
        if self._connection is None:
            raise CopyError("The journal failed during the backup: try again.")
        try:
            if self._log.stat().st_size > WAL_MAX:
                raise CopyError("The backup was too slow, and too many messages came meanwhile: try again.")
            return os.pread(self._descriptor, min(size, self.size - offset), offset)
        except OSError as error:
            raise CopyError(f"The journal cannot be read: {error.strerror}.") from None

    def end(self) -> None:
        """From here on the log is written into the file again. Raises sqlite3.Error."""
        if self._connection is not None:
            connection, self._connection = self._connection, None
            connection.execute(f"PRAGMA wal_autocheckpoint = {WAL_PAGES}")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # what was removed meanwhile is still in it

    def lose(self) -> None:
        """The connection of SQLite is over, and the file changes."""
        self._connection = None


def hold(path: Path) -> tuple[sqlite3.Connection, JournalCopy]:
    """A copy of the journal of a service that does not run; nobody can use the journal until the connection is
    closed. Raises CopyError; LockedError if a program uses it now."""
    try:
        db = sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, isolation_level=None, timeout=0.5)
        try:
            db.execute("PRAGMA locking_mode = EXCLUSIVE")
            return db, JournalCopy(db, path, os.open(path, os.O_RDONLY | os.O_CLOEXEC))
        except BaseException:
            db.close()
            raise
    except (sqlite3.Error, OSError) as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY:  # the primary result code
            raise LockedError(f"A program uses the journal {path}.") from None
        raise CopyError(f"The journal {path} cannot be copied: {error}.") from None
