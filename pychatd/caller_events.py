"""What the log says about callers: events with a name and an address, which logs.py can count and search.

All kinds of events are here; docs/systemd.md tells administrators what they mean.
"""

from __future__ import annotations

import logging
from enum import Enum
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

IPV6_PREFIX = 64
"""Bits of an IPv6 address that name its network: one host can use all addresses below it."""

log = logging.getLogger("pychatd")


class Event(Enum):
    """Who calls and talks, why a caller did not get in, or did not stay; PYCHAT_EVENT in systemd's journal has the
    value."""

    BLOCKED = "blocked"  # the operator has blocked it
    BUSY = "busy"  # somebody else has the seat
    CALLING = "calling"  # it may send the first message
    CERTIFICATE = "certificate"  # none, or not one of the list
    CONNECTED = "connected"  # its conversation has begun, or it is back in it
    CROWDED = "crowded"  # too many connections
    DISCONNECTED = "disconnected"  # its connection has ended, perhaps not its conversation
    ENDED = "ended"  # its conversation has
    HANDSHAKE = "handshake"  # TLS failed
    INVITATION = "invitation"  # wrong, used, revoked or too old
    MISSED = "missed"  # its call has ended without a message
    OTHER_PROTOCOL = "other-protocol"  # no chat program
    PLAINTEXT = "plaintext"  # TLS is needed
    PROTOCOL = "protocol"  # a rule of docs/protocol.md was broken
    SILENT = "silent"  # it did not say what was expected, in time or at all
    WENT_BACK = "went-back"  # an end of its conversation knows of more messages than the journal has


def note(
    event: Event, address: str, words: str, *values: object, level: int = logging.INFO, more: int | None = None
) -> None:
    """Logs an event of a caller. address: with or without a port; more: how many events the line stands for."""
    fields = {"event": event, "peer": host_of(address), "more": more}
    log.log(level, f"%s: {words}", address, *values, extra=fields)


def host_of(address: str) -> str:
    """An address without its port: "198.51.100.7:40000" and "[2001:db8::1]:40000" have one."""
    if address.startswith("["):
        return address[1:].partition("]")[0]
    return address if address.count(":") != 1 else address.partition(":")[0]


def in_one_word(name: tuple[str, int]) -> str:
    """The address of a socket with its port, as `host_of` takes it."""
    host, port = name[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def network_of(host: str) -> str:
    """What counts as one address: an IPv4 address, also in its IPv6 form, or an IPv6 network. host: an address."""
    if ":" not in host:  # IPv4; a crowd would have us read thousands of them a second
        return host
    address = address_of(host)
    if isinstance(address, IPv4Address):
        return str(address)
    return str(ip_network((address, IPV6_PREFIX), strict=False))


def address_of(host: str) -> IPv4Address | IPv6Address:
    """The address itself, without a zone; an IPv4 address also where it is in its IPv6 form."""
    address = ip_address(host.partition("%")[0])
    return getattr(address, "ipv4_mapped", None) or address
