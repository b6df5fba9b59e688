"""What was to be reached, and whether it is: ratios of two figures of one run.

Pure functions of the JSON that `run` writes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median, quantiles
from typing import Any

Figures = dict[str, Any]
Value = Callable[[Figures], float]


@dataclass(frozen=True, slots=True)
class Goal:
    """`value` is to be at most `limit` times `of`, or at least, where more is better."""

    what: str
    value: Value
    limit: float
    of: Value
    beside: str
    unit: str = "us"
    at_least: bool = False


def speed(name: str, mode: str, key: str) -> Value:
    return lambda figures: median(figures["speed"][name][mode][key])


def start(name: str) -> Value:
    return lambda figures: median(figures["starts"][name])


def fixed(value: float) -> Value:
    return lambda figures: value


def wakeups(name: str) -> Value:
    return lambda figures: float(figures["idle"]["wakeups"][name])


def memory(name: str, key: str = "talking") -> Value:
    return lambda figures: median(figures[key][name]) / 1024


def screen(row: str, program: str, percent: int) -> Value:
    """Milliseconds."""
    return lambda figures: quantile(figures["screens"]["rows"][row][program], percent)


def stranger(server: str) -> Value:
    return lambda figures: median(figures["strangers"][server])


def quantile(times: Sequence[float], percent: int) -> float:
    """Of only a few, the largest stands for the last ones."""
    if percent == 50:
        return median(times)
    return quantiles(times, n=100)[percent - 1] if len(times) > 20 else max(times)


def attach(views: Sequence[str]) -> Value:
    return lambda figures: max(median(figures["console"][view]) for view in views) / 1e6


def grown(key: str, largest: bool) -> Value:
    return lambda figures: float(figures["growth"][-1 if largest else 0][key])


def of_lines(key: str, most: bool) -> Value:
    return lambda figures: float(figures["lines"][-1 if most else 0][key])


RELAY, SAVING, ARCHIVE = "bare C relay", "mosquitto, autosave", "prosody, MAM"
PROCESS = "pychat, no sync"


PYCHAT = "pychat"
EMPTY, TOOLKIT = "python3 -c pass", "import prompt_toolkit"
ALLOWLIST, OPENSSL = "pychatd with an allowlist", "openssl s_server"
CONSOLE, IN_BURSTS = "pychatd-console", "pychatd-console, in bursts"


def _at_a_terminal() -> list[Goal]:
    """From what somebody does to what a screen shows."""

    def goal(words: str, row: str, program: str, percent: int, limit: float, beside: str | int) -> Goal:
        """beside: another program, or milliseconds."""
        value = screen(row, program, percent)
        if isinstance(beside, int):
            return Goal(f"{words}, p{percent}", value, limit, fixed(beside), f"{beside} ms", "ms")
        return Goal(f"{words}, p{percent}", value, limit, screen(row, beside, percent), beside, "ms")

    enter = "Enter to the other screen"
    later, burst = "a key to its echo, after 10,000 messages", "a key to its echo, in a burst"
    return [
        goal(enter, "enter", PYCHAT, 50, 1, 5),
        goal(enter, "enter", PYCHAT, 99, 1, 15),
        goal(enter, "enter", PYCHAT, 50, 1, "irssi"),
        goal(later, "echo", CONSOLE, 50, 1.5, "ptpython"),
        goal(later, "echo", CONSOLE, 99, 1, 50),
        goal(burst, "echo", IN_BURSTS, 50, 1.5, "ptpython"),
        goal(burst, "echo", IN_BURSTS, 99, 1, 50),
        goal("10,000 messages at once, to the screen", "burst", CONSOLE, 50, 1, "irssi"),
        goal("a console's start, to 10,000 messages", "resume", CONSOLE, 50, 1, "weechat"),
    ]


def _goals() -> list[Goal]:
    trip, ack = speed(PYCHAT, "same", "rtt"), speed(PYCHAT, "same", "ack")
    rate = speed(PYCHAT, "split", "rate")
    return [
        *(
            Goal("durable round trip, p50", trip, limit, speed(other, "same", "rtt"), other)
            for other, limit in ((RELAY, 1.4), (SAVING, 0.7), (ARCHIVE, 0.11))
        ),
        Goal("message to durable ack, p50", ack, 1.5, speed(RELAY, "same", "ack"), RELAY),
        Goal("message to durable ack, p50", ack, 1.0, speed(SAVING, "same", "ack"), SAVING),
        Goal(
            "round trip without syncs, p50",
            speed(PROCESS, "same", "rtt"),
            1.0,
            speed("prosody", "same", "rtt"),
            "prosody",
        ),
        *(
            Goal("durable messages a second, split", rate, limit, speed(other, "split", "rate"), other, "/s", True)
            for other, limit in (("mosquitto", 1.0), (SAVING, 25.0), (ARCHIVE, 100.0))
        ),
        Goal("CPU time per message, pipelined", speed(PYCHAT, "split", "stream_cpu"), 1, fixed(12), "12 us"),
        *(
            Goal(f"memory while two talk, {kind}", memory(PYCHAT, key), 1.3, memory(ARCHIVE, key), ARCHIVE, "MiB")
            for kind, key in (("RSS", "talking"), ("Pss", "talking_pss"))
        ),
        Goal("exec to accepting", start("accepting"), 2.5, start("pass"), EMPTY),
        Goal("exec to the first round trip", start("answered"), 6.0, start("pass"), EMPTY),
        Goal("pychat --version", start("version"), 3.0, start("pass"), EMPTY),
        Goal("pychat to its first prompt", start("prompt"), 1.15, start("import"), TOOLKIT),
        Goal(
            "memory of pychat with a screen (RSS)",
            memory(PYCHAT, "screen_memory"),
            1.2,
            memory(TOOLKIT, "screen_memory"),
            TOOLKIT,
            "MiB",
        ),
        Goal("wake-ups in 60 s, daemon", wakeups("pychatd"), 1, fixed(8), "the pings: 8", ""),
        Goal("wake-ups in 60 s, client", wakeups("pychat"), 1, fixed(8), "the pings: 8", ""),
        Goal("wake-ups in 60 s, console", wakeups("pychatd-console"), 1, fixed(0), "none", ""),
        Goal("round trip after 100,000 messages", grown("rtt", True), 1.1, grown("rtt", False), "after one"),
        Goal("console attach, 10,000 messages", attach(("screen", "plain")), 1, fixed(0.5), "0.5 s", "s"),
        Goal("round trip beside 199 other services", of_lines("rtt", True), 1.1, of_lines("rtt", False), "alone"),
        Goal("memory per service, of 200 (Pss)", of_lines("pss", True), 1, fixed(10 * 1024), "10 MiB", "KiB"),
        *_at_a_terminal(),
        Goal("processor time of a refused stranger", stranger(ALLOWLIST), 1.2, stranger(OPENSSL), OPENSSL),
    ]


GOALS = _goals()


def judge(goal: Goal, figures: Figures) -> list[str] | None:
    """The cells of a goal's row, also where nothing was there to compare with.

    None where pychat itself was not measured.
    """
    try:
        value = goal.value(figures)
    except (KeyError, IndexError):
        return None
    sign = ">=" if goal.at_least else "<="
    own, limit = [goal.what, with_unit(value, goal.unit), goal.beside], f"{sign} {goal.limit:g}"
    try:
        other = goal.of(figures)
    except (KeyError, IndexError):
        return [*own, "", "", limit, "not measured"]
    ratio = "" if other == 0 else f"{value / other:.2f}"
    return [*own, with_unit(other, goal.unit), ratio, limit, _verdict(goal, value, goal.limit * other)]


def _verdict(goal: Goal, value: float, bound: float) -> str:
    if value >= bound if goal.at_least else value <= bound:
        return "met"
    return f"missed by {value:.0f}" if bound == 0 else f"missed by {abs(value / bound - 1):.0%}"


def goals_table(figures: Figures) -> list[list[str]]:
    rows = [["what", "pychat", "beside", "its figure", "ratio", "goal", ""]]
    return rows + [row for goal in GOALS if (row := judge(goal, figures)) is not None]


def with_unit(value: float, unit: str) -> str:
    """Three significant digits and the unit that fits: us, ms or s."""
    if unit == "us" and value >= 10_000:
        value, unit = value / 1000, "ms"
    if unit == "/s":
        return f"{float(f'{value:.3g}'):,.0f}/s"
    value = float(f"{value:.3g}")
    digits = f"{value:g}" if value < 1000 else f"{value:,.0f}"
    return f"{digits} {unit}".strip()
