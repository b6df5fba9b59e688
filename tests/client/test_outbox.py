"""The own messages of a conversation: where each one is, and what is given back."""

from __future__ import annotations

from dataclasses import replace

from pychat_client.protocol.digest import UNACKED_MAX, digest_of
from pychat_client.protocol.events import Leftovers
from pychat_client.protocol.outbox import HELD_MAX, Outbox
from pychat_client.protocol.saved import SavedEndpoint


def filled() -> Outbox:
    """Two texts that a connection was given, one that is only numbered, and one that is held."""
    outbox = Outbox()
    outbox.number("one")
    outbox.number("two")
    outbox.transmit()
    outbox.number("three")
    outbox.hold("four")
    return outbox


def places(outbox: Outbox) -> dict[int, str]:
    """Where the session file has each text."""
    saved = outbox.saved()
    return dict(enumerate(saved["texts"], saved["first"]))


def test_a_new_outbox_has_given_nothing_to_a_connection() -> None:
    outbox = Outbox(3)
    assert outbox.saved() == {
        "stored": 3,
        "stored_here": 0,
        "first": 0,
        "numbered": 0,
        "transmitted": 0,
        "texts": (),
    }
    assert outbox.leftovers() == Leftovers()


def test_a_text_keeps_its_place_until_it_is_gone() -> None:
    outbox = filled()
    texts = ["one", "two", "three", "four"]
    assert places(outbox) == dict(enumerate(texts))
    for gone in (1, 2):
        outbox.confirm_next()
        assert places(outbox) == dict(list(enumerate(texts))[gone:])
    outbox.hold("five")
    assert places(outbox) == {2: "three", 3: "four", 4: "five"}


def test_what_is_given_back_takes_its_places_with_it() -> None:
    outbox = filled()
    assert outbox.give_back() == Leftovers(not_sent=("three", "four"), not_confirmed=("one", "two"))
    assert outbox.leftovers() == Leftovers()
    outbox.number("next")
    (place,) = places(outbox)
    assert place >= 3
    assert outbox.leftovers() == Leftovers(not_sent=("next",))


def test_who_is_overtaken_has_all_texts_in_doubt_and_begins_anew() -> None:
    outbox = filled()
    outbox.confirm_next()
    assert outbox.overtaken(7) == Leftovers(not_confirmed=("two", "three", "four"))
    outbox.number("next")
    (place,) = places(outbox)
    assert place >= 3
    assert outbox.leftovers() == Leftovers(not_sent=("next",))
    assert (outbox.stored, outbox.forgotten(9)) == (7, ())


def test_what_the_daemon_has_agrees_if_it_is_what_was_sent() -> None:
    outbox = filled()
    for more, texts, agrees in [
        (0, [], True),
        (0, ["one"], False),
        (2, ["one", "two"], True),
        (2, ["one", "2"], False),
        (-1, [], True),
    ]:
        assert outbox.agrees(more, digest_of(texts)) is agrees
    assert outbox.agrees(3, None)
    assert not outbox.agrees(4, None)


def test_only_what_a_connection_was_given_may_have_arrived() -> None:
    outbox = filled()
    outbox.confirm_next()
    assert outbox.transmitted == 1
    assert outbox.leftovers() == Leftovers(not_sent=("three", "four"), not_confirmed=("two",))
    outbox.confirm(3)
    assert outbox.transmitted == 0
    outbox.number("five")
    assert outbox.leftovers().not_confirmed == ()


def test_a_restored_outbox_goes_on_where_the_first_one_was() -> None:
    outbox = filled()
    outbox.confirm_next()
    saved = replace(SavedEndpoint("Bob"), **outbox.saved())
    again = Outbox.restored(saved)
    assert again.saved() == outbox.saved()
    assert again.leftovers() == outbox.leftovers()
    again.confirm_next()
    assert again.saved()["stored_here"] == 2


def test_the_limits_of_what_waits() -> None:
    outbox = Outbox()
    for number in range(UNACKED_MAX):
        assert not outbox.is_full
        outbox.number(str(number))
    assert outbox.is_full
    for number in range(HELD_MAX):
        assert outbox.can_hold
        outbox.hold(str(number))
    assert not outbox.can_hold


def test_a_read_mark_never_goes_back_nor_beyond_what_is_stored() -> None:
    outbox = filled()
    assert outbox.read == 0
    for stored, count, read in [(2, 1, 1), (2, 5, 2), (3, 2, 3)]:
        outbox.confirm(stored)
        outbox.mark_read(count)
        assert outbox.read == read


def test_what_the_daemon_has_lost_is_given_back_the_newest_first() -> None:
    outbox = filled()
    outbox.confirm(3)
    assert outbox.forgotten(0) == ()
    assert outbox.forgotten(2) == ("two", "three")
    assert outbox.forgotten(9) == ("one", "two", "three")
