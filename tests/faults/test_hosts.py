"""Two hosts and a bad network between them: nothing is lost, and both sides notice in bounded time."""

from __future__ import annotations

import os
import re
import sys
import time
from itertools import count

import pytest

from pychat_client.session.delivery_watch import LATE_SECONDS
from pychat_client.session.reconnect import PAUSE_FIRST, PAUSE_MAX
from pychat_client.transport.connect import DIAL_SECONDS
from pychat_client.transport.connection import PING_AFTER, PONG_WITHIN, PROBE_WITHIN
from tests.faults.hosts import DAEMON, Hosts, HostService, or_skip
from tests.support.programs import Piped
from tests.support.waiting import wait_for

NOTICE = PING_AFTER + PONG_WITHIN + 5
"""Seconds in which a dead connection is noticed, and a little for a loaded machine."""

LATE_NOTICE = LATE_SECONDS + PROBE_WITHIN + 5
"""Seconds in which a dead connection is noticed when a message is not confirmed."""

ROUTE_SECONDS = 2
"""Seconds in which a client is back over a new route: half a second, and a handshake."""

SELDOM = next(n for n in count(1) if PAUSE_FIRST * 2 ** (n - 1) / 2 > 2 * ROUTE_SECONDS)
"""Behind so many calls in a row the shortest pause is longer than that."""

BACK = DIAL_SECONDS + PAUSE_MAX + 5
"""Seconds in which a client is back after the cable is: a call may be on its way into nothing."""

SEED = int.from_bytes(os.urandom(4))


def _talk(service: HostService) -> tuple[Piped, Piped]:
    service.start("--turns", "free")
    console = service.plain("pychatd-console", "--plain", "--handle", "Server")
    console.notes("The caller sends the first message")
    client = service.remote()
    client.enter("p1")
    wait_for(lambda: "> p1" in console.out(), "the first message", BACK)
    return client, console


def _say(program: Piped, who: str, first: int, last: int) -> None:
    for n in range(first, last + 1):
        program.enter(f"{who}{n}")


def _have_all(client: Piped, console: Piped, last: int, seconds: float) -> None:
    for program, who in ((console, "p"), (client, "o")):
        pattern = re.compile(rf"^\w+> {who}([0-9]+)$", re.MULTILINE)
        wait_for(lambda: len(pattern.findall(program.out())) >= last, f"all of {who}", seconds)  # noqa: B023
        assert pattern.findall(program.out()) == [str(n) for n in range(1, last + 1)]


def _check_bad_network(service: HostService) -> None:
    client, console = _talk(service)
    last = 60
    for n in range(2, last + 1, 2):
        _say(client, "p", n, min(n + 1, last))
        _say(console, "o", n - 1, n)
        wait_for(lambda n=n: f"> o{n}\n" in client.out(), "an answer", NOTICE)  # type: ignore[misc]
    _have_all(client, console, last, NOTICE + BACK)


def test_messages_arrive_in_order_over_a_bad_wire(hosts: Hosts, host_service: HostService) -> None:
    print(f"seed {SEED}")
    with or_skip():
        hosts.bad_wire(SEED, loss=0.1, delay=0.02)
    _check_bad_network(host_service)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_messages_arrive_in_order_with_a_fifth_of_packets_lost(hosts: Hosts, host_service: HostService) -> None:
    print(f"seed {SEED}")
    with or_skip():
        hosts.bad_wire(SEED, loss=0.2, delay=0.2)
    _check_bad_network(host_service)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_messages_arrive_in_order_under_netem(hosts: Hosts, host_service: HostService) -> None:
    with or_skip():
        hosts.cable("loss", "20%", "delay", "200ms", "50ms", "reorder", "25%", "50%")
    _check_bad_network(host_service)


def test_messages_sent_during_a_short_outage_arrive(hosts: Hosts, host_service: HostService) -> None:
    with or_skip():
        hosts.cable()
    _check_outage(hosts, host_service, 3)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seconds", [30, 75])
def test_what_is_said_while_the_cable_is_out_arrives_afterwards(
    hosts: Hosts, host_service: HostService, seconds: float
) -> None:
    with or_skip():
        hosts.cable()
    _check_outage(hosts, host_service, seconds)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seconds", [30, 75])
def test_what_is_said_while_the_route_is_gone_arrives_afterwards(
    hosts: Hosts, host_service: HostService, seconds: float
) -> None:
    with or_skip():
        hosts.bad_wire(SEED, loss=0.0, delay=0.01)
    _check_outage(hosts, host_service, seconds)


