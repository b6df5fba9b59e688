"""The journal: what was appended survives any crash, and no batch is stored in part."""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import NoReturn

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pychat_client.errors import ProtocolError
from pychat_client.protocol.turns import Role, Turns, TurnState
from pychat_client.protocol.wire import Message
from pychatd.conversation.journal import REMOVED, REMOVED_AT_ONCE, Journal
from pychatd.conversation.journal_copy import CopyError
from pychatd.conversation.journal_schema import MIGRATIONS
from pychatd.conversation.model import (
    Conversation,
    Entry,
    JournalDamagedError,
    JournalError,
    LastOperator,
    MissedCall,
    hash_token,
)
from tests.support.as_nobody import NOBODY, as_nobody, public_directory
from tests.support.endpoints import NOON

TOKEN = "5f0c11d2"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


@pytest.fixture
def journal(file: Path) -> Iterator[Journal]:
    journal = Journal(file, full=False)
    yield journal
    journal.close()


def begun(token: str | None = TOKEN) -> Conversation:
    """A conversation that is not in the journal yet. Without a token it is a classic one."""
    hashed = None if token is None else hash_token(token)
    return Conversation("Bob", "[::1]:40000", hashed, TurnState(Turns.FREE), NOON)


def said(journal: Journal, conversation: Conversation, *texts: str) -> list[Entry]:
    """Appends messages; those that begin with `a` are the operator's."""
    turn_state = conversation.turn_state.copy()
    entries = []
    for text in texts:
        role, handle = (Role.OPERATOR, "alice") if text.startswith("a") else (Role.PEER, "Bob")
        entries.append(Entry.numbered(turn_state, role, Message(handle, text), NOON))
    journal.append(conversation, entries, turn_state)
    return entries


@pytest.mark.parametrize("microseconds", [0, 1, 500, 999, 999_999])
def test_a_message_is_never_from_the_future(journal: Journal, microseconds: int) -> None:
    now = NOON + timedelta(microseconds=microseconds)
    conversation = begun()
    turn_state = conversation.turn_state.copy()
    entry = Entry.numbered(turn_state, Role.PEER, Message("Bob", "Hi!"), now)
    journal.append(conversation, [entry], turn_state)
    (read,) = journal.entries(1, 0)
    assert timedelta() <= now - read.time < timedelta(milliseconds=1)


def pruned(journal: Journal, before: datetime) -> int:
    """Removes old conversations, piece by piece; how many."""
    removed, more = journal.prune(before)
    return removed + (pruned(journal, before) if more else 0)


def raw(file: Path, sql: str) -> list[tuple[object, ...]]:
    """Reads or changes the file directly. The journal has to be closed."""
    database = sqlite3.connect(file)
    try:
        with database:
            return database.execute(sql).fetchall()
    finally:
        database.close()


# ------------------------------------------------------------------ writing and reading


def test_the_first_append_sets_the_number_and_the_counts(journal: Journal) -> None:
    conversation = begun()
    assert conversation.id == 0
    said(journal, conversation, "b1", "a1", "b2")
    assert conversation.id == 1
    assert (conversation.turn_state.peer, conversation.turn_state.operator) == (2, 1)
    assert journal.by_id(1) == journal.running() == journal.by_token(TOKEN) == conversation


def test_entries_are_numbered_by_role_and_over_both_roles(journal: Journal) -> None:
    entries = said(journal, begun(), "b1", "b2", "a1", "b3", "a2")
    assert [(e.role, e.n, e.seq) for e in entries] == [
        (Role.PEER, 1, 1),
        (Role.PEER, 2, 2),
        (Role.OPERATOR, 1, 3),
        (Role.PEER, 3, 4),
        (Role.OPERATOR, 2, 5),
    ]
    assert journal.entries(1, 0, limit=10) == entries


def test_entries_are_read_from_a_place_with_a_limit_and_a_role(journal: Journal) -> None:
    entries = said(journal, begun(), "b1", "b2", "a1", "b3", "a2", "b4")
    said(journal, begun("another"), "b of another conversation")
    assert journal.entries(1, 2, limit=2) == entries[2:4]
    assert [e.text for e in journal.entries(1, 1, Role.PEER, limit=2)] == ["b2", "b3"]
    assert [e.text for e in journal.entries(1, 1, Role.OPERATOR, limit=9)] == ["a2"]
    assert journal.entries(1, 6, limit=10) == journal.entries(3, 0, limit=10) == []


def test_a_message_out_of_turn_gets_a_place_only_if_asked() -> None:
    turn_state = TurnState(Turns.ALTERNATE, 1, 0)
    with pytest.raises(ProtocolError):
        Entry.numbered(turn_state, Role.PEER, Message("Bob", "b"), NOON)
    assert turn_state == TurnState(Turns.ALTERNATE, 1, 0)
    assert Entry.numbered(turn_state, Role.PEER, Message("Bob", "b"), NOON, in_turn=False).n == 2


def test_an_ended_conversation_is_found_by_its_token(journal: Journal) -> None:
    conversation = begun()
    said(journal, conversation, "b1")
    journal.end_conversation(conversation, "bye", NOON)
    assert journal.running() is None
    found = journal.by_token(TOKEN)
    assert found == conversation
    assert (found.ended, found.reason) == (NOON, "bye")


def test_a_conversation_without_a_message_leaves_no_trace(journal: Journal) -> None:
    conversation = begun()
    journal.end_conversation(conversation, "bye", NOON)
    assert conversation.ended == NOON
    assert journal.by_id(1) is None


def test_an_unknown_token_and_number_find_nothing(journal: Journal) -> None:
    said(journal, begun(None), "b1")
    assert journal.by_token("") is journal.by_token("none") is journal.by_id(7) is None


