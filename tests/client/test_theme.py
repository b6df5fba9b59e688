"""The colours: which palette is taken, and that what is written in it can be read."""

from __future__ import annotations

import os
import pty
import threading
import tty
from collections.abc import Callable, Mapping

import pytest

from pychat_client.ui.background import Colour, LateAnswers, ask_background, contrast
from pychat_client.ui.theme import COLOURS, Name, choose

AA = 4.5
"""WCAG 2.1, success criterion 1.4.3: text of normal size."""

BACKGROUNDS: dict[Name, dict[str, str]] = {
    "dark": {
        "black": "#000000",
        "VS Code, Windows Terminal": "#1e1e1e",
        "GNOME": "#171421",
        "Ubuntu": "#300a24",
        "Solarized": "#002b36",
        "Dracula": "#282a36",
        "Nord": "#2e3440",
        "One": "#282c34",
        "Monokai": "#272822",
        "Tokyo Night": "#1a1b26",
    },
    "light": {
        "white": "#ffffff",
        "Solarized": "#fdf6e3",
        "One": "#fafafa",
        "Catppuccin": "#eff1f5",
        "GitHub": "#f6f8fa",
        "xterm's lightyellow": "#ffffe0",
    },
}

PAIRS = [
    (palette, role, background)
    for palette, roles in COLOURS.items()
    for role in roles
    for background in BACKGROUNDS[palette]
]


def colour(code: str) -> Colour:
    red, green, blue = (int(code[i : i + 2], 16) / 255 for i in (1, 3, 5))
    return red, green, blue


def test_contrast_is_that_of_the_standard() -> None:
    assert contrast(colour("#000000"), colour("#ffffff")) == pytest.approx(21.0)
    assert contrast(colour("#777777"), colour("#ffffff")) == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize(("palette", "role", "background"), PAIRS)
def test_each_colour_can_be_read_on_the_usual_backgrounds(palette: Name, role: str, background: str) -> None:
    ratio = contrast(colour(COLOURS[palette][role]), colour(BACKGROUNDS[palette][background]))
    assert ratio >= AA, f"{role} on {background}: {ratio:.2f}"


@pytest.mark.parametrize("code", [code for roles in COLOURS.values() for code in roles.values()])
def test_each_colour_is_one_that_terminals_have(code: str) -> None:
    """Another one would be replaced by its neighbour, whose contrast nobody has computed."""
    red, green, blue = (int(code[i : i + 2], 16) for i in (1, 3, 5))
    cube = {0x00, 0x5F, 0x87, 0xAF, 0xD7, 0xFF}
    assert {red, green, blue} <= cube or (red == green == blue and (red - 8) % 10 == 0)


# ------------------------------------------------------------------ which one

WHITE, BLACK = (1.0, 1.0, 1.0), (0.0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("environ", "background", "palette"),
    [
        ({}, None, "none"),
        ({}, BLACK, "dark"),
        ({}, WHITE, "light"),
        ({}, colour("#002b36"), "dark"),
        ({}, colour("#fdf6e3"), "light"),
        ({"NO_COLOR": "1"}, BLACK, "none"),
        ({"NO_COLOR": ""}, BLACK, "dark"),
        ({"FORCE_COLOR": "1"}, None, "dark"),
        ({"FORCE_COLOR": "1"}, WHITE, "light"),
        ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, None, "none"),
        ({"COLORFGBG": "15;0"}, None, "dark"),
        ({"COLORFGBG": "0;15"}, None, "light"),
        ({"COLORFGBG": "0;default;15"}, None, "light"),
        ({"COLORFGBG": "0;default"}, WHITE, "light"),
        ({"TERM": "linux"}, None, "dark"),
    ],
)
def test_the_palette_follows_the_environment_and_the_background(
    environ: Mapping[str, str], background: Colour | None, palette: Name
) -> None:
    assert choose("auto", environ, lambda: background) == palette


@pytest.mark.parametrize("palette", ["dark", "light", "none"])
def test_what_the_user_has_set_goes_before_everything_and_nothing_is_asked(palette: Name) -> None:
    def never() -> None:
        raise AssertionError

    assert choose(palette, {"NO_COLOR": "1", "FORCE_COLOR": "1", "COLORFGBG": "0;15"}, never) == palette


# ------------------------------------------------------------------ asking the terminal


def _asked(answer: Callable[[int], object], seconds: float = 5.0) -> tuple[Colour | None, str, bool]:
    """What is found out about a terminal that reacts with `answer`."""
    ours, theirs = pty.openpty()
    tty.setraw(theirs)
    asked = b""

    def terminal() -> None:
        nonlocal asked
        while not asked.endswith(b"\x1b[c"):
            asked += os.read(ours, 100)
        answer(ours)

    thread = threading.Thread(target=terminal)
    thread.start()
    try:
        return ask_background(theirs, seconds)
    finally:
        thread.join()
        assert asked == b"\x1b]11;?\x1b\\\x1b[c"
        os.close(ours)
        os.close(theirs)


@pytest.mark.parametrize("end", [b"\a", b"\x1b\\"])
def test_a_terminal_tells_its_background(end: bytes) -> None:
    answer = b"\x1b]11;rgb:ffff/8080/00" + end + b"\x1b[?62;4c"
    found, *rest = _asked(lambda fd: os.write(fd, answer))
    assert found == pytest.approx((1.0, 0.5, 0.0), abs=0.01)
    assert rest == ["", False]


def test_a_terminal_that_knows_no_colours_ends_the_wait_by_its_other_answer() -> None:
    assert _asked(lambda fd: os.write(fd, b"\x1b[?6c"), 60.0) == (None, "", False)


def test_a_terminal_that_answers_nothing_costs_a_moment() -> None:
    assert _asked(lambda fd: None, 0.05) == (None, "", True)


def test_what_is_typed_meanwhile_is_not_lost() -> None:
    answer = b"hel\x1b]11;rgb:00/00/00\x1b\\lo\x1b[?6c"
    assert _asked(lambda fd: os.write(fd, answer)) == (BLACK, "hello", False)


def test_what_is_no_terminal_is_not_asked() -> None:
    reading, writing = os.pipe()
    assert ask_background(reading) == (None, "", False)
    os.close(reading)
    os.close(writing)


@pytest.mark.parametrize(
    "answer", ["\x1b]11;rgb:1e1e/1e1e/1e1e\a\x1b[?62;4c", "\x1b]11;rgba:0/0/0/0\x1b\\\x1b[?6c", "\x1b[?1;2c"]
)
def test_an_answer_that_comes_late_is_nothing_typed_wherever_it_is_torn(answer: str) -> None:
    cuts = [
        cut for cut in range(len(answer) + 1) if answer[cut - 1 : cut] != "\x1b" or answer[cut : cut + 1] == "\\"
    ]
    for cut in cuts:
        late = LateAnswers()
        typed = late.without("hel" + answer[:cut]) + late.without(answer[cut:] + "lo") + late.without("\x1b[?6c")
        assert typed == "hello\x1b[?6c", cut


@pytest.mark.parametrize("key", ["\x1b", "\x1b[A", "\x1b[1;3A", "\x1b[?", "\x1b]x", "\x1b[200~text\x1b[201~"])
def test_keys_pass_while_an_answer_is_waited_for(key: str) -> None:
    late = LateAnswers()
    assert late.without(key) + late.without("x") == key + "x"
