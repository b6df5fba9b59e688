"""Runs a program from the first moment to the last. Ctrl-C ends it without a traceback, also while its modules are
loaded, and while Python tidies up behind it. So nothing is loaded before `run`."""

from __future__ import annotations

import signal
from collections.abc import Callable

_INTERRUPTED = 130
"""errors.ExitStatus.INTERRUPTED, which is not loaded yet."""


def pychat() -> int:
    """Runs the client; returns its exit status."""

    def main() -> int:
        from pychat_client import cli

        return cli.main()

    return run(main)


def run(main: Callable[[], int]) -> int:
    """The exit status of `main`, which loads the program and runs it. Behind it, a Ctrl-C ends this process as it
    ends one that is not Python's: nothing can catch the exception any more."""
    try:
        status = main()
    except KeyboardInterrupt:
        status = _INTERRUPTED
    signal.setitimer(signal.ITIMER_REAL, 0)  # nothing more is written (interruptible)
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    return status
