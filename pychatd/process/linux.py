"""What only Linux has and a service needs: elsewhere, one sentence says so before anything is begun."""

from __future__ import annotations

import os
import signal
import socket

from pychat_client.errors import UsageError

_NEEDED = ((socket, "SO_PEERCRED"), (os, "pidfd_open"), (signal, "pidfd_send_signal"))
"""Who uses the console's socket (unix(7)); a process that is stopped, and no other one (pidfd_open(2))."""


def require() -> None:
    """Raises UsageError where a service cannot run."""
    if not all(hasattr(module, name) for module, name in _NEEDED):
        raise UsageError("A service needs Linux. This system can only call one: run 'pychat HOST PORT'.")
