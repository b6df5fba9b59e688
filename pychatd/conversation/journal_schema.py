"""The tables of the journal's file, and how the file of an older version gets them."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from pychatd.conversation.model import JournalError

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
CREATE TABLE conversation_2 (
    id INTEGER PRIMARY KEY AUTOINCREMENT, -- never given twice: a console may come back with an old one
    token BLOB UNIQUE,
    certificate BLOB,
    handle TEXT NOT NULL,
    address TEXT NOT NULL,
    turns TEXT NOT NULL,
    started INTEGER NOT NULL,
    ended INTEGER,
    reason TEXT NOT NULL DEFAULT '',
    peer_shown INTEGER NOT NULL DEFAULT 0,
    operator_shown INTEGER NOT NULL DEFAULT 0
) STRICT;
INSERT INTO conversation_2 (id, token, certificate, handle, address, turns, started, ended, reason,
    peer_shown, operator_shown)
    SELECT id, token, certificate, handle, address, turns, started, ended, reason, peer_shown, operator_shown
    FROM conversation;
DROP TABLE conversation;
ALTER TABLE conversation_2 RENAME TO conversation;
"""
_SCHEMA_3 = """
ALTER TABLE conversation ADD COLUMN peer_count INTEGER NOT NULL DEFAULT 0; -- its messages, from its end on
ALTER TABLE conversation ADD COLUMN operator_count INTEGER NOT NULL DEFAULT 0;
ALTER TABLE conversation ADD COLUMN peer_forgotten INTEGER NOT NULL DEFAULT 0; -- so many have no text any more
ALTER TABLE conversation ADD COLUMN operator_forgotten INTEGER NOT NULL DEFAULT 0;
ALTER TABLE conversation ADD COLUMN ended_by TEXT; -- a role; NULL for the service itself
UPDATE conversation SET
    peer_count = (SELECT ifnull(max(n), 0) FROM message WHERE conversation = id AND role = 'peer'),
    operator_count = (SELECT ifnull(max(n), 0) FROM message WHERE conversation = id AND role = 'operator')
    WHERE ended IS NOT NULL;
CREATE INDEX conversation_running ON conversation (id) WHERE ended IS NULL;
CREATE INDEX conversation_unseen ON conversation (id) WHERE ended IS NULL OR operator_shown < peer_count;
CREATE INDEX conversation_shown ON conversation (ended)
    WHERE operator_shown >= peer_count AND peer_shown >= operator_count;
"""
_SCHEMA_4 = """
CREATE TABLE away (words TEXT NOT NULL) STRICT; -- of the operator, for callers; no row: none
ALTER TABLE conversation ADD COLUMN peer_quiet INTEGER NOT NULL DEFAULT 0; -- 1: its user sends no read marks
ALTER TABLE conversation ADD COLUMN operator_quiet INTEGER NOT NULL DEFAULT 0;
"""
_SCHEMA_5 = """
CREATE TABLE missed_call (handle TEXT NOT NULL, address TEXT NOT NULL, time INTEGER NOT NULL) STRICT;
"""
_SCHEMA_6 = """
ALTER TABLE conversation ADD COLUMN removed INTEGER NOT NULL DEFAULT 0; -- 1: in part, the rest follows
CREATE INDEX conversation_removed ON conversation (id) WHERE removed;
CREATE INDEX conversation_readable ON conversation (id)
    WHERE operator_shown > peer_forgotten OR peer_shown > operator_forgotten;
"""
_SCHEMA_7 = """
ALTER TABLE conversation ADD COLUMN name TEXT; -- whose certificate the peer has shown last; NULL: nobody's
CREATE TABLE last_operator (handle TEXT NOT NULL, away TEXT NOT NULL) STRICT; -- one row; '': none, no words
INSERT INTO last_operator VALUES ('', ifnull((SELECT words FROM away), ''));
DROP TABLE away;
ALTER TABLE missed_call ADD COLUMN name TEXT; -- whose certificate the caller has shown; NULL: nobody's
"""
_SCHEMA_8 = """
CREATE TABLE removed ( -- what is left of a conversation, for a peer that does not know yet what was stored
    id INTEGER PRIMARY KEY,
    token BLOB NOT NULL UNIQUE,
    ended INTEGER NOT NULL,
    peer_count INTEGER NOT NULL,
    operator_count INTEGER NOT NULL,
    operator_shown INTEGER NOT NULL,
    operator_quiet INTEGER NOT NULL
) STRICT;
"""
MIGRATIONS = (_SCHEMA_1, _SCHEMA_2, _SCHEMA_3, _SCHEMA_4, _SCHEMA_5, _SCHEMA_6, _SCHEMA_7, _SCHEMA_8)
"""Script i changes a file of user_version i to i + 1."""


def migrate(db: sqlite3.Connection, path: Path) -> None:
    """Changes the file at `path`, which may be new, to the newest version. Raises JournalError, sqlite3.Error."""
    version: int = db.execute("PRAGMA user_version").fetchone()[0]
    if version > len(MIGRATIONS):
        raise JournalError(
            f"The journal {path} was written by a newer pychatd (version {version}). "
            "Install the newer pychatd again. Or move the file away: pychatd then begins a new journal."
        )
    for number, script in enumerate(MIGRATIONS[version:], version + 1):
        db.executescript(f"BEGIN IMMEDIATE; {script}; PRAGMA user_version = {number}; COMMIT;")
