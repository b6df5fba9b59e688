"""What a program that comes back to a conversation is told again, and how a journal that went back is noticed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pychat_client.protocol import wire
from pychat_client.protocol.digest import UNACKED_MAX, digest_of
from pychat_client.protocol.grammar import timestamp
from pychat_client.protocol.turns import Role, Turns
from pychatd.conversation.model import TEXT_REMOVED
from tests.support.endpoints import NOON
from tests.support.in_process import TOKEN, InProcessService, with_service


def _told(lines: list[str]) -> list[str]:
    """The messages, each with the flags of the line before it."""
    told: list[str] = []
    flags = ""
    for line in lines:
        if (at := re.fullmatch(r"\\at \S+ ?(.*)", line)) is not None:
            flags = at[1]
        elif not line.startswith("\\"):
            told.append(f"{flags} {line}".strip())
            flags = ""
    return told


async def _back(service: InProcessService, token: str, words: str) -> list[str]:
    raw = await service.call(f"\\hello 1 Bob session={token} {words}")
    return await raw.news()


@with_service(turns=Turns.FREE)
async def test_a_new_program_of_the_peer_is_told_what_both_said(service: InProcessService) -> None:
    console, peer, token = await service.talk()
    await console.say("alice> one", "alice> two")
    await peer.news()
    await peer.say("Bob> three")
    await service.lose(peer)
    await console.say("alice> four")
    await console.news()
    lines = await _back(service, token, "got=2 sent=2 after=0")
    assert "after=0" in lines[0]
    assert _told(lines) == [
        "own again Bob> Hi!",
        "again alice> one",
        "again alice> two",
        "own again Bob> three",
        "alice> four",
    ]
    assert lines[-1] == "\\ready"
    lines = await _back(service, token, "got=3 sent=2 after=3")
    assert _told(lines) == ["own again Bob> three", "again alice> four"]


@with_service(turns=Turns.FREE)
async def test_what_the_peer_does_not_know_is_never_left_out(service: InProcessService) -> None:
    """Its file may be older than what the daemon had told it."""
    console, peer, token = await service.talk()
    await console.say("alice> one", "alice> two")
    await peer.news()
    await service.lose(peer)
    lines = await _back(service, token, "got=1 sent=1 after=3")
    assert "after=2" in lines[0]
    assert _told(lines) == ["alice> two"]


@with_service(turns=Turns.FREE, keep="none")
async def test_a_text_that_is_not_kept_has_only_its_place(service: InProcessService) -> None:
    console, peer, token = await service.talk(acked=True)
    await console.say("alice> one")
    await peer.news()
    await peer.say("\\ack 1")
    await service.lose(peer)
    lines = await _back(service, token, "got=1 sent=1 after=0")
    assert _told(lines) == [f"own gone again Bob> {TEXT_REMOVED}", f"gone again alice> {TEXT_REMOVED}"]


@with_service(keep="none", turns=Turns.FREE)
async def test_a_text_that_is_not_kept_has_only_its_place_at_the_console(service: InProcessService) -> None:
    console, _, _ = await service.talk(acked=True)
    await service.lose(console)
    console = await service.console(" session=1 got=1 sent=0 after=0")
    assert _told(await console.news()) == [f"gone again Bob> {TEXT_REMOVED}"]


@with_service(turns=Turns.FREE)
async def test_what_a_console_says_now_is_not_told_again(service: InProcessService) -> None:
    console, peer, _ = await service.talk(acked=True)
    await service.lose(console)
    console = await service.console(" session=1 got=1 sent=0 after=0")
    await console.say("\\ack 1", "alice> Hello")
    await console.news()
    await peer.say("Bob> two")
    await peer.news()
    assert _told(await console.news()) == ["Bob> two"]


@with_service()
async def test_an_old_program_is_told_nothing_again(service: InProcessService) -> None:
    console, peer, token = await service.talk()
    await console.say("alice> one")
    await peer.news()
    await service.lose(peer)
    lines = await _back(service, token, "got=1")
    assert _told(lines) == []
    assert "\\ready" not in lines


def test_a_long_conversation_is_told_in_pieces(tmp_path: Path) -> None:
    @with_service(turns=Turns.FREE)
    async def check(service: InProcessService) -> None:
        texts = [f"{n:04d}" + "x" * 400 for n in range(1000)]
        service.fill(Role.OPERATOR, texts)
        raw = await service.call(f"\\hello 1 Bob session={TOKEN} got=500 sent=1 after=0")
        lines: list[str] = []
        while not lines or lines[-1] != "\\ready":
            lines.append(await raw.hear())
        told = _told(lines)
        assert [line.split("> ")[1][:4] for line in told[1:]] == [text[:4] for text in texts]
        assert [line.startswith("again ") for line in told[1:]] == [n < 500 for n in range(1000)]

    check(tmp_path)


@with_service(turns=Turns.FREE)
async def test_who_quits_while_it_is_told_again_has_quit(service: InProcessService) -> None:
    service.fill(Role.OPERATOR, ["x" * 400] * 1000)
    raw = await service.call(f"\\hello 1 Bob session={TOKEN} got=500 sent=1 after=0", "\\quit bye")
    lines = await raw.rest()
    assert len(_told(lines)) == 1001
    assert lines[-1] == "\\quit bye"
    assert not lines[-2].startswith("\\at ")  # its user knows who has ended it, and when


@with_service(turns=Turns.FREE)
async def test_an_end_while_away_comes_with_its_time(service: InProcessService) -> None:
    console, peer, token = await service.talk(acked=True)
    await service.lose(peer)
    await console.say("\\quit bye")
    await console.news()
    raw = await service.call(f"\\hello 1 Bob session={token} got=0 sent=1 after=0")
    lines = await raw.rest()
    assert _told(lines) == ["own again Bob> Hi!"]
    assert lines[-1] == "\\quit bye"
    assert "\\ready" not in lines


@with_service(grace=0)
async def test_an_end_by_the_service_says_so(service: InProcessService) -> None:
    console, peer, token = await service.talk(acked=True)
    await service.lose(peer)
    await service.peer("Me", handle="Eve")
    for lines in (await console.news(), await (await service.call(f"\\hello 1 Bob session={token} got=0")).rest()):
        place = next(index for index, line in enumerate(lines) if line.startswith("\\quit the caller did"))
        assert re.fullmatch(r"\\at \S+ service", lines[place - 1])


@with_service(turns=Turns.FREE)
async def test_a_new_program_of_the_operator_is_told_what_both_said(service: InProcessService) -> None:
    console, peer, _ = await service.talk()
    await console.say("\\ack 1", "alice> one")
    await peer.news()
    await service.lose(console)
    await peer.say("Bob> two")
    await peer.news()
    again = await service.console(" session=1 got=1 sent=1 after=0")
    assert _told(await again.news()) == ["again Bob> Hi!", "own again alice> one", "Bob> two"]


@pytest.mark.parametrize(
    ("got", "sent", "lost"),
    [
        (2, 1, "1 of your messages"),
        (1, 2, "1 of Bob's messages"),
        (2, 2, "1 of your messages and 1 of Bob's messages"),
        (9, 8, "8 of your messages and 7 of Bob's messages"),
    ],
)
def test_a_journal_that_went_back_is_told_to_both(tmp_path: Path, got: int, sent: int, lost: str) -> None:
    @with_service(turns=Turns.FREE)
    async def check(service: InProcessService) -> None:
        console, peer, token = await service.talk()
        await console.say("alice> one")
        await console.news()
        await service.lose(peer)
        raw = await service.call(f"\\hello 1 Bob session={token} got={got} sent={sent} after=0")
        hello = await raw.frame()
        assert isinstance(hello, wire.Hello)
        assert (hello.got, hello.sent, hello.after) == (1, 1, None)
        told = f"\\notice Bob's program says that the journal has lost {lost} in the conversation with Bob, "
        assert any(line.startswith(told) for line in await console.news())

    check(tmp_path)


def _digest(lines: list[str]) -> str | None:
    found = re.search(r" digest=(\w+)", lines[0])
    return None if found is None else found[1]


@with_service(turns=Turns.FREE)
async def test_a_peer_can_compare_what_it_does_not_know_to_be_stored(service: InProcessService) -> None:
    _, peer, token = await service.talk()
    await peer.say("Bob> two", "Bob> three")
    await peer.news()
    assert _digest(await _back(service, token, "got=0 sent=1")) == digest_of(["two", "three"])
    assert _digest(await _back(service, token, "got=0 sent=2 after=0")) == digest_of(["three"])
    assert _digest(await _back(service, token, "got=0 sent=3")) is None
    assert _digest(await _back(service, token, "got=0")) is None


@with_service(turns=Turns.FREE, keep="none")
async def test_texts_that_are_not_kept_cannot_be_compared(service: InProcessService) -> None:
    _, _, token = await service.talk(acked=True)
    assert _digest(await _back(service, token, "got=0 sent=0")) is None


def test_more_than_a_program_has_on_its_way_is_not_compared(tmp_path: Path) -> None:
    @with_service(turns=Turns.FREE)
    async def check(service: InProcessService) -> None:
        texts = [f"{n}" for n in range(1, UNACKED_MAX + 1)]
        service.fill(Role.PEER, texts)
        assert _digest(await _back(service, TOKEN, "got=0 sent=0")) is None
        assert _digest(await _back(service, TOKEN, "got=0 sent=1")) == digest_of(texts)

    check(tmp_path)


def test_an_end_by_the_reader_says_so(tmp_path: Path) -> None:
    @with_service(turns=Turns.FREE)
    async def check(service: InProcessService) -> None:
        console, peer, token = await service.talk()
        await peer.say("\\quit done")
        await peer.rest()
        lines = await (await service.call(f"\\hello 1 Bob session={token} got=0 sent=0 after=0")).rest()
        assert re.fullmatch(r"\\at \S+ own", lines[-2])
        assert lines[-1] == "\\quit done"
        await console.say("\\ack 1")
        assert (await console.news())[-1] == "\\quit done"

    check(tmp_path)


@with_service(turns=Turns.FREE)
async def test_a_console_can_compare_what_it_does_not_know_to_be_stored(service: InProcessService) -> None:
    console, _, _ = await service.talk()
    await console.say("\\ack 1", "alice> another's")
    await console.news()
    await service.lose(console)
    console = await service.console(" console=c1 session=1 got=1 sent=1")
    await console.say("\\ack 1", "alice> one", "alice> two")
    await console.news()
    await service.lose(console)
    for known, mine in ((0, ["one", "two"]), (2, ["two"]), (3, [])):
        console = await service.console(f" console=c1 session=1 got=1 sent={known}")
        heading = next(line for line in await console.news() if line.startswith("\\peer"))
        assert (f" mine={len(mine)} " in heading) is bool(mine)
        assert _digest([heading]) == digest_of(mine)
        await service.lose(console)


@with_service(turns=Turns.FREE)
async def test_a_console_of_another_journal_is_told_all(service: InProcessService) -> None:
    """Its conversation only has the same number."""
    console, _, _ = await service.talk(acked=True)
    started = service.switchboard.conversation.started if service.switchboard.conversation else None
    await service.lose(console)
    for since, heard in ((started, 1), (NOON, 0)):
        assert since is not None
        console = await service.console(f" session=1 since={timestamp(since)} got=1 sent=0")
        heading = next(line for line in await console.news() if line.startswith("\\peer"))
        assert f" heard={heard} " in heading
        await service.lose(console)
