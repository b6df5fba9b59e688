"""What a caller is answered: at its hello, when it comes back, and when it or the journal fails."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import NoReturn

import pytest

from pychat_client.protocol import wire
from pychat_client.protocol.turns import Role, Turns
from pychat_client.transport.connection import READ_MAX
from pychatd.conversation.journal import Journal
from pychatd.conversation.model import JournalDamagedError, JournalError, JournalFullError, UnreadError
from pychatd.conversation.peer_session import PeerSession
from pychatd.conversation.reading_price import STRANGER_READ
from tests.support.allowed_callers import Anybody
from tests.support.in_process import ADDRESS, TOKEN, InProcessService, hello_of, with_service
from tests.support.raw_ends import AsyncEnd


class Invited(Anybody):
    """Everybody is Bob, who has come with an invitation, or not."""

    def __init__(self, invited: bool) -> None:
        self._invited = invited

    def name_of(self, certificate: bytes | None) -> str | None:
        return "bob"

    def is_invited(self, certificate: bytes | None) -> bool:
        return self._invited


def texts(lines: list[str]) -> list[str]:
    return [line for line in lines if not line.startswith("\\")]


async def answer(service: InProcessService, hello: str) -> tuple[AsyncEnd, wire.Hello]:
    raw = await service.call(hello)
    return raw, await hello_of(raw)


# ------------------------------------------------------------------ the hello


@with_service(keep="7d", turns=Turns.FREE)
async def test_the_answer_to_a_first_hello(service: InProcessService) -> None:
    caller, hello = await answer(service, "\\hello 1 Bob")
    expected = wire.Hello(1, "operator", session=hello.session, turns=Turns.FREE, keep="7d")
    assert hello == expected
    assert hello.session is not None
    assert len(hello.session) == 32
    assert await caller.news() == ["\\away"]


@with_service(turns=Turns.FREE)
async def test_a_program_that_knows_only_turns_gets_turns(service: InProcessService) -> None:
    _, hello = await answer(service, "\\hello 1 Bob turns=alternate")
    assert hello.turns is Turns.ALTERNATE


@pytest.mark.parametrize("invited", [True, False])
def test_who_was_invited_learns_the_name(tmp_path: Path, invited: bool) -> None:
    @with_service()
    async def check(service: InProcessService) -> None:
        session = PeerSession(service.switchboard, ADDRESS, Invited(invited), secure=True)
        raw = await service.connect(session)
        await raw.say("\\hello 1 Bob")
        assert (await hello_of(raw)).invited == ("bob" if invited else None)
        assert session.name == "bob"

    check(tmp_path)


@with_service()
async def test_a_caller_learns_whether_the_console_is_quiet(service: InProcessService) -> None:
    await service.console(" quiet=1")
    caller, hello = await answer(service, "\\hello 1 Bob")
    assert hello.quiet
    assert await caller.news() == []  # somebody is there


@with_service(turns=Turns.FREE)
async def test_the_answer_to_who_comes_back(service: InProcessService) -> None:
    console, _, token = await service.talk(acked=True)
    await console.say("alice> one", "alice> two")
    await console.news()
    peer, hello = await answer(service, f"\\hello 1 Bob session={token} got=1 sent=1")
    assert (hello.handle, hello.session, hello.got, hello.sent, hello.after) == ("alice", token, 1, 2, None)
    lines = await peer.news()
    assert lines[:2] == ["\\read 1", "\\here alice"]
    assert texts(lines) == ["alice> two"]


@with_service()
async def test_who_comes_back_may_not_look_like_the_operator(
    service: InProcessService,
) -> None:
    _, _, token = await service.talk()
    refused = await service.call(f"\\hello 1 alice session={token} got=0")
    assert (await refused.rest())[-1].startswith("\\error handle Your handle looks too much like alice")


@with_service(turns=Turns.FREE)
async def test_a_journal_that_lacks_messages_of_a_caller_is_told(service: InProcessService) -> None:
    console, _, token = await service.talk(acked=True)
    await console.say("alice> one")
    await console.news()
    peer, hello = await answer(service, f"\\hello 1 Bob session={token} got=3 sent=2")
    assert (hello.got, hello.sent) == (1, 1)
    assert texts(await peer.news()) == []
    assert any("the journal has lost 2 of your messages and 1 of Bob's" in line for line in await console.news())


@with_service(turns=Turns.FREE)
async def test_what_both_ends_know_to_be_lost_is_told_once(service: InProcessService) -> None:
    console, _, token = await service.talk(acked=True)
    await console.say("alice> one")
    await service.lose(console)
    back = await service.console(" session=1 got=2 sent=1")
    await service.call(f"\\hello 1 Bob session={token} got=1 sent=2")
    lines = await back.news()
    assert sum("The journal has lost" in line for line in lines) == 1
    later = await service.console(" session=1 got=2 sent=1 take=1")
    assert any("The journal has lost" in line for line in await later.news())


@with_service(turns=Turns.FREE)
async def test_what_a_peer_says_to_be_lost_again_and_again_is_told_once(service: InProcessService) -> None:
    console, _, token = await service.talk(acked=True)
    for count in range(2, 20):
        raw, _ = await service.resumed(token, got=count)
        await service.lose(raw)
    (told,) = (line for line in await console.news() if "lost" in line)
    lost = "2 of your messages in the conversation with Bob,"
    assert told.startswith(f"\\notice Bob's program says that the journal has lost {lost} for example ")


@with_service(turns=Turns.FREE)
async def test_what_two_conversations_have_lost_is_told_of_both(service: InProcessService) -> None:
    console, peer, token = await service.talk()
    await peer.say("\\quit")
    await peer.rest()
    _, eve = await service.peer("Hi!", handle="Eve")
    await console.news()
    for handle, secret in (("Bob", token), ("Eve", eve)):
        await service.call(f"\\hello 1 {handle} session={secret} got=1 sent=1")
        lines = await console.news()
        assert [line for line in lines if "the journal has lost 1 of your messages" in line]


# ------------------------------------------------------------------ how it is read


@with_service()
async def test_only_the_peer_is_read_in_large_pieces(service: InProcessService) -> None:
    session = PeerSession(service.switchboard, ADDRESS, Anybody(), secure=True)
    raw = await service.connect(session)
    assert session.read_max == STRANGER_READ
    await raw.say("\\hello 1 Bob")
    await raw.news()
    assert (session.read_max, session.is_admitted) == (STRANGER_READ, True)
    await raw.say("Bob> Hi!")
    await raw.news()
    assert session.read_max == READ_MAX
    await service.lose(raw)
    assert session.read_max == STRANGER_READ


# ------------------------------------------------------------------ what it sends


@with_service()
async def test_who_has_the_seat_is_read_faster(service: InProcessService) -> None:
    now = asyncio.get_running_loop().time()
    stranger = PeerSession(service.switchboard, ADDRESS, Anybody(), secure=True)
    assert stranger.pause_after(50 * b"\n", now) == 0.0  # all that it may spend at once
    assert stranger.pause_after(b"\n", now) > 0
    stranger.abandon()
    await service.peer("Hi!")
    peer = service.switchboard.peer
    assert isinstance(peer, PeerSession)
    assert 0 < peer.pause_after(2000 * b"\\ping\n", now) < 5


@with_service(turns=Turns.FREE)
async def test_acks_behind_messages_count_after_them(service: InProcessService) -> None:
    console, peer, _ = await service.talk(acked=True)
    await console.say("alice> one", "alice> two")
    await console.news()
    await peer.say("\\ack 1", "Bob> Hello", "\\ack 2", "\\typing", "\\ack 1")
    await peer.news()
    assert await console.news() == ["Bob> Hello", "\\read 2", "\\typing"]


@with_service(turns=Turns.FREE)
async def test_a_classic_rejection_is_passed_back(service: InProcessService) -> None:
    peer = await service.call("\\hello 1 Bob")
    await peer.news()
    await peer.say("\\ack 0")
    assert await peer.news() == []
    await peer.say("\\ack 1")
    assert (await peer.rest())[-1] == "\\error ack A message was confirmed, but none was sent."


@with_service()
async def test_what_follows_a_quit_is_not_stored(service: InProcessService) -> None:
    peer, _ = await service.peer("Hi!")
    await peer.say("\\quit bye", "Bob> one more")
    assert (await peer.rest())[-1] == "\\quit bye"
    assert service.journal.entries(1, 0, limit=9)[-1].text == "Hi!"
    ended = service.journal.by_id(1)
    assert ended is not None
    assert (ended.reason, ended.ended_by) == ("bye", Role.PEER)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (JournalError("broken"), "The other host cannot store messages now (is its disk full?)."),
        (JournalFullError("full"), "The other host cannot store messages now."),
        (UnreadError("Not stored: too many."), "Not stored: too many."),
    ],
)
def test_a_caller_reads_why_nothing_can_be_stored(tmp_path: Path, error: JournalError, words: str) -> None:
    @with_service()
    async def check(service: InProcessService) -> None:
        def fail(*_: object) -> None:
            raise error

        caller, _ = await service.greeted()
        service.journal.append = fail  # type: ignore[method-assign, assignment]
        await caller.say("Bob> Hi!")
        assert (await caller.rest())[-1] == f"\\error journal {words}"
        assert service.switchboard.waiting is None
        assert service.switchboard.seat_is_free()

    check(tmp_path)


# ------------------------------------------------------------------ the end


@pytest.mark.parametrize("hours", [0, 1, -1])
def test_an_end_has_its_time_unless_it_is_now(tmp_path: Path, hours: int) -> None:
    @with_service()
    async def check(service: InProcessService) -> None:
        console, peer, token = await service.talk(acked=True)
        await service.lose(peer)
        await console.say("\\quit bye")
        await console.news()
        over = service.journal.by_id(1)
        assert over is not None
        assert over.ended is not None
        later = over.ended + timedelta(hours=hours)
        service.switchboard.now = lambda: later  # type: ignore[method-assign]
        back = await service.resume(token)
        lines = [line for line in await back.rest() if line.startswith(("\\at", "\\quit"))]
        assert [line[:4] for line in lines] == ["\\qui"] if not hours else ["\\at ", "\\qui"]

    check(tmp_path)


@with_service()
async def test_the_end_by_a_damaged_journal_is_told_to_both(service: InProcessService) -> None:
    console, peer, _ = await service.talk(acked=True)
    service.switchboard.journal_failed(JournalDamagedError("The journal was damaged."))
    for end in (console, peer):
        *_, notice, at, end_line = await end.rest()
        assert notice == "\\notice The journal was damaged."
        assert at.endswith(" service")
        assert end_line == "\\quit the journal was damaged"
    assert service.switchboard.conversation is None
    assert service.switchboard.peer is None
    assert service.switchboard.seat_is_free()


@with_service()
async def test_a_peer_that_is_back_reads_that_nothing_can_be_read(service: InProcessService) -> None:
    def fail(*_: object) -> NoReturn:
        raise JournalError("The journal cannot be read.")

    service.fill(Role.OPERATOR, ["Hello"])
    service.journal.entries = fail  # type: ignore[method-assign, assignment]
    assert (await (await service.resume(TOKEN)).rest())[-1].startswith("\\error journal ")
    assert not service.switchboard._health.works


@with_service()
async def test_a_damaged_journal_is_told_to_a_console_without_a_talk(service: InProcessService) -> None:
    console = await service.console()
    service.switchboard.journal_failed(JournalDamagedError("The journal was damaged."))
    assert "\\notice The journal was damaged." in await console.rest()


# ------------------------------------------------------------------ who is put out


@with_service()
async def test_a_block_puts_out_a_caller_that_has_said_nothing_yet(service: InProcessService) -> None:
    console = await service.console()
    caller, _ = await service.greeted()
    await console.news()
    await console.say(f"\\order block {ADDRESS.partition(':')[0]}")
    assert await caller.rest() == ["\\error blocked The operator has blocked you here."]
    assert f"\\missed Bob address={ADDRESS}" in await console.news()
    assert service.switchboard.waiting is None


@with_service()
async def test_a_block_of_another_address_puts_nobody_out(service: InProcessService) -> None:
    console, peer, _ = await service.talk(acked=True)
    await console.say("\\order block 192.0.2.99")
    (answered,) = await console.news()
    assert answered.startswith("\\notice The address 192.0.2.99 is blocked.")
    assert await peer.news() == ["\\read 1"]
    await console.say("\\order block conversation=1")
    lines = await console.news()
    assert any(line == "\\notice The conversation is over." for line in lines)
    assert (await peer.rest())[-1] == "\\quit the caller was blocked"


@with_service()
async def test_the_caller_of_a_conversation_is_blocked_only_while_it_goes_on(service: InProcessService) -> None:
    """The operator has not seen who talks now, or not yet."""
    spam, _ = await service.peer("spam", handle="Mallory")
    await spam.say("\\quit")
    await spam.rest()
    console = await service.console()
    await console.say("\\ack 1", "\\ack 0")
    gone = "\\notice The caller that you mean has left, and nobody is blocked: name an address, a key or a handle."
    for caller in ("nobody", "Bob"):
        if caller == "Bob":
            friend, _ = await service.peer("Hello?")
        await console.news()
        await console.say_blindly("\\order block conversation=1")
        assert [line for line in await console.news() if line.startswith("\\notice")] == [gone], caller
    assert service.switchboard.blocklist.words == []
    await console.say("\\order block conversation=2")
    assert (await friend.rest())[-1] == "\\quit the caller was blocked"


@pytest.mark.parametrize("words", ["", " ", "conversation=", "conversation=0", "conversation=x"])
def test_a_block_of_nobody_is_refused(tmp_path: Path, words: str) -> None:
    @with_service()
    async def check(service: InProcessService) -> None:
        console, _, _ = await service.talk(acked=True)
        await console.say(f"\\order block {words}")
        (answered,) = await console.news()
        assert answered.startswith("\\notice '")
        assert service.switchboard.blocklist.words == []
        assert service.switchboard.conversation is not None

    check(tmp_path)


@with_service(rate=10)
async def test_a_fast_peer_is_stored_in_slices_and_slowed_down(service: InProcessService) -> None:
    board = service.switchboard
    assert board.messages_at_once == 1
    board.reload(board.settings._replace(rate=0), "")
    assert board.messages_at_once is None
    board.reload(board.settings._replace(rate=100), "")
    assert board.messages_at_once == 10
    await service.peer("Hi!")
    assert board.peer is not None
    assert all(board.pause_for(board.peer) == 0.0 for _ in range(100))  # to ask costs nothing
    assert board._charge(100) > 0
    assert board.pause_for(board.peer) > 0
    stranger = PeerSession(board, ADDRESS, Anybody(), secure=True)
    assert board.pause_for(stranger) == 0.0
    stranger.abandon()


@with_service()
async def test_what_a_look_at_the_journal_finds_is_the_state(service: InProcessService) -> None:
    board = service.switchboard
    assert board.check_journal()
    assert board.check_journal()

    def gone(*_: object) -> None:
        raise JournalError("It is gone.")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(service.journal, "check_file", gone)
        assert not board.check_journal()
    assert board.check_journal()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Journal, "disk", lambda _: (0, 10**12))
        assert not board.check_journal()
    board.journal_failed(JournalError("broken"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(service.journal, "save_last_operator", gone)
        for _ in range(2):
            assert not board.check_journal()
    assert board.check_journal()


@with_service()
async def test_a_waiting_caller_and_watchers_learn_of_the_daemons_stop(service: InProcessService) -> None:
    caller, _ = await service.greeted()
    watching = await service.connect(service.console_session())
    await watching.say("\\watch")
    await watching.news()
    service.switchboard.stop()
    await asyncio.sleep(0)
    for end in (caller, watching):
        assert (await end.rest())[-1].startswith("\\error stopping The daemon is stopping.")


@pytest.mark.usefixtures("seen_soon")
@with_service(grace=0.0)
async def test_who_was_silent_and_comes_back_is_no_missed_call(service: InProcessService) -> None:
    console, peer, token = await service.talk(acked=True)
    await service.lose(peer)
    await console.news()
    peer = await service.call()
    assert await console.hear() == f"\\calling guest address={ADDRESS} silent=1"
    await peer.say(f"\\hello 1 Bob session={token} got=0")
    await peer.news()
    await service.lose(peer)
    assert not any(line.startswith("\\missed") for line in await console.news())
