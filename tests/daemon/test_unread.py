"""What waits for the operator: the count, of whom and since when, in the report and in the words for systemd."""

from __future__ import annotations

import asyncio
from datetime import datetime

import pytest

from pychat_client.protocol.grammar import timestamp
from pychat_client.protocol.turns import Turns
from pychatd.conversation.service_status import idle_sentence, state_sentence, status_json
from pychatd.conversation.unread import HANDLES_MAX
from pychatd.report import CallingReport, Report, UnreadReport
from tests.support.in_process import ADDRESS, InProcessService, with_service


def _report(service: InProcessService) -> Report:
    service.switchboard.fingerprint = "SHA256:" + "A" * 43
    return Report.parse(status_json(service.switchboard))


def _time(service: InProcessService, number: int, place: int) -> datetime:
    return service.journal.entries(number, place - 1)[0].time


async def _leave(service: InProcessService, handle: str, *texts: str) -> None:
    """A conversation that is over."""
    peer, _ = await service.peer(*texts, handle=handle)
    await peer.say("\\quit")
    await peer.rest()


@with_service(turns=Turns.FREE)
async def test_nothing_is_unread_that_a_console_has_shown(service: InProcessService) -> None:
    nothing = UnreadReport(0, [], None)
    assert _report(service).unread == nothing
    await service.peer("Hi!", "Hello?")
    unread = _report(service).unread
    assert unread is not None
    assert (unread.count, unread.from_) == (2, ["Bob"])
    console = await service.console()
    await console.say("\\ack 0", "\\ack 1")
    await console.news()
    assert _report(service).unread == UnreadReport(1, ["Bob"], timestamp(_time(service, 1, 2)))
    await console.say("\\ack 2")
    await console.news()
    assert _report(service).unread == nothing


@with_service(turns=Turns.FREE)
async def test_a_report_is_printed_as_the_daemon_has_written_it(service: InProcessService) -> None:
    await _leave(service, "Ann", "one")
    await service.peer("two")
    await service.console()
    report = _report(service)
    assert report.json() == status_json(service.switchboard)
    assert None not in (report.peer, report.console, report.unread)


@with_service(turns=Turns.FREE)
async def test_ended_conversations_count_as_unread_from_the_oldest(
    service: InProcessService,
) -> None:
    await _leave(service, "Ann", "one", "two")
    await _leave(service, "Ann", "three")
    await service.peer("four")
    unread = _report(service).unread
    assert unread == UnreadReport(4, ["Ann", "Bob"], timestamp(_time(service, 1, 1)))
    assert state_sentence(service.switchboard) == (
        f"Talking with Bob from {ADDRESS}. 4 unread messages from Ann, Bob."
    )


@with_service(turns=Turns.FREE)
async def test_what_was_unread_is_unread_after_a_restart(service: InProcessService) -> None:
    await _leave(service, "Ann", "one")
    await service.restart()
    assert idle_sentence(service.switchboard) == (
        "The next call or console starts the daemon again. 1 unread message from Ann."
    )


@with_service(turns=Turns.FREE)
async def test_only_some_callers_are_named_and_all_messages_count(service: InProcessService) -> None:
    for number in range(HANDLES_MAX + 2):
        await _leave(service, f"Ann{number}", "Hi!")
    unread = _report(service).unread
    assert unread is not None
    assert (unread.count, len(unread.from_)) == (HANDLES_MAX + 2, HANDLES_MAX)


@with_service()
async def test_the_report_tells_who_is_calling_and_who_was_missed(service: InProcessService) -> None:
    caller, _ = await service.greeted()
    report = _report(service)
    assert f"Bob from {ADDRESS} is calling and has not sent a message yet." in report.in_words()
    assert state_sentence(service.switchboard) == f"Bob from {ADDRESS} is calling."
    await service.lose(caller)
    assert "1 missed call." in _report(service).in_words()
    await service.console()
    assert "missed" not in _report(service).in_words()


@pytest.mark.usefixtures("seen_soon")
@with_service()
async def test_the_report_tells_of_a_caller_that_says_nothing(service: InProcessService) -> None:
    caller = await service.call()
    while not service.switchboard.silent_callers:
        await asyncio.sleep(0.01)
    report, words = _report(service), f"A caller at {ADDRESS} is connected, and has said nothing yet."
    assert report.calling == CallingReport("guest", ADDRESS, encrypted=True, certificate=None, silent=True)
    assert words in report.in_words()
    assert state_sentence(service.switchboard) == words
    await caller.say("\\hello 1 Bob")
    await caller.news()
    assert state_sentence(service.switchboard) == f"Bob from {ADDRESS} is calling."


@with_service()
async def test_a_journal_that_fails_is_told(service: InProcessService) -> None:
    assert _report(service).journal_words == ""
    caller, _ = await service.greeted()
    away = service.file.rename(service.file.with_suffix(".away"))
    await caller.say("Bob> Hi!")
    await caller.rest()
    report = _report(service)
    assert report.journal_words
    assert "Messages cannot be stored." in report.in_words()
    away.rename(service.file)
    await service.peer("Hi!")
    assert _report(service).journal_words == ""


def test_a_report_of_an_earlier_version_can_be_read() -> None:
    text = (
        '{"port": 7000, "pid": 1, "since": "2026-11-22T10:00:00Z", "turns": "free", "key": "SHA256:'
        + 43 * "A"
        + '", "peer": null, "console": null}'
    )
    report = Report.parse(text)
    assert report.journal_words == ""
    assert report.unread == UnreadReport(0, [], None)
