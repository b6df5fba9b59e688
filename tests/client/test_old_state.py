"""A program that goes on with a state that is older than the conversation, or a copy that was used elsewhere."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from pychat_client.protocol import wire
from pychat_client.protocol.console_endpoint import ConsoleEndpoint
from pychat_client.protocol.digest import digest_of
from pychat_client.protocol.endpoint import Endpoint
from pychat_client.protocol.events import (
    Connected,
    Ended,
    EndedBy,
    Event,
    Leftovers,
    MessageShown,
    Overtaken,
    OvertakenHere,
)
from pychat_client.protocol.saved import SavedEndpoint
from pychat_client.protocol.turns import Turns
from tests.support.endpoints import NOON, say

STORED = ("one", "two", "three")
"""The caller's messages that the daemon has."""


def _state(
    stored: int = 1, numbered: tuple[str, ...] = (), held: tuple[str, ...] = (), *, left: bool = False
) -> SavedEndpoint:
    return SavedEndpoint(
        "Bob",
        "alice",
        session="5f0c",
        turns=Turns.FREE,
        calls=3,
        stored=stored,
        numbered=len(numbered),
        texts=(*numbered, *held),
        left=left,
    )


def _answer(state: SavedEndpoint, *, kept: bool = True, after: int | None = 0) -> wire.Hello:
    digest = digest_of(STORED[state.stored :]) if kept else None
    return wire.Hello(
        1, "alice", session="5f0c", got=len(STORED), sent=0, after=after, digest=digest, turns=Turns.FREE
    )


def _returns(state: SavedEndpoint, *, kept: bool = True) -> tuple[Endpoint, list[Event]]:
    endpoint = Endpoint("Bob", saved=state)
    endpoint.greet()
    endpoint.take_frames()
    return endpoint, endpoint.receive(_answer(state, kept=kept))


def _own(text: str) -> list[wire.Frame]:
    return [wire.Timestamp(NOON, own=True, again=True), wire.Message("Bob", text)]


@pytest.mark.parametrize(
    "state",
    [
        _state(),
        _state(numbered=("two",)),
        _state(numbered=("two", "other")),
        _state(numbered=("other", "three", "more")),
        _state(held=("two", "three")),
    ],
    ids=["nothing waits", "fewer", "other words", "other words and more", "held"],
)
def test_an_old_state_gives_its_texts_back_in_doubt_and_goes_on(state: SavedEndpoint) -> None:
    endpoint, events = _returns(state)
    assert events == [Overtaken(Leftovers(not_confirmed=state.texts))]
    assert endpoint.take_frames() == []
    assert endpoint.leftovers() == Leftovers()
    frames = [frame for text in STORED for frame in _own(text)]
    events = [event for frame in (*frames, wire.Ready()) for event in endpoint.receive(frame)]
    shown = [event.message.text for event in events if isinstance(event, MessageShown) and event.own]
    assert shown == [*STORED]
    assert Connected("alice", resumed=True) in events
    say(endpoint, "next")
    assert endpoint.take_frames() == [wire.Message("Bob", "next")]
    assert endpoint.receive(wire.Ack(4)) == []


@pytest.mark.parametrize(
    "state",
    [_state(numbered=("two", "three")), _state(numbered=("two", "three", "four")), _state(3, held=("four",))],
    ids=["all", "one more", "held"],
)
def test_a_state_that_the_daemon_continues_is_none(state: SavedEndpoint) -> None:
    endpoint, events = _returns(state)
    assert events == []
    waits = [text for text in state.texts if text not in STORED]
    assert endpoint.take_frames() == [wire.Message("Bob", text) for text in waits]


def test_where_texts_are_not_kept_only_the_count_tells() -> None:
    endpoint, events = _returns(_state(numbered=("two", "other")), kept=False)
    assert events == []
    assert endpoint.stored_count == 3
    _, events = _returns(_state(numbered=("two",)), kept=False)
    assert events == [Overtaken(Leftovers(not_confirmed=("two",)))]


