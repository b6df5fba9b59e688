"""What the switchboard does beside the talk: orders, settings, words of who is away, and a journal that fails."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pychat_client.protocol import wire
from pychat_client.protocol.turns import Role, Turns
from pychatd.conversation.model import Conversation, JournalError
from pychatd.conversation.switchboard import CERTIFICATE_REMOVED, JOURNAL_REPLACED, LACKING, NEEDS_CERTIFICATE
from pychatd.conversation.tidying import TIDYING_PAUSE
from tests.support.in_process import ADDRESS, InProcessService, hello_of, with_service
from tests.support.raw_ends import AsyncEnd


def fails(*_: object, **__: object) -> None:
    raise JournalError("The journal cannot be written.")


async def over(service: InProcessService, handle: str = "Bob") -> None:
    """A conversation of one message that is over."""
    peer, _ = await service.peer("Hi!", handle=handle)
    await peer.say("\\quit")
    await peer.rest()


async def watching(service: InProcessService) -> AsyncEnd:
    raw = await service.connect(service.console_session())
    await raw.say("\\watch")
    await raw.news()
    return raw


def clock(service: InProcessService, later: timedelta) -> None:
    service.switchboard.now = lambda: datetime.now(UTC) + later  # type: ignore[method-assign]


# ------------------------------------------------------------------ orders and settings


@with_service()
async def test_nobody_is_greeted_while_the_seat_is_taken(service: InProcessService) -> None:
    console = await service.console()
    caller, _ = await service.greeted()
    await console.say("\\ack 0", "\\order greet")
    assert (await console.news())[-1] == "\\notice Somebody is calling now: wait for the first message."
    await caller.say("Bob> Hi!")
    await console.news()
    await console.say("\\order greet")
    talking = "\\notice Somebody is talking here, or may come back: end that conversation first."
    assert await console.news() == [talking]


@with_service()
async def test_a_forgotten_conversation_is_gone_and_watchers_hear_it(service: InProcessService) -> None:
    await over(service)
    watcher = await watching(service)
    console = await service.connect(service.console_session())
    await console.say("\\order forget 1")
    assert await console.rest() == ["\\ready"]
    assert service.journal.by_id(1) is None
    assert "\\read 0" in " ".join(await watcher.news())


@with_service(keep="2d")
async def test_a_reload_removes_what_is_older_than_the_new_setting(service: InProcessService) -> None:
    await over(service)
    console = await service.console()
    await console.news()
    await console.say("\\ack 1")
    await console.news()
    board = service.switchboard
    clock(service, timedelta(days=1, hours=1))
    board.reload(board.settings, "")
    assert service.journal.by_id(1) is not None
    board.reload(board.settings._replace(keep="1d"), "")
    assert service.journal.by_id(1) is None


@with_service(keep="1d")
async def test_an_end_removes_what_has_become_too_old(service: InProcessService) -> None:
    await over(service)
    console = await service.console()
    await console.say("\\ack 1")
    await console.news()
    clock(service, timedelta(days=1, hours=1))
    await over(service, "Ann")
    assert service.journal.by_id(1) is None


def test_what_is_removed_for_its_age_is_in_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "pychatd")

    @with_service(keep="1d", turns=Turns.FREE)
    async def check(service: InProcessService) -> None:
        _, peer, _ = await service.talk(acked=True)
        await peer.say("\\quit")
        await peer.rest()
        assert "Removed" not in caplog.text
        clock(service, timedelta(days=1, hours=1))
        service.switchboard.prune()

    check(tmp_path)
    assert "Removed 1 conversations that ended more than 1 days ago" in caplog.messages


@with_service()
async def test_a_journal_that_cannot_be_pruned_is_told(service: InProcessService) -> None:
    console = await service.console()
    await console.news()
    board = service.switchboard
    service.journal.prune = fails  # type: ignore[method-assign, assignment]
    board.reload(board.settings._replace(keep="1d"), "")
    assert len(await console.news()) == 1
    assert not board._health.works


class Silent:
    """A caller that is connected and has said nothing."""

    secure = False

    def __init__(self, address: str) -> None:
        self.address = address

    def greet(self) -> None:
        raise AssertionError


@with_service()
async def test_of_blocked_silent_callers_only_who_was_calling_is_missed(
    service: InProcessService,
) -> None:
    watcher = await watching(service)
    board = service.switchboard
    for host in (1, 1, 1, 2):
        board.add_silent(Silent(f"192.0.2.{host}:40000"))
    board.blocklist.add("192.0.2.1")
    board.put_out_unwelcome()
    assert [line for line in await watcher.news() if not line.startswith("\\read")] == [
        "\\calling guest address=192.0.2.1:40000 plain=1 silent=1",
        "\\missed guest address=192.0.2.1:40000",
        "\\calling guest address=192.0.2.2:40000 plain=1 silent=1",
    ]
    assert len(board.silent_callers.waiting) == 1


@with_service(handle="bob")
async def test_a_reload_leaves_an_attached_console_its_handle(service: InProcessService) -> None:
    board = service.switchboard
    console = await service.console()
    board.reload(board.settings._replace(handle="zed"), "")
    posing = await service.call("\\hello 1 Alice")
    assert (await posing.rest())[-1].startswith("\\error handle ")
    caller = await service.call("\\hello 1 Bob")
    assert (await hello_of(caller)).handle == "alice"
    await service.lose(caller)
    await service.lose(console)
    board.reload(board.settings._replace(handle="ann"), "")
    assert (await hello_of(await service.call("\\hello 1 Bob"))).handle == "ann"


def test_a_reload_says_that_the_caller_has_the_new_handle(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    @with_service()
    async def check(service: InProcessService) -> None:
        board = service.switchboard
        await service.peer("Hi!")
        for handle, complaints in (("ann", 0), ("bob", 1)):
            board.reload(board.settings._replace(handle=handle), "")
            assert len(board.complaints) == complaints
        (words,) = board.complaints
        assert words.startswith("The setting 'handle' looks too much like Bob, the handle of the caller.")
        orders = await service.connect(service.console_session())
        await orders.say("\\order reload")
        assert await orders.rest() == [f"\\order {words}", "\\ready"]
        assert words in caplog.messages

    check(tmp_path)


@with_service(away="At lunch")
async def test_a_reload_tells_callers_the_new_words_while_nobody_is_there(service: InProcessService) -> None:
    board = service.switchboard
    peer, _ = await service.peer("Hi!")
    board.reload(board.settings._replace(away="Back at nine"), "")
    assert await peer.news() == ["\\away Back at nine"]
    board.reload(board.settings, "")
    assert await peer.news() == []
    await service.console()
    await peer.news()
    board.reload(board.settings._replace(away="On holiday"), "")
    assert await peer.news() == []


# ------------------------------------------------------------------ a journal that fails on the side


@pytest.mark.parametrize("method", ["save_last_operator", "save_shown", "save_quiet"])
def test_a_failure_on_the_side_is_told_and_ends_nothing(tmp_path: Path, method: str) -> None:
    @with_service()
    async def check(service: InProcessService) -> None:
        board = service.switchboard
        console, peer, _ = await service.talk(acked=True)
        assert board.conversation is not None
        setattr(service.journal, method, fails)
        steps: dict[str, Callable[[], None]] = {
            "save_last_operator": lambda: board.go_away(board.operator, "soon"),  # type: ignore[arg-type]
            "save_shown": lambda: board._save_shown(board.conversation),  # type: ignore[arg-type]
            "save_quiet": lambda: board.set_quiet(board.conversation, Role.PEER, True),  # type: ignore[arg-type]
        }
        steps[method]()
        assert not board._health.works
        for end in (console, peer):
            assert any(line.startswith("\\notice") for line in await end.news())
        assert board.conversation is not None
        assert not service.is_closed(peer)

    check(tmp_path)


def test_a_look_at_the_journal_that_fails_is_in_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    @with_service()
    async def check(service: InProcessService) -> None:
        service.journal.check_file = fails  # type: ignore[method-assign]
        assert not service.switchboard.check_journal()

    check(tmp_path)
    assert caplog.messages == ["The journal cannot be written."]


@with_service()
async def test_watchers_that_cannot_be_told_what_was_read_are_a_failure(service: InProcessService) -> None:
    board = service.switchboard
    await service.console()
    await watching(service)
    service.journal.next_unseen = fails  # type: ignore[method-assign]
    assert board.operator is not None
    board.detach(board.operator)
    assert not board._health.works


async def replace_journal(service: InProcessService, *others: str, end: bool = False) -> None:
    """Puts another journal in place, in which Eve has said `others`, while an error has the file closed."""
    there = service.file.parent / "other"
    there.mkdir()
    if others:
        other = InProcessService(there, {"turns": Turns.FREE})
        eve, _ = await other.peer(*others, handle="Eve")
        if end:
            await eve.say("\\quit")
            await eve.rest()
        await other.close()
    service.fail_journal()
    for file in service.file.parent.glob("journal.db*"):
        file.rename(there / f"moved-{file.name}")
    if others:
        (there / "journal.db").rename(service.file)


@pytest.mark.parametrize(("others", "end"), [((), False), (("a", "b", "c"), False), (("a", "b", "c"), True)])
def test_a_talk_is_over_when_another_journal_takes_the_place(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, others: tuple[str, ...], end: bool
) -> None:
    """It may have another conversation of the same number."""

    @with_service(turns=Turns.FREE)
    async def check(service: InProcessService) -> None:
        console, peer, token = await service.talk(acked=True)
        await service.cut(peer)
        await replace_journal(service, *others, end=end)
        service.switchboard._seat_kept_until = 0.0  # since the start
        again = await service.resume(token, "Bob> more")
        answer, *_ = await again.news()
        *_, notice, _, quits = await console.rest()
        assert notice == f"\\notice {LACKING}"
        assert quits == f"\\quit {JOURNAL_REPLACED}"
        if others and not end:
            assert answer.startswith("\\busy"), "the seat is kept for Eve"
            assert service.stored() == list(others)
        else:
            assert answer.startswith("\\hello")
            assert " got=" not in answer
            assert service.stored() == ["more"]

    check(tmp_path)
    assert f"conversation 1: ended, because {JOURNAL_REPLACED}" in caplog.messages


@with_service(turns=Turns.FREE)
async def test_a_talk_goes_on_when_a_copy_of_its_journal_takes_the_place(service: InProcessService) -> None:
    console, peer, token = await service.talk(acked=True)
    copy = service.file.with_name("copy.db")
    service.journal._db.execute("VACUUM INTO ?", (str(copy),))
    await service.cut(peer)
    service.fail_journal()
    for file in service.file.parent.glob("journal.db*"):
        file.rename(file.with_name(f"moved-{file.name}"))
    copy.rename(service.file)
    again = await service.resume(token, "Bob> more")
    assert "\\ack 2" in await again.news()
    assert "Bob> more" in await console.news()
    assert service.stored() == ["Hi!", "more"]


@with_service()
async def test_a_lost_peer_whose_end_cannot_be_stored_is_told(service: InProcessService) -> None:
    console = await service.console()
    person = await service.classic("Hi!")
    await console.news()
    service.journal.end_conversation = fails  # type: ignore[method-assign]
    await service.cut(person)
    assert any(line.startswith("\\notice") for line in await console.news())
    assert not service.switchboard._health.works


@with_service()
async def test_an_outage_is_told_once_and_that_it_is_over(service: InProcessService) -> None:
    console, peer, _ = await service.talk(acked=True)
    watcher = await watching(service)
    for _ in range(2):
        service.switchboard.journal_failed(JournalError("broken"))
    notices = [[line for line in await end.news() if line.startswith("\\notice")] for end in (console, watcher)]
    assert [len(told) for told in notices] == [1, 1]
    await console.say("alice> Hello")
    assert any(line.startswith("\\notice") for line in await console.news())
    assert service.switchboard.check_journal()
    assert "alice> Hello" in await peer.news()


@with_service()
async def test_what_was_read_while_the_journal_failed_is_stored_when_it_works(service: InProcessService) -> None:
    console, _, _ = await service.talk(acked=True)
    service.break_journal()
    await service.lose(console)
    await service.console()
    running = service.journal.running()
    assert running is not None
    assert running.shown[Role.OPERATOR] == 1


@with_service(turns=Turns.FREE)
async def test_an_end_in_doubt_is_not_stored_again(service: InProcessService) -> None:
    """The journal has the peer's end, and has reported an error all the same."""
    console, peer, _ = await service.talk(acked=True)
    end = service.journal.end_conversation

    def in_doubt(conversation: Conversation, *words: Any) -> None:
        end(replace(conversation), *words)
        fails()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(service.journal, "end_conversation", in_doubt)
        patch.setattr(service.journal, "running", fails)
        await peer.say("\\quit I have to go")
        await peer.rest()
        await service.lose(peer)
    await console.say("\\quit bye")
    assert "\\quit I have to go" in await console.news()
    ended = service.journal.by_id(1)
    assert ended is not None
    assert (ended.reason, ended.ended_by) == ("I have to go", Role.PEER)


