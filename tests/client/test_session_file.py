"""What a session file keeps, how durable it is, and who may use it."""

from __future__ import annotations

import errno
import fcntl
import os
import sqlite3
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from pychat_client.errors import BusyError, PychatError
from pychat_client.protocol.saved import SavedEndpoint
from pychat_client.protocol.turns import Turns
from pychat_client.session import session_file, take_over
from pychat_client.session.session_file import DamagedError, Holder, InUseError, Kept, SessionFile
from tests.support.waiting import PATIENCE

TALK = SavedEndpoint("Bob", "alice", session="5f0c", calls=1, texts=("one", "two"), numbered=1, transmitted=1)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "pychat/sessions/hosta:7000.db"


@pytest.fixture
def file(path: Path) -> Iterator[SessionFile]:
    opened = SessionFile.take(path)
    yield opened
    opened.close()


def _read(path: Path) -> Kept:
    """What the next program finds."""
    again = SessionFile.take(path)
    again.close()
    return again.kept


@pytest.mark.parametrize(
    "kept",
    [
        Kept(TALK),
        Kept(TALK, "half a line\nand more"),
        Kept(replace(TALK, texts=(), numbered=0, transmitted=0, received=7, stored=12, stored_here=3)),
        Kept(replace(TALK, left=True, reason="bye", console="00ff", texts=())),
        Kept(SavedEndpoint("Żółć", texts=("\u2028", "a" * 500))),
    ],
)
def test_the_next_program_finds_what_was_saved(path: Path, kept: Kept) -> None:
    file = SessionFile.take(path)
    file.save(kept)
    file.close()
    assert _read(path) == kept


@pytest.mark.parametrize(
    "column", [column.name for column in fields(TALK) if column.name not in ("handle", "texts")]
)
def test_a_file_of_an_earlier_version_is_read_and_written(path: Path, column: str) -> None:
    """That version did not have the column."""
    full = replace(
        TALK, console="00ff", since="then", turns=Turns.FREE, received=7, stored=5, stored_here=3, first=5
    )
    full = replace(full, left=True, reason="bye")
    empty: Any = getattr(SavedEndpoint("Bob"), column)
    file = SessionFile.take(path)
    file.save(Kept(full, "a line"))
    file.close()
    with closing(sqlite3.connect(path)) as db:
        db.execute(f"ALTER TABLE state DROP COLUMN {column}")
    assert _read(path) == Kept(replace(full, **{column: empty}), "a line")
    file = SessionFile.take(path)
    file.save(Kept(full, "another"))
    file.close()
    assert _read(path) == Kept(full, "another")


def test_texts_come_and_go_at_both_ends(path: Path) -> None:
    """Each step is what an outbox does: a text is typed, stored, taken back, or all are given back."""
    steps = [
        (("one", "two", "three"), 0),
        (("two", "three"), 1),
        (("two",), 1),
        (("two", "new", "newer"), 1),
        ((), 4),
        (("after",), 4),
    ]
    file = SessionFile.take(path)
    for texts, first in steps:
        kept = Kept(replace(TALK, texts=texts, first=first))
        file.save(kept)
        file.close()
        file = SessionFile.take(path)
        assert file.kept == kept
    file.close()


def test_nothing_stays_when_there_is_nothing_to_keep(path: Path, file: SessionFile) -> None:
    file.save(Kept(TALK))
    file.save(Kept())
    assert [entry.name for entry in path.parent.iterdir()] == ["hosta:7000.lock"]
    file.close()
    assert list(path.parent.iterdir()) == []


