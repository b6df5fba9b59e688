"""`pychatd start|run|stop|status`: the command line of the daemon."""

from __future__ import annotations

import argparse
import faulthandler
import os
import select
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from socket import socket
from typing import Any

from pychat_client import __version__
from pychat_client.cli import guarded
from pychat_client.errors import ExitStatus, PermissionDeniedError, TransportError, UnreachableError, UsageError
from pychat_client.text import parse_port, printable
from pychatd import directories, settings
from pychatd.control import answers, ask_status
from pychatd.process import daemonize, logs, systemd
from pychatd.process.pidfile import Pidfile, read_pid
from pychatd.settings import Settings

EXIT_IDLE_SECONDS = 60.0
"""For --exit-idle alone: who was cut off, or looks again in a minute, need not wake anybody."""

STOP_SECONDS = 15.0
"""How long `stop` waits for an orderly end before it says that there was none."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; returns its exit status."""

    def run() -> int:
        args = _parser().parse_args(argv)
        return int(args.command(args))

    return guarded("pychatd", run)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="pychatd",
        description="A line for one-to-one chat on a TCP port; pychatd-console is the operator's side of it.",
        epilog="Exit status: 0 success, 1 failure, 2 wrong use or configuration, 3 not running, 4 already "
        "running or port in use, 5 not permitted.",
    )
    parser.add_argument("--version", action="version", version=f"pychatd {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", prog="pychatd")  # or it formats a usage
    for name, command, words in (
        ("start", _start, "start a daemon; return when it serves"),
        ("run", _run, "the same in the foreground, with the log on stderr"),
    ):
        sub = commands.add_parser(name, help=words, description=words)
        _add_line_options(sub)
        sub.set_defaults(command=command)
    sub.add_argument(
        "--exit-idle",
        metavar="SECONDS",
        nargs="?",
        type=float,
        const=EXIT_IDLE_SECONDS,
        help="leave when nobody has been there for so long (60), where systemd keeps the sockets",
    )
    shown = commands.add_parser("fingerprint", help="print the key that callers see, to be compared by telephone")
    _add_line_options(shown)
    shown.set_defaults(command=_fingerprint)
    stop = commands.add_parser("stop", help="stop a daemon; return when it is gone")
    stop.add_argument("port", metavar="PORT")
    stop.set_defaults(command=_stop)
    status = commands.add_parser("status", help="tell what runs, who talks, since when")
    status.add_argument("port", metavar="PORT", nargs="?")
    status.add_argument("--json", action="store_true", help="one JSON object a line")
    status.set_defaults(command=_status)
    for sub in (stop, status):
        add_runtime_option(sub)
    return parser


def _add_line_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("port", metavar="PORT")
    parser.add_argument("--config", metavar="FILE", type=Path, help="configuration file (TOML)")
    parser.add_argument(
        "--listen", metavar="ADDRESS", action="append", help="listen only here (repeatable; default: everywhere)"
    )
    parser.add_argument("--handle", metavar="NAME", help="the operator's handle, when the console sets none")
    parser.add_argument("--turns", choices=("alternate", "free"), help="take turns (default), or speak freely")
    parser.add_argument("--state-directory", metavar="DIR", type=Path, help="where journals are (DIR/PORT)")
    parser.add_argument("--syslog", metavar="SOCKET", help="the system log's socket (default: /dev/log)")
    add_runtime_option(parser)


def add_runtime_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--runtime-directory", metavar="DIR", type=Path, help="where pidfiles and console sockets are (DIR/PORT)"
    )


# ------------------------------------------------------------------ start and run


def _start(args: argparse.Namespace) -> int:
    settings = _settings(args)
    line = _Line(settings, lambda: _settings(args), [])
    assert line.pidfile is not None

    def serve(ready: Callable[[], None]) -> int:
        logs.log_to_syslog(settings.syslog, settings.port)  # detaching would close its socket
        return line.serve(ready)

    return daemonize.detach(line.pidfile, line.listeners.descriptors(), serve)


def _run(args: argparse.Namespace) -> int:
    settings = _settings(args)
    os.umask(0o077)
    logs.log_to_stderr()
    faulthandler.enable()  # systemd's watchdog sends SIGABRT: the log then tells where we hung
    line = _Line(settings, lambda: _settings(args), systemd.passed_sockets())
    with line.pidfile or nullcontext():
        return line.serve(lambda: None)


def _fingerprint(args: argparse.Namespace) -> int:
    from pychat_client.trust.certificates import certificate_der
    from pychat_client.trust.fingerprint import fingerprint, safety_number

    settings = _settings(args)
    try:  # a running line tells it to everybody who may use its console
        key = ask_status(_line_directory(args, settings.port) / "console.sock")["key"]
    except UnreachableError:
        key = fingerprint(certificate_der(_existing(settings)))
    print(f"{key}\nsafety number {safety_number(key)}")
    return ExitStatus.OK


def _existing(settings: Settings) -> Path:
    """The file of the certificate. Raises UnreachableError before the first start, PermissionDeniedError."""
    try:
        settings.identity.stat()
    except FileNotFoundError:
        raise UnreachableError(
            f"The line on port {settings.port} has no key yet: its first start makes one."
        ) from None
    except OSError as error:
        raise PermissionDeniedError(f"The key {settings.identity} cannot be read: {error.strerror}.") from None
    return settings.identity


