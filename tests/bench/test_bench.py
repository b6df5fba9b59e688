"""The bench itself: the generator talks to every kind of end it claims to, and the page tells the kept figures.

Nothing here asserts a time.
"""

from __future__ import annotations

import json
import random
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from tests.bench import live, measure, report, screens, strangers, systems
from tests.bench.before import joined
from tests.bench.goals import Figures, Goal, fixed, goals_table, judge
from tests.bench.measure import load
from tests.bench.report import LAST, PAGE
from tests.bench.run import save
from tests.bench.systems import KINDS, MissingError, Server, Tools, build
from tests.support.ports import free_port
from tests.support.service import Service
from tests.support.waiting import wait_for


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Tools:
    """The programs in C, with the pychat of this environment."""
    try:
        return build(tmp_path_factory.mktemp("bench"), None)
    except MissingError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("name", KINDS)
def test_the_generator_talks_to(name: str, tools: Tools, tmp_path: Path) -> None:
    kind = KINDS[name]
    try:
        server = Server(kind, tools, tmp_path / "server")
    except MissingError as error:
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


@pytest.mark.parametrize("name", ["pychat", "bare C relay"])
def test_a_sync_that_is_replaced_costs_what_was_asked_for(name: str, tools: Tools, tmp_path: Path) -> None:
    """A round trip has two; that both servers' SQLite calls ours is what the experiment stands on."""
    within = ["env", f"LD_PRELOAD={tools.sync}", "BENCH_SPIN=10000"]
    server = Server(KINDS[name], tools, tmp_path / "server", within)
    try:
        found = load(tools, "rtt", server.kind.protocol, server.peer, server.operator, 3)
        assert found["rtt"][0] >= 2 * 10_000
    finally:
        server.close()


