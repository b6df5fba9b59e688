"""What thousands of strangers cost a talk: its round trips, the processor, and the way back of a peer.

`python -m tests.bench.siege` lets 10,000 strangers of 5,000 addresses call a service while two talk there, in all
the ways that tests/security/siege.py knows. `--old DIR` measures the daemon of another checkout in turn with this
one, such as `git worktree add DIR 4819875 && make -C DIR .venv/ready`. Everything runs on the loopback device.
"""

from __future__ import annotations

import argparse
import math
import multiprocessing
import os
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.synchronize import Event
from pathlib import Path
from statistics import median

from pychat_client.errors import UsageError
from tests.security.siege import EACH, Siege
from tests.security.talk import Talk, percentiles
from tests.support.service import BIN, Service
from tests.support.waiting import wait_for

ROOT = Path(__file__).parents[2]
OWN = "this daemon"
HEAD = """| | round trip p50 | p99 | peer is back | p50 in the siege | p99 | peer is back | at most | processor |
|---|---|---|---|---|---|---|---|---|"""
TICKS = os.sysconf("SC_CLK_TCK")

Row = dict[str, list[float]]
"""Figures by name, each once or more."""


def _strangers(port: int, pid: int, count: int, stands: Event, over: Event) -> None:
    """A process of their own: the talk is not to wait for them in its own interpreter."""
    siege = Siege(port, pid, count)
    wait_for(lambda: siege.calls >= count, "all have called", 60)
    stands.set()
    over.wait()
    siege.end()


@contextmanager
def _besieged(service: Service, count: int) -> Iterator[None]:
    context = multiprocessing.get_context("spawn")
    stands, over = context.Event(), context.Event()
    process = context.Process(target=_strangers, args=(service.port, service.pid(), count, stands, over))
    process.start()
    try:
        assert stands.wait(120), "the siege stands"
        yield
    finally:
        over.set()
        process.join()


def _processor(pid: int) -> float:
    """Seconds that a process has had a processor."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def _one(directory: Path, programs: Path, strangers: int, seconds: float, returns: int) -> Row:
    directory.mkdir()
    service = Service(directory, programs=programs)
    try:
        service.start()
        talk = Talk(service)
        row: Row = {"calm": talk.measure(seconds / 4), "back, calm": [talk.come_back()[0] for _ in range(returns)]}
        talk.round_trip()
        with _besieged(service, strangers):
            row["siege"] = talk.measure(seconds)
            before, begin = _processor(service.pid()), time.monotonic()
            time.sleep(seconds)  # nobody talks: all work is for the strangers
            row["processor"] = [(_processor(service.pid()) - before) / (time.monotonic() - begin)]
            row["back"] = list(_returns(talk, returns))
        talk.close()
        return row
    finally:
        service.close()


def _returns(talk: Talk, count: int) -> Iterator[float]:
    """The seconds of each; infinite, and the last one, if the peer gets no place at all."""
    for _ in range(count):
        try:
            yield talk.come_back()[0]
        except AssertionError:
            yield math.inf
            return
        talk.round_trip()


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms" if seconds < 0.1 else f"{seconds:.2f} s" if seconds < math.inf else "never"


def _line(name: str, row: Row) -> str:
    """A row of the table."""
    calm, siege = percentiles(row["calm"]), percentiles(row["siege"])
    times = [*calm, median(row["back, calm"]), *siege, median(row["back"]), max(row["back"])]
    return f"| {name} | {' | '.join(map(_milliseconds, times))} | {median(row['processor']):.0%} |"


def main() -> int:
    parser = argparse.ArgumentParser(description="What thousands of strangers cost a talk.")
    parser.add_argument("--old", metavar="DIR", type=Path, help="another checkout with its .venv, to compare with")
    parser.add_argument("--strangers", type=int, default=10_000, help=f"{EACH} of each address (10000)")
    parser.add_argument("--seconds", type=float, default=8.0, help="that the talk is measured for (8)")
    parser.add_argument("--returns", type=int, default=5, help="how often the peer is cut off in a siege (5)")
    parser.add_argument("--repeats", type=int, default=3, help="sieges of each daemon (3)")
    args = parser.parse_args()
    daemons = {OWN: BIN}
    if args.old is not None:
        daemons[f"the daemon of {args.old.name}"] = args.old.resolve() / ".venv/bin"
    for programs in daemons.values():
        if not (programs / "pychatd").exists():
            raise UsageError(f"{programs} has no pychatd: 'make .venv/ready' installs it.")
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    rows: dict[str, Row] = {name: {} for name in daemons}
    (ROOT / "build").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=ROOT / "build") as place:
        for number in range(args.repeats):
            for index, (name, programs) in enumerate(daemons.items()):
                one = _one(Path(place) / f"{number}-{index}", programs, args.strangers, args.seconds, args.returns)
                for figure, values in one.items():
                    rows[name].setdefault(figure, []).extend(values)
                print(f"{number + 1}/{args.repeats} {_line(name, one)}", file=sys.stderr, flush=True)
    print(HEAD)
    for name, row in rows.items():
        print(_line(name, row))
    return 0


if __name__ == "__main__":
    sys.exit(main())
