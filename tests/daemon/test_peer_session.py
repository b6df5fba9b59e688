"""How long and how fast a caller's connection may send: its deadlines, `rate`, and the wait to be spoken to."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from pychat_client.classic import keys, program_codec
from pychat_client.classic.framing import SILENCE
from pychat_client.protocol.turns import Turns
from pychat_client.transport import connection
from pychatd.conversation import peer_session
from pychatd.conversation.peer_session import PeerSession
from tests.support.allowed_callers import Anybody
from tests.support.in_process import ADDRESS, InProcessService, with_service
from tests.support.raw_ends import AsyncEnd

SHORT = 0.3
LONG = 60.0


@pytest.fixture
def short_hello(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peer_session, "HELLO_SECONDS", SHORT)
    monkeypatch.setattr(peer_session, "FIRST_MESSAGE_SECONDS", LONG)


@pytest.fixture
def short_first_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peer_session, "HELLO_SECONDS", LONG)
    monkeypatch.setattr(peer_session, "FIRST_MESSAGE_SECONDS", SHORT)


async def _is_too_slow(raw: AsyncEnd) -> None:
    """The next line is the last, and says that the time is over."""
    (answer,) = await raw.rest()
    assert answer.startswith("\\error slow You did not send a message in time")


async def _drip(raw: AsyncEnd, text: str, start: float) -> None:
    """Sends one character after the other until the connection is closed, for much longer than the deadline.

    start: a time before the daemon began to wait.
    """
    loop = asyncio.get_running_loop()
    closed = asyncio.ensure_future(_is_too_slow(raw))
    for char in text * 100:
        if closed.done():
            break
        await loop.sock_sendall(raw.sock, char.encode())
        await asyncio.sleep(SHORT / 20)
    await closed
    assert SHORT <= loop.time() - start < SHORT * 10


@pytest.mark.usefixtures("short_hello")
@with_service()
async def test_a_silent_connection_is_closed(service: InProcessService) -> None:
    await _is_too_slow(await service.call())


@pytest.mark.usefixtures("short_hello")
@with_service()
async def test_a_dripping_hello_gets_no_extra_time(service: InProcessService) -> None:
    start = asyncio.get_running_loop().time()
    await _drip(await service.call(), "\\hello 1 Bob", start)


@pytest.fixture
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between two bytes no pause is long enough to end a message, also on a busy machine."""
    for module in (keys, program_codec):
        monkeypatch.setattr(module, "SILENCE", LONG)


@pytest.mark.usefixtures("short_hello", "no_pause")
@with_service()
async def test_a_dripping_classic_line_gets_no_extra_time(service: InProcessService) -> None:
    start = asyncio.get_running_loop().time()
    await _drip(await service.call(), "Bob> Hi", start)


@pytest.mark.usefixtures("short_first_message")
@with_service()
async def test_a_caller_without_a_first_message_is_closed(service: InProcessService) -> None:
    raw, _ = await service.greeted()
    await _is_too_slow(raw)
    assert service.switchboard.seat_is_free()  # although this end has not closed yet
    await service.lose(raw)
    assert service.switchboard.seat_is_free()


@pytest.mark.usefixtures("short_first_message")
@with_service()
async def test_a_dripping_first_message_gets_no_extra_time(service: InProcessService) -> None:
    start = asyncio.get_running_loop().time()
    raw, _ = await service.greeted()
    await _drip(raw, "Bob> Hi", start)


@pytest.mark.usefixtures("short_first_message")
@with_service()
async def test_control_lines_and_pings_get_no_extra_time(service: InProcessService) -> None:
    raw, _ = await service.greeted()
    start = asyncio.get_running_loop().time()
    while (answer := await raw.news())[-1:] == []:
        await raw.say("\\typing")
        await asyncio.sleep(SHORT / 20)
    assert answer[-1].startswith("\\error slow ")
    assert asyncio.get_running_loop().time() - start < SHORT * 10


@pytest.mark.usefixtures("short_first_message")
@with_service()
async def test_a_peer_can_be_silent_after_its_first_message(service: InProcessService) -> None:
    raw, _ = await service.peer("Hi")
    await asyncio.sleep(SHORT * 2)
    assert await raw.news() == []
    assert service.counts() == (1, 0)


@pytest.mark.usefixtures("short_hello")
@with_service()
async def test_a_peer_that_is_back_can_be_silent(service: InProcessService) -> None:
    peer, token = await service.peer("Hi")
    await service.lose(peer)
    back, _ = await service.resumed(token)
    await _is_too_slow(await service.call())  # it has come later
    assert await back.news() == ["\\away"]


