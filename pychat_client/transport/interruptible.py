"""Runs a coroutine so that a signal ends it at once and in order, at any moment.

With asyncio.run alone, Python complains on stderr about a signal that arrives while the event loop is made or
closed, or in the middle of asyncio's own work. And no signal wakes the loop before somebody has asyncio handle it:
one that arrives just before the loop begins to sleep, or that the system gives to another thread, waits until the
loop wakes up for another reason. That takes seconds while name servers do not answer.
"""

from __future__ import annotations

import asyncio
import logging
import os
import select
import signal
from collections.abc import Callable, Collection, Coroutine, Iterable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any, TypeVar

_TYPED = (signal.SIGINT, signal.SIGQUIT)
"""Those that a terminal sends for Ctrl-C and Ctrl-\\, to all programs in its foreground."""

ENDING = (*_TYPED, signal.SIGTERM, signal.SIGHUP)
"""The signals that end a program."""

MOVE_SIGNAL = signal.SIGUSR1
"""Another window of the same user asks for the conversation with it (take_over)."""

READ_SECONDS = 1.0
"""How long a signal that ends the program waits until somebody reads its output: who is slow gets all of it."""

logging.getLogger("asyncio").addHandler(logging.NullHandler())  # or else Python prints it: stderr is the user's

T = TypeVar("T")


def ending_signals(among: Iterable[signal.Signals] = ENDING) -> list[signal.Signals]:
    """The signals that end a program. One that was ignored at the start (nohup, a job in the background) is not
    among them, and has to stay ignored."""
    return [number for number in among if signal.getsignal(number) is not signal.SIG_IGN]


def when_ended(act: Callable[[], object], among: Iterable[signal.Signals] = ENDING) -> None:
    """Has the running loop call `act` at a signal that ends the program, also where nobody reads its output."""
    for number in ending_signals(among):
        asyncio.get_running_loop().add_signal_handler(number, act)
        signal.signal(number, _give_up_unread)  # the loop is woken all the same


@contextmanager
def keys_left_to_guest(act: Callable[[], object]) -> Iterator[None]:
    """While another program uses the terminal, which sends the signals of its keys to both: only the guest is
    meant. Afterwards they are again for this program, and call `act`."""
    for number in ending_signals(_TYPED):
        asyncio.get_running_loop().add_signal_handler(number, lambda: None)  # the guest gets its default
    try:
        yield
    finally:
        when_ended(act, _TYPED)


def _give_up_unread(*_: object) -> None:
    """From now on, a write fails where nobody reads, and would wait for ever otherwise: one that is under way, or
    a later one, such as the last notice."""
    for fd in (1, 2):
        with suppress(OSError, ValueError):
            if not select.select([], [fd], [], READ_SECONDS)[1]:
                os.dup2(null := os.open(os.devnull, os.O_RDONLY), fd)
                os.close(null)
    signal.signal(signal.SIGALRM, _give_up_unread)
    signal.setitimer(signal.ITIMER_REAL, READ_SECONDS)


def run_interruptible(coroutine: Coroutine[Any, Any, T]) -> T:
    """As asyncio.run. A signal whose handler raises an exception, mostly KeyboardInterrupt, first cancels
    `coroutine`; then the handler is called. Not so for a signal that `coroutine` handles itself."""
    handlers: dict[int, Callable[[int, FrameType | None], Any]] = {
        number: handler for number in (*ENDING, MOVE_SIGNAL) if callable(handler := signal.getsignal(number))
    }
    arrived: list[int] = []
    _note(handlers, arrived)
    try:
        return asyncio.run(_cancelled_by(handlers, arrived, coroutine))
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        for number in arrived:
            handlers[number](number, None)


async def _cancelled_by(numbers: Collection[int], arrived: list[int], coroutine: Coroutine[Any, Any, T]) -> T:
    """arrived: the signals that came before there was a loop, and from now on all."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None

    def arrive(number: int) -> None:
        arrived.append(number)
        task.cancel()

    for number in numbers:
        loop.add_signal_handler(number, arrive, number)
    if arrived:
        task.cancel()
    try:
        return await coroutine
    finally:
        signal.set_wakeup_fd(-1)  # asyncio closes the descriptor before it does this
        for number in numbers:
            loop.remove_signal_handler(number)
        _note(numbers, arrived)


def _note(numbers: Iterable[int], arrived: list[int]) -> None:
    """From now on, signals are only put into `arrived`."""
    for number in numbers:
        signal.signal(number, lambda number, _: arrived.append(number))
