"""What a console's connection is answered, told and refused."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pychat_client.protocol import wire
from pychat_client.protocol.digest import UNACKED_MAX
from pychat_client.protocol.turns import Role, Turns
from pychatd.caller_words import was_damaged
from pychatd.conversation import console_session
from pychatd.conversation.console_session import ConsoleSession
from pychatd.conversation.journal import BATCH
from pychatd.conversation.journal_file import DAMAGED
from pychatd.conversation.model import JournalError
from pychatd.conversation.peer_session import PeerSession
from tests.support.in_process import ADDRESS, TOKEN, InProcessService, with_service
from tests.support.raw_ends import AsyncEnd

HOST = ADDRESS.partition(":")[0]


async def visit(service: InProcessService, *lines: str) -> AsyncEnd:
    """A connection to the console's socket that does not attach."""
    raw = await service.connect(service.console_session())
    await raw.say(*lines)
    return raw


def texts(lines: list[str]) -> list[str]:
    return [line for line in lines if not line.startswith("\\")]


def set_clock(service: InProcessService, later: timedelta) -> None:
    service.switchboard.now = lambda: datetime.now(UTC) + later  # type: ignore[method-assign]


# ------------------------------------------------------------------ the first line


@with_service()
async def test_a_visitor_that_sends_much_is_read_slowly(service: InProcessService) -> None:
    visitor, now = service.console_session(), asyncio.get_running_loop().time()
    assert visitor.pause_after(b"\\status\n", now) == 0.0
    assert visitor.pause_after(1000 * b"\\ping\n", now) > 0


@with_service()
async def test_an_order_is_answered_and_the_connection_closed(service: InProcessService) -> None:
    peer, _ = await service.peer("Hi!")
    await peer.say("\\quit")
    await peer.rest()
    listed = await (await visit(service, "\\order unread")).rest()
    assert [line.partition(",")[0] for line in listed] == [f"\\order 1: Bob from {ADDRESS}", "\\ready"]
    assert await (await visit(service, f"\\order block {HOST}")).rest() == [
        f"\\order The address {HOST} is blocked. 'pychatd unblock 7000 {HOST}' lets it call again.",
        "\\ready",
    ]
    assert await (await visit(service, "\\order forget 9")).rest() == [
        "\\error usage There is no conversation 9. 'pychatd-console --history 7000' shows the numbers of all."
    ]


@with_service()
async def test_an_order_of_a_later_version_asks_for_a_restart(service: InProcessService) -> None:
    (answer,) = await (await visit(service, "\\order praise Bob")).rest()
    assert answer == (
        "\\error usage The running daemon does not know the command 'praise'. If pychat was upgraded, restart the "
        "service."
    )


@with_service()
async def test_only_the_first_request_of_a_connection_is_met(service: InProcessService) -> None:
    assert await (await visit(service, "\\order unread", "\\order block Eve")).rest() == [
        "\\order No conversation is unread.",
        "\\ready",
    ]
    assert service.switchboard.blocklist.words == []
    for second in ("\\watch", "\\history", "\\backup", "\\hello 1 eve"):
        for first in ("\\watch", "\\history", "\\backup"):
            visitor = await visit(service, first, second)
            await visitor.news()
            await service.lose(visitor)
            assert (len(service.switchboard.watchers), service.switchboard.operator) == (0, None), (first, second)


@pytest.mark.parametrize("damaged", [False, True])
def test_a_console_is_told_that_the_journal_was_damaged(tmp_path: Path, damaged: bool) -> None:
    @with_service()
    async def check(service: InProcessService) -> None:
        if damaged:
            service.file.with_name(f"{service.file.name}{DAMAGED}2024").touch()
        lines = await (await service.console()).news()
        words = was_damaged(str(service.file.parent))
        assert (f"\\notice {words}" in lines) is damaged

    check(tmp_path)


@with_service()
async def test_an_order_that_the_journal_cannot_obey_says_so(service: InProcessService) -> None:
    def fail(*_: object, **__: object) -> list[object]:
        raise JournalError("The journal cannot be read.")

    console = await service.console()
    await console.news()
    service.journal.unread = fail  # type: ignore[method-assign, assignment]
    (answer,) = await (await visit(service, "\\order unread")).rest()
    assert answer.startswith("\\error journal The journal cannot be read.")
    await console.say("\\order unread")
    assert (await console.rest())[-1].startswith("\\error journal The journal cannot be read.")


@with_service()
async def test_the_history_is_sent_from_a_number_or_a_time_on(service: InProcessService) -> None:
    for handle in ("Ann", "Bob"):
        peer, _ = await service.peer(f"{handle} was here", handle=handle)
        await peer.say("\\quit bye")
        await peer.rest()
    everything = await (await visit(service, "\\history")).rest()
    assert texts(everything) == ["Ann> Ann was here", "Bob> Bob was here"]
    assert [everything.count("\\quit bye"), everything[-1]] == [2, "\\ready"]
    assert texts(await (await visit(service, "\\history conversation=2")).rest()) == ["Bob> Bob was here"]
    assert texts(await (await visit(service, "\\history since=2100-01-01T00:00Z")).rest()) == []