@with_service(keep="1d", turns=Turns.FREE)
async def test_a_peer_whose_conversation_was_removed_learns_what_is_stored(service: InProcessService) -> None:
    """Otherwise its program would send again what it knows no ack of."""
    console, peer, token = await service.talk(acked=True)
    await peer.say("Bob> one more")
    await console.say("\\ack 2", "\\quit")
    await console.news()
    await service.lose(peer)
    clock(service, timedelta(days=1, hours=1))
    service.switchboard.prune()
    assert service.journal.by_id(1) is None
    again = await service.call(f"\\hello 1 Bob session={token} got=0 sent=1 after=1", "Bob> one more")
    hello = await hello_of(again)
    assert (hello.session, hello.got, hello.sent, hello.after) == (token, 2, 0, 1)
    lines = await again.rest()
    assert "\\read 2" in lines
    assert lines[-1] == "\\quit the other host has removed it since"
    assert lines[-2].startswith("\\at ")
    assert lines[-2].endswith(" service")
    assert service.switchboard.waiting is None
    assert not service.journal.entries(2, 0)


# ------------------------------------------------------------------ who sends no read marks


@with_service(turns=Turns.FREE)
async def test_a_peer_that_sends_no_read_marks_is_kept_as_such(service: InProcessService) -> None:
    console = await service.console()
    peer = await service.call("\\hello 1 Bob quiet=1", "Bob> Hi!")
    await peer.news()
    lines = await console.news()
    assert any(line.startswith("\\peer Bob ") and line.endswith(" quiet=1") for line in lines)
    await console.say("\\ack 1", "alice> Hello")
    await console.news()
    await peer.say("\\ack 1")
    assert "\\read 1" in await peer.news()  # of the operator, who sends them
    assert "\\read 1" not in await console.news()
    running = service.journal.running()
    assert running is not None
    assert running.quiet == {Role.PEER: True, Role.OPERATOR: False}


