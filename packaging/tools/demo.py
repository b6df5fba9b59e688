"""`make run`: starts a service of your own, and opens its console here.

In a terminal, it opens the console, and prints the command for a second terminal. Without a terminal, it plays a
short conversation between the real daemon, console and client, and prints it.
"""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import IO, NoReturn

from pychat_client.errors import ExitStatus

BIN = Path(sys.executable).parent
PORT = 7000
PATIENCE = 30.0


def main() -> int:
    for number in (signal.SIGTERM, signal.SIGHUP):  # a closed window must not leave a daemon behind
        signal.signal(number, _end)
    with tempfile.TemporaryDirectory(prefix="pychat-") as directory:
        places = ["--runtime-directory", f"{directory}/run"]
        pychatd = [str(BIN / "pychatd")]
        port = _start([*places, "--state-directory", f"{directory}/state"])
        try:
            shown = [*pychatd, "fingerprint", str(port), "--state-directory", f"{directory}/state"]
            key = subprocess.run(shown, check=True, capture_output=True, encoding="utf-8").stdout.split()[0]
            console = [str(BIN / "pychatd-console"), str(port), *places, "--handle", "Server"]
            if sys.stdin.isatty() and sys.stdout.isatty():
                print(f"pychatd accepts calls on port {port}. In a second terminal, type:\n")
                print(f"    {BIN / 'pychat'} localhost {port} --fingerprint {key}\n")
                print("This is the operator's console. Ctrl-D closes it and stops the daemon.\n", flush=True)
                return subprocess.run(console, check=False).returncode
            client = [str(BIN / "pychat"), "localhost", str(port), "--fingerprint", key, "--handle", "Client1"]
            return _play(console, client)
        finally:
            subprocess.run([*pychatd, "stop", str(port), *places], check=True)


def _end(number: int, _: object) -> NoReturn:
    for other in (signal.SIGTERM, signal.SIGHUP):  # a second signal must not interrupt the cleanup
        signal.signal(other, signal.SIG_IGN)
    sys.exit(128 + number)


def _start(places: list[str]) -> int:
    """Starts the daemon on port 7000, or on any free port if that is in use; returns the port."""
    for port in (PORT, _free_port()):
        words = [str(BIN / "pychatd"), "start", str(port), *places]
        started = subprocess.run(words, stderr=subprocess.PIPE, encoding="utf-8", check=False)
        if started.returncode != ExitStatus.TAKEN:
            break
    if started.returncode != 0:
        sys.exit(started.stderr.rstrip())
    return port


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("", 0))
        return int(sock.getsockname()[1])


def _play(console: list[str], client: list[str]) -> int:
    """Sends the messages of both sides in turn, and prints each as the other side shows it."""
    with _program(console) as operator, _program(client) as peer:
        for sender, receiver, words in (
            (peer, operator, "Hi!"),
            (operator, peer, "Hello, Client1. How is the weather on host B?"),
            (peer, operator, "Fine, thanks. Bye!"),
        ):
            _write(sender, words)
            print(_read(receiver), flush=True)
        _write(peer, "\\quit")
        statuses = [peer.wait(PATIENCE)]
        _close(operator.stdin)
        statuses.append(operator.wait(PATIENCE))
    print(f"(client and console ended with {statuses[0]} and {statuses[1]})")
    return max(statuses)


def _program(words: list[str]) -> subprocess.Popen[str]:
    pipe, nowhere = subprocess.PIPE, subprocess.DEVNULL
    return subprocess.Popen(words, stdin=pipe, stdout=pipe, stderr=nowhere, encoding="utf-8")


def _write(program: subprocess.Popen[str], words: str) -> None:
    assert program.stdin is not None
    program.stdin.write(f"{words}\n")
    program.stdin.flush()


def _read(program: subprocess.Popen[str]) -> str:
    assert program.stdout is not None
    return program.stdout.readline().rstrip("\n")


def _close(stream: IO[str] | None) -> None:
    if stream is not None:
        stream.close()


if __name__ == "__main__":
    sys.exit(main())
