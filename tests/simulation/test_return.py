"""A client that is killed at any moment, and started again from its session file: no word is lost or doubled."""

from __future__ import annotations

import asyncio
from pathlib import Path
from random import Random

import pytest

from pychat_client.protocol.turns import Turns
from tests.simulation.checker import Words
from tests.simulation.people import Person
from tests.simulation.planted import Fault
from tests.simulation.runs import simulate
from tests.simulation.steps import any_break
from tests.simulation.world import World

DEATHS = 6
PAUSES = (0.0, 0.004, 0.012, 0.05, 0.3, 2.0)


async def _dies_and_returns(world: World, rng: Random) -> None:
    """Bob's program dies again and again; what he has typed before is his all the same."""
    alice, bob = Person(world, "alice", console=True), Person(world, "Bob", file="Bob")
    for _ in range(DEATHS):
        for _ in range(rng.randrange(6)):
            rng.choice((bob, bob, alice)).types(world.new_word())
            if rng.random() < 0.2:
                any_break(rng, bob).do(world)
            if rng.random() < 0.1:
                world.kill()
            await asyncio.sleep(rng.choice(PAUSES))
        bob.doom(rng.choice(("", "before", "in", "after")))
        bob.types(world.new_word())
        bob.kill(power=rng.random() < 0.5)
        await asyncio.sleep(rng.choice(PAUSES))
        bob = Person(world, "Bob", file="Bob", wait=True)


def _check(world: World) -> None:
    ours = [Words(person.history) for person in world.people if person.name == "Bob"]
    typed = [word for one in ours for word in one.said]
    back = [word for one in ours for word in (*one.of("not_sent"), *one.of("not_confirmed"))]
    stored = [message.text for message in world.stored if message.peer]
    assert [word for word in typed if word in stored] == stored
    kept = [*stored, *back]
    assert len(set(kept)) == len(kept)
    assert set(typed) - set(kept) <= {word for one in ours for word in one.of("cut short")}
    seen = {word for one in ours for word in one.of("shown")}
    assert {message.text for message in world.stored if not message.peer} <= seen


@pytest.mark.parametrize("turns", Turns)
@pytest.mark.parametrize("seed", range(10))
def test_a_killed_client_loses_and_doubles_nothing(turns: Turns, seed: int, tmp_path: Path) -> None:
    async def play(world: World) -> None:
        await _dies_and_returns(world, Random(seed))

    _check(simulate(tmp_path, play, seed, turns=turns))


@pytest.mark.parametrize(
    ("where", "old", "new"),
    [
        ("pychat_client.session.keeper:Keeper._write", "file.save(", "bool("),
        ("pychat_client.protocol.outbox:Outbox.confirm_next", "self.stored += 1", "self.stored += 0"),
    ],
    ids=["nothing is kept", "the count is wrong"],
)
def test_a_planted_fault_of_the_session_file_is_found(where: str, old: str, new: str, tmp_path: Path) -> None:
    with Fault("", where, old, new).planted(), pytest.raises(AssertionError):
        _many(tmp_path)


def _many(directory: Path) -> None:
    for seed in range(10):
        (directory / str(seed)).mkdir()
        test_a_killed_client_loses_and_doubles_nothing(Turns.FREE, seed, directory / str(seed))
