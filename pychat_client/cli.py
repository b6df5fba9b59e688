"""The command line of `pychat`: calls, and `pychat send`, `replies`, `listen`, `forget`, `certificate`.

Only the options are here, so that `--help` and `--version` load nothing else; each command imports what it needs.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence

from pychat_client import __version__
from pychat_client.command_line import Parser, add_conversation_options, seconds
from pychat_client.entrypoint import print_result, run_main, with_json_end
from pychat_client.errors import ExitStatus, UsageError
from pychat_client.text import is_port, printable


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the client; returns its exit status."""
    words = sys.argv[1:] if argv is None else list(argv)
    return run_main("pychat", lambda: _run(words))


def _run(words: list[str]) -> int:
    if words[:1] == [LIST_TARGETS]:
        return _list_targets()
    args = parse(words)
    return int(args.command(args))


def command_of(words: Sequence[str]) -> str:
    """The command that a command line begins with; CALL where it names none."""
    return words[0] if words and words[0] in PARSERS else CALL


def parse(words: Sequence[str]) -> argparse.Namespace:
    """A command line, parsed by the parser of its command. Options may stand between the other words, but not
    behind the first one of a text."""
    name = command_of(words)
    if name == "send":
        return _parse_send(words[1:])
    parser = PARSERS[name]()
    if name == CALL:
        args, others = parser.parse_known_intermixed_args(words)
        if others:
            _check_command(args)
            parser.error(f"unrecognized arguments: {' '.join(others)}")
        return args
    return parser.parse_intermixed_args(words[1:])


_BEFORE_TEXT: Mapping[str, int] = {"--open": 1, "--expect-reply": 1, "--wait": 1, "--timeout": 2}
"""The options of `pychat send` that may also stand behind HOST PORT, and how many words each has. Others there can
be words of somebody else, which a script sends, and --via would start a program."""


def _parse_send(words: Sequence[str]) -> argparse.Namespace:
    """The command line of `pychat send`; `words` of the result are the target and the text. Raises UsageError
    where a word could be the text or an option."""
    parser = _send_parser()
    args = parser.parse_args(words)
    before = words[: len(words) - len(args.words)]
    if args.words[:1] == ["--"]:  # no option is behind it
        args.words = args.words[1:]
        return args
    begin = 2 if is_port("".join(args.words[1:2])) else 1
    target, text = args.words[:begin], args.words[begin:]
    count = 0
    while count < len(text) and text[count] in _BEFORE_TEXT:
        count += _BEFORE_TEXT[text[count]]
    options, text = text[:count], text[count:]
    first = next(iter(text or options), "")
    if first.startswith("-") and first not in ("-", "--"):
        raise UsageError(
            f"Not sent: '{printable(first)}' could be an option or the text. If it is an option, write it before "
            "the host. If it is the text, write -- before it: pychat send HOST PORT -- TEXT"
        )
    if options:
        args = parser.parse_args([*before, *options])
    args.words = [*target, *(text[1:] if first == "--" else text)]
    return args


def _check_command(args: argparse.Namespace) -> None:
    """Raises UsageError where the first of many words was to be a command: no port follows it."""
    if args.port is not None and not is_port(args.port):
        known = ", ".join(filter(None, PARSERS))
        raise UsageError(f"'{printable(args.host)}' is not a command of pychat; the commands are {known}.")


# ------------------------------------------------------------------ options