def test_a_server_that_archives_nothing_is_missing(
    tools: Tools, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if shutil.which("prosody") is None:
        pytest.skip("prosody is not installed")
    (tmp_path / "peers").mkdir()
    config = (systems.HERE / "peers/prosody.cfg.lua").read_text()
    (tmp_path / "peers/prosody.cfg.lua").write_text(config.replace('"SQLite3"', '"Nothing"'))
    monkeypatch.setattr(systems, "HERE", tmp_path)
    with pytest.raises(MissingError, match="archives nothing: 'apt-get install lua-dbi-sqlite3'"):
        Server(KINDS["prosody, MAM"], tools, tmp_path / "server")


def test_each_key_of_a_line_is_seen_at_the_other_terminal(idle_service: Service) -> None:
    with live.pychat(idle_service, live.Network("loopback")) as (client, console):
        for sender, receiver in ((client, console), (console, client)):
            assert len(live.key_to_letter(sender, receiver, random.Random(1))) == len(live.SYMBOLS)


def test_the_generator_leaves_no_program_behind(tools: Tools, tmp_path: Path) -> None:
    file = tmp_path / "pid"
    child = ["sh", "-c", f"echo $$ >{file}.new; mv {file}.new {file}; exec sleep 600"]
    with subprocess.Popen([tools.load, "start", f"tls:{free_port()}", "unix:/nowhere", "--", *child]) as generator:
        wait_for(file.exists, "the program has not started")
        generator.kill()
    wait_for(lambda: not _runs(int(file.read_text())), "the program runs on")


def test_a_line_that_does_not_start_is_not_left_behind(
    tools: Tools, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "pid"
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin/pychatd"
    program.write_text(f"#!/bin/sh\necho $$ >{file}\nexec sleep 600\n")
    program.chmod(0o755)
    monkeypatch.setattr(measure, "PATIENCE", 1.0)
    with pytest.raises(AssertionError, match="a line does not start"):
        measure.start_line(replace(tools, env=tmp_path), tmp_path, tmp_path / "pychatd.toml")
    assert not _runs(int(file.read_text()))


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    for size, few in (("LINES", 2), ("LONG", 60), ("SHORT", 20), ("STARTS", 1)):
        monkeypatch.setattr(screens, size, few)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("row", screens.ROWS, ids=": ".join)
def test_what_is_felt_at_a_terminal_is_measured(row: screens.Row, tmp_path: Path) -> None:
    try:
        with screens.desk(tmp_path) as at:
            times = screens.ROWS[row](at, random.Random(1))
    except MissingError as error:
        pytest.skip(str(error))
    assert min(times) > 0


@pytest.mark.parametrize("program", screens.MEMORY)
def test_the_memory_of_a_program_with_a_screen_is_measured(program: str, tmp_path: Path) -> None:
    try:
        with screens.desk(tmp_path) as at:
            found = screens.MEMORY[program](at)
    except MissingError as error:
        pytest.skip(str(error))
    assert program in found
    assert min(found.values()) > 1024


def test_what_is_felt_is_kept_for_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be measured is named, and is not in the file."""

    def missing(at: screens.Desk, choice: random.Random) -> screens.Times:
        raise MissingError("irssi is not installed")

    rows = {("enter", "pychat"): lambda at, choice: [0.004, 0.006], ("enter", "irssi"): missing}
    monkeypatch.setattr(screens, "ROWS", rows)
    memory = {"pychat": lambda at: {"pychat": 2048}, "ssh": lambda at: missing(at, random.Random(1))}
    monkeypatch.setattr(screens, "MEMORY", memory)
    monkeypatch.setattr(report, "BUILT", tmp_path)
    monkeypatch.setattr(report, "LAST", tmp_path / "last.json")
    figures = screens.measured(tmp_path, 1, 1)
    assert "not measured: enter, irssi: irssi is not installed" in report.as_text(figures)
    save("screens", figures)
    save("strangers", {"strangers": {"pychatd with an allowlist": [2.0], "openssl s_server": [1.0]}})
    kept = report.keep()
    assert set(kept) == {"screens", "screen_memory", "strangers"}
    assert [row[1:4] for row in report.screens_table(kept)[1:]] == [
        ["pychat", "5 ms", "6 ms"],
        ["irssi", "not measured", ""],
    ]
    assert report.screen_memory_table(kept)[1:] == [["pychat", "2 MiB"], ["ssh", "not measured"]]
    assert [row[-1] for row in goals_table(kept)[1:]] == [
        "not measured",
        "met",
        "met",
        "not measured",
        "missed by 67%",
    ]


def test_a_stranger_is_refused_by_both_servers(tmp_path: Path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    with strangers.servers(tmp_path) as running:
        for port, _ in running.values():
            strangers.refused(port)


def _runs(pid: int) -> bool:
    """Whether a process is there, and has not ended already (proc(5), stat)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


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


def test_a_goal_beside_a_server_that_is_missing_says_so() -> None:
    def absent(figures: Figures) -> float:
        raise KeyError("mosquitto")

    cells = judge(Goal("x", fixed(10), 0.8, absent, "mosquitto"), {})
    assert cells == ["x", "10 us", "mosquitto", "", "", "<= 0.8", "not measured"]
    assert judge(Goal("x", absent, 0.8, fixed(10), "mosquitto"), {}) is None


def test_a_table_without_figures_says_so_on_the_page() -> None:
    page = report.in_page("<!-- figures: syncs -->\n| old |\n<!-- end -->", {})
    assert "not measured" in page
    assert "old" not in page


def starts(*times: float, machine: float = 10.0) -> Figures:
    return {"starts": {"pass": [machine, machine], "accepting": list(times)}, "speed": {}}


@pytest.mark.parametrize(
    ("now", "lines"),
    [
        (starts(40, 41, 39), ["nothing"]),
        (starts(50, 41, 60), ["nothing"]),  # one run was as fast as the kept ones
        (starts(60, 50, 55), ["exec to accepting: 1.38 times the kept figure"]),
        (starts(60, 50, 55, machine=14), ["nothing"]),  # the machine is slower
        (starts(20), ["nothing"]),
        ({"starts": {"pass": [10.0]}, "speed": {}}, ["nothing"]),
    ],
)
def test_what_is_worse_than_the_kept_figures_is_named(now: Figures, lines: list[str]) -> None:
    kept = starts(38, 40, 42)
    assert report.worse(now, kept) == lines
    assert "\n".join(["worse than the kept figures by more than the noise", *lines]) in report.as_text(now, kept)


def test_versions_are_compared_by_what_both_have() -> None:
    rounds = [{"speed": {}, "starts": {"version": [30.0]}}, {"starts": {"version": [10.0, 20.0]}}]
    old = {"starts": {"version": [40.0], "accepting": [50.0]}}
    table = report.before_table({"before": {"a1": old, "b2": joined(*rounds)}})
    assert table == [
        ["what", "a1", "b2 (now)", "now / a1"],
        ["pychat --version", "40 us", "20 us", "0.50"],
    ]


def test_what_was_not_measured_is_left_out() -> None:
    figures = {"starts": {"pass": [1.0], "version": [2.0]}, "missing": {"mosquitto": "mosquitto is not installed"}}
    text = report.as_text(figures)
    assert "durable round trip" not in text
    assert "not measured: mosquitto: mosquitto is not installed" in text
