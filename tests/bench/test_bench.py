"""The bench itself: the generator talks to every kind of end it claims to, and the page tells the kept figures.

Nothing here asserts a time.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.bench import report
from tests.bench.measure import load
from tests.bench.report import LAST, PAGE, Goal, fixed, judge
from tests.bench.systems import KINDS, Missing, Server, Tools, build


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Tools:
    """The programs in C, with the pychat of this environment."""
    try:
        return build(tmp_path_factory.mktemp("bench"), None)
    except Missing as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("name", KINDS)
def test_the_generator_talks_to(name: str, tools: Tools, tmp_path: Path) -> None:
    kind = KINDS[name]
    try:
        server = Server(kind, tools, tmp_path / "server")
    except Missing as error:
        pytest.skip(str(error))
    try:
        found = load(tools, "rtt", kind.protocol, server.peer, server.operator, 5)
        assert len(found["rtt"]) == 99
        assert ("ack" in found) == (kind.protocol in ("pychat", "relay", "mqtt"))
        found = load(tools, "stream", kind.protocol, server.peer, server.operator, 50, 10)
        assert found["messages"] == 51
    finally:
        server.close()


def test_a_console_is_told_the_whole_conversation(tools: Tools, tmp_path: Path) -> None:
    server = Server(KINDS["pychat"], tools, tmp_path / "server")
    try:
        found = load(tools, "grow", server.peer, server.operator, 5, 1, 100)
        assert [at["history"] for at in found] == [1, 100]
    finally:
        server.close()


def test_the_page_and_its_pictures_tell_the_kept_figures() -> None:
    figures = json.loads(LAST.read_text())
    assert PAGE.read_text() == report.in_page(PAGE.read_text(), figures), "make bench-docs"
    for path, svg in report.pictures(figures).items():
        assert path.read_text() == svg, "make bench-docs"


@pytest.mark.parametrize(
    ("value", "goal", "verdict"),
    [
        (10.0, Goal("x", fixed(0), 1.5, fixed(10), "y"), "met"),
        (15.0, Goal("x", fixed(0), 1.5, fixed(10), "y"), "met"),
        (18.0, Goal("x", fixed(0), 1.5, fixed(10), "y"), "missed by 20%"),
        (100.0, Goal("x", fixed(0), 25, fixed(10), "y", at_least=True), "missed by 60%"),
        (3.0, Goal("x", fixed(0), 1, fixed(0), "y"), "missed by 3"),
    ],
)
def test_a_goal_is_met_or_says_by_how_much_it_is_missed(value: float, goal: Goal, verdict: str) -> None:
    cells = judge(Goal(goal.what, fixed(value), goal.limit, goal.of, goal.beside, at_least=goal.at_least), {})
    assert cells is not None
    assert cells[-1] == verdict


def test_what_was_not_measured_is_left_out() -> None:
    figures = {"starts": {"pass": [1.0], "version": [2.0]}, "missing": {"mosquitto": "mosquitto is not installed"}}
    text = report.as_text(figures)
    assert "durable round trip" not in text
    assert "not measured: mosquitto: mosquitto is not installed" in text
