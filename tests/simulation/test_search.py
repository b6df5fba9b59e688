"""Everything that can happen to a few messages, to the end. `make exhaust` tries more."""

from __future__ import annotations

import random

import pytest

from pychat_client.protocol.turns import Turns
from tests.simulation.parts import LiveParts
from tests.simulation.planted import CONSOLE_SESSION, CURSOR, ENDPOINT, OUTBOX, PEER_SESSION, SWITCHBOARD, Fault
from tests.simulation.search import search
from tests.simulation.small_daemon import stand_still
from tests.simulation.small_world import Budget, Rules, SmallWorld, State


@pytest.mark.parametrize("turns", Turns)
@pytest.mark.parametrize(
    "budget",
    [
        Budget(words=3, signs=0),
        Budget(words=2),
        Budget(words=2, quits=1),
        Budget(crashes=1),
        Budget(cuts=1),
        Budget(consoles=1),
        Budget(splits=2),
        Budget(signs=2),
    ],
    ids=str,
)
def test_no_promise_is_broken_whatever_happens(turns: Turns, budget: Budget) -> None:
    found = search(turns, budget)
    assert not found.broken, found
    assert found.states > 30
    assert found.resting > 0


@pytest.mark.parametrize(
    ("fault", "budget"),
    [
        (Fault("", ENDPOINT + "_resend", "for text in self.unacked]", "for text in ()]"), Budget(cuts=1)),
        (
            Fault("", ENDPOINT + "_resend", "for text in self.unacked]", "for text in self.unacked] * 2"),
            Budget(cuts=1),
        ),
        (Fault("", PEER_SESSION + "_resume", "self.send_backlog()", "pass"), Budget(crashes=1)),
        (Fault("", SWITCHBOARD + "find_waiting", "return caller", "return None"), Budget(cuts=1)),
        (Fault("", SWITCHBOARD + "find_waiting", "if known or (again and same_host)", "if known"), Budget(cuts=1)),
        (Fault("", SWITCHBOARD + "_end", "peer.send_backlog()", "pass"), Budget(quits=1)),
        (Fault("", ENDPOINT + "connection_lost", "self._time = None", "self.held.clear()"), Budget(cuts=1)),
        (Fault("", SWITCHBOARD + "_tell_read_mark", "other.send_read_mark(count)", "pass"), Budget()),
        (Fault("", OUTBOX + "next_held", "self.held.popleft()", "self.held.pop()"), Budget(words=2)),
        (
            Fault("", CURSOR + "repeats", "entry.n > self.peer_offset", "entry.n >= self.peer_offset"),
            Budget(cuts=1),
        ),
        (
            Fault("", PEER_SESSION + "_resume", "switchboard.mark_shown(conversation, Role.PEER, got)", "pass"),
            Budget(crashes=1),
        ),
        (Fault("", PEER_SESSION + "_answer", "frames.append(wire.Read(count))", "pass"), Budget(cuts=1)),
        (Fault("", CONSOLE_SESSION + "_begin", "frames.append(wire.Read(count))", "pass"), Budget(consoles=1)),
        (
            Fault("", SWITCHBOARD + "set_quiet", "self._tell_read_mark(conversation, role)", "pass"),
            Budget(cuts=1, signs=3),
        ),
        (
            Fault(
                "",
                CONSOLE_SESSION + "_attach",
                "again = attached is not None and self._is_same_program(attached)",
                "again = False",
            ),
            Budget(cuts=1),
        ),
        (
            Fault("", CONSOLE_SESSION + "_attach", "again and self._is_older(hello, attached.call)", "False"),
            Budget(cuts=2),
        ),
    ],
    ids=[
        *("no resend", "twice", "no backlog", "busy for himself", "busy without a token", "no end"),
        *("held and lost", "not read", "out of order", "told again"),
        *("not shown at a resume", "no mark for a peer", "no mark for a console", "no mark for signs again"),
        *("held by itself", "displaced by an older hello"),
    ],
)
def test_a_planted_fault_is_found_with_a_shortest_story(fault: Fault, budget: Budget) -> None:
    with fault.planted():
        found = search(Turns.FREE, budget)
    assert found.broken
    assert 0 < len(found.story) < 20


@pytest.mark.parametrize("turns", Turns)
def test_what_is_looked_up_is_what_the_programs_do(turns: Turns) -> None:
    """Programs and a daemon that are never copied come to the same, step by step."""
    budget = Budget(words=3, cuts=2, crashes=1, quits=1, consoles=1, splits=2, signs=3)
    with stand_still():
        looked_up = Rules(turns, budget)
        first = looked_up.first()
        for seed in range(25):
            live = Rules(turns, budget, LiveParts())
            _go_the_same_way(random.Random(seed), looked_up, first, live)


def _go_the_same_way(chance: random.Random, looked_up: Rules, state: State, live: Rules) -> None:
    live_state = live.first()
    for _ in range(200):
        world, real = SmallWorld(looked_up, state), SmallWorld(live, live_state)
        actions = world.actions()
        assert actions == real.actions()
        if not actions:
            return
        action = chance.choice(actions)
        world.take(action)
        real.take(action)
        state, live_state = world.state(), real.state()
        assert _seen(looked_up, state) == _seen(live, live_state)


def _seen(rules: Rules, state: State) -> tuple[object, ...]:
    """A world without the numbers of its parts."""
    return (*map(rules.user, state.users), rules.daemon(state.daemon), state[2:])
