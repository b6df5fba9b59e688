"""The program for which alone a daemon was started (`pychatd start --while PID`): the daemon ends with it."""

from __future__ import annotations

import asyncio
import logging
import os
import signal

from pychat_client.errors import UsageError

log = logging.getLogger("pychatd")


def end_with(pid: int) -> None:
    """From now on, the end of process `pid` is a SIGTERM for this one. Raises UsageError if it does not run."""
    assert hasattr(os, "pidfd_open")  # a service runs on Linux only
    try:
        owner = os.pidfd_open(pid)
    except (OSError, OverflowError):  # OSError: also for the number of a thread
        raise UsageError(f"Process {pid} does not run.") from None
    loop = asyncio.get_running_loop()

    def ended() -> None:
        loop.remove_reader(owner)
        os.close(owner)
        log.info("Process %d has ended, and this daemon was for it alone", pid)
        os.kill(os.getpid(), signal.SIGTERM)

    loop.add_reader(owner, ended)
