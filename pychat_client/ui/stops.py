"""How a program on a terminal stops and goes on: at Ctrl-Z, and at a signal from elsewhere (`kill -STOP`)."""

from __future__ import annotations

import asyncio
import os
import signal
import termios
import tty
from collections.abc import Callable
from contextlib import suppress

from prompt_toolkit.application import in_terminal
from prompt_toolkit.input import Input

OBEY_SECONDS = 0.05
"""How long a program that was stopped obeys signals before it uses the terminal again; nobody notices it. Another
window that takes the conversation over lets it go on in the background, where the terminal stops it again."""


def handle_stops(
    keyboard: Input, has_terminal: Callable[[], bool], stop: Callable[[], None], gone_on: Callable[[], None]
) -> None:
    """Has the running loop call `stop` instead of stopping, and `gone_on` after a stop that no program can handle,
    when the terminal is raw again. A SIGTSTP that was ignored at the start stays so.

    has_terminal: whether this program uses the terminal. If it does not, it is not to be raw."""
    loop = asyncio.get_running_loop()
    if signal.getsignal(signal.SIGTSTP) is not signal.SIG_IGN:
        loop.add_signal_handler(signal.SIGTSTP, stop)

    def set_at_once(*_: object) -> None:
        if has_terminal() and _in_foreground(keyboard):
            _set_raw(keyboard)

    def use_again() -> None:
        if has_terminal():
            _set_raw(keyboard)
            gone_on()

    def go_on() -> None:
        loop.call_later(0 if _in_foreground(keyboard) else OBEY_SECONDS, use_again)

    loop.add_signal_handler(signal.SIGCONT, go_on)
    # Before the loop draws anything: the terminal would echo its answers. The loop is woken all the same.
    signal.signal(signal.SIGCONT, set_at_once)


def leave_stops_to_system() -> None:
    """A guest of the terminal stops this program together with itself: the shell waits for both."""
    for number in (signal.SIGTSTP, signal.SIGCONT):
        asyncio.get_running_loop().remove_signal_handler(number)


async def suspend(before_drawing: Callable[[], None] = lambda: None) -> None:
    """Stops this program, after `leave_stops_to_system`, until the shell lets it go on. before_drawing: is called
    then, before the toolkit draws again."""
    async with in_terminal():
        os.kill(0, signal.SIGTSTP)
        await asyncio.sleep(OBEY_SECONDS)
        before_drawing()


def _set_raw(keyboard: Input) -> None:
    """Sets the terminal again as the toolkit has it, which sets it back at its end. In the background, this stops
    the program."""
    with suppress(termios.error):  # the shell is gone, or the program was stopped here
        modes = termios.tcgetattr(keyboard.fileno())
        modes[tty.LFLAG] &= ~(termios.ECHO | termios.ICANON | termios.IEXTEN | termios.ISIG)
        modes[tty.IFLAG] &= ~(termios.IXON | termios.IXOFF | termios.ICRNL | termios.INLCR | termios.IGNCR)
        modes[tty.CC][termios.VMIN] = 1
        termios.tcsetattr(keyboard.fileno(), termios.TCSANOW, modes)


def _in_foreground(keyboard: Input) -> bool:
    try:
        return os.tcgetpgrp(keyboard.fileno()) == os.getpgrp()
    except OSError:  # the terminal is gone
        return False