@pytest.mark.parametrize("ended", [False, True])
def test_what_each_side_has_seen_is_kept(file: Path, ended: bool) -> None:
    journal = Journal(file)
    conversation = begun()
    said(journal, conversation, "b1", "a1", "b2")
    conversation.shown = {Role.PEER: 1, Role.OPERATOR: 2}
    if ended:
        journal.end_conversation(conversation, "", NOON)
    else:
        journal.save_shown(conversation)
    journal.close()
    again = Journal(file)
    assert again.by_id(1) == conversation
    again.close()


def test_the_next_unseen_runs_or_has_messages_not_shown(journal: Journal) -> None:
    for number, shown in enumerate((2, 1, 2, 0), 1):
        conversation = begun(str(number))
        said(journal, conversation, "b1", "a1", "b2")
        conversation.shown[Role.OPERATOR] = shown
        journal.end_conversation(conversation, "", NOON)
    running = begun("running")
    said(journal, running, "b1")
    running.shown[Role.OPERATOR] = 1
    journal.save_shown(running)
    numbers, after = [], 0
    while (following := journal.next_unseen(after)) is not None:
        numbers.append(after := following.id)
    assert numbers == [2, 4, 5]


def test_the_next_since_has_a_message_since_that_time(journal: Journal) -> None:
    for day in range(3):
        conversation = begun(str(day))
        turn_state = TurnState(Turns.FREE)
        journal.append(
            conversation,
            [Entry.numbered(turn_state, Role.PEER, Message("Bob", "b"), NOON + timedelta(days=day))],
            turn_state,
        )
    found = journal.next_since(0, NOON + timedelta(days=1))
    assert found is not None
    assert found.id == 2
    assert journal.next_since(3, NOON) is None


def test_to_find_the_next_since_does_not_read_all_messages(journal: Journal) -> None:
    """The talk waits meanwhile."""
    for token in ("a", "b"):
        said(journal, begun(token), *["b"] * 2000)
    steps: list[None] = []  # one for each hundred instructions of SQLite
    journal._db.set_progress_handler(lambda: steps.append(None), 100)
    assert journal.next_since(0, NOON + timedelta(days=400)) is None
    assert len(steps) < 5


def test_removed_texts_leave_their_places(journal: Journal) -> None:
    conversation = begun()
    said(journal, conversation, "b1", "a1", "b2")
    journal.forget_text(conversation, Role.PEER, 1)
    assert [e.text for e in journal.entries(1, 0, limit=9)] == ["", "a1", "b2"]


@pytest.mark.parametrize("ended", [False, True])
def test_what_was_shown_is_stored_when_texts_are_removed(file: Path, ended: bool) -> None:
    """Texts are removed because they were shown. Without the counts a new console would get them as missed."""
    journal = Journal(file, full=False)
    conversation = begun()
    said(journal, conversation, "b1", "a1", "b2", "a2")
    if ended:
        journal.end_conversation(conversation, "bye", NOON)
    conversation.shown = {Role.PEER: 1, Role.OPERATOR: 2}
    journal.forget_text(conversation, Role.PEER, 2)
    journal.close()
    again = Journal(file, full=False)
    found, unseen, texts = again.by_id(1), again.next_unseen(0), [e.text for e in again.entries(1, 0)]
    again.close()
    assert found is not None
    assert found.shown == {Role.PEER: 1, Role.OPERATOR: 2}
    assert (unseen is None) == ended
    assert texts == ["", "a1", "", "a2"]


def test_what_was_seen_never_becomes_less(journal: Journal) -> None:
    conversation = begun()
    said(journal, conversation, "b1", "a1")
    journal.end_conversation(conversation, "", NOON)
    for role, copy in [(role, journal.by_id(1)) for role in (Role.OPERATOR, Role.PEER)]:
        assert copy
        copy.mark_shown(role, 1)
        journal.save_shown(copy)
    stored = journal.by_id(1)
    assert stored
    assert stored.shown == {Role.PEER: 1, Role.OPERATOR: 1}


def test_the_number_of_a_removed_conversation_is_not_reused(journal: Journal) -> None:
    conversation = begun()
    said(journal, conversation, "b1")
    conversation.mark_shown(Role.OPERATOR, 1)
    journal.end_conversation(conversation, "", NOON)
    assert pruned(journal, NOON + timedelta(days=1)) == 1
    following = begun("another")
    said(journal, following, "b1")
    assert following.id == 2


@pytest.mark.parametrize("how", ["forgotten", "pruned"])
def test_removed_texts_leave_no_byte_in_the_file(journal: Journal, file: Path, how: str) -> None:
    conversation = begun()
    said(journal, conversation, *(f"b{n:04} swordfish" for n in range(500)))
    conversation.shown[Role.OPERATOR] = 500
    journal.end_conversation(conversation, "", NOON)
    said(journal, begun("another"), "b jellyfish")
    journal.close()
    assert file.read_bytes().count(b"swordfish") == 500
    if how == "forgotten":
        journal.forget_text(conversation, Role.PEER, 500)
    else:
        assert pruned(journal, NOON + timedelta(days=1)) == 1
    journal.close()
    data = file.read_bytes()
    assert b"swordfish" not in data
    assert b"jellyfish" in data


@pytest.mark.parametrize("how", ["forgotten", "pruned", "removed"])
def test_removed_texts_leave_no_byte_in_the_log(journal: Journal, file: Path, how: str) -> None:
    conversation = begun()
    said(journal, conversation, "b swordfish")
    if how == "forgotten":
        journal.forget_text(conversation, Role.PEER, 1)
    else:
        conversation.mark_shown(Role.OPERATOR, 1)
        journal.end_conversation(conversation, "", NOON)
        if how == "pruned":
            assert pruned(journal, NOON + timedelta(days=1)) == 1
        else:
            assert not journal.remove(1)
    assert b"swordfish" not in b"".join(path.read_bytes() for path in file.parent.iterdir())


