"""`pychat listen`: a service of one's own, an invitation to it, and its console, in one command.

Starts the programs of the daemon and knows nothing of them but their command lines: on most hosts, the client is
installed without them.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import termios
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

from pychat_client.entrypoint import print_result
from pychat_client.errors import ExitStatus, PychatError, UsageError, how_ended
from pychat_client.layout import fit_page
from pychat_client.records import record
from pychat_client.text import printable
from pychat_client.transport.interruptible import ending_signals
from pychat_client.ui.choose_view import wants_plain

PORT = 7000
"""The port, if it is free and none is given."""

_NOT_INVITED = "The conversation with {0} is still open. {0} comes back with the same command as before.\n"


@record
class Listen:
    """The command line. name: who is invited; places: options of all programs of the daemon; state: those of
    `pychatd start`; console: those of the console; caller: the program that the other user types."""

    port: int | None = None
    host: str | None = None
    name: str | None = None
    keep: bool = False
    places: tuple[str, ...] = ()
    state: tuple[str, ...] = ()
    console: tuple[str, ...] = ()
    caller: str = "pychat"


def listen(options: Listen) -> int:
    """Returns the status of the console. Raises PychatError if one of the programs fails."""
    early: list[int] = []  # signals before the daemon runs
    # A closed window must not leave a daemon behind.
    handlers = {n: signal.signal(n, lambda number, _: early.append(number)) for n in ending_signals()}
    try:
        port = start(options)
    except PychatError:
        if early:  # a Ctrl-C has ended the other program too
            _end(early[0], None)
        raise
    try:
        for number in handlers:
            signal.signal(number, _end)
        if early:
            _end(early[0], None)
        status = _status(options, port)
        peer = status["peer"]
        invited = _invite(options, port) if peer is None else _NOT_INVITED.format(printable(peer["handle"]))
        go_to_bottom(options)
        print_result(invited)
        return _attend(options, port, status["pid"], handlers)
    finally:
        for number in handlers:  # a second signal must not interrupt the cleanup
            signal.signal(number, signal.SIG_IGN)
        if options.keep:
            print_result(f"The service goes on. 'pychatd stop {port}' ends it.")
        else:
            _stop(options, port)
        for number, handler in handlers.items():
            signal.signal(number, handler)


def _attend(options: Listen, port: str, daemon: int, signals: Collection[int]) -> int:
    """Runs the console; returns its status as a shell does. It ends with this program, and with its daemon, which
    nobody else starts again. daemon: its process. Raises PychatError."""
    back = _same_again(options, port)
    owners = [os.getpid()] if options.keep else [os.getpid(), daemon]
    life = [word for owner in owners for word in ("--while", str(owner))]
    modes = None if wants_plain("--plain" in options.console) else termios.tcgetattr(sys.stdin)
    ended = _run_console(signals, port, *life, "--back", back, *options.places, *options.console)
    if ended < 0:  # it could not do this itself
        if modes is not None:
            _put_back(modes)
        words = f"pychatd-console {how_ended(ended)}. Run '{back}' to return to an open conversation."
        print(fit_page(sys.stderr, f"pychat: {words}"), file=sys.stderr)
    return _as_in_a_shell(ended)


def _put_back(modes: list[Any]) -> None:
    """Erases the line and the toolbar of a console that was killed, and gives its terminal the old modes."""
    from pychat_client.ui.terminal import Terminal  # loads prompt_toolkit

    with suppress(termios.error):  # the terminal is gone
        termios.tcsetattr(sys.stdin, termios.TCSAFLUSH, modes)
    terminal = Terminal.on_stdout()
    terminal.write_raw("\r")
    terminal.reset_attributes()
    terminal.erase_down()
    terminal.enable_autowrap()
    terminal.show_cursor()
    terminal.leave()


def _run_console(signals: Collection[int], *words: str) -> int:
    """Returns its status, -N where signal N has ended it. Raises PychatError.

    It gets `signals`, and leaves in order, or goes on: an open editor may be meant by a key. What the terminal
    sends for a key, it sends to the console, too: that is not passed on.
    """
    if sys.platform != "linux":  # where pychatd runs
        raise UsageError("'pychat listen' needs Linux.")
    arrived: list[int] = []
    for number in signals:
        signal.signal(number, lambda number, _: arrived.append(number))
    console = _start("pychatd-console", *words)
    awaited = (*signals, signal.SIGCHLD)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, awaited)  # not earlier: the console would inherit it
    try:
        for number in arrived:
            console.send_signal(number)
        while (status := console.poll()) is None:
            info = signal.sigwaitinfo(awaited)
            if info.si_signo == signal.SIGCHLD:
                continue
            arrived.append(info.si_signo)
            if info.si_code <= 0:  # a process has sent it, and not the system
                console.send_signal(info.si_signo)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    if arrived and status == ExitStatus.INTERRUPTED:
        _end(arrived[-1], None)
    return status


def go_to_bottom(options: Listen) -> None:
    """What is printed next stands just above the line of the console, which is at the bottom of the window. It
    would leave the window with the console's first rows if it stood at the top."""
    if not wants_plain("--plain" in options.console):
        from pychat_client.ui.terminal import TerminalOutput  # loads prompt_toolkit

        TerminalOutput.on_stdout().go_to_bottom()