@with_service(turns=Turns.FREE)
async def test_a_quiet_console_sends_no_read_marks(service: InProcessService) -> None:
    console = await service.console(" quiet=1")
    peer, _ = await service.peer("Hi!")
    await console.say("\\ack 1")
    await console.news()
    assert not any(line.startswith("\\read") for line in await peer.news())
    running = service.journal.running()
    assert running is not None
    assert running.quiet == {Role.PEER: False, Role.OPERATOR: True}


# ------------------------------------------------------------------ signs and presence


@with_service(turns=Turns.FREE)
async def test_signs_go_to_the_other_end_only(service: InProcessService) -> None:
    console, peer, _ = await service.talk(acked=True)
    watcher = await watching(service)
    await peer.news()
    await peer.say("\\typing", "\\ring")
    assert await peer.news() == []
    assert await console.news() == ["\\typing", "\\ring"]
    await console.say("\\typing", "\\ring")
    assert await console.news() == []
    assert await peer.news() == ["\\typing", "\\ring"]
    assert await watcher.news() == []


@with_service()
async def test_of_a_peers_signs_watchers_hear_only_a_ring(service: InProcessService) -> None:
    peer, _ = await service.peer("Hi!")
    watcher = await watching(service)
    for sign in ("\\typing", "\\ring"):
        await peer.say(sign)
        await peer.news()
        assert await watcher.news() == ([sign] if sign == "\\ring" else [])


