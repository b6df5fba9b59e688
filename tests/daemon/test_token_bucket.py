"""The token bucket: how much may happen in a second."""

from __future__ import annotations

from functools import partial

import pytest

from pychatd.conversation.token_bucket import TokenBucket


def test_what_is_within_the_rate_causes_no_pause() -> None:
    bucket = TokenBucket()
    assert [bucket.spend(10, 10.0, 10.0, now) for now in (1.0, 2.0, 3.0)] == [0.0, 0.0, 0.0]


def test_a_debt_is_paid_at_the_rate() -> None:
    bucket = TokenBucket()
    assert bucket.spend(30, 10.0, 10.0, 1.0) == 2.0
    assert bucket.spend(0, 10.0, 10.0, 2.0) == 1.0
    assert bucket.spend(10, 10.0, 10.0, 3.0) == 1.0


@pytest.mark.parametrize("burst", [0.25, 1.0, 40.0])
def test_a_long_pause_saves_only_one_burst(burst: float) -> None:
    spend = partial(TokenBucket().spend, rate=10.0, burst=burst)
    spend(10, now=1.0)
    assert spend(burst + 10, now=1000.0) == 1.0


def test_what_is_given_back_saves_no_more_than_a_burst() -> None:
    spend = partial(TokenBucket().spend, rate=10.0, burst=10.0)
    spend(-1000, now=1.0)
    assert spend(20, now=1.0) == 1.0


def test_only_what_is_there_can_be_taken() -> None:
    take = partial(TokenBucket().take, rate=10.0, burst=20.0)
    assert take(15, now=1.0)
    assert not take(6, now=1.0)
    assert take(5, now=1.0)
    assert not take(1, now=1.0)
    assert take(10, now=2.0)
