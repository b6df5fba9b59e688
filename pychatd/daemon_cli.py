"""The command line of the daemon: `pychatd start|run|fingerprint|stop|status`."""

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
from pychat_client.entrypoint import run_main
from pychat_client.errors import ExitStatus, PermissionDeniedError, TransportError, UnreachableError, UsageError
from pychat_client.text import parse_port, printable
from pychatd import directories, settings
from pychatd.control import answers, ask_status
from pychatd.process import daemonize, logs, systemd
from pychatd.process.pidfile import Pidfile, read_pid
from pychatd.settings import Settings

EXIT_IDLE_SECONDS = 60.0
"""The default of --exit-idle: a caller who reconnects within a minute does not start the daemon again."""

STOP_SECONDS = 15.0
"""How long `stop` waits for the daemon to end before it reports a failure."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; returns its exit status."""

    def run() -> int:
        args = _parser().parse_args(argv)
        return int(args.command(args))

    return run_main("pychatd", run)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="pychatd",
        description="Offer one-to-one chat as a service on a TCP port. Use pychatd-console to answer calls.",
        epilog="Exit status: 0 success, 1 failure, 2 wrong use or configuration, 3 not running, 4 already "
        "running or port in use, 5 permission denied.",
    )
    parser.add_argument("--version", action="version", version=f"pychatd {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", prog="pychatd")  # or it formats a usage
    for name, command, words in (
        ("start", _start, "start a daemon in the background; return when it accepts calls"),
        ("run", _run, "run a daemon in the foreground, with the log on stderr"),
    ):
        sub = commands.add_parser(name, help=words, description=_sentence(words))
        _add_service_options(sub)
        sub.set_defaults(command=command)
    sub.add_argument(
        "--exit-idle",
        metavar="SECONDS",
        nargs="?",
        type=float,
        const=EXIT_IDLE_SECONDS,
        help="exit after SECONDS without connections (default 60); only with systemd's socket units",
    )
    words = "print the key that callers see, so that they can compare it"
    shown = commands.add_parser("fingerprint", help=words, description=_sentence(words))
    _add_service_options(shown)
    shown.set_defaults(command=_fingerprint)
    words = "stop a daemon; return when it has ended"
    stop = commands.add_parser("stop", help=words, description=_sentence(words))
    stop.add_argument("port", metavar="PORT", help="the port of the service")
    stop.set_defaults(command=_stop)
    words = "print which services run, who is talking, and since when"
    status = commands.add_parser("status", help=words, description=_sentence(words))
    status.add_argument(
        "port", metavar="PORT", nargs="?", help="the port of the service; without it, all services"
    )
    status.add_argument("--json", action="store_true", help="one JSON object per line, one line per service")
    status.set_defaults(command=_status)
    for sub in (stop, status):
        _add_runtime_option(sub)
    return parser


def _sentence(words: str) -> str:
    return f"{words[0].upper()}{words[1:]}."


def _absolute(word: str) -> Path:
    """A path of the command line. Made absolute now, because the working directory of the daemon will be /."""
    return Path(word).absolute()


def _add_service_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("port", metavar="PORT", help="the port of the service")
    parser.add_argument("--config", metavar="FILE", type=_absolute, help="configuration file (TOML)")
    parser.add_argument(
        "--listen",
        metavar="ADDRESS",
        action="append",
        help="listen only here (repeatable; default: all addresses)",
    )
    parser.add_argument("--handle", metavar="NAME", help="the operator's handle, unless the console sets one")
    parser.add_argument("--turns", choices=("alternate", "free"), help="take turns (default), or send at any time")
    parser.add_argument(
        "--state-directory",
        metavar="DIR",
        type=_absolute,
        help="directory of the journals; a service uses DIR/PORT",
    )
    parser.add_argument("--syslog", metavar="SOCKET", help="the socket of the system log (default: /dev/log)")
    _add_runtime_option(parser)


def _add_runtime_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--runtime-directory",
        metavar="DIR",
        type=_absolute,
        help="directory of pidfiles and console sockets; a service uses DIR/PORT",
    )


# ------------------------------------------------------------------ start and run


def _start(args: argparse.Namespace) -> int:
    settings = _settings(args)
    service = _Service(settings, lambda: _settings(args), [])
    assert service.pidfile is not None

    def serve(ready: Callable[[], None]) -> int:
        logs.log_to_syslog(settings.syslog, settings.port)  # detaching would close its socket
        return service.serve(ready)

    return daemonize.detach(service.pidfile, service.listeners.descriptors(), serve)


def _run(args: argparse.Namespace) -> int:
    settings = _settings(args)
    os.umask(0o077)
    logs.log_to_stderr()
    faulthandler.enable()  # systemd's watchdog sends SIGABRT; the log then shows where the daemon was stuck
    service = _Service(settings, lambda: _settings(args), systemd.passed_sockets())
    with service.pidfile or nullcontext():
        return service.serve(lambda: None)


