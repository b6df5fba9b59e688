"""Keeps one chat connected: calls, and calls again with growing pauses when the link is cut.

Knows neither terminals nor the rules; what a lost link means to the user is chat's to say.
"""

from __future__ import annotations

import asyncio
import random
import signal
from collections.abc import Awaitable, Callable

from pychat_client.errors import ExitStatus, TransportError
from pychat_client.session.session import Session
from pychat_client.session.view import View
from pychat_client.transport.connection import Connection

PAUSE_FIRST = 0.5
"""Seconds before the second call: a daemon that restarts needs about as long."""

PAUSE_MAX = 15.0
"""The longest pause, so that a user whose network is back is not kept waiting."""


async def run_session(
    session: Session, view: View, connect: Callable[[], Awaitable[Connection]], retry_for: float | None = None
) -> ExitStatus:
    """Lets the two talk until the chat is done; returns the exit status.

    connect: opens a link or raises TransportError; retry_for: seconds without an answer after which to
    give up, None for never.
    """
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGHUP):  # the terminal is put back in order first
        loop.add_signal_handler(number, session.interrupt)
    calling = asyncio.create_task(_keep_connected(session, connect, retry_for))
    try:
        await view.run(session)
    except asyncio.CancelledError:  # Ctrl-C outside of a screen
        session.interrupt()
    finally:
        calling.cancel()
    return session.exit_status if session.exit_status is not None else ExitStatus.FAILED


async def _keep_connected(
    session: Session, connect: Callable[[], Awaitable[Connection]], retry_for: float | None
) -> None:
    loop = asyncio.get_running_loop()
    pause, cut_off = PAUSE_FIRST, loop.time()
    while True:
        try:
            session.connection_made(await connect())
        except TransportError as error:
            session.call_failed(error)
        await session.gone.wait()
        if session.done:
            return
        if session.greeted:
            session.greeted = False
            pause, cut_off = PAUSE_FIRST, loop.time()
        session.attempt += 1
        if retry_for is not None and loop.time() - cut_off + pause > retry_for:
            session.give_up(retry_for)
            return
        # A random part, so that all who were cut off together do not come back together.
        await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 -- not a secret
        pause = min(pause * 2, PAUSE_MAX)
