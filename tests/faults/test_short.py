"""Nothing said is lost, doubled or out of order: the short runs (`make faults` runs the long ones)."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.faults.run import SHORT, Plan, fault_run

FREE, ALTERNATE, SCREEN = SHORT


@pytest.mark.parametrize("plan", [FREE, ALTERNATE, SCREEN], ids=["free", "alternate", "screen"])
def test_all_arrives_once_and_in_order_whatever_fails(tmp_path: Path, plan: Plan) -> None:
    result = fault_run(tmp_path, plan, seed=int.from_bytes(os.urandom(4)))
    print(result)
    assert result.good, str(result)
    faults = (
        result.cuts,
        result.daemon_kills,
        result.console_kills,
        result.leaves,
        result.terms,
        result.client_kills,
    )
    assert all(faults), "a run in which nothing fails proves nothing"
