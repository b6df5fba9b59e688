"""`make simulate`: random runs for some minutes, on one processor. A failure is shrunk, and printed as a test.

python -m tests.simulation.run [--seed N] [--minutes M]
"""

from __future__ import annotations

import argparse
import gc
import logging
import secrets
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.simulation.disk import memory
from tests.simulation.driver import Driver
from tests.simulation.runs import WrongError, run_driver, run_plan
from tests.simulation.shrink import as_test, kind_of, shrunk
from tests.simulation.steps import Plan
from tests.simulation.world import World

SEEDS = 10**9
"""Fresh seeds are below this number: short enough to be typed."""

COLLECT_EVERY = 20
"""Runs after which the garbage of all is collected. During a run that would take a seventh of the time."""


def main() -> int:
    arguments = _parse()
    logging.disable(logging.CRITICAL)
    gc.disable()
    seed, counts = arguments.seed, Counter[str]()
    print(f"simulating for {arguments.minutes:g} minutes, from --seed {seed}", flush=True)
    begin, end = time.process_time(), time.monotonic() + arguments.minutes * 60
    while time.monotonic() < end:
        if not _run(seed, counts):
            return 1
        seed += 1
        if counts["runs"] % COLLECT_EVERY == 0:
            gc.collect()
    _report(counts, time.process_time() - begin, seed)
    return 0


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tests.simulation.run")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(SEEDS), help="of the first run")
    parser.add_argument("--minutes", type=float, default=1.0)
    return parser.parse_args()


def _run(seed: int, counts: Counter[str]) -> bool:
    """One run. Returns whether all is well."""
    driver = Driver(seed)
    with tempfile.TemporaryDirectory(dir=memory()) as directory:
        try:
            world = run_driver(Path(directory), driver)
        except WrongError as error:
            print(f"PYCHAT_SEED={seed} is WRONG:", *error.problems, sep="\n", flush=True)
            print(_told_shorter(shrunk(driver.plan, kind_of(error))))
            return False
    counts.update(_counted(world))
    return True


def _told_shorter(plan: Plan) -> str:
    """The story of a plan, and how it becomes a test."""
    with tempfile.TemporaryDirectory(dir=memory()) as directory:
        try:
            run_plan(Path(directory), plan)
            story = "(it does not fail when it is played again)"
        except WrongError as error:
            story = str(error)
    return f"\nThe same, shorter: {story}\n\nAs a test, for tests/simulation/test_stories.py:\n\n{as_test(plan)}"


def _counted(world: World) -> dict[str, int]:
    kinds = Counter(event.kind for person in world.people for event in person.history.events)
    return {"runs": 1, "typed": kinds["typed"], "stored": len(world.stored), "faults": world.faults}


def _report(counts: Counter[str], seconds: float, seed: int) -> None:
    a_minute = round(counts["stored"] * 60 / seconds)
    print(
        f"{counts['runs']} runs until seed {seed - 1}: {counts['typed']} messages typed,"
        f" {counts['stored']} stored, {counts['faults']} faults; {a_minute} stored in a minute of one processor"
    )


if __name__ == "__main__":
    sys.exit(main())
