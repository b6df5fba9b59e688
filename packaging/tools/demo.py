"""`make run`: `pychat listen` without a trace: its files are gone when it ends.

In a terminal, it opens the console, and prints the command for a second terminal. Without a terminal, it plays a
short conversation between the real daemon, console and client, and prints it.
"""

from __future__ import annotations

import os
import select
import shlex
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NoReturn, Self

from pychat_client.errors import PychatError
from pychat_client.listen import Listen, go_to_bottom, listen, start
from pychat_client.transport.interruptible import ending_signals

BIN = Path(sys.executable).parent

PATIENCE = 20.0
"""Seconds until the next message: a program that has failed shows none."""


CLEAN = """
read -r _
for place in "$1"/run/*; do "$0" stop "${place##*/}" --runtime-directory "$1/run"; done
rm -r "$1"
"""
"""For a shell that is told the program `pychatd` and the directory: waits for our end, then stops the daemon."""


CALLER = """
export XDG_DATA_HOME={directory}/caller XDG_STATE_HOME={directory}/caller
exec {program} "$@"
"""
"""For the shell of the second terminal. The user's own files must not keep the key of a service that is gone: the
next one on its port would have another key."""


def main() -> int:
    for number in ending_signals():  # a closed window must not leave a daemon behind
        signal.signal(number, _end)
    directory = Path(tempfile.mkdtemp(prefix="pychat-"))
    os.environ |= {f"XDG_{name}_HOME": str(directory / "console") for name in ("DATA", "STATE")}
    with _cleaned_up(directory):
        try:
            return _run(directory, ["--runtime-directory", str(directory / "run")])
        except PychatError as error:
            sys.exit(str(error))


@contextmanager
def _cleaned_up(directory: Path) -> Iterator[None]:
    """Stops the daemon and removes `directory` at the end. Another program does that, also when ours is killed."""
    cleaner = subprocess.Popen(
        ["/bin/sh", "-c", CLEAN, BIN / "pychatd", directory],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # no signal of the terminal ends it
    )
    try:
        yield
    finally:
        for number in ending_signals():  # a second signal must not interrupt the cleanup
            signal.signal(number, signal.SIG_IGN)
        cleaner.communicate()


def _end(number: int, _: object) -> NoReturn:
    sys.exit(128 + number)


def _run(directory: Path, places: list[str]) -> int:
    state = ["--state-directory", str(directory / "state")]
    caller, program = directory / "call", BIN / "pychat"
    caller.write_text(
        CALLER.format(directory=shlex.quote(str(directory)), program=shlex.quote(str(program))), encoding="utf-8"
    )
    options = Listen(
        host="localhost",
        places=tuple(places),
        state=tuple(state),
        console=("--handle", "Server", "--back", ""),  # nothing returns to the conversation
        caller=shlex.join(["sh", str(caller)]),
    )
    if sys.stdin.isatty() and sys.stdout.isatty():
        go_to_bottom(options)
        print("In a second terminal, type one of these commands. Ctrl-D closes this console and its service.\n")
        return listen(options)
    port = start(options)
    shown = [str(BIN / "pychatd"), "fingerprint", port, *state]
    key = subprocess.run(shown, check=True, capture_output=True, encoding="utf-8").stdout.split()[0]
    console = [str(BIN / "pychatd-console"), port, *places, *options.console]
    client = [str(BIN / "pychat"), "localhost", port, "--fingerprint", key, "--handle", "Client1"]
    with _Program(console, directory) as operator, _Program(client, directory) as peer:
        try:
            return _play(operator, peer)
        except (TimeoutError, subprocess.TimeoutExpired):
            sys.exit(f"The conversation has stopped. The programs say:\n{peer.notices()}{operator.notices()}")


def _play(operator: _Program, peer: _Program) -> int:
    """Sends the messages of both sides in turn, and prints each as the other side shows it."""
    for sender, receiver, words in (
        (peer, operator, "Hi!"),
        (operator, peer, "Hello, Client1. How is the weather on host B?"),
        (peer, operator, "Fine, thanks. Bye!"),
    ):
        sender.write(words)
        print(receiver.hear(sender), flush=True)
    peer.write("\\quit")
    statuses = [peer.end(), operator.end()]
    print(f"(client and console ended with {statuses[0]} and {statuses[1]})")
    return max(statuses)


class _Program:
    """The console or the client, on pipes. It has no files of the user's, and ends with its block."""

    def __init__(self, words: list[str], directory: Path) -> None:
        places = {f"XDG_{name}_HOME": str(directory) for name in ("CONFIG", "DATA", "STATE")}
        self._notices = (directory / f"{Path(words[0]).name}.log").open("w+", encoding="utf-8")
        self._process = subprocess.Popen(
            words,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._notices,
            encoding="utf-8",
            env={**os.environ, **places},
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._input, self._output = self._process.stdin, self._process.stdout

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        for stream in (self._input, self._output, self._notices):
            with suppress(BrokenPipeError):
                stream.close()

    def write(self, words: str) -> None:
        with suppress(BrokenPipeError):  # the other side will not get it
            self._input.write(f"{words}\n")
            self._input.flush()

    def hear(self, sender: _Program) -> str:
        """The next line that it shows. Raises TimeoutError if there is none in time, or one of them has ended."""
        arrived, _, _ = select.select([self._output, sender._output], [], [], PATIENCE)
        if self._output not in arrived or not (line := self._output.readline()):
            raise TimeoutError
        return line.rstrip("\n")

    def end(self) -> int:
        """Ends its input; the exit status. Raises subprocess.TimeoutExpired."""
        with suppress(BrokenPipeError):
            self._input.close()
        return self._process.wait(PATIENCE)

    def notices(self) -> str:
        """What it has written to stderr."""
        self._notices.seek(0)
        return self._notices.read()


if __name__ == "__main__":
    sys.exit(main())