def test_what_is_removed_stays_so_also_after_a_power_failure(
    path: Path, file: SessionFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.save(Kept(TALK))
    synced: list[tuple[bool, bool]] = []  # whether it was the directory, and whether the file was there
    fsync = os.fsync

    def watched(fd: int) -> None:
        synced.append((os.path.samestat(os.fstat(fd), path.parent.stat()), path.exists()))
        fsync(fd)

    monkeypatch.setattr(os, "fsync", watched)
    file.save(Kept())
    assert synced == [(True, False)]


def test_nothing_stays_of_what_cannot_be_kept(path: Path, file: SessionFile) -> None:
    """It would soon be too old: the next program would not know of messages that this one has sent."""
    file.save(Kept(TALK))
    file.give_up()
    assert not path.exists()
    assert file.kept == Kept()
    assert _read(path) == Kept()


def test_only_the_user_can_read_it(path: Path, file: SessionFile) -> None:
    umask = os.umask(0)
    try:
        file.save(Kept(TALK))
    finally:
        os.umask(umask)
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert {entry.stat().st_mode & 0o777 for entry in path.parent.iterdir()} == {0o600}


def test_a_text_that_has_arrived_leaves_the_disk(path: Path, file: SessionFile) -> None:
    file.save(Kept(replace(TALK, texts=("a secret", "another"))))
    file.save(Kept(replace(TALK, texts=("another",), first=1)))
    file.tidy()
    assert all(b"a secret" not in entry.read_bytes() for entry in path.parent.iterdir())
    assert any(b"another" in entry.read_bytes() for entry in path.parent.iterdir())


def _in_another_program(path: Path, code: str, *more: str) -> str:
    program = f"""
import os, sys
from pathlib import Path
from pychat_client.session.session_file import *
{code}
"""
    words = [sys.executable, "-c", program, str(path), *more]
    return subprocess.run(words, text=True, capture_output=True, timeout=PATIENCE, check=True).stdout


TRY = """
try:
    SessionFile.take(Path(sys.argv[1])).close()
    print("free")
except InUseError as error:
    print(error.holder.pid)
"""


def test_one_program_uses_it_at_a_time(path: Path, file: SessionFile) -> None:
    assert _in_another_program(path, TRY) == f"{os.getpid()}\n"
    file.close()
    assert _in_another_program(path, TRY) == "free\n"
    SessionFile.take(path).close()


@pytest.fixture
def strange_lock(path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The system tells no pid of who has the lock: here an open file has it, elsewhere another container."""
    monkeypatch.setattr(session_file, "LOCK_SECONDS", 0.05)
    path.parent.mkdir(parents=True, mode=0o700)
    with path.with_suffix(".lock").open("w") as lock:
        lock.write("/dev/pts/7\n12:00 on 01 May\n")
        lock.flush()
        fcntl.fcntl(lock, fcntl.F_OFD_SETLK, struct.pack("@hhqqi", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0))
        yield


@pytest.mark.usefixtures("strange_lock")
def test_a_holder_without_a_pid_keeps_nobody_waiting(path: Path) -> None:
    with pytest.raises(InUseError, match="pid unknown, /dev/pts/7, since 12:00 on 01 May"):
        SessionFile.take(path)


@pytest.mark.usefixtures("strange_lock")
@pytest.mark.parametrize("move", [False, True])
def test_a_holder_without_a_pid_cannot_be_told_to_leave(path: Path, move: bool) -> None:
    with pytest.raises(BusyError, match=r"It is open in another container, or on another host .* Close it there"):
        take_over.open_if_possible("pychat", path, "It", take_over=move)


def test_a_disk_without_locks_is_a_sentence(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def lockf(fd: int, command: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "lockf", lockf)
    with pytest.raises(PychatError, match="No locks available"):
        SessionFile.take(path)


FULL = """
import resource, signal
from pychat_client.session.take_over import open_if_possible
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
try:
    print(open_if_possible("pychat", Path(sys.argv[1]), "It", take_over=False, needed=sys.argv[2:] == ["needed"]))
except Exception as error:
    print(type(error).__name__, error)
"""


def test_a_conversation_that_is_open_needs_its_file(path: Path, file: SessionFile) -> None:
    """Without it, the program would call as a stranger, and end the conversation by that."""
    file.save(Kept(TALK))
    file.close()
    told = _in_another_program(path, FULL, "needed")
    assert told.startswith("PychatError Cannot keep this conversation in ")
    assert f"It may still be open in {path}" in told
    assert _in_another_program(path, FULL) == "None\n"
    assert _read(path) == Kept(TALK)


def test_without_a_conversation_a_full_disk_refuses_nothing(path: Path) -> None:
    """The lock only tells who has it: that need not be written."""
    path.parent.mkdir(parents=True, mode=0o700)
    assert _in_another_program(path, FULL, "needed").startswith("SessionFile(")


def test_a_program_that_was_killed_holds_nothing(path: Path) -> None:
    save = "SessionFile.take(Path(sys.argv[1])).save(Kept(SavedEndpoint('Bob', texts=('kept',)), 'draft'))"
    _in_another_program(path, f"{save}\nos.fork() or os._exit(0)\nos.wait()\nos._exit(0)")
    assert _read(path) == Kept(SavedEndpoint("Bob", texts=("kept",)), "draft")


def test_a_file_that_cannot_be_written_keeps_what_it_had(path: Path, file: SessionFile) -> None:
    file.save(Kept(TALK))
    wal = path.with_name("hosta:7000.db-wal")
    assert wal.exists()
    code = """
import resource
file = SessionFile.take(Path(sys.argv[1]))
kept = file.kept
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
import signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
try:
    file.save(Kept(kept.endpoint, "x" * 5000))
except Exception as error:
    print(type(error).__name__)
"""
    file.close()
    assert _in_another_program(path, code) == "PychatError\n"
    assert _read(path) == Kept(TALK)


def test_a_damaged_file_is_a_sentence(path: Path) -> None:
    path.parent.mkdir(parents=True)
    path.write_bytes(b"rubbish" * 1000)
    log = path.with_name("hosta:7000.db-wal")
    log.write_bytes(b"of the damaged file")
    with pytest.raises(DamagedError, match=rf"{path} is damaged \(.*\), and is now .*\.damaged\.$"):
        SessionFile.take(path)
    assert not log.exists()
    assert _read(path) == Kept()  # the next program has a new one


def test_a_program_goes_on_with_a_new_file(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path.parent.mkdir(parents=True)
    path.write_bytes(b"rubbish" * 1000)
    file = take_over.open_if_possible("pychat", path, "It", take_over=False, needed=True)
    assert file is not None
    file.save(Kept(TALK))
    file.close()
    assert _read(path) == Kept(TALK)
    assert path.with_suffix(".damaged").read_bytes() == b"rubbish" * 1000
    told = capsys.readouterr().err
    assert told.endswith(".damaged. It cannot go on from it: messages that waited there are not sent.\n")
    assert "If pychat dies" not in told


def test_a_damaged_file_that_cannot_be_moved_is_no_reason_to_go_on(path: Path) -> None:
    path.parent.mkdir(parents=True)
    path.write_bytes(b"rubbish" * 1000)
    path.with_suffix(".damaged").mkdir()
    with pytest.raises(PychatError, match=r"it is damaged .*, and cannot be moved to .*: Is a directory\."):
        take_over.open_if_possible("pychat", path, "It", take_over=False, needed=True)


def test_a_file_with_values_that_cannot_be_is_damaged(path: Path) -> None:
    file = SessionFile.take(path)
    file.save(Kept(TALK))
    file.close()
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE state SET turns = 'never'")
    with pytest.raises(DamagedError):
        SessionFile.take(path)
    assert path.with_suffix(".damaged").exists()


def test_what_cannot_be_written_does_no_damage(path: Path, file: SessionFile) -> None:
    file.save(Kept(TALK))
    for kept in (Kept(TALK, "caf\udce9"), Kept(replace(TALK, texts=("one", "caf\udce9")))):
        with pytest.raises(UnicodeEncodeError):
            file.save(kept)
    file.close()
    assert _read(path) == Kept(TALK)


def test_a_window_that_does_not_end_keeps_its_conversation(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody calls as a stranger then, whose seat would be taken by himself."""

    def in_use(path: Path) -> SessionFile:
        raise InUseError(Holder(os.getpid()))

    monkeypatch.setattr(SessionFile, "take", in_use)
    monkeypatch.setattr(take_over, "_send_away", lambda pid: None)
    monkeypatch.setattr(take_over, "TAKE_OVER_SECONDS", 0.0)
    with pytest.raises(BusyError, match="does not end"):
        take_over.open_if_possible("pychat", path, "It", take_over=True)
