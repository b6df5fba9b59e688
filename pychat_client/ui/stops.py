"""How a program on a terminal stops and goes on: at Ctrl-Z, and at a signal from elsewhere (`kill -STOP`)."""

from __future__ import annotations

import asyncio
import os
import signal
import termios
from collections.abc import Callable
from contextlib import suppress

from prompt_toolkit.application import in_terminal
from prompt_toolkit.input import Input

from pychat_client.ui.terminal import TerminalOutput

OBEY_SECONDS = 0.05
"""How long a program that was stopped obeys signals before it uses the terminal again; nobody notices it. Another
window that takes the conversation over lets it go on in the background, where the terminal stops it again."""


def handle_stops(
    keyboard: Input, has_terminal: Callable[[], bool], stop: Callable[[], None], gone_on: Callable[[], None]
) -> None:
    """Has the running loop call `stop` instead of stopping, and `gone_on` after a stop that no program can handle.
    A SIGTSTP that was ignored at the start stays so. has_terminal: whether the terminal is to be raw."""
    loop = asyncio.get_running_loop()
    if signal.getsignal(signal.SIGTSTP) is not signal.SIG_IGN:
        loop.add_signal_handler(signal.SIGTSTP, stop)

    def set_at_once(*_: object) -> None:
        if has_terminal() and _in_foreground(keyboard):
            set_raw(keyboard)

    def go_on() -> None:
        loop.call_later(0 if _in_foreground(keyboard) else OBEY_SECONDS, gone_on)

    loop.add_signal_handler(signal.SIGCONT, go_on)
    # Before the loop draws anything: the terminal would echo its answers. The loop is woken all the same.
    signal.signal(signal.SIGCONT, set_at_once)


def leave_stops_to_system() -> None:
    """A guest of the terminal stops this program together with itself: the shell waits for both."""
    for number in (signal.SIGTSTP, signal.SIGCONT):
        asyncio.get_running_loop().remove_signal_handler(number)


async def suspend(output: TerminalOutput) -> None:
    """Stops this program, after `leave_stops_to_system`, until the shell lets it go on."""
    async with in_terminal():
        os.kill(0, signal.SIGTSTP)
        await asyncio.sleep(OBEY_SECONDS)
        output.go_to_bottom()


def set_raw(keyboard: Input) -> None:
    """Sets the terminal again as the toolkit needs it. In the background, this stops the program."""
    with suppress(termios.error):  # the shell is gone, or the program was stopped here
        keyboard.raw_mode().__enter__()


def _in_foreground(keyboard: Input) -> bool:
    try:
        return os.tcgetpgrp(keyboard.fileno()) == os.getpgrp()
    except OSError:  # the terminal is gone
        return False
