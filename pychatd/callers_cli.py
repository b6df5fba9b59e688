"""The commands of `pychatd` that say who may call: `invite`, `invitations` and `authorized`.

They ask the running daemon over its console socket, so that it knows at once.
"""

from __future__ import annotations

import argparse
import socket
from collections.abc import Sequence
from typing import Any

from pychat_client.entrypoint import print_result
from pychat_client.errors import ExitStatus, ProtocolError, UsageError
from pychat_client.protocol import grammar
from pychat_client.text import parse_port, printable
from pychatd import services
from pychatd.control import callers


def _ask(args: argparse.Namespace, verb: str, **arguments: Any) -> Sequence[dict[str, str]]:
    port = parse_port(args.port)
    found = services.running(port, args.runtime_directory)
    if not found:
        raise services.not_running(port, args.runtime_directory)
    return callers(services.only_one(found).socket, verb, **arguments)


def invite(args: argparse.Namespace) -> int:
    host = args.host or socket.gethostname()
    if printable(host) != host or not host or set(host) & set(" /@[]"):
        raise UsageError(f"'{printable(host)}' is not the name or the address of a host.")
    (answer,) = _ask(args, "invite", name=args.name, seconds=args.valid)
    print_result(lines_of(host, parse_port(args.port), answer))
    return ExitStatus.OK


def lines_of(host: str, port: int, answer: dict[str, str]) -> str:
    """What the operator sends to the other user."""
    word = printable(answer["invitation"])
    url_host = f"[{host}]" if ":" in host else host
    name, until = printable(answer["name"]), _local_time(answer["until"])
    return (
        f"Send one of these two lines to {name}. The invitation works once, until {until}:\n"
        f"\n    pychat {host} {port} --invite {word}\n"
        f"\n    pychat pychat://{url_host}:{port}/{word}\n"
    )


def invitations(args: argparse.Namespace) -> int:
    if args.revoke is not None:
        _ask(args, "revoke", name=args.revoke)
        return ExitStatus.OK
    rows = [(row["name"], row["state"], f"until {_local_time(row['until'])}") for row in _ask(args, "invitations")]
    return _print_table(rows, "There are no invitations.")


def authorized(args: argparse.Namespace) -> int:
    if args.rename is not None:
        _ask(args, "rename", name=args.rename[0], new=args.rename[1])
        return ExitStatus.OK
    if args.remove is not None:
        _ask(args, "remove", name=args.remove)
        return ExitStatus.OK
    rows = [(row["name"], row["by"], row["fingerprint"]) for row in _ask(args, "authorized")]
    others = f"'pychatd invitations {printable(args.port)}' lists the invitations."
    return _print_table(rows, f"Nobody may call with a certificate yet. {others}")


def _local_time(word: str) -> str:
    """A time of the daemon's as the clock of this host shows it."""
    try:
        return f"{grammar.time(word).astimezone():%H:%M on %d %B}"
    except ProtocolError:  # not from one of our daemons
        return printable(word)


def _print_table(rows: list[tuple[str, str, str]], empty: str) -> int:
    shown = [[printable(cell) for cell in row] for row in rows]
    widths = [max((len(row[column]) for row in shown), default=0) for column in range(3)]
    lines = [
        "  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in shown
    ]
    print_result("\n".join(lines) if lines else empty)
    return ExitStatus.OK
