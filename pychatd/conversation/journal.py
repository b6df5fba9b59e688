"""The journal: one SQLite file per line, the truth about every conversation.

What is appended here is durable when `append` returns; whoever acks or forwards a message does so
after that. sqlite3.Error becomes JournalError here; the file is opened again with the next use, so
that a disk which has room again needs no restart. Knows no links and no turns: it stores the counts
it is given.
"""

from __future__ import annotations

import hashlib
import logging
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from pychat_client.errors import JournalError
from pychat_client.protocol.turns import Role, Turns, TurnState
from pychat_client.protocol.wire import Message

log = logging.getLogger("pychatd")

_SCHEMA_1 = """
CREATE TABLE conversation (
    id INTEGER PRIMARY KEY,
    token BLOB UNIQUE,              -- SHA-256 of the session token; NULL for a classic peer
    certificate BLOB,               -- SHA-256 of the peer's; NULL without one
    handle TEXT NOT NULL,           -- the peer's
    address TEXT NOT NULL,
    turns TEXT NOT NULL,
    started INTEGER NOT NULL,       -- times are milliseconds since 1970, UTC
    ended INTEGER,
    reason TEXT NOT NULL DEFAULT '',
    peer_shown INTEGER NOT NULL DEFAULT 0,
    operator_shown INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE TABLE message (
    conversation INTEGER NOT NULL REFERENCES conversation,
    seq INTEGER NOT NULL,           -- 1, 2, ... over both sides: the order in which they were said
    role TEXT NOT NULL CHECK (role IN ('peer', 'operator')),
    n INTEGER NOT NULL,             -- the number within its role, as \\ack counts it
    handle TEXT NOT NULL,
    text TEXT NOT NULL,
    time INTEGER NOT NULL,
    PRIMARY KEY (conversation, seq)
) STRICT, WITHOUT ROWID;
CREATE INDEX message_n ON message (conversation, role, n);
"""
_SCHEMA_2 = """
ALTER TABLE message ADD COLUMN console TEXT; -- the operator's: which console said it; NULL if it was not told
"""
_MIGRATIONS = (_SCHEMA_1, _SCHEMA_2)
"""Script i takes a file from user_version i to i + 1."""

_INSERT_MESSAGE = (
    "INSERT INTO message (conversation, seq, role, n, handle, text, time, console) VALUES (?,?,?,?,?,?,?,?)"
)
_COLUMNS = "id, token, handle, address, turns, started, ended, reason, peer_shown, operator_shown, certificate"


CACHE_KIB = 256
"""Of the file's pages kept in memory: the last messages and the way to them. SQLite's 2 MiB gain nothing."""

PIECE = 200
"""Messages read at a time: about what a transport takes without pausing."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A message with its place: `seq` over both sides, `n` within its role, both from 1.

    console: the id of the console that said it; None for the peer's.
    """

    role: Role
    seq: int
    n: int
    handle: str
    text: str
    time: datetime
    console: str | None = None


@dataclass(slots=True)
class Conversation:
    """A conversation's row and its counts. id is 0 until its first message is stored."""

    handle: str
    address: str
    token: bytes | None  # hashed
    ledger: TurnState
    started: datetime
    id: int = 0
    ended: datetime | None = None
    reason: str = ""
    certificate: bytes | None = None  # hashed; whoever resumes has to show the same
    shown: dict[Role, int] = field(default_factory=lambda: {Role.PEER: 0, Role.OPERATOR: 0})
    """How many of the other's messages the user of each role has seen."""
    call: int = 0
    """The number of the peer's newest call that this daemon has seen: an older one may still arrive."""

    def unread(self, role: Role) -> int:
        """How many messages of `role` the other user has not seen."""
        return self.ledger.count(role) - self.shown[role.other]

    @property
    def classic(self) -> bool:
        """Whether the peer speaks no version 1: it has no token, and cannot come back."""
        return self.token is None


