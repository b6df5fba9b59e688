"""What a power loss leaves of a program's SQLite file: its writes and syncs, as strace saw them, are played back,
and those that no sync had come behind are lost, each alone and all together; the last one may be there in part.

A sync of a file makes all writes to it durable that were done when it began. That a name is in its directory is
taken for granted, and an earlier write is there as a whole or not at all. Whether the call was done in which a
program was killed, strace does not see: the files tell, before the next one starts. A difference without such a
call is an error.
"""

from __future__ import annotations

import ast
import itertools
import random
import re
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from pychat_client.protocol.turns import Role
from pychatd.conversation.journal import Journal
from tests.faults.strace import SYNCS, WRITES, Call, calls_in, files_killed_in
from tests.support.service import Service
from tests.support.waiting import PATIENCE, wait_for

TRACED = f"trace={WRITES},{SYNCS},ftruncate"
POINTS = 15
"""At so many moments of a run the power fails."""

SINGLE_MAX = 8
"""So many of the writes that are not synced are lost alone, one an image."""

_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')
_COUNT = re.compile(r"\\\\(?:ack |(?:hello|peer) [^\\]* got=)([0-9]+)")
_SHOWN = re.compile(r"Client1> ([^\\]+)\\n")


@dataclass(frozen=True)
class _Change:
    """A write, or, without data, a new length. done: where in the trace; 0 for what was there before it."""

    place: int
    data: bytes | None
    done: int = 0

    def apply(self, content: bytearray) -> None:
        if self.data is None:
            del content[self.place :]
        content.extend(bytes(max(0, self.place - len(content))))
        if self.data is not None:
            content[self.place : self.place + len(self.data)] = self.data

    def torn(self) -> _Change:
        """The first half of a write, as a disk leaves it that is writing when the power fails."""
        assert self.data is not None
        return _Change(self.place, self.data[: len(self.data) // 2])


@dataclass(frozen=True)
class Left:
    """What a program has left that has ended, in the page cache: the contents of its files.

    uncertain: the files of the calls in which it was killed
    """

    contents: dict[str, bytes]
    uncertain: set[str]


@dataclass
class _File:
    durable: bytearray = field(default_factory=bytearray)
    pending: list[_Change] = field(default_factory=list)

    def content(self, lost: Iterable[_Change] = (), torn: _Change | None = None) -> bytes:
        content = bytearray(self.durable)
        gone = {id(change) for change in lost}
        for change in self.pending:
            if id(change) not in gone:
                (change.torn() if change is torn else change).apply(content)
        return bytes(content)

    def find(self, real: bytes) -> None:
        """Adds the one change that strace has not seen."""
        both = zip(self.content(), real, strict=False)
        same = sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], both))
        self.pending.append(_Change(same, real[same:] or None))

    def sync(self, began: int) -> None:
        """While a thread syncs, the program can go on writing."""
        covered = [change for change in self.pending if change.done <= began]
        for change in covered:
            change.apply(self.durable)
        self.pending = self.pending[len(covered) :]

    def forget_places(self) -> None:
        """The next program has another trace."""
        self.pending = [replace(change, done=0) for change in self.pending]


class Disk:
    """A SQLite file and its log, and what of them is durable."""

    def __init__(self, journal: Path, *, empty: bool = False) -> None:
        """Begins with what is there now, as if it were durable; empty: before there was anything."""
        there = {path: bytearray(b"" if empty else content) for path, content in contents(journal).items()}
        self._files = {path: _File(content) for path, content in there.items()}

    def play(self, event: Call | Left) -> None:
        """One system call of a program, or its end."""
        if isinstance(event, Left):
            self._end(event)
        else:
            self._call(event)

    def _end(self, left: Left) -> None:
        for path, content in left.contents.items():
            file = self._files[path]
            if file.content() != content:
                assert path in left.uncertain, f"not all that was written to {path} was seen"
                file.find(content)
            file.forget_places()

    def _call(self, call: Call) -> None:
        """Those on other files change nothing."""
        file = self._files.get(call.file)
        if file is None:
            return
        if call.syncs:
            file.sync(call.began)
        elif call.name == "ftruncate":
            file.pending.append(_Change(int(call.rest), None, call.ended))
        else:
            assert call.name == "pwrite64", f"SQLite writes in another way: {call.name}"
            quoted = _QUOTED.match(call.rest)
            assert quoted
            data, place = ast.literal_eval("b" + quoted[0]), int(call.rest.rsplit(", ", 1)[1])
            assert isinstance(data, bytes)
            assert len(data) == int(call.result), "strace has shortened it"
            file.pending.append(_Change(place, data, call.ended))

    def images(self) -> Iterator[dict[str, bytes]]:
        """What the power may leave now: without all that is not synced, without each single write of it, and with
        a half of its last one."""
        pending = [change for file in self._files.values() for change in file.pending]
        yield self._image(pending)
        for change in pending[-SINGLE_MAX:] if len(pending) > 1 else []:
            yield self._image([change])
        for file in self._files.values():
            if file.pending and file.pending[-1].data is not None:
                yield self._image([], file.pending[-1])

    def _image(self, lost: list[_Change], torn: _Change | None = None) -> dict[str, bytes]:
        return {Path(path).name: file.content(lost, torn) for path, file in self._files.items()}


