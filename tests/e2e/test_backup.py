"""A backup of a running service: whole, consistent, and in nobody's way."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import threading
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pychat_client.errors import ExitStatus
from pychat_client.protocol import wire
from pychat_client.protocol.turns import Role, Turns, TurnState
from pychatd.conversation.journal import Journal
from pychatd.conversation.model import Conversation, Entry
from tests.support.service import BIN, Service
from tests.support.waiting import PATIENCE

PAST = datetime(2024, 5, 1, tzinfo=UTC)


def journal_of(service: Service) -> Path:
    return service.state / str(service.port) / "journal.db"


def fill(path: Path, messages: int) -> None:
    """A journal with one conversation that is over."""
    path.parent.mkdir(parents=True, mode=0o700)
    journal, turn_state = Journal(path, full=False), TurnState(Turns.FREE)
    conversation = Conversation("Bob", "198.51.100.7:40000", None, TurnState(Turns.FREE), PAST)
    texts = (wire.Message("Bob", f"{number} " + "x" * 450) for number in range(messages))
    journal.append(conversation, [Entry.numbered(turn_state, Role.PEER, text, PAST) for text in texts], turn_state)
    conversation.mark_shown(Role.OPERATOR, messages)
    journal.end_conversation(conversation, "", PAST)
    journal.close()


def backup(service: Service, file: Path) -> subprocess.CompletedProcess[str]:
    """Writes the backup to `file`, as `pychatd backup PORT >FILE` does."""
    words = service.command("backup", "--state-directory", str(service.state))
    with file.open("wb") as output:
        return subprocess.run(
            words,
            env=service.env,
            stdout=output,
            stderr=subprocess.PIPE,
            text=True,
            timeout=3 * PATIENCE,
            check=False,
        )


def checked(file: Path) -> subprocess.CompletedProcess[str]:
    words = [str(BIN / "pychatd"), "backup", "--check", str(file)]
    return subprocess.run(words, text=True, capture_output=True, timeout=PATIENCE, check=False)


def numbers(file: Path) -> list[int]:
    """The numbers of the messages of the running conversation in a copy."""
    with closing(sqlite3.connect(f"{file.as_uri()}?mode=ro&immutable=1", uri=True)) as db:
        return [n for (n,) in db.execute("SELECT n FROM message WHERE handle = 'Ann' ORDER BY seq")]


def test_a_backup_during_a_talk_is_the_journal_at_one_moment(idle_service: Service, tmp_path: Path) -> None:
    service = idle_service
    fill(journal_of(service), 8000)
    service.start("--turns", "free")
    caller = service.greeted("Ann")
    said, over = 0, threading.Event()

    def talk() -> None:
        nonlocal said
        while not over.is_set():
            caller.send("Ann> hello")
            said += 1
            while not caller.reads("\\ack").startswith(f"\\ack {said}"):
                pass

    talking = threading.Thread(target=talk)
    talking.start()
    try:
        results = [backup(service, tmp_path / name) for name in ("one", "two")]
    finally:
        over.set()
        talking.join()
    assert [(result.returncode, result.stderr) for result in results] == [(0, ""), (0, "")]
    one, two = numbers(tmp_path / "one"), numbers(tmp_path / "two")
    assert one == list(range(1, len(one) + 1))
    assert two == list(range(1, len(two) + 1))
    assert len(one) < len(two) <= said, "the talk went on during the backup"
    result = checked(tmp_path / "two")
    assert result.stdout == f"{tmp_path / 'two'} is whole: 2 conversations, {8000 + len(two)} messages.\n"


def test_a_restored_backup_goes_on_where_it_was(service: Service, tmp_path: Path) -> None:
    caller = service.greeted("Ann")
    caller.send("Ann> before")
    caller.reads("\\ack 1")
    assert backup(service, tmp_path / "copy").returncode == ExitStatus.OK
    caller.close()
    service.pychatd("stop")
    for name in ("journal.db", "journal.db-wal"):
        journal_of(service).with_name(name).unlink(missing_ok=True)
    shutil.copy(tmp_path / "copy", journal_of(service))
    service.start()
    assert service.status()["peer"]["received"] == 1


def test_without_a_daemon_the_file_itself_is_copied(service: Service, tmp_path: Path) -> None:
    caller = service.greeted("Ann")
    caller.send("Ann> hello")
    caller.reads("\\ack 1")
    service.kill()  # what was said last is in the write-ahead log alone
    assert backup(service, tmp_path / "copy").returncode == ExitStatus.OK
    assert numbers(tmp_path / "copy") == [1]
    service.start()
    assert service.status()["peer"]["received"] == 1


def test_another_program_is_still_locked_out_after_a_backup(service: Service, tmp_path: Path) -> None:
    assert backup(service, tmp_path / "copy").returncode == ExitStatus.OK
    with (
        closing(sqlite3.connect(journal_of(service), timeout=0.01)) as db,
        pytest.raises(sqlite3.OperationalError, match="locked"),
    ):
        db.execute("SELECT count(*) FROM message")


def test_there_has_to_be_something_to_copy(idle_service: Service, tmp_path: Path) -> None:
    result = backup(idle_service, tmp_path / "copy")
    assert result.returncode == ExitStatus.ABSENT
    assert "there is no journal" in result.stderr


def test_a_service_in_another_runtime_directory_is_hinted_at(service: Service, tmp_path: Path) -> None:
    words = service.command(
        "backup", "--runtime-directory", str(tmp_path), "--state-directory", str(service.state)
    )
    result = subprocess.run(words, env=service.env, text=True, capture_output=True, timeout=PATIENCE, check=False)
    assert (result.returncode, result.stdout) == (ExitStatus.FAILED, "")
    assert result.stderr == (
        f"pychatd: A program uses the journal {journal_of(service)}. No service answers in {tmp_path}. "
        "If it is pychatd, add its --runtime-directory.\n"
    )


def test_a_terminal_gets_no_backup(service: Service) -> None:
    terminal = service.terminal(service.command("backup"))
    terminal.sees("A backup is not for a terminal")
    assert terminal.exit_status() == ExitStatus.USAGE


def test_a_full_disk_makes_the_backup_fail(service: Service) -> None:
    result = backup(service, Path("/dev/full"))
    assert (result.returncode, result.stderr) == (1, "pychatd: Cannot write to stdout: No space left on device.\n")


@pytest.mark.parametrize("options", [[], ["7000", "--check", "x"]])
def test_wrong_use_is_refused(options: list[str]) -> None:
    words = [str(BIN / "pychatd"), "backup", *options]
    assert subprocess.run(words, capture_output=True, check=False).returncode == ExitStatus.USAGE


def damaged(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 4096] = bytes(4096)
    file.write_bytes(data)


def shortened(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-4096])


def emptied(file: Path) -> None:
    file.write_bytes(b"")


def other(file: Path) -> None:
    file.write_bytes(b"PK\3\4" + bytes(5000))


@pytest.mark.parametrize("harm", [damaged, shortened, emptied, other, Path.unlink])
def test_the_check_finds_a_bad_copy(tmp_path: Path, harm: object) -> None:
    copy = tmp_path / "state" / "copy"
    fill(copy, 300)
    assert checked(copy).returncode == ExitStatus.OK
    assert callable(harm)
    harm(copy)
    result = checked(copy)
    assert result.returncode == ExitStatus.FAILED
    assert len(result.stderr.splitlines()) == 1
    assert sorted(path.name for path in copy.parent.iterdir()) in (["copy"], [])
