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
_COLOUR = re.compile(rb"\x1b\]11;rgb:([0-9a-fA-F]{2,4})/([0-9a-fA-F]{2,4})/([0-9a-fA-F]{2,4})(?:\x07|\x1b\\)")
_ABOUT = re.compile(rb"\x1b\[\?[0-9;]*c")

Colour = tuple[float, float, float]
"""Red, green and blue, each from 0.0 to 1.0."""


def ask_background(fd: int = 0, seconds: float = ANSWER_SECONDS) -> tuple[Colour | None, bytes]:
    """The colour behind the text on the terminal `fd`, None if it does not tell; and what the user typed
    meanwhile, which is for whoever reads next."""
    try:
        before = termios.tcgetattr(fd)
    except termios.error:
        return None, b""
    silent = [*before]
    silent[3] = before[3] & ~(termios.ECHO | termios.ICANON)
    try:
        termios.tcsetattr(fd, termios.TCSANOW, silent)
        os.write(fd, _ASK)
        heard = _read_answer(fd, seconds)
    except OSError:  # a terminal that went away
        return None, b""
    finally:
        termios.tcsetattr(fd, termios.TCSANOW, before)
    found = _COLOUR.search(heard)
    rest = _ABOUT.sub(b"", _COLOUR.sub(b"", heard), count=1)
    return None if found is None else _colour(*found.groups()), rest


def _read_answer(fd: int, seconds: float) -> bytes:
    heard = b""
    end = time.monotonic() + seconds
    while not _ABOUT.search(heard) and (left := end - time.monotonic()) > 0:
        if select.select([fd], [], [], left)[0]:
            data = os.read(fd, 4096)
            if not data:
                break
            heard += data
    return heard


def _colour(red: bytes, green: bytes, blue: bytes) -> Colour:
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
