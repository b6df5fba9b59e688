"""--log: a private and complete transcript, which never disturbs the conversation."""

from __future__ import annotations

import re
import shutil
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.support.programs import Piped
from tests.support.service import BIN, Service
from tests.support.user import run
from tests.support.waiting import wait_for

TIME = r"[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}[+-][0-9]{2}:[0-9]{2}"


def _logged(log: Path) -> list[str]:
    """The lines of a log, each with TIME for its time."""
    return [re.sub(TIME, "TIME", row) for row in log.read_text().splitlines()]


def _ends(service: Service, log: Path) -> tuple[Piped, Piped]:
    """A console and a client that writes a log."""
    console = service.ready_plain("pychatd-console", "--handle", "Server")
    client = service.ready_plain("pychat", "--handle", "Client1", "--log", str(log))
    return console, client


def test_both_sides_write_private_transcripts(service: Service, tmp_path: Path) -> None:
    logs = [tmp_path / "client.log", tmp_path / "console.log"]
    console = service.ready_console("--log", str(logs[1]))
    client = service.client("Client1", "--log", str(logs[0]))
    client.line_is("Client1>")
    client.enter("Hi!")
    console.sees("Client1> Hi!")
    wait_for(lambda: all("Client1> Hi!" in log.read_text() for log in logs), "it is written at once")
    for log in logs:
        assert stat.S_IMODE(log.stat().st_mode) == 0o600
    console.enter("two\x1b\rlines")  # Alt-Enter
    client.sees("lines")
    client.enter("\\status")
    client.enter("\\quit bye")
    assert client.exit_status() == 0
    client.sees("-- You ended the conversation: bye.")
    console.sees("ended the conversation")
    indented = " " * 30 + "lines"
    first, *rest = _logged(logs[0])
    assert first.startswith("-- TIME Connected to Server.")
    assert rest == ["TIME >Client1> Hi!", "TIME Server> two", indented, "-- TIME You ended the conversation: bye."]
    first, *rest = _logged(logs[1])
    assert first.startswith("-- TIME Client1 calls from ")
    said = ["TIME Client1> Hi!", "TIME >Server> two", indented]
    assert rest == [*said, '-- TIME Client1 ended the conversation: "bye".']


def test_transcript_and_history_have_the_same_times(service: Service, tmp_path: Path) -> None:
    service.env["TZ"] = "<+0530>-05:30"  # as POSIX writes it: needs no data of zones
    console, client = _ends(service, tmp_path / "transcript")
    client.enter("Hi!")
    console.says("Hi!")
    (logged,) = re.findall(f"^({TIME}) >Client1> Hi!$", (tmp_path / "transcript").read_text(), re.MULTILINE)
    assert logged.endswith("+05:30")
    assert abs(datetime.fromisoformat(logged) - datetime.now(UTC)) < timedelta(hours=1)
    words = [
        str(BIN / "pychatd-console"),
        str(service.port),
        "--runtime-directory",
        str(service.runtime),
        "--history",
    ]
    history = run(service, words).stdout
    (said,) = re.findall(f"^({TIME}) Client1> Hi!$", history, re.MULTILINE)
    assert said.endswith("+05:30")
    assert "Hi!" in run(service, [*words, "--since", said], TZ="UTC").stdout
    later = datetime.fromisoformat(said) + timedelta(seconds=1)
    assert "Hi!" not in run(service, [*words, "--since", str(later)], TZ="UTC").stdout


def test_hostile_text_is_printable_in_the_transcript(service: Service, tmp_path: Path) -> None:
    console, client = _ends(service, tmp_path / "transcript")
    client.enter("Hi!")
    console.says("Hi!")
    console.enter("\u202e2026-01-01 00:00:00+00:00 Client1> forged")
    client.says("forged")
    assert "TIME Server> <U+202E>TIME Client1> forged" in _logged(tmp_path / "transcript")


def test_a_transcript_is_appended_to_and_becomes_private(service: Service, tmp_path: Path) -> None:
    log = tmp_path / "transcript"
    log.write_text("before\n")
    log.chmod(0o644)
    _, client = _ends(service, log)
    client.enter("Hi!")
    client.end_input()
    assert client.exit_status() == 0
    assert log.read_text().startswith("before\n-- ")
    assert stat.S_IMODE(log.stat().st_mode) == 0o600


def test_a_file_with_several_names_is_no_transcript(service: Service, tmp_path: Path) -> None:
    """It may be a file of another program that somebody has put there."""
    (tmp_path / "precious").write_text("precious\n")
    (tmp_path / "precious").chmod(0o644)
    (tmp_path / "transcript").hardlink_to(tmp_path / "precious")
    client = service.plain("pychat", "--handle", "Client1", "--log", str(tmp_path / "transcript"))
    assert client.exit_status() == 2
    assert "the file has other names (hard links). Name a new file." in client.notices()
    assert (tmp_path / "precious").read_text() == "precious\n"
    assert stat.S_IMODE((tmp_path / "precious").stat().st_mode) == 0o644


def test_undelivered_messages_are_marked(service: Service, tmp_path: Path) -> None:
    console, client = _ends(service, tmp_path / "transcript")
    client.enter("Hi!\nnever said")
    client.notes("held until your turn")
    console.says("Hi!")
    console.enter("\\quit")
    assert client.exit_status() == 6
    assert "-- TIME Not sent: never said" in _logged(tmp_path / "transcript")
    assert not any("Client1> never said" in row for row in _logged(tmp_path / "transcript"))


@pytest.mark.skipif(shutil.which("prlimit") is None, reason="util-linux is not there")
def test_a_full_disk_ends_the_transcript_with_one_notice(service: Service, tmp_path: Path) -> None:
    log = tmp_path / "transcript"
    console = service.ready_plain("pychatd-console", "--handle", "Server")
    known = service.plain("pychat", "--handle", "Client1")  # its key is accepted while there is room for it
    known.end_input()
    assert known.exit_status() == 0
    words = [str(BIN / "pychat"), "--handle", "Client1", "--log", str(log), "localhost", str(service.port)]
    client = Piped(service.popen(["prlimit", "--fsize=200", *words]))
    for number in range(8):
        client.enter(f"message {number}")
        console.says(f"message {number}\n")
        console.enter(f"answer {number}")
        client.says(f"answer {number}\n")
    client.end_input()
    assert client.exit_status() == 0
    assert client.notices().count("the log ") == 1
    assert f"Cannot write to the log {log} any more: File too large. The conversation goes on." in client.notices()
    assert log.stat().st_size == 200
