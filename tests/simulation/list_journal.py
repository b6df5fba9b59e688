"""A journal in lists, which can be copied in no time: what the search needs of Journal, without SQLite."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime

from pychat_client.protocol.turns import Role, TurnState
from pychatd.conversation.journal import BATCH
from pychatd.conversation.model import Conversation, Entry, LastOperator, MissedCall, hash_token


class ListJournal:
    """Keeps every conversation as it was last stored. A crash loses nothing of it."""

    def __init__(self) -> None:
        self._conversations: list[Conversation] = []
        self._entries: list[list[Entry]] = []
        self._missed_calls: list[MissedCall] = []

    # -------------------------------------------------------------- writing

    def append(self, conversation: Conversation, entries: Sequence[Entry], turn_state: TurnState) -> None:
        if not conversation.id:
            self._conversations.append(_copy(conversation, id=len(self._conversations) + 1))
            self._entries.append([])
        number = conversation.id or len(self._conversations)
        self._entries[number - 1] += entries
        self._stored(number).turn_state = turn_state.copy()
        conversation.mark_stored(number, turn_state)

    def end_conversation(
        self, conversation: Conversation, reason: str, now: datetime, by: Role | None = None
    ) -> None:
        self.save_shown(conversation)
        if conversation.id:
            self._stored(conversation.id).end(reason, now, by)
        conversation.end(reason, now, by)

    def save_last_operator(self, last: LastOperator) -> None:
        """All operators here have one handle."""
        assert not last.away

    def save_missed_calls(self, calls: Iterable[MissedCall]) -> None:
        self._missed_calls = list(calls)

    def save_quiet(self, conversation: Conversation) -> None:
        self._stored(conversation.id).quiet = dict(conversation.quiet)

    def save_shown(self, conversation: Conversation) -> None:
        if conversation.id:
            shown = self._stored(conversation.id).shown
            shown.update({role: max(shown[role], conversation.shown[role]) for role in Role})

    # -------------------------------------------------------------- reading

    def removals(self) -> list[int]:
        """Nothing is removed here."""
        return []

    @property
    def was_damaged(self) -> bool:
        return False

    def missed_calls(self) -> list[MissedCall]:
        return list(self._missed_calls)

    def last_operator(self) -> LastOperator:
        """No operator here leaves words for callers."""
        return LastOperator()

    def running(self) -> Conversation | None:
        return next((_copy(c) for c in reversed(self._conversations) if c.ended is None), None)

    def by_token(self, token: str) -> Conversation | None:
        wanted = hash_token(token)
        return next((_copy(c) for c in self._conversations if c.token_hash == wanted), None)

    def removed(self, token: str) -> None:
        """Nothing is removed here."""

    def by_id(self, number: int) -> Conversation | None:
        return _copy(self._stored(number)) if 0 < number <= len(self._conversations) else None

    def last_number(self) -> int:
        return len(self._conversations)

    def next_unseen(self, after: int) -> Conversation | None:
        unseen = (c for c in self._conversations[after:] if c.ended is None or c.unread(Role.PEER) > 0)
        return next((_copy(c) for c in unseen), None)

    def unread(self, limit: int, skip: int = 0) -> list[Conversation]:
        """Of the few conversations here, none is left out."""
        return []

    def entries(self, number: int, after: int, role: Role | None = None, limit: int = BATCH) -> list[Entry]:
        stored = self._entries[number - 1]
        if role is None:
            return [e for e in stored if e.seq > after][:limit]
        return [e for e in stored if e.role is role and e.n > after][:limit]

    def sent_by(self, number: int, console: str) -> int:
        return sum(e.console == console for e in self._entries[number - 1])

    def texts_sent_by(self, number: int, console: str, after: int, limit: int) -> list[str]:
        sent = (e for e in self._entries[number - 1] if e.role is Role.OPERATOR and e.console == console)
        return [e.text for e in sent if e.n > after][:limit]

    # -------------------------------------------------------------- for the search

    def texts(self, role: Role) -> list[str]:
        """All that one side has said."""
        return [e.text for entries in self._entries for e in entries if e.role is role]

    def token_hashes(self) -> set[bytes | None]:
        return {c.token_hash for c in self._conversations}

    @property
    def speakers(self) -> list[list[Role]]:
        """Who has spoken, in each conversation."""
        return [[e.role for e in entries] for entries in self._entries]

    def _stored(self, number: int) -> Conversation:
        return self._conversations[number - 1]


def _copy(conversation: Conversation, **changes: int) -> Conversation:
    """As the journal has it: it does not know the calls of the peer."""
    return replace(
        conversation,
        turn_state=conversation.turn_state.copy(),
        shown=dict(conversation.shown),
        quiet=dict(conversation.quiet),
        call=0,
        **changes,  # type: ignore[arg-type]
    )
