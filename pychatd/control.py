"""Asks a running daemon for its status and history, over the console socket, without becoming its console.

Any program can be behind a socket: each answer is bounded, and checked.
"""

from __future__ import annotations

import base64
import json
import os
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pychat_client.errors import (
    PermissionDeniedError,
    ProtocolError,
    PychatError,
    TransportError,
    UnreachableError,
    UsageError,
)
from pychat_client.text import SURROGATE, printable

if TYPE_CHECKING:
    from pychat_client.protocol import wire
    from pychatd.report import Report

ANSWER_SECONDS = 5.0
"""How long the daemon may take for its status, and for each part of its history."""

Readers = Mapping[str, Callable[[str], Any]]
"""For each word of a row, by its key, a function that gives its value or raises PychatError."""

LINES_MAX = 10_000
"""Lines of an answer that are read: more than any answer has."""


def ask_status(path: Path) -> Report:
    """The status of the daemon at the console socket `path`.

    Raises UnreachableError when no daemon answers, PermissionDeniedError when we may not use the socket,
    TransportError for an answer that is not valid or does not come in time.
    """
    from pychat_client.protocol import wire
    from pychatd.report import Report

    deadline = time.monotonic() + ANSWER_SECONDS
    frame = next(ask(path, wire.Status(), deadline))
    if not isinstance(frame, wire.Status):
        raise _no_answer(path, "it does not answer as a pychatd does")
    try:
        return Report.parse(frame.report)
    except TransportError as error:
        raise _no_answer(path, str(error)) from None


def order(path: Path, words: str) -> list[str]:
    """Gives the daemon at the console socket `path` an order; the lines of its answer.

    Raises UsageError or PychatError with the daemon's words when it refuses, UsageError for words that cannot be
    sent, and what `ask` raises.
    """
    from pychat_client.protocol import wire

    if SURROGATE.search(words) is not None:
        raise UsageError("The words after the command contain bytes that are not UTF-8.")
    lines: list[str] = []
    for frame in ask(path, wire.Order(words), time.monotonic() + ANSWER_SECONDS):
        match frame:
            case wire.Order(line) if len(lines) < LINES_MAX:
                lines.append(printable(line))
            case wire.Error("usage", why):
                raise UsageError(printable(why))
            case wire.Error(_, why):
                raise PychatError(printable(why))
            case _:
                pass
    return lines


def backup(path: Path) -> Iterator[bytes]:
    """The file of the journal of the daemon at the console socket `path`, in pieces.

    Raises PychatError with the daemon's words when it refuses, and what `ask` raises.
    """
    from pychat_client.protocol import wire

    for frame in ask(path, wire.Backup()):
        match frame:
            case wire.Backup(piece):
                yield _decoded(path, piece)
            case wire.Error(_, why):
                raise PychatError(printable(why))
            case _:
                pass


def _decoded(path: Path, piece: str) -> bytes:
    try:
        return base64.b64decode(piece, validate=True)
    except ValueError:
        raise _no_answer(path, "it does not answer as a pychatd does") from None


def callers(path: Path, verb: str, readers: Readers, **arguments: Any) -> list[dict[str, Any]]:
    """Asks the daemon at the console socket `path` who may call, or changes that; the rows of its answer.

    readers: for each word that a row has to have; each gives its value, or raises PychatError.
    Raises what `order` raises.
    """
    lines = order(path, f"{verb} {json.dumps(arguments)}")
    return [_row(path, line, readers) for line in lines]


def _row(path: Path, line: str, readers: Readers) -> dict[str, Any]:
    try:
        row = json.loads(line)
        if not isinstance(row, dict) or not all(isinstance(row.get(key), str) for key in readers):
            raise ValueError("no row of words")
        return {key: read(row[key]) for key, read in readers.items()}
    except (ValueError, RecursionError, PychatError):
        raise _no_answer(path, "it does not answer as a pychatd does") from None


def ask(path: Path, question: wire.Frame, deadline: float | None = None) -> Iterator[wire.Frame]:
    """The frames (at least one) with which the daemon at the console socket `path` answers a question.

    deadline: of the whole answer (time.monotonic). Raises UnreachableError when no daemon answers,
    PermissionDeniedError when we may not use the socket, TransportError for an incomplete or invalid answer.
    """
    from pychat_client.protocol import wire
    from pychat_client.protocol.codec import LineCodec

    codec = LineCodec()
    whole = False
    with _connect(path) as sock:
        try:
            sock.sendall(codec.encode(question))
            while data := sock.recv(1 << 16):
                for frame in codec.feed(data):
                    whole = isinstance(frame, wire.Ready | wire.Status | wire.Error)
                    yield frame
                if deadline is not None:
                    sock.settimeout(max(deadline - time.monotonic(), 0.001))
        except TimeoutError:
            raise _no_answer(path, "no answer came in time") from None
        except OSError as error:
            raise _no_answer(path, os.strerror(error.errno or 0).lower()) from None
        except ProtocolError as error:
            raise _no_answer(path, printable(str(error))) from None
    if not whole:
        raise _no_answer(path, "the connection ended")


def _no_answer(path: Path, why: str) -> TransportError:
    return TransportError(f"The daemon at {path} did not complete its answer: {why.rstrip('.')}.")


def answers(path: Path) -> bool:
    """Whether a daemon listens on the console socket at `path`. Raises PermissionDeniedError if we may not ask."""
    try:
        _connect(path).close()
    except UnreachableError:
        return False
    except PermissionDeniedError:
        raise
    except TransportError:  # it hangs; attaching to it reports the error
        return True
    return True


def _connect(path: Path) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.settimeout(ANSWER_SECONDS)
    try:
        sock.connect(str(path))
    except PermissionError:
        sock.close()
        from pychat_client.transport.connect import permission_error  # loads asyncio, only for the sentence

        raise permission_error(path) from None
    except BlockingIOError:  # a UNIX socket does not wait for a place
        sock.close()
        raise TransportError(f"The daemon at {path} does not answer: too many connections wait.") from None
    except OSError:
        sock.close()
        raise UnreachableError(f"No daemon answers at {path}.") from None
    return sock
