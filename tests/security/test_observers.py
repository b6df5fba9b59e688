"""Watchers that never read, flood, or ask for everything cost a talk nothing."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from math import inf
from pathlib import Path

import pytest

from tests.security.siege import memory
from tests.support.raw_ends import BlockingEnd
from tests.support.service import Service

KINDS = ("does not read", "floods", "asks for everything")
EACH = 4
CALM = "calm"
UNREAD = 2000
ROUND_TRIPS = 100
ROUNDS = (3, 10)
RATIO = 4.0
"""What observers may make of the 99th percentile of a round trip, in the best of some rounds, more if need be.
Other programs of this host make some rounds worse; a watcher that holds the daemon up makes all of them worse."""

TICK = 0.002
"""Seconds. A shorter percentile counts as this: below, one interruption by the system is all that it shows."""

GROWTH = 20 * 1024
"""KiB that the daemon may grow by: twelve connections with their buffers."""


@contextmanager
def _observed(service: Service, *kinds: str) -> Iterator[None]:
    words = [sys.executable, "-m", "tests.security.observers", str(service.place / "console.sock"), *kinds]
    with subprocess.Popen(words, cwd=Path(__file__).parents[2], stdout=subprocess.PIPE, text=True) as observers:
        assert observers.stdout is not None
        assert observers.stdout.readline() == "ready\n"
        try:
            yield
        finally:
            observers.kill()


class _Talk:
    """A caller, whom a console answers or nobody reads."""

    def __init__(self, service: Service) -> None:
        self._peer = service.greeted()
        self._said = 0
        self._console: BlockingEnd | None = None

    def attach(self, service: Service) -> None:
        self._console = service.connect_console("\\hello 1 Server")

    def say(self, count: int) -> None:
        """So many messages, which are stored when this returns."""
        self._peer.send(*(f"Client1> word {self._said + n}" for n in range(1, count + 1)))
        self._said += count
        while self._peer.reads("\\ack") != f"\\ack {self._said}":
            pass

    def measure(self) -> list[float]:
        times = []
        for _ in range(ROUND_TRIPS):
            begin = time.monotonic()
            self.say(1)
            if self._console is not None:
                assert self._console.reads("Client1> ") == f"Client1> word {self._said}"
                self._console.send(f"\\ack {self._said}")
            times.append(time.monotonic() - begin)
        return times


class _Percentiles:
    """The best 99th percentile of each name, in seconds."""

    def __init__(self) -> None:
        self._best: dict[str, float] = {}

    def add(self, name: str, times: list[float]) -> None:
        hundredths = statistics.quantiles(times, n=100)
        print(f"{name:32} p50 {hundredths[49] * 1000:7.2f} ms  p99 {hundredths[98] * 1000:7.2f} ms")
        self._best[name] = min(hundredths[98], self._best.get(name, inf))

    def held_up(self) -> dict[str, float]:
        """What makes a talk wait, and how many times as long."""
        calm = max(self._best[CALM], TICK)
        return {name: best / calm for name, best in self._best.items() if best > RATIO * calm}


@pytest.mark.parametrize("attended", [True, False], ids=["console", "nobody"])
def test_a_talk_endures_observers(idle_service: Service, attended: bool) -> None:
    service = idle_service
    service.start("--turns", "free", "--config", service.configure("rate = 0"))
    talk = _Talk(service)
    talk.say(UNREAD)
    if attended:
        talk.attach(service)
    percentiles = _Percentiles()
    before = memory(service.pid())
    least, most = ROUNDS
    for number in range(1, most + 1):
        percentiles.add(CALM, talk.measure())
        for kind in KINDS:
            with _observed(service, *EACH * [kind]):
                percentiles.add(f"{EACH} of: {kind}", talk.measure())
        with _observed(service, *EACH * KINDS):
            percentiles.add("all of these", talk.measure())
        if number >= least and not percentiles.held_up():
            break
    assert not percentiles.held_up()
    after = memory(service.pid())
    print(f"memory {before} KiB before, {after} after")
    assert after - before < GROWTH
