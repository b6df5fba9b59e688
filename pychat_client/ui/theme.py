"""The colours of the screen: two palettes, when to use which, and none.

Each colour has the contrast of WCAG 2.1's level AA (4.5) on the usual backgrounds of its palette, and is
one of the 256 that terminals agree upon. Nothing is told by colour alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

from prompt_toolkit.output import ColorDepth
from prompt_toolkit.styles import Style

from pychat_client.ui.background import Colour, contrast

Name = Literal["dark", "light", "none"]

COLOURS: dict[Name, dict[str, str]] = {
    "dark": {"dim": "#a8a8a8", "own": "#87d787", "other": "#5fd7ff", "turn": "#ffd75f", "warning": "#ffaf87"},
    "light": {"dim": "#585858", "own": "#005f00", "other": "#005f87", "turn": "#875f00", "warning": "#af0000"},
    "none": {},
}
"""Each palette's colours by what they are for; without them there is bold, and the same words."""

_BLACK, _WHITE = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
_FEW_COLOURS = ("linux", "eterm-color")  # terminals with 16 of them


def choose(
    preference: Literal["auto", "dark", "light", "none"],
    environ: Mapping[str, str],
    ask: Callable[[], Colour | None],
) -> Name:
    """The palette for this terminal. What the user has set goes before NO_COLOR (https://no-color.org), that
    before FORCE_COLOR, which wants colours also where the background is not known.

    ask: what the terminal itself says its background is; not called when it need not be.
    """
    if preference != "auto":
        return preference
    if environ.get("NO_COLOR"):
        return "none"
    background = _from_environment(environ) or ask()
    if background is None:
        return "dark" if environ.get("FORCE_COLOR") else "none"
    return "dark" if contrast(background, _WHITE) > contrast(background, _BLACK) else "light"


def _from_environment(environ: Mapping[str, str]) -> Colour | None:
    """What is known without asking: COLORFGBG, as rxvt and Konsole set it ("15;0"), and the Linux console."""
    number = environ.get("COLORFGBG", "").rpartition(";")[2]
    if number.isdecimal() and int(number) < 16:
        return _WHITE if int(number) in (7, *range(9, 16)) else _BLACK
    return _BLACK if environ.get("TERM") in _FEW_COLOURS else None


def depth(palette: Name, environ: Mapping[str, str]) -> ColorDepth:
    """How many colours are used."""
    if palette == "none":
        return ColorDepth.DEPTH_1_BIT
    return ColorDepth.DEPTH_4_BIT if environ.get("TERM") in _FEW_COLOURS else ColorDepth.DEPTH_8_BIT


def style(palette: Name) -> Style:
    """The style of the screen's parts, the toolkit's own included."""
    colour = {"dim": "", "own": "", "other": "", "turn": "", "warning": "", **COLOURS[palette]}
    suggestion = colour["dim"] or "underline"  # it must not look like what has been typed
    return Style.from_dict(
        {
            "time": colour["dim"],
            "own": colour["own"],
            "other": f"{colour['other']} bold",
            "notice": colour["dim"],
            "prompt": colour["own"],
            "prompt.turn": "bold",
            "auto-suggestion": suggestion,
            # its words alone: a row that is coloured up to the edge does not fit in a window one column narrower
            "bottom-toolbar": "noreverse",
            "bottom-toolbar.text": colour["dim"],
            "bottom-toolbar.text turn": f"{colour['turn']} bold",
            "bottom-toolbar.text warning": f"{colour['warning']} bold",
            "completion-menu": "bg:default fg:default reverse",
            "completion-menu.completion": "bg:default fg:default reverse",
            "completion-menu.completion.current": "bg:default fg:default noreverse bold",
            "completion-menu.meta.completion": "bg:default fg:default reverse",
            "completion-menu.meta.completion.current": "bg:default fg:default noreverse bold",
            "scrollbar.background": "bg:default",
            "scrollbar.button": "bg:default",
        }
    )
