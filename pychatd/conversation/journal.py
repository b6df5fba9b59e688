"""The journal: every conversation of a service, in its file (journal_file.py).

What `append` has stored is durable when it returns; messages are acked and forwarded only after that. The journal
knows no connections and no turns: it stores the counts that it is given.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pychat_client.protocol.turns import Role, Turns, TurnState
from pychatd.conversation.journal_file import JournalFile
from pychatd.conversation.model import (
    Conversation,
    Entry,
    JournalDamagedError,
    LastOperator,
    MissedCall,
    UnreadConversation,
    hash_token,
)

log = logging.getLogger("pychatd")

_INSERT_MESSAGE = (
    "INSERT INTO message (conversation, seq, role, n, handle, text, time, console)"
    " VALUES (?,?,?,?,?,?,?,nullif(?,''))"  # for a None, sqlite3 looks for an adapter each time
)
_PEER_COUNT = "(SELECT ifnull(max(n), 0) FROM message WHERE conversation = id AND role = 'peer')"
_OPERATOR_COUNT = "(SELECT ifnull(max(n), 0) FROM message WHERE conversation = id AND role = 'operator')"
_COLUMNS = (
    "id, token, handle, address, turns, started, ended, reason, peer_shown, operator_shown, certificate,"
    f" ended_by, name, {_PEER_COUNT}, {_OPERATOR_COUNT}, peer_quiet, operator_quiet"
)
# Unseen is also the running conversation, even if a console has shown all of it; unread is only what is over.
_UNSEEN = "(ended IS NULL OR operator_shown < peer_count)"
_SHOWN = "operator_shown >= peer_count AND peer_shown >= operator_count"
_READABLE = "operator_shown > peer_forgotten OR peer_shown > operator_forgotten"
"""The conditions of the indexes, as SQLite has to find them in a query to use these."""

_EPOCH = datetime.fromtimestamp(0, UTC)
_MILLISECOND = timedelta(milliseconds=1)

BATCH = 200
"""Messages read at a time: about as many as a transport takes before it asks for a pause."""

REMOVED_KNOWN = 10_000
"""Conversations that were removed, and of which the counts are still known: about a megabyte."""

REMOVED = "the other host has removed it since"
"""Why a conversation that was removed cannot go on, for its peer."""

REMOVED_AT_ONCE = 500
"""Messages that are removed at a time: a few milliseconds, in which the service does nothing else."""


class Journal(JournalFile):
    """The journal of one service."""

    def __init__(self, path: Path, *, full: bool = True) -> None:
        """Opens or creates `path`. full: as for JournalFile.

        Renames a corrupt file and creates a new one. Raises JournalError with a sentence that names the file.
        """
        super().__init__(path, full=full)
        try:
            self._one("id = 0")  # opens the file, and reads its schema
        except JournalDamagedError as damage:
            log.error("%s", damage)
            self._one("id = 0")

    # -------------------------------------------------------------- writing

    def append(self, conversation: Conversation, entries: Sequence[Entry], turn_state: TurnState) -> None:
        """Stores `entries`, and the conversation itself if it is new, in one transaction. On return they are
        durable, and `turn_state` is that of the conversation. Raises JournalError, and changes nothing then."""
        number = conversation.id
        if number and len(entries) == 1:  # the usual case; a single statement is a transaction
            with self._translated:
                self._db.execute(_INSERT_MESSAGE, _row(number, entries[0]))
        else:
            with self._transaction():
                number = number or self._insert(conversation)
                self._db.executemany(_INSERT_MESSAGE, [_row(number, entry) for entry in entries])
        conversation.mark_stored(number, turn_state)

    def end_conversation(
        self, conversation: Conversation, reason: str, now: datetime, by: Role | None = None
    ) -> None:
        """Ends the conversation for good. by: None for the service itself. Raises JournalError, and changes
        nothing then."""
        if conversation.id:
            with self._transaction():
                self._db.execute(
                    f"UPDATE conversation SET ended = ?, reason = ?, ended_by = ?, peer_count = {_PEER_COUNT},"  # noqa: S608 -- constants only
                    f" operator_count = {_OPERATOR_COUNT} WHERE id = ?",
                    (_millis(now), reason, None if by is None else by.value, conversation.id),
                )
                self._update_shown(conversation)
        conversation.end(reason, now, by)

    def save_shown(self, conversation: Conversation) -> None:
        """Stores what each side has seen, and who has called last, from where. Raises JournalError."""
        if conversation.id:
            with self._transaction():
                self._update_shown(conversation)

    def save_quiet(self, conversation: Conversation) -> None:
        """Stores who sends no read marks. Raises JournalError."""
        quiet = conversation.quiet
        with self._transaction():
            self._db.execute(
                "UPDATE conversation SET peer_quiet = ?, operator_quiet = ? WHERE id = ?",
                (quiet[Role.PEER], quiet[Role.OPERATOR], conversation.id),
            )

    def forget_text(self, conversation: Conversation, role: Role, count: int) -> bool:
        """Removes the text of the first `count` messages of `role`, which the other side has seen: the next piece.
        Returns whether there are more. Their places stay. Raises JournalError."""
        column = f"{role.value}_forgotten"
        with self._transaction():
            self._update_shown(conversation)
            found = self._db.execute(
                f"SELECT {column} FROM conversation WHERE id = ?",  # noqa: S608 -- constants only
                (conversation.id,),
            ).fetchone()
            forgotten = count if found is None else int(found[0])
            until = min(count, forgotten + REMOVED_AT_ONCE)
            self._db.execute(
                "UPDATE message SET text = '' WHERE conversation = ? AND role = ? AND n > ? AND n <= ?",
                (conversation.id, role.value, forgotten, until),
            )
            self._db.execute(
                f"UPDATE conversation SET {column} = max({column}, ?) WHERE id = ?",  # noqa: S608 -- constants only
                (until, conversation.id),
            )
        self._empty_wal()
        return until < count

    def forget_shown(self) -> bool:
        """Removes the texts that the other side has seen, of any conversation: the next piece. Returns whether
        there may be more. Raises JournalError."""
        found = self._one(f"{_READABLE} LIMIT 1", index="conversation_readable")
        if found is None:
            return False
        for role in Role:
            self.forget_text(found, role, found.shown[role.other])
        return True

    def prune(self, before: datetime) -> tuple[int, bool]:
        """Removes what is left of the conversations that ended before a time: the next piece. Returns how many
        conversations that were, and whether there are more. Keeps those with a message that has not been shown:
        its sender was told that it is stored. Raises JournalError."""
        removed, room = 0, REMOVED_AT_ONCE
        with self._transaction():
            while room > 0 and (number := self._old(before)) is not None:
                deleted = self._delete_piece(number, room)
                removed += deleted < room
                room -= deleted + 1
        if room < REMOVED_AT_ONCE:
            self._empty_wal()
        return removed, room <= 0

    def remove(self, number: int) -> bool:
        """Removes what is left of a conversation that is over: the next piece. Returns whether there is more.
        Raises JournalError."""
        with self._transaction():
            more = self._delete_piece(number, REMOVED_AT_ONCE) == REMOVED_AT_ONCE
        if not more:
            self._empty_wal()
        return more

    def removals(self) -> list[int]:
        """The conversations of which only the first messages have been removed."""
        with self._translated:
            rows = self._db.execute(
                "SELECT id FROM conversation INDEXED BY conversation_removed WHERE removed"
            ).fetchall()
        return [number for (number,) in rows]

    def _delete_piece(self, number: int, room: int) -> int:
        """Deletes up to `room` messages of a conversation, and itself if these were fewer. Returns how many."""
        self._keep_counts(number)
        deleted = self._delete_messages(number, room)
        if deleted < room:
            self._db.execute("DELETE FROM conversation WHERE id = ?", (number,))
        else:  # nobody resumes what is there in part
            self._db.execute("UPDATE conversation SET token = NULL, removed = 1 WHERE id = ?", (number,))
        return deleted

    def _keep_counts(self, number: int) -> None:
        """Keeps what `removed` tells of a conversation. Its first piece still has the token."""
        self._db.execute(
            "INSERT INTO removed SELECT id, token, ended, peer_count, operator_count, operator_shown,"
            " operator_quiet FROM conversation WHERE id = ? AND token IS NOT NULL",
            (number,),
        )
        self._db.execute(
            "DELETE FROM removed WHERE id <= (SELECT id FROM removed ORDER BY id DESC LIMIT 1 OFFSET ?)",
            (REMOVED_KNOWN,),
        )

    def _old(self, before: datetime) -> int | None:
        """A conversation that ended before a time, and of which each side has seen all."""
        found = self._db.execute(
            f"SELECT id FROM conversation INDEXED BY conversation_shown WHERE ended < ? AND {_SHOWN} LIMIT 1",  # noqa: S608 -- constants only
            (_millis(before),),
        ).fetchone()
        return None if found is None else int(found[0])

    def _delete_messages(self, number: int, limit: int) -> int:
        """Deletes the first messages that conversation `number` still has, up to `limit`. Returns how many."""
        return self._db.execute(
            "DELETE FROM message WHERE conversation = ?1"
            " AND seq < (SELECT min(seq) FROM message WHERE conversation = ?1) + ?2",
            (number, limit),
        ).rowcount

    def save_last_operator(self, last: LastOperator) -> None:
        """Raises JournalError."""
        with self._transaction():
            self._db.execute("UPDATE last_operator SET handle = ?, away = ?", last)

    def save_missed_calls(self, calls: Iterable[MissedCall]) -> None:
        """Stores the calls that no console knows of, in place of those before. Raises JournalError."""
        with self._transaction():
            self._db.execute("DELETE FROM missed_call")
            rows = [(call.handle, call.address, _millis(call.time), call.name) for call in calls]
            self._db.executemany("INSERT INTO missed_call VALUES (?, ?, ?, ?)", rows)

    # -------------------------------------------------------------- reading

    def missed_calls(self) -> list[MissedCall]:
        """The calls that no console knows of, oldest first."""
        with self._translated:
            rows = self._db.execute(
                "SELECT handle, address, time, name FROM missed_call ORDER BY rowid"
            ).fetchall()
        return [MissedCall(handle, address, _datetime(time), name) for handle, address, time, name in rows]

    def last_operator(self) -> LastOperator:
        with self._translated:
            return LastOperator(*self._db.execute("SELECT handle, away FROM last_operator").fetchone())

    def running(self) -> Conversation | None:
        """The conversation that has not ended, if there is one."""
        return self._one("ended IS NULL ORDER BY id DESC LIMIT 1", index="conversation_running")

    def by_token(self, token: str) -> Conversation | None:
        """The conversation of a session token."""
        return self._one("token = ?", hash_token(token))

    def removed(self, token: str) -> Conversation | None:
        """What is left of a conversation that was removed: the time of its end, and its counts."""
        with self._translated:
            row = self._db.execute(
                "SELECT token, ended, peer_count, operator_count, operator_shown, operator_quiet FROM removed"
                " WHERE token = ?",
                (hash_token(token),),
            ).fetchone()
        if row is None:
            return None
        hashed, ended, peer_count, operator_count, shown, quiet = row
        return Conversation(
            "",
            "",
            hashed,
            TurnState(Turns.FREE, peer_count, operator_count),
            _datetime(ended),
            ended=_datetime(ended),
            reason=REMOVED,
            shown={Role.PEER: operator_count, Role.OPERATOR: shown},
            quiet={Role.PEER: False, Role.OPERATOR: bool(quiet)},
        )

    def by_id(self, number: int) -> Conversation | None:
        return self._one("id = ?", number)

    def last_number(self) -> int:
        """The number of the newest conversation that this file has ever had; 0 for none."""
        with self._translated:
            found = self._db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'conversation'").fetchone()
        return 0 if found is None else int(found[0])

    def next_unseen(self, after: int) -> Conversation | None:
        """The first conversation after number `after` that has something new for the operator: it is running,
        or no console has shown all of the peer's messages."""
        return self._one(f"id > ? AND {_UNSEEN} ORDER BY id LIMIT 1", after, index="conversation_unseen")

    def unread(self, limit: int, skip: int = 0) -> list[UnreadConversation]:
        """The conversations that are over and that no console has shown whole, the newest first, without the first
        `skip`."""
        with self._translated:
            rows = self._db.execute(
                "SELECT id, handle, address, name, ended, peer_count - operator_shown"  # noqa: S608 -- constants only
                f" FROM conversation INDEXED BY conversation_unseen WHERE {_UNSEEN} AND ended IS NOT NULL"
                " ORDER BY id DESC LIMIT ? OFFSET ?",
                (limit, skip),
            ).fetchall()
        return [
            UnreadConversation(number, handle, address, name, _datetime(ended), count)
            for number, handle, address, name, ended, count in rows
        ]

    def unread_total(self, limit: int) -> tuple[int, int]:
        """How many conversations have something new for the operator, counted up to `limit`; and how many messages
        that are, without those of the running one."""
        with self._translated:
            found = self._db.execute(
                "SELECT count(*), ifnull(sum(n), 0) FROM (SELECT max(peer_count - operator_shown, 0) AS n"  # noqa: S608 -- constants only
                f" FROM conversation INDEXED BY conversation_unseen WHERE {_UNSEEN} LIMIT ?)",
                (limit,),
            ).fetchone()
        return int(found[0]), int(found[1])

    def unread_counts(self, limit: int) -> list[tuple[str, int, datetime]]:
        """Up to `limit` conversations that are over, and of which the operator has not seen all: the peer's
        handle, how many messages that are, and when the first of them came."""
        with self._translated:
            rows = self._db.execute(
                "SELECT handle, peer_count - operator_shown, ifnull((SELECT time FROM message"  # noqa: S608 -- constants only
                " WHERE conversation = id AND role = 'peer' AND n = operator_shown + 1), ended)"
                f" FROM conversation INDEXED BY conversation_unseen WHERE {_UNSEEN} AND ended IS NOT NULL LIMIT ?",
                (limit,),
            ).fetchall()
        return [(handle, count, _datetime(time)) for handle, count, time in rows]

    def next_since(self, after: int, since: datetime) -> Conversation | None:
        """The first conversation after number `after` of which the last message is from a time on. Only the last
        one counts, also where the clock was set back: the talk waits while this looks."""
        return self._one(
            "id > ? AND (SELECT time FROM message WHERE conversation = id ORDER BY seq DESC LIMIT 1) >= ?"
            " ORDER BY id LIMIT 1",
            after,
            _millis(since),
        )

    def entries(self, number: int, after: int, role: Role | None = None, limit: int = BATCH) -> list[Entry]:
        """Up to `limit` messages of conversation `number`, in order: those behind the place `after`. With a role,
        those of that role, and `after` is an n. An empty list if the next one has been removed: nobody is told
        the later ones without it."""
        where = "seq > ?2 ORDER BY seq" if role is None else "role = ?3 AND n > ?2 ORDER BY n"
        with self._translated:
            rows = self._db.execute(
                "SELECT role, seq, n, handle, text, time, console FROM message"  # noqa: S608 -- constants only
                f" WHERE conversation = ?1 AND {where} LIMIT {limit:d}",
                (number, after) if role is None else (number, after, role.value),
            ).fetchall()
        entries = [
            Entry(Role(role_), seq, n, handle, text, _datetime(time), console)
            for role_, seq, n, handle, text, time, console in rows
        ]
        follow = entries and (entries[0].seq if role is None else entries[0].n) == after + 1
        return entries if follow else []

    def sent_by(self, number: int, console: str) -> int:
        """How many messages of conversation `number` a console has sent."""
        with self._translated:
            found = self._db.execute(
                "SELECT count(*) FROM message WHERE conversation = ? AND role = 'operator' AND console = ?",
                (number, console),
            ).fetchone()
        return int(found[0])

    def texts_sent_by(self, number: int, console: str, after: int, limit: int) -> list[str]:
        """The texts of the first `limit` messages of conversation `number` that a console has sent, behind the
        operator's message `after`."""
        with self._translated:
            rows = self._db.execute(
                "SELECT text FROM message WHERE conversation = ? AND role = 'operator' AND n > ? AND console = ?"
                " ORDER BY n LIMIT ?",
                (number, after, console, limit),
            ).fetchall()
        return [text for (text,) in rows]

    # -------------------------------------------------------------- inside

    def _insert(self, conversation: Conversation) -> int:
        cursor = self._db.execute(
            "INSERT INTO conversation (token, certificate, name, handle, address, turns, started)"
            " VALUES (?,?,?,?,?,?,?)",
            (
                conversation.token_hash,
                conversation.certificate_hash,
                conversation.name,
                conversation.handle,
                conversation.address,
                conversation.turn_state.turns.value,
                _millis(conversation.started),
            ),
        )
        assert cursor.lastrowid is not None
        return cursor.lastrowid

    def _update_shown(self, conversation: Conversation) -> None:
        self._db.execute(
            # Two ends of one conversation that is over may each have read it for themselves.
            "UPDATE conversation SET peer_shown = max(peer_shown, ?), operator_shown = max(operator_shown, ?),"
            " address = ?, name = ? WHERE id = ?",
            (
                conversation.shown[Role.PEER],
                conversation.shown[Role.OPERATOR],
                conversation.address,
                conversation.name,
                conversation.id,
            ),
        )

    def _one(self, where: str, *values: object, index: str | None = None) -> Conversation | None:
        """The conversation that a condition finds. index: has to be used."""
        table = "conversation" if index is None else f"conversation INDEXED BY {index}"
        with self._translated:
            row = self._db.execute(f"SELECT {_COLUMNS} FROM {table} WHERE {where}", values).fetchone()  # noqa: S608 -- constants only
        if row is None:
            return None
        number, token, handle, address, turns, started, ended, reason, *rest = row
        peer_shown, operator_shown, certificate, ended_by, name, peer_count, operator_count, *quiet = rest
        return Conversation(
            handle,
            address,
            token,
            TurnState(Turns(turns), peer_count, operator_count),
            _datetime(started),
            id=number,
            ended=None if ended is None else _datetime(ended),
            ended_by=None if ended_by is None else Role(ended_by),
            reason=reason,
            certificate_hash=certificate,
            name=name,
            shown={Role.PEER: peer_shown, Role.OPERATOR: operator_shown},
            quiet=dict(zip((Role.PEER, Role.OPERATOR), map(bool, quiet), strict=True)),
        )


def _row(number: int, entry: Entry) -> tuple[object, ...]:
    """An entry of conversation `number` as _INSERT_MESSAGE takes it."""
    return (
        number,
        entry.seq,
        entry.role._value_,  # `value` is a call, for each message
        entry.n,
        entry.handle,
        entry.text,
        _millis(entry.time),
        entry.console or "",
    )


def _millis(time: datetime) -> int:
    """Whole milliseconds. Rounded up, a message would be from the future for a moment."""
    return (time - _EPOCH) // _MILLISECOND


def _datetime(millis: int) -> datetime:
    return datetime.fromtimestamp(millis / 1000, UTC)