def test_only_programs_that_answer_are_pinged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pinged: list[connection.Connection] = []

    def ping(one: connection.Connection) -> None:
        pinged.append(one)

    monkeypatch.setattr(connection.Connection, "start_keepalive", ping)

    @with_service()
    async def check(service: InProcessService) -> None:
        program, _ = await service.greeted()
        assert pinged == service.connections
        await service.lose(program)
        await service.classic("Hi!")
        assert pinged == service.connections[:1]

    check(tmp_path)


@pytest.mark.usefixtures("short_hello")
@with_service()
async def test_a_hello_gives_more_time_for_the_first_message(service: InProcessService) -> None:
    raw, _ = await service.greeted()
    await asyncio.sleep(SHORT * 2)
    await raw.say("Bob> Hi")
    assert "\\ack 1" in await raw.news()


@pytest.mark.usefixtures("short_hello")
@with_service()
async def test_a_classic_caller_can_shorten_a_refused_message(service: InProcessService) -> None:
    raw = await service.call("x" * 501)
    assert (await raw.hear()).startswith("\\error too-long ")
    await asyncio.sleep(SHORT * 2)
    await raw.say("shorter")
    while service.switchboard.conversation is None:
        await asyncio.sleep(0.01)
    assert service.counts() == (1, 0)


@pytest.fixture
def short_finish(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (connection, peer_session):
        monkeypatch.setattr(module, "FINISH_SECONDS", SHORT)


@pytest.mark.usefixtures("short_finish")
@with_service()
async def test_a_peer_that_does_not_ack_the_end_is_closed(service: InProcessService) -> None:
    console, peer, _ = await service.talk(acked=True)
    await console.say("alice> Bye", "\\quit")
    assert (await peer.rest())[-1] == "\\quit"


@pytest.mark.usefixtures("short_finish")
@with_service()
async def test_a_classic_peer_can_read_the_quit_for_longer(service: InProcessService) -> None:
    """Its program may wait at its prompt: it writes before it reads."""
    console = await service.console()
    classic = await service.program(b"Bob> Hi!")
    await console.news()
    await console.say("\\ack 1", "\\quit")
    while b"\\quit\0" not in classic.waiting():
        await asyncio.sleep(0.01)
    other = await service.call("\\hello 1 Bob", "no message")
    await other.rest()
    await service.closed(other)  # it does not close its end either, and is waited for no longer
    assert not service.is_closed(classic)


@pytest.mark.usefixtures("short_finish")
@with_service()
async def test_a_person_who_stays_after_the_quit_is_let_go(service: InProcessService) -> None:
    console = await service.console()
    person = await service.classic("Hi!")
    await console.news()
    await console.say("\\ack 1", "\\quit")
    assert await person.rest() == ["\\quit", "The conversation is over."]
    await person.say("are you there?")
    await service.closed(person)


SILENT = f"\\calling guest address={ADDRESS} silent=1"
MISSED = f"\\missed guest address={ADDRESS}"


async def _calls_silently(service: InProcessService) -> None:
    """Waits until the daemon knows of one caller that says nothing."""
    while len(service.switchboard.silent_callers.waiting) != 1:
        await asyncio.sleep(0.01)


@pytest.mark.usefixtures("seen_soon")
@with_service()
async def test_a_daemon_that_stops_misses_who_was_calling_alone(service: InProcessService) -> None:
    board, ends = service.switchboard, [await service.call() for _ in range(3)]
    while len(board.silent_callers.waiting) < len(ends):
        await asyncio.sleep(0.01)
    late = PeerSession(board, ADDRESS, Anybody(), secure=True)
    ends.append(await service.connect(late))
    board.stop()
    late.connection.close()
    late._show_silent()
    for end in ends:  # in this order, each would be calling when it goes
        await service.cut(end)
    assert len(board.missed) == 1


@pytest.mark.usefixtures("seen_soon")
@with_service()
async def test_a_caller_that_has_only_said_a_port_is_seen_and_greeted(service: InProcessService) -> None:
    console = await service.console()
    await console.news()
    caller = await service.call()
    await caller.raw(b"27101")
    assert await console.hear() == SILENT
    await console.say("\\order greet")
    assert (await console.hear()).startswith("\\peer guest ")
    assert await console.hear() == "guest>  "
    await console.say("\\ack 0", "\\ack 1", "alice> hi there")
    while b"alice> hi there\0" not in caller.waiting():
        await asyncio.sleep(0.01)


async def _greeted_guest(service: InProcessService) -> tuple[AsyncEnd, AsyncEnd]:
    """A console, and a caller that it has greeted: it has said no name yet."""
    console = await service.console()
    await console.news()
    caller = await service.call()
    await caller.raw(b"27101")
    assert await console.hear() == SILENT
    await console.say("\\order greet")
    assert (await console.hear()).startswith("\\peer guest ")
    await console.say("\\ack 0", "\\ack 1", "alice> who are you?")
    await console.news()
    return console, caller


@pytest.mark.usefixtures("seen_soon")
@with_service(turns=Turns.FREE)
async def test_a_blocked_handle_that_is_said_late_is_put_out(service: InProcessService) -> None:
    service.switchboard.blocklist.add("Bob")
    console, caller = await _greeted_guest(service)
    await caller.raw(b"Bob> I am Bob\0")
    assert "\\quit the caller was blocked" in [await console.hear() for _ in range(2)]
    assert service.journal.running() is None
    assert [entry.text for entry in service.journal.entries(1, 0)] == [" ", "who are you?"]


@pytest.mark.usefixtures("seen_soon")
@with_service(turns=Turns.FREE)
async def test_a_block_of_a_handle_that_was_said_late_holds_at_once(service: InProcessService) -> None:
    console, caller = await _greeted_guest(service)
    await caller.raw(b"Bob> I am Bob\0")
    assert await console.hear() == "Bob> I am Bob"
    await console.say("\\ack 2", "\\order block Bob")
    lines = await console.news()
    assert "\\notice The conversation is over." in lines
    assert "\\quit the caller was blocked" in lines


def test_only_a_caller_that_waits_to_be_spoken_to_has_longer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peer_session, "SEEN_SECONDS", 2 * SILENCE)  # by then it is known what calls
    monkeypatch.setattr(peer_session, "HELLO_SECONDS", 4 * SILENCE)

    @with_service()
    async def check(service: InProcessService) -> None:
        waiting, silent = await service.call(), await service.call()
        await waiting.raw(b"27101")
        await _is_too_slow(silent)
        assert not service.is_closed(waiting)
        assert waiting.waiting() == b""

    check(tmp_path)


