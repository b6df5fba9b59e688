"""What colour is behind the text? Asked of the terminal itself, before a screen is drawn on it.

xterm's control sequences: OSC 11 asks for the colour, DA1 for what nearly every terminal tells of itself;
the answer to the second ends the wait, also where nobody knows the first.
"""

from __future__ import annotations

import os
import re
import select
import termios
import time

ANSWER_SECONDS = 1.0
"""For terminals that answer neither; others take as long as the way to them and back."""

_ASK = b"\x1b]11;?\x1b\\\x1b[c"
_COLOUR = re.compile(r"\x1b\]11;rgb:([0-9a-fA-F]{2,4})/([0-9a-fA-F]{2,4})/([0-9a-fA-F]{2,4})(?:\x07|\x1b\\)")
_ABOUT = re.compile(r"\x1b\[\?[0-9;]*c")
_ANSWER = re.compile(r"\x1b\]11;[^\x07\x1b]*(?:\x07|\x1b\\)")  # a colour in words that we do not know, too
_BEGUN = re.compile(
    r"\x1b(?:\](?:1(?:1(?:;[^\x07\x1b]{0,40}\x1b?)?)?)?|\[(?:\?[0-9;]{0,40})?)\Z"
)  # never Escape alone

Colour = tuple[float, float, float]
"""Red, green and blue, each from 0.0 to 1.0."""


def ask_background(fd: int = 0, seconds: float = ANSWER_SECONDS) -> tuple[Colour | None, str, bool]:
    """The colour behind the text on the terminal `fd`, None if it does not tell; what the user typed
    meanwhile, which is for whoever reads next; and whether the answer may still come, among what they read."""
    try:
        before = termios.tcgetattr(fd)
    except termios.error:
        return None, "", False
    silent = [*before]
    silent[3] = before[3] & ~(termios.ECHO | termios.ICANON)
    try:
        termios.tcsetattr(fd, termios.TCSANOW, silent)
        os.write(fd, _ASK)
        heard = _read_answer(fd, seconds)
    except OSError:  # a terminal that went away
        return None, "", False
    finally:
        termios.tcsetattr(fd, termios.TCSANOW, before)
    found = _COLOUR.search(heard)
    rest, answers = _ABOUT.subn("", _COLOUR.sub("", heard), count=1)
    return None if found is None else _colour(*found.groups()), rest, not answers


class LateAnswers:
    """Takes what a terminal answers after all out of what its user types: it is nothing to be sent."""

    def __init__(self) -> None:
        self._begun = ""
        self._over = False

    def without(self, typed: str) -> str:
        """`typed` without an answer. One that has only begun is kept until the rest of it is there."""
        if self._over:
            return typed
        typed, answers = _ABOUT.subn("", _ANSWER.sub("", self._begun + typed), count=1)
        self._over = answers > 0
        found = None if self._over else _BEGUN.search(typed)
        self._begun = "" if found is None else found[0]
        return typed.removesuffix(self._begun)


def _read_answer(fd: int, seconds: float) -> str:
    heard = b""
    end = time.monotonic() + seconds
    while not _ABOUT.search(heard.decode(errors="replace")) and (left := end - time.monotonic()) > 0:
        if select.select([fd], [], [], left)[0]:
            data = os.read(fd, 4096)
            if not data:
                break
            heard += data
    return heard.decode(errors="replace")


def _colour(red: str, green: str, blue: str) -> Colour:
    """From X11's notation: hexadecimal numbers, as large as their number of digits allows."""
    one, two, three = (int(word, 16) / (16 ** len(word) - 1) for word in (red, green, blue))
    return one, two, three


def luminance(colour: Colour) -> float:
    """Relative luminance, from 0.0 for black to 1.0 for white (WCAG 2.1)."""
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in colour)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: Colour, other: Colour) -> float:
    """The contrast ratio of two colours, from 1.0 to 21.0 (WCAG 2.1)."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)
