"""The command line of the daemon: `pychatd start|run|stop|status` and the other commands.

Only the options are here, and only those of the given command are built: for all of them, `pychatd run` would need
a fifth of the time in which its port opens. Each command imports what it needs.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pychat_client import __version__
from pychat_client.command_line import Parser, process_number, seconds
from pychat_client.entrypoint import run_main
from pychat_client.text import parse_port
from pychatd import directories

if TYPE_CHECKING:
    from pychatd.settings import Settings

EXIT_IDLE_SECONDS = 60.0
"""The default of --exit-idle: a caller who reconnects within a minute does not start the daemon again."""

INVITED = "1d"
"""How long an invitation is valid: the other user can sleep over it."""

Options = Callable[[argparse.ArgumentParser], None]
"""Adds the options of a command to its parser."""

NO_PORT = 0
"""Stands for a port that no table of the configuration file is for."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; returns its exit status."""
    words = sys.argv[1:] if argv is None else list(argv)

    def run() -> int:
        args, unknown = _parser(words[0] if words else None).parse_known_args(words)
        if unknown:
            args.refuse(f"unrecognized arguments: {' '.join(unknown)}")
        return int(args.command(args))

    return run_main("pychatd", run)


def _parser(command: str | None = None) -> argparse.ArgumentParser:
    """command: the only one that is needed; all of them if it does not exist, for the help."""
    parser = Parser(
        prog="pychatd",
        description="Offer one-to-one chat as a service on a TCP port. Use pychatd-console to answer calls.",
        epilog="Exit status: 0 success, 1 failure, 2 wrong use or configuration, 3 not running, 4 already "
        "running or port in use, 5 permission denied, 10 messages cannot be stored, 11 messages are unread for "
        "too long.",
    )
    parser.add_argument("--version", action="version", version=f"pychatd {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", prog="pychatd")  # or it formats a usage
    for name, (words, add_options) in COMMANDS.items():
        if name == command or command not in COMMANDS:
            of_command = commands.add_parser(name, help=words, description=f"{words[0].upper()}{words[1:]}.")
            of_command.set_defaults(refuse=of_command.error)
            add_options(of_command)
    return parser


# ------------------------------------------------------------------ options


def _start_options(parser: argparse.ArgumentParser) -> None:
    _add_service_options(parser)
    parser.add_argument(
        "--while", dest="owner", metavar="PID", type=process_number, help="end when process PID ends"
    )
    parser.set_defaults(command=_start)


def _run_options(parser: argparse.ArgumentParser) -> None:
    _add_service_options(parser)
    parser.add_argument(
        "--exit-idle",
        metavar="SECONDS",
        nargs="?",
        type=seconds,
        const=EXIT_IDLE_SECONDS,
        help="exit after SECONDS without connections (default 60); only with systemd's socket units",
    )
    parser.set_defaults(command=_run)


def _fingerprint_options(parser: argparse.ArgumentParser) -> None:
    _add_service_options(parser)
    parser.set_defaults(command=_fingerprint)


def _stop_options(parser: argparse.ArgumentParser) -> None:
    _add_running_service(parser)
    parser.set_defaults(command=_stop)


def _status_options(parser: argparse.ArgumentParser) -> None:
    from pychatd.ages import age_of

    parser.add_argument(
        "port", metavar="PORT", nargs="?", help="the port of the service; without it, all services"
    )
    parser.add_argument(
        "--check",
        action="store_true",
        help="for monitoring: the exit status also tells whether messages can be stored",
    )
    parser.add_argument(
        "--unread-max",
        metavar="AGE",
        type=age_of("0s"),
        help="with --check: and whether a message is unread for longer than AGE: 90m, 12h, 7d",
    )
    parser.add_argument("--json", action="store_true", help="one JSON object per line, one line per service")
    _add_runtime_option(parser)
    parser.set_defaults(command=_status)


def _invite_options(parser: argparse.ArgumentParser) -> None:
    from pychatd.ages import age_of

    parser.add_argument("port", metavar="PORT", help="the port of the service")
    parser.add_argument("--for", dest="name", metavar="NAME", help="who is invited (default: guest1, guest2, …)")
    parser.add_argument(
        "--valid",
        metavar="TIME",
        type=age_of("1m"),
        default=INVITED,
        help="such as 30m, 12h or 7d (default: 1d)",
    )
    parser.add_argument(
        "--host",
        metavar="HOST",
        help="the name or address with which the other person reaches this host (default: its name)",
    )
    _add_runtime_option(parser)
    parser.set_defaults(command=_invite)


def _invitations_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("port", metavar="PORT", help="the port of the service")
    parser.add_argument("--revoke", metavar="NAME", help="make the invitation of NAME invalid")
    _add_runtime_option(parser)
    parser.set_defaults(command=_invitations)


def _authorized_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("port", metavar="PORT", help="the port of the service")
    change = parser.add_mutually_exclusive_group()
    change.add_argument("--rename", metavar=("NAME", "NEW"), nargs=2, help="give an invited caller another name")
    change.add_argument("--remove", metavar="NAME", help="put an invited caller out, who then is a stranger")
    _add_runtime_option(parser)
    parser.set_defaults(command=_authorized)


