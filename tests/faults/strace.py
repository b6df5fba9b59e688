"""strace(1) on a running daemon: what it asks of the kernel, in which order; and faults put in between."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.waiting import PATIENCE, wait_for

WRITES = "write,writev,pwrite64,pwritev,pwritev2,sendto,sendmsg"
SYNCS = "fsync,fdatasync,sync_file_range"
_CALL = re.compile(r"[0-9]+ +(?P<name>\w+)\([0-9]+<(?P<file>.*?)>(?:, (?P<rest>.*))?\)\s+= (?P<result>\S+)")
_UNFINISHED = re.compile(r"(?P<pid>[0-9]+) +(?P<begin>\w+\(.*) <unfinished \.\.\.>")
_KILLED = "?"
_RESUMED = re.compile(r"(?P<pid>[0-9]+) +<\.\.\. \w+ resumed>(?P<end>.*)")


@dataclass(frozen=True)
class Call:
    """One system call on a file: its name, the file as strace names it, its other arguments and its result.

    began, ended: the places in the trace where that was seen; other threads can have done something in between
    """

    name: str
    file: str
    rest: str
    result: str
    began: int = 0
    ended: int = 0

    @property
    def syncs(self) -> bool:
        return self.name in SYNCS.split(",")

    @property
    def syncs_wal(self) -> bool:
        return self.syncs and self.file.endswith("-wal")

    @property
    def writes_wal(self) -> bool:
        return self.name in WRITES.split(",") and self.file.endswith("-wal")

    def sends(self, family: str, words: str) -> bool:
        """family: how strace begins the name of such a socket, TCP or UNIX."""
        return self.name in WRITES.split(",") and self.file.startswith(family) and words in self.rest


def why_not(directory: Path) -> str:
    """Why strace cannot be used here; empty when it can."""
    if shutil.which("strace") is None:
        return "strace is not installed"
    words = ["strace", "-f", "-o", str(directory / "strace-test"), "-p"]
    with subprocess.Popen(["sleep", "60"]) as sleeper:
        tracer = subprocess.Popen([*words, str(sleeper.pid)], stderr=subprocess.PIPE)
        try:
            assert tracer.stderr
            said = tracer.stderr.readline().decode()
        finally:
            tracer.terminate()
            tracer.communicate(timeout=PATIENCE)
            sleeper.kill()
    return "" if "attached" in said else f"strace cannot attach: {said.strip()}"


def calls_in(trace: Path) -> list[Call]:
    """All successful calls, in the order in which they returned; one in which the program was killed is none."""
    return [call for call in _all_calls(trace) if call.result not in ("-1", _KILLED)]


def files_killed_in(trace: Path) -> set[str]:
    """The files of the calls in which a program was killed: whether they were done is not known."""
    return {call.file for call in _all_calls(trace) if call.result == _KILLED}


def _all_calls(trace: Path) -> Iterator[Call]:
    for line, began, ended in _whole(trace.read_text(errors="replace").splitlines()):
        if found := _CALL.match(line):
            yield Call(found["name"], found["file"], found["rest"] or "", found["result"], began, ended)


def _whole(lines: Iterable[str]) -> Iterator[tuple[str, int, int]]:
    """Each call in one line, and where it began and ended. strace breaks it in two when another process or thread
    does something meanwhile: a daemon writes, and the program that has started it ends."""
    begun: dict[str, tuple[str, int]] = {}
    place = 0
    for place, line in enumerate(lines, 1):
        if found := _UNFINISHED.fullmatch(line):
            begun[found["pid"]] = found["begin"], place
        elif (found := _RESUMED.fullmatch(line)) and found["pid"] in begun:
            begin, began = begun.pop(found["pid"])
            yield f"{found['pid']} {begin}{found['end']}", began, place
        else:
            yield line, place, place
    yield from ((f"{pid} {begin}) = {_KILLED}", began, place) for pid, (begin, began) in begun.items())


class Trace:
    """A strace that runs."""

    def __init__(self, process: subprocess.Popen[bytes], file: Path) -> None:
        self._process = process
        self._file = file

    def calls(self) -> list[Call]:
        """All successful calls so far, in order."""
        return calls_in(self._file)

    def waits_for(self, family: str, words: str) -> None:
        """Until the traced program has sent `words`."""
        wait_for(lambda: any(call.sends(family, words) for call in self.calls()), f"{words!r} in the trace")

    def end(self) -> None:
        """Lets go of the program, which runs on."""
        if self._process.poll() is None:
            self._process.terminate()
        self._process.wait(PATIENCE)


@contextmanager
def attached(pid: int, file: Path, *options: str) -> Iterator[Trace]:
    """Traces `pid` (or puts faults into it, by strace's own options) while the context lasts."""
    words = ["strace", "-f", "-yy", "-s", "4000", "-o", str(file), *options, "-p", str(pid)]
    process = subprocess.Popen(words, stderr=subprocess.PIPE)
    assert process.stderr
    trace = Trace(process, file)
    try:
        assert b"attached" in process.stderr.readline()
        yield trace
    finally:
        trace.end()
        process.stderr.close()
