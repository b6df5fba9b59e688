"""Which connection has to go when there is no place for a new one."""

from __future__ import annotations

from collections import Counter

import pytest

from pychatd.caller_events import host_of, network_of
from pychatd.network.eviction import Standing, choose

SILENT, UNPROVEN, PROVEN = Standing


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("198.51.100.7", "198.51.100.7"),
        ("::ffff:198.51.100.7", "198.51.100.7"),
        ("2001:db8::1", "2001:db8::ffff:ffff:ffff:ffff"),
        ("2001:db8:0:7::1", "2001:db8:0:7:8000::"),
        ("fe80::1%eth0", "fe80::2%eth1"),
        ("::1", "::2"),
    ],
)
def test_addresses_of_one_network_count_as_one(one: str, other: str) -> None:
    assert network_of(one) == network_of(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("198.51.100.7", "198.51.100.8"),
        ("::ffff:198.51.100.7", "::ffff:198.51.100.8"),
        ("2001:db8:0:7::1", "2001:db8:0:8::1"),
        ("::1", "127.0.0.1"),
    ],
)
def test_other_addresses_count_on_their_own(one: str, other: str) -> None:
    assert network_of(one) != network_of(other)


@pytest.mark.parametrize(
    ("address", "host"),
    [
        ("198.51.100.7:40000", "198.51.100.7"),
        ("198.51.100.7", "198.51.100.7"),
        ("[2001:db8::1]:40000", "2001:db8::1"),
        ("2001:db8::1", "2001:db8::1"),
    ],
)
def test_the_host_of_an_address(address: str, host: str) -> None:
    assert host_of(address) == host


def goes(**counts: int) -> set[str]:
    """The kinds of connections of which one goes, in 200 choices."""
    standings = {(kind, number): Standing(kind) for kind, count in counts.items() for number in range(count)}
    chosen = [choose(standings) for _ in range(200)]
    return {"nobody" if one is None else one[0] for one in chosen}


def test_who_goes_first() -> None:
    assert goes(silent=3, unproven=2, proven=1) == {"unproven"}  # half of the places are for those
    assert goes(silent=4, unproven=2, proven=1) == {"silent"}
    assert goes(silent=64) == {"silent"}
    assert goes(unproven=64) == {"unproven"}
    assert goes(silent=1, unproven=1, proven=62) == {"unproven"}
    assert goes(silent=1, proven=63) == {"silent"}
    assert goes(proven=8) == {"proven"}
    assert goes() == {"nobody"}


def test_the_choice_is_random() -> None:
    chosen = Counter(choose(dict.fromkeys(range(8), SILENT)) for _ in range(800))
    assert len(chosen) == 8
    assert max(chosen.values()) < 200
