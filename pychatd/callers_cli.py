"""The commands of `pychatd` that say who may call: `invite`, `invitations` and `authorized`.

They ask the running daemon over its console socket, so that it knows at once.
"""

from __future__ import annotations

import argparse
import re
import socket
from collections.abc import Sequence
from typing import Any

from pychat_client.entrypoint import print_result
from pychat_client.errors import ExitStatus, UsageError
from pychat_client.text import parse_port, printable
from pychatd import services
from pychatd.control import manage

VALID = "1d"
"""How long an invitation is valid: the other user can sleep over it."""

VALID_MAX = 366 * 86400
"""Seconds: an invitation that is valid for longer than a year is rather forgotten than used."""

_UNITS = {"m": 60, "h": 3600, "d": 86400}


def add_commands(commands: Any) -> list[argparse.ArgumentParser]:
    """Adds the commands to those of `pychatd`; returns their parsers."""
    words = "print the command with which one more person can call, without any question"
    invite = commands.add_parser("invite", help=words, description=f"{words[0].upper()}{words[1:]}.")
    invite.add_argument("port", metavar="PORT", help="the port of the service")
    invite.add_argument("--for", dest="name", metavar="NAME", help="who is invited (default: guest1, guest2, …)")
    invite.add_argument(
        "--valid", metavar="TIME", type=_seconds, default=VALID, help="such as 30m, 12h or 7d (default: 1d)"
    )
    invite.add_argument("--host", metavar="HOST", help="what the other user calls this host (default: its name)")
    invite.set_defaults(command=_invite)
    words = "list the invitations, or revoke one"
    invitations = commands.add_parser("invitations", help=words, description=f"{words[0].upper()}{words[1:]}.")
    invitations.add_argument("port", metavar="PORT", help="the port of the service")
    invitations.add_argument("--revoke", metavar="NAME", help="the invitation of NAME lets nobody in any more")
    invitations.set_defaults(command=_invitations)
    words = "list who may call with a certificate, or change that"
    authorized = commands.add_parser("authorized", help=words, description=f"{words[0].upper()}{words[1:]}.")
    authorized.add_argument("port", metavar="PORT", help="the port of the service")
    change = authorized.add_mutually_exclusive_group()
    change.add_argument("--rename", metavar=("NAME", "NEW"), nargs=2, help="give an invited caller another name")
    change.add_argument("--remove", metavar="NAME", help="put an invited caller out, now and for good")
    authorized.set_defaults(command=_authorized)
    return [invite, invitations, authorized]


def _seconds(word: str) -> int:
    found = re.fullmatch(r"([1-9][0-9]{0,5})([mhd])", word)
    if found is None or (seconds := int(found[1]) * _UNITS[found[2]]) > VALID_MAX:
        raise argparse.ArgumentTypeError(
            f"'{printable(word)}' is not a time from 1m to 366d, such as 30m, 12h or 7d."
        )
    return seconds


def _ask(args: argparse.Namespace, question: dict[str, Any]) -> Sequence[dict[str, str]]:
    port = parse_port(args.port)
    found = services.running(port, args.runtime_directory)
    if not found:
        raise services.not_running(port, args.runtime_directory)
    return manage(services.only_one(found).socket, question)


def _invite(args: argparse.Namespace) -> int:
    host = args.host or socket.gethostname()
    if printable(host) != host or not host or set(host) & set(" /@[]"):
        raise UsageError(f"'{printable(host)}' is not the name or the address of a host.")
    (answer,) = _ask(args, {"do": "invite", "name": args.name, "seconds": args.valid})
    print_result(lines_of(host, parse_port(args.port), answer))
    return ExitStatus.OK


def lines_of(host: str, port: int, answer: dict[str, str]) -> str:
    """What the operator sends to the other user."""
    word = printable(answer["invitation"])
    url_host = f"[{host}]" if ":" in host else host
    name, until = printable(answer["name"]), printable(answer["until"])
    return (
        f"Send one of these lines to {name}. It works once, until {until}:\n"
        f"\n    pychat {host} {port} --invite {word}\n"
        f"\n    pychat pychat://{url_host}:{port}/{word}\n"
    )


def _invitations(args: argparse.Namespace) -> int:
    if args.revoke is not None:
        _ask(args, {"do": "revoke", "name": args.revoke})
        return ExitStatus.OK
    rows = [(row["name"], row["state"], f"until {row['until']}") for row in _ask(args, {"do": "invitations"})]
    return _print_table(rows, "There are no invitations.")


def _authorized(args: argparse.Namespace) -> int:
    if args.rename is not None:
        _ask(args, {"do": "rename", "name": args.rename[0], "new": args.rename[1]})
        return ExitStatus.OK
    if args.remove is not None:
        _ask(args, {"do": "remove", "name": args.remove})
        return ExitStatus.OK
    rows = [(row["name"], row["by"], row["fingerprint"]) for row in _ask(args, {"do": "authorized"})]
    return _print_table(rows, "Nobody has been invited, and there is no allowlist.")


def _print_table(rows: list[tuple[str, str, str]], empty: str) -> int:
    shown = [[printable(cell) for cell in row] for row in rows]
    widths = [max((len(row[column]) for row in shown), default=0) for column in range(3)]
    lines = [
        "  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in shown
    ]
    print_result("\n".join(lines) if lines else empty)
    return ExitStatus.OK
