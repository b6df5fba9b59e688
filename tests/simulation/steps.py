"""What can be done to a world: the steps of a story, as values that can be printed, taken out and repeated.

A step names whom it is about. If nobody of that name runs any more, it does nothing: so a story stays a story when
steps are taken out of it. A step knows no chance but that of the world's seed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from math import inf
from random import Random

from pychat_client.protocol.turns import Turns
from tests.simulation.onlooker import Onlooker
from tests.simulation.people import Person
from tests.simulation.world import World

SOON = 0.06
"""Seconds after a call within which it breaks in hard times."""


@dataclass(frozen=True)
class Step:
    """Something that is done to a world."""

    def do(self, world: World) -> None:
        """Does it, at once."""


@dataclass(frozen=True)
class Wait(Step):
    """The story goes on later: see `Plan`."""

    seconds: float


@dataclass(frozen=True)
class Comes(Step):
    """file: the name of a session file, perhaps of an earlier program; nothing happens while that runs. invited:
    the operator has sent an invitation, with which this program calls."""

    name: str
    console: bool = False
    wait: bool = False
    take: bool = False
    file: str = ""
    quiet: bool = False
    invited: bool = False

    def do(self, world: World) -> None:
        if self.file and any(person.running and person.history.file == self.file for person in world.people):
            return
        where = f" where {self.file} was" * bool(self.file)
        how = " and waits" * self.wait + " and takes over" * self.take + " without signs" * self.quiet
        world.tell(f"{self.name} comes{how}{where}")
        owner = self.file or self.name
        guest = world.guest_book.invite(owner) if self.invited else world.guest_book.guest(owner)
        Person(
            world,
            self.name,
            console=self.console,
            wait=self.wait,
            take=self.take,
            file=self.file,
            quiet=self.quiet,
            guest=guest,
        )


@dataclass(frozen=True)
class LooksOn(Step):
    """Somebody watches the service (`pychatd-console --watch`), until all is over."""

    name: str

    def do(self, world: World) -> None:
        world.onlookers.append(Onlooker(world, self.name))


@dataclass(frozen=True)
class About(Step):
    """A step about somebody."""

    who: str

    def do(self, world: World) -> None:
        person = next((person for person in world.people if person.name == self.who), None)
        if person is not None and person.running:
            self.happen(world, person)

    def happen(self, world: World, person: Person) -> None:
        """Does it to them."""


@dataclass(frozen=True)
class Says(About):
    """Words, until one is refused."""

    words: int = 1

    def happen(self, world: World, person: Person) -> None:
        for _ in range(self.words):
            if not person.types(world.new_word()):
                return


@dataclass(frozen=True)
class Types(About):
    line: str

    def happen(self, world: World, person: Person) -> None:
        person.types(self.line)


@dataclass(frozen=True)
class Dies(About):
    """power: the user's host loses it."""

    power: bool = False

    def happen(self, world: World, person: Person) -> None:
        person.kill(power=self.power)


@dataclass(frozen=True)
class DiesAtItsFile(About):
    """moment: see Person.doom."""

    moment: str

    def happen(self, world: World, person: Person) -> None:
        person.doom(self.moment)


@dataclass(frozen=True)
class CannotKeep(About):
    """The disk of the user's host is full, as long as this program runs."""

    def happen(self, world: World, person: Person) -> None:
        person.disk_is_full()


@dataclass(frozen=True)
class Breaks(About):
    """Something happens to the connection: see Cable."""

    how: str
    late: float = 0.0

    def happen(self, world: World, person: Person) -> None:
        cable = person.cable
        if cable is None or not cable.live:
            return
        world.tell(f"{self.how} of the connection of {self.who}, late by {self.late} s")
        actions: dict[str, Callable[[], None]] = {
            "cut": lambda: cable.cut(self.late),
            "half-close": cable.half_close,
            "stall": lambda: cable.stall(self.late),
            "ghost": lambda: cable.ghost(self.late or inf),
        }
        actions[self.how]()


@dataclass(frozen=True)
class CannotCall(About):
    """The next calls of this person do not get through: a dead route, or a program that is stopped."""

    for_seconds: float

    def happen(self, world: World, person: Person) -> None:
        person.unreachable = True
        world.tell(f"{self.who} cannot call for {self.for_seconds} s")
        asyncio.get_running_loop().call_later(self.for_seconds, setattr, person, "unreachable", False)


