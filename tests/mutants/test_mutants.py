"""The tool that tests the tests: it makes real faults, and sees who notices."""

from __future__ import annotations

import pytest

from pychat_client.protocol.outbox import Outbox
from pychat_client.protocol.turns import Role, Turns, TurnState
from tests.mutants.mutate import live, mutants_of, plant

TURNS = "pychat_client.protocol.turns"


def test_it_changes_each_place_once() -> None:
    changes = [(m.function, m.change) for m in mutants_of(TURNS)]
    assert ("TurnState.may_speak", "Eq becomes NotEq") in changes
    assert ("TurnState.may_speak", "True becomes False") in changes
    assert ("TurnState.may_speak", "0 becomes 1") in changes
    assert ("TurnState.add", "Add becomes Sub") in changes
    assert len(set(mutants_of(TURNS))) == len(mutants_of(TURNS))


def test_a_mutant_is_in_the_running_program(monkeypatch: pytest.MonkeyPatch) -> None:
    mutant = next(m for m in mutants_of(TURNS) if m.function == "TurnState.copy" and "None" in m.change)
    function = live(mutant)
    code = function.__code__
    monkeypatch.setattr(function, "__code__", code)  # it comes back at the end
    plant(mutant)
    assert TurnState(Turns.FREE).copy() is None
    function.__code__ = code
    assert TurnState(Turns.FREE).copy() == TurnState(Turns.FREE)


def test_only_one_place_is_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    module = "pychat_client.protocol.outbox"
    mutant = next(m for m in mutants_of(module) if m.function == "Outbox.confirm_next" and "append" in m.change)
    monkeypatch.setattr(live(mutant), "__code__", live(mutant).__code__)
    plant(mutant)
    outbox = Outbox()
    outbox.number("a")
    outbox.confirm_next()
    assert (outbox.stored, list(outbox.unacked)) == (1, ["a"])


def test_all_of_a_module_can_be_planted(monkeypatch: pytest.MonkeyPatch) -> None:
    for mutant in mutants_of(TURNS):
        monkeypatch.setattr(live(mutant), "__code__", live(mutant).__code__)
        plant(mutant)
    monkeypatch.undo()
    assert TurnState(Turns.FREE).may_speak(Role.PEER)
