"""What the tests of the daemon share."""

from __future__ import annotations

from datetime import timedelta

import pytest

from pychatd.conversation import endpoint_session, peer_session
from tests.support.waiting import PATIENCE


@pytest.fixture(autouse=True)
def slow_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """A message for which a busy disk takes more than a second is told without its time, too."""
    monkeypatch.setattr(endpoint_session, "RECENT", timedelta(seconds=PATIENCE))


@pytest.fixture
def seen_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """The operator learns at once of a caller that says nothing."""
    monkeypatch.setattr(peer_session, "SEEN_SECONDS", 0.05)
