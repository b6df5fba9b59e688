"""Pieces of English sentences."""

from __future__ import annotations

from pychat_client.phrases import counted


def test_one_thing_is_counted_as_one() -> None:
    assert [counted(count, "message") for count in (0, 1, 2)] == ["0 messages", "1 message", "2 messages"]
