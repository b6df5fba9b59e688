"""The plots of docs/performance.md: SVG, written by hand, in the reader's light or dark colours.

Pure functions of the JSON that `run` writes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from html import escape
from statistics import median
from typing import Any

WIDTH, HEIGHT = 720, 400
LEFT, RIGHT, TOP, BOTTOM = 70, 190, 46, 48
COLOURS = ("#0969da", "#bc4c00", "#1a7f37", "#8250df", "#6e7781")
DARK = ("#58a6ff", "#f0883e", "#3fb950", "#bc8cff", "#8b949e")

Point = tuple[float, float]


def page(title: str, body: Sequence[str], width: int = WIDTH, height: int = HEIGHT) -> str:
    """An SVG file."""
    light = "".join(f".s{i}{{stroke:{c}}}.f{i}{{fill:{c}}}" for i, c in enumerate(COLOURS))
    dark = "".join(f".s{i}{{stroke:{c}}}.f{i}{{fill:{c}}}" for i, c in enumerate(DARK))
    style = (
        "text{font:13px system-ui,sans-serif;fill:#1f2328}.t{font-weight:600;font-size:15px}.n{fill:#59636e}"
        "path{fill:none;stroke-width:2}.g{stroke:#d1d9e0;stroke-width:1}.b{fill:#fff}"
        f"{light}@media(prefers-color-scheme:dark){{text{{fill:#f0f6fc}}.n{{fill:#9198a1}}"
        f".g{{stroke:#3d444d}}.b{{fill:#0d1117}}{dark}}}"
    )
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img">',
            f"<title>{escape(title)}</title><style>{style}</style>",
            f'<rect class="b" width="{width}" height="{height}"/>',
            text(16, 26, title, "t"),
            *body,
            "</svg>\n",
        ]
    )


def text(x: float, y: float, words: str, kind: str = "n", anchor: str = "start") -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'


def line(x1: float, y1: float, x2: float, y2: float, kind: str = "g") -> str:
    return f'<path class="{kind}" d="M{x1:.1f} {y1:.1f}L{x2:.1f} {y2:.1f}"/>'


def microseconds(value: float) -> str:
    for size, unit in ((1e6, "s"), (1e3, "ms")):
        if value >= size:
            return f"{value / size:g} {unit}"
    return f"{value:g} us"


class Axes:
    """A field with a logarithmic vertical axis in microseconds."""

    def __init__(self, xs: tuple[float, float], times: Sequence[float], *, log_x: bool = False) -> None:
        self._x0, self._x1 = (math.log10(x) for x in xs) if log_x else xs
        self._log_x = log_x
        self.low, self.high = math.floor(math.log10(min(times))), math.ceil(math.log10(max(times)))

    def x(self, value: float) -> float:
        value = math.log10(value) if self._log_x else value
        return LEFT + (value - self._x0) / (self._x1 - self._x0) * (WIDTH - LEFT - RIGHT)

    def y(self, value: float) -> float:
        share = (math.log10(value) - self.low) / (self.high - self.low)
        return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)

    def grid(self, ticks: Sequence[tuple[float, str]], label: str) -> list[str]:
        right, floor = WIDTH - RIGHT, HEIGHT - BOTTOM
        parts = []
        for power in range(self.low, self.high + 1):
            y = self.y(10**power)
            parts += [line(LEFT, y, right, y), text(LEFT - 8, y + 4, microseconds(10**power), anchor="end")]
        for value, words in ticks:
            x = self.x(value)
            parts += [line(x, floor, x, floor + 5), text(x, floor + 19, words, anchor="middle")]
        return [*parts, text((LEFT + right) / 2, floor + 38, label, anchor="middle")]

    def curves(self, curves: dict[str, list[Point]]) -> list[str]:
        """Each with its name at its right end; names that would touch move apart."""
        parts = []
        last = [points[-1][1] for points in curves.values()]
        ends = sorted(zip(map(self.y, last), range(len(last)), curves, strict=True))
        below = -math.inf
        for end, number, name in ends:
            below = max(end, below + 16)
            parts.append(text(WIDTH - RIGHT + 8, below + 4, name, f"f{number}"))
        for number, points in enumerate(curves.values()):
            path = "L".join(f"{self.x(x):.1f} {self.y(y):.1f}" for x, y in points)
            parts.append(f'<path class="s{number}" d="M{path}"/>')
        return parts


def trips(figures: dict[str, Any]) -> str:
    """How long round trips take: not only the middle one."""
    names = ("pychat", "bare C relay", "mosquitto, autosave", "prosody, MAM", "pychat, no sync")
    curves: dict[str, list[Point]] = {}
    for name in names:
        if name in figures["speed"]:
            curves[name] = list(enumerate(figures["speed"][name]["same"]["quantiles"], 1))
    axes = Axes((1, 99), [y for points in curves.values() for _, y in points])
    ticks = [(p, f"p{p}") for p in (1, 25, 50, 75, 90, 99)]
    grid = axes.grid(ticks, "share of the round trips that are faster")
    return page("Round trips, one core", [*grid, *axes.curves(curves)])


def growth(figures: dict[str, Any]) -> str:
    """What a long history costs."""
    at = figures["growth"]
    curves: dict[str, list[Point]] = {
        "a console gets all": [(row["history"], row["attach"]) for row in at],
        "a round trip": [(row["history"], row["rtt"]) for row in at],
    }
    axes = Axes(
        (at[0]["history"], at[-1]["history"]), [y for points in curves.values() for _, y in points], log_x=True
    )
    ticks = [(row["history"], f"{row['history']:,}") for row in at]
    return page("With a longer conversation", [*axes.grid(ticks, "messages before"), *axes.curves(curves)])


def streams(figures: dict[str, Any]) -> str:
    """Messages a second, one bar a server."""
    rates = {name: median(found["split"]["rate"]) for name, found in figures["speed"].items() if name != "socat"}
    high, row, left, right = max(rates.values()), 30, 250, 100
    height = TOP + row * len(rates) + 16
    parts = []
    for number, (name, rate) in enumerate(rates.items()):
        y = TOP + row * number
        size = max(1.0, rate / high * (WIDTH - left - right))
        kind = "f0" if name.startswith("pychat") else "f4"
        parts += [
            text(left - 10, y + 16, name, "k", "end"),
            f'<rect class="{kind}" x="{left}" y="{y + 2}" width="{size:.1f}" height="{row - 10}" rx="2"/>',
            text(left + size + 8, y + 16, f"{float(f'{rate:.3g}'):,.0f}"),
        ]
    return page("Messages a second, pipelined, two cores", parts, height=height)


PLOTS: dict[str, Callable[[dict[str, Any]], str]] = {"trips": trips, "streams": streams, "growth": growth}
