"""Runs a coroutine before there is a session, so that a signal ends it at once.

A session has asyncio handle its signals, which wakes the event loop. Without such a handler, a signal that arrives
just before the loop begins to sleep, or that the system gives to another thread, waits until the loop wakes up for
another reason: for seconds, while name servers do not answer.
"""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


def run_interruptible(coroutine: Coroutine[Any, Any, T]) -> T:
    """As asyncio.run. The handlers of signals stay as they are, and run as soon as a signal arrives."""
    return asyncio.run(_woken_by_signals(coroutine))


async def _woken_by_signals(coroutine: Coroutine[Any, Any, T]) -> T:
    woken, wakes = socket.socketpair()
    with woken, wakes:
        woken.setblocking(False)
        wakes.setblocking(False)
        loop = asyncio.get_running_loop()
        loop.add_reader(woken, woken.recv, 4096)
        before = signal.set_wakeup_fd(wakes.fileno(), warn_on_full_buffer=False)
        try:
            return await coroutine
        finally:
            signal.set_wakeup_fd(before)
            loop.remove_reader(woken)
