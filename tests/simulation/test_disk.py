"""What a simulated loss of power leaves of a database is what a real one can leave."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path
from random import Random

from pychatd.conversation.journal import Journal
from tests.simulation.disk import LogEnd, end_of, log_of, lose_power


def database(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA locking_mode = EXCLUSIVE")
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("CREATE TABLE IF NOT EXISTS word (text TEXT)")
    return db


def words_after(directory: Path, seed: int, synced: LogEnd | None) -> tuple[list[str], bool]:
    """What the file has after a loss of power; and whether all of it was said to be left."""
    directory.mkdir()
    path = directory / "a.db"
    for name in ("a.db", "a.db-wal"):
        shutil.copy(directory.parent / name, directory / name)
    left = synced is None or lose_power(log_of(path), synced, Random(seed))
    db = database(path)
    words = [word for (word,) in db.execute("SELECT text FROM word")]
    db.close()
    return words, left


def test_what_was_synced_stays_and_commits_are_whole_or_gone(tmp_path: Path) -> None:
    db = database(tmp_path / "a.db")
    db.execute("INSERT INTO word VALUES ('first')")
    synced = end_of(log_of(tmp_path / "a.db"))
    db.execute("INSERT INTO word VALUES (?)", ("long" * 5000,))
    found = [words_after(tmp_path / str(seed), seed, synced) for seed in range(40)]
    db.close()
    assert {len(words) for words, _ in found} == {1, 2}
    assert all(words[0] == "first" and left is (len(words) == 2) for words, left in found)


def test_all_commits_go_of_which_none_was_synced(tmp_path: Path) -> None:
    db = database(tmp_path / "a.db")
    for number in range(5):
        db.execute("INSERT INTO word VALUES (?)", (str(number),))
    found = [words_after(tmp_path / str(seed), seed, LogEnd())[0] for seed in range(40)]
    db.close()
    assert [] in found
    assert all(words == [str(number) for number in range(len(words))] for words in found)


def test_a_log_that_was_begun_anew_ends_behind_its_own_pages(tmp_path: Path) -> None:
    db = database(tmp_path / "a.db")
    while (size := end_of(log_of(tmp_path / "a.db")).size) == log_of(tmp_path / "a.db").stat().st_size:
        db.execute("INSERT INTO word VALUES (?)", ("long" * 5000,))
    db.close()
    assert size > 0


def test_the_journal_opens_after_each_loss(tmp_path: Path) -> None:
    """SQLite takes what is left of a log for what it is: the journal is never called damaged."""
    journal = Journal(tmp_path / "a.db", full=False)
    for seed in range(20):
        place = tmp_path / str(seed)
        place.mkdir()
        for name in ("a.db", "a.db-wal"):
            shutil.copy(tmp_path / name, place / name)
        lose_power(log_of(place / "a.db"), LogEnd(), Random(seed))
        Journal(place / "a.db").close()
        assert not list(place.glob("*damaged*"))
    journal.close()
