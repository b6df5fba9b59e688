"""The file in which a program keeps what it needs to go on with a conversation after its death.

One SQLite file for each service that is called or attended, and beside it a lock: one program uses it at a time.
What `save` has written outlives the program, and what `sync` has synced the power. The file exists only while
there is something to keep. It knows no connection, no screen and no rule of a conversation.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from enum import Enum
from itertools import takewhile
from operator import attrgetter
from pathlib import Path
from typing import Any

from pychat_client.errors import BusyError, PychatError
from pychat_client.files import lock_holder, make_directory, make_sure, open_own
from pychat_client.protocol.saved import SavedEndpoint
from pychat_client.protocol.turns import Turns
from pychat_client.records import record
from pychat_client.text import printable

_STATE = tuple(column.name for column in fields(SavedEndpoint) if column.name != "texts")

_TOLD = ("received", "stored", "stored_here", "first", "numbered", "transmitted")
"""Counts that follow from what the daemon tells again; for those of texts, see `_texts_follow`."""

_SCHEMA = f"""
CREATE TABLE state (id INTEGER PRIMARY KEY CHECK (id = 1), {", ".join(_STATE)}, draft TEXT NOT NULL);
CREATE TABLE text (number INTEGER PRIMARY KEY, text TEXT NOT NULL) STRICT;
"""


LOCK_SECONDS = 1.0
"""How long to retry while the lock is held and the system names no holder: one that has just gone."""

LOCK_PAUSE = 0.01
"""Seconds between two of these tries."""

_sync = getattr(os, "fdatasync", os.fsync)  # macOS has only the second

_WRITE_STATE = (
    f"INSERT OR REPLACE INTO state (id, {', '.join(_STATE)}, draft) "  # noqa: S608 -- constants
    f"VALUES (1, {', '.join('?' * (len(_STATE) + 1))})"
)
_state = attrgetter(*(name if name != "turns" else "turns.value" for name in _STATE))


@record
class Kept:
    """What a session file has: the conversation, if there is one, and the line that was being typed."""

    endpoint: SavedEndpoint | None = None
    line: str = ""


class Need(Enum):
    """What a change needs before the other side may know of it."""

    NOTHING = "nothing"  # the daemon tells it again
    SAVE = "save"  # what was shown is not shown as new again; after a loss of power it may be
    SYNC = "sync"


@record
class Holder:
    """The program that uses a session file. pid: None if it has none here, as in another container."""

    pid: int | None
    terminal: str = ""
    since: str = ""

    def __str__(self) -> str:
        where = f", {printable(self.terminal)}" if self.terminal else ""
        since = f", since {printable(self.since)}" if self.since else ""
        return f"pid {self.pid or 'unknown'}{where}{since}"


class InUseError(BusyError):
    """Another program of this user uses the session file. `take_over` has the sentences for the user."""

    def __init__(self, holder: Holder) -> None:
        super().__init__(holder)
        self.holder = holder


class DamagedError(PychatError):
    """The session file was damaged, and is out of the way now."""


@dataclass(slots=True)
class SessionFile:
    """The session file of one service, held by this program."""

    path: Path
    _lock: int | None
    _db: sqlite3.Connection | None = None
    _wal: int | None = None  # SQLite's write-ahead log, in which all is that was saved since `tidy`
    _saved: Kept = field(default_factory=Kept)

    @classmethod
    def take(cls, path: Path) -> SessionFile:
        """Takes the file for this program. Raises InUseError, DamagedError where this finds out, or another
        PychatError when it cannot be used."""
        try:
            make_directory(path.parent.parent)  # a directory above would get the mode 0755
            make_directory(path.parent)
            session_file = cls(path, _take_lock(path.with_suffix(".lock")))
        except OSError as error:
            raise PychatError(f"Cannot use {path.parent}: {error.strerror}.") from None
        try:
            session_file._load()
        except PychatError:
            session_file.close()
            raise
        return session_file

    @property
    def kept(self) -> Kept:
        """What was saved last."""
        return self._saved

    def save(self, kept: Kept) -> None:
        """Keeps `kept`: on return, the next program finds it if this one dies. Raises PychatError; the file has
        what it had before then."""
        if kept == self._saved:
            return
        with self._translate_errors():
            if kept == Kept():
                self._remove()
            else:
                self._write(kept)
        self._saved = kept

    def sync(self) -> None:
        """On return, what was saved outlives the power. Raises PychatError. While this runs in another thread,
        `save` may be called."""
        wal = self._wal
        if wal is None:
            return
        try:
            _sync(wal)
        except OSError as error:
            if self._wal is not None:  # otherwise it has been removed meanwhile: there is nothing to keep any more
                raise self._cannot(f"{error.strerror}") from None

    def tidy(self) -> None:
        """Removes what has been overwritten from the disk: texts that the other side has. Raises PychatError.
        While this runs in another thread, nothing else may be called."""
        if self._db is not None:
            with self._translate_errors():
                self._db.execute("PRAGMA synchronous = FULL")
                self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                self._db.execute("PRAGMA synchronous = OFF")

    def give_up(self) -> None:
        """Keeps nothing any more, and leaves nothing: what the file has would soon be too old to go on with."""
        with suppress(OSError, PychatError):
            self._remove()
        self._saved = Kept()
        self.close()

    def close(self) -> None:
        """Leaves the file to other programs."""
        self._close_db()
        if self._lock is not None:
            with suppress(OSError):
                self.path.with_suffix(".lock").unlink()
            os.close(self._lock)
            self._lock = None

    # -------------------------------------------------------------- inside

    def _load(self) -> None:
        if not self.path.exists():
            return
        with self._translate_errors():
            db = self._open_db()
            row = db.execute(f"SELECT {', '.join(_STATE)}, draft FROM state").fetchone()  # noqa: S608 -- constants
            if row is None:
                return
            texts = tuple(text for (text,) in db.execute("SELECT text FROM text ORDER BY number"))
            *state, line = row
            try:
                endpoint = _endpoint(dict(zip(_STATE, state, strict=True)), texts)
            except ValueError as error:  # not what we wrote
                raise sqlite3.DatabaseError(f"{error}") from None
            self._saved = Kept(endpoint if endpoint.handle else None, line)

    def _write(self, kept: Kept) -> None:
        old, new = self._saved.endpoint or SavedEndpoint(""), kept.endpoint or SavedEndpoint("")
        db = self._open_db()
        if (old.first, old.texts) == (new.first, new.texts):
            db.execute(_WRITE_STATE, [*_state(new), kept.line])
            return
        db.execute("BEGIN IMMEDIATE")
        try:
            _write_texts(db, old, new)
            db.execute(_WRITE_STATE, [*_state(new), kept.line])
            db.execute("COMMIT")
        except BaseException:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise

    def _close_db(self) -> None:
        if self._db is not None:
            with suppress(sqlite3.Error):  # then the next program finds the log
                self._db.execute("PRAGMA synchronous = FULL")  # of what SQLite moves out of the log at the end
            self._db.close()
            self._db = None
        wal, self._wal = self._wal, None
        if wal is not None:
            os.close(wal)

    def _remove(self) -> None:
        self._close_db()
        for suffix in ("", "-wal", "-journal"):
            self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)
        make_sure(self.path)  # a power failure must not bring back what has been said to be over

    def _open_db(self) -> sqlite3.Connection:
        if self._db is None:
            os.close(open_own(self.path, os.O_RDWR | os.O_CREAT))
            db = sqlite3.connect(self.path, isolation_level=None, timeout=0.5, check_same_thread=False)
            self._db = db
            db.execute("PRAGMA locking_mode = EXCLUSIVE")  # no shared memory; our own lock keeps others out
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA secure_delete = ON")
            # The sync of this commit makes also the name of the log durable.
            db.executescript(f"BEGIN; {_lacking(db)} PRAGMA user_version = 1; COMMIT;")
            # From now on `sync` and `tidy` do it. Without a sync, nothing may leave the log.
            db.execute("PRAGMA wal_autocheckpoint = 0")
            db.execute("PRAGMA synchronous = OFF")
            wal = self.path.with_name(f"{self.path.name}-wal")
            self._wal = os.open(wal, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        return self._db

    @contextmanager
    def _translate_errors(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            self._close_db()
            if isinstance(error, sqlite3.OperationalError | OSError):
                raise self._cannot(f"{error}") from None
            raise self._put_aside(f"{error}") from None

    def _put_aside(self, damage: str) -> PychatError:
        """Moves the damaged file out of the way of a new one; the error to raise."""
        aside = self.path.with_suffix(".damaged")
        try:
            self.path.replace(aside)
            with suppress(FileNotFoundError):
                self.path.with_name(f"{self.path.name}-wal").replace(aside.with_name(f"{aside.name}-wal"))
        except OSError as error:
            return self._cannot(f"it is damaged ({damage}), and cannot be moved to {aside}: {error.strerror}")
        return DamagedError(f"{self.path} is damaged ({damage}), and is now {aside}.")

    def _cannot(self, why: str) -> PychatError:
        return PychatError(f"Cannot keep this conversation in {self.path}: {why}.")


def _lacking(db: sqlite3.Connection) -> str:
    """Makes what a new file lacks, or one of an earlier version of pychat."""
    columns = {column[1] for column in db.execute("PRAGMA table_info(state)")}
    if not columns:
        return _SCHEMA
    return "".join(f"ALTER TABLE state ADD COLUMN {name};" for name in _STATE if name not in columns)


def _write_texts(db: sqlite3.Connection, old: SavedEndpoint, new: SavedEndpoint) -> None:
    """Removes the texts that have gone, from either end, and adds the new ones."""
    stayed = zip(old.texts[new.first - old.first :], new.texts, strict=False)
    same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], stayed))
    db.execute("DELETE FROM text WHERE number < ? OR number >= ?", (new.first, new.first + same))
    db.executemany("INSERT INTO text VALUES (?, ?)", enumerate(new.texts[same:], new.first + same))


def need(old: SavedEndpoint, new: SavedEndpoint) -> Need:
    """What the change from `old` to `new` needs before anything that follows from it is sent."""
    if _own(old) != _own(new) or not _texts_follow(old, new):
        return Need.SYNC
    return Need.NOTHING if old.received == new.received else Need.SAVE


_own = attrgetter(*(name for name in _STATE if name not in _TOLD))
"""What the daemon does not tell again."""


def _texts_follow(old: SavedEndpoint, new: SavedEndpoint) -> bool:
    """Whether the only change is that texts have gone which the daemon has: none is new, none has its number now,
    and none was given back to the user."""
    return (
        new.first - old.first <= new.stored_here - old.stored_here
        and new.first + new.numbered == old.first + old.numbered
        and new.first + new.transmitted <= old.first + old.transmitted
        and new.first + len(new.texts) == old.first + len(old.texts)
    )


def _endpoint(state: dict[str, Any], texts: tuple[str, ...]) -> SavedEndpoint:
    """NULL: the program that wrote the row did not know the column, or had nothing for it."""
    known = {name: value for name, value in state.items() if value is not None}
    if "turns" in known:
        known["turns"] = Turns(known["turns"])
    return SavedEndpoint(**{**known, "left": bool(known.get("left")), "texts": texts})


# ------------------------------------------------------------------ the lock


def _take_lock(path: Path) -> int:
    """Locks `path`, which tells who has it. Raises InUseError, OSError."""
    patience = time.monotonic() + LOCK_SECONDS
    while True:
        fd = open_own(path, os.O_RDWR | os.O_CREAT)
        try:
            fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            holder = _holder(fd)
            os.close(fd)
            if holder.pid is None and time.monotonic() < patience:
                time.sleep(LOCK_PAUSE)
                continue
            raise InUseError(holder) from None
        except OSError:  # some network disks have no locks
            os.close(fd)
            raise
        if _is_at(fd, path):
            break
        os.close(fd)  # its last user has removed it
    with suppress(OSError):  # a full disk: it is locked all the same
        os.truncate(fd, 0)
        os.write(fd, f"{_terminal()}\n{datetime.now(UTC).astimezone():%H:%M on %d %B}\n".encode())
    return fd


def _holder(fd: int) -> Holder:
    """The program that has locked `fd`."""
    terminal, since, *_ = [*os.pread(fd, 200, 0).decode(errors="replace").split("\n"), "", ""]
    return Holder(lock_holder(fd), terminal, since)


def _is_at(fd: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), path.stat())
    except FileNotFoundError:
        return False


def _terminal() -> str:
    try:
        return os.ttyname(0)
    except OSError:
        return ""
