"""Runs a coroutine so that a signal ends it at once and in order, at any moment.

With asyncio.run alone, Python complains on stderr about a signal that arrives while the event loop is made or
closed, or in the middle of asyncio's own work. And no signal wakes the loop before somebody has asyncio handle it:
one that arrives just before the loop begins to sleep, or that the system gives to another thread, waits until the
loop wakes up for another reason. That takes seconds while name servers do not answer.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine
from typing import Any, TypeVar

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""The signals that end a program."""

T = TypeVar("T")


def run_interruptible(coroutine: Coroutine[Any, Any, T]) -> T:
    """As asyncio.run. A signal that raises KeyboardInterrupt elsewhere cancels `coroutine` before, unless that
    handles the signal itself."""
    numbers = [number for number in ENDING if signal.getsignal(number) is signal.default_int_handler]
    early: list[int] = []  # signals before there is a loop
    for number in numbers:
        signal.signal(number, lambda number, _: early.append(number))
    try:
        return asyncio.run(_cancelled_by(numbers, early, coroutine))
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None
    finally:
        for number in numbers:
            signal.signal(number, signal.default_int_handler)


async def _cancelled_by(numbers: list[signal.Signals], early: list[int], coroutine: Coroutine[Any, Any, T]) -> T:
    task = asyncio.current_task()
    assert task is not None
    for number in numbers:
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    if early:
        task.cancel()
    try:
        return await coroutine
    finally:
        signal.set_wakeup_fd(-1)  # asyncio closes the descriptor before it does this
