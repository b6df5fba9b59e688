"""`make simulate`: random runs for some minutes, on one processor, and how much that was. A failure is shrunk, and
printed as a test.

python -m tests.simulation.run [--seed N] [--minutes M]
"""

from __future__ import annotations

import argparse
import gc
import logging
import os
import platform
import secrets
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.simulation.disk import memory
from tests.simulation.driver import PASTING, Driver, Manner
from tests.simulation.runs import WrongError, readable, run_driver, run_plan
from tests.simulation.shrink import as_test, kind_of, shrunk
from tests.simulation.steps import Plan
from tests.simulation.world import World

SEEDS = 10**9
"""Fresh seeds are below this number: short enough to be typed."""


def main() -> int:
    arguments = _parse()
    logging.disable(logging.CRITICAL)
    gc.disable()  # during a run it would take a seventh of the time
    gc.freeze()  # and what is here now never goes
    seed, counts = arguments.seed, Counter[str]()
    print(f"simulating for {arguments.minutes:g} minutes, from --seed {seed}", flush=True)
    begin, end = time.process_time(), time.monotonic() + arguments.minutes * 60
    while time.monotonic() < end:
        if not _run(seed, counts):
            return 1
        seed += 1
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
            print(f"PYCHAT_SEED={seed} is WRONG:", *readable(error.problems), sep="\n", flush=True)
            print(_told_shorter(shrunk(driver.plan, kind_of(error))))
            return False
    counts.update(_counted(world, driver.manner))
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


def _counted(world: World, manner: Manner) -> dict[str, int]:
    typed, stored = sum(len(person.texts("typed")) for person in world.people), len(world.stored)
    pasted = stored if manner is PASTING else 0
    return {"runs": 1, "typed": typed, "stored": stored, "pasted": pasted, "faults": world.faults}


def _report(counts: Counter[str], seconds: float, seed: int) -> None:
    """seconds: of one processor."""
    stored = max(1, counts["stored"])
    print(
        f"{counts['runs']} runs until seed {seed - 1}: {counts['typed']} words typed, {counts['stored']} stored,"
        f" {counts['pasted'] / stored:.0%} of them in runs with pastes; {counts['faults']} faults,"
        f" {counts['faults'] * 1000 / stored:.1f} for 1000 messages"
    )
    runs, messages, faults = (round(counts[kind] * 60 / seconds) for kind in ("runs", "stored", "faults"))
    print(f"in a minute of one processor: {runs} runs, {messages} messages stored, {faults} faults")
    print(f"on {_processor()}, {os.getloadavg()[0]:.1f} programs at work, with Python {platform.python_version()}")


def _processor() -> str:
    """What the system calls it."""
    about = Path("/proc/cpuinfo")
    lines = about.read_text().splitlines() if about.exists() else []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


if __name__ == "__main__":
    sys.exit(main())