def test_old_conversations_are_pruned_with_their_messages(journal: Journal) -> None:
    for day in range(3):
        conversation = begun(str(day))
        said(journal, conversation, "b1")
        conversation.shown[Role.OPERATOR] = 1
        journal.end_conversation(conversation, "", NOON + timedelta(days=day))
    said(journal, begun("running"), "b1")
    assert pruned(journal, NOON + timedelta(days=2)) == 2
    assert (
        [n for n in range(1, 5) if journal.by_id(n)]
        == [n for n in range(1, 5) if journal.entries(n, 0, limit=9)]
        == [3, 4]
    )


@pytest.mark.parametrize("shown", [{Role.OPERATOR: 1}, {Role.OPERATOR: 2}, {Role.PEER: 1}, {}])
def test_messages_that_were_not_shown_are_not_pruned(journal: Journal, shown: dict[Role, int]) -> None:
    conversation = begun()
    said(journal, conversation, "b1", "a1", "b2")
    conversation.shown.update(shown)
    journal.end_conversation(conversation, "", NOON)
    assert pruned(journal, NOON + timedelta(days=1)) == 0
    assert [e.text for e in journal.entries(1, 0)] == ["b1", "a1", "b2"]
    conversation.shown.update({Role.OPERATOR: 2, Role.PEER: 1})
    journal.save_shown(conversation)
    assert pruned(journal, NOON + timedelta(days=1)) == 1


def test_messages_are_counted_for_each_console(journal: Journal) -> None:
    conversation = begun()
    said(journal, conversation, "b1")
    turn_state = conversation.turn_state.copy()
    texts = [("c1", "one"), ("c2", "two"), ("c1", "three"), (None, "four")]
    message = partial(Message, "alice")
    entries = [
        Entry.numbered(turn_state, Role.OPERATOR, message(text), NOON, console=console) for console, text in texts
    ]
    journal.append(conversation, entries, turn_state)
    assert [journal.sent_by(1, console) for console in ("c1", "c2", "c3")] == [2, 1, 0]
    assert [e.console for e in journal.entries(1, 0)] == [None, "c1", "c2", "c1", None]


def old_file(file: Path, version: int) -> None:
    """A file as an older pychatd has left it: one conversation has ended with one message unseen, and one runs."""
    database = sqlite3.connect(file)
    database.executescript(f"PRAGMA journal_mode = WAL; {';'.join(MIGRATIONS[:version])}")
    database.executescript(
        f"""
        PRAGMA user_version = {version};
        INSERT INTO conversation (handle, address, turns, started, ended, peer_shown, operator_shown)
            VALUES ('Bob', 'a', 'free', 0, 9, 1, 1), ('Eve', 'a', 'free', 0, NULL, 0, 0),
                ('Ann', 'a', 'free', 0, 5, 0, 1);
        INSERT INTO message (conversation, seq, role, n, handle, text, time) VALUES
            (1, 1, 'peer', 1, 'Bob', 'b1', 0), (1, 2, 'operator', 1, 'al', 'a1', 0),
            (1, 3, 'peer', 2, 'Bob', 'b2', 0), (2, 1, 'peer', 1, 'Eve', 'e1', 0),
            (3, 1, 'peer', 1, 'Ann', 'n1', 0);
        """
    )
    if version >= 3:  # from here on, an end counts the messages
        database.executescript(
            "UPDATE conversation SET peer_count = 2, operator_count = 1 WHERE id = 1;"
            "UPDATE conversation SET peer_count = 1 WHERE id = 3;"
        )
    database.close()


@pytest.mark.parametrize("version", range(1, len(MIGRATIONS)))
def test_a_file_of_an_older_version_is_migrated(file: Path, version: int) -> None:
    old_file(file, version)
    journal = Journal(file)
    assert [(e.text, e.console) for e in journal.entries(1, 0)] == [("b1", None), ("a1", None), ("b2", None)]
    assert [
        number for number in range(4) if (found := journal.next_unseen(number)) and found.id == number + 1
    ] == [0, 1]
    assert pruned(journal, NOON) == 1
    assert [number for number in range(1, 4) if journal.by_id(number)] == [1, 2]
    running = journal.running()
    assert running
    assert (running.id, running.turn_state.peer) == (2, 1)
    bob = journal.by_id(1)
    assert bob
    assert (bob.turn_state.peer, bob.turn_state.operator) == (2, 1)
    assert (bob.name, running.name) == (None, None)
    bob.mark_shown(Role.OPERATOR, 2)
    journal.save_shown(bob)
    assert pruned(journal, NOON) == 1
    journal.close()


# ------------------------------------------------------------------ large journals


def steps(journal: Journal, work: Callable[[], object]) -> int:
    """How many steps SQLite's machine takes for `work`: the same on any computer."""
    counted = 0

    def count() -> int:
        nonlocal counted
        counted += 1
        return 0

    journal._db.set_progress_handler(count, 1)
    work()
    journal._db.set_progress_handler(None, 1)
    return counted


def test_a_long_conversation_is_found_as_fast_as_a_short_one(journal: Journal) -> None:
    long, short = begun("long"), begun("short")
    said(journal, long, "b", *(f"{'ab'[n % 2]}{n}" for n in range(5000)))
    said(journal, short, "b1", "a1")
    for find in (
        lambda token, number: journal.by_token(token),
        lambda token, number: journal.by_id(number),
        lambda token, number: journal.next_unseen(number - 1),
    ):
        taken = [steps(journal, partial(find, token, number)) for number, token in enumerate(("long", "short"), 1)]
        assert taken[0] <= taken[1] + 5
        assert taken[0] < 200


