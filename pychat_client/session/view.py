"""What a chat asks of the view that shows it: a terminal's screen, plain lines, JSON lines, or nobody."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from pychat_client.protocol import wire
from pychat_client.text import printable, printable_lines

if TYPE_CHECKING:
    from pychat_client.session.session import Session


class View(Protocol):
    """What shows the conversation and reads what is typed: a Screen, Plain, Jsonl or a Sender."""

    def message(self, message: wire.Message, *, own: bool, time: datetime, replayed: bool) -> None:
        """A message that was said (its text as received: the view makes it printable)."""

    def held(self, text: str) -> None:
        """An own message that waits for its turn."""

    def notice(self, sentence: str) -> None:
        """A sentence about the conversation, printable already."""

    def news(self, sentence: str) -> None:
        """A notice that nothing is wrong: for who watches."""
        self.notice(sentence)

    def alert(self, words: str, *, ring: bool) -> None:
        """Something has happened now that a user who looks elsewhere may want to know; words: printable.
        ring: a user who sits there is called too. Nothing more than what is shown anyway, by default."""

    def rung(self, handle: str) -> None:
        """The other user asks for attention."""
        words = f"{printable(handle)} rings."
        self.notice(words)
        self.alert(words, ring=True)

    def recalled(self, text: str) -> None:
        """An own message that the user has taken back before it went."""
        self.restore(text)

    def restore(self, text: str) -> None:
        """Puts an own message back into the line being typed, unless something stands there; nothing, by
        default: not every view has such a line."""
        return  # so that it is no abstract method

    @property
    def keys(self) -> Sequence[tuple[str, str]]:
        """The keys that do something here, and what; none, by default."""
        return ()

    @property
    def narrow(self) -> bool:
        """Whether there is no room for its help beside a command; then a notice may have line breaks (U+2028)."""
        return False

    def not_sent(self, text: str) -> None:
        """An own message that is not stored and never will be, shown so that it can be copied."""
        self._give_back("Not sent:", text)

    def not_confirmed(self, text: str) -> None:
        """An own message that was sent and not confirmed, shown so that it can be copied."""
        self._give_back("Not confirmed; it may have arrived:", text)

    def _give_back(self, heading: str, text: str) -> None:
        self.notice(heading)
        for line in printable_lines(text):
            self.notice(f"    {line}")

    def refresh(self) -> None:
        """The state that `Chat.situation` tells has changed."""

    async def run(self, session: Session) -> None:
        """Reads what the user types until the chat is done."""

    def stop(self) -> None:
        """The chat is done: `run` returns."""
