"""The commands of `pychatd` that say who may call: `invite`, `invitations` and `authorized`.

They ask the running daemon over its console socket, so that it knows at once.
"""

from __future__ import annotations

import argparse
import socket
import sys
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from ipaddress import ip_address
from typing import Any

from pychat_client.config.host_names import host_name
from pychat_client.dates import day
from pychat_client.entrypoint import print_result
from pychat_client.errors import ExitStatus, TransportError, UsageError
from pychat_client.protocol import grammar
from pychat_client.text import parse_port, printable
from pychat_client.trust import invitation
from pychat_client.trust.fingerprint import check_fingerprint
from pychatd import services
from pychatd.control import Readers, callers

_INVITATION: Readers = {"invitation": invitation.parse, "name": printable, "until": grammar.time}
_INVITED: Readers = {"name": printable, "state": printable, "until": grammar.time}
_AUTHORIZED: Readers = {"name": printable, "by": printable, "fingerprint": check_fingerprint}
_WHEN = {"used": "at", "revoked": "at", "too old": "since"}
"""What the time of an invitation tells of one that is not open any more."""

LOCAL = (
    "The service listens on this host only, so nobody can call it from another one. Let it listen on other "
    "addresses ('listen'; under systemd ListenStream= of its socket), or name with --host the end of a tunnel "
    "that leads here."
)

_SENTENCE: Readers = {"words": printable}
_NOTHING: Readers = {}


def _ask(args: argparse.Namespace, verb: str, readers: Readers, **arguments: Any) -> Sequence[dict[str, Any]]:
    place = services.the_running(parse_port(args.port), args.runtime_directory)
    return callers(place.socket, verb, readers, **arguments)


def invite(args: argparse.Namespace) -> int:
    host = _host(args.host or socket.gethostname())
    answers = _ask(args, "invite", _INVITATION, name=args.name, seconds=int(args.valid.total_seconds()))
    if len(answers) != 1:
        raise TransportError("The daemon has not answered with an invitation.")
    port = parse_port(args.port)
    print_result(_lines_of(host, port, answers[0]))
    if args.host is None and services.is_local(port):  # a given one may be the other end of a tunnel
        print(f"pychatd: {LOCAL}", file=sys.stderr)
    return ExitStatus.OK


def _host(word: str) -> str:
    """A host as pychat calls it, also from an address such as `pychat://HOST:7000/`. Raises UsageError."""
    host = host_name(word)
    if set(host) & set("/@[]") or (":" in host and not _is_address(host)):
        raise UsageError(f"'{host}' is not the name or the address of a host. Give it without a port.")
    return host


def _is_address(word: str) -> bool:
    with suppress(ValueError):
        ip_address(word)
        return True
    return False


def _lines_of(host: str, port: int, answer: dict[str, Any]) -> str:
    """What the operator sends to the other user."""
    word, name, until = (answer[key] for key in ("invitation", "name", "until"))
    url_host = f"[{host}]" if ":" in host else host
    return (
        f"Send one of these two lines to the person whom you invite (shown as {name}).\n"
        f"The invitation works once, until {_local_time(until)}:\n"
        f"\n    pychat {host} {port} --invite {word}\n"
        f"\n    pychat pychat://{url_host}:{port}/{word}\n"
    )


def invitations(args: argparse.Namespace) -> int:
    if args.revoke is not None:
        _ask(args, "revoke", _NOTHING, name=args.revoke)
        return ExitStatus.OK
    rows = [
        (row["name"], row["state"], f"{_WHEN.get(row['state'], 'until')} {_local_time(row['until'])}")
        for row in _ask(args, "invitations", _INVITED)
    ]
    return _print_table(rows, "There are no invitations.")


def authorized(args: argparse.Namespace) -> int:
    if args.rename is not None:
        _ask(args, "rename", _NOTHING, name=args.rename[0], new=args.rename[1])
        return ExitStatus.OK
    if args.remove is not None:
        print_result("\n".join(row["words"] for row in _ask(args, "remove", _SENTENCE, name=args.remove)))
        return ExitStatus.OK
    rows = [(row["name"], row["by"], row["fingerprint"]) for row in _ask(args, "authorized", _AUTHORIZED)]
    others = f"'pychatd invitations {printable(args.port)}' lists the invitations."
    return _print_table(rows, f"No caller is known by a certificate yet. {others}")


def _local_time(moment: datetime) -> str:
    """As the clock of this host shows it."""
    return f"{moment.astimezone():%H:%M} on {day(moment)}"


def _print_table(rows: list[tuple[str, str, str]], empty: str) -> int:
    widths = [max((len(row[column]) for row in rows), default=0) for column in range(3)]
    lines = [
        "  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]
    print_result("\n".join(lines) if lines else empty)
    return ExitStatus.OK
