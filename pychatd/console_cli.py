"""`pychatd-console [PORT]`: the operator's side, the kit's chat over the line's UNIX socket.

Runs on the daemon's machine and loads none of the daemon's rooms but the places in config.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pychat_client import __version__
from pychat_client.cli import add_view_options, guarded, make_view, open_log, reporting
from pychat_client.config.preferences import load as load_preferences
from pychat_client.config.targets import login_handle
from pychat_client.errors import ExitStatus, UnreachableError, UsageError
from pychat_client.text import check_handle, parse_port
from pychatd import control, directories

if TYPE_CHECKING:
    from pychat_client.ui.front_end import FrontEnd


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the console; returns its exit status."""

    def run() -> int:
        args = _parser().parse_args(argv)
        return _run(args) if args.history else reporting(args, _run)

    return guarded("pychatd-console", run)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="pychatd-console",
        description="The operator's side of a pychatd on this machine.",
        epilog="Exit status: 0 detached, 1 failure, 2 wrong use, 3 no daemon, 4 the console is held by somebody "
        "else, 5 not permitted, 6 something was not sent, 9 something was sent and not confirmed, "
        "130 interrupted.",
    )
    parser.add_argument("port", metavar="PORT", nargs="?", help="the line's port; needed where several run")
    parser.add_argument("--handle", metavar="NAME", help="your handle: one word of at most 10 characters")
    parser.add_argument("--take-over", action="store_true", help="take the console from who holds it")
    parser.add_argument("--runtime-directory", metavar="DIR", type=Path, help="where the lines are (DIR/PORT)")
    past = parser.add_argument_group("history", "print what the journal has, and leave")
    past.add_argument("--history", action="store_true", help="all conversations, oldest first")
    past.add_argument("--since", metavar="TIME", help="since 2026-11-22, 2026-11-22T10:30, or 90m, 12h, 7d ago")
    past.add_argument("--grep", metavar="REGEX", help="only messages in which this is found, in any case")
    add_view_options(parser)
    parser.add_argument("--version", action="version", version=f"pychatd-console {__version__}")
    return parser


def _run(args: argparse.Namespace) -> int:
    given = load_preferences().handle if args.handle is None else args.handle
    handle = None if given is None else check_handle(given)
    if not args.history and (args.since or args.grep):
        raise UsageError("--since and --grep go with --history.")
    port, place = find_line(args.port, args.runtime_directory)
    if args.history:
        from pychatd.print_history import print_history

        return print_history(place / "console.sock", args.since, args.grep, as_json=args.json)

    import asyncio

    view = make_view("pychatd-console", args)
    return asyncio.run(_attend(place / "console.sock", port, handle, view, args))


async def _attend(
    path: Path, port: int, handle: str | None, front_end: FrontEnd, args: argparse.Namespace
) -> ExitStatus:
    from pychat_client.protocol.console_endpoint import ConsoleEndpoint
    from pychat_client.session.session import Session, run_session
    from pychat_client.transport.connect import dial_unix

    endpoint = ConsoleEndpoint(
        handle or login_handle() or "operator",
        console=os.urandom(8).hex(),
        handle_is_default=handle is None,
        take_over=args.take_over,
    )
    session = Session(endpoint, front_end, f"port {port}", transcript=open_log(args))
    return await run_session(session, front_end.run, lambda: dial_unix(path, session), args.retry_for)


def find_line(word: str | None, runtime: Path | None) -> tuple[int, Path]:
    """The port and the directory of the line that is meant; without `word` the one that runs.

    Raises UsageError that lists the lines when there are several, UnreachableError when there is none.
    """
    lines = directories.running_services([runtime] if runtime is not None else directories.runtime_bases())
    if word is not None:
        port = parse_port(word)
        if port not in lines or not control.answers(lines[port] / "console.sock"):
            raise UnreachableError(f"No pychatd runs on port {port}: 'pychatd start {port}' starts one.")
        return port, lines[port]
    live = {port: place for port, place in lines.items() if control.answers(place / "console.sock")}
    if not live:
        raise UnreachableError("No pychatd runs on this machine: 'pychatd start PORT' starts one.")
    if len(live) > 1:
        raise UsageError(f"Several lines run here; say which: {', '.join(map(str, sorted(live)))}.")
    return next(iter(live.items()))
