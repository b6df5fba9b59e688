"""The switchboard with its two ends on real sockets: who gets the seat, what is told to whom, and when."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NoReturn

import pytest

from pychat_client.protocol import wire
from pychat_client.protocol.turns import Role, Turns, TurnState
from pychat_client.transport.connection import UNSENT_MAX
from pychatd.conversation.classic_queue import WAITING_MAX
from pychatd.conversation.model import Conversation, Entry, JournalError
from tests.daemon.line import ADDRESS, TOKEN, Line, hello_of, on_a_line


def _fails() -> NoReturn:
    raise JournalError("The journal cannot be read.")


def without_times(lines: list[str]) -> list[str]:
    return [line for line in lines if not line.startswith("\\at ")]


# ------------------------------------------------------------------ the seat


@on_a_line()
async def test_the_first_message_takes_the_seat_not_the_hello(line: Line) -> None:
    first, _ = await line.greeted("First")
    second, _ = await line.greeted("Second")
    assert line.switchboard.peer is None
    await second.say("Second> Hi!")
    assert await second.news() == ["\\ack 1"]
    assert [line.split()[0] for line in await first.rest()] == ["\\busy"]
    assert line.stored() == ["Hi!"]


@on_a_line()
async def test_hello_and_first_message_can_come_in_one_read(line: Line) -> None:
    caller = await line.call("\\hello 1 Bob", "Bob> Hi!")
    assert (await caller.hear()).startswith("\\hello 1 operator session=")
    assert await caller.news() == ["\\away", "\\ack 1"]


@on_a_line()
async def test_a_caller_gets_busy_while_the_seat_is_taken(line: Line) -> None:
    peer, _ = await line.peer("Hi!")
    caller = await line.call("\\hello 1 Eve", "Eve> let me in")
    assert [line.split()[0] for line in await caller.rest()] == ["\\busy"]
    assert line.stored() == ["Hi!"]
    assert await peer.news() == []


@on_a_line()
async def test_the_seat_is_kept_for_a_lost_peer_during_the_grace_time(line: Line) -> None:
    peer, _ = await line.peer("Hi!")
    await line.lose(peer)
    caller = await line.call("\\hello 1 Eve")
    assert [line.split()[0] for line in await caller.rest()] == ["\\busy"]


@on_a_line()
async def test_setting_the_clock_does_not_free_the_seat(line: Line) -> None:
    peer, _ = await line.peer("Hi!")
    await line.lose(peer)
    for hours in (2, -2):
        now = datetime.now(UTC) + timedelta(hours=hours)
        line.switchboard.now = lambda now=now: now  # type: ignore[method-assign, misc]
        assert (await (await line.call("\\hello 1 Eve")).rest())[-1].startswith("\\busy")


@on_a_line(grace=0.0)
async def test_a_clock_set_back_does_not_keep_the_seat_longer(line: Line) -> None:
    peer, _ = await line.peer("Hi!")
    await line.lose(peer)
    line.switchboard.now = lambda: datetime.now(UTC) - timedelta(hours=2)  # type: ignore[method-assign]
    await line.peer("Hi!", handle="Eve")


@on_a_line()
async def test_an_older_call_does_not_displace_a_newer_one(line: Line) -> None:
    _, token = await line.peer("Hi!")
    third = await line.resume(token, call=3)
    await third.news()
    second = await line.resume(token, "Bob> stale", "\\quit", call=2)
    assert (await second.rest())[-1].startswith("\\error displaced")
    assert line.stored() == ["Hi!"]
    await line.console("")
    assert "\\here alice" in await third.news()


@on_a_line()
async def test_a_call_without_a_number_is_the_newest(line: Line) -> None:
    _, token = await line.peer("Hi!")
    third = await line.resume(token, call=3)
    await third.news()
    await (await line.resume(token)).news()
    assert (await third.rest())[-1].startswith("\\error displaced")


@on_a_line()
async def test_a_second_call_before_the_first_message_keeps_the_token(line: Line) -> None:
    first, token = await line.greeted()
    second = await line.resume(token, call=2)
    assert f"session={token}" in (await second.news())[0]
    await first.say("Bob> late")
    assert (await first.rest())[-1].startswith("\\error displaced")
    await second.say("Bob> Hi!")
    assert "\\ack 1" in await second.news()
    assert line.stored() == ["Hi!"]


@on_a_line()
async def test_an_older_hello_does_not_displace_a_waiting_caller(line: Line) -> None:
    _, token = await line.greeted()
    third = await line.resume(token, call=3)
    await third.news()
    second = await line.resume(token, "Bob> stale", call=2)
    assert (await second.rest())[-1].startswith("\\error displaced")
    await third.say("Bob> Hi!")
    assert "\\ack 1" in await third.news()


@on_a_line(turns=Turns.FREE)
async def test_a_refused_console_learns_how_many_messages_are_stored(line: Line) -> None:
    console = await line.console(" console=c1")
    await line.peer("Hi!")
    await console.say("alice> one", "alice> two")
    await console.news()
    await line.restart()
    other = await line.console(" session=1 got=1 sent=2 console=c2")
    await other.say("alice> three")
    await other.news()
    refused = await line.connect(line.console_session("alice (pid 8)"))
    await refused.say("\\hello 1 alice session=1 got=1 sent=0 console=c1")
    assert (await refused.hear(), (await refused.hear())[:11]) == ("\\stored 2", "\\error held")


@on_a_line(turns=Turns.FREE)
async def test_a_displaced_console_learns_how_many_messages_are_stored(line: Line) -> None:
    console = await line.console(" console=c1")
    await line.peer("Hi!")
    await console.say("alice> one")
    await console.news()
    await line.console(" take=1 console=c2")
    assert "\\stored 1" in await console.rest()


@on_a_line(keep="none", turns=Turns.FREE)
async def test_repeated_messages_are_marked_as_the_consoles_own(line: Line) -> None:
    console = await line.console(" console=c1")
    peer, token = await line.peer("Hi!")
    await console.say("\\ack 1", "alice> one")
    await console.news()
    await line.restart()
    peer = await line.resume(token, got=1)
    other = await line.console(" session=1 got=1 sent=1 console=c2")
    await other.say("alice> two")
    await other.news()
    await peer.say("\\ack 2")
    await peer.news()
    await line.lose(other)
    back = await line.console(" session=1 got=1 sent=0 console=c1")
    flags = [at.split(" ", 2)[2] for at in await back.news() if at.startswith("\\at ")]
    assert flags == ["own mine gone", "own gone"]


@on_a_line()
async def test_a_console_that_cannot_attach_changes_no_handle(line: Line) -> None:
    await line.peer("Hi!")
    line.switchboard.journal_failed(JournalError("broken"))
    before = line.switchboard.handle
    refused = await line.connect(line.console_session("alice (pid 8)"))
    line.journal.running = _fails  # type: ignore[method-assign]
    await refused.say("\\hello 1 mallory")
    assert (await refused.rest())[-1].startswith("\\error journal")
    assert line.switchboard.handle == before


@on_a_line(grace=0.0)
async def test_a_token_resumes_after_the_grace_time_if_the_seat_is_free(line: Line) -> None:
    peer, token = await line.peer("Hi!")
    await line.lose(peer)
    await line.greeted("Eve")  # a hello is not enough to take the seat
    peer = await line.resume(token)
    hello = await hello_of(peer)
    assert (hello.session, hello.got) == (token, 1)


@on_a_line(grace=0.0)
async def test_a_new_caller_ends_the_conversation_after_the_grace_time(line: Line) -> None:
    peer, token = await line.peer("Hi!")
    await line.lose(peer)
    await line.peer("Me now", handle="Eve")
    assert line.stored() == ["Me now"]
    late = await line.resume(token, "Bob> still there?")
    assert (await late.rest())[-1].startswith("\\quit no reconnection in time; a new call took over")
    assert line.stored() == ["Me now"]


@on_a_line()
async def test_the_seat_is_kept_after_a_restart(line: Line) -> None:
    _, token = await line.peer("Hi!")
    await line.restart()
    caller = await line.call("\\hello 1 Eve")
    assert (await caller.hear()).startswith("\\busy")
    peer = await line.resume(token, "Bob> back")
    assert any(line.startswith("\\error turn") for line in await peer.rest())  # known, and not its turn


# ------------------------------------------------------------------ commit, then tell


@on_a_line()
async def test_acks_and_messages_are_sent_after_the_commit(line: Line) -> None:
    console, peer, _ = await line.talk()
    append, early = line.journal.append, []

    def spy(*args: Any) -> None:
        append(*args)
        early.append(peer.waiting() + console.waiting())

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(line.journal, "append", spy)
        await console.say("alice> Hello")
        assert await console.hear() == "\\ack 1"
        assert await peer.hear() == "alice> Hello"
        await peer.say("Bob> How are you?")
        assert await peer.hear() == "\\ack 2"
        assert await console.hear() == "Bob> How are you?"
    assert early == [b"", b""]


@on_a_line()
async def test_a_peers_message_that_is_not_stored_does_not_count(line: Line) -> None:
    console = await line.console()
    peer, token = await line.peer("Hi!")
    await console.say("alice> Hello")
    await console.news()
    await peer.news()
    line.break_journal()
    await peer.say("Bob> How are you?")
    assert (await peer.rest())[-1].startswith("\\error journal")
    assert "Bob> How are you?" not in await console.news()
    assert line.counts() == (1, 1)
    assert line.stored() == ["Hi!", "Hello"]
    again = await line.resume(token, "Bob> How are you?", got=1)
    assert "\\ack 2" in await again.news()
    assert "Bob> How are you?" in await console.news()
    assert line.stored() == ["Hi!", "Hello", "How are you?"]


@on_a_line()
async def test_an_operators_message_that_is_not_stored_does_not_count(
    line: Line,
) -> None:
    console, peer, _ = await line.talk()
    line.break_journal()
    await console.say("alice> Hello")
    assert (await console.rest())[-1].startswith("\\error journal")
    assert "alice> Hello" not in await peer.news()
    assert line.counts() == (1, 0)
    await line.lose(console)
    console = await line.console(" session=1 got=1 sent=0")
    await console.say("alice> Hello")
    assert "\\ack 1" in await console.news()
    assert "alice> Hello" in await peer.news()


@on_a_line()
async def test_a_first_message_that_cannot_be_stored_takes_no_seat(line: Line) -> None:
    caller, _ = await line.greeted()
    line.break_journal()
    await caller.say("Bob> Hi!")
    assert (await caller.rest())[-1].startswith("\\error journal")
    assert line.switchboard.seat_is_free()
    assert line.stored() == []
    await line.peer("Hi!")


@on_a_line()
async def test_a_quit_that_is_not_stored_does_not_end_the_conversation(line: Line) -> None:
    peer, token = await line.peer("Hi!")
    line.break_journal()
    await peer.say("\\quit")
    assert (await peer.rest())[-1].startswith("\\error journal")
    again = await line.resume(token)
    hello = await hello_of(again)
    assert hello.session == token


def _end_in_doubt(line: Line) -> None:
    """The next end is durable, and yet is told to have failed, as when a sync fails behind the write."""
    end, patch = line.journal.end_conversation, pytest.MonkeyPatch()

    def fail(conversation: Conversation, reason: str, now: datetime) -> None:
        patch.undo()
        end(replace(conversation), reason, now)
        raise JournalError("The journal cannot be used: disk I/O error.")

    patch.setattr(line.journal, "end_conversation", fail)


def _quits(lines: list[str]) -> list[str]:
    return [line for line in lines if line.startswith("\\quit")]


@on_a_line()
async def test_a_peers_quit_in_doubt_is_an_end(line: Line) -> None:
    """Each is told of it once, with its reason, when the journal can be asked."""
    console, peer, token = await line.talk(acked=True)
    _end_in_doubt(line)
    await peer.say("\\quit bye")
    told = await peer.rest()
    assert told[-1].startswith("\\error journal")
    assert _quits([*told, *await console.news()]) == []
    again = await line.resume(token)
    assert without_times(await again.rest())[-1:] == ["\\quit bye"]
    assert _quits(await console.news()) == ["\\quit bye"]
    assert (line.switchboard.conversation, line.switchboard.peer, line.stored()) == (None, None, [])
    await line.peer("Next", handle="Carol")
    assert _quits(await console.news()) == []


@on_a_line()
async def test_an_operators_quit_in_doubt_is_an_end(line: Line) -> None:
    console, peer, _ = await line.talk(acked=True)
    _end_in_doubt(line)
    await console.say("\\quit bye")
    told = await console.rest()
    assert told[-1].startswith("\\error journal")
    assert _quits([*told, *await peer.news()]) == []
    await line.lose(console)
    console = await line.console(" session=1 got=1 sent=0")
    assert _quits(await peer.rest()) == ["\\quit bye"]
    await console.say("\\ack 1")
    assert _quits(await console.news()) == ["\\quit bye"]
    assert (line.switchboard.conversation, line.switchboard.peer, line.stored()) == (None, None, [])
    assert _quits(await console.news()) == []


@on_a_line(turns=Turns.FREE)
async def test_a_message_after_an_end_in_doubt_is_not_stored(line: Line) -> None:
    console, peer, token = await line.talk(acked=True)
    _end_in_doubt(line)
    await peer.say("\\quit bye")
    await peer.rest()
    await console.say("alice> But")
    lines = await console.news()
    assert _quits(lines) == ["\\quit bye"]
    assert not any(line.startswith("\\ack") for line in lines)
    again = await line.resume(token, "Bob> more")
    assert _quits(await again.rest()) == ["\\quit bye"]
    assert [e.text for e in line.journal.entries(1, 0)] == ["Hi!"]


def _append_in_doubt(line: Line) -> None:
    """The next message is durable, and yet is told to have failed."""
    append, patch = line.journal.append, pytest.MonkeyPatch()

    def fail(conversation: Conversation, entries: Sequence[Entry], turn_state: TurnState) -> None:
        patch.undo()
        append(replace(conversation), entries, turn_state)
        raise JournalError("The journal cannot be used: disk I/O error.")

    patch.setattr(line.journal, "append", fail)


@on_a_line(turns=Turns.FREE)
async def test_a_classic_peers_message_in_doubt_is_stored_once(line: Line) -> None:
    console = await line.console()
    peer = await line.classic("Bob> Hi!")
    await console.news()
    _append_in_doubt(line)
    await peer.say("more")
    await peer.rest()
    await line.lose(peer)
    assert [e.text for e in line.journal.entries(1, 0)] == ["Hi!", "more"]
    assert [text for text in await console.news() if text.startswith("Bob> ")] == ["Bob> more"]


@on_a_line(turns=Turns.FREE)
async def test_a_message_in_doubt_reaches_a_peer_that_quits(line: Line) -> None:
    console, peer, _ = await line.talk(acked=True)
    _append_in_doubt(line)
    await console.say("alice> in doubt")
    await console.rest()
    await peer.say("\\quit")
    assert "alice> in doubt" in await peer.rest()


@on_a_line()
async def test_a_first_message_in_doubt_rejects_a_waiting_classic_caller(line: Line) -> None:
    classic = await line.call("x" * 501)
    assert (await classic.hear()).startswith("\\error too-long ")
    caller, _ = await line.greeted("Eve")
    _append_in_doubt(line)
    await caller.say("Eve> Hi!")
    await caller.rest()
    await classic.say("shorter")
    assert (await classic.rest())[-1].startswith("\\busy ")
    assert line.stored() == ["Hi!"]


@on_a_line(turns=Turns.FREE)
async def test_a_console_follows_a_conversation_that_began_in_doubt(line: Line) -> None:
    console, peer, _ = await line.talk()
    await peer.say("\\quit")
    await peer.rest()
    caller, token = await line.greeted("Eve")
    _append_in_doubt(line)
    await caller.say("Eve> Hi!")
    await caller.rest()
    await console.say("\\ack 1")  # only now it is told of the end, and of the next conversation
    assert (await console.news())[-1] == "Eve> Hi!"
    again = await line.call(f"\\hello 1 Eve session={token} got=0")
    await again.say("Eve> Hello?")
    await again.news()
    assert (await console.news())[-1] == "Eve> Hello?"


@on_a_line()
async def test_an_end_found_in_the_journal_is_reported_to_systemd(line: Line) -> None:
    changes: list[bool] = []
    line.switchboard._changed = lambda: changes.append(line.switchboard.conversation is None)
    peer, _ = await line.peer("Hi!")
    _end_in_doubt(line)
    await peer.say("\\quit")
    await peer.rest()
    await line.greeted("Carol")
    assert changes[-1]


@on_a_line(turns=Turns.FREE)
async def test_the_messages_of_one_read_are_stored_in_one_transaction(line: Line) -> None:
    console, peer, _ = await line.talk()
    statements: list[str] = []
    line.journal._db.set_trace_callback(statements.append)
    await peer.say(*(f"Bob> {n}" for n in range(100)))
    assert await peer.news() == ["\\ack 101"]
    assert statements.count("COMMIT") == 1
    assert await console.news() == [f"Bob> {n}" for n in range(100)]
    await console.say(*(f"alice> {n}" for n in range(100)))
    assert await console.news() == ["\\ack 100"]
    assert statements.count("COMMIT") == 2


@on_a_line(turns=Turns.FREE)
async def test_a_classic_peers_read_is_stored_in_one_transaction(line: Line) -> None:
    peer = await line.classic("Bob> Hi!")
    console = await line.console()
    await console.news()
    statements: list[str] = []
    line.journal._db.set_trace_callback(statements.append)
    await peer.say(*(f"Bob> {n}" for n in range(50)))
    while await console.hear() != "Bob> 49":
        pass
    assert statements.count("COMMIT") == 1


# ------------------------------------------------------------------ rules that are broken


@on_a_line()
async def test_a_peer_out_of_turn_gets_the_ack_then_an_error(line: Line) -> None:
    peer, token = await line.greeted()
    await peer.say("Bob> one", "Bob> two", "Bob> three")
    lines = await peer.rest()
    assert lines[0] == "\\ack 1"
    assert [line.split()[:2] for line in lines[1:]] == [["\\error", "turn"]]
    assert line.stored() == ["one"]
    again = await line.resume(token)
    hello = await hello_of(again)
    assert hello.got == 1


@on_a_line()
async def test_an_operator_out_of_turn_gets_the_ack_then_an_error(line: Line) -> None:
    console, peer, _ = await line.talk()
    await console.say("\\ack 1", "alice> one", "alice> two")
    lines = await console.rest()
    assert lines[0] == "\\ack 1"
    assert [line.split()[:2] for line in lines[1:]] == [["\\error", "turn"]]
    assert await peer.news() == ["\\read 1", "alice> one"]


@pytest.mark.parametrize(
    ("said", "code"),
    [
        (["\\hello 2 Bob"], "version"),
        (["\\hello 1 Bob", "\\hello 1 Bob"], "hello"),
        (["\\hello 1 Bob", "Eve> Hi!"], "handle"),
        (["\\hello 1 Bob", "\\ack 1"], "ack"),
        (["\\hello 1 Bob", "Bob> Hi!", "\\quit", "\\hello 1 Bob"], None),
        (["\\hello 1 Bob", "Bob> " + 501 * "x"], "too-long"),
        (["\\hello 1 Bob", "Bob> Hi!", "no message"], "syntax"),
    ],
)
def test_a_caller_that_breaks_a_rule_gets_its_code(tmp_path: Path, said: list[str], code: str | None) -> None:
    @on_a_line()
    async def check(line: Line) -> None:
        caller = await line.call(*said)
        errors = [line.split()[1] for line in await caller.rest() if line.startswith("\\error")]
        assert errors == ([] if code is None else [code])

    check(tmp_path)


@pytest.mark.parametrize(
    ("said", "code"),
    [
        (["alice> Hi!"], "hello"),
        (["\\hello 2 alice"], "version"),
        (["\\hello 1 alice", "\\hello 1 alice"], "hello"),
        (["\\hello 1 alice", "bob> Hi!"], "handle"),
    ],
)
def test_a_console_that_breaks_a_rule_gets_its_code(tmp_path: Path, said: list[str], code: str) -> None:
    @on_a_line()
    async def check(line: Line) -> None:
        console = await line.connect(line.console_session())
        await console.say(*said)
        assert [line.split()[1] for line in await console.rest() if line.startswith("\\error")] == [code]

    check(tmp_path)


@on_a_line()
async def test_a_peer_cannot_ask_for_version_0(line: Line) -> None:
    """0 is only what the daemon calls a classic peer."""
    caller = await line.call("\\hello 0 Bob", "Bob> Hi!")
    assert (await caller.hear()).startswith("\\error version")


@on_a_line()
async def test_a_wrong_ack_does_not_lose_the_message_before_it(line: Line) -> None:
    caller, _ = await line.greeted()
    await caller.say("Bob> Hi!", "\\ack 9")
    lines = await caller.rest()
    assert lines[0] == "\\ack 1"
    assert lines[1].startswith("\\error ack")


@on_a_line()
async def test_an_ack_of_more_than_was_sent_is_an_error(line: Line) -> None:
    peer, token = await line.peer("Hi!")
    again = await line.resume(token, got=1)
    assert (await again.hear()).startswith("\\error ack")
    await peer.say("\\ack 1")
    assert (await peer.hear()).startswith("\\error ack")


# ------------------------------------------------------------------ resume


@pytest.mark.parametrize("restarted", [False, True])
def test_a_peer_that_comes_back_gets_the_missed_messages_in_order(tmp_path: Path, restarted: bool) -> None:
    @on_a_line(turns=Turns.FREE)
    async def check(line: Line) -> None:
        peer, token = await line.peer("Hi!")
        console = await line.console()
        await console.news()
        await console.say("alice> one", "alice> two", "alice> three")
        await console.news()
        await line.lose(peer)
        await console.say("alice> four")
        assert await console.news() == ["\\away", "\\ack 4"]
        if restarted:
            await line.restart()
        again = await line.resume(token, got=1)
        hello = await hello_of(again)
        assert (hello.session, hello.got, hello.turns) == (token, 1, "free")
        lines = await again.news()
        assert without_times(lines) == [
            "\\away" if restarted else "\\here alice",
            "alice> two",
            "alice> three",
            "alice> four",
        ]
        await again.say("Bob> five")
        assert await again.news() == ["\\ack 2"]

    check(tmp_path)


@on_a_line()
async def test_messages_sent_again_have_their_time(line: Line) -> None:
    line.fill(Role.OPERATOR, ["Hello"])
    again = await line.resume(TOKEN)
    assert (await again.news())[-2:] == ["\\at 2024-05-01T00:00:00.000Z", "alice> Hello"]


@on_a_line()
async def test_a_valid_token_displaces_a_dead_connection(line: Line) -> None:
    console = await line.console()
    ghost, token = await line.peer("Hi!")
    await console.news()
    again = await line.resume(token)
    assert (await ghost.hear()).startswith("\\error displaced")
    await ghost.say("Bob> from beyond")
    assert await ghost.rest() == []
    await line.lose(ghost)
    assert line.switchboard.peer is not None
    await console.say("alice> Hello")
    assert (await again.news())[-1] == "alice> Hello"
    assert line.stored() == ["Hi!", "Hello"]


@on_a_line()
async def test_a_caller_with_an_unknown_token_gets_a_new_one(line: Line) -> None:
    caller = await line.call("\\hello 1 Bob session=0123 got=3")
    hello = await hello_of(caller)
    assert hello.session != "0123"
    assert hello.got is None


@on_a_line(turns=Turns.FREE)
async def test_an_ended_conversations_token_gets_the_rest_and_quit(line: Line) -> None:
    peer, token = await line.peer("Hi!")
    console = await line.console()
    await console.news()
    await line.lose(peer)
    await console.say("alice> one", "alice> two", "\\quit bye")
    await console.news()
    assert line.switchboard.conversation is None
    again = await line.resume(token, "Bob> too late", got=1)
    lines = await again.rest()
    assert without_times(lines)[-2:] == ["alice> two", "\\quit bye"]
    assert not any(line.startswith("\\ack") for line in lines)


# ------------------------------------------------------------------ the end


@on_a_line()
async def test_a_quit_ends_the_conversation_and_frees_the_seat(line: Line) -> None:
    console = await line.console()
    peer, _ = await line.peer("Hi!")
    await console.say("\\ack 1")
    await peer.say("\\quit I have to go")
    await peer.rest()
    assert (await console.news())[-1] == "\\quit I have to go"
    await line.peer("Next", handle="Carol")


@on_a_line()
async def test_a_message_that_crosses_the_end_is_not_acked(line: Line) -> None:
    console, peer, _ = await line.talk()
    await console.say("\\ack 1", "alice> Bye", "\\quit")
    await console.news()
    await peer.say("Bob> But")
    assert await peer.rest() == ["\\read 1", "alice> Bye", "\\quit"]
    assert line.journal.running() is None


@on_a_line()
async def test_a_message_for_the_last_peer_does_not_reach_the_next(line: Line) -> None:
    console, peer, _ = await line.talk(acked=True)
    await peer.say("\\quit")
    await peer.rest()
    eve, _ = await line.peer("Me now", handle="Eve")
    await console.say_blindly("alice> for Bob only")  # typed before it was told of the end
    await console.news()
    assert await eve.news() == []
    assert line.stored() == ["Me now"]


@on_a_line()
async def test_a_quit_for_the_last_conversation_does_not_end_the_next(line: Line) -> None:
    console, peer, _ = await line.talk(acked=True)
    await peer.say("\\quit")
    await peer.rest()
    eve, _ = await line.peer("Me now", handle="Eve")
    await console.say_blindly("\\quit")
    await console.news()
    assert await eve.news() == []
    assert line.stored() == ["Me now"]


@on_a_line()
async def test_a_stop_is_told_to_both_ends_and_the_conversation_stays(line: Line) -> None:
    console, peer, token = await line.talk()
    line.switchboard.stop()
    assert [line.split()[1] for line in await peer.rest()] == ["stopping"]
    assert [line.split()[1] for line in await console.rest()] == ["stopping"]
    await line.restart()
    again = await line.resume(token)
    hello = await hello_of(again)
    assert hello.got == 1


# ------------------------------------------------------------------ read marks, away and here


@on_a_line()
async def test_an_ack_of_one_end_is_a_read_mark_for_the_other(line: Line) -> None:
    console, peer, _ = await line.talk()
    await console.say("\\ack 1", "alice> Hello")
    assert await console.news() == ["\\ack 1"]
    assert await peer.news() == ["\\read 1", "alice> Hello"]
    await peer.say("\\ack 1")
    assert await peer.news() == []
    assert await console.news() == ["\\read 1"]


@on_a_line()
async def test_read_marks_are_sent_again_after_a_restart(line: Line) -> None:
    console = await line.console()
    peer, token = await line.peer("Hi!")
    await console.say("\\ack 1", "alice> Hello")
    await console.news()
    await peer.say("\\ack 1")
    await peer.news()
    await line.restart()
    again = await line.resume(token, got=1)
    assert (await again.news())[1:] == ["\\read 1", "\\away"]
    console = await line.console()
    assert "\\read 1" in await console.news()


@on_a_line()
async def test_the_count_of_a_resume_is_a_read_mark_for_the_console(line: Line) -> None:
    console = await line.console()
    peer, token = await line.peer("Hi!")
    await console.say("alice> Hello")
    await console.news()
    await line.lose(peer)
    assert await console.news() == ["\\away"]
    await (await line.resume(token, got=1)).news()
    assert sorted(await console.news()) == [f"\\here Bob address={ADDRESS}", "\\read 1"]


@on_a_line()
async def test_callers_are_told_whether_a_console_is_attached(line: Line) -> None:
    peer, _ = await line.greeted()
    other, _ = await line.greeted()
    console = await line.console()
    assert await peer.news() == ["\\here alice"]
    assert await other.news() == ["\\here alice"]
    await peer.say("Bob> Hi!")
    assert await peer.news() == ["\\ack 1"]
    await line.lose(console)
    assert await peer.news() == ["\\away"]


@on_a_line()
async def test_the_console_is_told_whether_the_peer_is_connected(line: Line) -> None:
    console = await line.console()
    peer, token = await line.peer("Hi!")
    assert "\\away" not in await console.news()
    await line.lose(peer)
    assert await console.news() == ["\\away"]
    await line.lose(console)
    console = await line.console()
    assert "\\away" in await console.news()
    await line.resume(token)
    assert await console.hear() == f"\\here Bob address={ADDRESS}"


# ------------------------------------------------------------------ consoles


@on_a_line()
async def test_a_new_console_gets_the_whole_running_conversation(line: Line) -> None:
    conversation = line.fill(Role.OPERATOR, ["Hello"])
    await line.resume(TOKEN, got=1)
    console = await line.console()
    peer = await console.frame()
    assert isinstance(peer, wire.Peer)
    assert (peer.handle, peer.session, peer.got) == ("Bob", str(conversation.id), 1)
    assert (peer.address, peer.turns, peer.since) == (ADDRESS, "free", conversation.started)
    assert [line for line in await console.news() if line[1:] not in ("away", "here", "read 1", "ready")] == [
        "\\at 2024-05-01T00:00:00.000Z",
        "Bob> Hi",
        "\\at 2024-05-01T00:00:00.000Z own",
        "alice> Hello",
    ]


@on_a_line(turns=Turns.FREE)
async def test_a_console_that_comes_back_gets_only_what_it_missed(line: Line) -> None:
    console = await line.console()
    peer, _ = await line.peer("p1")
    await console.say("alice> a1", "alice> a2")
    await console.news()
    await peer.say("Bob> p2")
    await peer.news()
    await line.lose(console)
    await peer.say("Bob> p3")
    await peer.news()
    console = await line.console(" session=1 got=1 sent=1")
    lines = without_times(await console.news())
    assert [line for line in lines if not line.startswith("\\")] == ["alice> a2", "Bob> p2", "Bob> p3"]
    await console.say("alice> a3")
    assert await console.news() == ["\\ack 3"]


@on_a_line()
async def test_a_console_with_impossible_counts_gets_everything(line: Line) -> None:
    await line.peer("Hi!")
    console = await line.console(" session=1 got=5 sent=0")
    assert "Bob> Hi!" in await console.news()


@on_a_line()
async def test_a_console_with_a_number_out_of_range_gets_everything(line: Line) -> None:
    await line.peer("Hi!")
    console = await line.console(f" session={64 * '9'} got=0 sent=0")
    assert "Bob> Hi!" in await console.news()


@on_a_line()
async def test_missed_conversations_come_in_order_each_with_its_quit(line: Line) -> None:
    for handle in ("Ann", "Ben", "Cid"):
        peer, _ = await line.peer(f"I am {handle}", handle=handle)
        await peer.say(f"\\quit from {handle}")
        await peer.rest()
    await line.peer("I am here", handle="Dan")
    console = await line.console()
    for handle in ("Ann", "Ben", "Cid"):
        assert isinstance(peer_line := await console.frame(), wire.Peer)
        assert peer_line.handle == handle
        assert without_times(await console.news()) == [f"{handle}> I am {handle}"]  # and no quit before the ack
        await console.say("\\ack 1")
        assert await console.hear() == f"\\quit from {handle}"
    assert isinstance(peer_line := await console.frame(), wire.Peer)
    assert peer_line.handle == "Dan"
    await line.lose(console)
    console = await line.console()
    assert isinstance(peer_line := await console.frame(), wire.Peer)
    assert peer_line.handle == "Dan"  # the others have been seen


@on_a_line()
async def test_a_consoles_ack_does_not_count_for_the_next_conversation(line: Line) -> None:
    console = await line.console()
    bob, _ = await line.peer("Hi!")
    await bob.say("\\quit")
    await bob.rest()
    eve, _ = await line.peer("Me now", handle="Eve")
    assert "Eve> Me now" not in await console.news()
    await console.say("\\ack 1")
    assert (await console.news())[-1] == "Eve> Me now"
    assert await eve.news() == []
    await console.say("\\ack 1")
    await console.news()
    assert await eve.news() == ["\\read 1"]


@on_a_line()
async def test_a_second_console_is_refused_unless_it_takes_over(line: Line) -> None:
    first = await line.console()
    await line.peer("Hi!")
    await first.news()
    second = await line.connect(line.console_session("carol"))
    await second.say("\\hello 1 carol")
    assert [line.split()[1] for line in await second.rest()] == ["held"]
    third = await line.console(" take=1")
    assert [line.split()[1] for line in await first.rest()] == ["taken-over"]
    assert "Bob> Hi!" in await third.news()
    await line.lose(first)
    assert line.switchboard.operator is not None


@on_a_line(handle="sysop")
async def test_the_settings_handle_replaces_a_suggested_one_only(line: Line) -> None:
    console = await line.connect(line.console_session())
    await console.say("\\hello 1 alice suggested=1")
    assert (await console.hear()).split()[2] == "sysop"
    await line.lose(console)
    console = await line.connect(line.console_session())
    await console.say("\\hello 1 alice")
    assert (await console.hear()).split()[2] == "alice"


@on_a_line()
async def test_asking_for_the_status_attaches_no_console(line: Line) -> None:
    await line.peer("Hi!")
    console = await line.connect(line.console_session())
    await console.say("\\status")
    answer = await console.frame()
    assert isinstance(answer, wire.Status)
    report = json.loads(answer.report)
    assert (report["port"], report["console"]) == (7000, None)
    assert (report["peer"]["handle"], report["peer"]["received"], report["peer"]["connected"]) == ("Bob", 1, True)
    assert "Hi!" not in answer.report


# ------------------------------------------------------------------ slow readers

TEXTS = [f"{n:04} {'x' * 395}" for n in range(5000)]  # twice what may wait unsent


@on_a_line(turns=Turns.FREE)
async def test_a_slow_peer_gets_everything_in_order_without_a_queue(line: Line) -> None:
    line.fill(Role.OPERATOR, TEXTS)
    peer = await line.resume(TOKEN)
    await hello_of(peer)
    console = await line.console(" session=1 got=1 sent=5000")
    await console.say("alice> live")  # behind what the peer has not read yet
    await console.news()
    biggest = line.transport(peer).get_write_buffer_size()
    assert 0 < biggest < UNSENT_MAX / 4
    heard: list[str] = []
    while len(heard) <= len(TEXTS):
        frame = await peer.frame()
        if isinstance(frame, wire.Message):
            heard.append(frame.text)
            biggest = max(biggest, line.transport(peer).get_write_buffer_size())
    assert heard == [*TEXTS, "live"]
    assert biggest < UNSENT_MAX / 4


@on_a_line(turns=Turns.FREE)
async def test_a_slow_console_gets_everything_in_order_without_a_queue(line: Line) -> None:
    line.fill(Role.PEER, TEXTS)
    peer = await line.resume(TOKEN)
    await peer.news()
    console = await line.console()
    await peer.say("Bob> live")
    await peer.news()
    biggest = line.transport(console).get_write_buffer_size()
    assert 0 < biggest < UNSENT_MAX / 4
    heard: list[str] = []
    while len(heard) <= len(TEXTS) + 1:
        frame = await console.frame()
        if isinstance(frame, wire.Message):
            heard.append(frame.text)
            biggest = max(biggest, line.transport(console).get_write_buffer_size())
    assert heard == ["Hi", *TEXTS, "live"]
    assert biggest < UNSENT_MAX / 4


@on_a_line(turns=Turns.FREE)
async def test_a_slow_peer_gets_the_quit_after_the_last_message(line: Line) -> None:
    line.fill(Role.OPERATOR, TEXTS)
    peer = await line.resume(TOKEN)
    await hello_of(peer)
    console = await line.console(" session=1 got=1 sent=5000")
    await console.say("\\quit enough")
    await console.news()
    lines = without_times(await peer.rest())
    assert lines[-1] == "\\quit enough"
    assert [line for line in lines if not line.startswith("\\")] == [f"alice> {text}" for text in TEXTS]


# ------------------------------------------------------------------ classic peers


@on_a_line()
async def test_a_classic_peers_messages_wait_for_their_turn(line: Line) -> None:
    peer = await line.classic("Bob> one", "Bob> two", "Bob> three")
    console = await line.console()
    assert isinstance(heading := await console.frame(), wire.Peer)
    assert heading.classic
    assert [line for line in await console.news() if line.startswith("Bob")] == ["Bob> one"]
    await console.say("alice> answer")
    assert await peer.hear() == "alice> answer"
    assert await console.news() == ["\\ack 1", "Bob> two"]
    peer.hang_up()
    assert await console.hear() == "Bob> three"  # its turn never came, and it is not lost
    await console.say("\\ack 3")
    assert (await console.hear()).startswith("\\quit")
    assert line.switchboard.conversation is None


@on_a_line()
async def test_a_classic_peer_with_too_many_waiting_messages_is_closed(line: Line) -> None:
    peer = await line.call("Bob> Hi!", *(f"Bob> {n}" for n in range(WAITING_MAX + 1)))
    assert [line.split()[:2] for line in await peer.rest()] == [["\\error", "waiting"]]


@on_a_line()
async def test_a_waiting_classic_message_survives_a_journal_failure(line: Line) -> None:
    peer = await line.classic("Bob> one", "Bob> two", "Bob> three")
    console = await line.console()
    await console.news()
    await console.say("alice> answer")
    append, calls = line.journal.append, 0

    def fail_second(*args: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == 2:
            line.break_journal()
        append(*args)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(line.journal, "append", fail_second)
        await peer.rest()
        peer.hang_up()
        while line.switchboard.conversation is not None:
            await asyncio.sleep(0)
    assert [e.text for e in line.journal.entries(1, 0, limit=10)] == ["one", "answer", "two", "three"]


@on_a_line()
async def test_a_classic_conversation_does_not_outlive_the_daemon(line: Line) -> None:
    await line.classic("Bob> Hi!")
    console = await line.console()
    await console.news()
    line.switchboard.stop()
    await line.restart()
    assert line.switchboard.conversation is None


# ------------------------------------------------------------------ what is kept


@on_a_line(keep="none")
async def test_keep_none_removes_texts_that_were_shown(line: Line) -> None:
    console = await line.console()
    peer, _ = await line.peer("a secret")
    await console.news()
    assert line.stored() == ["a secret"]
    await console.say("\\ack 1", "alice> another")
    await console.news()
    assert line.stored() == ["", "another"]
    await peer.say("\\ack 1")
    await peer.news()
    assert line.stored() == ["", ""]


@on_a_line(keep="30d")
async def test_keep_in_days_removes_old_conversations_at_the_start(line: Line) -> None:
    _, peer, _ = await line.talk(acked=True)
    await peer.say("\\quit")
    await peer.rest()
    await line.restart()
    assert line.journal.by_id(1) is not None
    line.journal.close()
    with sqlite3.connect(line.file) as database:
        database.execute("UPDATE conversation SET ended = ended - 31 * 86400000")
    database.close()
    await line.restart()
    assert line.journal.by_id(1) is None
    assert line.journal.entries(1, 0, limit=10) == []
