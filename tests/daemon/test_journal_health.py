"""When both ends are told that the journal fails, and when it has to be read again."""

from __future__ import annotations

import pytest

from pychat_client.protocol import wire
from pychatd.conversation.journal_health import FAILED, WORKS_AGAIN, JournalHealth
from pychatd.conversation.model import JournalError, JournalFullError

BROKEN = JournalError("broken")
FULL = JournalFullError("Not stored: it is full.")


def test_an_outage_is_told_once_and_so_is_its_end() -> None:
    notices: list[wire.Notice] = []
    health = JournalHealth(notices.append)
    health.stored()
    health.failed(BROKEN)
    health.failed(BROKEN)
    health.stored()
    health.stored()
    assert [notice.words for notice in notices] == [FAILED, WORKS_AGAIN]


def test_a_failure_asks_for_a_reload_until_it_is_done() -> None:
    health = JournalHealth(lambda notice: None)
    assert not health.needs_reload
    health.failed(BROKEN)
    health.stored()
    health.failed(FULL)
    assert health.needs_reload
    health.reloaded()
    assert not health.needs_reload


def test_what_a_look_shows_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    notices: list[wire.Notice] = []
    health = JournalHealth(notices.append)
    for found in (None, BROKEN, BROKEN, None, BROKEN, FULL):
        health.looked(found)
    assert caplog.messages == [str(BROKEN), str(BROKEN), str(FULL)]
    assert not notices
    assert health.works


def test_a_look_shows_that_an_outage_is_over_but_not_before_the_journal_was_read_again() -> None:
    notices: list[wire.Notice] = []
    health = JournalHealth(notices.append)
    health.failed(FULL)
    health.looked(FULL)
    assert not health.works
    health.looked(None)
    assert health.works
    assert notices.pop() == wire.Notice(WORKS_AGAIN)
    for error in (FULL, BROKEN, FULL):
        health.failed(error)
    health.looked(None)
    assert not health.works
    health.reloaded()
    health.looked(None)
    assert health.works
    assert [notice.words for notice in notices] == [str(FULL), str(FULL), WORKS_AGAIN]


def test_a_limit_is_told_and_logged_once_and_asks_for_no_reload(caplog: pytest.LogCaptureFixture) -> None:
    notices: list[wire.Notice] = []
    health = JournalHealth(notices.append)
    health.failed(FULL)
    health.failed(FULL)
    assert [notice.words for notice in notices] == caplog.messages == [str(FULL)]
    assert not health.needs_reload
    health.stored()
    assert notices[1:] == [wire.Notice(WORKS_AGAIN)]
