"""The command line of the daemon: `pychatd start|run|fingerprint|stop|status`, and what `administer` and
`callers_cli` add."""

from __future__ import annotations

import argparse
import faulthandler
import os
import select
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import nullcontext, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from socket import socket
from typing import Any

from pychat_client import __version__
from pychat_client.entrypoint import print_result, run_main
from pychat_client.errors import (
    BusyError,
    ExitStatus,
    PermissionDeniedError,
    PychatError,
    TransportError,
    UnreachableError,
    UsageError,
)
from pychat_client.files import open_own
from pychat_client.layout import fit_page
from pychat_client.text import parse_port, printable
from pychatd import administer, callers_cli, directories, services, settings
from pychatd.control import ask_status
from pychatd.process import daemonize, linux, logs, systemd
from pychatd.process.pidfile import Pidfile, holder
from pychatd.report import Report
from pychatd.services import Place
from pychatd.settings import Settings

EXIT_IDLE_SECONDS = 60.0
"""The default of --exit-idle: a caller who reconnects within a minute does not start the daemon again."""

STOP_SECONDS = 15.0
"""How long `stop` waits for the daemon to end before it reports a failure."""

NO_PORT = 0
"""Stands for a port that no table of the configuration file is for."""


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
        "running or port in use, 5 permission denied, 10 the journal fails, 11 messages are unread for too long.",
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
        if name == "start":
            sub.add_argument("--while", dest="owner", metavar="PID", type=_pid, help="end when process PID ends")
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
    status.add_argument(
        "--check", action="store_true", help="for monitoring: the exit status also tells whether a journal fails"
    )
    status.add_argument(
        "--unread-max",
        metavar="AGE",
        type=_age,
        help="with --check: and whether a message is unread for longer than AGE: 90m, 12h, 7d",
    )
    status.add_argument("--json", action="store_true", help="one JSON object per line, one line per service")
    status.set_defaults(command=_status)
    for sub in (stop, status, *callers_cli.add_commands(commands)):
        _add_runtime_option(sub)
    _add_administration(commands)
    return parser


def _add_administration(commands: Any) -> None:
    """The commands of administer.py."""

    def add(name: str, command: Callable[[argparse.Namespace], int], words: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=words, description=_sentence(words))
        sub.set_defaults(command=command)
        return sub  # type: ignore[no-any-return]

    for name, command, words in (
        ("reload", administer.reload, "let a daemon read its configuration again; fail if it is wrong"),
        ("block", administer.block, "refuse a caller from now on"),
        ("blocked", administer.blocked, "list the blocked callers"),
        ("unblock", administer.unblock, "let a blocked caller call again"),
        ("forget", administer.forget, "remove a conversation that is over from the journal"),
    ):
        sub = add(name, command, words)
        sub.add_argument("port", metavar="PORT", help="the port of the service")
        _add_runtime_option(sub)
        if command in (administer.block, administer.unblock):
            sub.add_argument("who", metavar="WHO", help="an address or network, a key or a handle")
    sub.add_argument(
        "number", metavar="CONVERSATION", help="its number, as in the console or with --history --json"
    )
    backup = add("backup", administer.backup, "write a copy of the journal to stdout, also while the service runs")
    backup.add_argument("port", metavar="PORT", nargs="?", help="the port of the service")
    backup.add_argument("--check", metavar="FILE", type=directories.absolute, help="only check the copy FILE")
    _add_state_option(backup)
    _add_runtime_option(backup)
    config = add("config", _config, "print the settings that apply to a service, or to all services")
    config.add_argument("--check", action="store_true", help="try the key and the allowlist, too")
    _add_service_options(config, port="?")


def _sentence(words: str) -> str:
    return f"{words[0].upper()}{words[1:]}."


def _age(word: str) -> timedelta:
    """Raises UsageError."""
    from pychatd.print_history import parse_age

    if (age := parse_age(word)) is None:
        raise UsageError(f"--unread-max: '{printable(word)}' is not an age. Examples: 90m, 12h, 7d.")
    return age


def _add_service_options(parser: argparse.ArgumentParser, port: str | None = None) -> None:
    """port: how often it may be given, if that is not once."""
    parser.add_argument("port", metavar="PORT", nargs=port, help="the port of the service")
    parser.add_argument("--config", metavar="FILE", type=directories.absolute, help="configuration file (TOML)")
    parser.add_argument(
        "--listen",
        metavar="ADDRESS",
        action="append",
        help="listen only here (repeatable; default: all addresses)",
    )
    parser.add_argument("--handle", metavar="NAME", help="the operator's handle, unless the console sets one")
    parser.add_argument("--turns", choices=("alternate", "free"), help="take turns (default), or send at any time")
    _add_state_option(parser)
    parser.add_argument("--syslog", metavar="SOCKET", help="the socket of the system log (default: /dev/log)")
    _add_runtime_option(parser)


