"""`python -m tests.bench.run`: measures, prints the table, and writes the figures as JSON.

Takes what `make bench` and `make bench-quick` need; see docs/performance.md for what the figures mean.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import sqlite3
import ssl
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.bench import explain, measure, report
from tests.bench.goals import Figures
from tests.bench.measure import say
from tests.bench.systems import KINDS, QUICK, MissingError, Tools, build

ROOT = Path(__file__).parents[2]
LAST = Path(__file__).parent / "last.json"
"""The figures that docs/performance.md shows."""

SIZES = (1, 10, 100, 1_000, 10_000, 100_000)
LINES = (1, 20, 200)
QUICK_REPEATS = 3
IDLE_SECONDS = 60


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests.bench.run", description="Measures pychat and its neighbours.")
    parser.add_argument("--quick", action="store_true", help="under a minute: no neighbours but the bare relay")
    parser.add_argument("--repeats", type=int, default=5, help="of everything that is compared (default: 5)")
    parser.add_argument("--output", type=Path, help="the JSON file (default: in build/bench)")
    parser.add_argument(
        "--directory", type=Path, default=Path("/var/tmp"), help="on a real disk (default: /var/tmp)"
    )
    args = parser.parse_args()
    output = args.output or ROOT / "build/bench" / ("quick.json" if args.quick else "bench.json")
    try:
        tools = build(ROOT / "build/bench", ROOT)
    except MissingError as error:
        say(f"bench: {error}")
        return 1
    if (kind := measure.file_system(args.directory)) in ("tmpfs", "ramfs"):
        say(f"bench: {args.directory} is in memory ({kind}), where a sync costs nothing: see --directory.")
        return 1
    place = Path(tempfile.mkdtemp(prefix="pychat-bench-", dir=args.directory))
    try:
        figures = {"about": about(tools, place, QUICK_REPEATS if args.quick else args.repeats)}
        sync = figures["about"]["sync"][49]
        figures |= quick(tools, place) if args.quick else everything(tools, place, sync, args.repeats)
    finally:
        shutil.rmtree(place, ignore_errors=True)
    output.write_text(report.dumped(rounded(figures)))
    last = json.loads(LAST.read_text()) if LAST.exists() else None
    print(report.as_text(figures, last if args.quick else None))
    print(f"\nWritten to {output}.")
    return 0


def everything(tools: Tools, place: Path, sync: float, repeats: int) -> dict[str, Any]:
    """sync: what one takes here, p50."""
    with measure.servers(tools, list(KINDS), place / "speed") as (running, missing):
        speed = measure.speed(tools, running, repeats)
        idle = measure.idle(running, place / "idle", IDLE_SECONDS)
    return {
        "missing": missing,
        "speed": speed,
        "idle": idle,
        **measure.talking(tools, list(running), place / "talking", repeats),
        "syncs": explain.syncs(tools, place / "syncs", sync, repeats),
        "profile": explain.profile(tools, place / "profile"),
        "floor": explain.floor(tools, repeats),
        "starts": measure.starts(tools, place / "starts", 2 * repeats),
        "growth": measure.growth(tools, place / "growth", SIZES, repeats),
        "console": measure.console(tools, place / "console", 10_000, repeats),
        "lines": measure.lines(tools, place / "lines", LINES, repeats),
    }


def quick(tools: Tools, place: Path) -> dict[str, Any]:
    with measure.servers(tools, QUICK, place / "speed") as (running, missing):
        speed = measure.speed(tools, running, QUICK_REPEATS)
    return {"missing": missing, "speed": speed, "starts": measure.starts(tools, place / "starts", 5)}


def about(tools: Tools, place: Path, repeats: int) -> dict[str, Any]:
    """The machine and the versions; and what a sync costs here."""
    model = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return {
        "commit": commit(),
        "processor": model[0].partition(": ")[2] if model else platform.machine(),
        "processors": len(os.sched_getaffinity(0)),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "openssl": ssl.OPENSSL_VERSION,
        "versions": {name: version(name) for name in ("mosquitto", "prosody", "ngircd", "socat")},
        "file_system": measure.file_system(place),
        "sync": measure.sync(tools, place),
        "repeats": repeats,
    }


def commit(checkout: Path = ROOT) -> str | None:
    """Which state of the repository this is; None outside of one."""
    words = ["git", "-C", str(checkout), "describe", "--always", "--dirty"]
    try:
        result = subprocess.run(words, capture_output=True, text=True, check=False)
    except OSError:
        return None
    return result.stdout.strip() or None


def version(package: str) -> str | None:
    words = ["dpkg-query", "--show", "--showformat", "${Version}", package]
    try:
        result = subprocess.run(words, capture_output=True, text=True, check=False)
    except OSError:  # not a Debian
        return None
    return result.stdout or None


def save(part: str, figures: Figures) -> None:
    """Prints the figures of a part that is measured by a program of its own; `make bench-docs` keeps them."""
    print(report.as_text(figures))
    report.BUILT.mkdir(parents=True, exist_ok=True)
    kept = {name: value for name, value in figures.items() if name != "missing"}
    (report.BUILT / f"{part}.json").write_text(report.dumped(rounded(kept)))


def rounded(value: Any) -> Any:
    """`value` with four significant digits: more would be noise."""
    if isinstance(value, dict):
        return {key: rounded(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [rounded(inner) for inner in value]
    return float(f"{value:.4g}") if isinstance(value, float) else value


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
