"""The SQLite file of a journal: opened, recovered, looked at and copied.

sqlite3.Error becomes JournalError here. After an error the next use opens the file again, so that no restart
is needed when a full disk has space again. A damaged file is set aside. Nothing is written to a file that was
removed or replaced: nobody would find it again. What lies in the tables is not known here.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from pychatd.conversation.journal_copy import CopyError, JournalCopy
from pychatd.conversation.journal_schema import migrate
from pychatd.conversation.model import JournalDamagedError, JournalError

CACHE_KIB = 256
"""Pages of the file kept in memory: enough for the last messages and their index. SQLite's default of 2 MiB is
not faster."""


_Identity = tuple[int, int]
"""The device and the inode of a file."""

DAMAGED = ".damaged-"
"""Begins the end of a damaged file's name; the time follows."""


class _TranslatedErrors:
    """A context that hands on the error which ends it. One object serves every use of a file: contextlib makes a
    generator for each, with seven calls."""

    def __init__(self, hand_on: Callable[[BaseException], None]) -> None:
        self._hand_on = hand_on

    def __enter__(self) -> None:
        return

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if error is not None:
            self._hand_on(error)


class JournalFile:
    """The file of one service."""

    def __init__(self, path: Path, *, full: bool = True) -> None:
        """The first use opens or creates `path` (mode 0600). full: a commit survives a power loss, not only a
        killed process."""
        self._path = path
        self._names = (os.fspath(path), f"{os.fspath(path)}-wal")
        self._full = full
        self._translated = _TranslatedErrors(self._translate)
        self._connection: sqlite3.Connection | None = None
        self._opened: list[_Identity] = []  # of the file and its write-ahead log
        self._descriptor: int | None = None  # of the same file; it is opened for the first copy
        self._copy: JournalCopy | None = None  # that is being made

    def close(self) -> None:
        if self._copy is not None:
            self._copy.lose()
            self._copy = None
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        if self._descriptor is not None:  # not earlier: that would end SQLite's lock
            os.close(self._descriptor)
            self._descriptor = None

    # -------------------------------------------------------------- copying

    def begin_copy(self) -> JournalCopy:
        """A copy of the file as it is now, to be ended with `end_copy`. Raises CopyError if one is being made, or
        the file is not at its path any more, and JournalError."""
        if self._copy is not None:
            raise CopyError("Another backup of this service is being made: try again later.")
        with self._translated:
            db = self._connection or self._open()
        if self._descriptor is None:
            self._descriptor = self._open_again()
        with self._translated:
            self._copy = JournalCopy(db, self._path, self._descriptor)
        return self._copy

    def _open_again(self) -> int:
        """A descriptor of the file that is in use. Raises CopyError."""
        try:
            descriptor = os.open(self._path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError as error:
            raise CopyError(f"The journal {self._path} cannot be copied: {error.strerror}.") from None
        if _identity(os.fstat(descriptor)) != self._opened[0]:
            os.close(descriptor)
            raise CopyError(self._replaced)
        return descriptor

    def end_copy(self, copy: JournalCopy) -> None:
        """Raises JournalError."""
        if copy is self._copy:
            self._copy = None
            with self._translated:
                copy.end()

    # -------------------------------------------------------------- the file

    def size(self) -> int:
        """How many bytes of the file are in use."""
        with self._translated:
            db = self._db
            pages, free, size = (
                int(db.execute(f"PRAGMA {name}").fetchone()[0])
                for name in ("page_count", "freelist_count", "page_size")
            )
        return (pages - free) * size

    def disk(self) -> tuple[int, int]:
        """How many bytes of the disk are free, and how many it has."""
        with self._translated:
            disk = os.statvfs(self._path.parent)
        return disk.f_bavail * disk.f_frsize, disk.f_blocks * disk.f_frsize

    def check_file(self) -> None:
        """Looks whether the file is still there and may be written, without writing. Raises JournalError."""
        with self._translated:
            if self._connection is None:
                self._path.stat()
            else:
                self._check_place()
            writable = os.access(self._path, os.W_OK)
        if not writable:
            raise self._unwritable()

    def _unwritable(self) -> JournalError:
        return JournalError(
            f"The journal {self._path} may not be written: look at its owner, its mode and its disk."
        )

    @property
    def was_damaged(self) -> bool:
        """Whether a damaged file, in whose place this one is, still lies beside it."""
        return any(self._path.parent.glob(f"{self._path.name}{DAMAGED}*"))

    def _check_place(self) -> None:
        """Raises JournalError if the files in use are not those at their paths, and OSError. It looks at the paths
        each time, which takes a thousandth of what a sync takes: no file tells us that its name has gone."""
        try:
            found = self._identities()
        except FileNotFoundError as error:
            gone = f"The file {Path(error.filename).name} of the journal {self._path} was removed"
            words = "while pychatd had it open: put it back, or restart the service."
            raise JournalError(f"{gone} {words}") from None
        if found != self._opened:
            raise JournalError(self._replaced)

    def _identities(self) -> list[_Identity]:
        return [_identity(os.stat(name)) for name in self._names]  # noqa: PTH116 -- a Path is slower

    @property
    def _replaced(self) -> str:
        return f"The journal {self._path} was replaced while pychatd had it open: restart the service."

    def _empty_wal(self) -> None:
        """Empties the write-ahead log, which still has the text that was removed; or else the end of the copy
        does."""
        if self._copy is not None:
            return
        with self._translated:
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._translated:
            db = self._db
            db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                if db.in_transaction:
                    db.execute("ROLLBACK")
                raise

    @property
    def _db(self) -> sqlite3.Connection:
        """The connection, opened with the first use and again after an error. Raises JournalError if its files are
        not at their paths any more; it works again when they are back."""
        if self._connection is None:
            return self._open()
        self._check_place()
        return self._connection

    def _open(self) -> sqlite3.Connection:
        """Opens or creates the file. Raises OSError, sqlite3.Error and JournalError."""
        self._path.touch(mode=0o600)
        db = sqlite3.connect(self._path, isolation_level=None, timeout=0.5)
        try:
            # Only the daemon reads this file while it runs, so no shared memory and no locks for each commit.
            db.execute("PRAGMA locking_mode = EXCLUSIVE")
            db.execute("PRAGMA journal_mode = WAL")
            db.execute(f"PRAGMA synchronous = {'FULL' if self._full else 'NORMAL'}")
            db.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
            db.execute("PRAGMA secure_delete = ON")  # removed text does not stay in free pages
            self._recover_wal(db)
            migrate(db, self._path)
            db.execute("PRAGMA foreign_keys = ON")  # a migration may have to replace a table
            self._opened = self._identities()
        except BaseException:
            db.close()
            raise
        self._connection = db
        return db

    def _recover_wal(self, db: sqlite3.Connection) -> None:
        """Writes the whole write-ahead log into the database and syncs that, before anything is read.

        The log may never have been synced: the daemon may have been killed before, or the sync failed. The kernel
        may then show pages as written that never reached the disk."""
        busy = db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
        if busy:
            raise sqlite3.OperationalError("its write-ahead log is in use")

    def _translate(self, error: BaseException) -> None:
        """Raises JournalError for an error of SQLite or of the system."""
        if isinstance(error, sqlite3.Error):
            self.close()
            code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # the primary result code
            if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
                raise JournalDamagedError(f"The journal was damaged ({error}). {self._quarantine()}") from error
            if self._path.exists() and not os.access(self._path, os.W_OK):
                raise self._unwritable() from error
            raise JournalError(f"The journal {self._path} cannot be used: {error}.") from error
        if isinstance(error, OSError):
            raise JournalError(f"The journal {self._path} cannot be used: {error.strerror}.") from error

    def _quarantine(self) -> str:
        """Renames a corrupt file and its log, and returns a sentence that says so; deletes nothing. The log comes
        first: SQLite would empty it if it found a new file beside it."""
        aside = self._path.with_name(f"{self._path.name}{DAMAGED}{datetime.now(UTC):%Y%m%dT%H%M%S.%f}")
        try:
            for suffix in ("-wal", ""):
                source = self._path.with_name(self._path.name + suffix)
                if source.exists():
                    source.rename(aside.with_name(aside.name + suffix))
        except OSError as error:
            return f"It could not be renamed to {aside}: {error.strerror}."
        return f"pychatd has renamed it to {aside}, and begins a new, empty journal."


def _identity(status: os.stat_result) -> _Identity:
    """What tells a file from another one at the same path."""
    return status.st_dev, status.st_ino