def _call_parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="pychat",
        usage="pychat [options] HOST PORT\n       pychat [options] CONTACT\n"
        "       pychat send|replies|listen|forget|certificate [options] ...",
        description="Call another host that runs pychatd, and talk to the person at its console. If a "
        "conversation with that service is still open, go on with it. There are five other commands: 'send' (one "
        "message), 'replies' (print the answers), 'listen' (let somebody call you), 'forget' (remove a host's "
        "saved key) and 'certificate' (print yours). Each has its own help, for example 'pychat send --help'. If "
        "a host has the name of a command, write -- before it: 'pychat -- send 7000' calls the host named send.",
        epilog="Exit status: 0 the conversation ended, 1 failure or connection lost, 2 wrong use, 3 no answer, "
        "4 busy, 5 refused, 6 a message was not sent, 7 the host's key is not trusted, "
        "9 a message was sent but not confirmed, 130 interrupted.",
    )
    _add_target(parser)
    _add_call_options(parser)
    kept = parser.add_argument_group(
        "an open conversation", "If a conversation is still open, pychat goes on with it, unless you use --new."
    )
    kept.add_argument("--new", action="store_true", help="end it, and begin another one")
    kept.add_argument(
        "--take-over", action="store_true", help="go on here, and end the pychat in the other window"
    )
    repeated = "show the last N messages again; N can be 'all' (default: 100)"
    kept.add_argument("--repeat", metavar="N", type=_number, help=repeated)
    group = parser.add_argument_group(
        "classic servers", 'The original ("classic") servers encrypt nothing, and do not confirm messages.'
    )
    group.add_argument("--classic", action="store_true", help="the host runs a classic server")
    hello = group.add_mutually_exclusive_group()
    hello.add_argument("--no-hello", action="store_true", help="send nothing before the first message")
    hello.add_argument("--hello", metavar="TEXT", help="send TEXT (such as 20211) first, instead of your handle")
    group.add_argument("--end-mark", metavar="MARK", help="send MARK, such as @@@, after each message")
    group.add_argument("--quit-word", metavar="WORD", help="send only WORD, such as bye, to end the conversation")
    add_conversation_options(parser)
    parser.add_argument("--version", action="version", version=f"pychat {__version__}")
    parser.add_argument("--forget", action=_Removed, const="'pychat forget HOST PORT'")
    parser.add_argument("--show-certificate", action=_Removed, const="'pychat certificate'")
    parser.set_defaults(command=_call)
    return parser


def _send_parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="pychat send",
        usage="pychat send [options] HOST PORT [--] [TEXT ...]\n"
        "       pychat send [options] CONTACT [--] [TEXT ...]",
        description="Send one message. The command ends when the message is stored on the other host. From its "
        "first word on, everything is text. Write -- before a text that begins with -, or that somebody else has "
        "written.",
        epilog="Exit status: 0 stored (and answered), 1 failure or connection lost, 2 wrong use, 3 no answer to "
        "the call, 4 busy, 5 refused, 6 not sent, 7 the host's key is not trusted, "
        "8 stored, but no reply came, 9 sent but not confirmed: it may have arrived, 130 interrupted.",
    )
    parser.add_argument(
        "words",
        metavar="TEXT",
        nargs=argparse.REMAINDER,
        help="the message; without TEXT, or with -, pychat reads it from stdin",
    )
    parser.add_argument("--expect-reply", action="store_true", help="wait for a reply, and print it")
    parser.add_argument(
        "--open",
        action="store_true",
        help="leave the conversation open: 'pychat replies HOST PORT' prints the answers",
    )
    parser.add_argument(
        "--timeout", metavar="SECONDS", type=seconds, help="give up after this many seconds (default: never)"
    )
    _add_call_options(parser)
    parser.set_defaults(**_NOT_OPTIONS, command=_send)
    return parser


def _replies_parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="pychat replies",
        usage="pychat replies [options] HOST PORT\n       pychat replies [options] CONTACT",
        description="Print the messages that have come since you left a conversation open, with "
        "'pychat send --open HOST PORT' or \\detach. The conversation stays open.",
        epilog="Exit status: 0 printed, 1 failure or connection lost, 2 wrong use, 3 no answer to the call, or no "
        "conversation is open, 4 the conversation is open in another window, 5 refused, 7 the host's key is not "
        "trusted, 8 nothing has come, 130 interrupted.",
    )
    _add_target(parser)
    parser.add_argument("--wait", action="store_true", help="wait until a message comes")
    parser.add_argument("--json", action="store_true", help="print JSON objects, one per line")
    parser.set_defaults(
        **_NOT_OPTIONS,
        handle=None,
        fingerprint=None,
        accept_new=False,
        invite=None,
        via=None,
        ca=False,
        command=_replies,
    )
    return parser