def _pid(word: str) -> int:
    if not (word.isascii() and word.isdigit() and 0 < len(word) < 10 and int(word)):
        raise argparse.ArgumentTypeError(f"'{printable(word)}' is not the number of a process.")
    return int(word)


def _add_state_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--state-directory",
        metavar="DIR",
        type=directories.absolute,
        help="directory of the journals; a service uses DIR/PORT",
    )


def _add_runtime_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--runtime-directory",
        metavar="DIR",
        type=directories.absolute,
        help="directory of pidfiles and console sockets; a service uses DIR/PORT",
    )


# ------------------------------------------------------------------ start and run


def _start(args: argparse.Namespace) -> int:
    settings = _settings(args)
    service = _Service(settings, lambda: _settings(args), [])
    assert service.pidfile is not None

    def serve(ready: Callable[[], None]) -> int:
        logs.log_to_syslog(settings.syslog, settings.port)  # detaching would close its socket
        return service.serve(ready, args.owner)

    return daemonize.detach(service.pidfile, service.listeners.descriptors(), serve)


def _run(args: argparse.Namespace) -> int:
    settings = _settings(args)
    os.umask(0o077)
    logs.log_to_stderr(settings.port)
    faulthandler.enable()  # systemd's watchdog sends SIGABRT; the log then shows where the daemon was stuck
    service = _Service(settings, lambda: _settings(args), systemd.passed_sockets())
    with service.pidfile or nullcontext():
        return service.serve(lambda: None)


def _fingerprint(args: argparse.Namespace) -> int:
    from pychat_client.files import make_sure
    from pychat_client.trust.certificates import certificate_der
    from pychat_client.trust.fingerprint import fingerprint, safety_number

    settings = _settings(args)
    try:
        found = services.running(settings.port, args.runtime_directory)
    except PermissionDeniedError:
        if not settings.identity.exists():  # it is not this user's service that is meant
            raise
        found = []
    if found:  # a running daemon tells it to all who may use its console
        key = ask_status(services.only_one(found).socket).key
    else:
        path = _existing(settings)
        make_sure(path)
        key = fingerprint(certificate_der(path))
    print_result(f"{key}\nsafety number {safety_number(key)}")
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


def _config(args: argparse.Namespace) -> int:
    port = NO_PORT if args.port is None else parse_port(args.port)
    return administer.config(_load(args, port), check=args.check)


def _settings(args: argparse.Namespace) -> Settings:
    return _load(args, parse_port(args.port))


