"""Which connection has to go when there is no place for a new one. Knows addresses and standings, no sockets."""

from __future__ import annotations

import random
from collections.abc import Mapping
from enum import Enum
from ipaddress import IPv4Address, ip_address, ip_network
from typing import TypeVar

IPV6_PREFIX = 64
"""Bits of an IPv6 address that name its network: one host can use all addresses below it."""

T = TypeVar("T")


class Standing(Enum):
    """What a connection has shown so far."""

    SILENT = "silent"  # not one byte
    UNPROVEN = "unproven"  # it talks, as any stranger can
    PROVEN = "proven"  # its certificate is on the list, or its token is that of a conversation


def network_of(host: str) -> str:
    """What counts as one address: an IPv4 address, also in its IPv6 form, or an IPv6 network."""
    address = ip_address(host.partition("%")[0])
    if isinstance(address, IPv4Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ip_network((address, IPV6_PREFIX), strict=False))


def choose(standings: Mapping[T, Standing]) -> T | None:
    """The connection that has to go, at random so that nobody can time it; None if there is none.

    First one that has said nothing, then one without a proof. But those that have said nothing keep half of the
    places: a peer that was cut off has said nothing either when it comes back, and has to have the time to.
    """
    silent, unproven, proven = (
        [one for one, has in standings.items() if has is standing] for standing in Standing
    )
    if 2 * len(silent) <= len(standings):
        silent, unproven = unproven, silent
    candidates = silent or unproven or proven
    return random.choice(candidates) if candidates else None  # noqa: S311 -- not a secret