@with_service()
async def test_a_waiting_caller_hears_who_comes_and_goes(service: InProcessService) -> None:
    caller, _ = await service.greeted()
    console = await service.console()
    assert await caller.news() == ["\\here alice"]
    await service.lose(console)
    assert await caller.news() == ["\\away"]


@with_service()
async def test_a_watcher_hears_who_comes_and_goes(service: InProcessService) -> None:
    watcher = await watching(service)
    console = await service.console(" quiet=1")
    assert await watcher.news() == ["\\here alice quiet=1"]
    await service.lose(console)
    assert await watcher.news() == ["\\away"]


@with_service()
async def test_a_stop_keeps_a_conversation_and_what_was_seen(service: InProcessService) -> None:
    console, peer, _ = await service.talk(acked=True)
    service.switchboard.stop()
    for end in (console, peer):
        assert (await end.rest())[-1].startswith("\\error stopping ")
    running = service.journal.running()
    assert running is not None
    assert running.shown[Role.OPERATOR] == 1


@with_service()
async def test_a_stopped_service_leaves_the_journal_alone(service: InProcessService) -> None:
    board, used = service.switchboard, list[str]()

    def more(number: int) -> bool:
        used.append("remove")
        return True

    service.journal.remove = more  # type: ignore[method-assign]
    board.retention.remove(1)
    while len(used) < 2:
        await asyncio.sleep(TIDYING_PAUSE / 10)
    watcher = await watching(service)
    service.journal.next_unseen = lambda after: used.append("unread")  # type: ignore[method-assign]
    board.watchers.send_unread()
    board.stop()
    before = used.copy()
    await asyncio.sleep(3 * TIDYING_PAUSE)  # what is tested is that nothing happens then
    assert used == before
    await watcher.rest()