class JournalDamagedError(JournalError):
    """The file was corrupt; it has been set aside under another name, and a new one takes its place."""


class Journal:
    """The journal of one line."""

    def __init__(self, path: Path, *, full: bool = True) -> None:
        """Opens or makes `path` (0600). full: a commit survives power loss, not only a killed process.

        A corrupt file is set aside and a new one made. Raises JournalError with a sentence that names
        the file.
        """
        self._path = path
        self._full = full
        self._connection: sqlite3.Connection | None = None
        try:
            self._one("id = 0")
        except JournalDamagedError as damage:
            log.error("%s", damage)
            self._one("id = 0")

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    # -------------------------------------------------------------- writing

    def append(self, conversation: Conversation, entries: Sequence[Entry], ledger: TurnState) -> None:
        """Stores `entries`, and the conversation itself if it is new, in one transaction; on return they
        are durable and `conversation.ledger` is `ledger`. Raises JournalError, nothing changed."""
        if conversation.id and len(entries) == 1:  # what people do: a statement is a transaction of its own
            with self._border():
                self._db.execute(_INSERT_MESSAGE, _row(conversation.id, entries[0]))
        else:
            with self._transaction():
                new = conversation.id or self._insert(conversation)
                self._db.executemany(_INSERT_MESSAGE, [_row(new, e) for e in entries])
            conversation.id = new
        conversation.ledger = ledger

    def end_conversation(self, conversation: Conversation, reason: str, now: datetime) -> None:
        """The conversation is over for good. Raises JournalError, nothing changed."""
        if conversation.id:
            with self._transaction():
                self._db.execute(
                    "UPDATE conversation SET ended = ?, reason = ? WHERE id = ?",
                    (_millis(now), reason, conversation.id),
                )
                self._update_shown(conversation)
        conversation.ended, conversation.reason = now, reason

    def save_shown(self, conversation: Conversation) -> None:
        """Keeps what each side has seen. Raises JournalError."""
        if conversation.id:
            with self._transaction():
                self._update_shown(conversation)

    def forget_text(self, conversation: Conversation, role: Role, count: int) -> None:
        """Removes the words of the first `count` messages of `role`, which the other side has seen; their
        places stay. Raises JournalError."""
        with self._transaction():
            self._update_shown(conversation)
            self._db.execute(
                "UPDATE message SET text = '' WHERE conversation = ? AND role = ? AND n <= ? AND text <> ''",
                (conversation.id, role.value, count),
            )
        self._empty_log()

    def prune(self, before: datetime) -> int:
        """Removes conversations that ended before a time, but none in which a message has not been shown: its
        sender was told that it is stored. Returns how many. Raises JournalError."""
        old = (
            "ended < ?1 AND NOT EXISTS (SELECT 1 FROM message WHERE conversation = id"
            " AND (role = 'peer' AND n > operator_shown OR role = 'operator' AND n > peer_shown))"
        )
        with self._transaction():
            self._db.execute(
                f"DELETE FROM message WHERE conversation IN (SELECT id FROM conversation WHERE {old})",  # noqa: S608 -- constants only
                (_millis(before),),
            )
            removed = self._db.execute(f"DELETE FROM conversation WHERE {old}", (_millis(before),)).rowcount  # noqa: S608 -- constants only
        if removed:
            self._empty_log()
        return removed

    def _empty_log(self) -> None:
        """Words that were removed are still in the write-ahead log: empties it."""
        with self._border():
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    # -------------------------------------------------------------- reading

    def running(self) -> Conversation | None:
        """The conversation that has not ended, if there is one."""
        return self._one("ended IS NULL ORDER BY id DESC LIMIT 1")

    def by_token(self, token: str) -> Conversation | None:
        """The conversation of a session token."""
        return self._one("token = ?", hash_token(token))

    def by_id(self, number: int) -> Conversation | None:
        return self._one("id = ?", number)

    def next_unseen(self, after: int) -> Conversation | None:
        """The first conversation with a number over `after` that has something new for the operator:
        it runs, or the peer said more in it than any console has shown."""
        return self._one(
            "id > ? AND (ended IS NULL OR operator_shown < (SELECT max(n) FROM message"
            " WHERE conversation = id AND role = 'peer')) ORDER BY id LIMIT 1",
            after,
        )

    def next_since(self, after: int, since: datetime) -> Conversation | None:
        """The first conversation with a number over `after` in which something was said since a time."""
        return self._one(
            "id > ? AND EXISTS (SELECT 1 FROM message WHERE conversation = id AND time >= ?) ORDER BY id LIMIT 1",
            after,
            _millis(since),
        )

    def entries(self, number: int, after: int, role: Role | None = None, limit: int = PIECE) -> list[Entry]:
        """Up to `limit` messages of conversation `number`, in order: those with a seq over `after`, or,
        with a role, those of that role with an n over `after`."""
        where = "seq > ?2 ORDER BY seq" if role is None else "role = ?3 AND n > ?2 ORDER BY n"
        with self._border():
            rows = self._db.execute(
                "SELECT role, seq, n, handle, text, time, console FROM message"  # noqa: S608 -- constants only
                f" WHERE conversation = ?1 AND {where} LIMIT {limit:d}",
                (number, after) if role is None else (number, after, role.value),
            ).fetchall()
        return [
            Entry(Role(role_), seq, n, handle, text, _datetime(time), console)
            for role_, seq, n, handle, text, time, console in rows
        ]

    def said_by(self, number: int, console: str) -> int:
        """How many messages of conversation `number` a console has said."""
        with self._border():
            found = self._db.execute(
                "SELECT count(*) FROM message WHERE conversation = ? AND role = 'operator' AND console = ?",
                (number, console),
            ).fetchone()
        return int(found[0])

    # -------------------------------------------------------------- inside

    def _insert(self, conversation: Conversation) -> int:
        cursor = self._db.execute(
            "INSERT INTO conversation (token, certificate, handle, address, turns, started) VALUES (?,?,?,?,?,?)",
            (
                conversation.token,
                conversation.certificate,
                conversation.handle,
                conversation.address,
                conversation.ledger.turns.value,
                _millis(conversation.started),
            ),
        )
        assert cursor.lastrowid is not None
        return cursor.lastrowid

    def _update_shown(self, conversation: Conversation) -> None:
        self._db.execute(
            "UPDATE conversation SET peer_shown = ?, operator_shown = ? WHERE id = ?",
            (conversation.shown[Role.PEER], conversation.shown[Role.OPERATOR], conversation.id),
        )

    def _one(self, where: str, *values: object) -> Conversation | None:
        with self._border():
            row = self._db.execute(f"SELECT {_COLUMNS} FROM conversation WHERE {where}", values).fetchone()  # noqa: S608 -- constants only
            if row is None:
                return None
            counts = dict(
                self._db.execute(
                    "SELECT role, max(n) FROM message WHERE conversation = ? GROUP BY role", (row[0],)
                ).fetchall()
            )
        number, token, handle, address, turns, started, ended, reason, peer_shown, operator_shown, certificate = (
            row
        )
        return Conversation(
            handle,
            address,
            token,
            TurnState(Turns(turns), counts.get("peer", 0), counts.get("operator", 0)),
            _datetime(started),
            id=number,
            ended=None if ended is None else _datetime(ended),
            reason=reason,
            certificate=certificate,
            shown={Role.PEER: peer_shown, Role.OPERATOR: operator_shown},
        )

    def _migrate(self) -> None:
        version: int = self._db.execute("PRAGMA user_version").fetchone()[0]
        if version > len(_MIGRATIONS):
            raise JournalError(
                f"The journal {self._path} was written by a newer pychatd (version {version}): "
                "install that one again, or move the file away."
            )
        for number, script in enumerate(_MIGRATIONS[version:], version + 1):
            self._db.executescript(f"BEGIN IMMEDIATE; {script}; PRAGMA user_version = {number}; COMMIT;")

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._border():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    @property
    def _db(self) -> sqlite3.Connection:
        """The one long-lived connection, opened with its first use and after an error."""
        if self._connection is None:
            self._path.touch(mode=0o600)
            db = sqlite3.connect(self._path, isolation_level=None, timeout=0.5)
            self._connection = db
            # Nobody else reads this file while the daemon runs: no shared memory, no locks to take per commit.
            db.execute("PRAGMA locking_mode = EXCLUSIVE")
            db.execute("PRAGMA journal_mode = WAL")
            db.execute(f"PRAGMA synchronous = {'FULL' if self._full else 'NORMAL'}")
            db.execute("PRAGMA foreign_keys = ON")
            db.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
            db.execute("PRAGMA secure_delete = ON")  # words that were removed are not left in free pages
            self._settle(db)
            self._migrate()
        return self._connection

    def _settle(self, db: sqlite3.Connection) -> None:
        """What is found in the write-ahead log was perhaps never synced: its writer may have been killed before,
        or its sync failed, and then its pages may even count as written although they never were. Writes all
        of it anew into the database and syncs that, before anything of it is believed."""
        busy = db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
        if busy:
            raise sqlite3.OperationalError("its write-ahead log is in use")

    @contextmanager
    def _border(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            self.close()
            code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # the primary result code
            if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
                raise JournalDamagedError(f"The journal was damaged ({error}). {self._set_aside()}") from error
            raise JournalError(f"The journal {self._path} cannot be used: {error}.") from error
        except OSError as error:
            raise JournalError(f"The journal {self._path} cannot be used: {error.strerror}.") from error
        except JournalError:  # a newer version
            self.close()
            raise

    def _set_aside(self) -> str:
        """Gives a corrupt file (and its log) another name, never deletes it; says which. The log first: beside a
        new file SQLite would empty it."""
        aside = self._path.with_name(f"{self._path.name}.damaged-{datetime.now(UTC):%Y%m%dT%H%M%S.%f}")
        try:
            for suffix in ("-wal", ""):
                source = self._path.with_name(self._path.name + suffix)
                if source.exists():
                    source.rename(aside.with_name(aside.name + suffix))
        except OSError as error:
            return f"It could not be set aside as {aside}: {error.strerror}."
        return f"It has been set aside as {aside}, and a new one begins."


def hash_token(token: str) -> bytes:
    """What is stored of a session token, so that a copied journal lets nobody resume."""
    return hashlib.sha256(token.encode()).digest()


def hash_certificate(der: bytes) -> bytes:
    return hashlib.sha256(der).digest()


def entry(
    ledger: TurnState,
    role: Role,
    message: Message,
    now: datetime,
    *,
    in_turn: bool = True,
    console: str | None = None,
) -> Entry:
    """Counts a message of `role` in `ledger` and gives it its place. Raises ProtocolError out of turn."""
    n = ledger.add(role, in_turn=in_turn)
    return Entry(role, ledger.peer + ledger.operator, n, message.handle, message.text, now, console)


def copy_of(ledger: TurnState) -> TurnState:
    """A ledger to try on: it becomes the conversation's when the transaction is durable."""
    return TurnState(ledger.turns, ledger.peer, ledger.operator)  # dataclasses.replace takes ten times as long


def _row(number: int, e: Entry) -> tuple[object, ...]:
    """An entry of conversation `number` as _INSERT_MESSAGE takes it."""
    return (number, e.seq, e.role.value, e.n, e.handle, e.text, _millis(e.time), e.console)


def _millis(time: datetime) -> int:
    return round(time.timestamp() * 1000)


def _datetime(millis: int) -> datetime:
    return datetime.fromtimestamp(millis / 1000, UTC)
