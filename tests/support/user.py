"""The client as a user starts it, without the harness's --accept-new; and what is asked of a run's end."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

from pychat_client.trust.known_hosts import KnownHosts
from tests.support.programs import Piped, Terminal
from tests.support.service import BIN, Service
from tests.support.waiting import PATIENCE


def known_hosts(service: Service) -> KnownHosts:
    """The user's own."""
    return KnownHosts(service.directory / "data" / "pychat" / "known_hosts")


def own_key(service: Service) -> Path:
    """The user's own key and certificate."""
    return service.directory / "data" / "pychat" / "identity.pem"


def words(service: Service, *options: str, host: str = "localhost", port: int | None = None) -> list[str]:
    return [str(BIN / "pychat"), host, str(port or service.port), "--handle", "Client1", *options]


def on_terminal(service: Service, *options: str, host: str = "localhost", port: int | None = None) -> Terminal:
    return service.terminal(words(service, *options, host=host, port=port), columns=100)


def on_pipes(service: Service, *options: str, host: str = "localhost", port: int | None = None) -> Piped:
    return Piped(service.popen(words(service, *options, host=host, port=port)))


def run(service: Service, command: list[str] | str, **env: str) -> subprocess.CompletedProcess[str]:
    """Runs a command to its end; one that a page printed is given as it was printed."""
    if isinstance(command, str):
        command = shlex.split(command)
    return subprocess.run(
        command,
        env={**service.env, "PATH": f"{BIN}:{service.env['PATH']}", **env},
        stdin=subprocess.DEVNULL,
        text=True,
        capture_output=True,
        timeout=PATIENCE * 2,
        check=False,
    )


def fingerprint(service: Service, *options: str) -> tuple[str, str]:
    """What `pychatd fingerprint` prints: the fingerprint and the safety number."""
    result = service.pychatd("fingerprint", "--state-directory", str(service.state), *options)
    assert result.returncode == 0, result.stderr
    first, second = result.stdout.splitlines()
    return first, second.removeprefix("safety number ")


def is_readable(text: str) -> None:
    """Words for people: no traceback, and no name of an exception."""
    for sign in ("Traceback", "Error:", "Exception", "[SSL", "_ssl.c", "Errno"):
        assert sign not in text, text