@pytest.mark.parametrize(
    ("question", "place"),
    [((1, 1), (1, 1)), ((1, 2), (0, 0)), ((2, 0), (2, 0)), ((2, 1), (0, 0)), ((3, 0), (0, 0)), ((0, 0), (0, 0))],
)
def test_a_watcher_goes_on_where_this_journal_can_have_been(
    tmp_path: Path, question: tuple[int, int], place: tuple[int, int]
) -> None:
    @with_service()
    async def check(service: InProcessService) -> None:
        await over(service)
        number, told = question
        assert service.switchboard.watched_place(wire.Watch(session=number, got=told)) == place
        assert service.switchboard.watched_place(wire.Watch()) == (0, 0)

    check(tmp_path)


@with_service()
async def test_a_console_that_attaches_hears_of_calls_once(service: InProcessService) -> None:
    caller, _ = await service.greeted()
    await service.lose(caller)
    lines = await (await service.console()).news()
    assert f"\\missed Bob address={ADDRESS}" in lines
    assert len(service.switchboard.missed) == 0
    lines = await (await service.console(" take=1")).news()
    assert not any(line.startswith("\\missed") for line in lines)


@with_service()
async def test_a_conversation_begins_when_the_journal_says(service: InProcessService) -> None:
    """Both have whole milliseconds."""
    board = service.switchboard
    board.now = lambda: datetime(2024, 5, 1, microsecond=999_900, tzinfo=UTC)  # type: ignore[method-assign]
    await service.peer("Hi!")
    stored = service.journal.by_id(1)
    assert board.conversation is not None
    assert stored is not None
    assert board.conversation.started == stored.started == datetime(2024, 5, 1, microsecond=999_000, tzinfo=UTC)


# ------------------------------------------------------------------ who is lost


@with_service()
async def test_the_seat_is_kept_from_the_moment_of_the_loss(service: InProcessService) -> None:
    peer, _ = await service.peer("Hi!")
    service.switchboard._seat_kept_until = 0.0  # as if the daemon had run for long
    await service.lose(peer)
    assert not service.switchboard.seat_is_free()


