"""What an administrator can order of a running service, over the console socket: `pychatd block` and others.

Anybody who may use the console may give orders. An order is a verb and words; its answer is lines for people.
Who may call is known elsewhere, and those orders are handed in.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from pychat_client.errors import UsageError
from pychat_client.phrases import counted, with_certificate
from pychat_client.text import printable
from pychatd.conversation import blocklist
from pychatd.conversation.model import UnreadConversation, conversation_number
from pychatd.conversation.switchboard import Switchboard

LISTED_MAX = 50
"""Conversations in a list of unread ones: two windows full."""

Order = Callable[[str], list[str]]
"""Does it, with the words behind the verb, and returns the lines of the answer. Raises PychatError."""


class Orders:
    """All orders of one service."""

    def __init__(
        self,
        switchboard: Switchboard,
        reload: Callable[[], list[str]],
        callers: Mapping[str, Order] = MappingProxyType({}),
    ) -> None:
        """reload: reads the configuration again; returns what has to be told. callers: the orders about who may
        call, by their verbs."""
        self._switchboard = switchboard
        self._blocklist = switchboard.blocklist
        self._table: dict[str, Order] = {
            "reload": lambda _: [*reload(), *switchboard.complaints],
            "block": self._block,
            "unblock": self._unblock,
            "blocked": lambda _: [blocklist.described(word) for word in self._blocklist.words],
            "forget": self._forget,
            "unread": lambda _: self._unread(),
            "greet": lambda _: self._greet(),
            **callers,
        }

    def execute(self, words: str) -> list[str]:
        """Does what `words` say; returns the lines of the answer. Raises PychatError."""
        verb, _, rest = words.partition(" ")
        order = self._table.get(verb)
        if order is None:
            raise UsageError(
                f"The running daemon does not know the command '{printable(verb[:20])}'. If pychat was upgraded, "
                "restart the service."
            )
        return order(rest.strip())

    def _block(self, word: str) -> list[str]:
        """word: as the list has it, or a conversation: the user of a console means the caller of that one, and
        another one may have called since. No handle is so long."""
        key, _, number = word.partition("=")
        word = self._caller_of(conversation_number(number)) if key == "conversation" else blocklist.parse(word)
        self._blocklist.add(word)
        unblock = f"'pychatd unblock {self._switchboard.settings.port} {word}' lets it call again."
        lines = [f"The {blocklist.described(word)} is blocked. {unblock}"]
        if self._switchboard.put_out_unwelcome():
            lines.append("The conversation is over.")
        return lines

    def _caller_of(self, number: int) -> str:
        """What to block of the caller who talks now, in conversation `number`. Raises UsageError."""
        conversation = self._switchboard.conversation
        if conversation is None or conversation.id != number:
            raise UsageError(
                "The caller that you mean has left, and nobody is blocked: name an address, a key or a handle."
            )
        return blocklist.of_caller(conversation.address, conversation.certificate_hash)

    def _unblock(self, word: str) -> list[str]:
        self._blocklist.remove(blocklist.parse(word))
        return []

    def _forget(self, word: str) -> list[str]:
        running = self._switchboard.conversation
        number = conversation_number(word)
        if running is not None and running.id == number:
            raise UsageError(f"Conversation {number} is going on: end it first.")
        if self._switchboard.journal.by_id(number) is None:
            history = f"pychatd-console --history {self._switchboard.settings.port}"
            raise UsageError(f"There is no conversation {number}. '{history}' shows the numbers of all.")
        self._switchboard.retention.remove(number)
        return []

    def _greet(self) -> list[str]:
        self._switchboard.greet()
        return []

    def _unread(self) -> list[str]:
        found = self._switchboard.journal.unread(LISTED_MAX + 1)
        lines = [_line(unread) for unread in found[:LISTED_MAX]]
        if len(found) > LISTED_MAX:
            lines.append(f"There are older ones: read or forget some of these {LISTED_MAX}, and ask again.")
        return lines or ["No conversation is unread."]


def _line(unread: UnreadConversation) -> str:
    count = counted(unread.messages, "message")
    who = f"{printable(unread.handle)} from {printable(unread.address)}{with_certificate(unread.name)}"
    return f"{unread.number}: {who}, {unread.ended:%Y-%m-%d %H:%M} UTC, {count}"
