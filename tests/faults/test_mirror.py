"""A service outlives its host on a synchronously replicated disk: see docs/many-hosts.md."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.faults.mirror import UnavailableError
from tests.faults.run import Plan, fault_run

RANDOM = int.from_bytes(os.urandom(4))

THE_HOST = Plan("free", 200, cuts=3, daemon_kills=1, console_kills=1, both_kills=0, leaves=1, terms=1, losses=1)
THE_OTHER_FIRST = Plan(
    "free", 200, cuts=3, daemon_kills=1, console_kills=1, both_kills=0, leaves=1, terms=1, losses=2
)
IN_TURN = Plan("alternate", 30, cuts=2, daemon_kills=0, console_kills=0, both_kills=0, leaves=0, terms=0, losses=1)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, pytest.param(RANDOM, id="random")])
@pytest.mark.parametrize(
    "plan", [THE_HOST, THE_OTHER_FIRST, IN_TURN], ids=["the_host", "the_other_disk_first", "in_turn"]
)
def test_what_was_confirmed_outlives_the_host(tmp_path: Path, plan: Plan, seed: int) -> None:
    try:
        result = fault_run(tmp_path, plan, seed)
    except UnavailableError as reason:
        pytest.skip(str(reason))
    print(result)
    assert result.good, str(result)
    assert result.losses == plan.losses, "a run in which nothing is lost proves nothing"
