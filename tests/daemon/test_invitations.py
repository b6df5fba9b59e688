"""What the file of the invitations keeps of those that have ended."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import pytest

from pychat_client.errors import NotAllowedError
from pychatd.network import invitations
from pychatd.network.invitations import REMEMBERED, VALID_MAX, Invitations, State, UnknownError
from tests.support.endpoints import NOON


class Clock:
    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def invited(tmp_path: Path, clock: Clock) -> Invitations:
    return Invitations(tmp_path / "invitations.json", clock)


@pytest.mark.parametrize("state", [State.REVOKED, State.USED])
def test_an_invitation_is_forgotten_some_time_after_its_end(
    invited: Invitations, clock: Clock, tmp_path: Path, state: State
) -> None:
    secret, _ = invited.make("bob", VALID_MAX)
    if state is State.USED:
        invited.use(secret)
    else:
        invited.revoke("bob")
    clock.now += REMEMBERED
    invited.make("ann", VALID_MAX)
    again = Invitations(tmp_path / "invitations.json", clock)
    assert [(record.name, state) for record, state in again.listed()] == [("bob", state), ("ann", State.OPEN)]
    with pytest.raises(NotAllowedError, match="This invitation has been"):
        invited.name_for(secret)
    clock.now += timedelta(seconds=1)
    invited.revoke("ann")
    with pytest.raises(UnknownError):
        invited.name_for(secret)


def test_of_those_that_have_ended_the_newest_are_remembered(
    invited: Invitations, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(invitations, "ENDED_MAX", 2)
    invited.make("open", VALID_MAX)
    invited.make("late", timedelta(seconds=5))
    for number in range(4):
        invited.make(f"n{number}", VALID_MAX)
        clock.now += timedelta(seconds=2)
        invited.revoke(f"n{number}")
    assert [record.name for record, _ in invited.listed()] == ["n2", "n3", "open"]
