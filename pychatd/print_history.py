"""`pychatd-console --history`: prints the messages in the journal, as text or as JSON lines."""

from __future__ import annotations

import os
import re
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pychat_client.errors import ExitStatus, PychatError, TransportError, UsageError
from pychat_client.protocol import wire
from pychat_client.protocol.turns import Role
from pychat_client.session.transcript import entry, local
from pychat_client.text import printable
from pychat_client.ui.json_objects import encoded, message_fields
from pychatd.control import ask

_UNITS = {"m": "minutes", "h": "hours", "d": "days"}


def print_history(path: Path, since: str | None, pattern: str | None, *, as_json: bool) -> ExitStatus:
    """Prints the messages of all conversations.

    Raises UsageError for an invalid time or pattern, and what control.ask raises.
    """
    start = None if since is None else parse_time(since, datetime.now(UTC))
    try:
        wanted = re.compile(pattern or "", re.IGNORECASE)
    except re.error as error:
        raise UsageError(
            f"--grep: '{printable(pattern or '')}' is not a valid regular expression: {error}."
        ) from None
    at: wire.Timestamp | None = None
    peer: wire.Peer | None = None
    try:
        for frame in ask(path, wire.History(start)):
            match frame:
                case wire.Peer():
                    peer = frame
                    if not pattern and not as_json:
                        words = f"{printable(peer.handle)} called from {printable(peer.address)}"
                        print(f"-- {local(peer.since)} {words}")
                case wire.Timestamp():
                    at = frame
                case wire.Message() if at is not None and peer is not None:
                    if wanted.search(frame.text):
                        print(_json(peer, at, frame) if as_json else entry(frame.handle, frame.text, at.time))
                case wire.Quit(reason) if at is not None and not pattern and not as_json:
                    print(f"-- {local(at.time)} ended{': ' if reason else ''}{printable(reason)}")
                case wire.Error(_, words):
                    raise TransportError(printable(words))
        sys.stdout.flush()
    except BrokenPipeError:  # `| head` has ended; stop Python from writing again at its exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        raise PychatError(f"Cannot write the history: {error.strerror}.") from None
    return ExitStatus.OK


def parse_time(word: str, now: datetime) -> datetime:
    """A date, a date and a local time, or `12h` for twelve hours before `now`. Raises UsageError."""
    try:
        if found := re.fullmatch(r"([0-9]{1,6})([mhd])", word):
            return now - timedelta(**{_UNITS[found[2]]: int(found[1])})
        return datetime.fromisoformat(word).astimezone(UTC)
    except (ValueError, OverflowError):
        raise UsageError(
            f"--since: '{printable(word)}' is not a time. Examples: 2026-11-22, 2026-11-22T10:30, 12h."
        ) from None


def _json(peer: wire.Peer, at: wire.Timestamp, message: wire.Message) -> str:
    role = Role.OPERATOR if at.own else Role.PEER
    return encoded("message", conversation=peer.session, **message_fields(message, role, at.time))
