"""The program for which alone this one was started (`--while PID`): it ends with that. For `pychat listen`, whose
daemon and console end with it, however it ends."""

from __future__ import annotations

import asyncio
import logging
import os
import signal

from pychat_client.errors import UsageError

log = logging.getLogger("pychatd")


def end_with(pid: int) -> None:
    """From now on, the end of process `pid` is a SIGTERM for this one. Raises UsageError if it does not run."""
    assert hasattr(os, "pidfd_open")  # a service, and its console, are on Linux only
    try:
        owner = os.pidfd_open(pid)
    except (OSError, OverflowError):  # OSError: also for the number of a thread
        raise UsageError(f"Process {pid} does not run.") from None
    loop = asyncio.get_running_loop()

    def ended() -> None:
        loop.remove_reader(owner)
        os.close(owner)
        log.info("Process %d has ended, and this program was for it alone", pid)
        os.kill(os.getpid(), signal.SIGTERM)

    loop.add_reader(owner, ended)
