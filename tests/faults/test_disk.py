"""The journal on a disk that is full, read-only, failing, corrupt or taken: nothing acked is lost, nothing
is acked that is not stored, people are told, and the daemon goes on by itself."""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from pychat_client.errors import ExitStatus
from tests.faults.strace import attached, why_not
from tests.support.programs import Piped
from tests.support.service import BIN, Service
from tests.support.waiting import wait_for

AGAIN = 60.0
"""Seconds in which a client has called again: four times its longest pause."""

TO_CLIENT = "The other host cannot store messages now"
TO_CONSOLE = "cannot be used: database or disk is full"
STORED = re.compile("Your messages are stored now|pychatd can store messages again")
ORDER = re.compile(r"^\w+> ([po][0-9]+)\b", re.MULTILINE)


class SmallDisk:
    """The state directory of a service, on a tmpfs of its own."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir()
        self._mount("-t", "tmpfs", "-o", "size=1m", "none")

    def _mount(self, *options: str) -> None:
        subprocess.run(["mount", *options, str(self.path)], check=True, capture_output=True, timeout=10)

    def fill(self) -> None:
        """Takes all the room there is."""
        with (self.path / "filler").open("ab", buffering=0) as file:
            try:
                while True:
                    file.write(b"x" * 4096)
            except OSError:
                pass

    def make_room(self) -> None:
        (self.path / "filler").unlink()

    def remount(self, how: str) -> bool:
        """how: ro or rw; False while the kernel refuses, for a file is open for writing."""
        try:
            self._mount("-o", f"remount,{how}")
        except subprocess.CalledProcessError:
            return False
        return True

    def close(self) -> None:
        subprocess.run(["umount", "--lazy", str(self.path)], check=True, timeout=10)


@pytest.fixture
def disk(idle_service: Service) -> Iterator[SmallDisk]:
    try:
        small = SmallDisk(idle_service.state)
    except (OSError, subprocess.SubprocessError):
        pytest.skip("a tmpfs can be mounted by root only")
    yield small
    small.close()


def _pair(service: Service) -> tuple[Piped, Piped]:
    """A client and a console that talk."""
    console = service.plain("pychatd-console", "--plain", "--handle", "Server")
    console.notes("The caller sends the first message")
    client = service.plain("pychat", "--plain", "--handle", "Client1", host="127.0.0.1")
    client.enter("p1")
    console.says("Client1> p1\n")
    return client, console


def _journal(service: Service) -> list[str]:
    """What `pychatd-console --history` tells: the first word of each message."""
    words = [str(BIN / "pychatd-console"), str(service.port), "--runtime-directory", str(service.runtime)]
    done = subprocess.run(
        [*words, "--history", "--json"], env=service.env, capture_output=True, timeout=20, check=True
    )
    return [json.loads(entry)["text"].split()[0] for entry in done.stdout.splitlines()]


def _exhaust(disk: SmallDisk, client: Piped, console: Piped) -> int:
    """Fills the disk and says p2, p3, ... until one is not stored; its number. What a failed transaction
    gives back may be room for one more."""
    for n in range(2, 40):
        disk.fill()
        client.enter(f"p{n} {'x' * 490}")
        wait_for(
            lambda n=n: f"Client1> p{n} " in console.out() or TO_CLIENT in client.notices(),  # type: ignore[misc]
            "it is stored, or refused",
        )
        if TO_CLIENT in client.notices():
            disk.fill()
            return n
    raise AssertionError("a full disk takes everything")


def _all_arrives(service: Service, client: Piped, console: Piped, last: int) -> None:
    """Everything said by both is shown once, in order, and in the journal."""
    expected = {"p": [f"p{n}" for n in range(1, last + 1)], "o": ["o1", "o2"]}
    wait_for(lambda: len(ORDER.findall(console.out())) >= last, "all at the console", AGAIN)
    wait_for(lambda: len(ORDER.findall(client.out())) >= 2, "all at the client", AGAIN)
    assert ORDER.findall(console.out()) == expected["p"]
    assert ORDER.findall(client.out()) == expected["o"]
    said = _journal(service)
    assert [word for word in said if word[0] == "p"] == expected["p"]
    assert [word for word in said if word[0] == "o"] == expected["o"]


# ------------------------------------------------------------------ full


def test_a_full_disk_delays_messages_and_loses_none(disk: SmallDisk, idle_service: Service) -> None:
    service = idle_service
    service.start("--turns", "free")
    pid = service.pid()
    client, console = _pair(service)
    last = _exhaust(disk, client, console)
    console.enter("o1")
    console.notes(TO_CONSOLE)
    console.enter("o2")
    client.enter(f"p{last + 1}")
    stored = service.status()["peer"]
    assert (stored["received"], stored["sent"]) == (last - 1, 0)
    assert f"p{last} " not in console.out()
    assert client.out() == ""
    service.logs(TO_CONSOLE)
    disk.make_room()
    _all_arrives(service, client, console, last + 1)
    service.logs("The journal can be written again")
    for program in (client, console):
        wait_for(lambda p=program: STORED.search(p.notices()), "the user reads that it works again")  # type: ignore[misc]
    assert service.pid() == pid


def test_a_disk_that_becomes_read_only_is_like_a_full_one(disk: SmallDisk, idle_service: Service) -> None:
    service = idle_service
    service.start("--turns", "free")
    pid = service.pid()
    client, console = _pair(service)
    last = _exhaust(disk, client, console)
    # The kernel lets nobody make it read-only while the journal is open for writing: between two tries it is not.
    wait_for(lambda: disk.remount("ro"), "the disk can be made read-only", AGAIN)
    console.enter("o1")
    console.notes("cannot be used")
    console.enter("o2")
    assert service.status()["peer"]["received"] == last - 1
    assert disk.remount("rw")
    disk.make_room()
    _all_arrives(service, client, console, last)
    assert service.pid() == pid


def test_the_check_tells_a_full_disk_before_anybody_writes(disk: SmallDisk, idle_service: Service) -> None:
    service = idle_service
    service.start()
    assert service.pychatd("status", "--check").returncode == ExitStatus.OK
    disk.fill()
    result = service.pychatd("status", "--check")
    assert result.returncode == ExitStatus.JOURNAL_FAILS
    assert "Messages cannot be stored." in result.stdout
    service.logs("the disk of the journal is nearly full")
    disk.make_room()
    assert service.pychatd("status", "--check").returncode == ExitStatus.OK


def test_the_check_tells_that_a_disk_has_room_again_before_anybody_says_anything(
    disk: SmallDisk, idle_service: Service
) -> None:
    service = idle_service
    service.start("--turns", "free")
    client, _ = _pair(service)
    disk.fill()
    client.enter("\\detach")
    client.exit_status()
    service.logs(TO_CONSOLE)
    assert service.pychatd("status", "--check").returncode == ExitStatus.JOURNAL_FAILS
    disk.make_room()
    assert service.pychatd("status", "--check").returncode == ExitStatus.OK
    service.logs("The journal can be written again")


def test_the_check_tells_a_disk_that_has_become_read_only(disk: SmallDisk, idle_service: Service) -> None:
    service = idle_service
    service.start()
    subprocess.run(["mount", "--bind", disk.path, disk.path], check=True, timeout=10)
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", disk.path], check=True, timeout=10)
        assert service.pychatd("status", "--check").returncode == ExitStatus.JOURNAL_FAILS
        service.logs("may not be written: look at its owner, its mode and its disk.")
    finally:
        subprocess.run(["umount", "--lazy", disk.path], check=True, timeout=10)
    assert service.pychatd("status", "--check").returncode == ExitStatus.OK


def test_a_daemon_that_cannot_write_does_not_start(disk: SmallDisk, idle_service: Service) -> None:
    (disk.path / str(idle_service.port)).mkdir(mode=0o700)
    assert disk.remount("ro")
    result = idle_service.pychatd("start")
    assert result.returncode != 0
    assert f"Cannot write to the directory {disk.path / str(idle_service.port)}: " in result.stderr
    assert "Traceback" not in result.stderr


def test_a_daemon_does_not_start_on_a_full_disk_and_says_so(disk: SmallDisk, idle_service: Service) -> None:
    (disk.path / str(idle_service.port)).mkdir(mode=0o700)
    disk.fill()
    result = idle_service.pychatd("start")
    assert result.returncode != 0
    assert "Cannot write the key to " in result.stderr
    assert ": No space left on device." in result.stderr
    disk.make_room()
    idle_service.start()


# ------------------------------------------------------------------ gone


@pytest.mark.parametrize("name", ["journal.db", "journal.db-wal", "."])
def test_nothing_is_confirmed_while_the_journal_is_away(idle_service: Service, name: str) -> None:
    """Somebody has moved the file, or all files; and moves them back."""
    service = idle_service
    service.start("--turns", "free")
    client, console = _pair(service)
    place = service.state / str(service.port) / name
    aside = service.state / "aside"
    place.rename(aside)
    client.enter("p2")
    client.notes(TO_CLIENT)
    console.enter("o1")
    console.notes("cannot store messages now")
    service.logs("was removed while pychatd had it open: put it back, or restart the service.")
    assert service.pychatd("status", "--check").returncode == ExitStatus.JOURNAL_FAILS
    assert ORDER.findall(console.out()) == ["p1"]
    assert client.out() == ""
    aside.rename(place)
    console.enter("o2")
    _all_arrives(service, client, console, 2)


def test_a_message_is_kept_and_not_confirmed_when_the_journal_was_removed(idle_service: Service) -> None:
    service = idle_service
    service.start("--turns", "free")
    client, _ = _pair(service)
    (service.state / str(service.port) / "journal.db").unlink()
    client.enter("p2")
    client.notes(TO_CLIENT)
    service.kill(signal.SIGTERM)
    service.start("--turns", "free")
    assert client.exit_status() != ExitStatus.OK
    assert "the other host does not have it any more (it had 1 of your messages)" in client.notices()
    assert client.notices().splitlines()[-1].split() == ["pychat:", "p2"]


# ------------------------------------------------------------------ failing


@pytest.mark.parametrize("calls", ["fdatasync", "pwrite64", "fdatasync,fsync", "fdatasync,fsync,pwrite64,unlink"])
def test_a_disk_that_fails_for_a_while_loses_nothing(idle_service: Service, tmp_path: Path, calls: str) -> None:
    """The kernel answers EIO. A transaction whose sync failed may be in the journal all the same."""
    if reason := why_not(tmp_path):
        pytest.skip(reason)
    service = idle_service
    service.start("--turns", "free")
    client, console = _pair(service)
    with attached(service.pid(), tmp_path / "t", "-e", f"trace={calls}", "-e", f"inject={calls}:error=EIO"):
        client.enter("p2")
        client.notes(TO_CLIENT)
        console.enter("o1")
        console.notes("cannot be used")
        assert ORDER.findall(console.out()) == ["p1"]
        assert client.out() == ""
    console.enter("o2")
    client.enter("p3")
    _all_arrives(service, client, console, 3)
    service.kill()
    service.start("--turns", "free")
    assert sorted(_journal(service)) == ["o1", "o2", "p1", "p2", "p3"]


# ------------------------------------------------------------------ corrupt, and taken


def test_a_corrupt_journal_is_kept_aside_and_named_in_the_log(idle_service: Service) -> None:
    service = idle_service
    service.start()
    service.pychatd("stop")
    journal = service.state / str(service.port) / "journal.db"
    garbage = os.urandom(20000)
    journal.write_bytes(garbage)
    result = service.pychatd("start")
    (aside,) = journal.parent.glob("journal.db.damaged-*")
    assert result.returncode == ExitStatus.OK
    assert result.stderr.startswith("pychatd: The journal was damaged")
    assert str(aside) in result.stderr
    service.logs("The journal was damaged")
    assert aside.read_bytes() == garbage
    assert any(str(aside) in entry for entry in service.log())
    peer = service.greeted()
    peer.send("Client1> first")
    peer.reads("\\ack 1")


@pytest.mark.parametrize("found_by", ["history", "console", "message"])
def test_a_journal_damaged_at_run_time_ends_the_conversation(idle_service: Service, found_by: str) -> None:
    """Whoever comes across the damage: what is acked from then on is in the new journal."""
    service = idle_service
    service.start("--turns", "free")
    peer = service.connect()
    session = peer.greet("Client1")
    said = 0
    for _ in range(100):  # 12 MiB of journal: more than SQLite keeps in memory
        peer.send(*(f"Client1> p{said + n} {'ä' * 450}" for n in range(1, 51)))
        said += 50
        peer.reads(f"\\ack {said}")
    directory = service.state / str(service.port)
    for file in (directory / "journal.db", directory / "journal.db-wal"):
        size = file.stat().st_size
        with file.open("r+b") as opened:
            opened.write(os.urandom(size))
    if found_by == "history":
        with suppress(subprocess.CalledProcessError):  # or the daemon has just looked for itself
            assert _journal(service) == []
    elif found_by == "console":
        service.plain("pychatd-console", "--plain", "--handle", "Server").notes("damaged")
    service.log()
    peer.send("Client1> after")
    answers = peer.rest() if found_by != "message" else [peer.line()]
    if not any(answer.startswith("\\ack") for answer in answers):
        answers += peer.rest()
        assert any(answer.startswith("\\quit") for answer in answers), (answers, service.log())
        assert list(directory.glob("journal.db.damaged-*"))
        new = service.greeted("Client2")
        new.send("Client2> first")
        new.reads("\\ack 1")
        service.kill()
        service.start("--turns", "free")
        assert _journal(service) == ["first"]
        return
    service.kill()  # it has noticed nothing yet: then the next start does
    service.start("--turns", "free")
    service.logs("The journal was damaged")
    back = service.connect()
    back.send(f"\\hello 1 Client1 {session} got=0")
    assert session not in back.line()


def test_a_journal_in_use_is_not_touched_at_the_start(idle_service: Service) -> None:
    service = idle_service
    service.start()
    service.pychatd("stop")
    journal = service.state / str(service.port) / "journal.db"
    other = sqlite3.connect(journal)
    try:
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        other.execute("BEGIN IMMEDIATE")
        result = service.pychatd("start")
        assert result.returncode != 0
        assert f"The journal {journal} cannot be used: database is locked" in result.stderr
        assert sorted(file.name for file in journal.parent.glob("*damaged*")) == []
    finally:
        other.close()
    service.start()
