"""What it costs a caller to be read."""

from __future__ import annotations

from math import inf

import pytest

from pychatd.conversation.reading_price import BURST, PEER_RATE, READ_PRICE, STRANGERS_RATE, ReadingPrice

CALLERS = 64
MANY = 10_000


def _reads_a_second(data: bytes, *, stranger: bool, confirms: int = 0) -> float:
    """How many reads of `data` a second a connection is given, when it sends as fast as it is read."""
    price, now, shown = ReadingPrice(), 1.0, 0
    for _ in range(MANY):
        shown += confirms
        now += price.of_stranger(data, shown, CALLERS, now) if stranger else price.of_peer(data, shown, now)
    return inf if now == 1.0 else MANY / (now - 1.0)


@pytest.mark.parametrize("data", [b"\\ping\n", b"\\a", b"x", b"Eve> Hi!\n", b"\n", b"\\ack 0\n"])
def test_all_strangers_are_read_a_few_hundred_times_a_second(data: bytes) -> None:
    assert _reads_a_second(data, stranger=True) * CALLERS <= STRANGERS_RATE / READ_PRICE * 1.1


@pytest.mark.parametrize("data", [b"\\ping\n" * 600, b"\\a\n" * 1300, b"Eve> Hi!\n" * 400])
def test_all_strangers_say_a_few_thousand_lines_a_second(data: bytes) -> None:
    lines = _reads_a_second(data, stranger=True) * data.count(b"\n")
    assert lines * CALLERS <= STRANGERS_RATE * 1.1


@pytest.mark.parametrize("callers", [2, 64, 1000])
def test_a_hello_and_a_first_message_are_read_at_once(callers: int) -> None:
    price = ReadingPrice()
    for data in (b"\\hello 1 Bob\n", b"\\typing\n", b"Bob> Hi!\n"):
        assert price.of_stranger(data, 0, callers, 1.0) == 0.0


@pytest.mark.parametrize("data", [b"\\ping\n", b"\\dance\n", b"\\ack 0\n", b"\\typing\n" * 100, b"\\", b"Bob> H"])
def test_a_peer_pays_for_what_is_of_no_use(data: bytes) -> None:
    lines = _reads_a_second(data, stranger=False) * data.count(b"\n")
    assert lines <= PEER_RATE * 1.1
    assert _reads_a_second(data, stranger=False) <= PEER_RATE / READ_PRICE * 1.1


@pytest.mark.parametrize("data", [b"Bob> Hi!\n", b"Bob> Hi!\nBob> Ho!\n", b"Bob> one\nBob> tw"])
def test_a_peers_messages_cost_nothing_here(data: bytes) -> None:
    assert _reads_a_second(data, stranger=False) == inf


@pytest.mark.parametrize("stranger", [False, True])
def test_an_ack_that_confirms_something_costs_nothing(stranger: bool) -> None:
    assert _reads_a_second(b"\\ack 12\n", stranger=stranger, confirms=1) == inf


def test_a_burst_is_the_least_that_is_saved() -> None:
    price = ReadingPrice()
    assert price.of_stranger(b"\n" * int(BURST - READ_PRICE), 0, 1000, 1.0) == 0.0
    assert price.of_stranger(b"", 0, 1000, 1.0) > 0.0
