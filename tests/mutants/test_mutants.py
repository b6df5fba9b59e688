"""The tool that tests the tests: it makes real faults, and sees who notices."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from pychat_client.protocol.outbox import Outbox
from pychat_client.protocol.turns import Role, Turns, TurnState
from tests.mutants.mutate import live, mutants_of, plant, watch
from tests.mutants.run import all_mutants, begun_within
from tests.mutants.score import PAGE, count, kept, table, with_table
from tests.mutants.survivors import listed
from tests.support.waiting import PATIENCE

TURNS = "pychat_client.protocol.turns"
OUTBOX = "pychat_client.protocol.outbox"


FAST = """
from pychat_client.protocol.turns import Turns, TurnState


def test_a_copy_has_the_same_counts():
    assert TurnState(Turns.FREE, 2, 1).copy() == TurnState(Turns.FREE, 2, 1)


def test_somebody_may_speak():
    TurnState(Turns.FREE, 2, 1).may_speak(None)
"""

SCRIPT = f"""
import sys
import time
from pathlib import Path
from tests.mutants.mutate import mutants_of
from tests.mutants.trial import Trials

def work():
    for mutant in mutants_of("{TURNS}"):
        print(trials.survives(mutant, 3.0), mutant)

trials = Trials(["{TURNS}"], Path(sys.argv[1]), work)
sys.exit(trials.run([sys.argv[2]]))
"""


@pytest.fixture
def restored(monkeypatch: pytest.MonkeyPatch) -> None:
    """The functions of these modules get their code back at the end."""
    for module in (TURNS, OUTBOX):
        for one in mutants_of(module):
            function = live(module, one.function)
            monkeypatch.setattr(function, "__code__", function.__code__)


def test_it_changes_each_place_once() -> None:
    names = [str(one) for one in mutants_of(TURNS)]
    assert "turns.TurnState.may_speak: self.peer == self.operator => self.peer != self.operator" in names
    assert "turns.TurnState.add: self.peer += 1 => self.peer -= 1" in names
    assert len(set(names)) == len(names)


def test_all_mutants_have_names_of_their_own() -> None:
    names = [str(one) for one in all_mutants()]
    assert len(set(names)) == len(names)


@pytest.mark.usefixtures("restored")
def test_a_mutant_is_in_the_running_program() -> None:
    function = live(TURNS, "TurnState.copy")
    code = function.__code__
    plant(next(one for one in mutants_of(TURNS) if one.function == "TurnState.copy"))
    assert TurnState(Turns.FREE).copy() is None
    function.__code__ = code
    assert TurnState(Turns.FREE).copy() == TurnState(Turns.FREE)


@pytest.mark.usefixtures("restored")
def test_only_one_place_is_changed() -> None:
    plant(
        next(one for one in mutants_of(OUTBOX) if one.function == "Outbox.confirm_next" and "append" in one.change)
    )
    outbox = Outbox()
    outbox.number("a")
    outbox.confirm_next()
    assert (outbox.stored, list(outbox.unacked)) == (1, ["a"])


@pytest.mark.usefixtures("restored")
def test_a_watched_statement_says_that_it_runs() -> None:
    ran: set[str] = set()
    watch(TURNS, ran)
    state = TurnState(Turns.ALTERNATE)
    made = {one.change: one.statement for one in mutants_of(TURNS) if one.function == "TurnState.add"}
    of_peer, of_operator = (made[f"self.{count} += 1 => self.{count} -= 1"] for count in ("peer", "operator"))
    state.add(Role.PEER)
    assert of_peer in ran
    assert of_operator not in ran


def test_a_mutant_survives_the_tests_that_do_not_notice_it(tmp_path: Path) -> None:
    (tmp_path / "test_fast.py").write_text(FAST)
    (tmp_path / "files").mkdir()
    command = [sys.executable, "-c", SCRIPT, str(tmp_path / "files"), str(tmp_path / "test_fast.py")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE * 2, check=False)
    lines = done.stdout.splitlines()
    copied = "turns.TurnState.copy: return TurnState(*self._values()) => return None"
    assert f"False {copied}" in lines, done.stdout + done.stderr
    assert "True turns.TurnState.may_speak: self.peer == 0 => self.peer == 1" in lines
    assert "True turns.TurnState.add: self.peer += 1 => self.peer -= 1" in lines
    assert len([line for line in lines if " turns." in line]) == len(mutants_of(TURNS))


def test_each_listed_mutant_can_be_made() -> None:
    gone = listed().keys() - {str(one) for one in all_mutants()}
    assert not gone, "remove these from survivors.toml"


def test_the_score_leaves_out_the_equivalent_ones() -> None:
    fates = ["noticed"] * 3 + ["equivalent"] * 2 + ["unimportant"]
    *_, of_module, together = table(count([("turns", fate) for fate in fates] + [("wire", "not listed")]))
    assert together == "| all | 7 | 3 | 2 | 1 | 1 | 60.0 % |"
    assert of_module == "| `wire` | 1 | 0 | 0 | 0 | 1 | 0.0 % |"


def test_the_page_has_the_kept_score_of_each_module() -> None:
    page = PAGE.read_text()
    assert page == with_table(page, kept()), "make mutants-docs"
    assert kept().keys() <= {one.short for one in all_mutants()}


def test_the_minutes_of_a_sample_begin_with_its_first_mutant(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    mutants = all_mutants()
    sample = begun_within(1.0, mutants)
    now = 600.0  # the tests were learnt meanwhile
    assert next(sample) is mutants[0]
    now = 659.0
    assert next(sample) is mutants[1]
    now = 660.0
    assert next(sample, None) is None
