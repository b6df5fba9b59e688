"""Messages of a classic peer that wait for their turn. A classic program may send at any time."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from pychat_client.errors import ProtocolError
from pychat_client.protocol.turns import Turns
from pychat_client.protocol.wire import Message

WAITING_MAX = 100
"""Messages that may wait. The classic servers left them in the socket's buffer."""


class ClassicQueue:
    """Keeps each message until the journal has it: storing it may fail, or fail and yet have stored it."""

    def __init__(self) -> None:
        self._messages: deque[Message] = deque()
        self._removed = 0  # since the conversation began

    def __len__(self) -> int:
        return len(self._messages)

    def add(self, messages: Sequence[Message]) -> None:
        self._messages.extend(messages)

    def check_length(self) -> None:
        """Raises ProtocolError when too many messages wait."""
        if len(self._messages) > WAITING_MAX:
            raise ProtocolError("waiting", f"More than {WAITING_MAX} messages wait for their turn.")

    def next(self, turns: Turns) -> list[Message]:
        """The messages that may be sent at once when it is the peer's turn."""
        return list(self._messages) if turns is Turns.FREE else [self._messages[0]]

    def remove_stored(self, stored: int) -> None:
        """Removes the messages that the journal has: it has `stored` messages of the peer."""
        while self._removed < stored and self._messages:
            self._messages.popleft()
            self._removed += 1
