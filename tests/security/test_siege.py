"""Strangers cannot disturb a running conversation, make the daemon's memory grow, or starve the next caller."""

from __future__ import annotations

import socket
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from tests.security.siege import Siege, memory
from tests.support.fake_hosts import client_context
from tests.support.raw_ends import BlockingEnd
from tests.support.service import Service
from tests.support.waiting import PATIENCE, wait_for

ROUND_TRIPS = 300
USABLE = 2.0
"""Seconds that a word and its answer may take in 99 of 100 cases, on any machine."""

GROWTH = 30 * 1024
"""KiB that the daemon may grow by: 64 callers, each with a TLS connection and a buffer."""


class _Talk:
    """A raw peer over TLS and a raw console, that speak in turn."""

    def __init__(self, service: Service) -> None:
        self._line = service
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(PATIENCE)
        sock.connect(str(service.place / "console.sock"))
        self.console = BlockingEnd(sock)
        self.console.send("\\hello 1 Server")
        self.console.reads("\\ready")
        self.peer = self.dial()
        self.token = self.peer.greet("Client1")
        self.said = 0
        self.heard = 0
        self.round_trip()

    def dial(self) -> BlockingEnd:
        sock = socket.create_connection(("127.0.0.1", self._line.port), timeout=PATIENCE)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # as the client does
        return BlockingEnd(client_context().wrap_socket(sock))

    def round_trip(self) -> float:
        """Seconds for a word of the peer and the operator's answer."""
        begin = time.monotonic()
        self.said += 1
        self.peer.send(f"Client1> word {self.said}")
        assert self.console.reads("Client1> ") == f"Client1> word {self.said}"
        self.console.send(f"\\ack {self.said}", f"Server> answer {self.said}")
        assert self.peer.reads("Server> ") == f"Server> answer {self.said}"
        self.heard += 1
        self.peer.send(f"\\ack {self.heard}")
        return time.monotonic() - begin

    def measure(self, seconds: float = 0.0) -> list[float]:
        end = time.monotonic() + seconds
        times = [self.round_trip() for _ in range(ROUND_TRIPS)]
        while time.monotonic() < end:
            times.append(self.round_trip())
        return times

    def resume(self) -> int:
        """Calls again, as the client does; how many calls it took."""
        calls = 0

        def call() -> bool:
            nonlocal calls
            calls += 1
            try:
                peer = self.dial()
                peer.send(f"\\hello 1 Client1 {self.token} got={self.heard}")
                answer = peer.line()
            except OSError:
                return False
            self.peer = peer
            return self.token in answer and f"got={self.said}" in answer

        wait_for(call, "the conversation goes on")
        return calls

    def close(self) -> None:
        self.peer.close()
        self.console.close()


@contextmanager
def _besieged(service: Service, count: int) -> Iterator[Siege]:
    siege = Siege(service.port, service.pid(), count)
    try:
        wait_for(lambda: siege.calls >= count, "the siege stands")
        yield siege
    finally:
        siege.end()


def _percentiles(times: list[float]) -> tuple[float, float]:
    hundredths = statistics.quantiles(times, n=100)
    return hundredths[49], hundredths[98]


def _endures(service: Service, count: int, seconds: float) -> None:
    service.start()
    talk = _Talk(service)
    calm = talk.measure()
    before = memory(service.pid())
    with _besieged(service, count) as siege:
        storm = talk.measure(seconds)
        talk.peer.reset()
        begin = time.monotonic()
        tries = talk.resume()
        back = time.monotonic() - begin
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
        p50, p99 = _percentiles(times)
        print(f"{name:6} p50 {p50 * 1000:7.2f} ms  p99 {p99 * 1000:7.2f} ms  max {max(times) * 1000:7.2f} ms")
    print(f"{count} strangers, {calls} calls; memory {before} KiB before, {most} most, {after} after")
    print(f"resumed after {back:.2f} s with {tries} calls; a late caller was answered after {answered:.3f} s")
    assert _percentiles(storm)[1] < USABLE
    assert most - before < GROWTH
    assert answered < USABLE
    assert not any("Traceback" in entry or "Task exception" in entry for entry in service.log())


def test_a_conversation_endures_a_siege(idle_service: Service) -> None:
    _endures(idle_service, 120, 3.0)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_conversation_endures_a_long_siege(idle_service: Service) -> None:
    _endures(idle_service, 500, 30.0)


def test_the_answers_to_a_stranger_who_does_not_read_fill_no_memory(service: Service) -> None:
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