def test_a_program_that_runs_leaves_when_another_one_has_gone_on() -> None:
    """It has not shown what the other one has said, and the next program does."""
    endpoint = Endpoint("Bob")
    endpoint.greet()
    endpoint.receive(wire.Hello(1, "alice", session="5f0c", turns=Turns.FREE))
    for text in ("one", "other"):
        say(endpoint, text)
    endpoint.receive(wire.Ack(1))
    endpoint.connection_lost()
    endpoint.greet()
    endpoint.take_frames()
    assert endpoint.receive(_answer(_state(), after=None)) == [OvertakenHere()]
    assert endpoint.take_frames() == []
    assert endpoint.can_go_on
    saved = endpoint.saved()
    assert saved is not None
    _, events = _returns(saved)
    assert events == [Overtaken(Leftovers(not_confirmed=("other",)))]


def test_an_old_state_that_has_ended_gives_its_texts_back_and_quits() -> None:
    state = _state(numbered=("other",), left=True)
    endpoint, events = _returns(state)
    assert events == [Overtaken(Leftovers(not_confirmed=("other",)))]
    assert endpoint.take_frames() == [wire.Quit()]


def test_an_old_state_learns_that_its_own_user_has_ended_it() -> None:
    endpoint, _ = _returns(_state())
    endpoint.receive(wire.Timestamp(NOON, own=True))
    (ended,) = endpoint.receive(wire.Quit("done"))
    assert isinstance(ended, Ended)
    assert (ended.by, ended.reason, ended.time) == (EndedBy.YOU, "done", NOON)


@pytest.mark.parametrize(("calls", "call"), [(1000, 1001), (2, 4)])
def test_an_old_state_does_not_count_its_calls_from_where_it_was(calls: int, call: int) -> None:
    endpoint = Endpoint("Bob", saved=_state(), calls=calls)
    endpoint.greet()
    (hello,) = endpoint.take_frames()
    assert isinstance(hello, wire.Hello)
    assert hello.call == call


def test_a_state_without_a_token_counts_its_calls_from_the_first() -> None:
    """The daemon takes a later call from the same host for one of the same program."""
    endpoint = Endpoint("Bob", saved=SavedEndpoint("Bob", texts=("Hi",)), calls=1000)
    endpoint.greet()
    (hello,) = endpoint.take_frames()
    assert isinstance(hello, wire.Hello)
    assert hello.call == 1


# ------------------------------------------------------------------ the operator's end


def _console(*texts: str, numbered: int = 0, left: bool = False, **changes: Any) -> ConsoleEndpoint:
    saved = SavedEndpoint(
        "alice",
        "Bob",
        session="7",
        console="c0",
        since="2024-05-01T12:00:00.000Z",
        turns=Turns.FREE,
        received=1,
        stored=1,
        stored_here=1,
        numbered=numbered,
        texts=texts,
        left=left,
    )
    endpoint = ConsoleEndpoint("alice", saved=replace(saved, **changes))
    endpoint.greet()
    endpoint.take_frames()
    endpoint.receive(wire.Hello(1, "alice"))
    return endpoint


def _heading(*mine: str, since: datetime = NOON) -> wire.Peer:
    """The journal has the operator's message "one", which the state knows, and behind it `mine`."""
    heading = wire.Peer("Bob", 7, 1 + len(mine), 1, 1, Turns.FREE, since, "192.0.2.7", after=0)
    return replace(heading, mine=len(mine), digest=digest_of(mine)) if mine else heading


def _told(endpoint: ConsoleEndpoint, *mine: str) -> list[Event]:
    frames: list[wire.Frame] = [
        wire.Timestamp(NOON, again=True),
        wire.Message("Bob", "Hi!"),
        wire.Timestamp(NOON, own=True, again=True),
        wire.Message("alice", "one"),
    ]
    for text in mine:
        frames += [wire.Timestamp(NOON, own=True, mine=True), wire.Message("alice", text)]
    return [event for frame in (*frames, wire.Ready()) for event in endpoint.receive(frame)]