def test_what_visitors_do_is_in_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "pychatd")

    @with_service()
    async def check(service: InProcessService) -> None:
        for line in ("\\order unread", "\\history", "\\watch", "\\backup"):
            await (await visit(service, line)).news()
        console = await service.console()
        await service.lose(console)

    check(tmp_path)
    assert caplog.messages == [
        "console: alice orders: unread",
        "console: alice reads the history",
        "console: alice watches",
        "console: alice makes a backup",
        "console: alice (pid 7) attached",
        "console: alice (pid 7) detached",
    ]


def test_who_connects_and_says_nothing_is_put_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console_session, "CONSOLE_HELLO_SECONDS", 0.3)

    @with_service()
    async def check(service: InProcessService) -> None:
        console = await service.console()
        await service.closed(await service.connect(service.console_session()))  # it has come later
        assert not service.is_closed(console)  # who has attached may be silent

    check(tmp_path)


@with_service(keep="30d")
async def test_a_console_learns_how_long_messages_are_kept_and_the_key(service: InProcessService) -> None:
    service.switchboard.fingerprint = "SHA256:abc"
    raw = await visit(service, "\\hello 1 alice")
    assert await raw.hear() == "\\hello 1 alice keep=30d key=SHA256:abc"


# ------------------------------------------------------------------ what it is told


@with_service()
async def test_a_missed_call_has_its_time_unless_it_is_now(service: InProcessService) -> None:
    caller, _ = await service.greeted()
    await service.lose(caller)
    set_clock(service, timedelta(hours=1))
    lines = await (await service.console()).news()
    assert lines[0].startswith("\\at 2")
    assert lines[1:] == [f"\\missed Bob address={ADDRESS}", "\\ready"]
    set_clock(service, timedelta(0))
    console = await service.console(" take=1")
    await console.news()
    caller, _ = await service.greeted("Ann")
    await console.news()
    await service.lose(caller)
    assert await console.news() == [f"\\missed Ann address={ADDRESS}"]


@with_service(turns=Turns.FREE)
async def test_what_is_told_later_has_its_time(service: InProcessService) -> None:
    await service.peer("one", "two")
    set_clock(service, timedelta(hours=1))
    lines = await (await service.console()).news()
    assert [line[:4] for line in lines if line.startswith(("\\at", "Bob"))] == ["\\at ", "Bob>"] * 2
    set_clock(service, timedelta(hours=-1))  # a clock that was set back
    lines = await (await service.console(" take=1")).news()
    assert [line[:4] for line in lines if line.startswith(("\\at", "Bob"))] == ["\\at ", "Bob>"] * 2


@with_service()
async def test_a_console_sees_how_the_peer_calls(service: InProcessService) -> None:
    console = await service.console()
    await service.peer("Hi!")
    peer = await console.frame()
    while not isinstance(peer, wire.Peer):
        peer = await console.frame()
    assert (peer.plain, peer.classic, peer.room, peer.name) == (False, False, None, None)
    await service.lose(console)
    session = service.switchboard.peer
    assert isinstance(session, PeerSession)
    assert service.switchboard.conversation is not None
    service.switchboard.conversation.name, session.secure = "bob.pem", False
    console = await service.console()
    lines = await console.news()
    assert next(line for line in lines if line.startswith("\\peer")).endswith(" plain=1 name=bob.pem")
    service.switchboard.operator.send_presence()  # type: ignore[union-attr]
    assert await console.news() == [f"\\here Bob address={ADDRESS} plain=1 name=bob.pem"]


@with_service(turns=Turns.FREE)
async def test_a_console_learns_that_a_program_turned_out_a_person(service: InProcessService) -> None:
    board = service.switchboard
    board.max_text_bytes = lambda: 100  # type: ignore[method-assign]
    console, peer, _ = await service.talk(acked=True)
    await peer.say("Bob> one")
    await peer.news()
    assert await console.news() == ["Bob> one"]
    board.max_text_bytes = lambda: None  # type: ignore[method-assign]
    await peer.say("Bob> two")
    await peer.news()
    assert await console.news() == [f"\\here Bob address={ADDRESS}", "Bob> two"]
    board.max_text_bytes = lambda: 100  # type: ignore[method-assign]
    await peer.say("Bob> three")
    await peer.news()
    assert await console.news() == ["Bob> three"]


