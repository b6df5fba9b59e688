"""Turns core dumps off: they would contain keys and text of the conversation, and may be sent to other hosts."""

from __future__ import annotations

import resource
from contextlib import suppress

_PR_SET_DUMPABLE = 4
"""From <sys/prctl.h>; Python has no function for it."""


def forbid() -> None:
    """From now on this process leaves no core dump, and only root can attach a debugger to it.

    The limit alone is not enough: a program in /proc/sys/kernel/core_pattern gets the core without it. What this
    process starts keeps the limit.
    """
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    with suppress(ImportError, OSError, AttributeError):  # a Python without ctypes; not Linux
        import ctypes

        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
