"""A new program that goes on with a conversation: what it asks for, what it shows, and in which order."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pychat_client.errors import MessageError, NotAllowedError
from pychat_client.protocol import wire
from pychat_client.protocol.endpoint import Endpoint
from pychat_client.protocol.events import (
    Connected,
    Ended,
    EndedBy,
    Event,
    Leftovers,
    MessageQueued,
    MessageShown,
    WentBack,
)
from pychat_client.protocol.saved import SavedEndpoint
from pychat_client.protocol.turns import Turns
from tests.support.endpoints import NOON, say

SAVED = SavedEndpoint(
    "Bob", "alice", session="5f0c", turns=Turns.FREE, calls=4, received=3, stored=2, stored_here=2, first=2
)
"""Five messages: alice's one, two and three, and Bob's own 1 and 2."""

HELLO = wire.Hello(1, "alice", session="5f0c", got=2, sent=3, turns=Turns.FREE)
CONNECTED = Connected("alice", True)


def returning(saved: SavedEndpoint = SAVED, repeat: int = 2) -> Endpoint:
    endpoint = Endpoint("Rob", saved=saved, repeat=repeat)
    endpoint.greet()
    endpoint.take_frames()
    return endpoint


def told(endpoint: Endpoint, *frames: wire.Frame) -> list[Event]:
    return [event for frame in frames for event in endpoint.receive(frame)]


def repeated(text: str, *, own: bool = False, gone: bool = False) -> tuple[wire.Frame, wire.Frame]:
    """A message that both sides have counted."""
    at = wire.Timestamp(NOON, own=own, gone=gone, again=True)
    return at, wire.Message("Bob" if own else "alice", text)


def shown(text: str, *, own: bool = False) -> MessageShown:
    return MessageShown(wire.Message("Bob" if own else "alice", text), own, NOON)


def hello_of(endpoint: Endpoint) -> wire.Hello:
    endpoint.greet()
    (hello,) = endpoint.take_frames()
    assert isinstance(hello, wire.Hello)
    return hello


def test_the_first_hello_names_no_conversation() -> None:
    hello = hello_of(Endpoint("Bob"))
    assert (hello.handle, hello.session, hello.got, hello.sent, hello.after) == ("Bob", None, None, None, None)
    assert hello.call == 1


@pytest.mark.parametrize(("repeat", "after"), [(2, 3), (5, 0), (100, 0), (0, 5)])
def test_a_returning_program_asks_for_the_newest_messages(repeat: int, after: int) -> None:
    hello = hello_of(Endpoint("Rob", saved=SAVED, repeat=repeat))
    assert (hello.handle, hello.session, hello.got, hello.sent, hello.after) == ("Bob", "5f0c", 3, 2, after)
    assert hello.call == 5


def test_what_was_said_before_comes_before_the_connection() -> None:
    endpoint = returning()
    assert told(endpoint, replace(HELLO, after=3)) == []
    assert told(endpoint, *repeated("2", own=True)) == [shown("2", own=True)]
    assert told(endpoint, *repeated("three")) == [shown("three")]
    assert endpoint.is_returning
    assert not endpoint.ready
    assert told(endpoint, wire.Ready()) == [CONNECTED]
    assert endpoint.ready
    assert not endpoint.is_returning
    assert (endpoint.received_count, endpoint.stored_count) == (3, 2)


@pytest.mark.parametrize("after", [0, 1, 2, 3])
def test_what_the_daemon_repeats_too_much_is_not_shown(after: int) -> None:
    endpoint = returning()
    told(endpoint, replace(HELLO, after=after))
    texts = ["one", "two", "three", "four", "five"][after:]
    seen = told(endpoint, *[frame for text in texts for frame in repeated(text)])
    assert seen == [shown("four"), shown("five")]


def test_a_text_that_is_not_kept_any_more_is_not_shown() -> None:
    endpoint = returning()
    told(endpoint, replace(HELLO, after=3))
    assert told(endpoint, *repeated("", gone=True), *repeated("three")) == [shown("three")]


def test_a_cut_in_between_repeats_nothing_that_was_shown() -> None:
    endpoint = returning(repeat=3)
    told(endpoint, replace(HELLO, after=1))
    told(endpoint, *repeated("left out"))
    told(endpoint, *repeated("shown"))
    endpoint.connection_lost()
    assert endpoint.is_returning
    assert hello_of(endpoint).after == 3
    assert told(endpoint, replace(HELLO, after=3), *repeated("next"), wire.Ready()) == [shown("next"), CONNECTED]


def test_a_cut_behind_new_messages_shows_none_of_them_again() -> None:
    """The journal: Bob's 1, alice's one, two and three, Bob's 2. This file knows only Bob's."""
    endpoint = returning(replace(SAVED, received=0), repeat=0)
    told(endpoint, replace(HELLO, after=1))
    for text in ("one", "two", "three"):
        new = (wire.Timestamp(NOON), wire.Message("alice", text))
        assert told(endpoint, *new) == [shown(text)]
    endpoint.connection_lost()
    hello = hello_of(endpoint)
    assert (hello.got, hello.after) == (3, 4)
    told(endpoint, replace(HELLO, after=2))
    again = [*repeated("two"), *repeated("three"), *repeated("2", own=True)]
    assert told(endpoint, *again, wire.Ready()) == [CONNECTED]


@pytest.mark.parametrize("after", [None, 3])
def test_a_program_that_was_there_is_ready_at_once(after: int | None) -> None:
    endpoint = Endpoint("Bob")
    endpoint.greet()
    assert told(endpoint, replace(HELLO, got=None, sent=None, after=after)) == [Connected("alice", False)]
    assert endpoint.ready


def test_a_daemon_that_repeats_nothing_has_told_all() -> None:
    endpoint = returning()
    assert told(endpoint, HELLO) == [CONNECTED]
    assert endpoint.ready
    assert not endpoint.is_returning


def test_own_texts_follow_what_the_daemon_has() -> None:
    """The one that has its number is sent at once, and shown in its place; what is typed meanwhile waits."""
    endpoint = returning(replace(SAVED, texts=("3", "4"), numbered=1, transmitted=1))
    assert say(endpoint, "typed now") == MessageQueued("typed now")
    assert told(endpoint, replace(HELLO, after=4), *repeated("three")) == [shown("three")]
    own = [wire.Message("Bob", text) for text in ("3", "4", "typed now")]
    assert endpoint.take_frames() == own
    assert told(endpoint, wire.Ready()) == [CONNECTED, *(MessageShown(message, True) for message in own)]


def test_what_waits_for_its_turn_is_shown_as_waiting() -> None:
    endpoint = returning(replace(SAVED, turns=Turns.ALTERNATE, received=2, texts=("3", "4"), numbered=1))
    hello = replace(HELLO, turns=Turns.ALTERNATE, sent=2, after=4)
    assert told(endpoint, hello) == []
    assert endpoint.take_frames() == [wire.Message("Bob", "3")]
    third = MessageShown(wire.Message("Bob", "3"), True)
    assert told(endpoint, wire.Ready()) == [CONNECTED, third, MessageQueued("4")]
    assert list(endpoint.held) == ["4"]


def test_what_is_typed_while_the_daemon_tells_is_sent_behind_that() -> None:
    """In turns, nothing else would send it: it is Bob's turn."""
    endpoint = returning(replace(SAVED, turns=Turns.ALTERNATE, received=2))
    told(endpoint, replace(HELLO, got=2, sent=2, after=2, turns=Turns.ALTERNATE))
    assert say(endpoint, "typed") == MessageQueued("typed")
    assert say(endpoint, "more") == MessageQueued("more")
    assert told(endpoint, *repeated("2")) == [shown("2")]
    sent = wire.Message("Bob", "typed")
    assert told(endpoint, wire.Ready()) == [CONNECTED, MessageShown(sent, True), MessageQueued("more")]
    assert endpoint.take_frames() == [sent]
    assert list(endpoint.held) == ["more"]


