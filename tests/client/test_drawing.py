"""How far above the cursor the first row is when the window has another size."""

from __future__ import annotations

import pytest
from prompt_toolkit.data_structures import Point, Size
from prompt_toolkit.layout.screen import Char, Screen

from pychat_client.ui.drawing import Drawing, Wrapping, wrapping_of

BREAKS, CUTS, UNKNOWN = Wrapping

SIZE = Size(rows=24, columns=80)
AT_BOTTOM = 20
"""The cursor's row below: the line takes the rows 18 to 20, the toolbar the last three."""


def long_line() -> Drawing:
    """Two full rows and 25 columns of a third, with the cursor behind them; the toolbar below."""
    screen = Screen()
    for y, columns in ((0, 80), (1, 80), (2, 25), (5, 30)):
        for x in range(columns):
            screen.data_buffer[y][x] = Char("x")
    screen.height = 6
    return Drawing(screen, Point(25, 2), SIZE, frozenset({0, 1}), edge=True)


@pytest.mark.parametrize(
    ("columns", "at", "known", "above"),
    [
        (60, Point(5, 19), UNKNOWN, (3, BREAKS)),  # 185 columns are three rows of 60 and five
        (60, Point(25, 20), UNKNOWN, (2, CUTS)),
        (60, Point(25, 20), BREAKS, (2, BREAKS)),  # drawn when the terminal had that size already
        (60, Point(33, 20), BREAKS, (2, BREAKS)),  # neither: the smaller number
        (60, None, UNKNOWN, (2, UNKNOWN)),
        (60, None, BREAKS, (3, BREAKS)),
        (60, None, CUTS, (2, CUTS)),
        (40, Point(25, AT_BOTTOM), UNKNOWN, (2, CUTS)),  # the same column either way; what is cut stays in its row
        (40, Point(25, AT_BOTTOM - 1), UNKNOWN, (4, BREAKS)),
        (40, Point(25, AT_BOTTOM), BREAKS, (4, BREAKS)),
        (160, Point(25, AT_BOTTOM), UNKNOWN, (1, UNKNOWN)),  # wider: broken anew they are fewer
        (160, Point(25, AT_BOTTOM), CUTS, (2, CUTS)),
        (240, Point(185, 18), UNKNOWN, (0, BREAKS)),
        (240, Point(25, AT_BOTTOM), UNKNOWN, (2, CUTS)),
        (240, None, UNKNOWN, (0, UNKNOWN)),
        (80, Point(25, AT_BOTTOM), UNKNOWN, (2, UNKNOWN)),
    ],
)
def test_in_doubt_no_row_of_a_message_is_erased(
    columns: int, at: Point | None, known: Wrapping, above: tuple[int, Wrapping]
) -> None:
    assert long_line().rows_above(Size(rows=24, columns=columns), at, known) == above


def test_with_another_height_the_row_says_nothing() -> None:
    assert long_line().rows_above(Size(rows=20, columns=40), Point(25, 10), UNKNOWN) == (2, UNKNOWN)


def test_a_wide_character_is_not_broken() -> None:
    screen = Screen()
    for x in range(0, 80, 2):
        screen.data_buffer[0][x] = Char("\N{CJK UNIFIED IDEOGRAPH-65E5}")
        screen.data_buffer[0][x + 1] = Char("")
    screen.data_buffer[1][0] = Char("x")
    screen.height = 2
    drawing = Drawing(screen, Point(1, 1), SIZE, frozenset({0}), edge=False)
    # 20 to a row of 41, whose last column stays empty; the second one is filled by the x
    assert drawing.rows_above(Size(rows=24, columns=41), Point(0, 9), UNKNOWN) == (2, BREAKS)


@pytest.mark.parametrize(
    ("environ", "wrapping"),
    [
        ({}, UNKNOWN),
        ({"TERM": "xterm-256color"}, UNKNOWN),
        ({"TERM": "xterm-kitty"}, CUTS),
        ({"TERM": "linux"}, CUTS),
        ({"TERM": "screen", "TMUX": "/tmp/tmux-0/default,1,0", "XTERM_VERSION": "XTerm(379)"}, BREAKS),
        ({"TERM": "tmux-256color"}, BREAKS),
        ({"TERM": "screen", "STY": "1.tty"}, UNKNOWN),
        ({"TERM": "xterm-256color", "VTE_VERSION": "7006"}, BREAKS),
        ({"TERM": "xterm-256color", "KONSOLE_VERSION": "221203"}, BREAKS),
        ({"TERM": "xterm", "XTERM_VERSION": "XTerm(379)"}, CUTS),
        ({"TERM": "xterm", "XTERM_VERSION": "XTerm(379)", "VTE_VERSION": "7006"}, UNKNOWN),
    ],
)
def test_some_terminals_say_in_their_variables_what_they_do(environ: dict[str, str], wrapping: Wrapping) -> None:
    assert wrapping_of(environ) is wrapping