@with_service(turns=Turns.FREE)
async def test_a_console_is_acked_once_and_reads_no_own_message_again(service: InProcessService) -> None:
    console, peer, _ = await service.talk(acked=True)
    await console.say("alice> one", "alice> two")
    assert await console.news() == ["\\ack 2"]
    await peer.say("Bob> three")
    await peer.news()
    assert await console.news() == ["Bob> three"]


@with_service(keep="none", turns=Turns.FREE)
async def test_a_text_that_is_not_kept_leaves_its_place(service: InProcessService) -> None:
    console, peer, _ = await service.talk(acked=True)
    await peer.say("Bob> two")
    await peer.news()
    await service.lose(console)
    lines = await (await service.console()).news()
    assert texts(lines) == ["Bob> two"]
    back = await service.console(" session=1 got=0 sent=0 take=1")
    assert texts(await back.news()) == ["Bob> (not kept)", "Bob> two"]


@with_service()
async def test_a_taken_over_console_is_told_by_whom(service: InProcessService) -> None:
    console = await service.console(" console=c1")
    await service.peer("Hi!")
    await console.news()

    def fail(number: int, console: str) -> int:
        raise JournalError("broken")

    service.journal.sent_by = fail  # type: ignore[method-assign]
    await visit(service, "\\hello 1 carol take=1")
    lines = await console.rest()
    assert lines[-1] == "\\error taken-over alice has taken over the console."
    assert not any(line.startswith("\\stored") for line in lines)
    assert not service.switchboard._health.works


# ------------------------------------------------------------------ what it sends


@with_service(turns=Turns.FREE)
async def test_a_console_cannot_send_what_the_peers_program_cannot_take(service: InProcessService) -> None:
    console = await service.console()
    await service.program(b"Bob> Hi!")
    await console.news()
    room = service.switchboard.max_text_bytes()
    assert room is not None
    await console.say("\\ack 1", f"alice> {'x' * room}")
    assert "\\ack 1" in await console.news()
    await console.say(f"alice> {'x' * (room + 1)}")
    assert (await console.rest())[-1].startswith("\\error too-long ")


@with_service(turns=Turns.FREE)
async def test_signs_for_the_conversation_before_are_not_passed_on(service: InProcessService) -> None:
    console = await service.console()
    peer, _ = await service.peer("Hi!")
    await console.say_blindly("\\typing", "\\ring")  # the console has not acked that it is told of this one
    await console.news()
    assert await peer.news() == []
    await console.say_blindly("\\ack 0", "\\typing", "\\ring")
    await console.news()
    assert await peer.news() == ["\\typing", "\\ring"]


@with_service(turns=Turns.FREE)
async def test_a_console_with_another_handle_is_refused(service: InProcessService) -> None:
    console, peer, _ = await service.talk(acked=True)
    await console.say("carol> Hello")
    assert (await console.rest())[-1].startswith("\\error handle The handle is not the same")
    assert texts(await peer.news()) == []


@with_service(turns=Turns.FREE)
async def test_words_of_a_console_are_not_for_a_talk_it_does_not_know(service: InProcessService) -> None:
    console = await service.console()
    await service.peer("Hi!")
    await console.say_blindly("alice> Hello", "\\quit")
    assert "\\ack 1" not in await console.news()
    assert service.stored() == ["Hi!"]


@with_service()
async def test_words_of_a_console_without_a_conversation_change_nothing(service: InProcessService) -> None:
    console = await service.console()
    await console.say_blindly("\\ack 5", "\\quit", "alice> Hello", "\\typing")
    assert await console.news() == ["\\ready"]
    assert service.journal.last_number() == 0


@pytest.mark.parametrize("bobs", [1, 2])
def test_a_journal_that_lacks_messages_of_a_console_is_told(tmp_path: Path, bobs: int) -> None:
    @with_service()
    async def check(service: InProcessService) -> None:
        service.fill(Role.OPERATOR, ["Hello"])
        await service.resume(TOKEN, got=1)
        console = await service.console(f" session=1 got={1 + bobs} sent=2")
        lines = await console.news()
        notice = next(line for line in lines if line.startswith("\\notice"))
        lost = f"1 of your messages and {bobs} of Bob's messages"
        assert notice.startswith(f"\\notice The journal has lost {lost} in the ")
        assert texts(lines) == ["Bob> Hi", "alice> Hello"]

    check(tmp_path)


@with_service()
async def test_a_journal_that_lacks_messages_of_an_end_tells_it_anew(service: InProcessService) -> None:
    console, peer, _ = await service.talk(acked=True)
    await peer.say("\\quit bye")
    await peer.rest()
    await console.news()
    await service.lose(console)
    assert texts(await (await service.console(" session=1 got=1 sent=0")).news()) == []
    lines = await (await service.console(" session=1 got=3 sent=0 take=1")).news()
    assert any(
        line.startswith("\\notice The journal has lost 2 of Bob's messages in the conversation with Bob,")
        for line in lines
    )
    assert texts(lines) == ["Bob> Hi!"]