@pytest.mark.usefixtures("seen_soon")
@with_service()
async def test_a_caller_that_waits_has_not_the_seat(service: InProcessService) -> None:
    console = await service.console()
    await console.news()
    await (await service.call()).raw(b"27101")
    assert await console.hear() == SILENT
    await service.classic("Bob> Hi!")
    await console.news()
    await console.say("\\order greet")
    assert (await console.hear()).startswith("\\notice Somebody is talking here")


@pytest.mark.usefixtures("seen_soon")
@with_service()
async def test_the_next_waiting_caller_is_told_of_after_the_first(service: InProcessService) -> None:
    console = await service.console()
    await console.news()
    first, second = await service.call(), await service.call()
    assert await console.hear() == SILENT
    await second.raw(b"27101")
    first.sock.close()
    assert await console.hear() == MISSED
    assert await console.hear() == SILENT


@pytest.mark.usefixtures("seen_soon")
@with_service()
async def test_a_waiting_caller_is_missed_if_nobody_talked_to_it(service: InProcessService) -> None:
    caller = await service.call()
    await _calls_silently(service)
    await service.lose(caller)
    assert service.switchboard.calling is None
    assert MISSED in await (await service.console()).news()


@pytest.mark.usefixtures("seen_soon")
@with_service()
async def test_who_takes_long_to_say_hello_is_not_missed(service: InProcessService) -> None:
    console = await service.console()
    await console.news()
    first, second = await service.call(), await service.call()
    assert await console.hear() == SILENT
    await first.say("\\hello 1 Ann", "Ann> Hi!")
    assert (await console.hear()).startswith("\\peer Ann ")
    await _calls_silently(service)
    assert (await console.news())[-1] == "Ann> Hi!"
    await first.say("\\quit")
    while await console.hear() != SILENT:
        pass
    await second.say("\\hello 1 Eve", "\\quit")
    await second.rest()
    assert not {SILENT, MISSED} & set(await console.news())


@pytest.mark.usefixtures("seen_soon")
@with_service()
async def test_who_says_hello_late_and_leaves_is_missed_once(service: InProcessService) -> None:
    console = await service.console()
    await console.news()
    caller = await service.call()
    assert await console.hear() == SILENT
    await caller.say("\\hello 1 Ann")
    assert await console.hear() == f"\\calling Ann address={ADDRESS}"
    await service.lose(caller)
    assert await console.news() == [f"\\missed Ann address={ADDRESS}"]


