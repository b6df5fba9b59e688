"""Random runs of both programs and the daemon on virtual time: whatever happens, nothing is lost or doubled.

A failure prints its seed and its story; `PYCHAT_SEED=N` plays that run alone.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from datetime import timedelta
from math import inf
from pathlib import Path
from random import Random

import pytest

from pychat_client.protocol.turns import Turns
from tests.simulation.people import Person
from tests.simulation.runs import simulate
from tests.simulation.world import World

BATCHES, BATCH = 10, 20
STEPS = 25
PAUSES = (0.0, 0.004, 0.012, 0.05, 0.3, 1.0, 3.0, 20.0, 70.0)


class Driver:
    """Does one thing after another to a world, at random."""

    def __init__(self, world: World, rng: Random) -> None:
        self._world = world
        self._rng = rng
        self._words = self._names = 0
        self._steps: list[tuple[int, Callable[[], None]]] = [
            (20, self._somebody_speaks),
            (20, self._they_talk),
            (4, self._somebody_recalls),
            (2, self._somebody_quits),
            (4, self._console_leaves_with_a_word),
            (12, self._connection_breaks),
            (4, self._hard_times),
            (4, self._daemon_dies),
            (4, self._daemon_dies_at_a_commit),
            (4, self._disk_fails),
            (2, self._daemon_stops),
            (3, self._program_is_killed),
            (3, self._second_console_tries),
            (4, self._console_drops_in),
            (2, self._console_is_taken_over),
            (3, self._clock_is_set),
            (4, self._somebody_calls),
        ]

    async def play(self, world: World) -> None:
        for _ in range(STEPS):
            self._somebody_is_there()
            weights = [weight for weight, _ in self._steps]
            self._rng.choices([step for _, step in self._steps], weights)[0]()
            await asyncio.sleep(self._rng.choice(PAUSES))

    # -------------------------------------------------------------- who

    def _running(self, peer: bool | None = None) -> list[Person]:
        return [p for p in self._world.people if p.running and peer in (None, p.history.peer)]

    def _new(self, *, console: bool = False, wait: bool = False, take: bool = False) -> Person:
        self._names += 1
        name = f"{'alice' if console else 'Bob'}{self._names}"
        self._world.tell(f"{name} comes{' and waits' * wait}{' and takes over' * take}")
        return Person(self._world, name, console=console, wait=wait, take=take)

    def _somebody_is_there(self) -> None:
        if not self._running(peer=False) and self._rng.random() < 0.9:
            self._new(console=True)
        if not self._running(peer=True):
            self._somebody_calls()

    def _word(self, person: Person) -> None:
        if person.running:
            self._words += 1
            person.types(f"w{self._words}")

    # -------------------------------------------------------------- the steps

    def _somebody_speaks(self) -> None:
        person = self._rng.choice(self._running())
        for _ in range(self._rng.choice((1, 1, 1, 2, 5))):
            self._word(person)

    def _they_talk(self) -> None:
        """For a while, each says something now and then, whatever else happens."""
        loop = asyncio.get_running_loop()
        for i in range(self._rng.choice((4, 10))):
            for person in self._running():
                loop.call_later((i + self._rng.random()) * 0.15, self._word, person)

    def _somebody_recalls(self) -> None:
        self._rng.choice(self._running()).types("\\recall")

    def _somebody_quits(self) -> None:
        self._rng.choice(self._running()).types("\\quit")

    def _console_leaves_with_a_word(self) -> None:
        for console in self._running(peer=False)[:1]:
            self._word(console)
            console.types("\\detach")

    def _connection_breaks(self) -> None:
        person = self._rng.choice(self._running())
        if self._rng.random() < 0.6:  # something is under way
            self._word(person)
        self._break(person)

    def _hard_times(self) -> None:
        """From now on many calls break as soon as they have begun; or no longer."""
        bad = self._rng.random() < 0.5
        self._world.on_call = self._may_break_soon if bad else lambda person: None

    def _may_break_soon(self, person: Person) -> None:
        if self._rng.random() < 0.5:
            asyncio.get_running_loop().call_later(self._rng.uniform(0.0, 0.06), self._break, person)

    def _break(self, person: Person) -> None:
        """Something happens to the connection. A console's is on one machine: it breaks, and no more."""
        cable = person.cable
        if cable is None or not cable.live:
            return
        late = self._rng.choice((0.0, 0.3, 0.6, 1.0, 5.0, 50.0)) if person.history.peer else 0.0
        kinds = ("cut", "half-close", "stall", "ghost")
        kind = self._rng.choice(kinds if person.history.peer else kinds[:2])
        if self._rng.random() < 0.3:
            self._cut_off(person, self._rng.choice((2.0, 20.0, 100.0)))
        self._world.tell(f"{kind} of the connection of {person.name}, late by {late} s")
        match kind:
            case "cut":
                cable.cut(late)
            case "half-close":
                cable.half_close()
            case "stall":
                cable.stall(late)
            case _:
                cable.ghost(late or inf)

    def _cut_off(self, person: Person, seconds: float) -> None:
        """The next calls of this person do not get through: a dead route, or a program that is stopped."""
        person.unreachable = True
        asyncio.get_running_loop().call_later(seconds, setattr, person, "unreachable", False)
        self._world.tell(f"{person.name} cannot call for {seconds} s")

    def _daemon_dies(self) -> None:
        self._world.down_for = self._rng.choice((0.0, 0.1, 1.0, 30.0))
        self._world.kill()

    def _daemon_dies_at_a_commit(self) -> None:
        self._world.down_for = self._rng.choice((0.0, 0.1, 1.0, 30.0))
        self._world.dies = self._rng.choice(("before", "after"))
        self._world.tell(f"the daemon will die {self._world.dies} the next commit")

    def _disk_fails(self) -> None:
        self._world.fails = self._rng.choice(("before", "after"))

    def _daemon_stops(self) -> None:
        self._world.stop()

    def _program_is_killed(self) -> None:
        person = self._rng.choice(self._running())
        if self._rng.random() < 0.5:
            self._word(person)
        person.kill()

    def _second_console_tries(self) -> None:
        self._new(console=True)

    def _console_is_taken_over(self) -> None:
        self._new(console=True, take=True)

    def _console_drops_in(self) -> None:
        """Another one says a word in passing, if it gets in."""
        console, loop = self._new(console=True), asyncio.get_running_loop()
        loop.call_later(self._rng.uniform(0.05, 0.5), self._word, console)
        loop.call_later(self._rng.uniform(0.2, 1.0), console.types, "\\detach")

    def _clock_is_set(self) -> None:
        hours = self._rng.choice((-50, -2, 2, 50))
        self._world.clock_is_off += timedelta(hours=hours)
        self._world.tell(f"the clock on the wall is set by {hours} hours")

    def _somebody_calls(self) -> None:
        """A caller, or a stranger while somebody talks; its first word, and what breaks, may be early or late."""
        caller, loop = self._new(wait=self._rng.random() < 0.4), asyncio.get_running_loop()
        for act in (self._word, self._break)[: self._rng.choice((1, 1, 2))]:
            loop.call_later(self._rng.uniform(0.0, 4 * self._world.slowest), act, caller)


def run(directory: Path, seed: int) -> World:
    """The run of one seed."""
    rng = Random(seed)
    turns = rng.choice((Turns.ALTERNATE, Turns.FREE))
    keep = rng.choice(("forever", "1d", "none"))

    async def play(world: World) -> None:
        world.slowest = rng.choice((0.02, 0.3))
        await Driver(world, rng).play(world)

    return simulate(directory, play, seed, turns=turns, keep=keep)


def seeds(batch: int) -> range:
    if (only := os.environ.get("PYCHAT_SEED")) is not None:
        return range(int(only), int(only) + (batch == 0))
    return range(batch * BATCH, (batch + 1) * BATCH)


@pytest.mark.parametrize("batch", range(BATCHES))
def test_nothing_is_lost_or_doubled_whatever_happens(batch: int, tmp_path: Path) -> None:
    for seed in seeds(batch):
        directory = tmp_path / str(seed)
        directory.mkdir()
        run(directory, seed)
