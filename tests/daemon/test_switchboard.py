"""The switchboard with its two ends on real sockets: who gets the seat, and who is sent what, and when."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NoReturn

import pytest

from pychat_client.protocol import wire
from pychat_client.protocol.digest import digest_of
from pychat_client.protocol.turns import Role, Turns
from pychat_client.transport.connection import UNSENT_MAX
from pychatd.conversation import console_session
from pychatd.conversation.classic_queue import WAITING_MAX
from pychatd.conversation.journal_health import FAILED
from pychatd.conversation.missed_calls import MISSED_MAX
from pychatd.conversation.model import Conversation, JournalError
from pychatd.conversation.peer_session import PeerSession
from pychatd.conversation.service_status import status_json
from pychatd.conversation.switchboard import JOURNAL_DAMAGED, Switchboard
from tests.support.allowed_callers import Anybody
from tests.support.in_process import ADDRESS, TOKEN, InProcessService, hello_of, with_service
from tests.support.raw_ends import AsyncEnd
from tests.support.waiting import PATIENCE


def _fails() -> NoReturn:
    raise JournalError("The journal cannot be read.")


def without_times(lines: list[str]) -> list[str]:
    return [line for line in lines if not line.startswith("\\at ")]


# ------------------------------------------------------------------ the seat


@with_service()
async def test_the_hello_takes_the_seat(service: InProcessService) -> None:
    first, _ = await service.greeted("First")
    second = await service.call("\\hello 1 Second", "Second> Hi!")
    (busy,) = await second.rest()
    calling = "somebody else is calling now and has not sent a message yet"
    assert busy == f"\\busy Busy: {calling}. Call later, or use --wait to keep calling."
    await first.say("First> Hi!")
    assert await first.news() == ["\\ack 1"]
    assert service.stored() == ["Hi!"]
    (busy,) = await (await service.call("\\hello 1 Third")).rest()
    assert busy == "\\busy Busy: somebody else is talking. Call later, or use --wait to keep calling."


@with_service()
async def test_the_console_sees_who_calls_before_the_first_message(service: InProcessService) -> None:
    console = await service.console()
    caller, _ = await service.greeted()
    assert await console.news() == ["\\ready", f"\\calling Bob address={ADDRESS}"]
    await service.lose(console)
    console = await service.console()
    assert await console.hear() == f"\\calling Bob address={ADDRESS}"
    await caller.say("Bob> Hi!")
    assert (await console.news())[-1] == "Bob> Hi!"


@with_service()
async def test_a_caller_that_speaks_at_once_is_not_announced(service: InProcessService) -> None:
    console = await service.console()
    await (await service.call("\\hello 1 Bob", "Bob> Hi!")).news()
    assert not any(line.startswith("\\calling") for line in await console.news())


@pytest.mark.parametrize("leaves", ["\\quit", "Eve> not my name", None])
def test_a_call_without_a_message_is_missed_and_frees_the_seat(tmp_path: Path, leaves: str | None) -> None:
    @with_service()
    async def check(service: InProcessService) -> None:
        console = await service.console()
        caller, _ = await service.greeted()
        await console.news()
        if leaves is None:
            await service.lose(caller)
        else:
            await caller.say(leaves)
            await caller.rest()
        assert await console.news() == [f"\\missed Bob address={ADDRESS}"]
        await service.peer("Hi!", handle="Ann")

    check(tmp_path)


@with_service()
async def test_the_next_console_hears_of_missed_calls_once(service: InProcessService) -> None:
    for number in range(MISSED_MAX + 1):
        caller, _ = await service.greeted(f"C{number}")
        await service.lose(caller)
    service.switchboard.stop()
    await service.restart()
    console = await service.console()
    missed = [line for line in await console.news() if line.startswith("\\missed")]
    assert missed == [f"\\missed C{number} address={ADDRESS}" for number in range(1, MISSED_MAX + 1)]
    await service.lose(console)
    service.switchboard.stop()
    await service.restart()
    assert await (await service.console()).news() == ["\\ready"]


@with_service()
async def test_a_call_that_breaks_and_comes_again_is_one_call(service: InProcessService) -> None:
    console = await service.console()
    caller, token = await service.greeted()
    again = await service.call(f"\\hello 1 Bob session={token} got=0 call=2")
    assert (await hello_of(again)).session == token
    assert (await caller.rest())[-1].startswith("\\error displaced")
    assert not any(line.startswith("\\missed") for line in await console.news())
    await again.say("Bob> Hi!")
    assert "\\ack 1" in await again.news()


@with_service()
async def test_a_program_cut_off_before_the_answer_gets_its_seat(service: InProcessService) -> None:
    console = await service.console()
    first = await service.call("\\hello 1 Bob call=1")
    await first.news()
    again = await service.call("\\hello 1 Bob call=2")
    token = (await hello_of(again)).session
    assert (await first.rest())[-1].startswith("\\error displaced")
    assert not any(line.startswith("\\missed") for line in await console.news())
    last = await service.call(f"\\hello 1 Bob session={token} got=0 call=3")
    assert (await hello_of(last)).session == token


@with_service()
async def test_a_program_whose_token_is_gone_gets_its_seat(service: InProcessService) -> None:
    """A restart forgets the token of who has said nothing."""
    _, token = await service.greeted()
    await service.restart()
    await (await service.call(f"\\hello 1 Bob session={token} got=0 call=2")).news()
    again = await hello_of(await service.call(f"\\hello 1 Bob session={token} got=0 call=3"))
    assert again.session not in (None, token)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("1 Bob call=1", "1 Ann call=2"),
        ("1 Bob call=1", "1 Bob call=1"),
        ("1 Bob call=2", "1 Bob call=1"),
        ("1 Bob call=1", "1 Bob"),
        ("1 Bob", "1 Bob call=2"),
        ("1 Bob call=1\nBob> Hi!", "1 Bob call=2"),
    ],
)
def test_nobody_else_takes_the_seat_of_who_thinks(tmp_path: Path, first: str, second: str) -> None:
    @with_service()
    async def check(service: InProcessService) -> None:
        await (await service.call(f"\\hello {first}")).news()
        assert (await (await service.call(f"\\hello {second}")).rest())[-1].startswith("\\busy")

    check(tmp_path)


@with_service()
async def test_the_same_handle_of_another_host_takes_no_seat(service: InProcessService) -> None:
    await (await service.call("\\hello 1 Bob call=1")).news()
    other = await service.connect(PeerSession(service.switchboard, "192.0.2.9", Anybody(), secure=True))
    await other.say("\\hello 1 Bob call=2")
    assert (await other.rest())[-1].startswith("\\busy")


def test_a_peer_that_is_back_goes_before_a_new_caller(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "pychatd")

    @with_service(grace=0.0)
    async def check(service: InProcessService) -> None:
        console = await service.console()
        peer, token = await service.peer("Hi!")
        await service.lose(peer)
        watcher = await service.connect(service.console_session())
        await watcher.say("\\watch")
        caller, _ = await service.greeted("Eve")
        await console.news()
        await watcher.news()
        back, _ = await service.resumed(token)
        busy = "\\busy Busy: somebody who was cut off is back. Call later, or use --wait to keep calling."
        assert (await caller.rest())[-1] == busy
        words = "Eve had to leave: Bob is back in the open conversation. Eve reads that the service is busy."
        told = [f"\\notice {words}", f"\\missed Eve address={ADDRESS} back=Bob"]
        assert (await console.news())[:2] == told
        assert await watcher.news() == told
        assert "Eve" not in "".join(await back.news())

    check(tmp_path)
    assert f"{ADDRESS}: Eve's call has ended without a message" in caplog.messages
    assert f"{ADDRESS}: refused, somebody who was cut off is back" in caplog.messages


@with_service(grace=0.0)
async def test_the_next_console_and_watcher_learn_why_a_caller_had_to_leave(service: InProcessService) -> None:
    """While the daemon runs: the journal keeps only that there was a call."""
    peer, token = await service.peer("Hi!")
    await service.lose(peer)
    for handle in ("Ann", "Eve"):
        caller, _ = await service.greeted(handle)
        if handle == "Ann":
            await caller.say("\\quit")
            await caller.rest()
    back, _ = await service.resumed(token)
    await caller.rest()
    watcher = await service.connect(service.console_session())
    await watcher.say("\\watch")
    console = await service.console()
    for end in (watcher, console):
        missed = [line for line in await end.news() if line.startswith("\\missed")]
        assert missed == [f"\\missed Ann address={ADDRESS}", f"\\missed Eve address={ADDRESS} back=Bob"]
    await service.lose(back)


# ------------------------------------------------------------------ who has which name


@with_service(turns=Turns.FREE)
async def test_after_a_restart_the_operator_has_the_handle_of_last_time(service: InProcessService) -> None:
    console, _, _ = await service.talk(acked=True)
    await console.say("alice> Hello")
    await console.news()
    other = await service.connect(service.console_session())
    await other.say("\\hello 1 carol take=1", "\\ack 0", "carol> Hello again")
    await other.news()
    await service.restart()
    assert service.switchboard.handle == "carol"


async def _attached(service: InProcessService, handle: str) -> None:
    """A console that comes and goes."""
    console = await service.connect(service.console_session())
    await console.say(f"\\hello 1 {handle}")
    await console.news()
    await service.lose(console)


@with_service()
async def test_after_a_restart_a_caller_reads_who_was_at_the_console_last(service: InProcessService) -> None:
    for handle in ("Ann", "Carol"):
        await _attached(service, handle)
        await service.restart()
        caller = await service.call("\\hello 1 Bob")
        assert (await hello_of(caller)).handle == handle
        posing = await service.call(f"\\hello 1 {handle.upper()}")
        assert (await posing.rest())[-1].startswith("\\error handle ")


@with_service(handle="alice")
async def test_after_a_restart_the_setting_goes_before_the_last_handle(service: InProcessService) -> None:
    await _attached(service, "Carol")
    assert service.switchboard.handle == "Carol"
    await service.restart()
    assert service.switchboard.handle == "alice"


@with_service(turns=Turns.FREE)
async def test_after_a_restart_the_handle_in_the_conversation_goes_first(service: InProcessService) -> None:
    console, _, _ = await service.talk(acked=True)
    await console.say("alice> Hello")
    await console.news()
    await service.lose(console)
    await _attached(service, "Carol")
    await service.restart()
    assert service.switchboard.handle == "alice"


@with_service()
async def test_the_same_handle_again_writes_nothing(service: InProcessService) -> None:
    await _attached(service, "Ann")
    written = service.journal._db.total_changes
    await _attached(service, "Ann")
    assert service.journal._db.total_changes == written
    await _attached(service, "Carol")
    assert service.journal._db.total_changes > written
    await service.restart()
    await _attached(service, "Carol")
    assert service.journal._db.total_changes == 0


@with_service()
async def test_a_caller_who_looks_like_the_operator_is_refused(service: InProcessService) -> None:
    await service.console()
    refused = [
        "\\error handle Your handle looks too much like alice, the handle of the operator. Call with another one."
    ]
    for handle in ("alice", "ALICE", "\u0430lice", "a1ice"):
        for first in (f"\\hello 1 {handle}", f"{handle}> Hi!"):  # a classic caller too
            assert await (await service.call(first)).rest() == refused
    assert service.stored() == []


@with_service()
async def test_a_waiting_caller_loses_its_name_to_a_new_operator(service: InProcessService) -> None:
    caller, _ = await service.greeted("alice")
    await service.console()
    await caller.say("alice> Hi!")
    assert (await caller.rest())[-1].startswith("\\error handle ")
    assert service.stored() == []


@with_service()
async def test_an_operator_who_looks_like_the_caller_is_refused(service: InProcessService) -> None:
    peer, _ = await service.peer("Hi!", handle="A1ice")
    session = service.console_session()
    console = await service.connect(session)
    await console.say("\\hello 1 alice")
    refused = (
        "\\error handle Your handle looks too much like A1ice, the handle of the caller. "
        "Start the console with another one: --handle NAME."
    )
    assert await console.rest() == [refused]
    assert await peer.news() == []


@with_service()
async def test_a_returning_caller_cannot_take_the_operators_name(service: InProcessService) -> None:
    _console, _peer, token = await service.talk()
    again = await service.call(f"\\hello 1 alice session={token} got=0")
    assert (await again.rest())[-1].startswith("\\error handle ")


@with_service()
async def test_hello_and_first_message_can_come_in_one_read(service: InProcessService) -> None:
    caller = await service.call("\\hello 1 Bob", "Bob> Hi!")
    assert (await caller.hear()).startswith("\\hello 1 operator session=")
    assert await caller.news() == ["\\away", "\\ack 1"]


@with_service()
async def test_a_caller_gets_busy_while_the_seat_is_taken(service: InProcessService) -> None:
    peer, _ = await service.peer("Hi!")
    caller = await service.call("\\hello 1 Eve", "Eve> let me in")
    assert [line.split()[0] for line in await caller.rest()] == ["\\busy"]
    assert service.stored() == ["Hi!"]
    assert await peer.news() == []


@with_service(grace=3600.0)
async def test_the_seat_is_kept_for_a_lost_peer_during_the_grace_time(service: InProcessService) -> None:
    peer, _ = await service.peer("Hi!")
    await service.lose(peer)
    for passed, seconds in ((0.0, 3600), (3000.0, 600)):
        service.switchboard._seat_kept_until -= passed
        (busy,) = await (await service.call("\\hello 1 Eve")).rest()
        words = "Busy: somebody who was cut off may come back within"
        told = re.fullmatch(rf"\\busy {words} (\d+) s\. Call after that, or use --wait .*", busy)
        assert told is not None, busy
        assert seconds - PATIENCE < int(told[1]) <= seconds


@with_service()
async def test_setting_the_clock_does_not_free_the_seat(service: InProcessService) -> None:
    peer, _ = await service.peer("Hi!")
    await service.lose(peer)
    for hours in (2, -2):
        now = datetime.now(UTC) + timedelta(hours=hours)
        service.switchboard.now = lambda now=now: now  # type: ignore[method-assign, misc]
        assert (await (await service.call("\\hello 1 Eve")).rest())[-1].startswith("\\busy")


@with_service(grace=0.0)
async def test_a_clock_set_back_does_not_keep_the_seat_longer(service: InProcessService) -> None:
    peer, _ = await service.peer("Hi!")
    await service.lose(peer)
    service.switchboard.now = lambda: datetime.now(UTC) - timedelta(hours=2)  # type: ignore[method-assign]
    await service.peer("Hi!", handle="Eve")


@with_service()
async def test_an_older_call_does_not_displace_a_newer_one(service: InProcessService) -> None:
    _, token = await service.peer("Hi!")
    third = await service.resume(token, call=3)
    await third.news()
    second = await service.resume(token, "Bob> stale", "\\quit", call=2)
    assert (await second.rest())[-1].startswith("\\error displaced")
    assert service.stored() == ["Hi!"]
    await service.console("")
    assert "\\here alice" in await third.news()


@with_service()
async def test_a_call_without_a_number_is_the_newest(service: InProcessService) -> None:
    _, token = await service.peer("Hi!")
    third = await service.resume(token, call=3)
    await third.news()
    await (await service.resume(token)).news()
    assert (await third.rest())[-1].startswith("\\error displaced")


@with_service()
async def test_a_second_call_before_the_first_message_keeps_the_token(service: InProcessService) -> None:
    first, token = await service.greeted()
    second = await service.resume(token, call=2)
    assert f"session={token}" in (await second.news())[0]
    await first.say("Bob> late")
    assert (await first.rest())[-1].startswith("\\error displaced")
    await second.say("Bob> Hi!")
    assert "\\ack 1" in await second.news()
    assert service.stored() == ["Hi!"]


@with_service()
async def test_an_older_hello_does_not_displace_a_waiting_caller(service: InProcessService) -> None:
    _, token = await service.greeted()
    third = await service.resume(token, call=3)
    await third.news()
    second = await service.resume(token, "Bob> stale", call=2)
    assert (await second.rest())[-1].startswith("\\error displaced")
    await third.say("Bob> Hi!")
    assert "\\ack 1" in await third.news()


@with_service(turns=Turns.FREE)
async def test_a_refused_console_learns_how_many_messages_are_stored(service: InProcessService) -> None:
    console = await service.console(" console=c1")
    await service.peer("Hi!")
    await console.say("alice> one", "alice> two")
    await console.news()
    await service.restart()
    other = await service.console(" session=1 got=1 sent=2 console=c2")
    await other.say("alice> three")
    await other.news()
    refused = await service.connect(service.console_session("alice (pid 8)"))
    await refused.say("\\hello 1 alice session=1 got=1 sent=0 console=c1")
    assert (await refused.hear(), (await refused.hear())[:11]) == (
        f"\\stored 2 digest={digest_of(['one', 'two'])}",
        "\\error held",
    )


@with_service(turns=Turns.FREE)
async def test_a_displaced_console_learns_how_many_messages_are_stored(service: InProcessService) -> None:
    console = await service.console(" console=c1")
    await service.peer("Hi!")
    await console.say("alice> one")
    await console.news()
    await service.console(" take=1 console=c2")
    assert "\\stored 1" in await console.rest()


@with_service(turns=Turns.FREE)
async def test_a_console_that_is_back_displaces_its_older_connection(service: InProcessService) -> None:
    """What the daemon has not read on that is not stored. It may come again, so nothing is said of it there."""
    dead = await service.console(" console=c1 call=1")
    await service.peer("Hi!")
    await dead.say("\\ack 1", "alice> one")
    await dead.news()
    back = await service.console(" session=1 got=1 sent=1 console=c1 call=2")
    await dead.say("alice> two")
    assert [line.split()[:2] for line in await dead.rest()] == [["\\error", "displaced"]]
    assert service.stored() == ["Hi!", "one"]
    await back.news()
    await back.say("\\ack 1", "alice> two")
    assert "\\ack 2" in await back.news()
    assert service.stored() == ["Hi!", "one", "two"]


@pytest.mark.parametrize("take", ["", " take=1"])
def test_an_older_hello_does_not_displace_a_console(tmp_path: Path, take: str) -> None:
    @with_service(turns=Turns.FREE)
    async def run(service: InProcessService) -> None:
        console = await service.console(" console=c1 call=2")
        await service.peer("Hi!")
        await console.news()
        late = await service.connect(service.console_session())
        await late.say(f"\\hello 1 alice session=1 got=1 sent=0 call=1 console=c1{take}")
        assert [line.split()[:2] for line in await late.rest()] == [["\\error", "displaced"]]
        await console.say("\\ack 1", "alice> still here")
        assert "\\ack 1" in await console.news()

    run(tmp_path)


@with_service(keep="none", turns=Turns.FREE)
async def test_repeated_messages_are_marked_as_the_consoles_own(service: InProcessService) -> None:
    console = await service.console(" console=c1")
    peer, token = await service.peer("Hi!")
    await console.say("\\ack 1", "alice> one")
    await console.news()
    await service.restart()
    peer = await service.resume(token, got=1)
    other = await service.console(" session=1 got=1 sent=1 console=c2")
    await other.say("alice> two")
    await other.news()
    await peer.say("\\ack 2")
    await peer.news()
    await service.lose(other)
    back = await service.console(" session=1 got=1 sent=0 console=c1")
    flags = [at.split(" ", 2)[2] for at in await back.news() if at.startswith("\\at ")]
    assert flags == ["own mine gone", "own gone"]


@with_service()
async def test_a_console_that_cannot_attach_changes_no_handle(service: InProcessService) -> None:
    await service.peer("Hi!")
    service.switchboard.journal_failed(JournalError("broken"))
    before = service.switchboard.handle
    refused = await service.connect(service.console_session("alice (pid 8)"))
    service.journal.running = _fails  # type: ignore[method-assign]
    await refused.say("\\hello 1 mallory")
    assert (await refused.rest())[-1].startswith("\\error journal")
    assert service.switchboard.handle == before


@with_service(grace=0.0)
async def test_a_token_resumes_after_the_grace_time_at_a_free_seat(service: InProcessService) -> None:
    peer, token = await service.peer("Hi!")
    await service.lose(peer)
    await service.greeted("Eve")  # a hello is not enough to take the seat
    peer, hello = await service.resumed(token)
    assert (hello.session, hello.got) == (token, 1)


@with_service(grace=0.0)
async def test_a_new_caller_ends_the_conversation_after_the_grace_time(service: InProcessService) -> None:
    peer, token = await service.peer("Hi!")
    await service.lose(peer)
    await service.peer("Me now", handle="Eve")
    assert service.stored() == ["Me now"]
    late = await service.resume(token, "Bob> still there?")
    assert (await late.rest())[-1].startswith(
        "\\quit the caller did not come back in time, and somebody else called"
    )
    assert service.stored() == ["Me now"]


@with_service()
async def test_the_seat_is_kept_after_a_restart(service: InProcessService) -> None:
    _, token = await service.peer("Hi!")
    await service.restart()
    caller = await service.call("\\hello 1 Eve")
    assert (await caller.hear()).startswith("\\busy")
    peer = await service.resume(token, "Bob> back")
    assert any(
        line.startswith("\\error turn") for line in await peer.rest()
    )  # it is known, and it is not its turn


# ------------------------------------------------------------------ commit first


@with_service()
async def test_acks_and_messages_are_sent_after_the_commit(service: InProcessService) -> None:
    console, peer, _ = await service.talk()
    append, early = service.journal.append, []

    def spy(*args: Any) -> None:
        append(*args)
        early.append(peer.waiting() + console.waiting())

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(service.journal, "append", spy)
        await console.say("alice> Hello")
        assert await console.hear() == "\\ack 1"
        assert await peer.hear() == "alice> Hello"
        await peer.say("Bob> How are you?")
        assert await peer.hear() == "\\ack 2"
        assert await console.hear() == "Bob> How are you?"
    assert early == [b"", b""]


@with_service()
async def test_a_peers_message_that_is_not_stored_does_not_count(service: InProcessService) -> None:
    console = await service.console()
    peer, token = await service.peer("Hi!")
    await console.say("alice> Hello")
    await console.news()
    await peer.news()
    service.break_journal()
    await peer.say("Bob> How are you?")
    assert (await peer.rest())[-1].startswith("\\error journal")
    assert "Bob> How are you?" not in await console.news()
    assert service.counts() == (1, 1)
    assert service.stored() == ["Hi!", "Hello"]
    again = await service.resume(token, "Bob> How are you?", got=1)
    assert "\\ack 2" in await again.news()
    assert "Bob> How are you?" in await console.news()
    assert service.stored() == ["Hi!", "Hello", "How are you?"]


@with_service()
async def test_an_operators_message_that_is_not_stored_does_not_count(
    service: InProcessService,
) -> None:
    console, peer, _ = await service.talk()
    service.break_journal()
    await console.say("alice> Hello")
    assert (await console.rest())[-1].startswith("\\error journal")
    assert "alice> Hello" not in await peer.news()
    assert service.counts() == (1, 0)
    await service.lose(console)
    console = await service.console(" session=1 got=1 sent=0")
    await console.say("alice> Hello")
    assert "\\ack 1" in await console.news()
    assert "alice> Hello" in await peer.news()


@with_service()
async def test_a_first_message_that_cannot_be_stored_takes_no_seat(service: InProcessService) -> None:
    caller, _ = await service.greeted()
    service.break_journal()
    await caller.say("Bob> Hi!")
    assert (await caller.rest())[-1].startswith("\\error journal")
    assert service.switchboard.seat_is_free()
    assert service.stored() == []
    await service.peer("Hi!")


@with_service()
async def test_a_quit_that_is_not_stored_does_not_end_the_conversation(service: InProcessService) -> None:
    peer, token = await service.peer("Hi!")
    service.break_journal()
    await peer.say("\\quit")
    assert (await peer.rest())[-1].startswith("\\error journal")
    _, hello = await service.resumed(token)
    assert hello.session == token


def _end_in_doubt(service: InProcessService) -> None:
    """Makes the next end durable, and yet report an error, as when a sync fails after the write."""
    end, patch = service.journal.end_conversation, pytest.MonkeyPatch()

    def fail(conversation: Conversation, reason: str, now: datetime, by: Role | None) -> None:
        patch.undo()
        end(replace(conversation), reason, now, by)
        raise JournalError("The journal cannot be used: disk I/O error.")

    patch.setattr(service.journal, "end_conversation", fail)


def _quits(lines: list[str]) -> list[str]:
    return [line for line in lines if line.startswith("\\quit")]


@with_service()
async def test_a_peers_quit_in_doubt_is_an_end(service: InProcessService) -> None:
    """Each end is told once, with the reason, as soon as the journal can be read."""
    console, peer, token = await service.talk(acked=True)
    _end_in_doubt(service)
    await peer.say("\\quit bye")
    told = await peer.rest()
    assert told[-1].startswith("\\error journal")
    assert _quits([*told, *await console.news()]) == []
    again = await service.resume(token)
    assert without_times(await again.rest())[-1:] == ["\\quit bye"]
    assert _quits(await console.news()) == ["\\quit bye"]
    assert (service.switchboard.conversation, service.switchboard.peer, service.stored()) == (None, None, [])
    await service.peer("Next", handle="Carol")
    assert _quits(await console.news()) == []


@with_service()
async def test_an_operators_quit_in_doubt_is_an_end(service: InProcessService) -> None:
    console, peer, _ = await service.talk(acked=True)
    _end_in_doubt(service)
    await console.say("\\quit bye")
    told = await console.rest()
    assert told[-1].startswith("\\error journal")
    assert _quits([*told, *await peer.news()]) == []
    await service.lose(console)
    console = await service.console(" session=1 got=1 sent=0")
    assert _quits(await peer.rest()) == ["\\quit bye"]
    await console.say("\\ack 1")
    assert _quits(await console.news()) == ["\\quit bye"]
    assert (service.switchboard.conversation, service.switchboard.peer, service.stored()) == (None, None, [])
    assert _quits(await console.news()) == []


@with_service(turns=Turns.FREE)
async def test_a_message_after_an_end_in_doubt_is_not_stored(service: InProcessService) -> None:
    console, peer, token = await service.talk(acked=True)
    _end_in_doubt(service)
    await peer.say("\\quit bye")
    await peer.rest()
    await console.say("alice> But")
    lines = await console.news()
    assert _quits(lines) == ["\\quit bye"]
    assert not any(line.startswith("\\ack") for line in lines)
    again = await service.resume(token, "Bob> more")
    assert _quits(await again.rest()) == ["\\quit bye"]
    assert [e.text for e in service.journal.entries(1, 0)] == ["Hi!"]


@with_service(turns=Turns.FREE)
async def test_a_classic_peers_message_in_doubt_is_stored_once(service: InProcessService) -> None:
    console = await service.console()
    peer = await service.classic("Bob> Hi!")
    await console.news()
    service.fail_next_append(durable=True)
    await peer.say("more")
    await peer.rest()
    await service.lose(peer)
    assert [e.text for e in service.journal.entries(1, 0)] == ["Hi!", "more"]
    assert [text for text in await console.news() if text.startswith("Bob> ")] == ["Bob> more"]


@with_service(turns=Turns.FREE)
async def test_an_answer_to_a_classic_message_in_doubt_doubles_it_not(service: InProcessService) -> None:
    """The answer comes before the daemon has closed the connection on which the message failed."""
    console = await service.console()
    peer = await service.classic("Bob> Hi!")
    await console.news()
    service.fail_next_append(durable=True)
    await peer.say("more")
    await console.news()
    await console.say("alice> Hello")
    await console.news()
    assert not service.is_closed(peer)
    assert [e.text for e in service.journal.entries(1, 0)] == ["Hi!", "more", "Hello"]


@with_service(turns=Turns.FREE)
async def test_a_message_in_doubt_reaches_a_peer_that_quits(service: InProcessService) -> None:
    console, peer, _ = await service.talk(acked=True)
    service.fail_next_append(durable=True)
    await console.say("alice> in doubt")
    await console.rest()
    await peer.say("\\quit")
    assert "alice> in doubt" in await peer.rest()


@with_service(turns=Turns.FREE)
async def test_a_message_in_doubt_reaches_a_peer_that_is_blocked(service: InProcessService) -> None:
    console, peer, _ = await service.talk(acked=True)
    service.fail_next_append(durable=True)
    await console.say("alice> in doubt")
    await console.rest()
    visitor = await service.connect(service.console_session())
    await visitor.say("\\order block Bob")
    assert "alice> in doubt" in await peer.rest()


@with_service(turns=Turns.FREE)
async def test_a_message_in_doubt_reaches_a_console_that_quits(service: InProcessService) -> None:
    console, peer, _ = await service.talk(acked=True)
    service.fail_next_append(durable=True)
    await peer.say("Bob> in doubt")
    await peer.rest()
    await console.say("\\quit")
    assert "Bob> in doubt" in await console.news()


@with_service(turns=Turns.FREE)
async def test_a_peer_goes_on_behind_a_message_in_doubt(service: InProcessService) -> None:
    console, peer, _ = await service.talk(acked=True)
    service.fail_next_append(durable=True)
    await console.say("alice> in doubt")
    await console.rest()
    await peer.say("Bob> more")
    lines = await peer.news()
    assert "alice> in doubt" in lines
    assert "\\ack 2" in lines
    assert service.stored() == ["Hi!", "in doubt", "more"]


@with_service(turns=Turns.FREE)
async def test_a_console_follows_a_conversation_that_began_in_doubt(service: InProcessService) -> None:
    console, peer, _ = await service.talk()
    await peer.say("\\quit")
    await peer.rest()
    caller, token = await service.greeted("Eve")
    service.fail_next_append(durable=True)
    await caller.say("Eve> Hi!")
    await caller.rest()
    await console.say("\\ack 1")  # only then the daemon tells it the end, and the next conversation
    assert (await console.news())[-1] == "Eve> Hi!"
    again = await service.call(f"\\hello 1 Eve session={token} got=0")
    await again.say("Eve> Hello?")
    await again.news()
    assert (await console.news())[-1] == "Eve> Hello?"


@with_service()
async def test_who_began_in_doubt_keeps_the_seat(service: InProcessService) -> None:
    caller, token = await service.greeted()
    service.fail_next_append(durable=True)
    await caller.say("Bob> Hi!")
    await caller.rest()
    service.switchboard._seat_kept_until = 0.0  # as if the daemon had run for long
    (busy,) = await (await service.call("\\hello 1 Eve")).rest()
    assert busy.startswith("\\busy ")
    _, hello = await service.resumed(token)
    assert (hello.session, hello.got) == (token, 1)


@with_service()
async def test_a_talk_of_a_damaged_journal_is_not_taken_for_a_new_one(service: InProcessService) -> None:
    _, peer, _ = await service.talk()  # the console has not acked, and does not read the end: its connection stays
    service.damage_journal()
    await peer.rest()
    caller, _ = await service.greeted("Eve")
    service.fail_next_append(durable=True)
    await caller.say("Eve> Hi!")
    await caller.rest()
    assert service.switchboard.operator is not None
    service.switchboard.reload_from_journal()
    running = service.switchboard.conversation
    assert running is not None
    assert (running.id, running.handle) == (1, "Eve")


@pytest.mark.parametrize("look", [Switchboard.check_journal, status_json])
def test_a_look_at_the_state_that_finds_damage_ends_the_talk(
    tmp_path: Path, look: Callable[[Switchboard], object]
) -> None:
    """Its file is set aside then, and the next one does not have the conversation."""

    @with_service()
    async def check(service: InProcessService) -> None:
        peer, _ = await service.peer("Hi!")
        service.journal.close()
        service.file.write_bytes(b"no database" * 1000)
        look(service.switchboard)
        assert (await peer.rest())[-1] == f"\\quit {JOURNAL_DAMAGED}"
        assert service.switchboard.conversation is None
        await service.peer("Hi!", handle="Eve")

    check(tmp_path)


@with_service()
async def test_an_end_found_in_the_journal_is_reported_to_systemd(service: InProcessService) -> None:
    changes: list[bool] = []
    service.switchboard._changed = lambda: changes.append(service.switchboard.conversation is None)
    peer, _ = await service.peer("Hi!")
    _end_in_doubt(service)
    await peer.say("\\quit")
    await peer.rest()
    assert not changes[-1]
    service.switchboard.reload_from_journal()
    assert changes[-1]


@with_service(turns=Turns.FREE)
async def test_the_messages_of_one_read_are_stored_in_one_transaction(service: InProcessService) -> None:
    console, peer, _ = await service.talk()
    statements: list[str] = []
    service.journal._db.set_trace_callback(statements.append)
    await peer.say(*(f"Bob> {n}" for n in range(100)))
    assert await peer.news() == ["\\ack 101"]
    assert statements.count("COMMIT") == 1
    assert await console.news() == [f"Bob> {n}" for n in range(100)]
    await console.say(*(f"alice> {n}" for n in range(100)))
    assert await console.news() == ["\\ack 100"]
    assert statements.count("COMMIT") == 2


@with_service(turns=Turns.FREE)
async def test_a_classic_peers_read_is_stored_in_one_transaction(service: InProcessService) -> None:
    peer = await service.classic("Bob> Hi!")
    console = await service.console()
    await console.news()
    statements: list[str] = []
    service.journal._db.set_trace_callback(statements.append)
    await peer.say(*(f"Bob> {n}" for n in range(50)))
    while await console.hear() != "Bob> 49":
        pass
    assert statements.count("COMMIT") == 1


# ------------------------------------------------------------------ broken rules


@with_service()
async def test_a_peer_out_of_turn_gets_the_ack_then_an_error(service: InProcessService) -> None:
    peer, token = await service.greeted()
    await peer.say("Bob> one", "Bob> two", "Bob> three")
    lines = await peer.rest()
    assert lines[0] == "\\ack 1"
    assert [line.split()[:2] for line in lines[1:]] == [["\\error", "turn"]]
    assert service.stored() == ["one"]
    _, hello = await service.resumed(token)
    assert hello.got == 1


@with_service()
async def test_an_operator_out_of_turn_gets_the_ack_then_an_error(service: InProcessService) -> None:
    console, peer, _ = await service.talk()
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
    @with_service()
    async def check(service: InProcessService) -> None:
        caller = await service.call(*said)
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
    @with_service()
    async def check(service: InProcessService) -> None:
        console = await service.connect(service.console_session())
        await console.say(*said)
        assert [line.split()[1] for line in await console.rest() if line.startswith("\\error")] == [code]

    check(tmp_path)


@pytest.mark.parametrize(
    ("code", "data"),
    [
        ("utf-8", b"\\hello 1 B\xffb\n"),
        ("control", b"\\hello 1 B\0b\n"),
        ("handle", b"\\hello 1 Elevenchars\n"),
        ("handle", b"\\hello 1 a>b\n"),
        ("handle", "\\hello 1 a\u202eb\n".encode()),
        ("version", b"\\hello 2 Bob\n"),
        ("syntax", b"\\hello 1\n"),
        ("syntax", b"\\hello one Bob\n"),
        ("syntax", b"\\hello 1 Bob session=\xc3\xa4\n"),
        ("syntax", b"\\hello 1 Bob got=-1\n"),
        ("too-long", b"\\hello 1 Bob x=" + b"x" * 5000),
    ],
)
def test_a_bad_hello_gets_its_code_and_words(tmp_path: Path, code: str, data: bytes) -> None:
    @with_service()
    async def check(service: InProcessService) -> None:
        caller = await service.call()
        await caller.raw(data)
        (answer,) = await caller.rest()
        assert answer.startswith(f"\\error {code} ")
        assert len(answer.split()) > 3  # words for people
        await service.peer("Hi!", handle="Next")

    check(tmp_path)


@pytest.mark.parametrize(
    ("code", "data"),
    [
        ("utf-8", b"Bob> Hi \xc3\x28!\n"),
        ("control", b"Bob> Hi\0!\n"),
        ("control", b"Bob> Hi\x1b[2J!\n"),
        ("handle", b"Elevenchars> Hi!\n"),
        ("handle", b"Somebody> Hi!\n"),
        ("handle", b"two words> Hi!\n"),
        ("turn", b"Bob> and another\n"),
        ("hello", b"\\hello 1 Bob\n"),
        ("too-long", b"Bob> " + b"x" * 501 + b"\n"),
        ("empty", b"Bob> \n"),
        ("syntax", b"no handle in front\n"),
        ("ack", b"\\ack 1\n"),
        ("syntax", b"\\ack many\n"),
    ],
)
def test_a_broken_rule_loses_no_acked_message(tmp_path: Path, code: str, data: bytes) -> None:
    @with_service()
    async def check(service: InProcessService) -> None:
        console = await service.console()
        peer, token = await service.peer("Hi!")
        await peer.raw(data)
        (answer,) = await peer.rest()
        assert answer.startswith(f"\\error {code} ")
        assert len(answer.split()) > 3
        assert "Bob> Hi!" in await console.news()
        assert service.stored() == ["Hi!"]
        _, hello = await service.resumed(token)
        assert hello.got == 1

    check(tmp_path)


@with_service()
async def test_a_peers_unknown_verbs_are_ignored(service: InProcessService) -> None:
    peer, _ = await service.greeted()
    await peer.say("\\dance the=tango", "\\typing", "Bob> Hi!")
    assert await peer.news() == ["\\ack 1"]


@with_service()
async def test_a_peer_cannot_ask_for_version_0(service: InProcessService) -> None:
    """Inside the daemon, version 0 stands for a classic peer."""
    caller = await service.call("\\hello 0 Bob", "Bob> Hi!")
    assert (await caller.hear()).startswith("\\error version")


@with_service()
async def test_a_wrong_ack_does_not_lose_the_message_before_it(service: InProcessService) -> None:
    caller, _ = await service.greeted()
    await caller.say("Bob> Hi!", "\\ack 9")
    lines = await caller.rest()
    assert lines[0] == "\\ack 1"
    assert lines[1].startswith("\\error ack")


@with_service()
async def test_an_ack_of_more_than_was_sent_is_an_error(service: InProcessService) -> None:
    peer, _ = await service.peer("Hi!")
    await peer.say("\\ack 1")
    assert (await peer.hear()).startswith("\\error ack")


# ------------------------------------------------------------------ resume


@pytest.mark.parametrize("restarted", [False, True])
def test_a_returning_peer_gets_the_missed_messages_in_order(tmp_path: Path, restarted: bool) -> None:
    @with_service(turns=Turns.FREE)
    async def check(service: InProcessService) -> None:
        peer, token = await service.peer("Hi!")
        console = await service.console()
        await console.news()
        await console.say("alice> one", "alice> two", "alice> three")
        await console.news()
        await service.lose(peer)
        await console.say("alice> four")
        assert await console.news() == ["\\away", "\\ack 4"]
        if restarted:
            await service.restart()
        again, hello = await service.resumed(token, got=1)
        assert (hello.session, hello.got, hello.turns) == (token, 1, Turns.FREE)
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


@with_service()
async def test_messages_sent_again_have_their_time(service: InProcessService) -> None:
    service.fill(Role.OPERATOR, ["Hello"])
    again = await service.resume(TOKEN)
    assert (await again.news())[-2:] == ["\\at 2024-05-01T00:00:00.000Z", "alice> Hello"]


@with_service()
async def test_a_valid_token_displaces_a_dead_connection(service: InProcessService) -> None:
    console = await service.console()
    ghost, token = await service.peer("Hi!")
    await console.news()
    again = await service.resume(token)
    assert (await ghost.hear()).startswith("\\error displaced")
    await ghost.say("Bob> from beyond")
    assert await ghost.rest() == []
    await service.lose(ghost)
    assert service.switchboard.peer is not None
    await console.say("alice> Hello")
    assert (await again.news())[-1] == "alice> Hello"
    assert service.stored() == ["Hi!", "Hello"]


@with_service()
async def test_a_caller_with_an_unknown_token_gets_a_new_one(service: InProcessService) -> None:
    caller = await service.call("\\hello 1 Bob session=0123 got=3")
    hello = await hello_of(caller)
    assert hello.session != "0123"
    assert hello.got is None


@with_service(turns=Turns.FREE)
async def test_an_ended_conversations_token_gets_the_rest_and_quit(service: InProcessService) -> None:
    peer, token = await service.peer("Hi!")
    console = await service.console()
    await console.news()
    await service.lose(peer)
    await console.say("alice> one", "alice> two", "\\quit bye")
    await console.news()
    assert service.switchboard.conversation is None
    again = await service.resume(token, "Bob> too late", got=1)
    lines = await again.news()
    await again.say("\\ack 2")
    lines += await again.rest()
    assert without_times(lines)[-2:] == ["alice> two", "\\quit bye"]
    assert not any(line.startswith("\\ack") for line in lines)


# ------------------------------------------------------------------ the end


@with_service()
async def test_a_quit_ends_the_conversation_and_frees_the_seat(service: InProcessService) -> None:
    console = await service.console()
    peer, _ = await service.peer("Hi!")
    await console.say("\\ack 1")
    await peer.say("\\quit I have to go")
    await peer.rest()
    assert (await console.news())[-1] == "\\quit I have to go"
    await service.peer("Next", handle="Carol")


@with_service()
async def test_a_message_that_crosses_the_end_is_not_acked(service: InProcessService) -> None:
    console, peer, _ = await service.talk()
    await console.say("\\ack 1", "alice> Bye", "\\quit")
    await console.news()
    await peer.say("Bob> But", "\\ack 1")
    assert await peer.rest() == ["\\read 1", "alice> Bye", "\\quit"]
    assert service.journal.running() is None


@with_service()
async def test_a_message_for_the_last_peer_does_not_reach_the_next(service: InProcessService) -> None:
    console, peer, _ = await service.talk(acked=True)
    await peer.say("\\quit")
    await peer.rest()
    eve, _ = await service.peer("Me now", handle="Eve")
    await console.say_blindly("alice> for Bob only")  # sent before the daemon told it the end
    await console.news()
    assert await eve.news() == []
    assert service.stored() == ["Me now"]


@with_service()
async def test_a_quit_for_the_last_conversation_does_not_end_the_next(service: InProcessService) -> None:
    console, peer, _ = await service.talk(acked=True)
    await peer.say("\\quit")
    await peer.rest()
    eve, _ = await service.peer("Me now", handle="Eve")
    await console.say_blindly("\\quit")
    await console.news()
    assert await eve.news() == []
    assert service.stored() == ["Me now"]


@with_service()
async def test_a_stop_is_told_to_both_ends_and_the_conversation_stays(service: InProcessService) -> None:
    console, peer, token = await service.talk()
    service.switchboard.stop()
    assert [line.split()[1] for line in await peer.rest()] == ["stopping"]
    assert [line.split()[1] for line in await console.rest()] == ["stopping"]
    await service.restart()
    _, hello = await service.resumed(token)
    assert hello.got == 1


# ------------------------------------------------------------------ read marks, away and here


@with_service()
async def test_an_ack_of_one_end_is_a_read_mark_for_the_other(service: InProcessService) -> None:
    console, peer, _ = await service.talk()
    await console.say("\\ack 1", "alice> Hello")
    assert await console.news() == ["\\ack 1"]
    assert await peer.news() == ["\\read 1", "alice> Hello"]
    await peer.say("\\ack 1")
    assert await peer.news() == []
    assert await console.news() == ["\\read 1"]


@with_service()
async def test_read_marks_are_sent_again_after_a_restart(service: InProcessService) -> None:
    console = await service.console()
    peer, token = await service.peer("Hi!")
    await console.say("\\ack 1", "alice> Hello")
    await console.news()
    await peer.say("\\ack 1")
    await peer.news()
    await service.restart()
    again = await service.resume(token, got=1)
    assert (await again.news())[1:] == ["\\read 1", "\\away"]
    console = await service.console()
    assert "\\read 1" in await console.news()


@with_service()
async def test_the_count_of_a_resume_is_a_read_mark_for_the_console(service: InProcessService) -> None:
    console = await service.console()
    peer, token = await service.peer("Hi!")
    await console.say("alice> Hello")
    await console.news()
    await service.lose(peer)
    assert await console.news() == ["\\away"]
    await (await service.resume(token, got=1)).news()
    assert sorted(await console.news()) == [f"\\here Bob address={ADDRESS}", "\\read 1"]


@with_service()
async def test_callers_are_told_whether_a_console_is_attached(service: InProcessService) -> None:
    peer, _ = await service.greeted()
    console = await service.console()
    assert await peer.news() == ["\\here alice"]
    await peer.say("Bob> Hi!")
    assert await peer.news() == ["\\ack 1"]
    await service.lose(console)
    assert await peer.news() == ["\\away"]


@with_service(away="I read every evening")
async def test_callers_get_the_words_of_who_is_away(service: InProcessService) -> None:
    peer = await service.call("\\hello 1 Bob", "Bob> Hi!")
    assert (await peer.news())[1:] == ["\\away I read every evening", "\\ack 1"]
    console = await service.console()
    await console.say("\\away Back at nine")
    await console.news()
    await service.lose(console)
    assert await peer.news() == ["\\here alice", "\\away Back at nine"]
    await service.restart()
    again = await service.call("\\hello 1 Ann", "\\quit")  # the seat is kept for Bob
    await again.rest()
    assert service.switchboard.away.words == "Back at nine"
    await service.lose(await service.console())
    assert service.switchboard.away.words == "I read every evening"


@with_service()
async def test_only_the_attached_console_says_why_it_leaves(service: InProcessService) -> None:
    old = await service.console()
    await service.console(" take=1")
    await old.say("\\away Gone fishing")
    await old.rest()
    assert service.switchboard.away.words == ""


@with_service()
async def test_the_console_is_told_whether_the_peer_is_connected(service: InProcessService) -> None:
    console = await service.console()
    peer, token = await service.peer("Hi!")
    assert "\\away" not in await console.news()
    await service.lose(peer)
    assert await console.news() == ["\\away"]
    await service.lose(console)
    console = await service.console()
    assert "\\away" in await console.news()
    await service.resume(token)
    assert await console.hear() == f"\\here Bob address={ADDRESS}"


# ------------------------------------------------------------------ consoles


@with_service()
async def test_a_new_console_gets_the_whole_running_conversation(service: InProcessService) -> None:
    conversation = service.fill(Role.OPERATOR, ["Hello"])
    await service.resume(TOKEN, got=1)
    console = await service.console()
    peer = await console.frame()
    assert isinstance(peer, wire.Peer)
    assert (peer.handle, peer.session, peer.got) == ("Bob", conversation.id, 1)
    assert (peer.address, peer.turns, peer.since) == (ADDRESS, Turns.FREE, conversation.started)
    assert [line for line in await console.news() if line[1:] not in ("away", "here", "read 1", "ready")] == [
        "\\at 2024-05-01T00:00:00.000Z",
        "Bob> Hi",
        "\\at 2024-05-01T00:00:00.000Z own",
        "alice> Hello",
    ]


@with_service(turns=Turns.FREE)
async def test_a_console_that_comes_back_gets_only_what_it_missed(service: InProcessService) -> None:
    console = await service.console()
    peer, _ = await service.peer("p1")
    await console.say("alice> a1", "alice> a2")
    await console.news()
    await peer.say("Bob> p2")
    await peer.news()
    await service.lose(console)
    await peer.say("Bob> p3")
    await peer.news()
    console = await service.console(" session=1 got=1 sent=1")
    lines = without_times(await console.news())
    assert [line for line in lines if not line.startswith("\\")] == ["alice> a2", "Bob> p2", "Bob> p3"]
    await console.say("alice> a3")
    assert await console.news() == ["\\ack 3"]


@with_service()
async def test_a_console_with_impossible_counts_gets_everything(service: InProcessService) -> None:
    await service.peer("Hi!")
    console = await service.console(" session=1 got=5 sent=0")
    assert "Bob> Hi!" in await console.news()


@with_service()
async def test_a_console_with_a_number_out_of_range_gets_everything(service: InProcessService) -> None:
    await service.peer("Hi!")
    console = await service.console(f" session={64 * '9'} got=0 sent=0")
    assert "Bob> Hi!" in await console.news()


@with_service()
async def test_missed_conversations_come_in_order_each_with_its_quit(service: InProcessService) -> None:
    for handle in ("Ann", "Ben", "Cid"):
        peer, _ = await service.peer(f"I am {handle}", handle=handle)
        await peer.say(f"\\quit from {handle}")
        await peer.rest()
    await service.peer("I am here", handle="Dan")
    console = await service.console()
    for handle in ("Ann", "Ben", "Cid"):
        assert isinstance(peer_line := await console.frame(), wire.Peer)
        assert peer_line.handle == handle
        assert without_times(await console.news()) == [f"{handle}> I am {handle}"]  # and no quit before the ack
        await console.say("\\ack 1")
        assert await console.hear() == f"\\quit from {handle}"
    assert isinstance(peer_line := await console.frame(), wire.Peer)
    assert peer_line.handle == "Dan"
    await service.lose(console)
    console = await service.console()
    assert isinstance(peer_line := await console.frame(), wire.Peer)
    assert peer_line.handle == "Dan"  # the console has acked the others


@with_service()
async def test_a_consoles_ack_does_not_count_for_the_next_conversation(service: InProcessService) -> None:
    console = await service.console()
    bob, _ = await service.peer("Hi!")
    await bob.say("\\quit")
    await bob.rest()
    eve, _ = await service.peer("Me now", handle="Eve")
    assert "Eve> Me now" not in await console.news()
    await console.say("\\ack 1")
    assert (await console.news())[-1] == "Eve> Me now"
    assert await eve.news() == []
    await console.say("\\ack 1")
    await console.news()
    assert await eve.news() == ["\\read 1"]


@with_service()
async def test_a_second_console_is_refused_unless_it_takes_over(service: InProcessService) -> None:
    first = await service.console()
    await service.peer("Hi!")
    await first.news()
    second = await service.connect(service.console_session("carol"))
    await second.say("\\hello 1 carol")
    assert [line.split()[1] for line in await second.rest()] == ["held"]
    third = await service.console(" take=1")
    assert [line.split()[1] for line in await first.rest()] == ["taken-over"]
    assert "Bob> Hi!" in await third.news()
    await service.lose(first)
    assert service.switchboard.operator is not None


@with_service(handle="sysop")
async def test_the_settings_handle_replaces_a_suggested_one_only(service: InProcessService) -> None:
    console = await service.connect(service.console_session())
    await console.say("\\hello 1 alice suggested=1")
    assert (await console.hear()).split()[2] == "sysop"
    await service.lose(console)
    console = await service.connect(service.console_session())
    await console.say("\\hello 1 alice")
    assert (await console.hear()).split()[2] == "alice"


@with_service()
async def test_asking_for_the_status_attaches_no_console(service: InProcessService) -> None:
    await service.peer("Hi!")
    console = await service.connect(service.console_session())
    await console.say("\\status")
    answer = await console.frame()
    assert isinstance(answer, wire.Status)
    report = json.loads(answer.report)
    assert (report["port"], report["console"]) == (7000, None)
    assert (report["peer"]["handle"], report["peer"]["received"], report["peer"]["connected"]) == ("Bob", 1, True)
    assert "Hi!" not in answer.report


# ------------------------------------------------------------------ slow readers

TEXTS = [f"{n:04} {'x' * 395}" for n in range(5000)]  # twice as much as may wait unsent


@with_service(turns=Turns.FREE)
async def test_a_peer_that_does_not_read_is_sent_nothing_more(service: InProcessService) -> None:
    console, peer, _ = await service.talk(acked=True)
    session = service.switchboard.peer
    assert isinstance(session, PeerSession)
    session.connection.writable = False
    await console.say("alice> Hello")
    await console.news()
    assert "alice> Hello" not in await peer.news()
    session.connection.writable = True
    session.resume_writing(session.connection)
    assert "alice> Hello" in await peer.news()


@with_service(turns=Turns.FREE)
async def test_a_slow_peer_gets_everything_in_order_without_a_queue(service: InProcessService) -> None:
    service.fill(Role.OPERATOR, TEXTS)
    peer, _ = await service.resumed(TOKEN)
    console = await service.console(" session=1 got=1 sent=5000")
    await console.say("alice> live")  # comes after what the peer has not read yet
    await console.news()
    biggest = service.transport(peer).get_write_buffer_size()
    assert 0 < biggest < UNSENT_MAX / 4
    heard: list[str] = []
    while len(heard) <= len(TEXTS):
        frame = await peer.frame()
        if isinstance(frame, wire.Message):
            heard.append(frame.text)
            biggest = max(biggest, service.transport(peer).get_write_buffer_size())
    assert heard == [*TEXTS, "live"]
    assert biggest < UNSENT_MAX / 4


@with_service(turns=Turns.FREE)
async def test_a_slow_console_gets_everything_in_order_without_a_queue(service: InProcessService) -> None:
    service.fill(Role.PEER, TEXTS)
    peer = await service.resume(TOKEN)
    await peer.news()
    console = await service.console()
    await peer.say("Bob> live")
    await peer.news()
    biggest = service.transport(console).get_write_buffer_size()
    assert 0 < biggest < UNSENT_MAX / 4
    heard: list[str] = []
    while len(heard) <= len(TEXTS) + 1:
        frame = await console.frame()
        if isinstance(frame, wire.Message):
            heard.append(frame.text)
            biggest = max(biggest, service.transport(console).get_write_buffer_size())
    assert heard == ["Hi", *TEXTS, "live"]
    assert biggest < UNSENT_MAX / 4


@with_service(turns=Turns.FREE)
async def test_a_slow_peer_gets_the_quit_after_the_last_message(service: InProcessService) -> None:
    service.fill(Role.OPERATOR, TEXTS)
    peer, _ = await service.resumed(TOKEN)
    console = await service.console(" session=1 got=1 sent=5000")
    await console.say("\\quit enough")
    await console.news()
    heard = [await peer.hear()]
    while not heard[-1].startswith("\\quit"):
        heard.append(await peer.hear())
    await peer.say("\\ack 5000")
    lines = without_times([*heard, *await peer.rest()])
    assert lines[-1] == "\\quit enough"
    assert [line for line in lines if not line.startswith("\\")] == [f"alice> {text}" for text in TEXTS]


# ------------------------------------------------------------------ classic peers


@with_service()
async def test_a_classic_peers_messages_wait_for_their_turn(service: InProcessService) -> None:
    peer = await service.classic("Bob> one", "Bob> two", "Bob> three")
    console = await service.console()
    assert isinstance(heading := await console.frame(), wire.Peer)
    assert heading.classic
    assert [line for line in await console.news() if line.startswith("Bob")] == ["Bob> one"]
    await console.say("alice> answer")
    assert await peer.hear() == "alice> answer"
    assert await console.news() == ["\\ack 1", "Bob> two"]
    peer.hang_up()
    assert await console.hear() == "Bob> three"  # delivered although its turn never came
    await console.say("\\ack 3")
    assert (await console.hear()).startswith("\\quit")
    assert service.switchboard.conversation is None


@with_service()
async def test_a_classic_peer_with_too_many_waiting_messages_is_closed(service: InProcessService) -> None:
    peer = await service.call("Bob> Hi!", *(f"Bob> {n}" for n in range(WAITING_MAX + 1)))
    assert [line.split()[:2] for line in await peer.rest()] == [["\\error", "waiting"]]


@with_service()
async def test_a_waiting_classic_message_survives_a_journal_failure(service: InProcessService) -> None:
    peer = await service.classic("Bob> one", "Bob> two", "Bob> three")
    console = await service.console()
    await console.news()
    await console.say("alice> answer")
    append, calls = service.journal.append, 0

    def fail_second(*args: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == 2:
            service.break_journal()
        append(*args)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(service.journal, "append", fail_second)
        await peer.rest()
        peer.hang_up()
        while service.switchboard.conversation is not None:
            await asyncio.sleep(0)
    assert [e.text for e in service.journal.entries(1, 0, limit=10)] == ["one", "answer", "two", "three"]


@with_service()
async def test_a_classic_peer_that_leaves_while_the_journal_fails_is_gone(service: InProcessService) -> None:
    peer = await service.classic("Bob> Hi!")
    console = await service.console()
    await console.say("\\ack 1")
    await console.news()
    service.break_journal()
    await service.cut(peer)
    assert await console.news() == [f"\\notice {FAILED}", "\\away"]
    await console.say("alice> Are you there?")
    assert without_times(await console.news()) == ["\\quit the connection was lost"]
    assert [entry.text for entry in service.journal.entries(1, 0)] == ["Hi!"]
    await service.peer("Hi!")


@with_service()
async def test_nothing_is_stored_for_a_classic_peer_that_has_gone(service: InProcessService) -> None:
    """Not even while only the end of its conversation cannot be stored."""
    peer = await service.classic("Bob> Hi!")
    console = await service.console()
    await console.say("\\ack 1")
    await console.news()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(service.journal, "end_conversation", lambda *_: _fails())
        await service.cut(peer)
        await console.say("alice> Are you there?")
        assert await console.news() == [f"\\notice {FAILED}", "\\away"]
    await console.say("alice> Are you there?")
    assert without_times(await console.news()) == ["\\quit the connection was lost"]


@with_service()
async def test_a_classic_conversation_does_not_outlive_the_daemon(service: InProcessService) -> None:
    await service.classic("Bob> Hi!")
    console = await service.console()
    await console.news()
    service.switchboard.stop()
    assert service.journal.running() is None
    await service.restart()
    assert service.switchboard.conversation is None


# ------------------------------------------------------------------ what is kept


@with_service(keep="none")
async def test_keep_none_removes_texts_that_were_shown(service: InProcessService) -> None:
    console = await service.console()
    peer, _ = await service.peer("a secret")
    await console.news()
    assert service.stored() == ["a secret"]
    await console.say("\\ack 1", "alice> another")
    await console.news()
    assert service.stored() == ["", "another"]
    await peer.say("\\ack 1")
    await peer.news()
    assert service.stored() == ["", ""]


@with_service(keep="none")
async def test_the_peer_learns_what_was_read_if_it_cannot_be_removed(service: InProcessService) -> None:
    console = await service.console()
    peer, _ = await service.peer("a secret")
    await console.news()
    service.break_journal()
    await console.say("\\ack 1")
    assert "\\read 1" in await peer.news()


@with_service(keep="30d")
async def test_keep_in_days_removes_old_conversations_at_the_start(service: InProcessService) -> None:
    _, peer, _ = await service.talk(acked=True)
    await peer.say("\\quit")
    await peer.rest()
    await service.restart()
    assert service.journal.by_id(1) is not None
    service.journal.close()
    with sqlite3.connect(service.file) as database:
        database.execute("UPDATE conversation SET ended = ended - 31 * 86400000")
    database.close()
    await service.restart()
    assert service.journal.by_id(1) is None
    assert service.journal.entries(1, 0, limit=10) == []


# ------------------------------------------------------------------ whose is what


async def _caller_with(service: InProcessService, certificate: bytes, *lines: str) -> AsyncEnd:
    """A caller that has shown a client certificate."""
    session = PeerSession(service.switchboard, ADDRESS, Anybody(), secure=True)
    session.connection.certificate = lambda: certificate  # type: ignore[method-assign]
    raw = await service.connect(session)
    await raw.say(*lines)
    return raw


@with_service()
async def test_a_token_alone_takes_no_callers_place(service: InProcessService) -> None:
    own = await _caller_with(service, b"own", "\\hello 1 Bob")
    token = (await hello_of(own)).session
    thief = await _caller_with(service, b"stolen", f"\\hello 1 Bob session={token} got=0 call=9")
    assert (await thief.rest())[-1].startswith("\\busy")
    await own.say("Bob> Hi!")
    assert "\\ack 1" in await own.news()


class _Named(Anybody):
    """Every certificate has the same name."""

    def __init__(self, name: str | None) -> None:
        self._name = name

    def name_of(self, certificate: bytes | None) -> str | None:
        return self._name


async def _named_caller(service: InProcessService, name: str | None, *lines: str) -> AsyncEnd:
    raw = await service.connect(PeerSession(service.switchboard, ADDRESS, _Named(name), secure=True))
    await raw.say(*lines)
    return raw


async def _peer_lines(service: InProcessService, question: str, *lines: str) -> list[str]:
    """The headings that a program at the console's socket gets."""
    raw = await service.connect(service.console_session())
    await raw.say(question, *lines)
    return [line for line in await raw.news() if line.startswith("\\peer")]


