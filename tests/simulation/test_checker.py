"""The checker recognises what the programs say. With other words it would see nothing, and report nothing."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from pychat_client.protocol.turns import Turns
from pychatd.conversation import quota, switchboard
from tests.simulation import checker
from tests.simulation.checker import Event, History, Words, only_who_leaves_is_in_doubt
from tests.simulation.people import Person, until
from tests.simulation.runs import simulate
from tests.simulation.world import World

QUIT = Event(5, "command", "\\quit")
UNCONFIRMED = Event(6, "not_confirmed", "w1")
FULL = Event(4, "notice", f'The other host\'s program says: "{checker.FULL}: 20,000 are unread."')
BUSY = Event(5, "notice", f'The other host\'s program says: "{checker.TAKEN}."')


@pytest.mark.parametrize(
    ("events", "gone", "right"),
    [
        ([QUIT, UNCONFIRMED], "", True),
        ([UNCONFIRMED], "", False),
        ([UNCONFIRMED, QUIT._replace(time=7)], "", False),
        ([QUIT._replace(time=0), UNCONFIRMED], "", False),
        ([Event(4, "rest"), QUIT, UNCONFIRMED], "", False),
        ([FULL, Event(4, "rest"), QUIT, UNCONFIRMED], "", True),
        ([FULL, Event(4, "rest"), UNCONFIRMED], "", False),
        ([FULL, Event(4, "notice", checker.STORED_AGAIN), Event(4, "rest"), QUIT, UNCONFIRMED], "", False),
        ([BUSY, UNCONFIRMED], "", True),
        ([BUSY, Event(5, "seated"), UNCONFIRMED], "", False),
        ([BUSY._replace(time=0), UNCONFIRMED], "", False),
        ([UNCONFIRMED], "w1", True),
        ([Event(3, "shown", "w2"), UNCONFIRMED], "w2", True),
        ([UNCONFIRMED], "w2", False),
    ],
    ids=[
        *("who leaves", "who stays", "who leaves later", "who left before it was typed", "who leaves in peace"),
        *("who leaves a full journal", "who stays at it", "who leaves it in peace"),
        *("the seat is taken", "and given back", "it was taken before"),
        *("not kept", "the conversation is not kept", "that of others is not kept"),
    ],
)
def test_a_word_is_in_doubt_only_for_a_reason(events: list[Event], gone: str, right: bool) -> None:
    one = Words(History("Bob", peer=True, events=[Event(1, "typed", "w1"), *events]))
    assert right is not bool([*only_who_leaves_is_in_doubt(one, [one], {gone})])


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


async def _nobody_reads(world: World) -> None:
    """Bob says more than is stored; then alice comes and reads."""
    bob = Person(world, "Bob")
    for number in range(4):
        bob.types(f"w{number}")
        await asyncio.sleep(1)
    assert any(checker.tells(event, checker.FULL) for event in bob.history.events)
    alice = Person(world, "alice", console=True)
    await until(lambda: "w3" in alice.texts("shown"))
    await until(lambda: bob.knows("notice", checker.STORED_AGAIN))


def test_it_knows_the_words_of_a_full_journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quota, "UNREAD_MAX", 2)
    simulate(tmp_path, _nobody_reads, turns=Turns.FREE)


def test_it_knows_the_words_of_the_programs(tmp_path: Path) -> None:
    world = simulate(tmp_path, _strangers_come)
    assert checker.ABANDONED in checker.read(world.file)[1].values()
    assert checker.ABANDONED == switchboard.REPLACED
