"""Runs the fast tests without pytest's start: collected once, they are run again in a fork for each mutant.

First all run without a fault, to learn which statements each of them runs, and how long it takes. For a mutant
only those that run its statement are run again, the fastest first, until one fails.
"""

from __future__ import annotations

import gc
import os
import shutil
import signal
import time
import traceback
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

import hypothesis
import pytest
from _pytest.runner import runtestprotocol

from tests.mutants.mutate import Mutant, plant, watch

SLOW_SECONDS = 3.0
"""A test that costs more is no fast test, and is left out."""

CPU_SECONDS = 3.0
"""A test that takes a processor for so long, and much longer than without a fault, hangs: that is noticed."""

IDLE_SECONDS = 2.5
"""A test that does nothing for so much longer than without a fault hangs, too. One that waits for a busy processor
does not."""

SOON_SECONDS = 1.0
"""A test that fails after so much longer than it takes without a fault has waited in vain."""

POLL_SECONDS = 0.01

_NOT_PLANTED = 3


@dataclass
class Trials:
    """Tries mutants with the tests; a plugin of pytest, which collects them."""

    modules: Collection[str]
    directory: Path
    """For the files of the tests."""
    work: Callable[[], None]
    """What is done with the tests; it calls `survives`."""

    def __post_init__(self) -> None:
        self._tests: dict[str, list[_Test]] = defaultdict(list)
        """By statement."""
        self._noticed: dict[str, set[_Test]] = defaultdict(set)
        """By function, and by change: those that noticed such a mutant, perhaps elsewhere."""

    def run(self, paths: Collection[str]) -> int:
        """Collects the tests in these paths, and does the work; pytest's exit status."""
        without = [part for name in ("cacheprovider", "xdist", "timeout") for part in ("-p", f"no:{name}")]
        files = ["--basetemp", str(self.directory / "tests"), "-o", "tmp_path_retention_policy=failed"]
        options = ["-o", "addopts=", "-o", "timeout=", "-qqq", "--tb=no", "--disable-warnings"]
        return int(pytest.main([*without, *files, *options, *paths], plugins=[self]))

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection(self) -> None:
        """Before the tests are imported: Hypothesis takes the same examples each time, and shrinks none."""
        phases = (hypothesis.Phase.explicit, hypothesis.Phase.generate)
        hypothesis.settings.register_profile("once", phases=phases, database=None, derandomize=True)
        hypothesis.settings.load_profile("once")

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """In place of pytest's own."""
        if not session.testsfailed:
            capture = session.config.pluginmanager.getplugin("capturemanager")
            with capture.global_and_fixture_disabled():
                self._learn(session.items)
                gc.freeze()  # or each fork would copy what its collector looks at
                self.work()
        return True

    def survives(self, mutant: Mutant, limit: float) -> bool:
        """Whether no test notices, of those that cost `limit` seconds together. One that fails is run once more:
        on a busy machine it may fail by itself."""
        alike = (self._noticed[mutant.place], self._noticed[mutant.change])
        earlier = {test for tests in alike for test in tests}
        order = sorted(self._tests[mutant.statement], key=lambda test: (test not in earlier, test.price()))
        order = _within(limit, order)
        while (last := self._first_to_fail(mutant, order)) is not None:
            if self._first_to_fail(mutant, [last]) is not None:
                for tests in alike:
                    tests.add(last)
                return False
            order = order[order.index(last) + 1 :]
        return True

    def _first_to_fail(self, mutant: Mutant, tests: list[_Test]) -> _Test | None:
        """The first test that fails with the mutant; None if all pass."""
        if not tests:
            return None
        begun, failed, waited = self._in_fork(mutant, tests)
        for test in tests[:begun]:
            test.tries += 1
        if not failed:
            return None
        last = tests[begun - 1]
        if waited > SOON_SECONDS + last.seconds:
            last.tries += 10  # others may notice the same, and sooner
        else:
            last.noticed += 1
        return last

    def _learn(self, items: list[pytest.Item]) -> None:
        """Imports everything that the tests need, too."""
        ran: set[str] = set()
        for module in self.modules:
            watch(module, ran)
        for item in items:
            ran.clear()
            start, work = time.monotonic(), time.process_time()
            passed = _passes(item)
            work, seconds = time.process_time() - work, time.monotonic() - start
            test = _Test(item, max(work, seconds / 4), seconds)
            if not passed:
                print(f"left out, it fails without a fault: {item.nodeid}", flush=True)
            elif test.cost <= SLOW_SECONDS:
                for statement in ran:
                    self._tests[statement].append(test)

    def _in_fork(self, mutant: Mutant, tests: list[_Test]) -> tuple[int, bool, float]:
        """How many tests were begun, whether the last of them failed, and how many seconds that one took."""
        reading, writing = os.pipe()
        os.set_blocking(reading, False)
        child = os.fork()
        if child == 0:
            os._exit(_try_out(mutant, tests, writing))
        os.close(writing)
        begun, status, waited = _wait(child, reading, tests)
        os.close(reading)
        for left in self.directory.glob("tests/*"):
            shutil.rmtree(left, ignore_errors=True)
        if os.WIFEXITED(status) and os.WEXITSTATUS(status) == _NOT_PLANTED:
            raise RuntimeError(f"cannot be planted: {mutant}")
        return begun, status != 0, waited


