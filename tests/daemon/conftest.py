"""What the tests of the daemon share."""

from __future__ import annotations

import pytest

from pychatd.conversation import peer_session


@pytest.fixture
def seen_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """The operator learns at once of a caller that says nothing."""
    monkeypatch.setattr(peer_session, "SEEN_SECONDS", 0.05)
