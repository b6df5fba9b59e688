"""What an administrator can order of a running service, over the console socket: `pychatd reload` and others.

Anybody who may use the console may give orders. An order is a verb and words; its answer is lines for people.
"""

from __future__ import annotations

from collections.abc import Callable

from pychat_client.errors import UsageError
from pychat_client.text import printable

Order = Callable[[str], list[str]]
"""Does it, with the words behind the verb, and returns the lines of the answer. Raises PychatError."""


class Orders:
    """All orders of one service."""

    def __init__(self, reload: Callable[[], list[str]]) -> None:
        """reload: reads the configuration again; returns what has to be told."""
        self._table: dict[str, Order] = {"reload": lambda _: reload()}

    def obey(self, words: str) -> list[str]:
        """Does what `words` say; returns the lines of the answer. Raises PychatError."""
        verb, _, rest = words.partition(" ")
        order = self._table.get(verb)
        if order is None:
            raise UsageError(f"This daemon does not know '{printable(verb[:20])}': restart it after an upgrade.")
        return order(rest)
