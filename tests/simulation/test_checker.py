"""The checker recognises what the programs say. With other words it would see nothing, and report nothing."""

from __future__ import annotations

import asyncio
from pathlib import Path

from pychatd.conversation import switchboard
from tests.simulation import checker
from tests.simulation.people import Person, until
from tests.simulation.runs import simulate
from tests.simulation.world import World


async def _strangers_come(world: World) -> None:
    """Everybody is told each of the sentences."""
    alice, bob = Person(world, "alice", console=True), Person(world, "Bob")
    bob.types("hi")
    await until(lambda: "hi" in alice.texts("shown"))
    stranger, carol = Person(world, "Eve"), Person(world, "carol", console=True)
    stranger.types("me")
    await until(lambda: not stranger.running and not carol.running)
    assert stranger.knows("notice", checker.TAKEN)
    assert carol.knows("notice", f"alice (pid 7) {checker.HELD}")
    assert bob.cable is not None
    bob.unreachable = True
    bob.cable.cut()
    await asyncio.sleep(70)
    silent = Person(world, "Sid")
    await asyncio.sleep(125)
    assert any(checker.tells(event, checker.SILENT) for event in silent.history.events)
    mallory = Person(world, "Mallory")
    mallory.types("me too")
    await until(lambda: "me too" in alice.texts("shown"))
    mallory.types("\\quit")
    await until(lambda: alice.knows("notice", f"Mallory {checker.ENDED}"))
    bob.unreachable = False


def test_it_knows_the_words_of_the_programs(tmp_path: Path) -> None:
    world = simulate(tmp_path, _strangers_come)
    assert checker.ABANDONED in checker.read(world.file)[1].values()
    assert checker.ABANDONED == switchboard.REPLACED