def _listen_parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="pychat listen",
        usage="pychat listen [options] [PORT]",
        description="Let somebody call you: start a service of your own, without turns, print the command for the "
        "other person, with an invitation in it, and open the console. The service ends with the console. This "
        "needs the package pychatd on this host.",
        epilog="Exit status: that of pychatd-console, or of pychatd if the service cannot start.",
    )
    parser.add_argument("port", metavar="PORT", nargs="?", help="the port (default: 7000, or any that is free)")
    parser.add_argument(
        "--host",
        metavar="HOST",
        help="the name or address with which the other person reaches this host (default: its name)",
    )
    parser.add_argument("--for", dest="name", metavar="NAME", help="who is invited (default: guest1, guest2, …)")
    parser.add_argument("--handle", metavar="NAME", help="your handle: one word of at most 10 characters")
    parser.add_argument("--keep", action="store_true", help="the service goes on when the console ends")
    parser.add_argument("--live", action="store_true", help="live typing, as for a call")
    parser.add_argument("--plain", action="store_true", help="plain lines on stdin and stdout, no screen")
    parser.add_argument("--runtime-directory", metavar="DIR", help="as for pychatd")
    parser.add_argument("--state-directory", metavar="DIR", help="as for pychatd")
    parser.set_defaults(command=_listen)
    return parser


def _forget_parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="pychat forget",
        usage="pychat forget HOST PORT\n       pychat forget CONTACT",
        description="Remove the saved key of a host. The next call shows its key, and asks whether to trust it.",
        epilog="Exit status: 0 removed, 1 failure, 2 wrong use, or no key of that host is saved.",
    )
    _add_target(parser)
    parser.set_defaults(command=_forget)
    return parser


def _certificate_parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="pychat certificate",
        description="Print your certificate. Send it to the operator of a host that has an allowlist. The "
        "first time, this also makes your key.",
        epilog="Exit status: 0 printed, 1 failure, 2 wrong use.",
    )
    parser.set_defaults(command=_certificate)
    return parser


def _add_target(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "host",
        metavar="HOST",
        nargs="?",
        help="host name or address; without PORT, a contact from your configuration",
    )
    parser.add_argument("port", metavar="PORT", nargs="?", help="the port of the service there")


def _add_call_options(parser: argparse.ArgumentParser) -> None:
    """The options of every call."""
    parser.add_argument("--handle", metavar="NAME", help="your handle: one word of at most 10 characters")
    trust = parser.add_mutually_exclusive_group()
    trust.add_argument(
        "--fingerprint", metavar="SHA256:…", help="accept the host only if its certificate has this fingerprint"
    )
    trust.add_argument("--accept-new", action="store_true", help="accept an unknown host's key without asking")
    trust.add_argument("--invite", metavar="INVITATION", help="call with an invitation that the operator sent you")
    trust.add_argument("--ca", action="store_true", help="trust certificates signed by the system's CAs")
    parser.add_argument(
        "--via", metavar="COMMAND", help="connect through a program, such as 'ssh -W %%h:%%p HOST'"
    )
    parser.add_argument("--wait", action="store_true", help="keep calling until the service is free")


class _Removed(argparse.Action):
    """An option that has become a command: refuses it, and names the command."""

    def __init__(self, option_strings: Sequence[str], dest: str, const: str) -> None:
        super().__init__(option_strings, dest, nargs=0, const=const, help=argparse.SUPPRESS)

    def __call__(self, *_: object) -> None:
        raise UsageError(f"{self.option_strings[0]} is now {self.const}.")


# ------------------------------------------------------------------ commands


def _number(word: str) -> int:
    """A number of messages. Raises UsageError."""
    from pychat_client.protocol.saved import ALL

    if word == "all":
        return ALL
    if word.isascii() and word.isdecimal() and len(word) < len(str(ALL)):
        return int(word)
    raise UsageError(f"'{printable(word)}' is not a number of messages, such as 20, or 'all'.")


