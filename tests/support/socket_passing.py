"""A program as systemd starts it: with listening sockets from descriptor 3 on (sd_listen_fds(3))."""

from __future__ import annotations

import socket
import sys
from collections.abc import Sequence

_START = """
import os, sys
passed, variables, words = {passed!r}, {variables!r}, {words!r}
for at, fd in enumerate(passed):
    os.dup2(fd, 100 + at)  # out of the way of each other
for at in range(len(passed)):
    os.dup2(100 + at, 3 + at)
    os.close(100 + at)
os.environ.update(variables)
if "LISTEN_PID" not in variables:
    os.environ["LISTEN_PID"] = str(os.getpid())
os.execv(words[0], words)
"""


def passing(words: Sequence[str], sockets: Sequence[socket.socket], **variables: str) -> list[str]:
    """The command line that runs `words` so; to be started with `sockets` as pass_fds."""
    variables = {"LISTEN_FDS": str(len(sockets)), **variables}
    passed = [sock.fileno() for sock in sockets]
    return [sys.executable, "-c", _START.format(passed=passed, variables=variables, words=list(words))]