@with_service(turns=Turns.FREE)
async def test_an_older_conversation_is_not_mixed_with_the_running_one(service: InProcessService) -> None:
    peer, _ = await service.peer("Ann was here", handle="Ann")
    await peer.say("\\quit")
    await peer.rest()
    peer, token = await service.peer("Bob is here")
    console = await service.console()
    assert texts(await console.news()) == ["Ann> Ann was here"]
    await service.lose(peer)
    await service.resumed(token)
    assert await console.news() == []  # the console is still in the older one
    await console.say("\\ack 1")
    lines = await console.news()
    assert texts(lines) == ["Bob> Bob is here"]
    assert lines[0] == "\\quit"
    assert "\\away" not in lines


@with_service(turns=Turns.FREE)
async def test_a_console_is_closed_if_the_journal_cannot_be_read(service: InProcessService) -> None:
    console, _, _ = await service.talk(acked=True)

    def fail(*_: object, **__: object) -> list[object]:
        raise JournalError("The journal cannot be read.")

    service.journal.next_unseen = fail  # type: ignore[method-assign, assignment]
    service.journal.entries = fail  # type: ignore[method-assign, assignment]
    other = await visit(service, "\\hello 1 alice take=1")
    assert (await other.rest())[-1].startswith("\\error journal The journal cannot be read.")
    assert (await console.rest())[-1].startswith("\\error taken-over")
    assert not service.switchboard._health.works


@with_service(turns=Turns.FREE)
async def test_a_long_conversation_is_told_whole_with_its_end(service: InProcessService) -> None:
    many = [f"text {number}" for number in range(3 * BATCH)]
    service.fill(Role.PEER, many)
    peer = await service.resume(TOKEN)
    await peer.say("\\quit bye")
    await peer.rest()
    console = await service.console()
    lines = await console.news()
    assert texts(lines) == ["Bob> Hi", *(f"Bob> {text}" for text in many)]
    await console.say(f"\\ack {len(many) + 1}")
    assert "\\quit bye" in await console.news()


@with_service(turns=Turns.FREE)
async def test_of_an_end_the_next_console_gets_what_was_not_shown(service: InProcessService) -> None:
    console, peer, _ = await service.talk(acked=True)
    await service.lose(console)
    await peer.say("Bob> two", "\\quit")
    await peer.rest()
    assert texts(await (await service.console()).news()) == ["Bob> two"]


@with_service()
async def test_a_console_is_not_held_up_by_messages_that_are_gone(service: InProcessService) -> None:
    service.fill(Role.OPERATOR, ["Hello"])
    service.journal.entries = lambda *_: []  # type: ignore[method-assign]
    lines = await (await service.console()).news()
    assert (texts(lines), lines[-1]) == ([], "\\ready")


@pytest.mark.parametrize("behind", [1, 2])
def test_a_console_that_is_behind_misses_nothing_by_speaking(tmp_path: Path, behind: int) -> None:
    @with_service(turns=Turns.FREE)
    async def check(service: InProcessService) -> None:
        console, peer, _ = await service.talk(acked=True)
        session = service.switchboard.operator
        assert isinstance(session, ConsoleSession)
        session.connection.writable = False  # it does not read as fast as the peer writes
        said = [f"Bob> {number}" for number in range(behind)]
        await peer.say(*said)
        await peer.news()
        await console.say("alice> Hello")
        assert texts(await console.news()) == []
        session.connection.writable = True
        session.resume_writing(session.connection)
        assert texts(await console.news()) == said

    check(tmp_path)


@with_service(turns=Turns.FREE)
async def test_a_console_without_a_name_has_nothing_to_compare(service: InProcessService) -> None:
    console, _, _ = await service.talk(acked=True)
    await console.say("alice> Hello")
    await console.news()
    lines = await (await service.console(" session=1 got=1 sent=0 take=1")).news()
    heading = next(line for line in lines if line.startswith("\\peer"))
    assert "digest=" not in heading


@pytest.mark.parametrize("more", [0, 1])
def test_all_that_a_console_can_have_on_its_way_is_compared(tmp_path: Path, more: int) -> None:
    @with_service(turns=Turns.FREE)
    async def check(service: InProcessService) -> None:
        await service.talk(acked=True)
        sent = ["x"] * (UNACKED_MAX + more)
        service.journal.texts_sent_by = lambda *asked: sent[: asked[-1]]  # type: ignore[method-assign]
        lines = await (await service.console(" console=c1 session=1 got=1 sent=0 take=1")).news()
        heading = next(line for line in lines if line.startswith("\\peer"))
        assert f" mine={len(sent)} " in f"{heading} "

    check(tmp_path)