@dataclass(frozen=True)
class Talk(Step):
    """For a while, each says something now and then, whatever else happens."""

    rounds: int
    pace: float = 0.15
    words: int = 1

    def do(self, world: World) -> None:
        loop, rng = asyncio.get_running_loop(), Random(world.rng.random())
        for person in [person for person in world.people if person.running]:
            for i in range(self.rounds):
                loop.call_later((i + rng.random()) * self.pace, Says(person.name, self.words).do, world)


@dataclass(frozen=True)
class HardTimes(Step):
    """From now on many calls break as soon as they have begun; or no longer."""

    begin: bool = True

    def do(self, world: World) -> None:
        world.on_call = (lambda person: self._may_break(world, person)) if self.begin else lambda person: None

    def _may_break(self, world: World, person: Person) -> None:
        rng = Random(world.rng.random())
        if rng.random() < 0.5:
            step, delay = any_break(rng, person), rng.uniform(0.0, SOON)
            asyncio.get_running_loop().call_later(delay, step.do, world)


@dataclass(frozen=True)
class DaemonDies(Step):
    """moment: "" for now, or "before" or "after" the next commit."""

    moment: str = ""
    down_for: float = 0.5

    def do(self, world: World) -> None:
        world.down_for = self.down_for
        if self.moment:
            world.dies = self.moment
            world.tell(f"the daemon will die {self.moment} the next commit")
        else:
            world.kill()


@dataclass(frozen=True)
class PowerFails(Step):
    """The daemon's host loses power, with the consoles there: now, or in the middle of the next commit."""

    in_commit: bool = False
    down_for: float = 0.5

    def do(self, world: World) -> None:
        world.down_for = self.down_for
        if self.in_commit:
            world.power_fails = True
        else:
            world.lose_power()


@dataclass(frozen=True)
class DaemonStops(Step):
    def do(self, world: World) -> None:
        world.stop()


@dataclass(frozen=True)
class DiskFails(Step):
    moment: str

    def do(self, world: World) -> None:
        world.fails = self.moment


@dataclass(frozen=True)
class DiskIsFull(Step):
    """Nothing can be stored for a while."""

    for_seconds: float

    def do(self, world: World) -> None:
        world.tell(f"the disk is full for {self.for_seconds} s")
        world.full_until = world.now + self.for_seconds


@dataclass(frozen=True)
class ClockIsSet(Step):
    """The clock on the daemon's wall."""

    hours: int

    def do(self, world: World) -> None:
        world.clock_is_off += timedelta(hours=self.hours)
        world.tell(f"the clock on the wall is set by {self.hours} hours")


@dataclass(frozen=True)
class Later(Step):
    """The story goes on meanwhile."""

    delay: float
    step: Step

    def do(self, world: World) -> None:
        asyncio.get_running_loop().call_later(self.delay, self.step.do, world)


def any_break(rng: Random, person: Person) -> Breaks:
    """A console's connection is on one machine: it breaks, and no more."""
    late = rng.choice((0.0, 0.3, 0.6, 1.0, 5.0, 50.0)) if person.history.peer else 0.0
    kinds = ("cut", "half-close", "stall", "ghost")
    return Breaks(person.name, rng.choice(kinds if person.history.peer else kinds[:2]), late)


@dataclass(frozen=True)
class Plan:
    """All that a run depends on. slowest: seconds that a piece of bytes may take."""

    seed: int
    turns: Turns
    keep: str
    slowest: float
    steps: tuple[Step, ...] = ()

    def __str__(self) -> str:
        """As it can be pasted into a test."""
        lines = [f"        {step!r},\n" for step in self.steps]
        values = f"seed={self.seed}, turns={self.turns}, keep={self.keep!r}, slowest={self.slowest}"
        return f"Plan(\n    {values},\n    steps=(\n{''.join(lines)}    ),\n)"

    async def play(self, world: World) -> None:
        world.slowest = self.slowest
        for step in self.steps:
            step.do(world)
            if isinstance(step, Wait):
                await asyncio.sleep(step.seconds)
                world.unread_is_what_the_journal_has()
