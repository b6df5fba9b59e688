"""The colours: when there are any, and that they are those of the user's own theme."""

from __future__ import annotations

import curses
import re
from collections.abc import Mapping

import pytest

from pychat_client.ui import theme
from pychat_client.ui.theme import COLOURED, UNCOLOURED, Theme, choose


@pytest.mark.parametrize(
    ("environ", "has_colours", "chosen"),
    [
        ({}, True, COLOURED),
        ({}, False, UNCOLOURED),
        ({"NO_COLOR": "1"}, True, UNCOLOURED),
        ({"NO_COLOR": ""}, True, COLOURED),
        ({"FORCE_COLOR": "1"}, False, COLOURED),
        ({"FORCE_COLOR": ""}, False, UNCOLOURED),
        ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, True, UNCOLOURED),
    ],
)
def test_the_environment_decides_before_the_terminal(
    environ: Mapping[str, str], has_colours: bool, chosen: Theme
) -> None:
    assert choose(environ, lambda: has_colours) is chosen


def test_all_colours_are_named_ones() -> None:
    for _, style in COLOURED.style.style_rules:
        for word in style.split():
            name = word.removeprefix("bg:").removeprefix("fg:")
            assert re.fullmatch("ansi[a-z]+|default|bold|underline|(no)?reverse", name), style


def test_nothing_is_said_by_colour_alone() -> None:
    """What has a colour and says more than who speaks looks different without colours as well."""
    plain = dict(UNCOLOURED.style.style_rules)
    told = {"prompt.turn", "auto-suggestion", "bottom-toolbar.text turn", "bottom-toolbar.text warning"}
    for names in told:
        assert plain[names], names
    assert {names for names, style in COLOURED.style.style_rules if style != plain.get(names)} - told == {
        "time",
        "own",
        "other",
        "prompt",  # the name is written in front of each of these
        "draft",
    }


def _no_entry() -> None:
    raise curses.error


def test_an_unknown_terminal_is_taken_to_have_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(curses, "setupterm", _no_entry)
    assert theme.terminal_has_colours()
