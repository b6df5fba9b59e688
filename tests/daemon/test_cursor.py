"""How far a console has been told of the journal."""

from __future__ import annotations

import pytest

from pychat_client.protocol.turns import Role, Turns, TurnState
from pychatd.conversation.cursor import Cursor
from pychatd.conversation.model import Conversation, Entry
from tests.support.endpoints import NOON


@pytest.fixture
def conversation() -> Conversation:
    return Conversation("Bob", "[::1]:40000", None, TurnState(Turns.FREE, 3, 4), NOON, id=7)


def test_a_cursor_begins_behind_the_messages_that_are_left_out(conversation: Conversation) -> None:
    cursor = Cursor().begin(conversation, 2, 1)
    assert (cursor.seq, cursor.own_until) == (1, 4)


def test_only_missing_messages_are_repeated(conversation: Conversation) -> None:
    cursor = Cursor().begin(conversation, 2, 1)

    def repeated(role: Role) -> list[int]:
        return [n for n in range(1, 7) if cursor.repeats(Entry(role, 0, n, "", "", NOON))]

    assert repeated(Role.PEER) == [3, 4, 5, 6]
    assert repeated(Role.OPERATOR) == [2, 3, 4]  # the console has sent the later ones itself


def test_a_console_is_in_step_after_its_first_ack(conversation: Conversation) -> None:
    cursor = Cursor().begin(conversation, 0, 0)
    cursor.told_to(Entry(Role.OPERATOR, 2, 1, "", "", NOON))
    assert not cursor.in_step
    cursor.acked_to(0)
    assert cursor.in_step
    assert cursor.owes_ack
    cursor.acked_to(2)
    cursor.acked_to(1)
    assert cursor.acked == 2
    assert not cursor.owes_ack
    assert not cursor.finish(conversation).begin(conversation, 0, 0).in_step


def test_the_place_behind_a_conversation_has_its_number(conversation: Conversation) -> None:
    cursor = Cursor().begin(conversation, 0, 0)
    cursor.told_to(Entry(Role.OPERATOR, 2, 1, "", "", NOON))
    assert cursor.finish(conversation) == Cursor(previous=7)


def test_what_a_new_program_asks_for_is_repeated_behind_a_place(conversation: Conversation) -> None:
    cursor = Cursor().begin(conversation, 3, 4, again_after=2)
    assert cursor.seq == 2
    places = [seq for seq in range(1, 6) if cursor.repeats_again(Entry(Role.PEER, seq, 1, "", "", NOON))]
    assert places == [3, 4, 5]
    assert not cursor.repeats_again(Entry(Role.PEER, 9, 4, "", "", NOON))  # it is new to this console
