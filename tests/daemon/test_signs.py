"""A user who sends no signs: what the other side is told, and that it gets no read marks."""

from __future__ import annotations

from pychat_client.protocol.turns import Role, Turns
from tests.support.in_process import InProcessService, hello_of, with_service
from tests.support.raw_ends import AsyncEnd


def _marks(lines: list[str]) -> list[str]:
    return [line for line in lines if line.startswith("\\read ")]


async def _quiet_peer(service: InProcessService) -> tuple[AsyncEnd, str]:
    peer = await service.call("\\hello 1 Bob quiet=1", "Bob> Hi!")
    token = (await hello_of(peer)).session
    assert token is not None
    await peer.news()
    return peer, token


@with_service(turns=Turns.FREE)
async def test_a_quiet_peer_sends_the_console_no_read_marks(service: InProcessService) -> None:
    console = await service.console()
    peer, _ = await _quiet_peer(service)
    (heading,) = (line for line in await console.news() if line.startswith("\\peer"))
    assert " quiet=1" in heading
    await console.say("\\ack 0", "\\ack 1", "alice> Hello")
    await peer.say("\\ack 1")
    assert _marks(await peer.news()) == ["\\read 1"]
    assert _marks(await console.news()) == []
    assert service.switchboard.conversation is not None
    assert service.switchboard.conversation.shown[Role.PEER] == 1
    await service.restart()
    console = await service.console()
    await console.say("\\ack 0")
    again = await console.news()
    assert _marks(again) == []
    assert any(" quiet=1" in line for line in again)


@with_service(turns=Turns.FREE)
async def test_a_quiet_operator_sends_the_peer_no_read_marks(service: InProcessService) -> None:
    console = await service.console(" quiet=1")
    caller = await service.call("\\hello 1 Bob")
    hello = await hello_of(caller)
    assert hello.quiet
    await caller.say("Bob> Hi!")
    await caller.news()
    await console.say("\\ack 0", "\\ack 1")
    await console.news()
    assert service.switchboard.unread().count == 0
    assert _marks(await caller.news()) == []
    await service.restart()
    assert hello.session is not None
    peer, _ = await service.resumed(hello.session)
    assert _marks(await peer.news()) == []
    await service.console(" quiet=1")
    assert await peer.news() == ["\\here alice quiet=1"]


@with_service(turns=Turns.FREE)
async def test_a_user_who_sends_signs_again_sends_read_marks_again(service: InProcessService) -> None:
    console = await service.console()
    peer, token = await _quiet_peer(service)
    await console.say("\\ack 0", "\\ack 1", "alice> Hello")
    await peer.say("\\ack 1")
    await console.news()
    await service.lose(peer)
    await console.news()
    await service.resume(token, "\\ack 1", got=1)
    here, *_ = [line for line in await console.news() if line.startswith("\\here")]
    assert "quiet" not in here
    await console.say("alice> Are you there?")
    await console.news()
    assert service.switchboard.conversation is not None
    assert service.switchboard.conversation.read_mark(Role.PEER) == 1


@with_service(turns=Turns.FREE)
async def test_who_sends_signs_again_tells_what_was_read_before(service: InProcessService) -> None:
    console = await service.console()
    peer, token = await _quiet_peer(service)
    await console.say("\\ack 0", "\\ack 1", "alice> Hello")
    await peer.say("\\ack 1")
    await peer.news()
    await service.lose(peer)
    assert _marks(await console.news()) == []
    await service.resume(token, "\\ack 1", got=1)
    assert _marks(await console.news()) == ["\\read 1"]


@with_service(turns=Turns.FREE)
async def test_and_so_does_an_operator(service: InProcessService) -> None:
    console = await service.console(" quiet=1")
    peer = await service.call("\\hello 1 Bob", "Bob> Hi!")
    await console.say("\\ack 0", "\\ack 1")
    assert _marks(await peer.news()) == []
    await service.lose(console)
    await service.console()
    assert _marks(await peer.news()) == ["\\read 1"]


@with_service(turns=Turns.FREE)
async def test_a_returning_peer_learns_that_the_operator_is_quiet(service: InProcessService) -> None:
    """Otherwise its program would call unread what such an operator has read, and then gone."""
    console = await service.console(" quiet=1")
    peer = await service.call("\\hello 1 Bob", "Bob> Hi!")
    token = (await hello_of(peer)).session
    await console.say("\\ack 0", "\\ack 1")
    await service.lose(console)
    await service.lose(peer)
    assert token is not None
    again = await service.call(f"\\hello 1 Bob session={token} got=0")
    assert (await hello_of(again)).quiet
