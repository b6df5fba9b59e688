"""The simulator finds what it is there to find, and makes it short enough to be read."""

from __future__ import annotations

from pathlib import Path

import pytest

from pychat_client.protocol.turns import Turns
from tests.simulation import steps
from tests.simulation.driver import Driver
from tests.simulation.planted import FAULTS, SEEDS, Fault, search
from tests.simulation.runs import WrongError, run_driver, run_plan
from tests.simulation.shrink import as_test, kind_of, shrunk
from tests.simulation.steps import Plan


def by_promise(words: str) -> Fault:
    return next(fault for fault in FAULTS if fault.promise == words)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.promise)
def test_a_planted_fault_is_found(fault: Fault) -> None:
    """After a change of the runs another seed may be the fast one."""
    assert search(fault, (fault.seed, *SEEDS))[1]


def test_each_fault_has_a_promise_of_its_own() -> None:
    assert len(FAULTS) >= 25
    assert len({fault.promise for fault in FAULTS}) == len(FAULTS)


def test_a_failing_run_is_made_short_and_printed_as_a_test(tmp_path: Path) -> None:
    fault = by_promise("and only once")
    driver = Driver(fault.seed)
    with fault.planted():
        (tmp_path / "long").mkdir()
        with pytest.raises(WrongError) as found:
            run_driver(tmp_path / "long", driver)
        short = shrunk(driver.plan, kind_of(found.value), seconds=20)
    assert len(short.steps) <= 8
    played: list[Plan] = []
    names = {**vars(steps), "Turns": Turns, "replay": played.append}
    exec(as_test(short), names)
    assert played == [short]
    (tmp_path / "short").mkdir()
    with fault.planted(), pytest.raises(WrongError):
        run_plan(tmp_path / "short", played[0])
    (tmp_path / "mended").mkdir()
    run_plan(tmp_path / "mended", played[0])