def _certificate(service: InProcessService) -> object:
    return json.loads(status_json(service.switchboard))["peer"]["certificate"]


@with_service()
async def test_who_reads_later_learns_whose_certificate_it_was(service: InProcessService) -> None:
    bob = await _named_caller(service, "bob-laptop", "\\hello 1 Bob", "Bob> Hi!")
    token = (await hello_of(bob)).session
    await bob.news()
    assert _certificate(service) == "bob-laptop"
    await service.restart()
    assert _certificate(service) == "bob-laptop", "also while he is away"
    for question in ("\\history", "\\watch", "\\hello 1 alice"):
        (line,) = await _peer_lines(service, question)
        assert line.endswith(" name=bob-laptop"), question
    bob = await _named_caller(service, "robert", f"\\hello 1 Bob session={token} got=0")  # renamed meanwhile
    await bob.news()
    assert _certificate(service) == "robert"
    await bob.say("\\quit")
    await bob.rest()
    await service.restart()
    (line,) = await _peer_lines(service, "\\hello 1 alice")
    assert line.endswith(" name=robert")


@with_service()
async def test_a_missed_call_tells_a_named_caller_from_a_stranger(service: InProcessService) -> None:
    for name in ("bob-laptop", None):
        caller = await _named_caller(service, name, "\\hello 1 Bob")
        await caller.news()
        await service.lose(caller)
    service.switchboard.missed.stop()
    await service.restart()
    told = [f"\\missed Bob address={ADDRESS} name=bob-laptop", f"\\missed Bob address={ADDRESS}"]
    watcher = await service.connect(service.console_session())
    await watcher.say("\\watch")
    console = await service.console()
    for end in (watcher, console):
        assert [line for line in await end.news() if line.startswith("\\missed")] == told
    caller = await _named_caller(service, "bob-laptop", "\\hello 1 Bob")
    await caller.news()
    await service.lose(caller)
    for end in (watcher, console):
        assert [line for line in await end.news() if line.startswith("\\missed")] == told[:1]


