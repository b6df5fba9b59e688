"""Makes up stories: looks at who is there, and chooses the next step at random. What it has done is a plan."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from random import Random

from pychat_client.protocol.turns import Turns
from tests.simulation import steps
from tests.simulation.people import Person
from tests.simulation.steps import Later, Plan, Says, Step, Types, Wait
from tests.simulation.world import World

PAUSES = (0.0, 0.004, 0.012, 0.05, 0.3, 1.0, 3.0, 20.0, 70.0)

INVITED = 0.2
"""The share of callers who come with an invitation."""

WATCHED_EVERY = 5
"""Runs of which one has a watcher."""

QUIET_EVERY = 11
"""Runs of which one has users who send no signs, some of them only at times."""


@dataclass(frozen=True)
class Manner:
    """How the people of a run are. steps: how many things happen; says: how many words somebody types at once;
    talk: how often each says something in a talk, at most; paces: seconds between two of these in a long talk;
    breath: and how many words then, at most; under_way: how many words somebody types before something breaks;
    files: the share of runs in which the programs have session files."""

    steps: int = 25
    says: Sequence[int] = (1, 1, 1, 2, 5)
    talk: int = 10
    paces: Sequence[float] = (0.15,)
    breath: int = 1
    under_way: int = 1
    files: float = 0.4
    turns: Sequence[Turns] = (Turns.ALTERNATE, Turns.FREE)


SHORT = Manner()
"""A failure is soon found in it."""

CHATTY = Manner(
    files=0.1,
    says=(1, 1, 1, 2, 120),
    talk=300,
    paces=(0.005, 0.02, 0.15),
    breath=20,
    turns=(Turns.ALTERNATE, Turns.FREE, Turns.FREE, Turns.FREE),
)
"""Many messages for each fault, and more than an end keeps waiting."""

PASTING = Manner(
    files=0.1, says=(1, 20, 200), talk=36, paces=(0.1, 0.5), breath=150, under_way=150, turns=(Turns.FREE,)
)
"""People paste pages: much is under way, or waits, whatever happens."""


def manner_of(seed: int) -> Manner:
    return (SHORT, CHATTY, SHORT, PASTING)[seed % 4]


class Driver:
    """Does one thing after another to a world, at random, and writes it down."""

    def __init__(self, seed: int) -> None:
        self._rng = rng = Random(seed)
        self._manner = manner = manner_of(seed)
        turns, keep = rng.choice(manner.turns), rng.choice(("forever", "1d", "none"))
        self._plan = Plan(seed, turns, keep, rng.choice((0.02, 0.3)))
        self._have_files = rng.random() < manner.files
        self._have_quiet = seed % QUIET_EVERY == QUIET_EVERY - 2
        self._names = 0
        self._guests = Random(-seed)  # of their own, so that who is invited changes no other choice
        self._done: list[Step] = []
        self._kinds: list[tuple[int, Callable[[World], Iterator[Step]]]] = [
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
            (3, self._disk_is_full),
            (4, self._power_fails),
            (2, self._daemon_stops),
            (3, self._program_is_killed),
            (3, self._second_console_tries),
            (4, self._console_drops_in),
            (2, self._console_is_taken_over),
            (3, self._clock_is_set),
            (4, self._somebody_calls),
        ]
        if keep == "1d":
            self._kinds.append((4, self._days_pass))
        if self._have_files:
            self._kinds += [
                (12, self._program_returns),
                (6, self._program_dies_at_its_file),
                (2, self._users_host_loses_power),
                (2, self._users_disk_is_full),
                (3, self._caller_detaches),
            ]

    @property
    def manner(self) -> Manner:
        return self._manner

    @property
    def plan(self) -> Plan:
        """What has been done so far."""
        return replace(self._plan, steps=tuple(self._done))

    async def play(self, world: World) -> None:
        world.slowest = self._plan.slowest
        weights = [weight for weight, _ in self._kinds]
        if self._plan.seed % WATCHED_EVERY == WATCHED_EVERY - 1:
            self._do(steps.LooksOn("Wanda"), world)
        for _ in range(self._manner.steps):
            for step in self._somebody_is_there(world):
                self._do(step, world)
            kind = self._rng.choices(self._kinds, weights)[0][1]
            for step in kind(world):
                self._do(step, world)
            pause = Wait(self._rng.choice(PAUSES))
            self._do(pause, world)
            await asyncio.sleep(pause.seconds)
            world.unread_is_what_the_journal_has()

    def _do(self, step: Step, world: World) -> None:
        self._done.append(step)
        step.do(world)

    # -------------------------------------------------------------- who

    def _running(self, world: World, peer: bool | None = None) -> list[Person]:
        return [p for p in world.people if p.running and peer in (None, p.history.peer)]

    def _somebody(self, world: World) -> Person:
        return self._rng.choice(self._running(world))

    def _new(self, *, console: bool = False, wait: bool = False, take: bool = False) -> steps.Comes:
        self._names += 1
        name = f"{'alice' if console else 'Bob'}{self._names}"
        invited, quiet = not console and self._guests.random() < INVITED, self._is_quiet()
        return steps.Comes(name, console, wait, take, name if self._have_files else "", quiet, invited)

    def _is_quiet(self) -> bool:
        return self._have_quiet and self._rng.random() < 0.5

    def _somebody_is_there(self, world: World) -> Iterator[Step]:
        if not self._running(world, peer=False) and self._rng.random() < 0.9:
            yield self._new(console=True)
        if not self._running(world, peer=True):
            yield from self._somebody_calls(world)

    # -------------------------------------------------------------- what

    def _somebody_speaks(self, world: World) -> Iterator[Step]:
        yield Says(self._somebody(world).name, self._rng.choice(self._manner.says))

    def _they_talk(self, world: World) -> Iterator[Step]:
        rounds = self._rng.choice((4, self._manner.talk))
        pace = 0.15 if rounds <= SHORT.talk else self._rng.choice(self._manner.paces)
        words = self._rng.choice((1, self._manner.breath)) if self._plan.turns is Turns.FREE else 1
        yield steps.Talk(rounds, pace, words)

    def _somebody_recalls(self, world: World) -> Iterator[Step]:
        yield Types(self._somebody(world).name, "\\recall")

    def _somebody_quits(self, world: World) -> Iterator[Step]:
        yield Types(self._somebody(world).name, "\\quit")

    def _console_leaves_with_a_word(self, world: World) -> Iterator[Step]:
        for console in self._running(world, peer=False)[:1]:
            yield Says(console.name, self._manner.under_way)
            yield Types(console.name, "\\detach")

    def _connection_breaks(self, world: World) -> Iterator[Step]:
        person = self._somebody(world)
        if self._rng.random() < 0.6:  # something is under way
            yield Says(person.name, self._manner.under_way)
        if self._rng.random() < 0.3:
            yield steps.CannotCall(person.name, self._rng.choice((2.0, 20.0, 100.0)))
        yield steps.any_break(self._rng, person)

    def _hard_times(self, _: World) -> Iterator[Step]:
        yield steps.HardTimes(begin=self._rng.random() < 0.5)

    def _daemon_dies(self, _: World) -> Iterator[Step]:
        yield steps.DaemonDies("", self._rng.choice((0.0, 0.1, 1.0, 30.0)))

    def _daemon_dies_at_a_commit(self, _: World) -> Iterator[Step]:
        yield steps.DaemonDies(self._rng.choice(("before", "after")), self._rng.choice((0.0, 0.1, 1.0, 30.0)))

    def _disk_fails(self, _: World) -> Iterator[Step]:
        yield steps.DiskFails(self._rng.choice(("before", "after")))

    def _disk_is_full(self, _: World) -> Iterator[Step]:
        yield steps.DiskIsFull(self._rng.choice((0.1, 2.0, 30.0)))

    def _power_fails(self, _: World) -> Iterator[Step]:
        yield steps.PowerFails(self._rng.random() < 0.7, self._rng.choice((0.1, 1.0, 30.0)))

    def _daemon_stops(self, _: World) -> Iterator[Step]:
        yield steps.DaemonStops()

    def _program_is_killed(self, world: World) -> Iterator[Step]:
        person = self._somebody(world)
        if self._rng.random() < 0.5:
            yield Says(person.name, self._manner.under_way)
        yield steps.Dies(person.name)

    def _program_returns(self, world: World) -> Iterator[Step]:
        if left := [p for p in world.people if p.history.file and world.has_files(p.history.file)]:
            earlier = self._rng.choice(left).history
            self._names += 1
            name, wait, quiet = f"{earlier.file}x{self._names}", earlier.peer, self._is_quiet()
            yield steps.Comes(name, not earlier.peer, wait, False, earlier.file, quiet)

    def _program_dies_at_its_file(self, world: World) -> Iterator[Step]:
        person = self._somebody(world)
        if self._rng.random() < 0.5:  # words that wait, and are given back or taken back as it dies
            yield Says(person.name, max(3, self._manner.under_way))
        yield steps.DiesAtItsFile(person.name, self._rng.choice(("before", "in", "after")))
        what = self._rng.choice(("", "words", "\\recall", "\\quit", "\\detach"))
        if what == "words":
            yield Says(person.name, self._rng.choice((1, 3)))
        elif what:
            yield Types(person.name, what)

    def _users_host_loses_power(self, world: World) -> Iterator[Step]:
        for caller in self._running(world, peer=True)[:1]:
            yield Says(caller.name, self._manner.under_way)
            yield steps.Dies(caller.name, power=True)

    def _users_disk_is_full(self, world: World) -> Iterator[Step]:
        yield steps.CannotKeep(self._somebody(world).name)

    def _caller_detaches(self, world: World) -> Iterator[Step]:
        for caller in self._running(world, peer=True)[:1]:
            yield Says(caller.name, self._manner.under_way)
            yield Types(caller.name, "\\detach")

    def _second_console_tries(self, _: World) -> Iterator[Step]:
        yield self._new(console=True)

    def _console_is_taken_over(self, _: World) -> Iterator[Step]:
        yield self._new(console=True, take=True)

    def _console_drops_in(self, _: World) -> Iterator[Step]:
        """Another one says a word in passing, if it gets in."""
        yield (console := self._new(console=True))
        yield Later(self._rng.uniform(0.05, 0.5), Says(console.name))
        yield Later(self._rng.uniform(0.2, 1.0), Types(console.name, "\\detach"))

    def _clock_is_set(self, _: World) -> Iterator[Step]:
        yield steps.ClockIsSet(self._rng.choice((-50, -2, 2, 50)))

    def _days_pass(self, _: World) -> Iterator[Step]:
        """What is over and was read goes soon."""
        yield steps.ClockIsSet(50)

    def _somebody_calls(self, world: World) -> Iterator[Step]:
        """A caller, or a stranger while somebody talks; its first word, and what breaks, may be early or late."""
        yield (caller := self._new(wait=self._rng.random() < 0.4))
        yield Later(self._rng.uniform(0.0, 4 * world.slowest), Says(caller.name))
        if self._rng.random() < 0.3:
            step = steps.any_break(self._rng, world.by_name(caller.name))
            yield Later(self._rng.uniform(0.0, 4 * world.slowest), step)
