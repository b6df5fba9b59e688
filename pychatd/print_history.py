"""`pychatd-console --history`: prints the messages in the journal, as text or as JSON lines."""

from __future__ import annotations

import os
import re
import sys
import warnings
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from pychat_client.errors import ExitStatus, PychatError, TransportError, UsageError
from pychat_client.layout import fit
from pychat_client.phrases import with_certificate
from pychat_client.protocol import wire
from pychat_client.protocol.turns import Role
from pychat_client.session.transcript import INDENT, entry_lines, local
from pychat_client.text import printable, quoted
from pychat_client.ui.json_objects import encoded, message_fields
from pychatd.ages import parse_age
from pychatd.control import ask
from pychatd.conversation.model import conversation_number


def print_history(
    path: Path, since: str | None, pattern: str | None, conversation: str | None, *, as_json: bool
) -> ExitStatus:
    """Prints the messages of all conversations, or of one, by its number.

    Raises UsageError for an invalid time, pattern or number or if there is no such conversation, and what
    control.ask raises.
    """
    number = None if conversation is None else conversation_number(conversation)
    start = None if since is None else parse_time(since, datetime.now(UTC))
    wanted = _pattern(pattern or "")
    lay_out = _object if as_json else _message
    found = number is None
    try:
        for peer, at, frame in _entries(ask(path, wire.History(start, number))):
            found = True
            if isinstance(frame, wire.Message):
                if wanted.search(frame.text):
                    print(lay_out(peer, at, frame))
            elif not pattern and not as_json:
                print(_note(peer, at, frame))
        sys.stdout.flush()
    except BrokenPipeError:  # `| head` has ended; stop Python from writing again at its exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        raise PychatError(f"Cannot write the history: {error.strerror}.") from None
    if not found:
        raise UsageError(
            f"There is no conversation {number}{'' if start is None else ' with messages since then'}."
        )
    return ExitStatus.OK


def _pattern(text: str) -> re.Pattern[str]:
    try:
        with warnings.catch_warnings(action="ignore"):  # "possible nested set" is for programmers
            return re.compile(text, re.IGNORECASE)
    except (re.error, OverflowError, RecursionError) as error:
        why = printable(str(error))
        raise UsageError(f"--grep: '{printable(text[:80])}' is not a valid regular expression: {why}.") from None


def _entries(frames: Iterable[wire.Frame]) -> Iterator[tuple[wire.Peer, wire.Timestamp, wire.Frame]]:
    """The begin of each conversation, its messages and its end; each with the caller and the time."""
    at: wire.Timestamp | None = None
    peer: wire.Peer | None = None
    for frame in frames:
        match frame:
            case wire.Peer():
                peer = frame
                yield peer, wire.Timestamp(peer.since), peer
            case wire.Timestamp():
                at = frame
            case wire.Message() | wire.Quit() if at is not None and peer is not None:
                yield peer, at, frame
            case wire.Error(_, words):
                raise TransportError(printable(words))


def _object(peer: wire.Peer, at: wire.Timestamp, message: wire.Message) -> str:
    role = Role.OPERATOR if at.own else Role.PEER
    fields = message_fields(message, role, at.time)
    return encoded("message", conversation=peer.session, name=peer.name, **fields)


def _message(peer: wire.Peer, at: wire.Timestamp, message: wire.Message) -> str:
    return fit(sys.stdout, "\n".join(entry_lines(message.handle, message.text, at.time, own=at.own)), INDENT)


def _note(peer: wire.Peer, at: wire.Timestamp, frame: wire.Frame) -> str:
    handle = printable(peer.handle)
    words = (
        f"conversation {peer.session}: {handle} called from {printable(peer.address)}{with_certificate(peer.name)}"
    )
    if isinstance(frame, wire.Quit):
        words = _end(handle, at, frame.reason)
    return fit(sys.stdout, f"-- {local(at.time)} {words}")


def _end(handle: str, at: wire.Timestamp, reason: str) -> str:
    """Who has ended a conversation, and why. The service has words of its own for that."""
    said = printable(reason) if at.service else quoted(reason)
    because = f": {said}" if reason else ""
    if at.service:
        return f"it has ended{because}"
    return f"{'the operator' if at.own else handle} ended it{because}"


def parse_time(word: str, now: datetime) -> datetime:
    """A date, a date and a local time, or `12h` for twelve hours before `now`. Raises UsageError."""
    try:
        if (age := parse_age(word)) is not None:
            return now - age
        return datetime.fromisoformat(word).astimezone(UTC)
    except (ValueError, OverflowError):
        raise UsageError(
            f"--since: '{printable(word)}' is not a time. Examples: 2026-11-22, 2026-11-22T10:30, 12h."
        ) from None
