"""Opens connections: to a daemon on another host, or on this one.

Operating system errors become LinkErrors here, each with a sentence.
"""

from __future__ import annotations

import asyncio
import grp
import socket
import ssl
from contextlib import suppress
from pathlib import Path

from pychat_client.errors import PermissionDeniedError, TransportError, UnreachableError, UntrustedHostError
from pychat_client.protocol.codec import Codec
from pychat_client.text import printable
from pychat_client.transport.connection import Connection, Owner, reason

DIAL_SECONDS = 20.0
"""Until a connection is given up: a SYN lost four times is sent again within 15 s."""


async def dial(
    host: str, port: int, owner: Owner, context: ssl.SSLContext | None = None, codec: Codec | None = None
) -> Connection:
    """A link to a daemon, over TLS where there is a `context`; every address of the name is tried (RFC 8305).

    codec: for an other end that speaks no version 1, and so answers no pings.
    Nothing is sent before `context` has found the daemon's certificate good. Raises UnreachableError when nobody
    answers, UntrustedHostError for another certificate, TransportError otherwise, each with a sentence.
    """
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(DIAL_SECONDS):
            _, connection = await loop.create_connection(
                lambda: Connection(owner, codec), host, port, ssl=context, happy_eyeballs_delay=0.25
            )
        if codec is None:
            connection.start_keepalive()
    except TimeoutError:
        raise UnreachableError(
            f"{printable(host)} does not answer on port {port}: no reply within {DIAL_SECONDS:.0f} s."
        ) from None
    except (OSError, UnicodeError) as error:
        raise dial_error(error, host, port) from None
    return connection


def look(host: str, port: int, context: ssl.SSLContext, seconds: float = DIAL_SECONDS) -> bytes:
    """The certificate (DER) that a daemon shows; nothing is sent to it. Raises as `dial`."""
    try:
        with (
            socket.create_connection((host, port), timeout=seconds) as sock,
            context.wrap_socket(sock, server_hostname=host) as tls,
        ):
            certificate = tls.getpeercert(binary_form=True)
    except (OSError, UnicodeError) as error:
        raise dial_error(error, host, port) from None
    assert certificate is not None  # TLS 1.3 has no server without one
    return certificate


def dial_error(error: Exception, host: str, port: int) -> TransportError:
    """What a failed call means, as a sentence."""
    name = printable(host)
    match error:
        case ssl.SSLCertVerificationError():
            return UntrustedHostError(
                f"The key of {name} port {port} is not to be trusted: {error.verify_message}."
            )
        case ssl.SSLError():
            return TransportError(f"No encrypted connection with {name} port {port}: {reason(error)}.")
        case socket.gaierror():
            return UnreachableError(f"There is no host '{name}': {error.strerror}.")
        case UnicodeError():
            return UnreachableError(f"There is no host '{name}': that is no name of a host.")
        case TimeoutError():
            return UnreachableError(f"{name} does not answer on port {port}.")
        case _:
            return UnreachableError(f"Nobody answers at {name} port {port}: {reason(error)}.")


def not_yours(path: Path) -> PermissionDeniedError:
    """That this user may not use the console socket at `path`, and what to do about it."""
    words = f"The console socket {path} is not yours to use"
    with suppress(OSError, KeyError):  # its directory may be closed as well
        if group := path.stat().st_gid:
            return PermissionDeniedError(
                f"{words}: join the group {grp.getgrgid(group).gr_name}, and log in again."
            )
    return PermissionDeniedError(f"{words}: only its owner may.")


async def dial_unix(path: Path, owner: Owner) -> Connection:
    """A link to a daemon on this machine. Raises UnreachableError or PermissionDeniedError, with a sentence."""
    loop = asyncio.get_running_loop()
    try:
        _, connection = await loop.create_unix_connection(lambda: Connection(owner), str(path))
    except PermissionError:
        raise not_yours(path) from None
    except OSError as error:
        raise UnreachableError(f"No daemon answers at {path}: {reason(error)}.") from None
    return connection
