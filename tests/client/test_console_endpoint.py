"""What a console's end does with calls, with conversations of earlier programs, and with its own quit."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import pytest

from pychat_client.errors import NotAllowedError
from pychat_client.protocol import wire
from pychat_client.protocol.console_endpoint import ConsoleEndpoint
from pychat_client.protocol.events import (
    Calling,
    Connected,
    Ended,
    EndedBy,
    Event,
    Leftovers,
    MessageShown,
    MissedCall,
)
from pychat_client.protocol.saved import SavedEndpoint
from pychat_client.protocol.turns import Turns
from tests.support.endpoints import NOON, say

HERE, ELSEWHERE = "192.0.2.7", "192.0.2.8"
PEER = wire.Peer("Bob", 3, 0, 0, 0, Turns.FREE, NOON, HERE)
BOB = wire.Calling("Bob", HERE)
SAVED = SavedEndpoint("alice", "Bob", session="3", console="c1", turns=Turns.FREE, received=2, stored=1, calls=1)


def told(endpoint: ConsoleEndpoint, *frames: wire.Frame) -> list[Event]:
    return [event for frame in frames for event in endpoint.receive(frame)]


def attached(saved: SavedEndpoint | None = None) -> ConsoleEndpoint:
    """A console that has got the daemon's hello."""
    endpoint = ConsoleEndpoint("alice", console="c1", saved=saved)
    endpoint.greet()
    told(endpoint, wire.Hello(1, "alice"))
    endpoint.take_frames()
    return endpoint


# ------------------------------------------------------------------ who calls


@pytest.mark.parametrize("classic", [False, True])
def test_the_daemon_tells_a_console_what_calls(classic: bool) -> None:
    endpoint = attached()
    assert endpoint.other_is_classic is False
    told(endpoint, replace(PEER, classic=classic))
    assert endpoint.other_is_classic is classic


def test_a_caller_that_calls_again_is_announced_once() -> None:
    endpoint = attached()
    assert told(endpoint, BOB) == [Calling("Bob", HERE, False)]
    assert told(endpoint, replace(BOB, address=ELSEWHERE)) == []
    assert endpoint.calling == replace(BOB, address=ELSEWHERE)
    assert told(endpoint, replace(BOB, handle="Ann")) == [Calling("Ann", HERE, False)]


def test_nothing_goes_to_somebody_away_while_another_calls() -> None:
    endpoint = attached()
    told(endpoint, PEER, wire.Message("Bob", "Hi"), wire.Away(), wire.Calling("Carol", ELSEWHERE))
    with pytest.raises(NotAllowedError, match=r"it would go to Bob, who is away\. Carol is calling"):
        say(endpoint, "Hi Carol")
    told(endpoint, wire.Missed("Carol", ELSEWHERE))
    say(endpoint, "Hi Bob")
    told(endpoint, wire.Calling("guest", ELSEWHERE, silent=True))
    say(endpoint, "Are you there?")
    told(endpoint, wire.Calling("Carol", ELSEWHERE), wire.Here("Bob", address=HERE))
    say(endpoint, "Back so soon?")


def test_a_silent_caller_is_announced_whenever_the_seat_is_free() -> None:
    endpoint = attached()
    silent = wire.Calling("guest", HERE, silent=True)
    assert told(endpoint, silent, silent) == [Calling("guest", HERE, True)] * 2


@pytest.mark.parametrize(
    ("address", "time", "calls"),
    [(HERE, None, False), (ELSEWHERE, None, True), (HERE, NOON, True)],
    ids=["this one", "another one", "an earlier call"],
)
def test_only_the_caller_that_has_gone_calls_no_more(address: str, time: datetime | None, calls: bool) -> None:
    endpoint = attached()
    told(endpoint, BOB)
    before = [] if time is None else [wire.Timestamp(NOON)]
    missed = wire.Missed("Bob", address, "bob-laptop", "Ann")
    assert told(endpoint, *before, missed) == [MissedCall("Bob", address, time, "bob-laptop", "Ann")]
    assert (endpoint.calling is not None) == calls


@pytest.mark.parametrize(
    ("handle", "address", "calls"),
    [("Bob", ELSEWHERE, False), ("Ann", HERE, False), ("Ann", ELSEWHERE, True)],
)
def test_who_takes_part_in_a_conversation_calls_no_more(handle: str, address: str, calls: bool) -> None:
    for frame in (replace(PEER, handle=handle, address=address), wire.Here(handle, address)):
        endpoint = attached()
        told(endpoint, BOB, frame)
        assert (endpoint.calling is not None) == calls


def test_nobody_calls_behind_a_lost_connection() -> None:
    endpoint = attached()
    told(endpoint, BOB)
    endpoint.connection_lost()
    assert endpoint.calling is None


# ------------------------------------------------------------------ its hello


def test_the_ack_of_a_conversation_that_goes_on_displays_nothing() -> None:
    """It only says that the console knows which conversation follows. The next console shows the message."""
    endpoint = ConsoleEndpoint("root", saved=SAVED)
    endpoint.greet()
    told(endpoint, wire.Hello(1, "alice"), replace(PEER, got=1, heard=2, told=1))
    endpoint.receive(wire.Message("Bob", "three"))
    endpoint.mark_displayed(waiting=1)
    endpoint.connection_lost()
    endpoint.greet()
    told(endpoint, wire.Hello(1, "alice"), replace(PEER, got=1, heard=3, told=1))
    saved = endpoint.saved()
    assert saved is not None
    assert saved.received == SAVED.received


