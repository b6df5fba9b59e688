"""When both ends are told that the journal fails, and when it has to be read again."""

from __future__ import annotations

from pychat_client.protocol import wire
from pychatd.conversation.journal_health import FAILED, WORKS_AGAIN, JournalHealth


def test_an_outage_is_told_once_and_so_is_its_end() -> None:
    notices: list[wire.Notice] = []
    health = JournalHealth(notices.append)
    health.stored()
    health.failed()
    health.failed()
    health.stored()
    health.stored()
    assert [notice.words for notice in notices] == [FAILED, WORKS_AGAIN]


def test_a_failure_asks_for_a_reload_until_it_is_done() -> None:
    health = JournalHealth(lambda notice: None)
    assert not health.needs_reload
    health.failed()
    health.stored()
    assert health.needs_reload
    health.reloaded()
    assert not health.needs_reload
