"""The command line of `pychatd-console`: attends a service on this machine, or prints its history.

Only the options are here; a conversation is in attend, and loaded only for one.
"""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Sequence

from pychat_client import __version__
from pychat_client.command_line import Parser, add_conversation_options, process_number
from pychat_client.config.preferences import Preferences
from pychat_client.config.preferences import load as load_preferences
from pychat_client.entrypoint import run_main, with_json_end
from pychat_client.errors import TransportError, UsageError
from pychat_client.text import check_handle, parse_port, printable
from pychatd import directories, services
from pychatd.ages import age_of
from pychatd.services import Place


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the console; returns its exit status."""

    def run() -> int:
        args = _parser().parse_intermixed_args(argv)
        if args.json and not (args.history or args.watch):
            return with_json_end(lambda: _run(args))
        return _run(args)

    return run_main("pychatd-console", run)


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="pychatd-console",
        description="Answer the calls to a service on this host.",
        epilog="Exit status: 0 detached, 1 failure, 2 wrong use, 3 no daemon, 4 another console is attached, "
        "5 permission denied, 6 a message was not sent, 9 a message was sent but not confirmed, "
        "130 interrupted.",
    )
    parser.add_argument(
        "ports",
        metavar="PORT",
        nargs="*",
        help="the port of the service, needed if several services run; with --watch, also several ports",
    )
    parser.add_argument("--handle", metavar="NAME", help="your handle: one word of at most 10 characters")
    parser.add_argument("--take-over", action="store_true", help="detach the other console, and attach this one")
    parser.add_argument(
        "--runtime-directory",
        metavar="DIR",
        type=directories.absolute,
        help="directory of the console sockets; a service uses DIR/PORT",
    )
    # For `pychat listen`, whose service ends with the console: the processes with which the console ends (that
    # program and the daemon), and the command that returns to the conversation; '' for none.
    parser.add_argument(
        "--while", dest="owners", type=process_number, action="append", default=[], help=argparse.SUPPRESS
    )
    parser.add_argument("--back", help=argparse.SUPPRESS)
    seen = parser.add_argument_group("watch", "show who calls and what is unread, without answering")
    seen.add_argument("--watch", action="store_true", help="watch; without PORT, all services that you may use")
    seen.add_argument(
        "--remind",
        metavar="AGE",
        type=age_of("1s"),
        help="alert again after AGE while something stays unread: 10m, 12h, 7d",
    )
    past = parser.add_argument_group("history", "print stored messages instead of answering calls")
    past.add_argument("--history", action="store_true", help="print all conversations, oldest first")
    past.add_argument(
        "--since", metavar="TIME", help="only since TIME: 2026-11-22, 2026-11-22T10:30, or an age: 90m, 12h, 7d"
    )
    past.add_argument("--conversation", metavar="NUMBER", help="only this conversation, as \\unread lists it")
    past.add_argument(
        "--grep", metavar="REGEX", help="only messages that match REGEX; upper and lower case are the same"
    )
    add_conversation_options(parser)
    parser.add_argument("--version", action="version", version=f"pychatd-console {__version__}")
    return parser


def _run(args: argparse.Namespace) -> int:
    preferences = load_preferences()
    given = preferences.handle if args.handle is None else args.handle
    handle = None if given is None else check_handle(given)
    if not args.history and (args.since or args.grep or args.conversation is not None):
        raise UsageError("--since, --conversation and --grep need --history.")
    if args.watch:
        return _watch(args, preferences)
    if args.remind is not None or len(args.ports) > 1:
        raise UsageError("--remind, and more than one PORT, need --watch.")
    port = parse_port(args.ports[0]) if args.ports else None
    place = services.the_running(port, args.runtime_directory, _unread)
    if args.history:
        from pychatd.print_history import print_history

        return print_history(place.socket, args.since, args.grep, args.conversation, as_json=args.json)

    from pychat_client.ui.choose_view import ViewOptions
    from pychatd.attend import attend

    view = ViewOptions(plain=args.plain, json=args.json, history=not args.no_history, live=args.live, log=args.log)
    back = _same_again(args, place.port) if args.back is None else args.back
    return attend(
        place,
        handle,
        view,
        preferences,
        take_over=args.take_over,
        retry_for=args.retry_for,
        back=printable(back),
        owners=args.owners,
    )


def _same_again(args: argparse.Namespace, port: int) -> str:
    """The command that returns to the conversation: under the same handle, and with the same sockets."""
    words = [] if args.handle is None else ["--handle", args.handle]
    if args.runtime_directory is not None:
        words += ["--runtime-directory", str(args.runtime_directory)]
    return shlex.join(["pychatd-console", *words, str(port)])


def _watch(args: argparse.Namespace, preferences: Preferences) -> int:
    from pychat_client.transport.interruptible import run_interruptible
    from pychatd.watch import watch
    from pychatd.watch_output import Output

    if args.history:
        raise UsageError("--watch and --history exclude each other.")
    ports = [parse_port(word) for word in args.ports]
    output = Output(preferences, as_json=args.json, remind=args.remind)
    return run_interruptible(watch(ports, args.runtime_directory, output))


def _unread(place: Place) -> str:
    """What waits there, for the list of services."""
    from pychatd.control import ask_status

    try:
        waiting = ask_status(place.socket).unread
    except TransportError:
        return ""
    return f" ({waiting.count} unread)" if waiting is not None and waiting.count else ""
