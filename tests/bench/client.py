"""What the session file costs `pychat`: its start, its memory, and the round trip of a message.

`python -m tests.bench.client` measures the client of this checkout with its file on a disk, with the file in
memory (where a sync costs nothing), and without a file. `--old DIR` adds the client of another checkout, such as
one from before there were session files: `git worktree add DIR 4819875`. All of them call this daemon, in turn.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from pychat_client.errors import UsageError
from tests.bench.measure import file_system, resident
from tests.support.programs import Piped
from tests.support.service import Service
from tests.support.waiting import PATIENCE

PROGRAM = "import sys; from pychat_client.cli import main; sys.exit(main())"
ROOT = Path(__file__).parents[2]
IN_MEMORY = Path("/dev/shm")

Row = dict[str, float]


class Client:
    """One `pychat` that calls, is measured and quits."""

    def __init__(self, service: Service, checkout: Path, state: Path) -> None:
        env = {**service.env, "PYTHONPATH": str(checkout), "XDG_STATE_HOME": str(state)}
        words = [sys.executable, "-P", "-c", PROGRAM, "--plain", "--accept-new", "--handle", "Client1"]
        began = time.perf_counter()
        self._piped = Piped(service.popen([*words, "localhost", str(service.port)], env=env))
        _until(lambda: "Connected to" in self._piped.notices(), self._piped)
        self._start = time.perf_counter() - began

    def measure(self, console: Piped, messages: int) -> Row:
        """The median of so many round trips: a line typed here, one typed there when it is shown."""
        trips = []
        for number in range(messages):
            began = time.perf_counter()
            self._piped.enter(f"p{number}")
            _until(lambda: console.out().endswith(f"> p{number}\n"), console)  # noqa: B023
            console.enter(f"o{number}")
            _until(lambda: self._piped.out().endswith(f"> o{number}\n"), self._piped)  # noqa: B023
            trips.append(time.perf_counter() - began)
        memory = resident(self._piped.process.pid, "Rss")
        self._piped.enter("\\quit")
        assert self._piped.exit_status() == 0, self._piped.notices()
        return {"start": self._start * 1000, "memory": memory / 1024, "trip": median(trips) * 1000}


def _until(done: Callable[[], bool], program: Piped) -> None:
    """Without a pause, which would be in the figures. program: it shows why not."""
    end = time.monotonic() + PATIENCE
    while not done():
        assert time.monotonic() < end, program.notices()


def measured(place: Path, old: Path | None, repeats: int, messages: int) -> dict[str, Row]:
    """The medians of all repeats, by kind."""
    (blocked := place / "no-directory").touch()
    with tempfile.TemporaryDirectory(dir=IN_MEMORY) as memory:
        kinds = {
            f"session file on {file_system(place)}": (ROOT, place / "state"),
            "session file in memory": (ROOT, Path(memory)),
            "no session file": (ROOT, blocked),
        }
        if old is not None:
            kinds[f"the client of {old.name}"] = (old, place / "old")
        rows: dict[str, list[Row]] = {kind: [] for kind in kinds}
        for number in range(repeats):
            for kind, (checkout, state) in kinds.items():
                rows[kind].append(
                    _one(
                        place / f"{number}-{len(rows[kind])}-{checkout.name}-{state.name}",
                        checkout,
                        state,
                        messages,
                    )
                )
    return {kind: {name: median(row[name] for row in all_) for name in all_[0]} for kind, all_ in rows.items()}


def _one(directory: Path, checkout: Path, state: Path, messages: int) -> Row:
    directory.mkdir()
    service = Service(directory)
    try:
        service.start("--turns", "free")
        console = service.ready_plain("pychatd-console", "--handle", "Server", "--plain")
        return Client(service, checkout, state).measure(console, messages)
    finally:
        service.close()


def main() -> int:
    parser = argparse.ArgumentParser(description="What the session file costs pychat.")
    parser.add_argument("--old", metavar="DIR", type=Path, help="another checkout, to compare with")
    parser.add_argument("--repeats", type=int, default=7, help="programs of each kind (7)")
    parser.add_argument("--messages", type=int, default=300, help="round trips of each program (300)")
    args = parser.parse_args()
    if args.old is not None and not (args.old / "pychat_client").is_dir():
        raise UsageError(f"{args.old} is not a checkout.")
    (ROOT / "build").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=ROOT / "build") as place:
        rows = measured(Path(place), args.old, args.repeats, args.messages)
    print("| pychat with | exec to connected | memory (RSS) | round trip, p50 |\n|---|---|---|---|")
    for kind, row in rows.items():
        print(f"| {kind} | {row['start']:.0f} ms | {row['memory']:.1f} MiB | {row['trip']:.2f} ms |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
