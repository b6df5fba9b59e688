"""In a silent conversation, no program wakes up."""

from __future__ import annotations

import time

from tests.bench.measure import wakeups
from tests.support.service import Service
from tests.support.waiting import PATIENCE

QUIET_SECONDS = 2.0
"""Much less than PING_AFTER, and four times the interval at which prompt_toolkit polls the terminal."""


def test_an_idle_daemon_and_both_screens_do_not_wake(service: Service) -> None:
    console, client = service.talk()
    pids = (service.pid(), console.child.pid, client.child.pid)
    end = time.monotonic() + PATIENCE
    counts = None
    while (now := [wakeups(pid) for pid in pids]) != counts:
        assert time.monotonic() < end, f"woken from {counts} to {now} times"
        counts = now
        time.sleep(QUIET_SECONDS)
