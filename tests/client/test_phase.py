"""The phases of an endpoint: every trigger in every phase leads to the phase of the table, or is an error."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pychat_client.errors import MisuseError, ProtocolError
from pychat_client.protocol.endpoint import Endpoint
from pychat_client.protocol.phase import TRANSITIONS, Phase, Trigger, next_phase

# Each row is a phase, each column a trigger. `!` is the daemon's fault, `-` is our own.
TABLE = """
          | call     | answer  | meet | refuse   | quit     | other quit | lose
offline   | calling  | -       | -    | -        | left-cut | -          | offline
calling   | -        | waiting | met  | refused  | left-cut | over-cut   | offline
waiting   | -        | !       | met  | refused  | left     | over       | offline
met       | -        | !       | met  | refused  | left     | over       | offline
refused   | -        | !       | !    | refused  | left-cut | over-cut   | offline
over      | -        | !       | met  | over-cut | left     | over       | over-cut
left      | -        | !       | met  | left-cut | left     | over       | left-cut
over-cut  | over-cut | over    | !    | over-cut | left-cut | over-cut   | over-cut
left-cut  | left-cut | left    | !    | left-cut | left-cut | over-cut   | left-cut
"""


def cells() -> Iterator[tuple[Phase, Trigger, str]]:
    head, *rows = ([cell.strip() for cell in row.split("|")] for row in TABLE.strip("\n").splitlines())
    for phase, *outcomes in rows:
        for trigger, outcome in zip(head[1:], outcomes, strict=True):
            yield _phase(phase), Trigger(trigger), outcome


def _phase(name: str) -> Phase:
    return Phase(name.replace("-", ", "))


def test_the_table_has_every_phase_and_every_trigger() -> None:
    pairs = [(phase, trigger) for phase, trigger, _ in cells()]
    assert sorted(map(str, pairs)) == sorted(str((phase, trigger)) for phase in Phase for trigger in Trigger)


@pytest.mark.parametrize(
    ("phase", "trigger", "outcome"),
    [pytest.param(*cell, id=f"{cell[0].name}-{cell[1].name}") for cell in cells()],
)
def test_each_trigger_in_each_phase(phase: Phase, trigger: Trigger, outcome: str) -> None:
    if outcome in "!-":
        with pytest.raises(ProtocolError if outcome == "!" else MisuseError):
            next_phase(phase, trigger)
    else:
        assert next_phase(phase, trigger) is _phase(outcome)


def test_every_phase_can_be_reached() -> None:
    reached = {Phase.OFFLINE}
    while new := {after for phase in reached for after in TRANSITIONS[phase].values()} - reached:
        reached |= new
    assert reached == set(Phase)


def test_a_second_greeting_on_one_connection_is_our_own_fault() -> None:
    endpoint = Endpoint("Client1")
    endpoint.greet()
    with pytest.raises(MisuseError, match="'calling' cannot have 'call'"):
        endpoint.greet()
    assert endpoint.phase is Phase.CALLING
