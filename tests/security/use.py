"""The client as a user starts it, without the harness's --accept-new; and what is asked of a run's end."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

from pychat_client.trust.known_hosts import KnownHosts
from tests.e2e.ends import PATIENCE, Piped, Terminal
from tests.e2e.harness import BIN, Line


def known_hosts(line: Line) -> KnownHosts:
    """The user's own."""
    return KnownHosts(line.directory / "data" / "pychat" / "known_hosts")


def own_key(line: Line) -> Path:
    """The user's own key and certificate."""
    return line.directory / "data" / "pychat" / "identity.pem"


def words(line: Line, *options: str, host: str = "localhost", port: int | None = None) -> list[str]:
    return [str(BIN / "pychat"), host, str(port or line.port), "--handle", "Client1", *options]


def on_terminal(line: Line, *options: str, host: str = "localhost", port: int | None = None) -> Terminal:
    return line.terminal(words(line, *options, host=host, port=port), columns=100)


def on_pipes(line: Line, *options: str, host: str = "localhost", port: int | None = None) -> Piped:
    return Piped(line.popen(words(line, *options, host=host, port=port)))


def run(line: Line, command: list[str] | str, **env: str) -> subprocess.CompletedProcess[str]:
    """Runs a command to its end; one that a page printed is given as it was printed."""
    if isinstance(command, str):
        command = shlex.split(command)
    return subprocess.run(
        command,
        env={**line.env, "PATH": f"{BIN}:{line.env['PATH']}", **env},
        stdin=subprocess.DEVNULL,
        text=True,
        capture_output=True,
        timeout=PATIENCE * 2,
        check=False,
    )


def fingerprint(line: Line, *options: str) -> tuple[str, str]:
    """What `pychatd fingerprint` prints: the fingerprint and the safety number."""
    result = line.pychatd("fingerprint", "--state-directory", str(line.state), *options)
    assert result.returncode == 0, result.stderr
    first, second = result.stdout.splitlines()
    return first, second.removeprefix("safety number ")


def is_readable(text: str) -> None:
    """Words for people: no traceback, and no name of an exception."""
    for sign in ("Traceback", "Error:", "Exception", "[SSL", "_ssl.c", "Errno"):
        assert sign not in text, text
