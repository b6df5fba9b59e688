"""Tries everything that can happen in a small world, breadth first, to the end: `make exhaust`.

    python -m tests.simulation.search [--words N] [--cuts N] [--crashes N] [--quits N] [--consoles N] [--signs N]

Without a budget, all of USUAL are searched.
The first story that breaks a promise is a shortest one. Of a world that was looked at, only a hash is kept.
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
from array import array
from collections import deque
from dataclasses import dataclass, fields

from pychat_client.protocol.turns import Turns
from tests.simulation.small_daemon import stand_still
from tests.simulation.small_world import Action, Budget, Rules, SmallWorld, State, told

USUAL = (
    Budget(words=2, cuts=1),
    Budget(cuts=2, signs=3),
    *(Budget(words=3, signs=0, **{what: 1}) for what in ("cuts", "crashes", "quits", "consoles")),
)
"""Three messages each way, and one accident of each kind. Read marks, which make many more worlds, are sent where
there are fewer."""


@dataclass(frozen=True)
class Found:
    """What a search has come to. parts, worked_out: different parts of the worlds, and what they can do;
    story: that breaks `broken`; empty when all is well."""

    states: int
    resting: int
    steps: int
    parts: int
    worked_out: int
    story: tuple[str, ...] = ()
    broken: str = ""


class _Trail:
    """Which action of which world led to another one, so that a story can be told."""

    def __init__(self) -> None:
        self._parents = array("L", [0])
        self._indexes = array("B", [0])

    def add(self, parent: int, index: int) -> int:
        self._parents.append(parent)
        self._indexes.append(index)
        return len(self._parents) - 1

    def to(self, number: int) -> list[int]:
        indexes: list[int] = []
        while number > 0:
            indexes.append(self._indexes[number])
            number = self._parents[number]
        return indexes[::-1]


def search(turns: Turns, budget: Budget) -> Found:
    """Tries everything. Each world is looked at once."""
    with stand_still():
        return _search(Rules(turns, budget))


def _search(rules: Rules) -> Found:
    first = rules.first()
    trail, known, waiting = _Trail(), {hash(first)}, deque([(0, first)])
    resting = steps = 0

    def found(story: tuple[str, ...] = (), broken: str = "") -> Found:
        return Found(len(known), resting, steps, rules.parts.count, rules.parts.worked_out, story, broken)

    while waiting:
        number, state = waiting.popleft()
        for index, action in enumerate(SmallWorld(rules, state).actions()):
            steps += 1
            try:
                world = SmallWorld(rules, state)
                world.take(action)
                if world.rests:
                    world.check_rest()
                    resting += 1
            except Exception as error:
                story = _story(rules, first, [*trail.to(number), index])
                return found(story, f"{type(error).__name__}: {error}")
            after = world.state()
            if (key := hash(after)) not in known:
                known.add(key)
                waiting.append((trail.add(number, index), after))
    return found()


def _story(rules: Rules, state: State, indexes: list[int]) -> tuple[str, ...]:
    """The actions by their places, in words."""
    actions: list[Action] = []
    for place, index in enumerate(indexes):
        world = SmallWorld(rules, state)
        actions.append(world.actions()[index])
        if place < len(indexes) - 1:  # the last one breaks a promise
            world.take(actions[-1])
            state = world.state()
    return tuple(map(told, actions))


def main() -> int:
    logging.disable(logging.CRITICAL)
    parser = argparse.ArgumentParser(prog="tests.simulation.search")
    for field in fields(Budget):
        parser.add_argument(f"--{field.name}", type=int)
    parser.add_argument("--turns", choices=[turns.value for turns in Turns])
    given = {name: value for name, value in vars(parser.parse_args()).items() if value is not None}
    modes = [turns for turns in Turns if given.get("turns") in (None, turns.value)]
    given.pop("turns", None)
    all_found = [_report(turns, budget) for budget in ([Budget(**given)] if given else USUAL) for turns in modes]
    seconds = time.process_time()
    print(f"{sum(found.states for found in all_found)} states in {seconds:.0f} s of one processor")
    return int(any(found.broken for found in all_found))


def _report(turns: Turns, budget: Budget) -> Found:
    begin = time.process_time()
    found = search(turns, budget)
    seconds = time.process_time() - begin
    print(
        f"{turns.value}, {budget.told()}: {found.states} states, {found.steps} steps, "
        f"{found.parts} parts that do {found.worked_out} things, {seconds:.1f} s",
        flush=True,
    )
    if found.broken:
        print("WRONG:", found.broken, *found.story, sep="\n  ")
    return found


if __name__ == "__main__":
    sys.exit(main())
