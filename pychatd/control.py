"""Asks a running daemon for its status and history, over the console socket, without becoming its console."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pychat_client.errors import PermissionDeniedError, ProtocolError, TransportError, UnreachableError

if TYPE_CHECKING:
    from pychat_client.protocol import wire

ANSWER_SECONDS = 5.0
"""How long the daemon may take for each part of its answer."""


def ask_status(path: Path) -> dict[str, Any]:
    """The status of the daemon at the console socket `path` (service_status.report).

    Raises UnreachableError when no daemon answers, PermissionDeniedError when we may not use the socket.
    """
    import json

    from pychat_client.protocol import wire

    for frame in ask(path, wire.Status()):
        if isinstance(frame, wire.Status):
            report: dict[str, Any] = json.loads(frame.report)
            return report
    raise TransportError(f"The daemon at {path} did not send its status.")


def ask(path: Path, question: wire.Frame) -> Iterator[wire.Frame]:
    """The frames with which the daemon at the console socket `path` answers a question.

    Raises UnreachableError when no daemon answers, PermissionDeniedError when we may not use the socket,
    TransportError when the answer is incomplete or not valid.
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
            raise TransportError(f"The daemon at {path} did not complete its answer: {error}.") from None
    if not whole:
        raise TransportError(f"The daemon at {path} did not complete its answer.")


def answers(path: Path) -> bool:
    """Whether a daemon listens on the console socket at `path`."""
    try:
        _connect(path).close()
    except UnreachableError:
        return False
    except PermissionDeniedError:  # a daemon is there; attaching to it reports the error
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
    except OSError:
        sock.close()
        raise UnreachableError(f"No daemon answers at {path}.") from None
    return sock
