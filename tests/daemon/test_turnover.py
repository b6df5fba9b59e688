"""Who may take the place of another connection when all are taken."""

from __future__ import annotations

from itertools import count

import pytest

from pychatd.network.turnover import (
    BURST_SECONDS,
    HALF_LIFE,
    NEIGHBOURS_RATE,
    NETWORKS_MAX,
    PRICE_MAX,
    TURNOVER,
    Turnover,
)

PLACES = 64
RATE = TURNOVER * PLACES


def crowd(turnover: Turnover, networks: int, calls: int, seconds: float, begin: float = 100.0) -> int:
    """So many networks call in turn, evenly. How many calls got a place."""
    return sum(turnover.allows(f"net {n % networks}", PLACES, begin + n * seconds / calls) for n in range(calls))


def test_a_sudden_crowd_of_first_calls_gets_in() -> None:
    assert crowd(Turnover(), 1000, int(RATE * BURST_SECONDS), 0.0) == RATE * BURST_SECONDS


@pytest.mark.parametrize("networks", [1, 7, 5000, 2 * NETWORKS_MAX])
def test_a_crowd_gets_no_more_than_the_turnover(networks: int) -> None:
    assert crowd(Turnover(), networks, 50_000, 10.0) <= RATE * (BURST_SECONDS + 10.0)


@pytest.mark.parametrize(("networks", "rate"), [(1, 20_000), (300, 20_000), (5000, 20_000), (5000, 1000)])
def test_a_rare_caller_gets_in_among_frequent_ones(networks: int, rate: int) -> None:
    turnover = Turnover()
    crowd(turnover, networks, 10 * rate, 10.0)
    first, second = (
        [
            crowd(turnover, networks, rate // 10, 0.1, begin) is not None
            and turnover.allows(f"user {number}", PLACES, begin + 0.1)
            for number, begin in zip(range(100), count(start, 0.1), strict=False)
        ]
        for start in (110.0, 120.0)
    )
    assert sum(a or b for a, b in zip(first, second, strict=True)) >= 90


def test_who_calls_again_and_again_still_has_a_chance() -> None:
    """Otherwise a single caller would keep out all who share its address."""
    turnover = Turnover()
    crowd(turnover, 1, 1000, 1.0)
    assert crowd(turnover, 1, 1000, 10.0, 101.0) >= 10 * RATE / PRICE_MAX - 1


def test_a_network_that_has_all_its_places_costs_others_nothing() -> None:
    turnover = Turnover()
    rate = NEIGHBOURS_RATE
    assert (
        sum(turnover.allows_neighbour(100.0 + n / 20_000) for n in range(60_000)) <= rate * (BURST_SECONDS + 3) + 1
    )
    assert crowd(turnover, 1000, 100, 1.0, 103.0) == 100


def test_a_service_with_one_place_gives_it_away() -> None:
    turnover = Turnover()
    assert sum(turnover.allows("net", 1, 100.0 + second) for second in range(90)) >= 90 / PRICE_MAX


@pytest.mark.parametrize("others", [0, 8])
def test_calls_are_forgotten(others: int) -> None:
    """others: calls from elsewhere meanwhile, one for each half-life."""
    turnover = Turnover()
    crowd(turnover, 1, 100, 1.0)
    for after in range(others):
        turnover.allows("other", PLACES, 101.0 + after * HALF_LIFE)
    assert crowd(turnover, 1, 100, 0.0, 102.0 + 8 * HALF_LIFE) == crowd(Turnover(), 1, 100, 0.0)


def test_the_memory_for_networks_is_bounded() -> None:
    turnover = Turnover()
    crowd(turnover, 2 * NETWORKS_MAX, 2 * NETWORKS_MAX, 1.0)
    assert len(turnover._calls) == NETWORKS_MAX
