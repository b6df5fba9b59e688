"""`pychat HOST PORT`, `pychat NAME`, `pychat send`: the command lines of the client."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from pychat_client import __version__, classic_options
from pychat_client.config.paths import history_file, key_file, known_hosts_file
from pychat_client.errors import (
    ExitStatus,
    HandleError,
    PychatError,
    UnreachableError,
    UntrustedHostError,
    UsageError,
)
from pychat_client.text import check_handle, printable

TYPE_CHECKING = False  # as typing's, which takes a tenth of the time of `pychat --version` to load
if TYPE_CHECKING:
    from ssl import SSLContext

    from pychat_client.config.preferences import Preferences
    from pychat_client.session.transcript import Transcript
    from pychat_client.ui.front_end import FrontEnd


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the client; returns its exit status."""
    words = sys.argv[1:] if argv is None else list(argv)
    if words[:1] == ["send"]:
        return guarded("pychat", lambda: _send(_send_parser().parse_intermixed_args(words[1:])))
    return guarded("pychat", lambda: reporting(_parser().parse_args(words), _run))


def guarded(program: str, run: Callable[[], int]) -> int:
    """Runs a program; what went wrong is a sentence on stderr and an exit status, never a traceback."""
    open_standard_streams()
    try:
        return int(run())
    except PychatError as error:
        print(f"{program}: {error}", file=sys.stderr)
        return error.status
    except (KeyboardInterrupt, EOFError):
        return ExitStatus.INTERRUPTED


def reporting(args: argparse.Namespace, run: Callable[[argparse.Namespace], int]) -> int:
    """Runs a conversation; with --json its end is an object too."""
    if not args.json:
        return run(args)
    from pychat_client.ui.json_objects import reported

    return reported(lambda: run(args))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="pychat",
        description="Talk with the person at a pychatd on another host. 'pychat send --help' tells how to send "
        "one message and leave.",
        epilog="Exit status: 0 the conversation ended, 1 failure or connection lost, 2 wrong use, 3 nobody "
        "answers, 4 the line is taken, 5 refused, 6 something was not sent, 7 the host's key is not "
        "the accepted one, 9 something was sent and not confirmed, 130 interrupted.",
    )
    parser.add_argument(
        "host",
        metavar="HOST",
        nargs="?",
        help="name or address; alone, a line's name in your configuration",
    )
    parser.add_argument("port", metavar="PORT", nargs="?", help="port of its pychatd")
    parser.add_argument(
        "--show-certificate", action="store_true", help="print your certificate, for a host's list of who may call"
    )
    trust = _add_call_options(parser)
    trust.add_argument("--forget", action="store_true", help="remove the accepted key of HOST PORT, and leave")
    classic_options.add(parser)
    parser.add_argument("--list-lines", action="store_true", help=argparse.SUPPRESS)  # for shells' completion
    add_view_options(parser)
    parser.add_argument("--version", action="version", version=f"pychat {__version__}")
    return parser


def _send_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="pychat send",
        usage="pychat send [options] HOST PORT [TEXT ...]\n       pychat send [options] NAME [TEXT ...]",
        description="Send one message, and leave once it is stored on the other host. A host that is really "
        "called 'send' is called with 'pychat -- send PORT'.",
        epilog="Exit status: 0 stored (and answered), 1 failure or connection lost, 2 wrong use, 3 nobody "
        "answers, 4 the line is taken, 5 refused, 6 not sent, 7 the host's key is not the accepted one, "
        "8 stored, but not answered, 9 sent and not confirmed: it may have arrived, 130 interrupted.",
    )
    parser.add_argument("words", metavar="TEXT", nargs="*", help="the message; from stdin without one, or for -")
    parser.add_argument("--expect-reply", action="store_true", help="wait for the answer, and print it")
    parser.add_argument(
        "--timeout", metavar="SECONDS", type=seconds, help="give up after so long (default: never)"
    )
    _add_call_options(parser)
    parser.set_defaults(retry_for=None, classic=False, plain=False)
    return parser


