"""The commands of `pychatd` for the administrator of a service.

They ask the running daemon, over its console socket. So whoever may use the console may give them, and what they
change holds at once. Knows no parser.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from pychat_client.entrypoint import print_result, unwritable
from pychat_client.errors import ExitStatus, PermissionDeniedError, PychatError, UnreachableError, UsageError
from pychat_client.layout import fit_page
from pychat_client.text import parse_port, printable
from pychatd import control, directories, services, settings
from pychatd.settings import Settings

if TYPE_CHECKING:
    from pychatd.network.authorized import Findings

COPIED_AT_ONCE = 1 << 16
"""Bytes of a file that are copied at once."""


def config(chosen: Settings, *, check: bool) -> int:
    """Prints the settings that apply, as lines of a configuration file. check: reads the key and all lists of
    callers, as the daemon does. Raises UsageError for what it could not use."""
    found = _findings(chosen) if check else None
    print_result("\n".join(settings.in_toml(chosen)))
    if found is None:
        return ExitStatus.OK
    for words in (*found.complaints, *found.warnings):
        print(f"pychatd: {printable(words)}", file=sys.stderr)
    return ExitStatus.USAGE if found.complaints else ExitStatus.OK


def _findings(chosen: Settings) -> Findings:
    """What is wrong with the files that a start reads. A key that the daemon makes itself may still be missing."""
    from pychatd.conversation.blocklist import Blocklist
    from pychatd.network import authorized, identity
    from pychatd.network.invitations import Invitations

    found = authorized.Findings()
    if chosen.certificate is None and chosen.key is None and not chosen.has_identity:
        identity.read_lists(chosen, found)
    else:
        loaded = identity.load(chosen)
        found = authorized.Findings([*loaded.complaints], [*loaded.warnings])
    for read in (lambda: Blocklist(chosen.blocklist), lambda: Invitations(chosen.invitations)):
        try:
            read()
        except PychatError as error:
            found.complaints.append(str(error))
    return found


# ------------------------------------------------------------------ backups


def backup(args: argparse.Namespace) -> int:
    """Writes a copy of the journal to stdout; or checks the copy that --check names. Raises PychatError."""
    if (args.port is None) is (args.check is None):
        raise UsageError("Use 'pychatd backup PORT >FILE', or 'pychatd backup --check FILE'.")
    if args.check is not None:
        from pychatd.conversation.check_copy import check_copy

        print_result(printable(check_copy(args.check)))
    elif sys.stdout.isatty():
        raise UsageError("A backup is not for a terminal: use 'pychatd backup PORT >FILE'.")
    else:
        os.nice(10)  # the talk goes first
        _write_all(_journal(args))
    return ExitStatus.OK


def _journal(args: argparse.Namespace) -> Iterator[bytes]:
    """The journal that is meant, in pieces: from its daemon, or its file if no daemon runs."""
    port = parse_port(args.port)
    if found := services.running(port, args.runtime_directory):
        return control.backup(services.only_one(found).socket)
    return _idle_journal(
        directories.state_directory(port, args.state_directory) / "journal.db",
        [place.directory.parent for place in services.places(port, args.runtime_directory)],
    )


def _idle_journal(path: Path, bases: Sequence[Path]) -> Iterator[bytes]:
    """bases: the directories in which no daemon answers."""
    from pychatd.conversation import journal_copy

    try:
        path.stat()
    except FileNotFoundError:
        raise UnreachableError(f"No daemon runs there, and there is no journal {path}.") from None
    except OSError as error:
        raise PermissionDeniedError(f"Cannot read the journal {path}: {error.strerror}.") from None
    try:
        db, copy = journal_copy.hold(path)
    except journal_copy.LockedError as error:
        where = " and ".join(map(str, bases))
        words = f"No service answers in {where}. If it is pychatd, add its --runtime-directory."
        raise journal_copy.LockedError(f"{error} {words}") from None
    with closing(db):
        offset = 0
        while data := copy.read(offset, COPIED_AT_ONCE):
            offset += len(data)
            yield data


def _write_all(pieces: Iterator[bytes]) -> None:
    """Raises PychatError if stdout does not take all of it."""
    for piece in pieces:
        try:
            sys.stdout.buffer.write(piece)
        except OSError as error:
            raise unwritable(error) from None


# ------------------------------------------------------------------ orders


def order(args: argparse.Namespace) -> int:
    """Gives an order to the daemon that is meant, and prints its answer. Raises PychatError, with the daemon's
    reason if it refuses."""
    place = services.the_running(parse_port(args.port), args.runtime_directory)
    lines = control.order(place.socket, f"{args.verb} {args.operand}".rstrip())
    if lines:
        print_result(fit_page(sys.stdout, "\n".join(lines)))
    return ExitStatus.OK
