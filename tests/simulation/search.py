"""Tries everything that can happen in a small world, breadth first, to the end: `make exhaust`.

Two worlds are one if their copies are the same bytes: two alike may count twice, and no two are taken for one.

    python -m tests.simulation.search [--words N] [--cuts N] [--crashes N] [--quits N] [--consoles N]

The first story that breaks a promise is a shortest one.
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
from collections import deque
from dataclasses import dataclass, fields

from pychat_client.protocol.turns import Turns
from tests.simulation.copies import copied, restored
from tests.simulation.small_world import Budget, SmallWorld, stand_still


@dataclass(frozen=True)
class Found:
    """What a search has come to. story: that breaks `broken`; empty when all is well."""

    states: int
    resting: int
    steps: int
    story: tuple[str, ...] = ()
    broken: str = ""


class _Trail:
    """Which steps led to which world, so that a story can be told."""

    def __init__(self) -> None:
        self._parents: list[tuple[int, str]] = [(-1, "")]

    def add(self, parent: int, name: str) -> int:
        self._parents.append((parent, name))
        return len(self._parents) - 1

    def to(self, number: int) -> tuple[str, ...]:
        names: list[str] = []
        while number > 0:
            number, name = self._parents[number]
            names.append(name)
        return tuple(reversed(names))


def search(turns: Turns, budget: Budget) -> Found:
    """Tries everything. Each world is looked at once."""
    with stand_still():
        first = SmallWorld(turns, budget)
        first.begin()
        return _search(first)


def _search(first: SmallWorld) -> Found:
    copy = copied(first)
    trail, known, waiting = _Trail(), {hash(copy)}, deque([(0, copy)])
    resting = steps = 0
    while waiting:
        number, copy = waiting.popleft()
        world = restored(copy)
        names = [name for name, _ in world.actions()]
        for index, name in enumerate(names):
            steps += 1
            here = world if index == len(names) - 1 else restored(copy)
            try:
                _act(here, index)
                if here.rests:
                    here.check_rest()
                    resting += 1
            except Exception as error:
                story = (*trail.to(number), name)
                return Found(len(known), resting, steps, story, f"{type(error).__name__}: {error}")
            after = copied(here)
            if (key := hash(after)) not in known:
                known.add(key)
                waiting.append((trail.add(number, name), after))
    return Found(len(known), resting, steps)


def _act(world: SmallWorld, index: int) -> None:
    for number, (_, action) in enumerate(world.actions()):
        if number == index:
            action()
            return


def main() -> int:
    logging.disable(logging.CRITICAL)
    parser = argparse.ArgumentParser(prog="tests.simulation.search")
    for field in fields(Budget):
        parser.add_argument(f"--{field.name}", type=int, default=field.default)
    parser.add_argument("--turns", choices=[turns.value for turns in Turns])
    arguments = parser.parse_args()
    budget = Budget(*(getattr(arguments, field.name) for field in fields(Budget)))
    return max(_report(turns, budget) for turns in Turns if arguments.turns in (None, turns.value))


def _report(turns: Turns, budget: Budget) -> int:
    begin = time.process_time()
    found = search(turns, budget)
    seconds = time.process_time() - begin
    print(f"{turns.value}, {budget}: {found.states} states, {found.steps} steps, {seconds:.1f} s", flush=True)
    if found.broken:
        print("WRONG:", found.broken, *found.story, sep="\n  ")
    return int(bool(found.broken))


if __name__ == "__main__":
    sys.exit(main())