def _add_call_options(parser: argparse.ArgumentParser) -> argparse._MutuallyExclusiveGroup:
    """The options of every call; returns the group of those that exclude each other."""
    parser.add_argument("--handle", metavar="NAME", help="your handle: one word of at most 10 characters")
    trust = parser.add_mutually_exclusive_group()
    trust.add_argument("--fingerprint", metavar="SHA256:…", help="accept the host's key only if it is this one")
    trust.add_argument("--accept-new", action="store_true", help="accept an unknown host's key without asking")
    trust.add_argument(
        "--ca", action="store_true", help="trust whom the system's certificate authorities vouch for"
    )
    parser.add_argument("--wait", action="store_true", help="call until the line is free and somebody answers")
    return trust


def seconds(word: str) -> float:
    """A time limit of the command line. Raises argparse's error for a bad one."""
    with suppress(ValueError):
        number = float(word)
        if 0 < number < float("inf"):
            return number
    raise argparse.ArgumentTypeError(
        f"'{printable(word)}' is no number of seconds: more than 0 is needed, such as 30."
    )


def add_view_options(parser: argparse.ArgumentParser) -> None:
    """The options that both the client and the console have."""
    parser.add_argument("--plain", action="store_true", help="plain lines on stdin and stdout, no screen")
    parser.add_argument("--json", action="store_true", help="JSON objects, one a line, on stdin and stdout")
    parser.add_argument("--log", metavar="FILE", type=Path, help="append what is said to FILE (made 0600)")
    parser.add_argument("--no-history", action="store_true", help="keep no line typed, and offer none of before")
    parser.add_argument(
        "--retry-for",
        metavar="SECONDS",
        type=seconds,
        help="give up when a connection that was cut cannot be made again for so long (default: never)",
    )


def _run(args: argparse.Namespace) -> int:
    if args.show_certificate:
        return _show_certificate()
    from pychat_client.config import targets
    from pychat_client.config.preferences import load

    preferences = load()
    if args.list_lines:
        for words in targets.listed(preferences):
            print(words)
        return ExitStatus.OK
    called = [word for word in (args.host, args.port) if word is not None]
    targets.use(targets.find(called, preferences.lines), preferences, args)
    if args.forget:
        return _forget(args.host, args.port)
    plain = args.json or wants_plain(args.plain)
    if args.handle is None and not sys.stdin.isatty():
        raise HandleError("Who are you? Without a terminal to ask, --handle NAME has to say it.")
    given = None if args.handle is None else check_handle(args.handle)
    classic_options.check(args)
    log = open_log(args)
    waiting = args.retry_for if args.wait else None
    context, key = (None, None) if args.classic else _trusted_context(args, preferences, waiting)
    handle = given or _ask_handle(plain)

    import asyncio

    view = make_view("pychat", args)
    return asyncio.run(_talk(args, args.port, handle, view, context=context, key=key, log=log))


def _send(args: argparse.Namespace) -> int:
    from pychat_client.config import targets
    from pychat_client.config.preferences import load
    from pychat_client.ui.one_shot import OneShot, text_of

    preferences = load()
    line, words = targets.find_before_text(args.words, preferences.lines)
    targets.use(line, preferences, args)
    handle = targets.login_handle() if args.handle is None else check_handle(args.handle)
    if handle is None:
        raise HandleError("Who are you? Your user's name is no handle: --handle NAME has to say it.")
    text = text_of(words)
    view = OneShot(text, expect_reply=args.expect_reply, seconds=args.timeout)
    for number in (signal.SIGTERM, signal.SIGHUP):  # until the chat takes them
        signal.signal(number, signal.default_int_handler)
    try:
        context, key = _trusted_context(args, preferences, args.timeout)
    except (PychatError, KeyboardInterrupt):  # the input cannot be read again
        view.not_sent(text)
        view.report()
        raise

    import asyncio

    status = asyncio.run(_talk(args, args.port, handle, view, context=context, key=key))
    if status is not ExitStatus.OK:
        view.report()
    return status


def _trusted_context(
    args: argparse.Namespace, preferences: Preferences, seconds: float | None
) -> tuple[SSLContext, str | None]:
    """hosts.trusted_context; with --wait again and again until the host answers, or `seconds` are over."""
    from pychat_client.session.reconnect import PAUSE_FIRST, PAUSE_MAX
    from pychat_client.transport.connect import DIAL_SECONDS
    from pychat_client.transport.verify_host import trusted_context

    end = float("inf") if seconds is None else time.monotonic() + seconds
    pause, call = PAUSE_FIRST, None
    while True:
        try:
            return trusted_context(args, args.port, min(DIAL_SECONDS, max(end - time.monotonic(), 0.1)), call)
        except UnreachableError as error:
            if not args.wait or time.monotonic() + pause > end:
                raise
            if pause == PAUSE_FIRST:
                print(f"pychat: {error} Calling until somebody answers.", file=sys.stderr)
                call = _caller(args, preferences)  # who waits for the answer may look elsewhere
        time.sleep(pause)
        pause = min(pause * 2, PAUSE_MAX)


