"""Missed calls are in the journal soon, and strangers cause few syncs."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import cast

import pytest

from pychatd.conversation import missed_calls
from pychatd.conversation.journal import Journal
from pychatd.conversation.missed_calls import MISSED_MAX, MissedCalls
from pychatd.conversation.model import JournalError, MissedCall
from tests.support.aio import in_loop
from tests.support.endpoints import NOON


class _Journal:
    """What was stored, each time."""

    def __init__(self) -> None:
        self.stored: list[list[str]] = []
        self.breaks = False

    def missed_calls(self) -> list[MissedCall]:
        return []

    def save_missed_calls(self, calls: Iterable[MissedCall]) -> None:
        self.stored.append([call.handle for call in calls])
        if self.breaks:
            raise JournalError("broken")


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(missed_calls, "STORE_SECONDS", 0.05)


def _make(journal: _Journal, errors: list[JournalError]) -> MissedCalls:
    return MissedCalls(cast(Journal, journal), errors.append)


def _call(handle: str) -> MissedCall:
    return MissedCall(handle, "192.0.2.1:40000", NOON)


@in_loop
async def test_a_missed_call_is_stored_at_once_and_many_together() -> None:
    journal = _Journal()
    missed = _make(journal, [])
    for number in range(1000):
        missed.add(_call(f"C{number}"))
    assert journal.stored == [["C0"]]
    while len(journal.stored) < 2:
        await asyncio.sleep(0.01)
    assert journal.stored[1] == [f"C{number}" for number in range(1000 - MISSED_MAX, 1000)]
    await asyncio.sleep(0.2)
    assert len(journal.stored) == 2
    missed.add(_call("Ann"))
    assert len(journal.stored) == 3


@in_loop
async def test_what_is_not_stored_is_stored_with_the_end() -> None:
    journal = _Journal()
    missed = _make(journal, [])
    missed.add(_call("Ann"))
    missed.add(_call("Bob"))
    missed.stop()
    missed.stop()
    assert journal.stored == [["Ann"], ["Ann", "Bob"]]
    await asyncio.sleep(0.2)
    assert len(journal.stored) == 2


@in_loop
async def test_consoles_that_come_and_go_store_nothing() -> None:
    journal = _Journal()
    missed = _make(journal, [])
    missed.clear()
    missed.clear()
    assert not journal.stored


@in_loop
async def test_a_journal_that_fails_is_told_once_for_each_attempt() -> None:
    journal, errors = _Journal(), list[JournalError]()
    journal.breaks = True
    missed = _make(journal, errors)
    missed.add(_call("Ann"))
    missed.add(_call("Bob"))
    assert len(errors) == 1
    while len(errors) < 2:
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.2)
    assert len(errors) == 2
