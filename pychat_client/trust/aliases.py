"""One name for the many that a host has: a key that was accepted under one of them counts under all."""

from __future__ import annotations

import socket
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address


def canonical(host: str) -> str:
    """The name under which the keys of `host` are saved: one word, whatever the user typed.

    A name and an address are two hosts, because only a name server could tell that they are one.
    """
    given = "".join(host.lower().split())
    word = given.strip("[]").rstrip(".")
    name, percent, zone = word.partition("%")
    with suppress(ValueError):
        address = IPv6Address(name)
        return str(address.ipv4_mapped or f"{address}{percent}{_zone(zone)}")
    with suppress(OSError, ValueError):
        return str(IPv4Address(socket.inet_aton(word)))  # as the resolver reads 127.1, 0x7f.1 and 2130706433
    return word or given


def _zone(zone: str) -> str:
    """The name of a network interface that is given by its name or its number."""
    with suppress(OSError, ValueError, OverflowError):
        return socket.if_indextoname(int(zone))
    return zone
