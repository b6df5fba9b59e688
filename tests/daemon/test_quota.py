"""What the journal takes, and what happens to those whose messages it does not take."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from pychat_client.protocol.turns import Role, Turns, TurnState
from pychat_client.text import WORDS_MAX
from pychatd.conversation import quota
from pychatd.conversation.journal import Journal
from pychatd.conversation.journal_health import WORKS_AGAIN
from pychatd.conversation.model import Conversation, JournalFullError
from pychatd.conversation.quota import Quota
from tests.support.endpoints import NOON
from tests.support.in_process import InProcessService, with_service
from tests.support.raw_ends import AsyncEnd


@pytest.fixture(autouse=True)
def checked_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quota, "CHECK_EVERY", 1)


async def _refused(end: AsyncEnd) -> str:
    """The words with which the daemon leaves an end, whose program then keeps its messages."""
    *_, last = await end.rest()
    code, _, words = last.removeprefix("\\error ").partition(" ")
    assert (code, words[:3]) == ("journal", "No ")
    assert len(words) < WORDS_MAX
    return words


# ------------------------------------------------------------------ what the operator has not seen


@pytest.fixture
def few_unread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quota, "UNREAD_MAX", 5)
    monkeypatch.setattr(quota, "UNREAD_TOGETHER_MAX", 8)
    monkeypatch.setattr(quota, "UNREAD_CONVERSATIONS_MAX", 4)


@pytest.mark.usefixtures("few_unread")
@with_service(turns=Turns.FREE)
async def test_a_peer_waits_until_the_operator_has_seen_some_messages(service: InProcessService) -> None:
    peer, token = await service.peer(*"12345")
    await peer.say("Bob> 6")
    assert "until the operator has read some: 5 are unread" in await _refused(peer)
    again, hello = await service.resumed(token)
    assert hello.got == 5
    console = await service.console()
    await console.say("\\ack 5")
    await console.news()
    await again.say("Bob> 6")
    assert "\\ack 6" in await again.news()
    assert service.stored() == [*"123456"]


async def _leave_unread(service: InProcessService, conversations: int, messages: int) -> None:
    for number in range(conversations):
        peer, _ = await service.peer(*map(str, range(messages)), handle=f"Eve{number}")
        await peer.say("\\quit")
        await peer.rest()


@pytest.mark.usefixtures("few_unread")
@pytest.mark.parametrize(("conversations", "messages"), [(4, 1), (2, 4)])
def test_no_new_conversation_begins_while_too_much_is_unread(
    tmp_path: Path, conversations: int, messages: int
) -> None:
    @with_service(turns=Turns.FREE)
    async def check(service: InProcessService) -> None:
        await _leave_unread(service, conversations, messages)
        caller, _ = await service.greeted("Ann")
        await caller.say("Ann> Hi!")
        assert "too many messages of other callers are unread" in await _refused(caller)
        assert service.journal.unread_total(100) == (conversations, conversations * messages)
        console = await service.console()
        await console.say(f"\\ack {messages}")
        await console.news()
        again, _ = await service.greeted("Ann")
        await again.say("Ann> Hi!")
        assert "\\ack 1" in await again.news()

    check(tmp_path)


@pytest.mark.usefixtures("few_unread")
@with_service(turns=Turns.FREE)
async def test_a_limit_is_over_when_the_operator_has_read(service: InProcessService) -> None:
    peer, token = await service.peer(*"12345")
    await peer.say("Bob> 6")
    await _refused(peer)
    assert not service.switchboard.check_journal()
    again, _ = await service.resumed(token)
    console = await service.console()
    await console.say("\\ack 5")
    await console.news()
    assert service.switchboard.check_journal()
    for end in (again, console):
        assert f"\\notice {WORKS_AGAIN}" in await end.news()


@pytest.mark.usefixtures("few_unread")
@with_service(turns=Turns.FREE)
async def test_a_limit_of_all_callers_is_over_when_the_operator_has_read(service: InProcessService) -> None:
    await _leave_unread(service, 2, 4)
    caller, _ = await service.greeted("Cy")
    await caller.say("Cy> Hi!")
    await _refused(caller)
    assert not service.switchboard.check_journal()
    console = await service.console()
    for _ in range(2):
        await console.say("\\ack 4")
    await console.news()
    assert service.switchboard.check_journal()


@pytest.mark.usefixtures("few_unread")
@with_service(turns=Turns.FREE, grace=0.0)
async def test_a_caller_that_is_refused_ends_no_conversation(service: InProcessService) -> None:
    await _leave_unread(service, 3, 1)
    peer, token = await service.peer("Hi!")
    await service.lose(peer)
    stranger, _ = await service.greeted("Eve")
    await stranger.say("Eve> Hi!")
    await _refused(stranger)
    back, hello = await service.resumed(token)
    assert hello.got == 1
    await back.say("Bob> still here")
    assert "\\ack 2" in await back.news()


@pytest.mark.usefixtures("few_unread")
@with_service(turns=Turns.FREE)
async def test_the_operator_can_answer_a_peer_that_has_to_wait(service: InProcessService) -> None:
    peer, _ = await service.peer(*"12345")
    await peer.say("Bob> 6")
    await _refused(peer)
    console = await service.console()
    await console.say("alice> Hm")
    assert "\\ack 1" in await console.news()


# ------------------------------------------------------------------ the size of the journal, and the disk


@with_service(turns=Turns.FREE, rate=0, journal_max=1)
async def test_a_journal_does_not_grow_beyond_its_largest_size(service: InProcessService) -> None:
    """Nothing stored is removed, both sides are told, and the conversation can end."""
    console, peer, token = await service.talk(acked=True)
    answers: list[str] = []
    while not any("\\error" in line for line in answers):
        await peer.say(*("Bob> " + 500 * "x" for _ in range(50)))
        answers = await peer.news()
        await console.news()
    assert quota.MEGABYTE <= service.journal.size() < 1.2 * quota.MEGABYTE
    stored = service.counts()[0]
    await console.say("alice> Hm")
    assert "journal_max" in await _refused(console)
    back, hello = await service.resumed(token)
    assert hello.got == stored
    assert len(service.journal.entries(1, 0, limit=10_000)) == stored
    await back.say("\\quit bye")
    await back.rest()
    assert service.journal.running() is None


@with_service(turns=Turns.FREE)
async def test_a_limit_is_over_when_a_reload_has_raised_it(service: InProcessService) -> None:
    board = service.switchboard
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(quota, "MEGABYTE", 1)
        peer, _ = await service.greeted()
        await peer.say("Bob> Hi!")
        await peer.rest()
        assert not board.check_journal()
        board.reload(board.settings._replace(journal_max=1_000_000_000), "")
        assert board.check_journal()


@with_service(turns=Turns.FREE)
async def test_some_of_the_disk_stays_free(service: InProcessService) -> None:
    console, peer, token = await service.talk(acked=True)
    free, total = service.journal.disk()
    assert 0 < free <= total
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Journal, "disk", lambda self: (quota.FREE_MAX - 1, 1 << 40))
        await peer.say("Bob> Hello?")
        assert (await peer.rest())[-1].startswith("\\error journal The other host cannot store messages now")
        assert (
            "\\notice No more messages are stored: the disk of the journal is nearly full." in await console.news()
        )
        await console.say("alice> Hm")
        assert "nearly full" in await _refused(console)
    back, _ = await service.resumed(token)
    await back.say("Bob> Hello?")
    assert "\\ack 2" in await back.news()
    assert service.stored() == ["Hi!", "Hello?"]


@pytest.mark.parametrize(
    ("free", "total", "taken"),
    [(10, 1000, True), (9, 1000, False), (quota.FREE_MAX, 1 << 50, True), (quota.FREE_MAX - 1, 1 << 50, False)],
)
def test_a_part_of_a_small_disk_is_kept_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int, total: int, taken: bool
) -> None:
    monkeypatch.setattr(Journal, "disk", lambda self: (free, total))

    @with_service()
    async def check(service: InProcessService) -> None:
        caller, _ = await service.greeted()
        await caller.say("Bob> Hi!")
        assert ("\\ack 1" in await caller.news()) == taken

    check(tmp_path)


def test_a_full_disk_is_asked_about_each_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    free, asked = 0, []
    monkeypatch.setattr(Journal, "disk", lambda self: asked.append(1) or (free, 1000))  # type: ignore[func-returns-value]
    monkeypatch.setattr(quota, "CHECK_EVERY", 3)
    journal = Journal(tmp_path / "journal.db", full=False)
    limits, conversation = Quota(journal), Conversation("Bob", "a", None, TurnState(Turns.FREE), NOON)
    for _ in range(2):
        with pytest.raises(JournalFullError):
            limits.check(conversation, Role.OPERATOR, 1, 0)
    free = 1000
    for _ in range(6):
        limits.check(conversation, Role.OPERATOR, 1, 0)
    assert len(asked) == 4
    for _ in range(2):
        limits.check(conversation, Role.OPERATOR, 3, 0)
    assert len(asked) == 6
    journal.close()


@with_service(turns=Turns.FREE, rate=0)
async def test_space_that_was_pruned_counts_as_free(service: InProcessService) -> None:
    empty = service.journal.size()
    peer, _ = await service.peer("Hi!")
    await peer.say(*("Bob> " + 500 * "x" for _ in range(400)))
    await peer.news()
    conversation = service.switchboard.conversation
    assert conversation
    conversation.mark_shown(Role.OPERATOR, 401)
    service.switchboard.end_conversation("", None)
    full = service.journal.size()
    while service.journal.prune(service.switchboard.now() + timedelta(days=1)) != (0, False):
        pass
    assert empty <= service.journal.size() < full / 2