def test_a_program_that_owes_its_goodbye_says_it_and_shows_nothing() -> None:
    endpoint = Endpoint("Bob", saved=replace(SAVED, left=True, reason="bye"))
    assert endpoint.ended
    assert endpoint.owes_quit
    assert hello_of(endpoint).after is None
    assert not endpoint.is_returning
    assert told(endpoint, HELLO) == []
    assert endpoint.take_frames() == [wire.Quit("bye")]


def test_a_daemon_that_does_not_have_the_conversation_is_owed_no_goodbye() -> None:
    endpoint = returning(replace(SAVED, left=True, reason="bye"))
    assert told(endpoint, replace(HELLO, session="other", got=None)) == []
    assert not endpoint.owes_quit
    assert endpoint.take_frames() == []


def test_the_reason_says_how_many_of_whose_messages_are_lost() -> None:
    endpoint = returning(replace(SAVED, received=3))
    assert told(endpoint, replace(HELLO, got=1, sent=1)) == [WentBack("alice", 1, 2, Leftovers())]
    reason = "the journal has lost 1 of Bob's messages and 2 of alice's messages"
    assert endpoint.take_frames() == [wire.Quit(reason)]
    assert endpoint.ended


def test_a_text_that_the_other_program_cannot_take_is_refused() -> None:
    endpoint = Endpoint("Bob", max_text_bytes=4)
    assert endpoint.validate("1234") == "1234"
    with pytest.raises(MessageError):
        endpoint.validate("12345")


