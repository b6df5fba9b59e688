"""A program as the way to a host (`via`), as ssh's ProxyCommand: what it reads and writes goes to the service.

Its output for people is read, and its last words are kept for an error. It has no terminal, so it can ask nothing.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import re
import signal
import socket
import subprocess
from collections.abc import Sequence
from contextlib import ExitStack, suppress

from pychat_client.errors import UnreachableError, how_ended
from pychat_client.text import printable
from pychat_client.transport.os_errors import describe

STDERR_MAX = 200
"""Bytes of the program's last words that are kept: a sentence."""

END_SECONDS = 1.0
"""How long the program may take to say why it ends, after it has closed the connection."""


def command_for(via: Sequence[str], host: str, port: int) -> list[str]:
    """The program and its arguments: %h stands for the host, %p for the port, %% for %."""
    values = {"%h": host, "%p": str(port), "%%": "%"}
    return [re.sub("%[hp%]", lambda found: values[found[0]], word) for word in via]


def _start(command: Sequence[str]) -> tuple[subprocess.Popen[bytes], socket.socket, int]:
    """A program that runs, our end of the connection through it, and the descriptor of what it tells people.
    Raises OSError, and ValueError for words that no program can get. Then nothing stays open."""
    with ExitStack() as ours, ExitStack() as theirs:
        near, far = socket.socketpair()
        ours.callback(near.close)
        theirs.callback(far.close)
        words, errors = os.pipe()
        ours.callback(os.close, words)
        theirs.callback(os.close, errors)
        process = subprocess.Popen(  # noqa: S603 -- the user's own choice; no shell
            command, stdin=far.fileno(), stdout=far.fileno(), stderr=errors, start_new_session=True
        )
        ours.pop_all()
        return process, near, words


class Via:
    """One program that runs, and our end of the connection through it."""

    def __init__(self, command: Sequence[str]) -> None:
        """Starts the program. Raises UnreachableError."""
        self._name = printable(command[0])
        self._words = b""
        try:
            self._process, self.socket, self._errors = _start(command)
        except (OSError, ValueError) as error:
            why = describe(error)
            raise UnreachableError(f"Cannot start {self._name}, the program of 'via': {why}.") from None
        self.socket.setblocking(False)
        os.set_blocking(self._errors, False)
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._errors, self._read)
        atexit.register(self.end)

    def _read(self) -> None:
        """Reads what the program tells people, so that it never waits for us."""
        with suppress(BlockingIOError):
            if data := os.read(self._errors, 4096):
                self._words = (self._words + data)[-STDERR_MAX:]
                return
            self._loop.remove_reader(self._errors)

    async def explain(self) -> str | None:
        """Why there is no connection, if the program has ended: its status and its last words."""
        with suppress(TimeoutError):
            async with asyncio.timeout(END_SECONDS):
                while self._process.poll() is None:
                    await asyncio.sleep(0.01)
        if (status := self._process.poll()) is None:
            return None
        self._read()
        lines = self._words.decode(errors="replace").split("\n")
        said = next((f": {printable(line.strip())}" for line in reversed(lines) if line.strip()), "")
        return f"{self._name}, the program of 'via', {how_ended(status)}{said}"

    def end(self) -> None:
        """Ends the program and all that it has started. Can be called again."""
        atexit.unregister(self.end)
        if self._errors < 0:
            return
        if not self._loop.is_closed():
            self._loop.remove_reader(self._errors)
        os.close(self._errors)
        self._errors = -1
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
