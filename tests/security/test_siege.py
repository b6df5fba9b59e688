"""Strangers cannot disturb a running conversation, make the daemon's memory grow, or starve the next caller."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from tests.security.siege import Siege, memory
from tests.security.talk import Talk, percentiles
from tests.support.service import Service
from tests.support.waiting import wait_for

USABLE = 2.0
"""Seconds that a word and its answer may take in 99 of 100 cases, on any machine."""

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