@with_service()
async def test_a_list_of_the_unread_tells_a_named_caller_from_a_stranger(service: InProcessService) -> None:
    for name in ("bob-laptop", None):
        caller = await _named_caller(service, name, "\\hello 1 Bob", "Bob> Hi!", "\\quit")
        await caller.rest()
    console = await service.connect(service.console_session())
    await console.say("\\order unread")
    stranger, bob = (line.split(" UTC", 1)[0][: -len("2026-01-01 00:00")] for line in (await console.rest())[:2])
    assert stranger == f"\\order 2: Bob from {ADDRESS}, "
    assert bob == f"\\order 1: Bob from {ADDRESS}, with the certificate of bob-laptop, "
    assert [line.split()[-1] for line in await _peer_lines(service, "\\history")] == [
        "name=bob-laptop",
        f"address={ADDRESS}",
    ]


@with_service()
async def test_a_call_without_a_number_forgets_no_newer_one(service: InProcessService) -> None:
    _, token = await service.peer("Hi!")
    await (await service.resume(token, call=3)).news()
    await (await service.resume(token)).news()
    late = await service.resume(token, call=2)
    assert (await late.rest())[-1].startswith("\\error displaced")


@with_service(turns=Turns.FREE)
async def test_a_refused_console_hears_of_the_conversation_it_names(service: InProcessService) -> None:
    console = await service.console(" console=c1")
    peer, _ = await service.peer("Hi!")
    await console.say("\\ack 1", "alice> one", "alice> two")
    await console.news()
    await peer.say("\\ack 2", "\\quit")
    await peer.rest()
    await service.lose(console)
    holder = await service.console(" console=c2")
    await service.peer("Hi!", handle="Eve")
    await holder.news()
    refused = await service.connect(service.console_session())
    await refused.say("\\hello 1 alice session=1 got=1 sent=0 console=c1")
    assert await refused.hear() == f"\\stored 2 digest={digest_of(['one', 'two'])}"


