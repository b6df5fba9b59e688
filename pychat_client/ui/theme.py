"""The colours of the screen, by the names that a terminal has for its own.

So they follow the theme of the terminal. Bright black is hard to read in some themes; only what a user can do
without has it. Colour alone never says anything: without colours there are bold, underline and the same words.
"""

from __future__ import annotations

import curses
from collections.abc import Callable, Mapping

from prompt_toolkit.output import ColorDepth
from prompt_toolkit.styles import Style

from pychat_client.records import record


@record
class Theme:
    """How the parts of the screen look, those of the toolkit included."""

    style: Style
    depth: ColorDepth


_UNCOLOURED = {
    "notice": "",
    "other": "bold",
    "prompt.turn": "bold",
    "whole": "underline",  # a long word, which goes on at the left edge
    "auto-suggestion": "underline",  # it must not look like text that the user has typed
    # only its words: a row that is coloured up to the edge does not fit in a window with one column less
    "bottom-toolbar": "noreverse",
    "bottom-toolbar.text turn": "bold",
    "bottom-toolbar.text warning": "bold",
    "completion-menu": "bg:default fg:default reverse",
    "completion-menu.completion": "bg:default fg:default reverse",
    "completion-menu.completion.current": "bg:default fg:default noreverse bold",
    "completion-menu.meta.completion": "bg:default fg:default reverse",
    "completion-menu.meta.completion.current": "bg:default fg:default noreverse bold",
    "scrollbar.background": "bg:default",
    "scrollbar.button": "bg:default",
}

_COLOURED = _UNCOLOURED | {
    "time": "ansibrightblack",
    "own": "ansigreen",
    "other": "ansicyan bold",
    "prompt": "ansigreen",
    "prompt.turn": "ansigreen bold",
    "auto-suggestion": "ansibrightblack",
    "draft": "ansibrightblack",
    "bottom-toolbar.text turn": "ansigreen bold",
    "bottom-toolbar.text warning": "ansired bold",
}

UNCOLOURED = Theme(Style.from_dict(_UNCOLOURED), ColorDepth.DEPTH_1_BIT)
COLOURED = Theme(Style.from_dict(_COLOURED), ColorDepth.DEPTH_4_BIT)


def choose(environ: Mapping[str, str], has_colours: Callable[[], bool]) -> Theme:
    """The theme for this terminal: NO_COLOR (https://no-color.org) wins over FORCE_COLOR."""
    if environ.get("NO_COLOR"):
        return UNCOLOURED
    return COLOURED if environ.get("FORCE_COLOR") or has_colours() else UNCOLOURED


def terminal_has_colours() -> bool:
    """Whether the terminal on standard output has colours; an unknown terminal is taken to have them."""
    try:
        curses.setupterm()
    except curses.error:
        return True
    return curses.tigetnum("colors") > 1