def test_a_new_console_names_no_conversation() -> None:
    endpoint = ConsoleEndpoint("alice", console="c1", handle_is_default=True, take_over=True)
    endpoint.greet()
    (hello,) = endpoint.take_frames()
    assert hello == wire.Hello(1, "alice", call=1, console="c1", suggested=True, take=True)
    told(endpoint, wire.Hello(1, "desk"))
    endpoint.connection_lost()
    endpoint.greet()
    assert endpoint.take_frames() == [wire.Hello(1, "desk", call=2, console="c1")]


def test_a_returning_console_names_its_conversation_and_its_counts() -> None:
    endpoint = ConsoleEndpoint("root", console="c9", handle_is_default=True, saved=SAVED, calls=1000)
    endpoint.greet()
    (hello,) = endpoint.take_frames()
    assert hello == wire.Hello(1, "alice", session="3", got=2, sent=1, after=0, call=1001, console="c1")


def test_a_saved_console_has_all_that_the_next_one_needs() -> None:
    saved = replace(SAVED, texts=("two",), numbered=1, transmitted=1, stored_here=1, first=1)
    assert ConsoleEndpoint("root", saved=saved).saved() == saved
    assert ConsoleEndpoint("root", console="c1").saved() is None


# ------------------------------------------------------------------ which conversation goes on


def test_a_conversation_with_the_same_counts_goes_on() -> None:
    endpoint = attached(SAVED)
    peer = replace(PEER, got=1, heard=2, told=1)
    assert told(endpoint, peer) == [Connected("Bob", True, peer)]
    assert endpoint.take_frames() == [wire.Ack(2)]


def test_a_returning_console_is_told_again_what_it_asks_for() -> None:
    endpoint = attached(SAVED)
    again = wire.Timestamp(NOON, again=True)
    peer = replace(PEER, got=1, heard=2, told=1, after=0)
    shown = MessageShown(wire.Message("Bob", "one"), False, NOON)
    assert told(endpoint, peer, again, shown.message) == [Connected("Bob", True, peer), shown]
    assert endpoint.is_returning
    assert told(endpoint, wire.Ready()) == []
    assert not endpoint.is_returning
    endpoint = attached(SAVED)
    told(endpoint, replace(peer, after=None))
    assert not endpoint.is_returning


@pytest.mark.parametrize("change", [{"session": 4}, {"heard": 1}, {"told": 0}])
def test_another_one_or_other_counts_begin_anew(change: dict[str, int]) -> None:
    endpoint = attached(replace(SAVED, texts=("two",), numbered=1, transmitted=1))
    peer = replace(PEER, **{"got": 0, "heard": 2, "told": 1, **change})  # type: ignore[arg-type]
    ended, connected, *_ = told(endpoint, peer)
    over = "it was over when this console connected again"
    reason = over if "session" in change else "the journal lacks messages of it"
    assert ended == Ended("Bob", EndedBy.SERVICE, reason, Leftovers(not_confirmed=("two",)))
    assert connected == Connected("Bob", False, peer)
    assert (endpoint.received_count, endpoint.stored_count) == (peer.heard, peer.told)


def test_nothing_is_given_back_if_nothing_is_left() -> None:
    endpoint = attached(SAVED)
    peer = replace(PEER, session=4)
    assert told(endpoint, peer) == [Connected("Bob", False, peer)]


def test_a_conversation_that_is_not_named_is_over_when_all_is_told() -> None:
    endpoint = attached(SAVED)
    reason = "the journal does not have it any more (it had 1 of your messages and 2 of Bob's messages)"
    assert told(endpoint, wire.Ready()) == [Ended("Bob", EndedBy.SERVICE, reason, Leftovers())]
    assert endpoint.ended
    assert told(endpoint, wire.Ready()) == []


def test_a_conversation_that_goes_before_its_first_message_had_none() -> None:
    endpoint = attached(replace(SAVED, received=0, stored=0))
    (ended,) = told(endpoint, wire.Ready())
    assert isinstance(ended, Ended)
    assert ended.reason == "the journal does not have it any more"


# ------------------------------------------------------------------ its user


def test_nobody_can_be_written_to_before_the_first_message() -> None:
    endpoint = attached()
    with pytest.raises(NotAllowedError, match="the caller has to send the first message"):
        say(endpoint, "Hello")
    told(endpoint, PEER)
    with pytest.raises(NotAllowedError, match="the caller has to send the first message"):
        say(endpoint, "Hello")
    told(endpoint, wire.Message("Bob", "Hi"))
    say(endpoint, "Hello")


def test_a_quit_without_a_connection_is_told_on_the_next_one() -> None:
    endpoint = attached()
    told(endpoint, PEER, wire.Message("Bob", "Hi"))
    endpoint.connection_lost()
    endpoint.quit("bye")
    assert endpoint.phase.is_left
    endpoint.greet()
    told(endpoint, wire.Hello(1, "alice"))
    endpoint.take_frames()
    assert told(endpoint, replace(PEER, heard=1)) == []
    assert endpoint.take_frames() == [wire.Ack(1), wire.Quit("bye")]
    assert told(endpoint, wire.Quit("bye")) == []
    assert not endpoint.phase.is_left


def test_a_text_that_the_callers_program_cannot_take_is_refused() -> None:
    endpoint = attached()
    told(endpoint, replace(PEER, room=4), wire.Message("Bob", "Hi"))
    assert endpoint.max_text_bytes == 4
    told(endpoint, wire.Here("Bob", HERE, room=5))
    assert endpoint.max_text_bytes == 5
