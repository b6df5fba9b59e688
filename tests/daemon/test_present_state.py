"""What systemd and the watchers are told of a service is the present, whatever has just happened."""

from __future__ import annotations

import pytest

from pychat_client.protocol.turns import Turns
from pychatd.conversation.model import JournalError
from pychatd.conversation.service_status import state_sentence
from tests.support.in_process import ADDRESS, InProcessService, with_service
from tests.support.raw_ends import AsyncEnd

UNREAD = "1 unread message from Bob."


class Systemd:
    """Shows what the service has said of itself last."""

    def __init__(self, service: InProcessService) -> None:
        self._switchboard = service.switchboard
        self.shown = state_sentence(self._switchboard)
        self.told = 0
        self._switchboard._changed = self._look

    def _look(self) -> None:
        self.told += 1
        self.shown = state_sentence(self._switchboard)


async def all_done(*ends: AsyncEnd) -> None:
    for end in ends:
        await end.news()


@with_service(turns=Turns.FREE)
async def test_systemd_shows_who_calls_talks_and_is_away(service: InProcessService) -> None:
    systemd = Systemd(service)
    caller, _ = await service.greeted()
    assert systemd.shown == f"Bob from {ADDRESS} is calling."
    await service.lose(caller)
    assert systemd.shown == "Waiting for a caller."
    peer, token = await service.peer("Hi!")
    assert systemd.shown == f"Talking with Bob from {ADDRESS}. {UNREAD}"
    await service.lose(peer)
    assert systemd.shown == f"Waiting for Bob to come back. {UNREAD}"
    peer, _ = await service.resumed(token)
    assert systemd.shown == f"Talking with Bob from {ADDRESS}. {UNREAD}"
    await peer.say("Bob> you")
    await peer.news()
    assert systemd.shown == f"Talking with Bob from {ADDRESS}. 2 unread messages from Bob."
    console = await service.console()
    await console.news()
    await console.say("\\ack 2")
    await console.news()
    assert systemd.shown == f"Talking with Bob from {ADDRESS}."
    await peer.say("\\quit")
    await peer.rest()
    assert systemd.shown == "Waiting for a caller."


@pytest.mark.usefixtures("seen_soon")
@with_service()
async def test_systemd_shows_a_caller_that_says_nothing(service: InProcessService) -> None:
    systemd = Systemd(service)
    watching = await service.connect(service.console_session())
    await watching.say("\\watch")
    caller = await service.call()
    assert await watching.hear() == f"\\calling guest address={ADDRESS} silent=1"
    assert systemd.shown == f"A caller at {ADDRESS} is connected, and has said nothing yet."
    console = await service.console()
    assert await console.hear() == f"\\calling guest address={ADDRESS} silent=1"
    await service.lose(caller)
    assert systemd.shown == "Waiting for a caller."


@with_service()
async def test_systemd_shows_that_the_journal_fails(service: InProcessService) -> None:
    systemd = Systemd(service)

    def fail(limit: int) -> list[object]:
        raise JournalError("broken")

    service.journal.unread_counts = fail  # type: ignore[method-assign, assignment]
    service.switchboard.journal_failed(JournalError("broken"))
    assert systemd.shown == "Waiting for a caller. The journal cannot be read."


@with_service()
async def test_a_watcher_that_comes_or_goes_is_a_change(service: InProcessService) -> None:
    """A service that nobody uses ends after a while; a watcher uses it."""
    systemd = Systemd(service)
    watching = await service.connect(service.console_session())
    await watching.say("\\watch")
    await watching.news()
    assert systemd.told == 1
    await service.lose(watching)
    assert systemd.told == 2


@with_service()
async def test_a_console_that_comes_or_goes_is_a_change(service: InProcessService) -> None:
    systemd = Systemd(service)
    console = await service.console()
    await console.news()
    assert systemd.told == 1
    await service.lose(console)
    assert systemd.told == 2


@with_service()
async def test_a_reload_changes_the_handle_if_the_setting_changed(service: InProcessService) -> None:
    board = service.switchboard
    settings = board.settings._replace(handle="desk")
    board.reload(settings, "fingerprint")
    assert (board.handle, board.fingerprint) == ("desk", "fingerprint")
    await service.console()
    assert board.handle == "alice"
    board.reload(settings._replace(), "fingerprint")
    assert board.handle == "alice"
    board.reload(settings._replace(handle=None, grace=1.0), "another")
    assert (board.handle, board.settings.grace, board.fingerprint) == ("alice", 1.0, "another")
