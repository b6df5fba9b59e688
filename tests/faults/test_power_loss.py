"""What a program finds that was killed between a write and its sync: nobody is told of it before it is durable,
for when the power fails then, the page cache is gone with all that was in it only."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.caller_host import recorded
from tests.faults.power import TRACED, Disk, Left, TracedService, contents, lost
from tests.faults.screened import Screened
from tests.faults.strace import Call, attached, calls_in, files_killed_in, why_not
from tests.support.programs import Piped
from tests.support.raw_ends import BlockingEnd
from tests.support.service import BIN, Service
from tests.support.waiting import PATIENCE, wait_for

DIES_AT_SYNC = ("-s", "100000", "-e", TRACED, "-e", "inject=fdatasync:signal=SIGKILL")
"""Killed when it asks for the sync of what it has just written, before that is done."""


@pytest.fixture
def traced(tmp_path: Path) -> Iterator[TracedService]:
    if reason := why_not(tmp_path):
        pytest.skip(reason)
    service = TracedService(tmp_path)
    yield service
    service.close()


def _console(service: Service) -> Piped:
    return service.plain("pychatd-console", "--plain", "--handle", "Server")


class _Talk:
    """A conversation whose p1 is durable; then the daemon dies before p2 or o1 is."""

    def __init__(self, service: TracedService) -> None:
        self.service = service
        Service.start(service, "--turns", "free")  # it is traced later, by what kills it
        self.peer = service.connect()
        self._session = self.peer.greet("Client1")
        self.peer.send("Client1> p1")
        self.peer.reads("\\ack 1")
        self._console = _console(service)
        self._console.says("Client1> p1\n")
        self.disk = Disk(service.journal)

    def dies_at(self, role: str) -> list[Call]:
        """What the daemon did until it was killed. role: whose message it was to store."""
        trace = self.service.directory / "trace-of-the-killed"
        with attached(self.service.pid(), trace, *DIES_AT_SYNC), self.service.ends():
            if role == "peer":
                self.peer.send("Client1> p2")
            else:
                self._console.enter("o1")
        self._console.process.kill()
        self._console.process.wait()
        calls = calls_in(trace)
        assert calls[-1].writes_wal
        assert not any(call.syncs for call in calls), "it was killed too late"
        return calls

    def resumes(self) -> BlockingEnd:
        peer = self.service.connect()
        peer.send(f"\\hello 1 Client1 {self._session} got=0")
        return peer


@pytest.mark.parametrize(
    ("role", "family", "words"),
    [
        ("peer", "TCP", " got=2 "),
        ("peer", "UNIX", "Client1> p2"),
        ("operator", "TCP", "Server> o1"),
        ("operator", "UNIX", " got=1 "),
    ],
)
def test_a_restarted_daemon_syncs_before_it_confirms(
    traced: TracedService, role: str, family: str, words: str
) -> None:
    talk = _Talk(traced)
    talk.dies_at(role)
    traced.start("--turns", "free")
    if family == "UNIX":
        _console(traced)
    else:
        talk.resumes()
    traced.tells(family, words)
    traced.kill()
    calls = traced.calls()
    told = next(n for n, call in enumerate(calls) if call.sends(family, words))
    synced = {call.file for call in calls[:told] if call.syncs}
    assert synced >= {str(traced.journal), f"{traced.journal}-wal"}


@pytest.mark.parametrize("killed_in", ["sync", "write"])
@pytest.mark.parametrize("role", ["peer", "operator"])
def test_a_power_loss_after_a_kill_loses_nothing_confirmed(
    traced: TracedService, role: str, killed_in: str
) -> None:
    talk = _Talk(traced)
    before: list[Call | Left] = [*talk.dies_at(role)]
    if killed_in == "write":  # then strace does not tell that the last one was done
        before[-1] = Left(contents(traced.journal), {f"{traced.journal}-wal"})
    traced.start("--turns", "free")
    peer = talk.resumes()
    if role == "operator":
        peer.reads("Server> o1")
    _console(traced).says("Client1> p1\n")
    peer.send("Client1> p2" if role == "operator" else "Client1> p3")
    peer.reads("\\ack ")
    traced.tells("TCP", "\\ack ")
    traced.kill()
    events = [*before, *traced.events()]
    assert lost(talk.disk, events, random.Random(1), points=len(events)) == 0


def test_a_client_with_a_screen_sends_nothing_before_its_sync(traced: TracedService) -> None:
    """A thread syncs. It dies there: nobody has got what is in the page cache only."""
    Service.start(traced, "--turns", "free")
    words = [str(BIN / "pychat"), "--accept-new", "localhost", str(traced.port), "--handle", "Client1"]
    client = Screened(traced, words, traced.env)
    client.notes("Connected to")
    client.enter("p1")
    file = Path(traced.env["XDG_STATE_HOME"]) / f"pychat/sessions/localhost:{traced.port}.db"
    log = file.with_name(f"{file.name}-wal")
    wait_for(lambda: log.exists() and file.stat().st_size and not log.stat().st_size, "the file is tidied")
    disk = Disk(file)
    trace = traced.directory / "trace-of-the-client"
    with attached(client.process.pid, trace, *DIES_AT_SYNC):
        client.enter("p2")
        assert client.exit_status() == -signal.SIGKILL
    calls = calls_in(trace)
    assert not any(call.syncs for call in calls), "it was killed too late"
    written = next(n for n, call in enumerate(calls) if call.writes_wal)
    assert not any(call.sends("TCP", "") for call in calls[written:])
    assert traced.status()["peer"]["received"] == 1
    events: list[Call | Left] = [*calls, Left(contents(file), files_killed_in(trace))]
    for event in events:
        disk.play(event)
    assert {recorded(image) for image in disk.images()} == {1}
    assert recorded({Path(path).name: content for path, content in contents(file).items()}) == 2


def test_what_is_not_synced_is_lost_with_the_power(tmp_path: Path) -> None:
    """The images themselves."""
    journal = tmp_path / "journal.db"
    wal = f"{journal}-wal"
    disk = Disk(journal)
    for words in ("write one", "sync", "write two", "write three", "cut"):
        disk.play(_call(wal, words))
    images = [image["journal.db-wal"] for image in disk.images()]
    assert images == [b"one", b"one\0\0\0th", b"onetwo\0\0", b"onetwothree"]


def test_a_half_of_the_last_write_may_be_there(tmp_path: Path) -> None:
    disk, wal = _with_onetwo(tmp_path)
    disk.play(_call(wal, "write three"))
    assert [image["journal.db-wal"] for image in disk.images()] == [b"onetwo", b"onetwoth"]


@pytest.mark.parametrize("left", [b"onetwo", b"onetwothree", b"onetwoth", b""])
def test_what_a_killed_call_has_done_is_found_in_the_files(tmp_path: Path, left: bytes) -> None:
    """Nothing, a write or a part of it, or an ftruncate: not durable before the next sync."""
    disk, wal = _with_onetwo(tmp_path)
    disk.play(Left({wal: left}, {wal}))
    assert next(disk.images())["journal.db-wal"] == b"onetwo"
    disk.play(_call(wal, "sync"))
    assert [image["journal.db-wal"] for image in disk.images()] == [left]


def test_a_write_that_was_not_seen_is_an_error(tmp_path: Path) -> None:
    disk, wal = _with_onetwo(tmp_path)
    with pytest.raises(AssertionError, match="not all that was written"):
        disk.play(Left({wal: b"onetwothree"}, set()))


def _with_onetwo(directory: Path) -> tuple[Disk, str]:
    """A disk on which "onetwo" is durable, and its file."""
    journal = directory / "journal.db"
    wal = f"{journal}-wal"
    disk = Disk(journal)
    for words in ("write one", "write two", "sync"):
        disk.play(_call(wal, words))
    return disk, wal


BUSY_PROCESSES = """
import os, sys

