"""Messages of a classic peer that wait for their turn."""

from __future__ import annotations

import pytest

from pychat_client.errors import ProtocolError
from pychat_client.protocol.turns import Turns
from pychat_client.protocol.wire import Message
from pychatd.conversation.classic_queue import WAITING_MAX, ClassicQueue


def queue_of(count: int) -> tuple[ClassicQueue, list[Message]]:
    queue, messages = ClassicQueue(), [Message("Bob", f"{n}") for n in range(count)]
    queue.add(messages)
    return queue, messages


def test_one_message_is_next_in_turns_and_all_without() -> None:
    queue, messages = queue_of(3)
    assert queue.next(Turns.ALTERNATE) == messages[:1]
    assert queue.next(Turns.FREE) == messages


def test_a_message_stays_until_it_is_stored() -> None:
    queue, messages = queue_of(3)
    queue.remove_stored(0)
    assert queue.next(Turns.FREE) == messages
    queue.remove_stored(2)
    queue.remove_stored(2)
    assert queue.next(Turns.FREE) == messages[2:]
    queue.remove_stored(9)
    assert not queue


def test_too_many_waiting_messages_are_an_error() -> None:
    queue, _ = queue_of(WAITING_MAX)
    queue.check_length()
    queue.add([Message("Bob", "one more")])
    with pytest.raises(ProtocolError, match="wait for their turn"):
        queue.check_length()