@with_service(keep="1d")
async def test_a_classic_end_after_a_crash_is_pruned_one_day(service: InProcessService) -> None:
    service.fill(Role.OPERATOR, ["Hello"])
    service.journal.close()
    with sqlite3.connect(service.file) as database:
        database.execute("UPDATE conversation SET token = NULL, operator_shown = 1")
    database.close()
    await service.restart()
    over = service.journal.by_id(1)
    assert over is not None
    assert (over.reason, over.ended_by, over.shown[Role.PEER]) == ("the daemon was stopped", None, 1)
    later = datetime.now(UTC) + timedelta(days=2)
    assert service.journal.prune(later) == (1, False)


@pytest.mark.parametrize("shown", [0, 1])
def test_a_console_that_comes_back_is_told_that_the_peer_is_away(tmp_path: Path, shown: int) -> None:
    @with_service()
    async def check(service: InProcessService) -> None:
        console, peer, _ = await service.talk()
        await service.lose(peer)
        await service.lose(console)
        lines = await (await service.console(f" session=1 got={shown} sent=0")).news()
        assert ("\\away" in lines, "Bob> Hi!" in without_times(lines)) == (True, not shown)

    check(tmp_path)


@with_service()
async def test_a_console_can_ask_for_an_older_unread_conversation(service: InProcessService) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(console_session, "UNREAD_SHOWN", 0)
        for handle in ("Ann", "Bob"):
            peer, _ = await service.peer(f"{handle} was here", handle=handle)
            await peer.say("\\quit")
            await peer.rest()
        console = await service.console()
        older = "\\notice Also unread: 2 older conversations. \\unread lists them; \\unread NUMBER shows one."
        assert await console.news() == [older, "\\ready"]
    await console.say("\\order unread 3")
    assert await console.news() == ["\\notice There is no unread conversation 3. \\unread lists them."]
    await console.say("\\order unread 1")
    assert without_times(await console.news())[-1] == "Ann> Ann was here"
    await console.say("\\order unread 2")
    (refused,) = await console.news()
    words = "\\notice Another conversation is open here, so this one cannot be shown now."
    assert refused == f"{words} Run 'pychatd-console --history --conversation 2 7000' to read it."
    await console.say("\\ack 1")
    assert without_times(await console.news()) == ["\\quit"]
    await console.say("\\order unread 1")
    assert await console.news() == ["\\notice There is no unread conversation 1. \\unread lists them."]
    await console.say("\\order unread 2", "\\ack 1")
    lines = without_times(await console.news())
    assert [line for line in lines if not line.startswith("\\peer")] == ["Bob> Bob was here", "\\quit"]


@with_service()
async def test_the_running_conversation_cannot_be_asked_for_as_unread(service: InProcessService) -> None:
    console, _, _ = await service.talk()
    await console.say("\\order unread 1")
    assert await console.news() == ["\\notice There is no unread conversation 1. \\unread lists them."]