@pytest.mark.usefixtures("seen_soon", "short_finish")
@with_service()
async def test_a_refused_slow_hello_leaves_nobody_at_the_console(service: InProcessService) -> None:
    console = await service.console()
    await console.news()
    caller = await service.call()
    assert await console.hear() == SILENT
    await caller.say("\\hello 1 alice")
    assert await console.hear() == MISSED


@pytest.mark.parametrize("hello", ["\\hello 1 alice", "\\hello 9 Bob"], ids=["the operator's name", "version 9"])
def test_who_is_refused_and_stays_is_not_told_of(tmp_path: Path, hello: str) -> None:
    @with_service()
    async def check(service: InProcessService) -> None:
        console = await service.console()
        await console.news()
        session = PeerSession(service.switchboard, ADDRESS, Anybody(), secure=True)
        refused = await service.connect(session)
        await refused.say(hello)
        await refused.rest()
        session._show_silent()  # as if a second had gone by
        assert await console.news() == []
        assert not service.switchboard.silent_callers

    check(tmp_path)


@pytest.mark.usefixtures("seen_soon")
@with_service()
async def test_who_was_greeted_cannot_take_the_operators_name(service: InProcessService) -> None:
    console = await service.console()
    await console.news()
    caller = await service.call()
    await caller.raw(b"27101")
    assert await console.hear() == SILENT
    await console.say("\\order greet")
    await console.hear()
    await console.hear()
    await console.say("\\ack 0", "\\ack 1", "alice> hi there")
    while b"alice> hi there\0" not in caller.waiting():
        await asyncio.sleep(0.01)
    await caller.raw(b"a1ice> hello\n")
    await service.closed(caller)
    assert b"\\error handle Your handle looks too much like alice" in caller.waiting()
    assert [entry.text for entry in service.journal.entries(1, 0)][1:] == ["hi there"]


@pytest.mark.usefixtures("seen_soon")
@with_service()
async def test_a_blocked_caller_is_not_told_of_any_more(service: InProcessService) -> None:
    console = await service.console()
    await console.news()
    await (await service.call()).raw(b"27101")
    assert await console.hear() == SILENT
    await console.say(f"\\order block {ADDRESS.partition(':')[0]}", "\\order greet")
    assert MISSED in (lines := await console.news())
    assert "\\notice No caller waits for you to speak first." in lines
    await (await service.call()).raw(b"27101")
    await asyncio.sleep(0.1)  # what is tested is that nothing happens then
    assert SILENT not in await console.news()


@pytest.mark.usefixtures("seen_soon")
@with_service(grace=0.2)
async def test_a_waiting_caller_is_told_of_when_the_seat_is_free(
    service: InProcessService,
) -> None:
    peer, _ = await service.peer("Hi!")
    console = await service.console()
    await console.news()
    await (await service.call()).raw(b"27101")
    await _calls_silently(service)
    await service.lose(peer)
    assert SILENT not in await console.news()
    assert await console.hear() == SILENT


@pytest.mark.usefixtures("seen_soon")
@with_service()
async def test_a_waiting_caller_is_told_of_when_another_one_gives_up(service: InProcessService) -> None:
    console = await service.console()
    other, _ = await service.greeted("Ann")
    await service.call()
    await _calls_silently(service)
    assert SILENT not in await console.news()
    await service.lose(other)
    assert await console.news() == [f"\\missed Ann address={ADDRESS}", SILENT]


@pytest.mark.usefixtures("seen_soon")
@with_service()
async def test_who_says_hello_at_once_is_not_told_of(service: InProcessService) -> None:
    console = await service.console()
    await console.news()
    caller = await service.call("\\hello 1 Bob")
    await caller.hear()
    await asyncio.sleep(0.1)  # what is tested is that nothing happens then
    assert SILENT not in await console.news()


# ------------------------------------------------------------------ a caller that is faster than `rate`

FAST = [f"Bob> {number}" for number in range(12)]
"""At 20 a second, and 5 at once, these take a third of a second."""


async def _is_slowed_down(service: InProcessService, raw: AsyncEnd) -> None:
    """Waits until the daemon leaves in the socket what comes next."""
    while service.transport(raw).is_reading():
        await asyncio.sleep(0.001)


@with_service(turns=Turns.FREE, rate=20)
async def test_what_a_fast_peer_sends_waits_and_is_then_read(service: InProcessService) -> None:
    peer, _ = await service.peer("Hi!")
    await peer.say(*FAST)
    await _is_slowed_down(service, peer)
    await peer.say("Bob> the last")
    while not service.transport(peer).is_reading() or service.counts() != (14, 0):
        await asyncio.sleep(0.01)


