"""Makes a failing story short: takes out steps as long as the same promise is broken, and makes the others small.

What is left is printed as a test for test_stories.
"""

from __future__ import annotations

import re
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from tests.simulation.disk import memory
from tests.simulation.runs import WrongError, run_plan
from tests.simulation.steps import Plan, Says, Step, Talk

SECONDS = 30.0
"""For one story, at most."""


def kind_of(error: WrongError) -> str:
    """Which promise is broken, without names and numbers."""
    return re.sub(r"\b[A-Za-z]*\d[\w.]*\b", "N", error.problems[0])


def breaks(plan: Plan, kind: str) -> bool:
    """Whether this story breaks a promise in that way."""
    with tempfile.TemporaryDirectory(dir=memory()) as directory:
        try:
            run_plan(Path(directory), plan)
        except WrongError as error:
            return kind_of(error) == kind
    return False


def shrunk(plan: Plan, kind: str, seconds: float = SECONDS) -> Plan:
    """The shortest story that is found in this time, and breaks the same promise."""
    end = time.monotonic() + seconds

    def still_broken(steps: tuple[Step, ...]) -> bool:
        return time.monotonic() < end and breaks(replace(plan, steps=steps), kind)

    before: tuple[Step, ...] = ()
    steps = plan.steps
    while steps != before:
        before = steps
        steps = _simpler(_fewer(steps, still_broken), still_broken)
    return replace(plan, steps=steps)


def _fewer(steps: tuple[Step, ...], still_broken: Callable[[tuple[Step, ...]], bool]) -> tuple[Step, ...]:
    """Without the pieces that are not needed: halves first, then smaller ones."""
    size = len(steps) // 2
    while size:
        start = 0
        while start < len(steps):
            shorter = steps[:start] + steps[start + size :]
            if still_broken(shorter):
                steps = shorter
            else:
                start += size
        size //= 2
    return steps


def _simpler(steps: tuple[Step, ...], still_broken: Callable[[tuple[Step, ...]], bool]) -> tuple[Step, ...]:
    """With fewer words where fewer do."""
    for index in range(len(steps)):
        for smaller in _smaller(steps[index]):
            changed = (*steps[:index], smaller, *steps[index + 1 :])
            if still_broken(changed):
                steps = changed
                break
    return steps


def _smaller(step: Step) -> Iterator[Step]:
    match step:
        case Says(words=words) if words > 1:
            yield replace(step, words=1)
            yield replace(step, words=words // 2)
        case Talk(rounds=rounds, words=words):
            if rounds > 1:
                yield replace(step, rounds=1, words=1)
                yield replace(step, rounds=rounds // 2)
            if words > 1:
                yield replace(step, words=1)


def as_test(plan: Plan) -> str:
    """The story as a test."""
    return f"test_story_of_seed_{plan.seed} = replay({plan})"
