"""All names of a host are one in the known hosts; two hosts are never one."""

from __future__ import annotations

import ipaddress
from itertools import combinations
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pychat_client.trust.aliases import canonical
from pychat_client.trust.known_hosts import KnownHosts

HOSTS = [
    ["chat.example.net", "CHAT.example.NET", "chat.example.net.", "Chat.Example.Net. "],
    ["localhost", "LOCALHOST", "localhost."],
    ["127.0.0.1", "127.1", "127.0.1", "0x7f.1", "0x7F000001", "2130706433", "017700000001", "0177.0.0.01"],
    ["10.0.0.1", "10.1", "::ffff:10.0.0.1", "::FFFF:a00:1", "[::ffff:10.0.0.1]", "0:0:0:0:0:ffff:10.0.0.1"],
    ["127.0.0.2", "127.2", "0x7f.0.2"],
    ["::1", "[::1]", "0:0:0:0:0:0:0:1", "0000::0001", "::0:1", "::0.0.0.1"],
    ["2001:db8::1", "2001:DB8::1", "2001:0db8:0:0::0:1", "[2001:db8::0001]"],
    ["fe80::1%lo", "fe80::1%1", "[FE80::1%lo]", "fe80:0::1%LO"],
    ["fe80::1%other", "fe80::0:1%other"],
    ["fe80::1"],
    ["example.net"],
    ["1.example.net"],
    ["127.0.0.1.example.net"],
    ["0x7f.example"],
    ["256.1.1.1"],
    ["."],
]


@pytest.mark.parametrize("names", HOSTS, ids=lambda names: names[0])
def test_all_names_of_a_host_are_one(names: list[str]) -> None:
    assert {canonical(name) for name in names} == {names[0]}
    assert canonical(names[0]) == names[0]


def test_two_hosts_are_never_one() -> None:
    for some, others in combinations(HOSTS, 2):
        assert canonical(some[0]) != canonical(others[0])


@given(st.ip_addresses())
def test_each_address_is_one_word_that_stays(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    name = canonical(str(address))
    assert name == canonical(name) == canonical(address.exploded)
    if isinstance(address, ipaddress.IPv4Address):
        assert name == str(address) == canonical(str(int(address))) == canonical(f"::ffff:{address}")


@given(st.text())
def test_any_text_has_one_word_that_stays(text: str) -> None:
    name = canonical(text)
    assert "".join(name.split()) == name
    assert canonical(name) == name


@pytest.mark.parametrize("names", [names for names in HOSTS if len(names) > 1], ids=lambda names: names[0])
def test_a_key_counts_under_all_names(tmp_path: Path, names: list[str]) -> None:
    known = KnownHosts(tmp_path / "known_hosts")
    known.accept("other.test", 7000, b"other")
    known.accept(names[-1], 7000, b"key")
    assert {known.certificate_of(name, 7000) for name in names} == {b"key"}
    assert known.certificate_of(names[0], 7001) is None
    known.accept(names[0], 7000, b"new")
    assert known.names() == sorted([(names[0], "7000"), ("other.test", "7000")])
    assert known.forget(names[1], 7000)
    assert known.names() == [("other.test", "7000")]
    assert not known.forget(names[0], 7000)


@pytest.mark.parametrize("old", ["localhost.", "127.1", "[::1]", "::ffff:10.0.0.1", "host.test."])
def test_an_older_entry_is_found_and_replaced(tmp_path: Path, old: str) -> None:
    """As versions before this one have saved it."""
    known = KnownHosts(tmp_path / "known_hosts")
    known.accept("x", 7000, b"key")
    known.path.write_text(known.path.read_text().replace("x:7000", f"{old}:7000") + "# a comment\nnot a line\n")
    assert known.certificate_of(old, 7000) == known.certificate_of(canonical(old), 7000) == b"key"
    known.accept(old, 7000, b"new")
    assert known.certificate_of(old, 7000) == b"new"
    assert known.path.read_text().count(":7000") == 1
    assert "# a comment\nnot a line\n" in known.path.read_text()