@dataclass(eq=False)
class _Test:
    """seconds: its time without a fault; cost: seconds of a processor, or a quarter of that time if it is more."""

    item: pytest.Item
    cost: float
    seconds: float
    tries: int = 0
    noticed: int = 0

    def price(self) -> float:
        """Of a mutant that it notices, by what it has done until now."""
        return self.cost * (self.tries + 4) / (self.noticed + 1)


def _within(limit: float, tests: list[_Test]) -> list[_Test]:
    """The first ones, as long as they cost no more."""
    ends = accumulate(test.cost for test in tests)
    return [test for test, end in zip(tests, ends, strict=True) if end <= limit]


def _passes(item: pytest.Item) -> bool:
    return not any(report.failed for report in runtestprotocol(item, log=False, nextitem=None))


def _try_out(mutant: Mutant, tests: list[_Test], begun: int) -> int:
    """In the fork: 0 if all tests pass. Writes a byte for each test that begins."""
    try:
        plant(mutant)
    except BaseException:
        traceback.print_exc()
        return _NOT_PLANTED
    try:
        for test in tests:
            os.write(begun, b".")
            signal.setitimer(signal.ITIMER_PROF, CPU_SECONDS + 5 * test.cost)
            if not _passes(test.item):
                return 1
    except BaseException:
        return 1
    return 0


def _wait(child: int, reading: int, tests: list[_Test]) -> tuple[int, int, float]:
    """How many tests were begun, the exit status of the process, which is killed if it hangs, and how many seconds
    the last test took."""
    begun, idle, start = 0, 0.0, time.monotonic()
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        told = _read(reading)
        begun += told
        start = time.monotonic() if told else start
        if done:
            return begun, status, time.monotonic() - start
        idle = 0.0 if told or _is_busy(child) else idle + POLL_SECONDS
        if begun and idle > IDLE_SECONDS + 2 * tests[begun - 1].seconds:
            os.kill(child, signal.SIGKILL)
        time.sleep(POLL_SECONDS)


def _read(reading: int) -> int:
    """How many bytes there are."""
    try:
        return len(os.read(reading, 10_000))
    except BlockingIOError:
        return 0


def _is_busy(pid: int) -> bool:
    """Whether a thread of it has a processor, or waits for one or for a disk."""
    return not {"R", "D", "Z"}.isdisjoint(_states(pid))


def _states(pid: int) -> Iterator[str]:
    for stat in Path(f"/proc/{pid}/task").glob("*/stat"):
        try:
            yield stat.read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue  # the thread has ended
