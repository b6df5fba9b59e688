"""Strangers cannot disturb a running conversation, make the daemon's memory grow, or starve the next caller."""

from __future__ import annotations

import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from pychatd.network.turnover import BURST_SECONDS, TURNOVER
from pychatd.settings import Settings
from tests.security.siege import HELLO, Siege, memory
from tests.security.talk import Talk, percentiles
from tests.support.service import Service
from tests.support.waiting import PATIENCE, wait_for

USABLE = 2.0
"""Seconds that a word and its answer may take in 99 of 100 cases, on any machine."""

CALLERS = Settings(7000).callers
QUEUED = 900
"""Callers in the kernel's queue: fewer than it takes (`listeners.BACKLOG`)."""

GROWTH = 30 * 1024
"""KiB that the daemon may grow by: 64 callers, each with a TLS connection and a buffer."""


@contextmanager
def _besieged(service: Service, count: int) -> Iterator[Siege]:
    siege = Siege(service.port, service.pid(), count)
    try:
        wait_for(lambda: siege.calls >= count, "the siege stands")
        yield siege
    finally:
        siege.end()


def _endures(service: Service, count: int, seconds: float) -> None:
    service.start()
    talk = Talk(service)
    calm = talk.measure()
    before = memory(service.pid())
    with _besieged(service, count) as siege:
        storm = talk.measure(seconds)
        back, tries = talk.come_back()
        talk.round_trip()
        calls, most = siege.calls, siege.most
    after = memory(service.pid())
    begin = time.monotonic()
    late = talk.dial()
    late.send("\\hello 1 Late")
    assert late.reads("\\busy")
    answered = time.monotonic() - begin
    talk.peer.send("\\quit")
    wait_for(lambda: service.status()["peer"] is None, "the seat is free")
    late = talk.dial()
    late.send("\\hello 1 Late", "Late> Hi!")
    assert late.reads("\\ack") == "\\ack 1"
    talk.close()
    late.close()
    for name, times in (("calm", calm), ("siege", storm)):
        p50, p99 = percentiles(times)
        print(f"{name:6} p50 {p50 * 1000:7.2f} ms  p99 {p99 * 1000:7.2f} ms  max {max(times) * 1000:7.2f} ms")
    print(f"{count} strangers, {calls} calls; memory {before} KiB before, {most} most, {after} after")
    print(f"resumed after {back:.2f} s with {tries} calls; a late caller was answered after {answered:.3f} s")
    assert percentiles(storm)[1] < USABLE
    assert most - before < GROWTH
    assert answered < USABLE
    assert not any("Traceback" in entry or "Task exception" in entry for entry in service.log())


def test_a_conversation_endures_a_siege(idle_service: Service) -> None:
    _endures(idle_service, 120, 3.0)


def test_a_crowd_before_the_returning_peer_costs_few_handshakes(idle_service: Service) -> None:
    """However many wait before it in the kernel's queue, of addresses that have never called."""
    service = idle_service
    service.start()
    talk = Talk(service)
    service.send(signal.SIGSTOP)
    crowd = [_half_a_handshake(service.port, number) for number in range(QUEUED)]
    begin = time.monotonic()
    threading.Timer(0.1, service.send, [signal.SIGCONT]).start()
    _, calls = talk.come_back()
    seconds = time.monotonic() - begin
    talk.round_trip()
    answered = sum(_has_come(sock) for sock in crowd)
    for sock in crowd:
        sock.close()
    talk.close()
    assert calls == 1
    assert answered <= CALLERS * (1 + TURNOVER * (BURST_SECONDS + seconds))


def _half_a_handshake(port: int, number: int) -> socket.socket:
    sock = socket.create_connection(
        ("127.0.0.1", port), timeout=PATIENCE, source_address=(f"127.9.{number // 250}.{number % 250 + 1}", 0)
    )
    sock.sendall(HELLO)
    return sock


def _has_come(sock: socket.socket) -> bool:
    """Whether the daemon has sent something."""
    sock.setblocking(False)
    try:
        return sock.recv(1) != b""
    except OSError:
        return False


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_conversation_endures_a_long_siege(idle_service: Service) -> None:
    _endures(idle_service, 500, 30.0)


def test_answers_that_a_stranger_does_not_read_fill_no_memory(service: Service) -> None:
    before = memory(service.pid())
    deaf = service.greeted("Deaf")
    deaf.socket.setblocking(False)

    def stuck() -> bool:
        sent = 0
        with suppress(BlockingIOError):
            while True:
                sent += deaf.socket.send(b"\\ping\n" * 10_000)
        return sent == 0

    wait_for(stuck, "the daemon does not read it any more")
    assert memory(service.pid()) - before < GROWTH