@with_service(turns=Turns.FREE, rate=0)
async def test_without_a_rate_all_that_was_read_is_stored_together(service: InProcessService) -> None:
    peer, _ = await service.peer("Hi!")
    await peer.say(*FAST)
    assert await peer.news() == [f"\\ack {1 + len(FAST)}"]


@with_service(turns=Turns.FREE, rate=20)
async def test_a_fast_peer_is_not_read_while_something_of_it_waits(service: InProcessService) -> None:
    peer, _ = await service.peer("Hi!")
    await peer.say(*FAST)
    await _is_slowed_down(service, peer)
    while service.counts() != (1 + len(FAST), 0):
        assert not service.transport(peer).is_reading()
        await asyncio.sleep(0.001)


@with_service(turns=Turns.FREE, rate=20)
async def test_what_waits_of_a_peer_that_is_lost_is_not_stored(service: InProcessService) -> None:
    """Its program sends it again."""
    peer, _ = await service.peer("Hi!")
    await peer.say(*FAST)
    await _is_slowed_down(service, peer)
    stored = service.counts()
    await service.cut(peer)
    assert service.counts() == stored


@with_service(turns=Turns.FREE, rate=20)
async def test_what_waits_of_a_classic_peer_that_leaves_is_stored(service: InProcessService) -> None:
    person = await service.classic("Bob> Hi!")
    await person.say(*FAST)
    await _is_slowed_down(service, person)
    await service.cut(person)
    assert len(service.journal.entries(1, 0, limit=20)) == 13


def test_a_peer_that_has_shown_all_waits_for_nothing_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peer_session, "FINISH_SECONDS", 3600.0)

    @with_service()
    async def check(service: InProcessService) -> None:
        console, peer, _ = await service.talk(acked=True)
        await console.say("alice> Hello")
        await console.news()
        await peer.say("\\ack 1")
        await console.say("\\quit")
        assert (await asyncio.wait_for(peer.rest(), 10))[-1] == "\\quit"

    check(tmp_path)


def test_a_peer_that_shows_the_rest_after_the_end_is_let_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peer_session, "FINISH_SECONDS", 3600.0)

    @with_service()
    async def check(service: InProcessService) -> None:
        console, peer, _ = await service.talk(acked=True)
        await console.say("alice> Hello", "\\quit")
        while await peer.hear() != "\\quit":
            pass
        await peer.say("\\ack 1")
        assert await asyncio.wait_for(peer.rest(), 10) == []

    check(tmp_path)


def test_a_caller_that_has_gone_is_not_too_slow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(peer_session, "HELLO_SECONDS", 0.1)

    @with_service()
    async def check(service: InProcessService) -> None:
        PeerSession(service.switchboard, ADDRESS, Anybody(), secure=True).abandon()
        await service.lose(await service.call())
        await _is_too_slow(await service.call())  # it has come later

    caplog.set_level("INFO", "pychatd")
    check(tmp_path)
    assert caplog.text.count("sent nothing in time") == 1


def test_a_caller_that_was_told_to_call_later_is_not_too_slow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(peer_session, "HELLO_SECONDS", 0.1)

    @with_service()
    async def check(service: InProcessService) -> None:
        await service.peer("Hi!")
        assert (await (await service.call("\\hello 1 Eve")).hear()).startswith("\\busy ")
        await _is_too_slow(await service.call())  # it has come later

    caplog.set_level("INFO", "pychatd")
    check(tmp_path)
    assert caplog.text.count("sent nothing in time") == 1


@pytest.mark.usefixtures("seen_soon")
@with_service()
async def test_who_is_not_connected_is_not_told_of(service: InProcessService) -> None:
    not_connected = PeerSession(service.switchboard, ADDRESS, Anybody(), secure=True)
    await service.call()
    await _calls_silently(service)
    assert not_connected not in service.switchboard.silent_callers.waiting
    not_connected.abandon()


# ------------------------------------------------------------------ when who may call changes


@with_service()
async def test_a_caller_gets_its_new_name_at_any_time(service: InProcessService) -> None:
    session = PeerSession(service.switchboard, ADDRESS, Anybody(), secure=True)
    raw = await service.connect(session)
    session.rename("bob")  # before the hello
    assert (session.name, session.is_over) == ("bob", False)
    await raw.say("\\hello 1 Bob", "Bob> Hi!")
    await raw.news()
    session.rename("robert")
    assert session.name == session.opening.name == "robert"
    assert session.is_over is False
    await raw.say("\\quit")
    await raw.news()
    assert session.is_over is True
