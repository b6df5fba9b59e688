"""When Python looks for garbage (gc): not while a program starts, because what is loaded then stays for ever."""

from __future__ import annotations

import gc

AT_A_START = 100_000
"""More objects than a start makes: Python looks for garbage when there are so many new ones."""

USUAL = (700, 10, 10)
"""The thresholds that Python 3.11 has by itself. A talk makes little garbage, so they do with every version."""


def wait() -> None:
    """A program starts."""
    gc.set_threshold(AT_A_START)


def started(thresholds: tuple[int, int, int] = USUAL) -> None:
    """The program has started. Does nothing if `wait` was not called before.

    What is there now is not looked at again: to go through all of prompt_toolkit would stop a screen for a moment.
    """
    if gc.get_threshold()[0] == AT_A_START:
        gc.freeze()
        gc.set_threshold(*thresholds)
