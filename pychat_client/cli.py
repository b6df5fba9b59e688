"""`pychat HOST PORT`: the command line of the client."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pychat_client import __version__
from pychat_client.errors import Exit, HandleError, PychatError, UsageError
from pychat_client.text import check_handle, printable

if TYPE_CHECKING:
    from pychat_client.chat import View


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the client; returns its exit status."""
    open_standard_streams()
    try:
        return _run(_parser().parse_args(argv))
    except PychatError as error:
        print(f"pychat: {error}", file=sys.stderr)
        return error.status
    except (KeyboardInterrupt, EOFError):
        return Exit.INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="pychat",
        description="Talk with the person at a pychatd on another host.",
        epilog="Exit status: 0 the conversation ended, 1 failure or connection lost, 2 wrong use, 3 nobody "
        "answers, 4 the line is taken, 5 refused, 6 something was not delivered, 130 interrupted.",
    )
    parser.add_argument("host", metavar="HOST", help="name or address of the host")
    parser.add_argument("port", metavar="PORT", help="port of its pychatd")
    parser.add_argument("--handle", metavar="NAME", help="your handle: one word of at most 10 characters")
    parser.add_argument("--wait", action="store_true", help="while the line is taken, try again until it is free")
    add_view_options(parser)
    parser.add_argument("--version", action="version", version=f"pychat {__version__}")
    return parser


def add_view_options(parser: argparse.ArgumentParser) -> None:
    """The options that both the client and the console have."""
    parser.add_argument("--plain", action="store_true", help="plain lines on stdin and stdout, no screen")
    parser.add_argument(
        "--retry-for",
        metavar="SECONDS",
        type=float,
        help="give up when a connection that was cut cannot be made again for so long (default: never)",
    )


def _run(args: argparse.Namespace) -> int:
    port = parse_port(args.port)
    plain = wants_plain(args.plain)
    if args.handle is not None:
        handle = check_handle(args.handle)
    elif not sys.stdin.isatty():
        raise HandleError("Who are you? Without a terminal to ask, --handle NAME has to say it.")
    else:
        handle = _ask_handle(plain)

    import asyncio

    return asyncio.run(_talk(args, port, handle, make_view("pychat", plain)))


async def _talk(args: argparse.Namespace, port: int, handle: str, view: View) -> Exit:
    from pychat_client.chat import Chat
    from pychat_client.conversation import Endpoint, Role
    from pychat_client.link import dial
    from pychat_client.redial import converse

    chat = Chat(Endpoint(Role.PEER, handle), view, f"{printable(args.host)} port {port}", wait=args.wait)
    return await converse(chat, view, lambda: dial(args.host, port, chat), args.retry_for)


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


def make_view(program: str, plain: bool) -> View:
    """The view for this terminal, with `program`'s own history. Loads prompt_toolkit only for a screen."""
    if plain:
        from pychat_client.plain import Plain

        return Plain(program)
    from pychat_client.screen import Screen

    return Screen(history_file(program))


def history_file(program: str) -> Path:
    """Where the lines typed into `program` are kept (XDG base directories)."""
    state = os.environ.get("XDG_STATE_HOME", "")
    base = Path(state) if state.startswith("/") else Path.home() / ".local/state"
    return base / "pychat" / f"{program}-history"


def _ask_handle(plain: bool) -> str:
    if plain:
        from pychat_client.plain import ask_handle as ask
    else:
        from pychat_client.screen import ask_handle as ask
    return ask()