def _load(args: argparse.Namespace, port: int) -> Settings:
    keys = ("listen", "handle", "turns", "syslog", "exit_idle")
    options: dict[str, Any] = {key: getattr(args, key, None) for key in keys}
    return settings.load(
        port,
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

        linux.require()
        self._settings = settings
        self._reload = reload
        self.pidfile: Pidfile | None = None
        if settings.exit_idle is not None and not passed:
            raise UsageError(
                "exit_idle needs systemd's pychatd@.socket, which keeps the port and the console socket open: "
                "without it, no call could start the daemon again."
            )
        if not passed:
            self.pidfile = Pidfile(settings.pidfile)
            listeners.make_directory(settings.runtime)
            self.pidfile.acquire()
        try:
            self._open(passed)
        except BaseException:
            if self.pidfile is not None:
                self.pidfile.release()
            raise

    def _open(self, passed: list[socket]) -> None:
        from pychatd.network import identity, listeners

        tcp = [] if passed else self._bind()
        listeners.make_directory(self._settings.state)
        _check_files(self._settings)
        self._identity = identity.load(self._settings, make=True)
        if passed:
            self.listeners = listeners.sort(passed)
        else:
            console = listeners.bind_console(self._settings.console_socket)
            self.listeners = listeners.Listeners(tcp, console, passed=False)

    def _bind(self) -> list[socket]:
        """The TCP sockets. Raises PychatError; BusyError names the service that has the port, if it is one."""
        from pychatd.network import listeners

        try:
            return listeners.bind_tcp(self._settings)
        except BusyError:
            port = self._settings.port
            with suppress(PermissionDeniedError):
                if found := services.running(port, None):
                    raise BusyError(
                        f"A pychatd is already running on port {port}: its files are in {found[0].directory}."
                    ) from None
            raise

    def serve(self, ready: Callable[[], None], owner: int | None = None) -> int:
        """Serves until a signal stops it, or the process `owner` ends. Makes the event loop here, because it would
        not survive the fork."""
        import asyncio

        from pychatd.conversation.journal import Journal
        from pychatd.network.server import Server
        from pychatd.process.owner import end_with

        async def run() -> None:
            if owner is not None:
                end_with(owner)
            journal = Journal(self._settings.journal, full=self._settings.sync)
            server = Server(self._settings, self.listeners, journal, self._identity)
            await server.run(ready, self._reload)

        try:
            asyncio.run(run())
        finally:
            self.listeners.close()  # also after a failure: nothing is left behind
        return ExitStatus.OK


def _check_files(settings: Settings) -> None:
    """Makes sure that the journal and the key, if they are there, are this user's own, and private.

    Raises PermissionDeniedError. The operator's own certificate (`certificate`) may be anybody's.
    """
    for path in (settings.journal, settings.state / "identity.pem"):
        try:
            os.close(open_own(path, os.O_RDONLY))
        except FileNotFoundError:
            pass
        except OSError as error:
            raise PermissionDeniedError(f"Cannot use {path}: {error.strerror}.") from None


# ------------------------------------------------------------------ stop and status


def _stop(args: argparse.Namespace) -> int:
    linux.require()
    assert hasattr(os, "pidfd_open")
    assert hasattr(signal, "pidfd_send_signal")
    port = parse_port(args.port)
    place, pid = _daemon(port, args.runtime_directory)
    try:
        handle = os.pidfd_open(pid)
        if holder(place.pidfile) == pid:  # otherwise it has ended, and its pid may be another program's
            signal.pidfd_send_signal(handle, signal.SIGTERM)
    except ProcessLookupError:
        return ExitStatus.OK
    except PermissionError:
        raise PermissionDeniedError(
            f"Permission denied: pychatd on port {port} (pid {pid}) belongs to another user: "
            "run this as root, or as that user."
        ) from None
    if not select.select([handle], [], [], STOP_SECONDS)[0]:
        raise TransportError(
            f"pychatd on port {port} did not stop within {STOP_SECONDS:.0f} s; 'kill -9 {pid}' ends it."
        )
    return ExitStatus.OK


def _daemon(port: int, runtime: Path | None) -> tuple[Place, int]:
    """The place and the pid of the daemon that `pychatd start` or `run` has started.

    Raises UsageError if there are several, UnreachableError if there is none, TransportError for systemd's.
    """
    pids: dict[Place, int] = {}
    refused: PermissionDeniedError | None = None
    for place in services.places(port, runtime):
        try:
            if (pid := holder(place.pidfile)) is not None:
                pids[place] = pid
        except PermissionDeniedError as error:  # another user's
            refused = error
    if pids:
        place = services.only_one(list(pids))
        return place, pids[place]
    if refused is not None:
        raise refused
    if services.running(port, runtime):
        raise TransportError(
            f"systemd runs the service on port {port}: stop it with 'systemctl stop pychatd@{port}.socket'."
        )
    raise services.not_running(port, runtime)


def _status(args: argparse.Namespace) -> int:
    if args.unread_max is not None and not args.check:
        raise UsageError("--unread-max needs --check.")
    port = None if args.port is None else parse_port(args.port)
    answers = [answer for answer in _ask_all(services.places(port, args.runtime_directory)) if answer is not None]
    for answer in answers:
        if isinstance(answer, Report):
            print_result(answer.json() if args.json else fit_page(sys.stdout, answer.in_words()))
        elif args.json or port is not None or answer.status is ExitStatus.REFUSED:
            print(f"pychatd: {answer}", file=sys.stderr)
        else:
            print_result(fit_page(sys.stdout, str(answer)))
    if not answers and port is not None:
        raise services.not_running(port, args.runtime_directory)
    if not answers:
        raise UnreachableError("pychatd is not running.")
    failed = [answer.status for answer in answers if isinstance(answer, PychatError)]
    silent = [status for status in failed if status is not ExitStatus.REFUSED]
    if silent or len(failed) == len(answers):
        return (silent or failed)[0]
    reports = [answer for answer in answers if isinstance(answer, Report)]
    return _check(reports, args.unread_max) if args.check else ExitStatus.OK


def _check(reports: Sequence[Report], unread_max: timedelta | None) -> ExitStatus:
    """The worst that monitoring has to know of services that answer."""
    if any(not report.journal_works for report in reports):
        return ExitStatus.JOURNAL_FAILS
    times = [report.unread_since for report in reports if report.unread_since is not None]
    too_old = unread_max is not None and any(datetime.now(UTC) - time > unread_max for time in times)
    return ExitStatus.UNREAD if too_old else ExitStatus.OK


def _ask_all(places: list[Place]) -> list[Report | PychatError | None]:
    """The answers of all services, asked side by side: one that hangs must not keep us from the others."""
    from concurrent.futures import ThreadPoolExecutor

    if not places:
        return []
    with ThreadPoolExecutor(len(places)) as pool:
        return list(pool.map(_ask, places))


def _ask(place: Place) -> Report | PychatError | None:
    """The status of the daemon at a place, or why it cannot be told; None when no daemon is there."""
    try:
        return ask_status(place.socket)
    except UnreachableError:
        pass
    except PermissionDeniedError as error:
        return error
    except TransportError as error:
        return TransportError(f"Port {place.port}: {error}")
    try:
        pid = holder(place.pidfile)
    except PermissionDeniedError as error:
        return error
    if pid is None:
        return None
    return TransportError(
        f"Port {place.port}: pychatd runs with pid {pid}, but its socket {place.socket} is gone."
    )
