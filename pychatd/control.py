"""Asks a running daemon over its console socket, without being its console: status and history."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pychat_client.errors import PermissionDeniedError, ProtocolError, TransportError, UnreachableError

if TYPE_CHECKING:
    from pychat_client.protocol import wire

ANSWER_SECONDS = 5.0
"""How long a daemon may take for the next piece of its answer."""


def ask_status(path: Path) -> dict[str, Any]:
    """The report of the daemon behind the console socket at `path` (report.report).

    Raises UnreachableError when none answers, PermissionDeniedError when the socket is not ours to use.
    """
    import json

    from pychat_client.protocol import wire

    for frame in ask(path, wire.Status()):
        if isinstance(frame, wire.Status):
            report: dict[str, Any] = json.loads(frame.report)
            return report
    raise TransportError(f"The daemon at {path} does not tell its status.")


def ask(path: Path, question: wire.Frame) -> Iterator[wire.Frame]:
    """The frames with which the daemon behind the console socket at `path` answers a question.

    Raises UnreachableError when there is none, PermissionDeniedError when the socket is not ours to use,
    TransportError when the answer breaks off or makes no sense.
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
        except (OSError, ProtocolError) as error:
            raise TransportError(f"The daemon at {path} did not answer to the end: {error}.") from None
    if not whole:
        raise TransportError(f"The daemon at {path} did not answer to the end.")


def answers(path: Path) -> bool:
    """Whether a daemon listens on the console socket at `path`."""
    try:
        _connect(path).close()
    except UnreachableError:
        return False
    except PermissionDeniedError:  # it is there: attaching will say what is wrong
        return True
    return True


def _connect(path: Path) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.settimeout(ANSWER_SECONDS)
    try:
        sock.connect(str(path))
    except PermissionError:
        sock.close()
        from pychat_client.transport.connect import permission_error  # only for the sentence, for it loads asyncio

        raise permission_error(path) from None
    except OSError:
        sock.close()
        raise UnreachableError(f"No daemon answers at {path}.") from None
    return sock
