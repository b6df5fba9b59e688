"""What a daemon finds that was killed between a write and its sync: nobody is told of it before it is durable,
for when the power fails then, the page cache is gone with all that was in it only."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.harness import Line, Piped, RawPeer
from tests.faults.power import TRACED, Disk, TracedLine, lost
from tests.faults.strace import Call, attached, calls_in, why_not

DIES_AT_SYNC = ("-s", "100000", "-e", TRACED, "-e", "inject=fdatasync:signal=SIGKILL")
"""Killed when it asks for the sync of what it has just written, before that is done."""


@pytest.fixture
def traced(tmp_path: Path) -> Iterator[TracedLine]:
    if reason := why_not(tmp_path):
        pytest.skip(reason)
    line = TracedLine(tmp_path)
    yield line
    line.close()


def _console(line: Line) -> Piped:
    return line.plain("pychatd-console", "--plain", "--handle", "Server")


class _Talk:
    """A conversation whose p1 is durable; then the daemon dies before p2 or o1 is."""

    def __init__(self, line: TracedLine) -> None:
        self.line = line
        Line.start(line, "--turns", "free")  # it is traced later, by what kills it
        self.peer = line.connect()
        self.peer.send("\\hello 1 Client1")
        self._session = next(word for word in self.peer.line().split() if word.startswith("session="))
        self.peer.send("Client1> p1")
        self.peer.reads("\\ack 1")
        self._console = _console(line)
        self._console.says("Client1> p1\n")
        self.disk = Disk(line.journal)

    def dies_at(self, role: str) -> list[Call]:
        """What the daemon did until it was killed. role: whose message it was to store."""
        trace = self.line.directory / "trace-of-the-killed"
        with attached(self.line.pid(), trace, *DIES_AT_SYNC), self.line.ends():
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

    def resumes(self) -> RawPeer:
        peer = self.line.connect()
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
def test_what_a_killed_daemon_has_written_is_synced_before_anyone_is_told_of_it(
    traced: TracedLine, role: str, family: str, words: str
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


@pytest.mark.parametrize("role", ["peer", "operator"])
def test_what_anyone_was_told_of_is_there_when_the_power_fails_after_a_kill(traced: TracedLine, role: str) -> None:
    talk = _Talk(traced)
    before = talk.dies_at(role)
    traced.start("--turns", "free")
    peer = talk.resumes()
    if role == "operator":
        peer.reads("Server> o1")
    _console(traced).says("Client1> p1\n")
    peer.send("Client1> p2" if role == "operator" else "Client1> p3")
    peer.reads("\\ack ")
    traced.tells("TCP", "\\ack ")
    traced.kill()
    calls = [*before, *traced.calls()]
    gone = lost(talk.disk, calls, random.Random(1), points=len(calls))
    assert talk.disk.is_real(), "not all that was written was seen"
    assert gone == 0


def test_what_is_not_synced_is_lost_with_the_power(tmp_path: Path) -> None:
    """The images themselves."""
    journal = tmp_path / "journal.db"
    wal = f"{journal}-wal"
    disk = Disk(journal)
    for words in ("write one", "sync", "write two", "write three", "cut"):
        disk.play(_call(wal, words))
    contents = [image["journal.db-wal"] for image in disk.images()]
    assert contents == [b"one", b"one\0\0\0th", b"onetwo\0\0", b"onetwothree"]


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
