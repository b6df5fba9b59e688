"""What becomes of one user's own texts: held, numbered, transmitted, stored, read, or given back.

A text is *held* until its turn. Then it gets its number, and is *unacked* until the daemon has stored it. It is
*transmitted* once a connection was given it: from then on it can arrive. The outbox knows no turns and no frames.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from itertools import islice

from pychat_client.protocol.digest import UNACKED_MAX, digest_of
from pychat_client.protocol.events import Leftovers
from pychat_client.protocol.saved import SavedEndpoint, SavedOutbox

HELD_MAX = 100
"""Held messages at most: more than these come from a wrong paste, not from a conversation."""


class Outbox:
    """The own messages of one conversation."""

    def __init__(self, stored: int = 0) -> None:
        """stored: own messages that the daemon has already."""
        self.stored = stored
        self.unacked: deque[str] = deque()  # messages stored + 1, stored + 2, ...
        self.held: deque[str] = deque()
        self.transmitted = 0  # unacked messages, from the first, that a connection was given
        self._read = 0  # messages that the other user has seen, also those that are not known here yet
        self._stored_from_here = 0  # messages of this very program that are stored
        self._first = 0  # texts that have been here before the first one
        self._recent: deque[str] = deque(maxlen=UNACKED_MAX)  # the newest texts that are stored

    @classmethod
    def restored(cls, saved: SavedEndpoint) -> Outbox:
        outbox = cls(saved.stored)
        outbox.unacked.extend(saved.texts[: saved.numbered])
        outbox.held.extend(saved.texts[saved.numbered :])
        outbox.transmitted, outbox._stored_from_here = saved.transmitted, saved.stored_here
        outbox._first = saved.first
        return outbox

    def saved(self) -> SavedOutbox:
        """The fields of a SavedEndpoint that are this outbox's."""
        return {
            "stored": self.stored,
            "stored_here": self._stored_from_here,
            "first": self._first,
            "numbered": len(self.unacked),
            "transmitted": self.transmitted,
            "texts": (*self.unacked, *self.held),
        }

    @property
    def sent(self) -> int:
        """Own messages that have their number: stored or unacked."""
        return self.stored + len(self.unacked)

    @property
    def read(self) -> int:
        """Own messages that the other user has seen."""
        return min(self._read, self.stored)

    @property
    def is_full(self) -> bool:
        return len(self.unacked) >= UNACKED_MAX

    @property
    def can_hold(self) -> bool:
        return len(self.held) < HELD_MAX

    # -------------------------------------------------------------- on their way

    def hold(self, text: str) -> None:
        self.held.append(text)

    def recall(self) -> str | None:
        """Takes the newest held text back; None when nothing is held."""
        return self.held.pop() if self.held else None

    def next_held(self) -> str:
        """Takes the oldest held text: its turn has come."""
        return self.held.popleft()

    def number(self, text: str) -> None:
        """Gives `text` its number; no connection has it yet."""
        self.unacked.append(text)

    def transmit(self) -> None:
        """A connection is given all unacked texts that it does not have."""
        self.transmitted = len(self.unacked)

    def requeue(self, may_send: Callable[[], bool]) -> list[str]:
        """Numbers the unacked texts again, as long as `may_send`; holds and returns those that remain."""
        waiting, self.unacked = self.unacked, deque()
        while waiting and may_send():
            self.unacked.append(waiting.popleft())
        self.held.extendleft(reversed(waiting))
        return list(waiting)

    # -------------------------------------------------------------- what the daemon confirms

    def confirm_next(self) -> None:
        """The first unacked message is stored."""
        self._recent.append(self.unacked.popleft())
        self._first += 1
        self.stored += 1
        self._stored_from_here += 1
        self.transmitted = max(self.transmitted - 1, 0)

    def confirm(self, count: int) -> None:
        """The first `count` messages are stored."""
        while self.stored < count:
            self.confirm_next()

    def confirm_from_here(self, count: int) -> None:
        """`count` messages of this very program are stored, and no other ones of it."""
        while self.unacked and self._stored_from_here < count:
            self.confirm_next()
        self.nothing_more_arrives()

    @property
    def stored_from_here(self) -> int:
        """Messages of this very program that are stored."""
        return self._stored_from_here

    def agrees(self, more: int, digest: str | None) -> bool:
        """Whether the `more` messages that the daemon has, and that are not known here to be stored, can be the
        first unacked ones. digest: theirs; None if the daemon cannot tell."""
        same = digest is None or digest == digest_of([*islice(self.unacked, max(more, 0))])
        return more <= len(self.unacked) and same

    def count_repeated(self, *, from_here: bool) -> None:
        """The daemon repeats a stored message that is not in the outbox. from_here: this very program has sent
        it, and has given it back to its user since."""
        self.stored += 1
        self._stored_from_here += from_here

    def mark_read(self, count: int) -> None:
        """The other user has seen the first `count` messages."""
        self._read = max(self._read, count)

    # -------------------------------------------------------------- what is given back

    def nothing_more_arrives(self) -> None:
        """The daemon has said that it stores no unacked message."""
        self.transmitted = 0

    def give_back_held(self) -> Leftovers:
        """The held texts, given back for good; an unacked one can still be acked."""
        return Leftovers(not_sent=_emptied(self.held))

    def overtaken(self, count: int) -> Leftovers:
        """The daemon has messages that are not from here: all texts are given back for good, and each may be one
        of those. count: so many messages are known to be stored now."""
        left = self.give_back()
        self._recent.clear()
        self.stored = count
        return Leftovers(not_confirmed=(*left.not_confirmed, *left.not_sent))

    def forgotten(self, count: int) -> tuple[str, ...]:
        """The newest `count` stored texts, as far as this program has sent them: the daemon has lost them."""
        return tuple(self._recent)[-count:] if count else ()

    def leftovers(self) -> Leftovers:
        """All texts that are not stored as far as this end knows."""
        unacked = tuple(self.unacked)
        return Leftovers((*unacked[self.transmitted :], *self.held), unacked[: self.transmitted])

    def give_back(self) -> Leftovers:
        """The same, given back for good."""
        left = self.leftovers()
        self._first += len(self.unacked)
        self.unacked.clear()
        self.held.clear()
        self.transmitted = 0
        return left


def _emptied(texts: deque[str]) -> tuple[str, ...]:
    """What was in `texts`."""
    all_of_them = tuple(texts)
    texts.clear()
    return all_of_them
