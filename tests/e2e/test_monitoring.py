"""`pychatd status --check`, for monitoring; and the lists that tell what is unread."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest

from pychat_client.errors import ExitStatus
from pychatd.caller_words import told, was_damaged
from tests.support.service import BIN, Service


def _check(service: Service, *options: str) -> int:
    return service.pychatd("status", "--check", *options).returncode


def test_the_status_counts_unread_and_the_check_limits_its_age(service: Service) -> None:
    assert _check(service, "--unread-max", "0m") == ExitStatus.OK
    caller = service.greeted()
    caller.send("Client1> Hi!")
    caller.reads("\\ack 1")
    assert service.status()["unread"]["count"] == 1
    assert "1 unread message from Client1, since 20" in service.pychatd("status").stdout
    assert _check(service) == ExitStatus.OK
    for age in ("1h", "999999d"):
        assert _check(service, "--unread-max", age) == ExitStatus.OK
    late = service.pychatd("status", "--check", "--unread-max", "0m")
    words = f"pychatd: Port {service.port}: a message has been unread for longer than --unread-max allows.\n"
    assert (late.returncode, late.stderr) == (ExitStatus.UNREAD, words)


def test_the_check_tells_a_service_that_is_down(idle_service: Service) -> None:
    assert _check(idle_service) == ExitStatus.ABSENT


def test_a_daemon_that_was_killed_is_told_among_all_services(service: Service, tmp_path: Path) -> None:
    (tmp_path / "second").mkdir()
    second = Service(tmp_path / "second", runtime=service.runtime)

    def check_all() -> subprocess.CompletedProcess[str]:
        words = [str(BIN / "pychatd"), "status", "--check", "--runtime-directory", str(service.runtime)]
        return subprocess.run(words, env=service.env, text=True, capture_output=True, check=False)

    try:
        second.start()
        assert check_all().returncode == ExitStatus.OK
        second.kill()
        found = check_all()
        assert found.returncode == ExitStatus.ABSENT
        assert f"Port {second.port}: pychatd has died. Start it with 'pychatd start {second.port}'" in " ".join(
            found.stdout.split()
        )
        second.start()
        assert check_all().returncode == ExitStatus.OK
        second.kill(signal.SIGTERM)
        found = check_all()
        assert (found.returncode, len(found.stdout.splitlines())) == (ExitStatus.OK, 1)
    finally:
        second.close()


def test_the_check_tells_a_journal_that_fails(service: Service) -> None:
    service.kill()
    journal = service.state / str(service.port) / "journal.db"
    with closing(sqlite3.connect(journal, isolation_level=None)) as db:
        for write in ("INSERT ON message", "UPDATE ON last_operator"):
            name = write.replace(" ", "_")
            db.execute(f"CREATE TRIGGER {name} BEFORE {write} BEGIN SELECT RAISE(ABORT, 'full'); END")
    service.start()
    caller = service.greeted()
    caller.send("Client1> Hi!")
    caller.reads("\\error journal")
    assert _check(service) == ExitStatus.JOURNAL_FAILS


def test_the_check_tells_a_journal_that_is_gone(service: Service) -> None:
    directory = service.state / str(service.port)
    aside = directory.with_name("aside")
    assert _check(service) == ExitStatus.OK
    directory.rename(aside)
    assert _check(service) == ExitStatus.JOURNAL_FAILS
    service.logs("was removed while pychatd had it open: put it back, or restart the service.")
    aside.rename(directory)
    assert _check(service) == ExitStatus.OK
    (directory / "journal.db").rename(directory / "old.db")
    (directory / "journal.db").touch()
    assert _check(service) == ExitStatus.JOURNAL_FAILS
    service.logs("was replaced while pychatd had it open")


def test_a_damaged_journal_is_told_until_somebody_has_moved_it_away(service: Service) -> None:
    service.kill(signal.SIGTERM)
    directory = service.state / str(service.port)
    (directory / "journal.db").write_bytes(b"rubbish" * 1000)
    service.start()
    words = was_damaged(told(directory))
    for _ in range(2):  # also after another start
        assert _check(service) == ExitStatus.JOURNAL_FAILS
        assert words in service.pychatd("status").stdout
        assert service.status()["journal"] == "damaged"
        service.kill(signal.SIGTERM)
        service.start()
    service.ready_plain("pychatd-console").notes(words)
    (aside,) = directory.glob("journal.db.damaged-*")
    aside.rename(directory.with_name("examined"))
    assert _check(service) == ExitStatus.OK
    assert words not in service.pychatd("status").stdout


@pytest.mark.parametrize("options", [("--unread-max", "1h"), ("--check", "--unread-max", "soon")])
def test_wrong_use_is_a_sentence(idle_service: Service, options: tuple[str, ...]) -> None:
    result = idle_service.pychatd("status", *options)
    assert result.returncode == ExitStatus.USAGE
    assert "--unread-max" in result.stderr
    assert "Traceback" not in result.stderr


def test_the_console_lists_what_is_unread_at_each_service(service: Service, tmp_path: Path) -> None:
    (tmp_path / "second").mkdir()
    second = Service(tmp_path / "second", runtime=service.runtime)
    try:
        second.start()
        caller = second.greeted()
        caller.send("Client1> Hi!")
        caller.reads("\\ack 1")
        result = subprocess.run(
            [str(BIN / "pychatd-console"), "--runtime-directory", str(service.runtime)],
            env=service.env,
            text=True,
            capture_output=True,
            check=False,
        )
        listed = sorted([(service.port, ""), (second.port, " (1 unread)")])
        assert ", ".join(f"{port}{words}" for port, words in listed) in result.stderr
    finally:
        second.close()