reader, writer = os.pipe()
os.set_blocking(writer, False)
try:
    while True:
        os.write(writer, bytes(4096))
except BlockingIOError:
    os.set_blocking(writer, True)
if os.fork() == 0:
    os.write(writer, b"words")  # waits for room in the pipe
    os._exit(0)
with open(sys.argv[1]) as trace:
    while "unfinished" not in trace.read():
        os.write(2, b".")
while os.read(reader, 4096) != b"words":
    pass
os.wait()
"""


def test_strace_shows_calls_that_others_interrupt(tmp_path: Path) -> None:
    """A daemon syncs, and the program that has started it ends: strace breaks the line of the sync in two."""
    if reason := why_not(tmp_path):
        pytest.skip(reason)
    trace = tmp_path / "trace"
    words = ["strace", "-f", "-yy", "-e", "trace=write", "-o", str(trace), sys.executable, "-c", BUSY_PROCESSES]
    subprocess.run([*words, str(trace)], stderr=subprocess.DEVNULL, timeout=PATIENCE, check=True)
    assert [call.result for call in calls_in(trace) if call.rest.startswith('"words"')] == ["5"]


def test_a_sync_whose_line_is_broken_in_two_counts(tmp_path: Path) -> None:
    """Without it, what was acked right behind it would seem to be gone with the power."""
    wal = tmp_path / "journal.db-wal"
    trace = tmp_path / "trace"
    lines = [
        f'12 pwrite64(13<{wal}>, "one", 3, 0) = 3',
        f"12 fdatasync(13<{wal}> <unfinished ...>",
        "11 +++ exited with 0 +++",
        "12 <... fdatasync resumed>)          = 0",
        f'12 pwrite64(13<{wal}>, "two", 3, 3 <unfinished ...>',
        "12 +++ killed by SIGKILL +++",
    ]
    trace.write_text("\n".join(lines))
    disk = Disk(tmp_path / "journal.db")
    for call in calls_in(trace):
        disk.play(call)
    assert [image[wal.name] for image in disk.images()] == [b"one"]
    assert files_killed_in(trace) == {str(wal)}


def test_a_sync_does_not_cover_what_is_written_meanwhile(tmp_path: Path) -> None:
    """A thread syncs, and the program goes on: what follows from the sync says nothing of that."""
    wal = tmp_path / "journal.db-wal"
    trace = tmp_path / "trace"
    lines = [
        f'12 pwrite64(13<{wal}>, "one", 3, 0) = 3',
        f"13 fdatasync(13<{wal}> <unfinished ...>",
        f'12 pwrite64(13<{wal}>, "two", 3, 3) = 3',
        "13 <... fdatasync resumed>)          = 0",
    ]
    trace.write_text("\n".join(lines))
    disk = Disk(tmp_path / "journal.db")
    for call in calls_in(trace):
        disk.play(call)
    assert [image[wal.name] for image in disk.images()] == [b"one", b"onet"]
    disk.play(Left({str(wal): b"onetwo"}, set()))
    disk.play(Call("fdatasync", str(wal), "", "0", 1, 1))
    assert [image[wal.name] for image in disk.images()] == [b"onetwo"]


def _call(file: str, words: str) -> Call:
    """A call on `file`, each write behind the one before it."""
    places = {"one": 0, "two": 3, "three": 6}
    match words.split():
        case ["write", text]:
            return Call("pwrite64", file, f'"{text}", {len(text)}, {places[text]}', str(len(text)))
        case ["cut"]:
            return Call("ftruncate", file, "8", "0")
        case _:
            return Call("fdatasync", file, "", "0")