def _same_again(options: Listen, port: str) -> str:
    """The command that returns to the conversation. Without `keep`, `pychatd-console` would find no service."""
    if options.keep:
        return shlex.join(["pychatd-console", port, *options.places, *options.console])
    host = [] if options.host is None else ["--host", options.host]
    return shlex.join(["pychat", "listen", port, *host, *options.places, *options.state, *options.console])


def _end(number: int, _: object) -> NoReturn:
    sys.exit(128 + number)


def start(options: Listen) -> str:
    """Starts the daemon on the given port, or on any that is free; returns the port. Raises PychatError.

    Without `keep` it ends with this process, however that ends.
    """
    life = () if options.keep else ("--while", str(os.getpid()))
    for port in (options.port or PORT, _free_port()):
        places = (*options.places, *options.state)
        started = _run("pychatd", "start", str(port), "--turns", "free", *life, *places, stderr=subprocess.PIPE)
        if started.returncode != ExitStatus.TAKEN or options.port is not None:
            break
    _check(started)
    return str(port)


def _status(options: Listen, port: str) -> dict[str, Any]:
    """What the daemon says of itself; `peer` has the open conversation, if there is one. Raises PychatError."""
    pipe = subprocess.PIPE
    asked = _run("pychatd", "status", port, "--json", *options.places, stdout=pipe, stderr=pipe)
    _check(asked)
    status: dict[str, Any] = json.loads(asked.stdout)
    return status


def _invite(options: Listen, port: str) -> str:
    """What the operator sends to the other user. Raises PychatError."""
    host = [] if options.host is None else ["--host", options.host]
    name = [] if options.name is None else ["--for", options.name]
    pipe = subprocess.PIPE
    made = _run("pychatd", "invite", port, *host, *name, *options.places, stdout=pipe, stderr=pipe)
    _check(made)
    sys.stderr.write(made.stderr)  # that nobody can reach the host, for example
    return made.stdout.replace("    pychat ", f"    {options.caller} ")


def _stop(options: Listen, port: str) -> None:
    """Stops the daemon, unless it has ended already."""
    ended = _run("pychatd", "stop", port, *options.places, stderr=subprocess.PIPE)
    if ended.returncode != ExitStatus.ABSENT:
        sys.stderr.write(ended.stderr)


def _check(ended: subprocess.CompletedProcess[str]) -> None:
    """Raises PychatError with what the program has said."""
    if ended.returncode != 0:
        error = PychatError(
            ended.stderr.strip().removeprefix("pychatd: ") or f"pychatd {how_ended(ended.returncode)}."
        )
        with suppress(ValueError):  # none of our statuses: it is a failure
            error.status = ExitStatus(ended.returncode)
        raise error


def _as_in_a_shell(status: int) -> int:
    """The status of a program of subprocess, which has -N where signal N has ended it."""
    return 128 - status if status < 0 else status


def _run(
    program: str, *words: str, stdout: int | None = None, stderr: int | None = None
) -> subprocess.CompletedProcess[str]:
    """Runs a program of the daemon to its end. Raises PychatError."""
    with _start(program, *words, stdout=stdout, stderr=stderr) as started:
        out, err = started.communicate()
    return subprocess.CompletedProcess(started.args, started.returncode, out, err)


def _start(
    program: str, *words: str, stdout: int | None = None, stderr: int | None = None
) -> subprocess.Popen[str]:
    """Starts a program of the daemon, which is beside this one or where the shell finds it. Raises PychatError."""
    beside = Path(sys.executable).parent
    found = shutil.which(program, path=os.pathsep.join((str(beside), os.environ.get("PATH", os.defpath))))
    if found is None:
        raise UsageError(f"{program} is not installed on this host: 'pychat listen' needs the package pychatd.")
    command = [found, *words]
    try:
        return subprocess.Popen(  # noqa: S603 -- a program of ours
            command, stdout=stdout, stderr=stderr, encoding="utf-8", errors="replace"
        )
    except OSError as error:
        raise PychatError(f"Cannot run {printable(found)}: {error.strerror}.") from None


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("", 0))
        return int(sock.getsockname()[1])
