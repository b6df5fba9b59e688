"""`pychat HOST PORT`: the command line of the client."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pychat_client import __version__
from pychat_client.errors import Exit, HandleError, PychatError, Untrusted, UsageError
from pychat_client.places import history_file, key_file, known_hosts_file
from pychat_client.text import check_handle, printable

if TYPE_CHECKING:
    from ssl import SSLContext

    from pychat_client.chat import View


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the client; returns its exit status."""
    return guarded("pychat", lambda: _run(_parser().parse_args(argv)))


def guarded(program: str, run: Callable[[], int]) -> int:
    """Runs a program; what went wrong is a sentence on stderr and an exit status, never a traceback."""
    open_standard_streams()
    try:
        return int(run())
    except PychatError as error:
        print(f"{program}: {error}", file=sys.stderr)
        return error.status
    except (KeyboardInterrupt, EOFError):
        return Exit.INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="pychat",
        description="Talk with the person at a pychatd on another host.",
        epilog="Exit status: 0 the conversation ended, 1 failure or connection lost, 2 wrong use, 3 nobody "
        "answers, 4 the line is taken, 5 refused, 6 something was not delivered, 7 the host's key is not "
        "the accepted one, 130 interrupted.",
    )
    parser.add_argument("host", metavar="HOST", nargs="?", help="name or address of the host")
    parser.add_argument("port", metavar="PORT", nargs="?", help="port of its pychatd")
    parser.add_argument(
        "--show-certificate", action="store_true", help="print your certificate, for a host's list of who may call"
    )
    parser.add_argument("--handle", metavar="NAME", help="your handle: one word of at most 10 characters")
    trust = parser.add_mutually_exclusive_group()
    trust.add_argument("--fingerprint", metavar="SHA256:…", help="accept the host's key only if it is this one")
    trust.add_argument("--accept-new", action="store_true", help="accept an unknown host's key without asking")
    trust.add_argument(
        "--ca", action="store_true", help="trust whom the system's certificate authorities vouch for"
    )
    trust.add_argument("--forget", action="store_true", help="remove the accepted key of HOST PORT, and leave")
    parser.add_argument("--wait", action="store_true", help="while the line is taken, try again until it is free")
    add_view_options(parser)
    parser.add_argument("--version", action="version", version=f"pychat {__version__}")
    return parser


def add_view_options(parser: argparse.ArgumentParser) -> None:
    """The options that both the client and the console have."""
    parser.add_argument("--plain", action="store_true", help="plain lines on stdin and stdout, no screen")
    parser.add_argument("--no-history", action="store_true", help="keep no line typed, and offer none of before")
    parser.add_argument(
        "--retry-for",
        metavar="SECONDS",
        type=float,
        help="give up when a connection that was cut cannot be made again for so long (default: never)",
    )


def _run(args: argparse.Namespace) -> int:
    if args.show_certificate:
        return _show_certificate()
    if args.host is None or args.port is None:
        raise UsageError("Whom to call? pychat HOST PORT.")
    port = parse_port(args.port)
    if args.forget:
        return _forget(args.host, port)
    from pychat_client.hosts import trusted_context

    plain = wants_plain(args.plain)
    if args.handle is None and not sys.stdin.isatty():
        raise HandleError("Who are you? Without a terminal to ask, --handle NAME has to say it.")
    given = None if args.handle is None else check_handle(args.handle)
    context, key = trusted_context(args, port)
    handle = given or _ask_handle(plain)

    import asyncio

    view = make_view("pychat", plain, no_history=args.no_history)
    return asyncio.run(_talk(args, port, handle, view, context=context, key=key))


async def _talk(
    args: argparse.Namespace, port: int, handle: str, view: View, *, context: SSLContext, key: str | None
) -> Exit:
    import asyncio

    from pychat_client.chat import Chat
    from pychat_client.conversation import Endpoint, Role
    from pychat_client.hosts import explain_change
    from pychat_client.link import Link, dial
    from pychat_client.redial import converse

    chat = Chat(Endpoint(Role.PEER, handle), view, f"{printable(args.host)} port {port}", wait=args.wait)
    chat.key = key

    async def connect() -> Link:
        try:
            return await dial(args.host, port, chat, context)
        except Untrusted as error:
            if args.ca:
                raise
            raise await asyncio.to_thread(explain_change, args.host, port, error) from None

    return await converse(chat, view, connect, args.retry_for)


def _show_certificate() -> Exit:
    """Prints this user's certificate; makes the key at the first time."""
    from pychat_client import trust

    path = key_file()
    if not path.exists():
        trust.make_certificate(path, "pychat")
    print(trust.pem(trust.certificate_der(path)), end="")
    return Exit.OK


def _forget(host: str, port: int) -> Exit:
    from pychat_client.trust import KnownHosts

    if not KnownHosts(known_hosts_file()).forget(host, port):
        raise UsageError(f"No key of {printable(host)} port {port} has been accepted.")
    return Exit.OK


def open_standard_streams() -> None:
    """Puts /dev/null where a standard stream is closed, so that no other file gets its descriptor."""
    while (fd := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(fd)
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode))  # noqa: SIM115 -- for the life of the process


def parse_port(word: str) -> int:
    """A port number. Raises UsageError."""
    if not (word.isascii() and word.isdecimal() and 1 <= int(word[:6]) <= 65535):
        raise UsageError(f"'{printable(word)}' is not a port: a number from 1 to 65535 is.")
    return int(word)


def wants_plain(asked: bool) -> bool:
    """Whether there is no terminal that a screen could be drawn on."""
    terminal = sys.stdin.isatty() and sys.stdout.isatty()
    return asked or not terminal or os.environ.get("TERM", "dumb") in ("", "dumb", "unknown")


def make_view(program: str, plain: bool, *, no_history: bool) -> View:
    """The view for this terminal, with `program`'s own history. Loads prompt_toolkit only for a screen."""
    if plain:
        from pychat_client.plain import Plain

        return Plain(program)
    from pychat_client.preferences import load
    from pychat_client.screen import open_screen

    preferences = load()
    return open_screen(history_file(program) if preferences.history and not no_history else None, preferences)


def _ask_handle(plain: bool) -> str:
    if plain:
        from pychat_client.plain import ask_handle as ask
    else:
        from pychat_client.screen import ask_handle as ask
    return ask()
