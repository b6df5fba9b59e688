"""A question on the terminal that only a person who has seen it can answer. Knows nothing of what is asked."""

from __future__ import annotations

import select
import sys
import termios
import time
from collections.abc import Callable

from pychat_client.layout import fit_page

QUIET_SECONDS = 0.2
"""The question comes when nothing has been typed for so long: the rest of a paste may still be on its way."""

QUIET_MAX = 5.0
"""The question comes after this time in any case. Somebody leans on the keyboard then."""

PASTE_SECONDS = 0.05
"""A line that is followed so soon by another one was not typed."""


Ask = Callable[[str], str | None]
"""As `ask` below, on plain lines or on a screen."""


def ask(text: str) -> str | None:
    """The line that is typed below `text`; empty at the end of the input, None if several lines came at once.

    What was typed before the question is discarded, also a line that was begun.
    """
    discard()
    print(fit_page(sys.stderr, text), end=" ", file=sys.stderr, flush=True)
    line = sys.stdin.buffer.readline().decode(errors="replace")
    return None if line and arrives(PASTE_SECONDS) else line


def discard() -> None:
    """Discards what has been typed."""
    end = time.monotonic() + QUIET_MAX
    try:
        while arrives(QUIET_SECONDS) and time.monotonic() < end:
            termios.tcflush(sys.stdin, termios.TCIFLUSH)
        termios.tcflush(sys.stdin, termios.TCIFLUSH)  # a line without its end, which select does not report
    except termios.error:  # the terminal is gone; reading finds that out
        pass


def arrives(seconds: float) -> bool:
    """Whether a line arrives within this time, or any key where the terminal waits for no line."""
    return bool(select.select([sys.stdin], [], [], seconds)[0])