def _fingerprint(args: argparse.Namespace) -> int:
    from pychat_client.files import make_sure
    from pychat_client.trust.certificates import certificate_der
    from pychat_client.trust.fingerprint import fingerprint, safety_number

    settings = _settings(args)
    try:  # a running daemon tells it to all who may use its console
        key = ask_status(_service_directory(args, settings.port) / "console.sock")["key"]
    except UnreachableError:
        path = _existing(settings)
        make_sure(path)
        key = fingerprint(certificate_der(path))
    print(f"{key}\nsafety number {safety_number(key)}")
    return ExitStatus.OK


def _existing(settings: Settings) -> Path:
    """The file of the certificate. Raises UnreachableError before the first start, or PermissionDeniedError."""
    try:
        settings.identity.stat()
    except FileNotFoundError:
        raise UnreachableError(
            f"The service on port {settings.port} has no key yet: start it once to make one."
        ) from None
    except OSError as error:
        raise PermissionDeniedError(f"Cannot read the key {settings.identity}: {error.strerror}.") from None
    return settings.identity


def _settings(args: argparse.Namespace) -> Settings:
    keys = ("listen", "handle", "turns", "syslog", "exit_idle")
    options: dict[str, Any] = {key: getattr(args, key, None) for key in keys}
    return settings.load(
        parse_port(args.port),
        options,
        config=args.config,
        state=args.state_directory,
        runtime=args.runtime_directory,
    )


class _Service:
    """What a daemon needs before it can serve: directories, pidfile, sockets, key."""

    def __init__(self, settings: Settings, reload: Callable[[], Settings], passed: list[socket]) -> None:
        """Acquires all of them; the sockets that systemd has `passed` are used as they are. Raises PychatError."""
        from pychatd.network import listeners

        self._settings = settings
        self._reload = reload
        self.pidfile: Pidfile | None = None
        if settings.exit_idle is not None and not passed:
            raise UsageError(
                "exit_idle needs systemd's pychatd@.socket, which keeps the port and the console socket open: "
                "without it, no call could start the daemon again."
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
        """Serves until a signal stops it. Makes the event loop here, because it would not survive the fork."""
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
    place = _service_directory(args, port)
    pid = read_pid(place / "pid")
    if pid is None:
        if answers(place / "console.sock"):
            raise TransportError(
                f"systemd runs the service on port {port}: stop it with 'systemctl stop pychatd@{port}.socket'."
            )
        raise UnreachableError(f"pychatd is not running on port {port}.")
    try:
        handle = os.pidfd_open(pid)
        signal.pidfd_send_signal(handle, signal.SIGTERM)
    except ProcessLookupError:
        return ExitStatus.OK
    except PermissionError:
        raise PermissionDeniedError(
            f"Permission denied: pychatd on port {port} (pid {pid}) belongs to another user."
        ) from None
    if not select.select([handle], [], [], STOP_SECONDS)[0]:
        raise TransportError(
            f"pychatd on port {port} did not stop within {STOP_SECONDS:.0f} s; 'kill -9 {pid}' ends it."
        )
    return ExitStatus.OK


def _status(args: argparse.Namespace) -> int:
    if args.port is None:
        bases = [args.runtime_directory] if args.runtime_directory else directories.runtime_bases()
        services = directories.running_services(bases)
    else:
        port = parse_port(args.port)
        services = {port: _service_directory(args, port)}
    reports, refused = {}, None
    for port, place in services.items():
        try:
            if (report := _report(place)) is not None:
                reports[port] = report
        except PermissionDeniedError as error:  # another user's service
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


def _service_directory(args: argparse.Namespace, port: int) -> Path:
    """The runtime directory of the service on `port`, whether it runs or not."""
    if args.runtime_directory is not None:
        return Path(args.runtime_directory) / str(port)
    bases = directories.runtime_bases()
    return directories.running_services(bases).get(port, bases[0] / str(port))


def _report(place: Path) -> dict[str, Any] | None:
    """The status of the daemon whose runtime directory is `place`; None when none runs."""
    try:
        return ask_status(place / "console.sock")
    except UnreachableError:
        if (pid := read_pid(place / "pid")) is None:
            return None
        raise TransportError(f"pychatd runs with pid {pid}, but does not answer.") from None


def _in_words(report: dict[str, Any]) -> str:
    words = [f"Port {report['port']}: pychatd is running (pid {report['pid']}, since {report['since']})."]
    peer, console = report["peer"], report["console"]
    if peer is None:
        words.append("No conversation.")
    else:
        words.append(
            f"{printable(peer['handle'])} from {printable(peer['address'])} has talked since {peer['since']}"
            f" ({peer['received']} messages received, {peer['sent']} sent)."
        )
        if not peer["connected"]:
            words.append("The connection is lost; the caller may come back.")
    words.append(f"{printable(console['user'])} is at the console." if console else "No console is attached.")
    return " ".join(words)