@with_service(turns=Turns.FREE)
async def test_what_was_seen_is_stored_when_an_end_is_lost(service: InProcessService) -> None:
    console, peer, _ = await service.talk(acked=True)
    await console.say("alice> Hello")
    await console.news()
    await peer.say("\\ack 1")
    await peer.news()

    def seen() -> dict[Role, int]:
        running = service.journal.running()
        assert running is not None
        return running.shown

    await service.lose(peer)
    assert seen() == {Role.PEER: 1, Role.OPERATOR: 1}
    service.journal._db.execute("UPDATE conversation SET operator_shown = 0, peer_shown = 0")
    await service.lose(console)
    assert seen() == {Role.PEER: 1, Role.OPERATOR: 1}


@with_service(keep="none", turns=Turns.FREE)
async def test_a_classic_talk_that_is_over_leaves_no_text(service: InProcessService) -> None:
    console = await service.console()
    await service.classic("Bob> Hi!")
    await console.news()
    await console.say("\\ack 1", "alice> Hello")
    await console.news()
    await console.say("\\quit")
    await console.news()
    assert service.switchboard.conversation is None
    assert [entry.text for entry in service.journal.entries(1, 0)] == ["", ""]


# ------------------------------------------------------------------ when who may call has changed

BOBS, ANNS = b"hash of Bob's certificate", b"hash of Ann's"


async def _talks_with(service: InProcessService, certificate: bytes | None) -> AsyncEnd:
    _, peer, _ = await service.talk(acked=True)
    assert service.switchboard.conversation is not None
    service.switchboard.conversation.certificate_hash = certificate
    return peer


@pytest.mark.parametrize(("certificate", "reason"), [(BOBS, CERTIFICATE_REMOVED), (None, NEEDS_CERTIFICATE)])
@pytest.mark.parametrize("away", [False, True])
def test_the_conversation_of_a_removed_caller_ends(
    tmp_path: Path, certificate: bytes | None, reason: str, away: bool
) -> None:
    @with_service()
    async def check(service: InProcessService) -> None:
        board = service.switchboard
        assert board.put_out_unwelcome() is False
        peer = await _talks_with(service, certificate)
        service.removed = {ANNS}
        assert board.put_out_unwelcome() is False
        assert board.conversation is not None
        service.removed = {ANNS, certificate}
        if away:
            await service.lose(peer)
        assert board.put_out_unwelcome() is True
        assert board.conversation is None
        ended = service.journal.by_id(1)
        assert ended is not None
        assert (ended.reason, ended.ended_by) == (reason, Role.OPERATOR)
        if not away:
            assert (await peer.rest())[-1] == f"\\quit {reason}"

    check(tmp_path)


@with_service()
async def test_the_conversation_of_a_removed_caller_ends_when_the_journal_works_again(
    service: InProcessService,
) -> None:
    peer = await _talks_with(service, BOBS)
    service.removed = {BOBS}
    service.break_journal()
    with pytest.raises(JournalError) as failure:
        service.switchboard.put_out_unwelcome()
    service.switchboard.journal_failed(failure.value)
    assert service.switchboard.conversation is not None
    await peer.say("Bob> Hello?")
    assert (await peer.rest())[-1] == f"\\quit {CERTIFICATE_REMOVED}"


@with_service()
async def test_a_new_name_of_the_peer_is_stored_and_told_to_the_console(service: InProcessService) -> None:
    board, names = service.switchboard, {BOBS: "robert"}
    board.rename_peer(names)  # nobody talks
    console, peer, _ = await service.talk(acked=True)
    board.rename_peer(names)  # without a certificate
    talk = board.conversation
    assert talk is not None
    talk.certificate_hash, talk.name = BOBS, "bob"
    for others in ({ANNS: "ann"}, {BOBS: "bob"}):
        board.rename_peer(others)
    assert await console.news() == []
    board.rename_peer(names)
    assert [line.split()[0] for line in await console.news()] == ["\\here"]
    running = service.journal.running()
    assert running is not None
    assert running.name == talk.name == "robert"
    await service.lose(peer)
    await console.news()
    board.rename_peer({BOBS: "rob"})
    assert await console.news() == []
    await service.lose(console)
    board.rename_peer({BOBS: "bobby"})
    assert talk.name == "bobby"
