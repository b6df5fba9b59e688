"""Figures to words: the table with goals, and what of it docs/performance.md shows.

`python -m tests.bench.report` keeps the last figures, and writes them into the page; `run` prints the same
tables. Pure functions of the JSON that `run` writes, but for the end of this file.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from tests.bench import plots
from tests.bench.goals import (
    GOALS,
    PROCESS,
    RELAY,
    Figures,
    Value,
    goals_table,
    quantile,
    speed,
    start,
    with_unit,
)
from tests.bench.systems import KINDS

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/performance.md"
BUILT = ROOT / "build/bench"
LAST = Path(__file__).parent / "last.json"


def speed_table(figures: Figures) -> list[list[str]]:
    """Every server with what it promises, so that unlike things are not compared in silence."""
    head = ["", "TLS", "a confirmed message survives", "round trip p50 (p99), same core", "two cores"]
    rows = [[*head, "to ack", "messages/s, two cores", "same core", "CPU time per message"]]
    for name, found in figures["speed"].items():
        kind = KINDS[name]
        same, split = found["same"], found["split"]
        rows.append(
            [
                name,
                "TLS 1.3" if kind.tls else "none",
                kind.durable,
                _with_worst(same),
                _with_worst(split),
                with_unit(median(same["ack"]), "us") if "ack" in same else "no ack",
                with_unit(median(split["rate"]), "/s"),
                with_unit(median(same["rate"]), "/s"),
                with_unit(median(split["stream_cpu"]), "us") if name != "socat" else "",
            ]
        )
    return rows


def _with_worst(found: dict[str, list[float]]) -> str:
    return f"{with_unit(median(found['rtt']), 'us')} ({with_unit(median(found['rtt99']), 'us')})"


def layers_table(figures: Figures) -> list[list[str]]:
    """Where a durable round trip spends its time, by what goes when a part is left out."""

    def trip(name: str) -> float:
        return speed(name, "same", "rtt")(figures)

    whole, process, plain = trip("pychat"), trip(PROCESS), trip(f"{PROCESS}, plain TCP")
    relay = trip(RELAY)
    syncs = 2 * figures["about"]["sync"][49]
    parts = [
        ("two syncs of the disk (2 x fdatasync p50)", syncs),
        ("what else waiting costs: see the experiment below", whole - process - syncs),
        ("TLS, at both ends", process - plain),
        ("the rest: Python, asyncio, SQLite, the kernel", plain),
        ("together", whole),
        ("for comparison, all of the bare relay in C (no TLS)", relay),
    ]
    return [["part", "time", "share"], *([what, with_unit(t, "us"), f"{t / whole:.0%}"] for what, t in parts)]


def syncs_table(figures: Figures) -> list[list[str]]:
    """The line beside the relay, with a disk and with three that are none."""
    found = figures["syncs"]
    ways = {
        "real": "waits for the disk",
        "sleeping": f"sleeps for {found['wait']} us",
        "spinning": f"keeps the processor busy for {found['wait']} us",
        "none": "returns at once",
    }
    both = [RELAY, "ratio", "longer by"]
    rows = [["a sync", "round trip p50: pychat", *both, "to ack p50: pychat", *both]]
    for way, words in ways.items():
        row = [words]
        for key in ("rtt", "ack"):
            own, other = (median(found["runs"][way][name][key]) for name in ("pychat", RELAY))
            both_times = [with_unit(own, "us"), with_unit(other, "us")]
            row += [*both_times, f"{own / other:.2f}", with_unit(own - other, "us")]
        rows.append(row)
    return rows


def floor_table(figures: Figures) -> list[list[str]]:
    """Where the memory of a service goes during a conversation, by what has been loaded."""
    found = {**figures["floor"], "pychatd while two talk": figures["talking"]["pychat"]}
    rows, before = [["process", "memory (RSS)", "more than before"]], 0.0
    for words, values in found.items():
        value = median(values) / 1024
        rows.append([words, with_unit(value, "MiB"), with_unit(value - before, "MiB") if before else ""])
        before = value
    return rows


def talking_table(figures: Figures) -> list[list[str]]:
    rows = [["while two talk over it", "memory (RSS)"]]
    return rows + [[name, with_unit(median(values) / 1024, "MiB")] for name, values in figures["talking"].items()]


def profile_table(figures: Figures) -> list[list[str]]:
    return [["where", "share"], *([area, f"{share:.0%}"] for area, share in figures["profile"].items())]


def growth_table(figures: Figures) -> list[list[str]]:
    rows = [["messages before", "round trip", "a console gets all of them in"]]
    for at in figures["growth"]:
        rows.append([f"{at['history']:,}", with_unit(at["rtt"], "us"), with_unit(at["attach"], "us")])
    return rows


def console_table(figures: Figures) -> list[list[str]]:
    found = figures["console"]
    rows = [["console", f"exec to the last of {found['messages']:,} messages"]]
    return rows + [[view, with_unit(median(found[view]), "us")] for view in ("screen", "plain")]


def lines_table(figures: Figures) -> list[list[str]]:
    head = ["services", "memory per service (Pss)", "round trip on one of them", "CPU time of a start"]
    rows = [[*head, "wake-ups of all in 5 s"]]
    for at in figures["lines"]:
        begun = "" if at["start_cpu"] is None else with_unit(at["start_cpu"], "us")
        memory = with_unit(at["pss"] / 1024, "MiB")
        rows.append([str(at["lines"]), memory, with_unit(at["rtt"], "us"), begun, str(at["wakeups"])])
    return rows


def idle_table(figures: Figures) -> list[list[str]]:
    found = figures["idle"]
    rows = [["program", f"wake-ups in {found['seconds']} s"]]
    return rows + [[name, str(count)] for name, count in found["wakeups"].items()]


def starts_table(figures: Figures) -> list[list[str]]:
    names = {
        "pass": "python3 -c pass",
        "at_the_port": "python3 -c 'import' of what the standard library has of this before the port is open",
        "library": "python3 -c 'import' of what it has of all the daemon's modules",
        "modules": "python3 -c 'import' of the daemon's modules, and so of all they import",
        "accepting": "pychatd run: exec to accepting",
        "answered": "pychatd run: exec to the first round trip",
        "version": "pychat --version",
        "import": "python3 -c 'import prompt_toolkit'",
        "prompt": "pychat: exec to its first prompt",
    }
    rows = [["program", "time", "times an empty Python"]]
    empty = start("pass")(figures)
    for name, words in names.items():
        if name not in figures["starts"]:
            continue
        value = start(name)(figures)
        rows.append([words, with_unit(value, "us"), f"{value / empty:.1f}"])
    return rows


def about_table(figures: Figures) -> list[list[str]]:
    about = figures["about"]
    versions = ", ".join(f"{name} {word}" for name, word in about["versions"].items() if word)
    return [
        ["", ""],
        ["machine", f"{about['processors']} x {about['processor']}, Linux {about['kernel']}"],
        [
            "disk",
            f"{about['file_system']}; fdatasync {about['sync'][49]:.0f} us p50, {about['sync'][98]:.0f} us p99",
        ],
        ["software", f"Python {about['python']}, SQLite {about['sqlite']}, {about['openssl']}"],
        ["beside it", versions or "nothing"],
        ["repeats", str(about["repeats"])],
        ["state of the repository", about.get("commit") or "unknown"],
    ]


def units_table(figures: Figures) -> list[list[str]]:
    rows = [
        ["idle socket units", "systemd's memory", "its files open", "to start them all", "first caller answered"]
    ]
    for at in figures["units"]:
        rows.append(
            [
                f"{at['units']:,}",
                with_unit(at["memory"] / 1024, "MiB"),
                str(at["files"]),
                f"{at['start']:.2f} s",
                with_unit(at["answered"], "us"),
            ]
        )
    return rows


def live_table(figures: Figures) -> list[list[str]]:
    """From a key at one terminal to the letter at the other."""
    rows = [["network", "", "keys", "p50", "p99"]]
    for network, programs in figures["live"]["networks"].items():
        for name, times in programs.items():
            cuts = quantiles(times, n=100)
            rows.append([network, name, str(len(times)), *(with_unit(cuts[at - 1], "ms") for at in (50, 99))])
    return rows


def live_about_table(figures: Figures) -> list[list[str]]:
    found = figures["live"]
    beside = ", ".join(f"{name} {version}" for name, version in found["versions"].items() if version)
    load = f"{found['load']:.1f} on {found['processors']} processors"
    return [["", ""], ["beside it", beside], ["load average when it began", load]]


def screens_table(figures: Figures) -> list[list[str]]:
    """What a person at a terminal feels. The last program of each kind is the one to compare with."""
    found = figures["screens"]
    many, more = f"{found['long']:,} messages", f"{found['short']:,}"
    kinds = {
        "enter": ("Enter, to the words on the other screen", "irssi"),
        "echo": (f"a key to its echo; in the console after {many}, and in bursts of {more} more", "ptpython"),
        "burst": (f"{many} at once, to the last on the screen", "irssi"),
        "resume": (f"exec, to the last of {many} on the screen", "weechat"),
        "start": ("exec, to the first prompt", "irssi"),
    }
    rows = [["what", "program", "p50", "p99", "ratio", "measured"]]
    for kind, (what, beside) in kinds.items():
        programs = found["rows"].get(kind, {})
        for program, times in programs.items():
            cells = [with_unit(quantile(times, percent), "ms") for percent in (50, 99)]
            other = programs.get(beside)
            ratio = "" if other is None or program == beside else f"{median(times) / median(other):.2f}"
            rows.append([what, program, *cells, ratio, str(len(times))])
        rows += [[what, program, "not measured", "", "", ""] for program in _missing(figures, kind)]
    return rows


def _missing(figures: Figures, kind: str) -> list[str]:
    """The programs of the screens that were not there."""
    return [program for what, program in figures["screens"].get("missing", []) if what == kind]


def screen_memory_table(figures: Figures) -> list[list[str]]:
    rows = [["with a screen", "memory (RSS)"]]
    rows += [[name, with_unit(median(runs) / 1024, "MiB")] for name, runs in figures["screen_memory"].items()]
    return rows + [[name, "not measured"] for name in _missing(figures, "memory")]


def strangers_table(figures: Figures) -> list[list[str]]:
    rows = [["server", "processor time for a refused stranger"]]
    return rows + [[name, with_unit(median(runs), "us")] for name, runs in figures["strangers"].items()]


def before_table(figures: Figures) -> list[list[str]]:
    """What has a goal, in older versions and in this one."""
    *old, now = figures["before"]
    rows = {"what": [*old, f"{now} (now)", *(f"now / {name}" for name in old)]}
    for goal in GOALS:
        try:
            *before, last = [goal.value(found) for found in figures["before"].values()]
        except (KeyError, IndexError):
            continue
        cells = [with_unit(value, goal.unit) for value in (*before, last)]
        rows[goal.what] = [*cells, *(f"{last / value:.2f}" for value in before)]
    return [[what, *cells] for what, cells in rows.items()]


def felt_about_table(figures: Figures) -> list[list[str]]:
    """Where the screens were measured; the strangers are measured right after them."""
    found = figures["screens"]
    beside = ", ".join(f"{name} {version}" for name, version in found["versions"].items() if version)
    load = f"{found['load']:.1f} on {found['processors']} processors"
    return [["", ""], ["beside it", beside or "nothing"], ["load average when it began", load]]


TABLES: dict[str, Callable[[Figures], list[list[str]]]] = {
    "goals": goals_table,
    "speed": speed_table,
    "layers": layers_table,
    "syncs": syncs_table,
    "profile": profile_table,
    "talking": talking_table,
    "floor": floor_table,
    "starts": starts_table,
    "idle": idle_table,
    "growth": growth_table,
    "console": console_table,
    "lines": lines_table,
    "live": live_table,
    "live_about": live_about_table,
    "screens": screens_table,
    "screen_memory": screen_memory_table,
    "strangers": strangers_table,
    "felt_about": felt_about_table,
    "before": before_table,
    "units": units_table,
    "about": about_table,
}


# ------------------------------------------------------------------ on a terminal


def as_text(figures: Figures, last: Figures | None = None) -> str:
    """All tables there are figures for; beside the kept ones, where there are."""
    parts = []
    for name, table in TABLES.items():
        try:
            rows = table(figures)
        except KeyError:
            continue
        if len(rows) > 1:
            parts.append(f"{name}\n{_aligned(rows)}")
    if last is not None:
        parts.append(f"beside the kept figures (1.00: the same)\n{_aligned(_against(figures, last))}")
        parts.append("\n".join(["worse than the kept figures by more than the noise", *worse(figures, last)]))
    parts += [f"not measured: {name}: {why}" for name, why in figures.get("missing", {}).items()]
    return "\n\n".join(parts)


def _against(figures: Figures, last: Figures) -> list[list[str]]:
    """This run's figures over the kept ones, the bare relay's too: a slow machine is no slow code."""
    rows = [["", "now", "kept", "now / kept"]]
    for name in figures["speed"]:
        for what, mode, key, unit in (
            ("round trip", "same", "rtt", "us"),
            ("CPU time per message", "split", "stream_cpu", "us"),
        ):
            try:
                now, kept = speed(name, mode, key)(figures), speed(name, mode, key)(last)
            except KeyError:
                continue
            cells = [with_unit(now, unit), with_unit(kept, unit), f"{now / kept:.2f}"]
            rows.append([f"{name}: {what}", *cells])
    for name in figures["starts"]:
        if name not in last["starts"]:
            continue
        now, kept = start(name)(figures), start(name)(last)
        rows.append([f"start: {name}", with_unit(now, "us"), with_unit(kept, "us"), f"{now / kept:.2f}"])
    return rows


def worse(figures: Figures, last: Figures) -> list[str]:
    """What each run of now needs more for than each kept one, for the speed of its machine; a line for each."""
    found = []
    for what, runs, yardstick in _MEASURED:
        try:
            now = sorted(value / yardstick(figures) for value in runs(figures))
            kept = sorted(value / yardstick(last) for value in runs(last))
        except KeyError:  # not measured in both
            continue
        if now[0] > kept[-1] * (1 + NOISE):
            found.append(f"{what}: {median(now) / median(kept):.2f} times the kept figure")
    return found or ["nothing"]


NOISE = 0.05
"""By so much, figures of one program differ from day to day, although all runs of one day are close together."""

Runs = Callable[[Figures], list[float]]


def _of_speed(name: str, mode: str, key: str) -> Runs:
    return lambda figures: figures["speed"][name][mode][key]


def _of_starts(name: str) -> Runs:
    return lambda figures: figures["starts"][name]


_MEASURED: tuple[tuple[str, Runs, Value], ...] = (
    ("durable round trip", _of_speed("pychat", "same", "rtt"), speed(RELAY, "same", "rtt")),
    ("message to durable ack", _of_speed("pychat", "same", "ack"), speed(RELAY, "same", "ack")),
    ("round trip without syncs", _of_speed(PROCESS, "same", "rtt"), start("pass")),
    ("CPU time per message", _of_speed("pychat", "split", "stream_cpu"), start("pass")),
    ("exec to accepting", _of_starts("accepting"), start("pass")),
    ("exec to the first round trip", _of_starts("answered"), start("pass")),
    ("pychat --version", _of_starts("version"), start("pass")),
    ("pychat to its first prompt", _of_starts("prompt"), start("import")),
)
"""What is compared with the kept figures, and what stands for the speed of the machine: the bare relay where the
disk counts, otherwise an interpreter that starts."""


def _aligned(rows: list[list[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


# ------------------------------------------------------------------ in the page


def in_page(page: str, figures: Figures) -> str:
    """`page` with each `<!-- figures: NAME -->` block made anew; one without figures says so."""

    def made(match: re.Match[str]) -> str:
        try:
            rows = TABLES[match[1]](figures)
        except KeyError:
            rows = [["not measured"]]
        lines = ["| " + " | ".join(row) + " |" for row in rows]
        lines.insert(1, "|" + "---|" * len(rows[0]))
        return f"<!-- figures: {match[1]} -->\n" + "\n".join(lines) + "\n<!-- end -->"

    return re.sub(r"<!-- figures: (\w+) -->\n.*?<!-- end -->", made, page, flags=re.DOTALL)


def pictures(figures: Figures) -> dict[Path, str]:
    """The SVG files that the page shows."""
    return {PAGE.parent / f"performance-{name}.svg": draw(figures) for name, draw in plots.PLOTS.items()}


def dumped(figures: Any) -> str:
    """JSON with a line for each list of numbers."""
    return re.sub(r"\[[^][{}]*\]", lambda found: " ".join(found[0].split()), json.dumps(figures, indent=1)) + "\n"


PARTS = ("live", "screens", "strangers", "before", "units")
"""What is measured by programs of their own, each into a file of its own."""


def keep() -> Figures:
    """The figures of the last runs become the kept ones, as far as there are new ones."""
    figures: Figures = json.loads(LAST.read_text()) if LAST.exists() else {}
    if (new := BUILT / "bench.json").exists():
        of_others = {name: figures[name] for name in (*PARTS, "screen_memory") if name in figures}
        figures = of_others | json.loads(new.read_text())
    for part in PARTS:
        if (file := BUILT / f"{part}.json").exists():
            figures |= json.loads(file.read_text())
    LAST.write_text(dumped(figures))
    return figures


def main() -> int:
    figures = keep()
    PAGE.write_text(in_page(PAGE.read_text(), figures))
    for path, svg in pictures(figures).items():
        path.write_text(svg)
    return 0


if __name__ == "__main__":
    sys.exit(main())