def _caller(args: argparse.Namespace, preferences: Preferences) -> Callable[[str], None]:
    """What calls the user while there is no view yet."""
    from dataclasses import replace

    from pychat_client.ui.alerts import Alerts

    if wants_plain(args.plain):
        preferences = replace(preferences, notify="off")  # which would be an escape sequence
    alerts = Alerts(
        preferences,
        lambda sequence: print(sequence, end="", file=sys.stderr, flush=True),
        lambda sentence: print(f"pychat: {sentence}", file=sys.stderr),
    )
    return lambda words: alerts.alert(words, ring=True)


async def _talk(
    args: argparse.Namespace,
    port: int,
    handle: str,
    front_end: FrontEnd,
    *,
    context: SSLContext | None,
    key: str | None,
    log: Transcript | None = None,
) -> ExitStatus:
    import asyncio

    from pychat_client.protocol.endpoint import Endpoint
    from pychat_client.session.session import Session, run_session
    from pychat_client.transport.connect import dial
    from pychat_client.transport.connection import Connection
    from pychat_client.transport.verify_host import explain_change

    end = Endpoint(handle)
    codec = classic_options.codec(args, end) if args.classic else None
    title = f"{printable(args.host)} port {port}"
    session = Session(end, front_end, title, wait=args.wait, key=key, transcript=log)

    async def connect() -> Connection:
        try:
            return await dial(args.host, port, session, context, codec)
        except UntrustedHostError as error:
            if key is None:
                raise
            raise await asyncio.to_thread(explain_change, args.host, port, key, error) from None

    return await run_session(session, front_end.run, connect, args.retry_for)


def _show_certificate() -> ExitStatus:
    """Prints this user's certificate; makes the key at the first time."""
    from pychat_client import files
    from pychat_client.trust import certificates

    path = key_file()
    if path.exists():
        files.make_sure(path)
    else:
        certificates.make_certificate(path, "pychat")
    print(certificates.pem(certificates.certificate_der(path)), end="")
    return ExitStatus.OK


def _forget(host: str, port: int) -> ExitStatus:
    from pychat_client.trust.known_hosts import KnownHosts

    if not KnownHosts(known_hosts_file()).forget(host, port):
        raise UsageError(f"No key of {printable(host)} port {port} has been accepted.")
    return ExitStatus.OK


def open_standard_streams() -> None:
    """Puts /dev/null where a standard stream is closed, so that no other file gets its descriptor."""
    while (fd := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(fd)
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode))  # noqa: SIM115 -- for the life of the process


def wants_plain(asked: bool) -> bool:
    """Whether there is no terminal that a screen could be drawn on."""
    terminal = sys.stdin.isatty() and sys.stdout.isatty()
    return asked or not terminal or os.environ.get("TERM", "dumb") in ("", "dumb", "unknown")


def open_log(args: argparse.Namespace) -> Transcript:
    """The transcript that --log asks for; one that goes nowhere without it. Raises UsageError."""
    from pychat_client.session.transcript import Transcript

    return Transcript(args.log)


def make_view(program: str, args: argparse.Namespace) -> FrontEnd:
    """The view that `args` and this terminal want, with `program`'s own history. Loads prompt_toolkit only
    for a screen."""
    if args.json:
        from pychat_client.ui.json_lines import JsonLines

        return JsonLines()
    from pychat_client.config.preferences import load

    preferences = load()
    if wants_plain(args.plain):
        from pychat_client.ui.plain import Plain

        return Plain(program, preferences)
    from pychat_client.ui.screen import open_screen

    return open_screen(history_file(program) if preferences.history and not args.no_history else None, preferences)


def _ask_handle(plain: bool) -> str:
    if plain:
        from pychat_client.ui.plain import ask_handle as ask
    else:
        from pychat_client.ui.prompt import ask_handle as ask
    return ask()
