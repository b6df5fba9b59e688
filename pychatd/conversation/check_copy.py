"""`pychatd backup --check`: whether a file is a whole copy of a journal. Knows no service, and changes nothing."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from pychat_client.phrases import counted
from pychatd.conversation.journal_copy import CopyError


def check_copy(path: Path) -> str:
    """Checks a copy; a sentence about what it holds. Raises PychatError."""
    try:
        with path.open("rb"):  # SQLite does not say why it cannot open a file
            pass
        db = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True)
        try:
            return _found(db, path)
        finally:
            db.close()
    except sqlite3.Error as error:
        raise CopyError(f"{path} is not a good copy of a journal: {error}.") from None
    except OSError as error:
        raise CopyError(f"Cannot read {path}: {error.strerror}.") from None


def _found(db: sqlite3.Connection, path: Path) -> str:
    why = " ".join(str(db.execute("PRAGMA integrity_check(1)").fetchone()[0]).split())
    if why != "ok":
        raise CopyError(f"{path} is not a good copy of a journal: {why}.")
    conversations = db.execute("SELECT count(*) FROM conversation").fetchone()[0]
    messages = db.execute("SELECT count(*) FROM message").fetchone()[0]
    return f"{path} is whole: {counted(conversations, 'conversation')}, {counted(messages, 'message')}."