@pytest.mark.parametrize(
    ("texts", "numbered"),
    [((), 0), (("two",), 1), (("other", "three"), 2), (("two", "three"), 0)],
    ids=["nothing waits", "fewer", "other words", "held"],
)
def test_an_old_state_of_a_console_gives_its_texts_back(texts: tuple[str, ...], numbered: int) -> None:
    endpoint = _console(*texts, numbered=numbered)
    events = endpoint.receive(_heading("two", "three"))
    assert Overtaken(Leftovers(not_confirmed=texts)) in events
    events = _told(endpoint, "two", "three")
    assert [event.message.text for event in events if isinstance(event, MessageShown)] == [
        "Hi!",
        "one",
        "two",
        "three",
    ]
    assert not [frame for frame in endpoint.take_frames() if isinstance(frame, wire.Message)]
    say(endpoint, "four")
    assert endpoint.take_frames() == [wire.Message("alice", "four")]
    assert endpoint.sent_count == 4


@pytest.mark.parametrize("repeated", [0, 1])
def test_an_old_state_of_a_console_is_told_of_once(repeated: int) -> None:
    """The connection is lost before all is repeated. What is typed meanwhile was never on its way."""
    mine = ("two", "three", "four")
    endpoint = _console("other", numbered=1)
    assert Overtaken(Leftovers(not_confirmed=("other",))) in endpoint.receive(_heading(*mine))
    for text in mine[:repeated]:
        endpoint.receive(wire.Timestamp(NOON, own=True, mine=True))
        endpoint.receive(wire.Message("alice", text))
    endpoint.connection_lost()
    say(endpoint, "five")
    endpoint.greet()
    endpoint.receive(wire.Hello(1, "alice"))
    endpoint.take_frames()
    heading = wire.Peer("Bob", 7, 4, 1, 1 + repeated, Turns.FREE, NOON, "192.0.2.7", after=0)
    rest = mine[repeated:]
    events = endpoint.receive(replace(heading, mine=len(rest), digest=digest_of(rest)))
    assert not any(isinstance(event, Overtaken) for event in events)
    for text in rest:
        endpoint.receive(wire.Timestamp(NOON, own=True, mine=True))
        endpoint.receive(wire.Message("alice", text))
    assert wire.Message("alice", "five") in endpoint.take_frames()
    assert endpoint.sent_count == 5


def test_a_state_of_a_console_that_the_daemon_continues_is_none() -> None:
    endpoint = _console("two", "three", "four", numbered=2)
    assert not any(isinstance(event, Overtaken) for event in endpoint.receive(_heading("two")))
    _told(endpoint, "two")
    sent = [frame.text for frame in endpoint.take_frames() if isinstance(frame, wire.Message)]
    assert sent == ["three", "four"]


def test_another_journal_is_told_of_also_when_no_text_waits() -> None:
    endpoint = _console()
    events = endpoint.receive(_heading(since=NOON + timedelta(days=1)))
    gone = "the journal does not have it any more (it had 1 of your messages and 1 of Bob's messages)"
    assert events[0] == Ended("Bob", EndedBy.SERVICE, gone, Leftovers())


@pytest.mark.parametrize("left", [False, True])
def test_another_journal_with_the_same_number_gets_nothing(left: bool) -> None:
    """Neither the words nor the end that were for another conversation."""
    endpoint = _console("for Bob", numbered=1, left=left)
    later = _heading("two", since=NOON + timedelta(days=1))
    events = endpoint.receive(later)
    gone = "the journal does not have it any more (it had 1 of your messages and 1 of Bob's messages)"
    assert [event for event in events if isinstance(event, Ended)] == [
        Ended("Bob", EndedBy.SERVICE, gone, Leftovers(("for Bob",)))
    ]
    _told(endpoint)
    assert all(isinstance(frame, wire.Ack) for frame in endpoint.take_frames())
    assert not endpoint.ended


def test_an_end_that_was_not_told_gives_back_an_old_states_texts() -> None:
    endpoint = _console("other", numbered=1, left=True)
    events = endpoint.receive(_heading("two"))
    assert events == [Overtaken(Leftovers(not_confirmed=("other",)))]
    assert endpoint.take_frames()[-1] == wire.Quit()


@pytest.mark.parametrize(("stored", "left"), [("two", ()), ("other", ("two",))])
def test_a_refused_console_compares_what_is_stored(stored: str, left: tuple[str, ...]) -> None:
    endpoint = _console("two", numbered=1)
    endpoint.receive(wire.Stored(2, digest_of([stored])))
    assert endpoint.leftovers() == Leftovers(left)