def ended(journal: Journal, count: int, *, seen: bool) -> None:
    """Stores conversations that are over."""
    for _ in range(count):
        conversation = begun(secrets.token_hex())
        said(journal, conversation, "b1")
        conversation.shown[Role.OPERATOR] = int(seen)
        journal.end_conversation(conversation, "", NOON)


def test_seen_conversations_do_not_slow_down_the_search(journal: Journal) -> None:
    ended(journal, 300, seen=True)
    assert steps(journal, lambda: journal.next_unseen(0)) < 100
    assert steps(journal, journal.running) < 100
    ended(journal, 1, seen=False)
    assert steps(journal, lambda: journal.next_unseen(0)) < 200


def test_conversations_that_stay_do_not_slow_down_pruning(journal: Journal) -> None:
    ended(journal, 300, seen=False)
    assert steps(journal, journal.running) < 100
    assert steps(journal, lambda: journal.prune(NOON + timedelta(days=1))) < 200


def test_texts_are_removed_in_pieces_and_only_the_new_ones(journal: Journal) -> None:
    conversation = begun()
    said(journal, conversation, *(f"b{n}" for n in range(2 * REMOVED_AT_ONCE + 10)))
    forget = partial(journal.forget_text, conversation, Role.PEER)
    assert forget(10) is False
    few = steps(journal, lambda: forget(20))
    assert forget(2 * REMOVED_AT_ONCE + 10) is True
    assert [e.text for e in journal.entries(1, REMOVED_AT_ONCE + 19, limit=2)] == ["", f"b{REMOVED_AT_ONCE + 20}"]
    assert forget(2 * REMOVED_AT_ONCE + 10) is False
    assert {e.text for e in journal.entries(1, 0, limit=3 * REMOVED_AT_ONCE)} == {""}
    said(journal, conversation, *(f"b{n}" for n in range(10)))
    assert steps(journal, lambda: forget(2 * REMOVED_AT_ONCE + 20)) <= few + 50


def test_what_is_left_to_remove_is_found_without_a_search(journal: Journal) -> None:
    ended(journal, 300, seen=True)
    while journal.forget_shown():
        pass
    assert not any(journal.entries(number, 0)[0].text for number in range(1, 301))
    assert steps(journal, journal.forget_shown) < 100
    said(journal, long := begun(), *(f"b{n}" for n in range(REMOVED_AT_ONCE + 1)))
    journal.end_conversation(long, "", NOON)
    journal.remove(long.id)
    assert steps(journal, journal.removals) < 100
    assert journal.removals() == [long.id]
    journal.remove(long.id)
    assert journal.removals() == []


def test_a_conversation_being_pruned_cannot_be_resumed(journal: Journal) -> None:
    conversation = begun()
    said(journal, conversation, *(f"b{n}" for n in range(2 * REMOVED_AT_ONCE)))
    conversation.shown[Role.OPERATOR] = 2 * REMOVED_AT_ONCE
    journal.end_conversation(conversation, "", NOON)
    ended(journal, 3, seen=True)
    later, left = NOON + timedelta(days=1), []
    while (piece := journal.prune(later)) != (0, False):
        left.append(len(journal.entries(1, REMOVED_AT_ONCE, limit=3 * REMOVED_AT_ONCE)))
        assert journal.by_token(TOKEN) is None
        assert journal.next_unseen(0) is None
        assert piece[0] <= 4
    assert left[:2] == [REMOVED_AT_ONCE, 0]
    assert not any(journal.by_id(number) for number in range(1, 5))


def test_many_conversations_are_pruned_in_pieces(journal: Journal) -> None:
    ended(journal, REMOVED_AT_ONCE, seen=True)
    removed, more = journal.prune(NOON + timedelta(days=1))
    assert (removed, more) == (REMOVED_AT_ONCE // 2, True)  # each has a message
    assert removed + pruned(journal, NOON + timedelta(days=1)) == REMOVED_AT_ONCE


@pytest.fixture(scope="module")
def shared_journal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Journal]:
    """One journal for all examples of Hypothesis."""
    journal = Journal(tmp_path_factory.mktemp("journal") / "journal.db", full=False)
    yield journal
    journal.close()


texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=50)
moments = st.datetimes(datetime(1970, 1, 2), datetime(2200, 1, 1)).map(  # noqa: DTZ001 -- the zone comes with UTC
    lambda time: time.replace(microsecond=time.microsecond // 1000 * 1000, tzinfo=UTC)
)


@given(
    handle=texts,
    address=texts,
    turns=st.sampled_from(Turns),
    started=moments,
    messages=st.lists(st.tuples(st.sampled_from(Role), texts, texts, moments), min_size=1, max_size=20),
    why=texts,
)
@settings(max_examples=100)
def test_messages_are_read_back_as_they_were_stored(
    shared_journal: Journal,
    handle: str,
    address: str,
    turns: Turns,
    started: datetime,
    messages: list[tuple[Role, str, str, datetime]],
    why: str,
) -> None:
    journal, token = shared_journal, secrets.token_hex()
    conversation = Conversation(handle, address, hash_token(token), TurnState(turns), started)
    turn_state = TurnState(turns)
    entries = [
        Entry.numbered(turn_state, role, Message(who, text), time, in_turn=False)
        for role, who, text, time in messages
    ]
    journal.append(conversation, entries, turn_state)
    assert journal.entries(conversation.id, 0, limit=100) == entries
    assert journal.by_token(token) == conversation
    journal.end_conversation(conversation, why, started)
    assert journal.by_id(conversation.id) == conversation


# ------------------------------------------------------------------ all or nothing


@pytest.mark.parametrize("new", [False, True])
def test_a_batch_that_fails_in_the_middle_changes_nothing(journal: Journal, new: bool) -> None:
    conversation = begun()
    if not new:
        said(journal, conversation, "b1")
    before = replace(conversation)
    stored = journal.entries(1, 0, limit=10)
    turn_state = conversation.turn_state.copy()
    good = Entry.numbered(turn_state, Role.PEER, Message("Bob", "good"), NOON)
    with pytest.raises(JournalError, match="UNIQUE constraint failed"):
        journal.append(conversation, [good, good], turn_state)
    assert conversation == before
    assert journal.entries(1, 0, limit=10) == stored
    assert (journal.by_id(1) is None) == new
    said(journal, conversation, "b2")  # the journal still works
    assert [e.text for e in journal.entries(1, 0, limit=10)] == [e.text for e in stored] + ["b2"]


def test_an_end_that_fails_leaves_the_conversation_running(journal: Journal) -> None:
    conversation = begun()
    said(journal, conversation, "b1")
    journal._db.execute("PRAGMA query_only = ON")
    with pytest.raises(JournalError, match="cannot be used: attempt to write a readonly database"):
        journal.end_conversation(conversation, "bye", NOON)
    assert conversation.ended is None
    assert journal.running() == conversation


def test_the_next_use_opens_the_file_again_after_an_error(journal: Journal) -> None:
    journal._db.execute("PRAGMA query_only = ON")
    with pytest.raises(JournalError):
        said(journal, begun(), "b1")
    said(journal, begun(), "b1")
    assert [e.text for e in journal.entries(1, 0, limit=10)] == ["b1"]


WRITER = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn
from pychat_client.protocol.turns import Role, Turns, TurnState
from pychat_client.protocol.wire import Message
from pychatd.conversation.journal import Journal
from pychatd.conversation.model import Conversation, Entry, hash_token

journal = Journal(Path(sys.argv[1]), full=sys.argv[2] == "full")
conversation = Conversation("Bob", "here", hash_token("5f0c11d2"), TurnState(Turns.FREE), datetime.now(UTC))
turn_state = TurnState(Turns.FREE)
while True:
    texts = [f"number {turn_state.peer + n}" for n in (1, 2, 3)]
    batch = [Entry.numbered(turn_state, Role.PEER, Message("Bob", text), datetime.now(UTC)) for text in texts]
    journal.append(conversation, batch, turn_state)
    print(turn_state.peer, flush=True)  # the ack
"""


@pytest.mark.parametrize("durability", ["full", "process"])
def test_acked_messages_survive_a_kill_of_the_writer(file: Path, durability: str) -> None:
    command = [sys.executable, "-c", WRITER, str(file), durability]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        while int(writer.stdout.readline()) < 60:
            pass
        writer.send_signal(signal.SIGKILL)
        acked = [60, *map(int, writer.stdout.read().split())][-1]
    journal = Journal(file)
    entries = journal.entries(1, 0, limit=1_000_000)
    found = journal.by_token(TOKEN)
    journal.close()
    assert [e.text for e in entries] == [f"number {n}" for n in range(1, len(entries) + 1)]
    assert len(entries) in (acked, acked + 3)  # the next batch, whole or not at all
    assert found is not None
    assert found.turn_state.peer == len(entries)


# ------------------------------------------------------------------ the file


def test_a_new_file_has_its_version_and_strict_tables(journal: Journal, file: Path) -> None:
    journal.close()
    assert raw(file, "PRAGMA user_version") == [(len(MIGRATIONS),)]
    strict = raw(file, "SELECT name, strict FROM pragma_table_list WHERE name IN ('conversation', 'message')")
    assert sorted(strict) == [("conversation", 1), ("message", 1)]
    with pytest.raises(sqlite3.IntegrityError):
        raw(file, "INSERT INTO message VALUES (1, 'first', 'peer', 1, 'Bob', 'Hi', 0, NULL)")


@pytest.mark.parametrize("full", [False, True])
def test_a_commit_reaches_the_disk_when_power_loss_matters(file: Path, full: bool) -> None:
    journal = Journal(file, full=full)
    assert journal._db.execute("PRAGMA synchronous").fetchone() == (2 if full else 1,)
    assert journal._db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    journal.close()


def test_only_the_owner_can_read_the_file_and_its_log(journal: Journal, file: Path) -> None:
    said(journal, begun(), "b1")
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in file.parent.iterdir()}
    assert modes == {"journal.db": 0o600, "journal.db-wal": 0o600}


def test_the_file_has_only_the_hash_of_a_token(journal: Journal, file: Path) -> None:
    said(journal, begun(), "b1")
    journal.close()
    data = file.read_bytes()
    assert TOKEN.encode() not in data
    assert hashlib.sha256(TOKEN.encode()).digest() in data


def test_a_file_of_a_newer_version_is_refused_unchanged(journal: Journal, file: Path) -> None:
    journal.close()
    newer = len(MIGRATIONS) + 1
    raw(file, f"PRAGMA user_version = {newer}")
    with pytest.raises(JournalError) as refused:
        Journal(file)
    assert str(refused.value) == (
        f"The journal {file} was written by a newer pychatd (version {newer}). "
        "Install the newer pychatd again. Or move the file away: pychatd then begins a new journal."
    )
    assert not isinstance(refused.value, JournalDamagedError)
    assert file.exists()


def test_a_file_in_use_is_refused_with_a_sentence(journal: Journal, file: Path) -> None:
    said(journal, begun(), "b1")
    with pytest.raises(JournalError) as refused:
        Journal(file)
    assert str(refused.value) == f"The journal {file} cannot be used: database is locked."


def test_a_file_that_cannot_be_created_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(JournalError) as refused:
        Journal(tmp_path / "none" / "journal.db")
    assert (
        str(refused.value) == f"The journal {tmp_path}/none/journal.db cannot be used: No such file or directory."
    )


@pytest.mark.parametrize("mode", [0o400, 0o000])
def test_a_file_that_may_not_be_written_is_told_as_such(mode: int) -> None:
    with public_directory() as public:
        directory = public / "7000"
        directory.mkdir()
        Journal(directory / "journal.db").close()
        (directory / "journal.db").chmod(mode)
        for path in (directory, directory / "journal.db"):
            os.chown(path, *((NOBODY, NOBODY) if os.getuid() == 0 else (-1, -1)))
        said = as_nobody(lambda: Journal(directory / "journal.db"))
    words = f"The journal {directory}/journal.db may not be written: look at its owner, its mode and its disk."
    assert said == f"JournalError: {words}"


def test_a_look_tells_that_the_file_may_not_be_written(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    journal.check_file()
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(JournalError, match="may not be written: look at its owner"):
        journal.check_file()


def test_a_damaged_file_is_known_until_it_is_moved_away(file: Path) -> None:
    file.write_bytes(b"no database" * 1000)
    journal = Journal(file)
    assert journal.was_damaged is True
    (aside,) = file.parent.glob("journal.db.damaged-*")
    aside.unlink()
    assert journal.was_damaged is False
    journal.close()


def test_a_corrupt_file_is_renamed_and_a_new_one_begins(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    file.write_bytes(b"no database" * 1000)
    journal = Journal(file)
    assert journal.running() is None
    journal.close()
    (aside,) = file.parent.glob("journal.db.damaged-*")
    assert aside.read_bytes() == b"no database" * 1000
    (sentence,) = caplog.messages
    assert sentence.endswith(f"a database). pychatd has renamed it to {aside}, and begins a new, empty journal.")


def test_damage_found_later_is_reported_and_a_new_file_begins(journal: Journal, file: Path) -> None:
    said(journal, begun(), *(f"b{n:0400}" for n in range(100)))
    journal.close()  # moves the log into the file
    pages = file.stat().st_size // 4096
    with file.open("r+b") as data:
        data.seek(4096)
        data.write((pages - 1) * 4096 * b"\xff")
    with pytest.raises(JournalDamagedError, match="The journal was damaged"):
        journal.entries(1, 0, limit=100)
    assert journal.running() is None
    said(journal, begun(), "b1")


def test_a_renamed_corrupt_file_is_never_replaced(file: Path) -> None:
    for content in (b"one" * 1000, b"two" * 1000, b"three" * 1000):
        file.write_bytes(content)
        Journal(file).close()
    assert len(list(file.parent.glob("journal.db.damaged-*"))) == 3


# ------------------------------------------------------------------ small questions


def test_the_newest_number_counts_also_what_was_removed(journal: Journal) -> None:
    assert journal.last_number() == 0
    for number in (1, 2):
        conversation = begun(str(number))
        said(journal, conversation, "b1")
        journal.end_conversation(conversation, "", NOON)
        assert journal.last_number() == number
    assert not journal.remove(2)
    assert journal.by_id(2) is None
    assert journal.last_number() == 2


def test_who_was_at_the_console_last_is_kept(file: Path) -> None:
    before = LastOperator()
    for handle, away in (("", ""), ("Ann", ""), ("Ann", "back soon"), ("Zoe", "later"), ("", "")):
        last = LastOperator(handle, away)
        journal = Journal(file, full=False)
        assert journal.last_operator() == before
        journal.save_last_operator(last)
        assert journal.last_operator() == last
        journal.close()
        before = last


@pytest.mark.parametrize("words", ["", "back soon"])
def test_the_words_of_who_is_away_are_migrated(file: Path, words: str) -> None:
    old_file(file, 6)
    if words:
        raw(file, f"INSERT INTO away VALUES ('{words}')")
    journal = Journal(file, full=False)
    assert journal.last_operator() == LastOperator("", words)
    journal.close()


def test_a_missed_call_of_an_older_version_has_no_name(file: Path) -> None:
    old_file(file, 6)
    raw(file, "INSERT INTO missed_call VALUES ('Bob', '192.0.2.7', 0)")
    journal = Journal(file, full=False)
    assert journal.missed_calls() == [MissedCall("Bob", "192.0.2.7", datetime.fromtimestamp(0, UTC))]
    journal.close()


def test_the_name_of_the_last_call_is_kept(file: Path) -> None:
    for number, name in enumerate((None, "bob-laptop"), 1):
        journal = Journal(file, full=False)
        conversation = replace(begun(str(number)), name=name)
        said(journal, conversation, "b1")
        found = journal.by_id(number)
        assert found is not None
        assert found.name == name
        found.name = f"{name}-renamed"
        journal.save_shown(found)
        journal.end_conversation(found, "", NOON)
        assert (journal.by_id(number), journal.unread(1)[0].name) == (found, f"{name}-renamed")
        journal.close()


def test_missed_calls_are_kept_in_their_order(file: Path) -> None:
    calls = [
        MissedCall(handle, "192.0.2.7", NOON + timedelta(seconds=n), name)
        for n, (handle, name) in enumerate((("Bob", "bob-laptop"), ("Ann", None)))
    ]
    journal = Journal(file, full=False)
    assert journal.missed_calls() == []
    journal.save_missed_calls([*calls, calls[0]])
    journal.save_missed_calls(calls)
    journal.close()
    again = Journal(file, full=False)
    assert again.missed_calls() == calls
    again.save_missed_calls([])
    assert again.missed_calls() == []
    again.close()


def test_who_sends_no_read_marks_is_kept(journal: Journal) -> None:
    conversation = begun()
    said(journal, conversation, "b1")
    for peer, operator in [(True, False), (False, True), (True, True)]:
        conversation.quiet = {Role.PEER: peer, Role.OPERATOR: operator}
        journal.save_quiet(conversation)
        found = journal.by_id(1)
        assert found is not None
        assert found.quiet == conversation.quiet


def test_what_waits_for_the_operator_is_listed_and_counted(journal: Journal) -> None:
    for number, texts in enumerate((["b1"], ["b1", "b2", "a1"], ["b1", "b2", "b3"]), 1):
        conversation = begun(str(number))
        said(journal, conversation, *texts)
        conversation.shown[Role.OPERATOR] = number - 1
        journal.end_conversation(conversation, "", NOON + timedelta(days=number))
    found = journal.unread(9)
    assert [(one.number, one.messages, one.ended) for one in found] == [
        (3, 1, NOON + timedelta(days=3)),
        (2, 1, NOON + timedelta(days=2)),
        (1, 1, NOON + timedelta(days=1)),
    ]
    assert (found[0].handle, found[0].address) == ("Bob", "[::1]:40000")
    assert [one.number for one in journal.unread(1, skip=1)] == [2]
    assert journal.unread_total(9) == (3, 3)
    assert journal.unread_total(2) == (2, 2)
    assert journal.unread_counts(2) == [("Bob", 1, NOON), ("Bob", 1, NOON)]
    said(journal, begun("running"), "b1", "b2")
    assert journal.unread_total(9)[0] == 4
    assert len(journal.unread(9)) == len(journal.unread_counts(9)) == 3


def test_nothing_waits_in_a_new_journal(journal: Journal) -> None:
    assert (journal.unread(9), journal.unread_total(9), journal.unread_counts(9)) == ([], (0, 0), [])


def test_the_size_is_what_is_in_use(journal: Journal) -> None:
    empty = journal.size()
    conversation = begun()
    said(journal, conversation, *(f"b{n} {'x' * 400}" for n in range(200)))
    full = journal.size()
    assert full - empty > 200 * 400
    conversation.shown[Role.OPERATOR] = 200
    journal.end_conversation(conversation, "", NOON)
    assert pruned(journal, NOON + timedelta(days=1)) == 1
    assert empty <= journal.size() < empty + 200 * 400 // 2


def test_the_disk_is_the_one_of_the_file(journal: Journal, file: Path) -> None:
    free, size = journal.disk()
    usage = shutil.disk_usage(file.parent)
    assert size == usage.total
    assert abs(free - usage.free) < size / 100


@pytest.mark.parametrize("opened", [False, True])
def test_a_file_that_is_gone_or_another_one_is_an_error(journal: Journal, file: Path, opened: bool) -> None:
    if opened:
        said(journal, begun(), "b1")
    else:
        journal.close()
    journal.check_file()
    file.rename(file.with_name("old"))
    file.touch()
    if opened:
        with pytest.raises(JournalError, match="was replaced while pychatd had it open: restart the service"):
            journal.check_file()
    else:
        journal.check_file()
    file.unlink()
    gone = "was removed while pychatd had it open: put it back" if opened else "cannot be used: No such file"
    with pytest.raises(JournalError, match=gone):
        journal.check_file()


@pytest.mark.parametrize("replaced", [False, True])
@pytest.mark.parametrize("name", ["journal.db", "journal.db-wal"])
@pytest.mark.parametrize("count", [1, 2])
def test_nothing_is_written_or_read_while_a_file_is_not_at_its_place(
    journal: Journal, file: Path, name: str, replaced: bool, count: int
) -> None:
    conversation = begun()
    said(journal, conversation, "b1")
    place, aside = file.with_name(name), file.with_name("aside")
    place.rename(aside)
    if replaced:
        place.touch()
    before = aside.read_bytes()
    words = "was replaced while" if replaced else f"The file {name} of the journal {file} was removed while"
    for use in (
        lambda: said(journal, conversation, *["b2"] * count),
        lambda: journal.end_conversation(conversation, "", conversation.started),
        journal.running,
    ):
        with pytest.raises(JournalError, match=words):
            use()
    assert aside.read_bytes() == before
    aside.rename(place)
    said(journal, conversation, *["b2"] * count)
    assert [entry.text for entry in journal.entries(conversation.id, 0)] == ["b1", *["b2"] * count]


def test_an_error_in_the_middle_leaves_no_transaction_open(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    conversation = begun()
    said(journal, conversation, "b1")

    def fail(conversation: Conversation) -> None:
        raise RuntimeError

    with monkeypatch.context() as patch:
        patch.setattr(journal, "_update_shown", fail)
        with pytest.raises(RuntimeError):
            journal.end_conversation(conversation, "", NOON)
    assert conversation.ended is None
    said(journal, conversation, "b2", "b3")
    found = journal.by_id(1)
    assert found is not None
    assert found.ended is None
    assert [entry.text for entry in journal.entries(1, 0)] == ["b1", "b2", "b3"]


def test_a_write_ahead_log_that_somebody_uses_is_an_error(file: Path) -> None:
    journal = Journal(file, full=False)
    with pytest.raises(sqlite3.OperationalError, match="its write-ahead log is in use"):
        journal._recover_wal(_Busy())
    journal.close()


class _Busy(sqlite3.Connection):
    """Its log cannot be emptied."""

    def __init__(self) -> None:
        super().__init__(":memory:")

    def execute(self, *_: object) -> sqlite3.Cursor:
        return super().execute("SELECT 1, 0, 0")


def test_a_file_that_is_opened_again_after_an_error_has_its_settings(journal: Journal, file: Path) -> None:
    """An error in the middle of that leaves no connection without them."""
    settings = ("locking_mode", "synchronous", "secure_delete", "foreign_keys")

    def chosen() -> list[object]:
        return [journal._db.execute(f"PRAGMA {name}").fetchone()[0] for name in settings]

    before = chosen()
    assert before == ["exclusive", 1, 1, 1]
    journal.close()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "stat", partial(fails_with, errno.EIO))
        with pytest.raises(JournalError, match="cannot be used"):
            journal.last_number()
    assert chosen() == before


def fails_with(number: int, *_: object, **__: object) -> NoReturn:
    raise OSError(number, os.strerror(number))


def test_one_copy_is_made_at_a_time(journal: Journal) -> None:
    said(journal, begun(), "b1")
    copy = journal.begin_copy()
    with pytest.raises(CopyError, match="Another backup of this service is being made"):
        journal.begin_copy()
    journal.end_copy(copy)
    another = journal.begin_copy()
    journal.end_copy(copy)
    with pytest.raises(CopyError):
        journal.begin_copy()
    journal.end_copy(another)


def test_a_copy_of_another_file_is_refused_and_leaves_nothing_open(journal: Journal, file: Path) -> None:
    said(journal, begun(), "b1")
    file.unlink()
    file.touch()
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(3):
        with pytest.raises(CopyError, match="was replaced while pychatd had it open"):
            journal.begin_copy()
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_removed_texts_leave_the_log_when_the_copy_has_ended(journal: Journal, file: Path) -> None:
    conversation = begun()
    said(journal, conversation, "b swordfish")
    copy = journal.begin_copy()
    journal.forget_text(conversation, Role.PEER, 1)
    journal.end_copy(copy)
    assert b"swordfish" not in b"".join(path.read_bytes() for path in file.parent.iterdir())


def test_a_long_conversation_is_removed_in_pieces(journal: Journal) -> None:
    conversation = begun()
    said(journal, conversation, *(f"b{n}" for n in range(REMOVED_AT_ONCE + 1)))
    journal.end_conversation(conversation, "", NOON)
    assert journal.remove(1)
    assert journal.by_token(TOKEN) is None
    assert [entry.text for entry in journal.entries(1, REMOVED_AT_ONCE)] == [f"b{REMOVED_AT_ONCE}"]
    assert journal.entries(1, 0) == journal.entries(1, 1, Role.PEER) == []
    assert not journal.remove(1)
    assert journal.by_id(1) is None


@pytest.mark.parametrize("messages", [1, REMOVED_AT_ONCE + 1])
def test_of_a_removed_conversation_the_counts_are_left(journal: Journal, messages: int) -> None:
    conversation = begun()
    said(journal, conversation, *(f"b{n}" for n in range(messages)), "a1")
    conversation.shown[Role.OPERATOR] = 1
    conversation.quiet[Role.OPERATOR] = True
    journal.save_quiet(conversation)
    assert journal.removed(TOKEN) is None
    journal.end_conversation(conversation, "the words of a goodbye", NOON, Role.PEER)
    while journal.remove(1):
        pass
    removed = journal.removed(TOKEN)
    assert removed is not None
    assert (removed.turn_state.peer, removed.turn_state.operator, removed.ended) == (messages, 1, NOON)
    assert removed.shown == {Role.PEER: 1, Role.OPERATOR: 1}
    assert removed.quiet == {Role.PEER: False, Role.OPERATOR: True}
    assert (removed.handle, removed.address, removed.reason, removed.ended_by) == ("", "", REMOVED, None)


def test_the_counts_of_removed_conversations_take_little_room(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pychatd.conversation.journal.REMOVED_KNOWN", 3)
    for number in range(1, 10):
        classic = number in (6, 8)
        said(journal, conversation := begun(None if classic else f"{number:032x}"), "b1")
        journal.end_conversation(conversation, "", NOON)
        journal.remove(number)
    known = [number for number in range(1, 10) if journal.removed(f"{number:032x}") is not None]
    assert known == [5, 7, 9]


def test_a_removed_conversation_of_a_classic_caller_leaves_nothing(journal: Journal, file: Path) -> None:
    said(journal, conversation := begun(None), "b1")
    journal.end_conversation(conversation, "", NOON)
    journal.remove(1)
    journal.close()
    assert raw(file, "SELECT * FROM removed") == []


def test_a_log_that_a_killed_daemon_left_is_written_back_at_once(journal: Journal, file: Path) -> None:
    said(journal, begun(), "b1")
    copy = file.parent / "copy" / file.name
    copy.parent.mkdir()
    for suffix in ("", "-wal"):
        shutil.copy(file.with_name(file.name + suffix), copy.with_name(copy.name + suffix))
    assert copy.with_name(f"{copy.name}-wal").stat().st_size
    again = Journal(copy, full=False)
    assert not copy.with_name(f"{copy.name}-wal").stat().st_size
    assert [entry.text for entry in again.entries(1, 0)] == ["b1"]
    again.close()


def test_a_corrupt_file_that_cannot_be_renamed_is_said_to_be(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.write_bytes(b"no database" * 100)

    def fail(self: Path, target: Path) -> NoReturn:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(Path, "rename", fail)
    with pytest.raises(JournalDamagedError, match=r"It could not be renamed to .*: Read-only file system\."):
        Journal(file, full=False)
    assert file.read_bytes() == b"no database" * 100


def test_a_copy_is_lost_when_the_file_is_closed(journal: Journal, file: Path) -> None:
    said(journal, begun(), "b1")
    copy = journal.begin_copy()
    journal.close()
    with pytest.raises(CopyError, match="The journal failed during the backup"):
        copy.read(0, 1)
    open_files = [link.readlink() for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]
    assert file not in open_files
    journal.end_copy(journal.begin_copy())