def _check_outage(hosts: Hosts, service: HostService, seconds: float) -> None:
    """Both say something while nothing crosses, and after it."""
    client, console = _talk(service)
    _say(console, "o", 1, 1)
    client.says("> o1")
    hosts.down()
    gone = time.monotonic()
    _say(client, "p", 2, 4)
    _say(console, "o", 2, 4)
    if seconds > NOTICE:
        wait_for(lambda: "Connection lost" in client.notices(), "the client notices", NOTICE)
        rest = NOTICE - (time.monotonic() - gone)
        wait_for(lambda: "Client1 is not connected" in console.notices(), "the daemon notices", rest)
    _say(client, "p", 5, 6)
    _say(console, "o", 5, 6)
    time.sleep(max(0.0, seconds - (time.monotonic() - gone)))  # the fault itself, not a wait for its end
    assert "> p2" not in console.out()
    hosts.up()
    _have_all(client, console, 6, NOTICE + BACK)
    _say(client, "p", 7, 8)
    _say(console, "o", 7, 8)
    _have_all(client, console, 8, NOTICE + BACK)


def test_a_dead_network_is_seen_soon_after_a_message(hosts: Hosts, host_service: HostService) -> None:
    with or_skip():
        hosts.bad_wire(SEED, loss=0.0, delay=0.01)
    client, console = _talk(host_service)
    hosts.down()
    _say(client, "p", 2, 2)
    wait_for(lambda: "Connection lost (no answer)" in client.notices(), "the client notices", LATE_NOTICE)
    hosts.up()
    wait_for(lambda: "> p2" in console.out(), "the message arrives", BACK)


@pytest.mark.slow
def test_a_route_that_comes_back_is_used_at_once(hosts: Hosts, host_service: HostService) -> None:
    with or_skip():
        hosts.cable()
    client, console = _talk(host_service)
    hosts.leave()
    _say(client, "p", 2, 2)
    wait_for(lambda: "Connection lost" in client.notices(), "the client notices", LATE_NOTICE)

    def calls_seldom() -> bool:
        """Whether the next call comes later than the test waits for the message, but for the route."""
        told = client.notices().count("Not connected")
        client.enter("\\status")
        wait_for(lambda: client.notices().count("Not connected") > told, "the status")
        return f"calling again ({SELDOM})" in client.notices()

    wait_for(calls_seldom, "the pauses are long", 2 * PAUSE_MAX)
    hosts.join()
    wait_for(lambda: "> p2" in console.out(), "the message arrives", ROUTE_SECONDS)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_both_sides_notice_a_dead_connection(hosts: Hosts, host_service: HostService) -> None:
    """Nobody says anything, so that only the pings can tell."""
    with or_skip():
        hosts.bad_wire(SEED, loss=0.0, delay=0.01)
    client, console = _talk(host_service)
    hosts.down()
    gone = time.monotonic()
    wait_for(lambda: "Connection lost" in client.notices(), "the client notices", NOTICE)
    wait_for(
        lambda: "is not connected" in console.notices(), "the daemon notices", NOTICE - (time.monotonic() - gone)
    )
    hosts.up()
    client.enter("p2")
    console.enter("o1")
    wait_for(lambda: "> p2" in console.out() and "> o1" in client.out(), "all arrives", BACK)


_TWO_WRITES = """
import socket, sys
sock = socket.create_connection((sys.argv[1], int(sys.argv[2])))
sock.sendall(b"Ann")
assert sock.recv(100) == b"Server\\0"
for number in range(3):
    for write in (b"Ann", b"> ", b"hello %d" % number):
        sock.sendall(write)  # Nagle's algorithm holds the second until the first is acked
    print(sock.recv(100), flush=True)
"""


@pytest.mark.slow
def test_a_classic_message_that_a_slow_way_tears_apart_stays_one(hosts: Hosts, host_service: HostService) -> None:
    with or_skip():
        hosts.bad_wire(SEED, loss=0.0, delay=0.3)
    host_service.start("--config", host_service.configure('plaintext = "always"'))
    console = host_service.plain("pychatd-console", "--plain", "--handle", "Server")
    console.notes("The caller sends the first message")
    inside = ["ip", "netns", "exec", hosts.b, sys.executable, "-c", _TWO_WRITES, DAEMON, str(host_service.port)]
    ann = Piped(host_service.popen(inside))
    for number in range(3):
        console.says(f"Ann> hello {number}\n")
        console.enter("hi there")
        wait_for(lambda: ann.out().count("Server> hi there") == number + 1, "the answer")  # noqa: B023