_NOT_OPTIONS: Mapping[str, object] = {
    "retry_for": None,
    "classic": False,
    "no_hello": False,
    "hello": None,
    "end_mark": None,
    "quit_word": None,
    "new": False,
    "take_over": False,
    "repeat": 0,
}
"""What only a call has options for, as `pychat send` and `pychat replies` have it."""


def _call(args: argparse.Namespace) -> int:
    return with_json_end(lambda: _talk(args)) if args.json else _talk(args)


def _talk(args: argparse.Namespace) -> int:
    from pychat_client.call_options import resolve
    from pychat_client.config import preferences, targets

    liked = preferences.load()
    options = resolve(args, targets.find(_target(args), liked.contacts), liked)

    from pychat_client.calling import call  # only now: a wrong command line needs no asyncio
    from pychat_client.ui.choose_view import ViewOptions

    view = ViewOptions(plain=args.plain, json=args.json, history=not args.no_history, live=args.live, log=args.log)
    return call(options, view, liked)


def _send(args: argparse.Namespace) -> int:
    from pychat_client.call_options import resolve
    from pychat_client.config import preferences, targets

    liked = preferences.load()
    contact, words = targets.find_before_text(args.words, liked.contacts)
    options = resolve(args, contact, liked)

    from pychat_client.calling import send  # only now, as above

    return send(options, words, liked, expect_reply=args.expect_reply, stay_open=args.open, seconds=args.timeout)


def _replies(args: argparse.Namespace) -> int:
    from pychat_client.call_options import resolve
    from pychat_client.config import preferences, targets

    liked = preferences.load()
    options = resolve(args, targets.find(_target(args), liked.contacts, "pychat replies"), liked)

    from pychat_client.calling import replies  # only now, as above

    return replies(options, liked, wait=args.wait, as_json=args.json)


def _listen(args: argparse.Namespace) -> int:
    from pychat_client.listen import Listen, listen
    from pychat_client.text import check_handle, parse_port

    handle = () if args.handle is None else ("--handle", check_handle(args.handle))
    options = Listen(
        port=None if args.port is None else parse_port(args.port),
        host=args.host,
        name=args.name,
        keep=args.keep,
        places=() if args.runtime_directory is None else ("--runtime-directory", args.runtime_directory),
        state=() if args.state_directory is None else ("--state-directory", args.state_directory),
        console=(*handle, *(("--live",) if args.live else ()), *(("--plain",) if args.plain else ())),
    )
    return listen(options)


def _forget(args: argparse.Namespace) -> int:
    from pychat_client.config import preferences, targets
    from pychat_client.config.host_names import host_name
    from pychat_client.config.paths import known_hosts_file
    from pychat_client.trust.known_hosts import KnownHosts

    contact = targets.find(_target(args), preferences.load().contacts, "pychat forget")
    host = host_name(contact.host)
    if not KnownHosts(known_hosts_file()).forget(host, contact.port):
        raise UsageError(f"No key is saved for {printable(host)} port {contact.port}.")
    return ExitStatus.OK


def _target(args: argparse.Namespace) -> list[str]:
    return [word for word in (args.host, args.port) if word is not None]


def _certificate(_: argparse.Namespace) -> int:
    from pychat_client.own_key import own_certificate
    from pychat_client.trust import certificates

    print_result(certificates.pem(own_certificate()).rstrip("\n"))
    return ExitStatus.OK


def _list_targets() -> int:
    from pychat_client.config import preferences, targets

    if listed := targets.listed(preferences.load()):
        print_result("\n".join(listed))
    return ExitStatus.OK


LIST_TARGETS = "--list-targets"
"""As the first word: print what can follow `pychat`. It is for the completion of shells, so no help shows it."""

CALL = ""
"""What stands for a call, which has no command word, among the commands."""

PARSERS: Mapping[str, Callable[[], argparse.ArgumentParser]] = {
    CALL: _call_parser,
    "send": _send_parser,
    "replies": _replies_parser,
    "listen": _listen_parser,
    "forget": _forget_parser,
    "certificate": _certificate_parser,
}