@dataclass
class Confirmed:
    """What the daemon has told somebody of: how many of the operator's messages, and which of the peer's."""

    operator: int = 0
    peer: set[str] = field(default_factory=set)

    def hear(self, event: Call | Left) -> None:
        """The console is sent messages and counts; of a peer's counts those without TLS are seen here, and its
        messages have to be "p1", "p2", ... then."""
        if isinstance(event, Left):
            return
        counts = [int(count) for count in _COUNT.findall(event.rest)]
        if event.sends("UNIX", ""):
            self.peer |= set(_SHOWN.findall(event.rest))
            self.operator = max([self.operator, *counts])
        elif event.sends("TCP", ""):
            self.peer |= {f"p{n}" for n in range(1, max(counts, default=0) + 1)}

    def missing(self, image: dict[str, bytes]) -> int:
        """How many of them are not there in a journal of this image, as pychatd reads it."""
        with tempfile.TemporaryDirectory() as directory:
            for name, content in image.items():
                (Path(directory) / name).write_bytes(content)
            (path,) = (Path(directory) / name for name in image if not name.endswith("-wal"))
            said = _said(path)
        return len(self.peer - set(said[Role.PEER])) + max(0, self.operator - len(said[Role.OPERATOR]))


def _said(path: Path) -> dict[Role, list[str]]:
    """The texts of the first conversation."""
    journal = Journal(path)
    try:
        return {role: [e.text for e in journal.entries(1, 0, role, 1 << 20)] for role in Role}
    finally:
        journal.close()


def contents(journal: Path) -> dict[str, bytes]:
    """What its files have now, as every program reads them."""
    paths = [journal.with_name(journal.name + suffix) for suffix in ("", "-wal")]
    return {str(path): path.read_bytes() if path.exists() else b"" for path in paths}


def lost(disk: Disk, events: Sequence[Call | Left], rng: random.Random, points: int = POINTS) -> int:
    """Plays `events` back with the power failing at some moments (the last is one), each time as if it were
    the first; the most confirmed messages that are gone then."""
    moments = {len(events) - 1, *rng.sample(range(len(events)), min(points, len(events)))}
    confirmed, worst = Confirmed(), 0
    for moment, event in enumerate(events):
        disk.play(event)
        confirmed.hear(event)
        if moment in moments:
            worst = max(worst, *(confirmed.missing(image) for image in disk.images()))
    return worst


class TracedService(Service):
    """A service whose daemons are traced from their first instant."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.traces: list[Path] = []
        self._left: list[dict[str, bytes]] = []  # by the daemons that have ended before another one started

    def start(self, *options: str) -> None:
        if self.traces:
            self._left.append(contents(self.journal))
        trace = self.directory / f"trace-{len(self.traces)}"
        words = ["strace", "-D", "-f", "-yy", "-s", str(1 << 18), "-e", TRACED, "-o", str(trace)]
        output = self.directory / "start"  # no pipe: strace would hold it for as long as the daemon runs
        with output.open("wb") as file:
            done = subprocess.run(
                [*words, *self.command("start", *options)],
                env=self.env,
                stdout=file,
                stderr=file,
                timeout=PATIENCE * 2,
                check=False,
            )
        assert done.returncode == 0, output.read_text()
        self.traces.append(trace)

    @property
    def journal(self) -> Path:
        return self.state / str(self.port) / "journal.db"

    def tells(self, family: str, words: str) -> None:
        """Waits until the daemon has sent `words`: what it is killed in is not seen as done."""
        trace = self.traces[-1]
        wait_for(lambda: any(call.sends(family, words) for call in calls_in(trace)), f"{words!r} in the trace")

    def calls(self) -> list[Call]:
        """Those of all daemons, which have ended."""
        return [event for event in self.events() if isinstance(event, Call)]

    def events(self) -> list[Call | Left]:
        """The calls of each daemon, and what it has left; all have ended."""
        events: list[Call | Left] = []
        for trace, left in zip(self.traces, [*self._left, contents(self.journal)], strict=True):
            events += events_of(trace, left)
        return events


def events_of(trace: Path, left: dict[str, bytes]) -> list[Call | Left]:
    """The calls of a program that has ended, and what it has left."""
    wait_for(lambda: _is_complete(trace), "the trace is complete")
    return [*calls_in(trace), Left(left, files_killed_in(trace))]


def _is_complete(trace: Path) -> bool:
    """Whether each process in it has ended."""
    lines = trace.read_text(errors="replace").splitlines()
    ended = {line.split()[0] for line in lines if " +++ " in line}
    return bool(lines) and ended == {line.split()[0] for line in lines}
