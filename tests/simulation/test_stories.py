"""Short stories that once went wrong, or nearly did, each step in its place; judged as the random runs are."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from math import inf
from pathlib import Path
from typing import Any

import pytest

from pychat_client.protocol.turns import Turns
from pychat_client.text import quoted
from tests.simulation.cable import Cable
from tests.simulation.checker import DISPLACED, TAKEN, Event, tells
from tests.simulation.onlooker import Onlooker
from tests.simulation.people import Person, until
from tests.simulation.planted import CONSOLE_SESSION, Fault
from tests.simulation.runs import Play, WrongError, run_plan, simulate
from tests.simulation.steps import (
    Breaks,
    CannotKeep,
    ClockIsSet,
    Comes,
    DaemonDies,
    Dies,
    DiskIsFull,
    Later,
    Plan,
    PowerFails,
    Says,
    Talk,
    Types,
    Wait,
)
from tests.simulation.world import World

HOURS = timedelta(hours=2)


def story(**settings: Any) -> Callable[[Play], Callable[[Path], None]]:
    """Makes a test of a play on a service with these settings."""

    def decorate(play: Play) -> Callable[[Path], None]:
        def test(tmp_path: Path) -> None:
            simulate(tmp_path, play, **settings)

        return test

    return decorate


def replay(plan: Plan) -> Callable[[Path], None]:
    """Makes a test of a story that `make simulate` has found."""

    def test(tmp_path: Path) -> None:
        run_plan(tmp_path, plan)

    return test


async def meet(world: World) -> tuple[Person, Person]:
    """Bob has called, and alice has read his first word."""
    alice, bob = Person(world, "alice", console=True), Person(world, "Bob")
    bob.types("hi")
    await until(lambda: "hi" in alice.texts("shown"))
    await asyncio.sleep(1)
    return bob, alice


async def next_call(person: Person) -> Cable:
    """The next call of this person, as soon as its hello is under way."""
    before = person.cable
    await until(lambda: person.cable is not before and person.cable is not None and person.cable.up.under_way)
    assert person.cable is not None
    return person.cable


def cable(person: Person) -> Cable:
    assert person.cable is not None
    return person.cable


# ---------------------------------------------------------------- late bytes of dead calls


@story()
async def test_an_older_hello_displaces_nobody(world: World) -> None:
    bob, _ = await meet(world)
    cable(bob).cut()
    second = await next_call(bob)
    second.ghost(late=inf)
    third = await next_call(bob)
    await until(lambda: bob.history.events[-1].kind == "notice" and third.down.under_way == 0)
    second.up.release()
    bob.types("still here")
    await asyncio.sleep(20)
    assert bob.cable is third
    assert third.live


@story()
async def test_a_late_first_message_takes_no_seat(
    world: World,
) -> None:
    alice, bob = Person(world, "alice", console=True), Person(world, "Bob")
    await until(lambda: bob.connected)
    first = cable(bob)
    bob.types("hi")
    first.ghost(late=inf)
    second = await next_call(bob)
    second.down.hold(5)
    await until(lambda: second.down.under_way)  # the daemon has greeted it
    first.up.release()
    await until(lambda: "hi" in alice.texts("shown"))
    await asyncio.sleep(20)
    assert [stored.text for stored in world.stored] == ["hi"]
    assert bob.running
    assert not bob.texts("not_sent") + bob.texts("not_confirmed")


@story(turns=Turns.FREE)
async def test_late_bytes_of_a_dead_console_store_no_word_given_back(world: World) -> None:
    bob, alice = Person(world, "Bob"), Person(world, "alice", console=True, file="alice")
    bob.types("hi")
    await until(lambda: "hi" in alice.texts("shown"))
    await asyncio.sleep(1)
    dead = cable(alice)
    dead.up.hold(inf)
    alice.types("hello")
    alice.kill()
    again = Person(world, "again", console=True, file="alice")
    await until(lambda: again.connected or not again.running)
    dead.up.release()
    await until(lambda: "hello" in bob.texts("shown"))
    await asyncio.sleep(20)
    assert again.running
    assert not again.texts("not_sent") + again.texts("not_confirmed")


async def an_older_hello_of_a_console(world: World, *, take: bool = False) -> None:
    alice = Person(world, "alice", console=True, wait=True, take=take)
    first = await next_call(alice)
    first.ghost(late=inf)
    await until(lambda: alice.connected)
    first.up.release()
    await asyncio.sleep(20)


@pytest.mark.parametrize("take", [False, True])
def test_an_older_hello_of_a_console_takes_no_place(tmp_path: Path, *, take: bool) -> None:
    async def play(world: World) -> None:
        await an_older_hello_of_a_console(world, take=take)
        assert cable(world.by_name("alice")).live
        assert world.by_name("alice").running

    simulate(tmp_path, play)


def test_that_a_late_call_displaces_its_console_is_found(tmp_path: Path) -> None:
    fault = Fault("", CONSOLE_SESSION + "_attach", "again and self._is_older(hello, attached.call)", "False")
    with fault.planted(), pytest.raises(WrongError, match="the newest call of alice was displaced"):
        simulate(tmp_path, an_older_hello_of_a_console)


# ---------------------------------------------------------------- words that are not kept


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("other_speaks", [False, True])
def test_two_consoles_and_a_crash_at_a_commit_double_nothing(
    tmp_path: Path, moment: str, other_speaks: bool
) -> None:
    """The repeated words are gone, so which of them were its own a console can tell only by what it is told."""

    async def play(world: World) -> None:
        bob, alice = await meet(world)
        world.dies, alice.unreachable = moment, True
        alice.types("from alice")
        await until(lambda: world.switchboard is None)
        carol = Person(world, "carol", console=True, wait=True)
        await until(lambda: bob.connected and carol.connected and carol.session.endpoint.ready)
        if other_speaks:
            carol.types("from carol")
            await until(lambda: "from carol" in bob.texts("shown"))
        await asyncio.sleep(2)
        carol.types("\\detach")
        alice.unreachable = False
        await until(lambda: "from alice" in bob.texts("shown"))

    world = simulate(tmp_path, play, keep="none", turns=Turns.FREE)
    ours = [stored.text for stored in world.stored if not stored.peer]
    assert sorted(ours) == ["from alice", "from carol"][: len(ours)]
    assert len(ours) == 1 + other_speaks


@story()
async def test_a_refused_console_learns_what_is_stored(world: World) -> None:
    bob, alice = await meet(world)
    world.dies, alice.unreachable = "after", True
    alice.types("from alice")
    alice.types("too early")
    await until(lambda: world.switchboard is None)
    carol = Person(world, "carol", console=True, wait=True)
    await until(lambda: carol.connected)
    alice.unreachable = False
    await until(lambda: not alice.running)
    assert alice.knows("notice", "carol (pid 7) is using the console")
    assert alice.texts("not_sent") == ["too early"]
    assert not alice.texts("not_confirmed")
    assert bob.texts("shown") == ["hi", "from alice"]


# ---------------------------------------------------------------- found by random runs


test_many_read_marks_while_words_are_removed = replay(
    Plan(
        seed=207,
        turns=Turns.FREE,
        keep="none",
        slowest=0.02,
        steps=(Comes("Bob2"), Talk(rounds=25, pace=0.02, words=20), Wait(70.0), Talk(rounds=1, words=20)),
    )
)


test_a_word_that_a_console_gave_back_is_not_given_back_again = replay(
    Plan(
        seed=802001514,
        turns=Turns.FREE,
        keep="none",
        slowest=0.3,
        steps=(
            Comes("Bob1", file="Bob1"),
            Comes("alice3", console=True, take=True, file="alice3"),
            Talk(rounds=1, words=1),
            Wait(20.0),
            PowerFails(in_commit=True, down_for=0.1),
            Says("alice3"),
            Breaks("alice3", how="cut", late=0.0),
            Wait(0.3),
            Types("alice3", "\\quit"),
            Talk(rounds=1, words=1),
            Wait(1.0),
        ),
    )
)


test_a_console_that_can_keep_nothing_gives_back_what_is_in_doubt = replay(
    Plan(
        seed=810000238,
        turns=Turns.ALTERNATE,
        keep="none",
        slowest=0.3,
        steps=(
            Comes("alice1", console=True, file="alice1"),
            Comes("Bob2", file="Bob2"),
            Later(0.53, Says("Bob2")),
            Wait(1.0),
            Talk(rounds=1, words=1),
            PowerFails(in_commit=True, down_for=1.0),
            DaemonDies("after", down_for=30.0),
            Wait(20.0),
            Comes("alice1x6", console=True, file="alice1"),
            CannotKeep("alice1x6"),
        ),
    )
)


test_a_word_whose_ack_was_lost_is_not_said_again_to_a_host_that_removed_it = replay(
    Plan(
        seed=862000180,
        turns=Turns.ALTERNATE,
        keep="1d",
        slowest=0.02,
        steps=(
            Comes(name="alice1", console=True, wait=False, take=False, file="alice1", quiet=False, invited=False),
            Comes(name="Bob2", console=False, wait=True, take=False, file="Bob2", quiet=False, invited=True),
            Later(delay=0.02534872633988024, step=Says(who="Bob2", words=1)),
            Wait(seconds=0.3),
            Dies(who="Bob2", power=False),
            Wait(seconds=70.0),
            Comes(name="Bob4", console=False, wait=False, take=False, file="Bob4", quiet=False, invited=False),
            Later(delay=0.07159860093466301, step=Says(who="Bob4", words=1)),
            Wait(seconds=1.0),
            Says(who="Bob4", words=1),
            Says(who="alice1", words=1),
            Comes(name="Bob7", console=False, wait=True, take=False, file="Bob7", quiet=False, invited=False),
            Talk(rounds=1, pace=0.15, words=1),
            ClockIsSet(hours=50),
        ),
    )
)


test_the_peer_learns_that_a_word_was_read_although_the_disk_was_full_then = replay(
    Plan(
        seed=86,
        turns=Turns.ALTERNATE,
        keep="none",
        slowest=0.3,
        steps=(
            Comes("Bob", wait=True),
            Later(0.63, Says("Bob")),
            Wait(1.0),
            Comes("alice", console=True),
            DiskIsFull(2.0),
            Wait(3.0),
        ),
    )
)


@pytest.mark.parametrize("turns", Turns)
def test_a_program_that_owes_its_goodbye_may_find_more_stored(turns: Turns, tmp_path: Path) -> None:
    async def play(world: World) -> None:
        alice, bob = Person(world, "alice", console=True), Person(world, "Bob", file="Bob")
        bob.types("hi")
        await until(lambda: "hi" in alice.texts("shown"))
        alice.types("hello")
        await until(lambda: "hello" in bob.texts("shown"))
        world.dies, bob.unreachable = "after", True
        bob.types("from Bob")
        await until(lambda: world.switchboard is None)
        await until(lambda: not bob.connected)
        bob.types("\\quit")
        assert bob.texts("not_confirmed") == ["from Bob"]
        await asyncio.sleep(1)
        again = Person(world, "Bob2", file="Bob")
        await until(lambda: not again.running)
        assert again.status == 0
        await until(lambda: alice.knows("notice", "Bob ended the conversation"))

    simulate(tmp_path, play, turns=turns)


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("console", [True, False])
@pytest.mark.parametrize("line", ["\\quit", "\\recall"])
def test_what_a_dying_program_gives_back_is_not_sent_again(
    line: str, console: bool, moment: str, tmp_path: Path
) -> None:
    simulate(tmp_path, dies_as_it_gives_back(line, console=console, moment=moment))


def dies_as_it_gives_back(line: str, *, console: bool, moment: str) -> Play:
    async def play(world: World) -> None:
        ours = Person(world, "ours", console=console, file="ours")
        other = Person(world, "other", console=not console)
        (other if console else ours).types("hi")
        await until(lambda: ours.texts("shown") == ["hi"] == other.texts("shown"))
        await asyncio.sleep(1)
        if console:
            ours.types("hello")  # then two wait
        ours.types("held")
        ours.types("newest")
        await asyncio.sleep(1)
        assert ours.texts("held")[-2:] == ["held", "newest"]
        ours.doom(moment)
        ours.types(line)
        assert not ours.running
        if moment == "before":
            assert not ours.texts("not_sent") + ours.texts("recalled")
        again = Person(world, "again", console=console, file="ours")
        await asyncio.sleep(10)
        other.types("and you")
        await asyncio.sleep(10)
        if moment == "after":
            back = {"\\quit": ["held", "newest"], "\\recall": ["newest"]}[line]
            assert again.texts({"\\quit": "not_sent", "\\recall": "in the line"}[line]) == back
            assert not {stored.text for stored in world.stored} & set(back)

    return play


@pytest.mark.parametrize(
    ("where", "line"),
    [
        ("pychat_client.session.keeper:Keeper.record_end", "\\quit"),
        ("pychat_client.session.keeper:Keeper.record_line", "\\recall"),
    ],
    ids=["the end", "the line"],
)
def test_that_this_is_not_recorded_first_is_found(where: str, line: str, tmp_path: Path) -> None:
    with Fault("", where, "self._save_now(", "bool(").planted(), pytest.raises(WrongError):
        simulate(tmp_path, dies_as_it_gives_back(line, console=False, moment="before"))


@pytest.mark.parametrize("console", [True, False])
def test_what_could_not_be_kept_is_not_gone_on_with(console: bool, tmp_path: Path) -> None:
    """What the file had before is too old: meanwhile more was sent."""

    async def play(world: World) -> None:
        ours = Person(world, "ours", console=console, file="ours")
        other = Person(world, "other", console=not console)
        (other if console else ours).types("hi")
        await until(lambda: "hi" in ours.texts("shown") and "hi" in other.texts("shown"))
        await asyncio.sleep(1)
        cable(ours).stall(5)
        ours.types("in the file")
        ours.disk_is_full()
        ours.types("not in the file")
        await until(lambda: "not in the file" in other.texts("shown"))
        ours.kill()
        assert not world.has_files("ours")
        again = Person(world, "again", console=console, file="ours", wait=not console)
        await asyncio.sleep(70)
        again.types("anew")
        await until(lambda: "anew" in [stored.text for stored in world.stored])

    simulate(tmp_path, play, turns=Turns.FREE)


@pytest.mark.parametrize("line", ["", "\\quit"])
def test_a_returning_console_gets_the_words_of_a_removed_talk(line: str, tmp_path: Path) -> None:
    async def play(world: World) -> None:
        bob, alice = Person(world, "Bob"), Person(world, "alice", console=True, file="alice")
        bob.types("hi")
        await until(lambda: "hi" in alice.texts("shown"))
        await asyncio.sleep(1)
        alice.unreachable = True
        cable(alice).cut()
        await until(lambda: not alice.connected)
        alice.types("for Bob")
        if line:
            alice.types(line)
        alice.kill()
        bob.types("\\quit")
        await until(lambda: not bob.running)
        world.clock_is_off += 20 * HOURS
        await asyncio.sleep(4000)  # the journal is tidied up each hour
        again = Person(world, "again", console=True, file="alice")
        await until(lambda: again.connected)
        await asyncio.sleep(1)
        if not line:
            assert again.texts("not_sent") == ["for Bob"]
        assert again.session.endpoint.ended

    simulate(tmp_path, play, keep="1d")


async def unread_words_grow_old(world: World) -> None:
    bob = Person(world, "Bob")
    bob.types("unread")
    await until(lambda: world.stored)
    bob.types("\\quit")
    await until(lambda: not bob.running)
    world.clock_is_off += 20 * HOURS
    world.kill()  # the next daemon tidies up
    await asyncio.sleep(10)


def test_unread_words_are_kept_however_old_they_are(tmp_path: Path) -> None:
    simulate(tmp_path, unread_words_grow_old, keep="1d")


def test_that_unread_words_are_removed_is_found(tmp_path: Path) -> None:
    old = 'INDEXED BY conversation_shown WHERE ended < ? AND {_SHOWN} LIMIT 1"'
    fault = Fault("", "pychatd.conversation.journal:Journal._old", old, 'WHERE ended < ? LIMIT 1"')
    with fault.planted(), pytest.raises(WrongError, match="unread is removed from the journal too early"):
        simulate(tmp_path, unread_words_grow_old, keep="1d")


# ---------------------------------------------------------------- watchers


async def a_console_reads_what_a_watcher_was_told(world: World) -> None:
    wanda, bob = Onlooker(world, "Wanda"), Person(world, "Bob")
    world.onlookers.append(wanda)

    def told() -> list[str]:
        return [event.text for event in wanda.history.events if event.kind == "told"]

    bob.types("one")
    await until(lambda: told() == ["one"])
    alice = Person(world, "alice", console=True)
    await until(lambda: "one" in alice.texts("shown"))
    alice.types("two")
    await until(lambda: "two" in bob.texts("shown"))
    bob.types("three")
    await until(lambda: "three" in alice.texts("shown"))
    alice.types("four")
    await until(lambda: "four" in bob.texts("shown"))
    alice.types("\\detach")
    await until(lambda: not alice.running)
    bob.types("five")
    await until(lambda: told() == ["one", "five"])
    world.kill()
    await asyncio.sleep(10)


def test_a_watcher_is_told_once_what_came_after_others_were_read(tmp_path: Path) -> None:
    simulate(tmp_path, a_console_reads_what_a_watcher_was_told)


def test_that_a_watcher_counts_on_from_what_it_was_told_is_found(tmp_path: Path) -> None:
    method, old = "pychatd.conversation.watcher:Watcher._send_some", "self._told, self._headed = shown, 0"
    fault = Fault("", method, old, "self._told = shown")
    with fault.planted(), pytest.raises(WrongError, match="told five again"):
        simulate(tmp_path, a_console_reads_what_a_watcher_was_told)


def test_that_a_watcher_is_not_told_all_is_found(tmp_path: Path) -> None:
    async def play(world: World) -> None:
        world.onlookers.append(Onlooker(world, "Wanda"))
        bob = Person(world, "Bob")
        for word in ("one", "two"):
            await asyncio.sleep(5)
            bob.types(word)

    # A run of this seed ends without a console.
    method, old = "pychatd.conversation.watcher:Watcher.send_unread", "if self._connection.writable:"
    with Fault("", method, old, "if not self._number:").planted(), pytest.raises(WrongError, match="not told two"):
        simulate(tmp_path, play, seed=11, turns=Turns.FREE)


# ---------------------------------------------------------------- the clock on the wall


async def cut_off(world: World) -> None:
    bob, _ = await meet(world)
    bob.unreachable = True
    cable(bob).cut()
    await asyncio.sleep(5)


@story()
async def test_a_clock_that_is_set_on_gives_the_seat_to_nobody(world: World) -> None:
    await cut_off(world)
    world.clock_is_off += HOURS
    stranger = Person(world, "Eve")
    stranger.types("me")
    await asyncio.sleep(5)
    assert stranger.status == 4
    world.by_name("Bob").unreachable = False


@story()
async def test_a_clock_that_is_set_back_keeps_the_seat_no_longer(world: World) -> None:
    await cut_off(world)
    world.clock_is_off -= HOURS
    await asyncio.sleep(56)
    stranger = Person(world, "Eve")
    stranger.types("me")
    await asyncio.sleep(5)
    assert "me" in world.by_name("alice").texts("shown")
    world.by_name("Bob").unreachable = False


# ---------------------------------------------------------------- leaving


@story()
async def test_detach_right_behind_a_message_waits_until_it_is_stored(world: World) -> None:
    bob, alice = await meet(world)
    alice.types("bye")
    alice.types("\\detach")
    await until(lambda: "bye" in bob.texts("shown"))
    await asyncio.sleep(5)
    assert alice.status == 0
    assert not alice.texts("not_sent") + alice.texts("not_confirmed")


@story()
async def test_detach_waits_for_a_message_only_as_long_as_it_says(world: World) -> None:
    _, alice = await meet(world)
    cable(alice).stall(30)
    alice.types("bye")
    alice.types("\\detach")
    await asyncio.sleep(5.1)
    assert alice.texts("not_confirmed") == ["bye"]
    assert alice.status == 9


@story()
async def test_a_console_that_is_back_after_its_quit_stays(world: World) -> None:
    bob = Person(world, "Bob")
    alice = Person(world, "alice", console=True, file="alice")
    bob.types("hi")
    await until(lambda: "hi" in alice.texts("shown"))
    world.down_for = 5.0
    world.kill()
    await until(lambda: not alice.connected)
    alice.types("\\quit")
    alice.types("\\detach")
    await until(lambda: not alice.running and bob.connected)
    again = Person(world, "again", console=True, file="alice")
    await until(lambda: not bob.running)
    carol = Person(world, "Carol")
    carol.types("hello")
    await until(lambda: "hello" in again.texts("shown"))
    assert again.types("good day")
    await until(lambda: "good day" in carol.texts("shown"))
    cable(again).cut()
    await asyncio.sleep(30)
    assert again.running


@story()
async def test_a_caller_learns_that_the_next_operator_sends_signs(world: World) -> None:
    alice = Person(world, "alice", console=True, quiet=True)
    bob = Person(world, "Bob")
    await until(lambda: bob.connected)
    cable(bob).cut()
    alice.types("\\detach")
    await until(lambda: not alice.running)
    again = Person(world, "again", console=True)
    await until(lambda: again.connected and bob.connected)
    bob.types("hello")
    await until(lambda: "hello" in again.texts("shown"))


@story()
async def test_words_come_back_if_the_disk_is_full_at_the_very_end(world: World) -> None:
    alice, bob = Person(world, "alice", console=True), Person(world, "Bob", file="Bob")
    bob.types("hi")
    await until(lambda: "hi" in alice.texts("shown"))
    alice.types("yes?")
    await until(lambda: "yes?" in bob.texts("shown"))
    await asyncio.sleep(1)
    bob.types("I say")
    bob.types("one moment")
    bob.types("\\detach")
    bob.disk_is_full()
    await until(lambda: not bob.running)
    assert bob.texts("not_sent") == ["one moment"]
    assert bob.status == 6


# ---------------------------------------------------------------- the judge


@pytest.mark.parametrize("words", [TAKEN, DISPLACED])
def test_the_judge_finds_what_a_notice_quotes(words: str) -> None:
    assert tells(Event(0, "notice", f"alice's program says: {quoted(f'{words} today.')}"), words)
    assert tells(Event(0, "notice", f"{words} today."), words)
    assert not tells(Event(0, "typed", words), words)
