"""The token bucket: how many messages a second a peer may send."""

from __future__ import annotations

from pychatd.conversation.token_bucket import TokenBucket


def test_messages_within_the_rate_cause_no_pause() -> None:
    bucket = TokenBucket()
    assert [bucket.spend(10, 10.0, now) for now in (1.0, 2.0, 3.0)] == [0.0, 0.0, 0.0]


def test_a_debt_is_paid_at_the_rate() -> None:
    bucket = TokenBucket()
    assert bucket.spend(30, 10.0, 1.0) == 2.0
    assert bucket.spend(10, 10.0, 3.0) == 1.0


def test_a_long_pause_saves_only_one_seconds_worth() -> None:
    bucket = TokenBucket()
    bucket.spend(10, 10.0, 1.0)
    assert bucket.spend(20, 10.0, 1000.0) == 1.0
