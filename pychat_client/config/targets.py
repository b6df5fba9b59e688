"""Which line is meant: a host and a port, or the name that the user's configuration has for a line.

Knows the configuration and the known hosts; calls nobody.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence

from pychat_client.config.preferences import Line, Preferences
from pychat_client.errors import HandleError, UsageError
from pychat_client.text import HANDLE_MAX, check_handle, is_port, parse_port, printable


def find(words: Sequence[str], named: Mapping[str, Line]) -> Line:
    """The line of `pychat NAME` or `pychat HOST PORT`. Raises UsageError."""
    if not words:
        raise UsageError("Whom to call? pychat HOST PORT.")
    if len(words) > 1:
        return Line(words[0], parse_port(words[1]))
    if (line := named.get(words[0])) is not None:
        return line
    name = printable(words[0])
    known = f"; there are {', '.join(named)}" if named else ""
    raise UsageError(f"No line of your configuration is called '{name}'{known}. A host needs a port: {name} PORT.")


def find_before_text(words: Sequence[str], named: Mapping[str, Line]) -> tuple[Line, list[str]]:
    """The line at the beginning of `words`, and the words behind it. Raises UsageError."""
    if not words or words[0] not in named:
        return find(words[:2], named), list(words[2:])
    name, *text = words
    if text and is_port(text[0]):  # to the wrong line would be worse than to none
        raise UsageError(
            f"Is {text[0]} a port, or does the text begin with it? '{printable(name)}' is the name of a line: "
            "put the text into quotation marks, or on stdin."
        )
    return named[name], text


def use(line: Line, preferences: Preferences, args: argparse.Namespace) -> None:
    """Completes the command line of a call by what is known of the line: options go before it."""
    args.host, args.port = line.host, line.port
    if args.handle is None:
        args.handle = line.handle or preferences.handle
    if args.fingerprint is None and not args.ca:  # --accept-new accepts what is unknown, and this is not
        args.fingerprint = line.fingerprint


def login_handle() -> str | None:
    """A handle from the name of this user, where it makes one."""
    import getpass

    try:
        return check_handle(getpass.getuser()[:HANDLE_MAX])
    except (HandleError, OSError, KeyError):
        return None


def listed(preferences: Preferences) -> list[str]:
    """What `pychat` can be followed by, for a shell's completion: names, and `HOST PORT` of known hosts."""
    from pychat_client.config.paths import known_hosts_file
    from pychat_client.trust.known_hosts import KnownHosts

    known = KnownHosts(known_hosts_file()).names()
    return [printable(words) for words in (*preferences.lines, *(f"{host} {port}" for host, port in known))]
