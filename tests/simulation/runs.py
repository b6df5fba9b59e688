"""How a run is made: a world, what is done in it, its end in good order, and the judgement.

Used by the random runs (test_simulation, run) and by the short stories (test_stories).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from random import Random
from typing import Any

import pytest

from pychat_client.protocol.turns import Turns
from pychat_client.session import reconnect
from pychatd.conversation import journal
from tests.simulation import clock
from tests.simulation.checker import Outcome, check
from tests.simulation.driver import Driver
from tests.simulation.people import Person, until
from tests.simulation.steps import Plan
from tests.simulation.world import World

Play = Callable[[World], Awaitable[None]]

SETTLED = 200.0
"""Seconds in which all comes to rest: a dead connection is noticed (45), and its user calls again (15)."""


LINES_MAX = 400
"""Of a story, or of problems, that are printed. A long talk has hundreds of thousands, and nobody reads them."""


class WrongError(AssertionError):
    """A run has broken a promise. problems: how, in sentences."""

    def __init__(self, heading: str, world: World, problems: Sequence[str]) -> None:
        super().__init__("\n".join([heading, *readable(world.story), "WRONG:", *readable(problems)]))
        self.problems = problems


def readable(lines: Sequence[str]) -> Sequence[str]:
    """The lines, without the middle of very many."""
    if len(lines) <= LINES_MAX:
        return lines
    half = LINES_MAX // 2
    return [*lines[:half], f"({len(lines) - LINES_MAX} lines are left out)", *lines[-half:]]


def simulate(directory: Path, play: Play, seed: int = 0, **settings: Any) -> World:
    """Plays `play` in a world of its own, and judges it. Raises WrongError with the story."""
    told: list[World] = []

    async def main() -> None:
        world = World(directory, seed, **settings)
        told.append(world)
        try:
            await play(world)
            await _end(world)
        finally:
            world.close()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reconnect, "random", Random(seed))  # the pauses between calls
        patch.setattr(journal, "REMOVED_AT_ONCE", 50 if seed % 2 else 3)  # the people say few words
        try:
            clock.run(main(), seed)
            problems = _judge(told[0], settings)
        except Exception as error:
            problems = [f"{type(error).__name__}: {error}"]
            if not told:
                raise
    if problems:
        raise WrongError(f"PYCHAT_SEED={seed} {settings}", told[0], problems)
    return told[0]


def run_driver(directory: Path, driver: Driver) -> World:
    """Makes up the story of a seed, and plays it. Raises WrongError."""
    plan = driver.plan
    return simulate(directory, driver.play, plan.seed, turns=plan.turns, keep=plan.keep)


def run_plan(directory: Path, plan: Plan) -> World:
    """Plays a story again. Raises WrongError."""
    return simulate(directory, plan.play, plan.seed, turns=plan.turns, keep=plan.keep)


def _judge(world: World, settings: dict[str, Any]) -> list[str]:
    histories = [person.history for person in world.people]
    keep, grace = settings.get("keep", "forever"), settings.get("grace", 60.0)
    in_turn = settings.get("turns", Turns.ALTERNATE) is Turns.ALTERNATE
    told = [onlooker.history for onlooker in world.onlookers]
    return check(Outcome(histories, world.stored, world.ended, world.file, keep, grace, in_turn, told))


async def _end(world: World) -> None:
    """All faults are over: everything settles. Then all leave, and a last console looks at what is left."""
    world.tell("all is well from here on")
    world.dies = world.fails = ""
    world.power_fails, world.full_until = False, 0.0
    for person in world.people:
        person.doom("")
    world.on_call = lambda person: None
    attended = any(person.running and not person.history.peer for person in world.people)
    if not attended and world.rng.random() < 0.8:
        Person(world, "evening", console=True)
    await asyncio.sleep(SETTLED)
    world.all_is_shown()
    for person in world.people:
        person.rest()
    for onlooker in world.onlookers:
        onlooker.rest()
    if world.rng.random() < 0.5:  # the operator ends it, or the peer does
        _everybody(world, False, "\\quit")
        await asyncio.sleep(10)
    _everybody(world, True, "\\quit")
    await asyncio.sleep(10)
    _everybody(world, False, "\\detach")
    await asyncio.sleep(10)
    await _go_back_to_what_is_left(world)
    last = Person(world, "last", console=True)
    await asyncio.sleep(5)
    await until(lambda: last.session.endpoint.ready or not last.running)  # it may have thousands of words to read
    last.types("\\detach")
    await asyncio.sleep(10)
    assert not any(person.running for person in world.people), "somebody cannot leave"


async def _go_back_to_what_is_left(world: World) -> None:
    """Whoever has left a conversation in a file goes back to it, and ends it: the callers first."""
    files = {person.history.file: person.history.peer for person in world.people if person.history.file}
    for file, peer in sorted(files.items(), key=lambda pair: not pair[1]):
        if world.has_files(file):
            guest = world.guest_book.guest(file)
            heir = Person(world, f"{file}h", console=not peer, wait=peer, file=file, guest=guest)
            await asyncio.sleep(30)
            heir.types("\\quit" if peer else "\\detach")
            await asyncio.sleep(10)


def _everybody(world: World, peer: bool, line: str) -> None:
    for person in world.people:
        if person.history.peer is peer:
            person.types(line)
