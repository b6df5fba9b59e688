"""`make pictures`: draws the pictures of the pages from real conversations in two real terminals.

A terminal emulator's cells become an SVG. Its colours are those of a dark terminal, or of a light one where the
browser prefers light pages.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from prompt_toolkit.utils import get_cwidth

from sample_talk import play, steady
from tests.support.programs import Terminal
from tests.support.service import Service
from tests.support.waiting import wait_for

PICTURE = Path(__file__).parents[2] / "docs" / "pictures" / "talk.svg"
COLUMNS, ROWS = 60, 14

_CELL, _ROW, _BAR, _PAD, GAP = 7.2, 17, 30, 10, 16  # in pixels, for a font of 12
WIDTH = COLUMNS * _CELL + 2 * _PAD
HEIGHT = ROWS * _ROW + _BAR + 2 * _PAD

_GROUNDS = {"dark": ("#1e1e1e", "#333333", "#e4e4e4"), "light": ("#ffffff", "#e4e4e4", "#1c1c1c")}
_COLOURS = {
    "dark": {"brightblack": "#a8a8a8", "green": "#87d787", "cyan": "#5fd7ff", "red": "#ffaf87"},
    "light": {"brightblack": "#585858", "green": "#005f00", "cyan": "#005f87", "red": "#af0000"},
}
"""How the two terminals show the colours of pychat_client.ui.theme."""


def _rules(terminal: str) -> str:
    ground, bar, text = _GROUNDS[terminal]
    rules = [f".ground{{fill:{ground}}}.bar{{fill:{bar}}}text{{fill:{text}}}.cursor{{fill:{text}}}"]
    rules += [f"text.{name}{{fill:{code}}}" for name, code in _COLOURS[terminal].items()]
    return "".join(rules)


STYLE = (
    f"{_rules('dark')}@media(prefers-color-scheme:light){{{_rules('light')}.ground{{stroke:#c6c6c6}}}}"
    "text{font:12px ui-monospace,Menlo,Consolas,'DejaVu Sans Mono',monospace;white-space:pre}"
    ".bold{font-weight:bold}"
)


def _runs(row: dict[int, Any]) -> Iterator[tuple[int, str, str]]:
    """The pieces of a row that look the same: the first column, the classes and the text of each."""

    def look(column: int) -> str:
        cell = row[column]
        return f"{cell.fg if cell.fg in _COLOURS['dark'] else ''} {'bold' if cell.bold else ''}".strip()

    for classes, columns in groupby(range(COLUMNS), look):
        first, *others = columns
        text = steady("".join(row[column].data for column in (first, *others))).rstrip()
        if blanks := len(text) - len(text.lstrip()):
            first, text = first + blanks, text.lstrip()
        if text:
            yield first, classes, text


def window(terminal: Terminal, title: str, left: float) -> list[str]:
    terminal.update()
    screen = terminal._screen
    drawn = [
        f'<g transform="translate({left:g} 0)">',
        f'<rect class="ground" width="{WIDTH:g}" height="{HEIGHT}" rx="6"/>',
        f'<path class="bar" d="M0 {_BAR}V6a6 6 0 0 1 6-6H{WIDTH - 6:g}a6 6 0 0 1 6 6V{_BAR}z"/>',
        f'<text x="{_PAD}" y="20">{escape(title)}</text>',
    ]
    for number in range(ROWS):
        below = _BAR + _PAD + number * _ROW + 13
        for column, classes, text in _runs(screen.buffer[number]):
            place = f'x="{_PAD + column * _CELL:g}" y="{below}"' + (f' class="{classes}"' if classes else "")
            width = f'textLength="{get_cwidth(text) * _CELL:g}" lengthAdjust="spacingAndGlyphs"'
            drawn.append(f"<text {place} {width}>{escape(text)}</text>")
    x, y = _PAD + screen.cursor.x * _CELL, _BAR + _PAD + screen.cursor.y * _ROW
    return [*drawn, f'<rect class="cursor" x="{x:g}" y="{y}" width="{_CELL}" height="16" opacity=".7"/>', "</g>"]


def draw(console: Terminal, client: Terminal) -> str:
    """Draws both terminals side by side."""
    width = 2 * WIDTH + GAP
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {HEIGHT}" width="{width:g}" '
            f'height="{HEIGHT}" role="img">',
            "<title>Alice at the console on host A talks with Bob on host B, each in a terminal</title>",
            f"<style>{STYLE}</style>",
            *window(console, "host A: pychatd-console 40000", 0),
            *window(client, "host B: pychat hostA 40000", WIDTH + GAP),
            "</svg>",
            "",
        ]
    )


def pose(service: Service) -> tuple[Terminal, Terminal]:
    """Plays the conversation of the picture. Starts the service, which must not run yet."""
    service.start()
    console, client = play(service, COLUMNS, ROWS)
    return console, client


def keep_typing(console: Terminal, client: Terminal) -> None:
    """Waits until the client shows that the other user is typing."""

    def typing() -> bool:
        console.type(" \x7f")
        console.update()
        return " | typing" in client.text()

    wait_for(typing, "the sign of typing")
    console.line_is("alice> Bright and w")


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="pychat-") as directory:
        service = Service(Path(directory))
        try:
            console, client = pose(service)
            client.sees("read")
            keep_typing(console, client)
            PICTURE.parent.mkdir(exist_ok=True)
            PICTURE.write_text(draw(console, client), encoding="utf-8")
        finally:
            service.close()
    print(f"Drew {PICTURE}.")
    import live_picture  # draws with the functions above

    live_picture.draw()
    return 0


if __name__ == "__main__":
    sys.exit(main())