def test_a_saved_endpoint_has_all_that_the_next_one_needs() -> None:
    saved = replace(SAVED, texts=("3", "4"), numbered=1, transmitted=1)
    assert Endpoint("Rob", saved=saved).saved() == saved
    left = replace(saved, left=True, reason="bye")
    assert Endpoint("Rob", saved=left).saved() == left


def test_a_conversation_that_the_daemon_has_forgotten_is_over() -> None:
    endpoint = returning()
    reason = "the other host does not have it any more (it had 2 of your messages and 3 of alice's messages)"
    assert told(endpoint, replace(HELLO, session="other")) == [
        Ended("alice", EndedBy.SERVICE, reason, Leftovers())
    ]
    assert endpoint.ended
    with pytest.raises(NotAllowedError, match="the conversation is over"):
        say(endpoint, "more")


@pytest.mark.parametrize(("session", "got"), [("other", 1), ("5f0c", None), ("5f0c", 0)])
def test_a_goodbye_to_a_daemon_that_has_nothing_confirms_nothing(session: str, got: int | None) -> None:
    saved = replace(SAVED, received=0, stored=0, texts=("1",), numbered=1, transmitted=1, left=True)
    endpoint = returning(saved)
    assert told(endpoint, replace(HELLO, session=session, got=got)) == []
    assert endpoint.take_back() == Leftovers(not_confirmed=("1",))


def test_the_proof_of_a_certificate_is_sent_back() -> None:
    endpoint = returning()
    assert told(endpoint, wire.Prove()) == []
    assert endpoint.take_frames() == [wire.Prove()]


def test_each_connection_begins_without_the_others_live_typing() -> None:
    endpoint = returning()
    told(endpoint, HELLO, wire.Live(True))
    assert endpoint.other.live
    endpoint.connection_lost()
    endpoint.greet()
    assert not endpoint.other.live


@pytest.mark.parametrize(("quiet", "classic", "count"), [(False, False, 2), (True, False, 0), (False, True, 0)])
def test_only_who_sends_read_marks_leaves_messages_unread(quiet: bool, classic: bool, count: int) -> None:
    endpoint = Endpoint("Bob", classic_server=classic, saved=SAVED)
    endpoint.other = replace(endpoint.other, quiet=quiet)
    assert endpoint.unread_count == count