def _settings(args: argparse.Namespace) -> Settings:
    keys = ("listen", "handle", "turns", "syslog", "exit_idle")
    options: dict[str, Any] = {key: getattr(args, key, None) for key in keys}
    # Made absolute at once: a daemon's working directory is /, also when it reads its file again.
    args.config, args.state_directory, args.runtime_directory = (
        path and path.absolute() for path in (args.config, args.state_directory, args.runtime_directory)
    )
    return settings.load(
        parse_port(args.port),
        options,
        config=args.config,
        state=args.state_directory,
        runtime=args.runtime_directory,
    )


class _Line:
    """What a line needs before it can serve: its directories, its lock, its sockets."""

    def __init__(self, settings: Settings, reload: Callable[[], Settings], passed: list[socket]) -> None:
        """Takes them all; of the sockets, those that systemd has `passed`. Raises a PychatError for what is
        not to be had."""
        from pychatd.network import listeners

        self._settings = settings
        self._reload = reload
        self.pidfile: Pidfile | None = None
        if settings.exit_idle is not None and not passed:
            raise UsageError(
                "exit_idle is for a service whose port and console socket systemd keeps open (pychatd@.socket): "
                "here nothing would start it again."
            )
        listeners.make_directory(settings.state)
        tcp: list[socket] = []
        if not passed:
            listeners.make_directory(settings.runtime)
            self.pidfile = Pidfile(settings.pidfile)
            self.pidfile.acquire()
            tcp = listeners.bind_tcp(settings)
        from pychatd.network import identity

        self._identity = identity.load(settings, make=True)
        if passed:
            self.listeners = listeners.sort(passed)
        else:
            console = listeners.bind_console(settings.console_socket)
            self.listeners = listeners.Listeners(tcp, console, passed=False)

    def serve(self, ready: Callable[[], None]) -> int:
        """Serves until it is told to stop. The event loop is made here: it would not survive a fork."""
        import asyncio

        from pychatd.conversation.journal import Journal
        from pychatd.network.server import Server

        async def run() -> None:
            journal = Journal(self._settings.journal, full=self._settings.sync)
            server = Server(self._settings, self.listeners, journal, self._identity)
            await server.run(ready, self._reload)

        asyncio.run(run())
        return ExitStatus.OK


# ------------------------------------------------------------------ stop and status


def _stop(args: argparse.Namespace) -> int:
    port = parse_port(args.port)
    place = _line_directory(args, port)
    pid = read_pid(place / "pid")
    if pid is None:
        if answers(place / "console.sock"):
            raise TransportError(
                f"The line on port {port} is systemd's: 'systemctl stop pychatd@{port}.socket' stops it."
            )
        raise UnreachableError(f"pychatd is not running on port {port}.")
    try:
        handle = os.pidfd_open(pid)
        signal.pidfd_send_signal(handle, signal.SIGTERM)
    except ProcessLookupError:
        return ExitStatus.OK
    except PermissionError:
        raise PermissionDeniedError(f"pychatd on port {port} (pid {pid}) is not yours to stop.") from None
    if not select.select([handle], [], [], STOP_SECONDS)[0]:
        raise TransportError(
            f"pychatd on port {port} has not stopped within {STOP_SECONDS:.0f} s; 'kill -9 {pid}' ends it."
        )
    return ExitStatus.OK


def _status(args: argparse.Namespace) -> int:
    if args.port is None:
        bases = [args.runtime_directory] if args.runtime_directory else directories.runtime_bases()
        lines = directories.running_services(bases)
    else:
        port = parse_port(args.port)
        lines = {port: _line_directory(args, port)}
    reports, refused = {}, None
    for port, place in lines.items():
        try:
            if (report := _report(place)) is not None:
                reports[port] = report
        except PermissionDeniedError as error:  # somebody else's line
            if args.port is not None:
                raise
            print(f"pychatd: {error}", file=sys.stderr)
            refused = error
    if not reports and refused is not None:
        return refused.status
    if not reports:
        raise UnreachableError("pychatd is not running" + (f" on port {args.port}." if args.port else "."))
    import json

    for report in reports.values():
        print(json.dumps(report) if args.json else _in_words(report))
    return ExitStatus.OK


def _line_directory(args: argparse.Namespace, port: int) -> Path:
    """Where the line on `port` runs, or would run."""
    if args.runtime_directory is not None:
        return Path(args.runtime_directory) / str(port)
    bases = directories.runtime_bases()
    return directories.running_services(bases).get(port, bases[0] / str(port))


def _report(place: Path) -> dict[str, Any] | None:
    """What the daemon in `place` says of itself; None when there is none."""
    try:
        return ask_status(place / "console.sock")
    except UnreachableError:
        if (pid := read_pid(place / "pid")) is None:
            return None
        raise TransportError(f"pychatd runs with pid {pid}, and does not answer.") from None


def _in_words(report: dict[str, Any]) -> str:
    words = [f"Port {report['port']}: pychatd runs with pid {report['pid']} since {report['since']}."]
    peer, console = report["peer"], report["console"]
    if peer is None:
        words.append("Nobody is talking.")
    else:
        verb = "talks" if peer["connected"] else "was cut off, and may come back"
        words.append(
            f"{printable(peer['handle'])} from {printable(peer['address'])} {verb}, since {peer['since']}"
            f" ({peer['received']} messages received, {peer['sent']} sent)."
        )
    words.append(f"The console is held by {printable(console['user'])}." if console else "No console is attached.")
    return " ".join(words)
