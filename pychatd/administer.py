"""The commands of `pychatd` for the administrator of a service.

They ask the running daemon, over its console socket. So whoever may use the console may give them, and what they
change holds at once. Knows no parser.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from pychat_client.entrypoint import print_result
from pychat_client.errors import ExitStatus
from pychat_client.layout import fit_page
from pychat_client.text import parse_port, printable
from pychatd import control, services, settings
from pychatd.settings import Settings


def reload(args: argparse.Namespace) -> int:
    """Raises PychatError with the daemon's reason if it keeps its old configuration."""
    return _order(args, "reload")


def config(chosen: Settings, *, check: bool) -> int:
    """Prints the settings that apply, as lines of a configuration file. check: loads the key and the list of
    callers, as the daemon does. Raises UsageError for what it could not use."""
    complaints = _complaints(chosen) if check else ()
    print_result("\n".join(settings.in_toml(chosen)))
    for complaint in complaints:
        print(f"pychatd: {printable(complaint)}", file=sys.stderr)
    return ExitStatus.USAGE if complaints else ExitStatus.OK


def _complaints(chosen: Settings) -> tuple[str, ...]:
    """What is wrong with the list of callers. A key that the daemon makes itself may still be missing."""
    from pychatd.network import identity

    if chosen.certificate is None and chosen.key is None and not chosen.identity.exists():
        return ()
    return identity.load(chosen).complaints


# ------------------------------------------------------------------ orders


def _order(args: argparse.Namespace, words: str) -> int:
    """Gives an order to the daemon that is meant, and prints its answer. Raises PychatError."""
    lines = control.order(_socket(args), words)
    if lines:
        print_result(fit_page(sys.stdout, "\n".join(lines)))
    return ExitStatus.OK


def _socket(args: argparse.Namespace) -> Path:
    """The console socket of the daemon that is meant. Raises UnreachableError if none runs."""
    port = parse_port(args.port)
    if found := services.running(port, args.runtime_directory):
        return services.only_one(found).socket
    raise services.not_running(port, args.runtime_directory)