def _order_options(verb: str, operand: str | None = None, help: str | None = None) -> Options:
    """Of a command that gives the daemon an order: the verb, and a word that the command line has."""

    def add(parser: argparse.ArgumentParser) -> None:
        _add_running_service(parser)
        if operand is not None:
            parser.add_argument("operand", metavar=operand, help=help)
        parser.set_defaults(command=_order, verb=verb, **({} if operand else {"operand": ""}))

    return add


def _backup_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("port", metavar="PORT", nargs="?", help="the port of the service")
    parser.add_argument("--check", metavar="FILE", type=directories.absolute, help="only check the copy FILE")
    _add_state_option(parser)
    _add_runtime_option(parser)
    parser.set_defaults(command=_backup)


def _config_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--check", action="store_true", help="try the key and the lists of callers, too")
    _add_service_options(parser, port="?")
    parser.set_defaults(command=_config)


def _add_service_options(parser: argparse.ArgumentParser, port: str | None = None) -> None:
    """port: how often it may be given, if that is not once."""
    optional = " (optional)" if port else ""
    parser.add_argument("port", metavar="PORT", nargs=port, help=f"the port of the service{optional}")
    parser.add_argument("--config", metavar="FILE", type=directories.absolute, help="configuration file (TOML)")
    parser.add_argument(
        "--listen",
        metavar="ADDRESS",
        action="append",
        help="listen only here (repeatable; default: all addresses)",
    )
    parser.add_argument("--handle", metavar="NAME", help="the operator's handle, unless the console sets one")
    parser.add_argument("--turns", metavar="{alternate,free}", help="take turns (default), or send at any time")
    _add_state_option(parser)
    parser.add_argument("--syslog", metavar="SOCKET", help="the socket of the system log (default: /dev/log)")
    _add_runtime_option(parser)


def _add_running_service(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("port", metavar="PORT", help="the port of the service")
    _add_runtime_option(parser)


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


# ------------------------------------------------------------------ commands


def _start(args: argparse.Namespace) -> int:
    from pychatd import serve

    return serve.start(lambda: _settings(args), args.owner)


def _run(args: argparse.Namespace) -> int:
    from pychatd import serve

    return serve.run(lambda: _settings(args))


def _fingerprint(args: argparse.Namespace) -> int:
    from pychatd import oversee

    return oversee.print_fingerprint(_settings(args), args.runtime_directory)


def _stop(args: argparse.Namespace) -> int:
    from pychatd import oversee

    return oversee.stop(args)


def _status(args: argparse.Namespace) -> int:
    from pychatd import oversee

    return oversee.status(args)


def _invite(args: argparse.Namespace) -> int:
    from pychatd import callers_cli

    return callers_cli.invite(args)


def _invitations(args: argparse.Namespace) -> int:
    from pychatd import callers_cli

    return callers_cli.invitations(args)


def _authorized(args: argparse.Namespace) -> int:
    from pychatd import callers_cli

    return callers_cli.authorized(args)


def _order(args: argparse.Namespace) -> int:
    from pychatd import administer

    return administer.order(args)


def _backup(args: argparse.Namespace) -> int:
    from pychatd import administer

    return administer.backup(args)


def _config(args: argparse.Namespace) -> int:
    from pychatd import administer

    port = NO_PORT if args.port is None else parse_port(args.port)
    return administer.config(_load(args, port), check=args.check)


def _settings(args: argparse.Namespace) -> Settings:
    return _load(args, parse_port(args.port))


def _load(args: argparse.Namespace, port: int) -> Settings:
    from pychatd import settings

    keys = ("listen", "handle", "turns", "syslog", "exit_idle")
    options: dict[str, Any] = {key: getattr(args, key, None) for key in keys}
    return settings.load(
        port,
        options,
        config=args.config,
        state=args.state_directory,
        runtime=args.runtime_directory,
    )


_WHO = "an address or network, a key or a handle"

COMMANDS: Mapping[str, tuple[str, Options]] = {
    "start": ("start a daemon in the background; return when it accepts calls", _start_options),
    "run": ("run a daemon in the foreground, with the log on stderr", _run_options),
    "fingerprint": ("print the fingerprint of the certificate, for callers to compare", _fingerprint_options),
    "stop": ("stop a daemon; return when it has ended", _stop_options),
    "status": ("print which services run, who is talking, and since when", _status_options),
    "invite": ("print a command that lets one person call without a question about keys", _invite_options),
    "invitations": ("list the invitations, or revoke one", _invitations_options),
    "authorized": ("list who may call with a certificate, or change that", _authorized_options),
    "reload": ("let a daemon read its configuration again; fail if it is wrong", _order_options("reload")),
    "block": ("refuse a caller from now on", _order_options("block", "WHO", _WHO)),
    "blocked": ("list the blocked callers", _order_options("blocked")),
    "unblock": ("let a blocked caller call again", _order_options("unblock", "WHO", _WHO)),
    "forget": (
        "remove a conversation that is over from the journal",
        _order_options("forget", "CONVERSATION", "its number, as in the console or with --history"),
    ),
    "backup": ("write a copy of the journal to stdout, also while the service runs", _backup_options),
    "config": (
        "print the settings of a service; without PORT, those of one without a table of its own",
        _config_options,
    ),
}
"""Each command, with what `--help` says of it and the function that adds its options."""
