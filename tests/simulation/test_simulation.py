"""Random runs of both programs and the daemon on virtual time: whatever happens, nothing is lost or doubled.

A failure prints its seed and its story; `PYCHAT_SEED=N` plays that run alone.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.simulation.driver import Driver
from tests.simulation.runs import LINES_MAX, readable, run_driver, run_plan

BATCHES, BATCH = 10, 20


def seeds(batch: int) -> range:
    """Mostly short runs, and a chatty one in each batch."""
    if (only := os.environ.get("PYCHAT_SEED")) is not None:
        return range(int(only), int(only) + (batch == 0))
    first = batch * BATCH * 2
    return range(first, first + BATCH * 2, 2)


def play(directory: Path, seed: int) -> Driver:
    """The run of one seed."""
    driver = Driver(seed)
    directory.mkdir()
    run_driver(directory, driver)
    return driver


@pytest.mark.parametrize("batch", range(BATCHES))
def test_nothing_is_lost_or_doubled_whatever_happens(batch: int, tmp_path: Path) -> None:
    for seed in seeds(batch):
        play(tmp_path / str(seed), seed)


@pytest.mark.parametrize("seed", range(1, 11, 2))
def test_nothing_is_lost_or_doubled_in_long_talks(seed: int, tmp_path: Path) -> None:
    play(tmp_path / str(seed), seed)


@pytest.mark.parametrize("seed", [0, 1, 2, 4])
def test_a_seed_makes_the_same_run_again_also_from_its_steps(seed: int, tmp_path: Path) -> None:
    driver = Driver(seed)
    stories = []
    for name in ("first", "again", "steps"):
        (tmp_path / name).mkdir()
        if name == "steps":
            world = run_plan(tmp_path / name, driver.plan)
        else:
            driver = Driver(seed)
            world = run_driver(tmp_path / name, driver)
        stories.append(world.story)
    assert stories[0] == stories[1]
    assert stories[0] == stories[2]


def test_a_very_long_story_is_told_without_its_middle() -> None:
    lines = [f"line {number}" for number in range(LINES_MAX + 50)]
    told = readable(lines)
    assert (told[0], told[-1], len(told)) == (lines[0], lines[-1], LINES_MAX + 1)
    assert "(50 lines are left out)" in told
    assert readable(lines[50:]) == lines[50:]
