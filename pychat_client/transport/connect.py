"""Opens connections to a daemon on another host or on this one.

Errors of the operating system become TransportErrors here, each with a sentence for the user.
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
from pychat_client.transport.connection import Connection, Owner
from pychat_client.transport.os_errors import describe

DIAL_SECONDS = 20.0
"""How long we try to connect: TCP repeats a lost SYN four times within 15 s."""


async def dial(
    host: str, port: int, owner: Owner, context: ssl.SSLContext | None = None, codec: Codec | None = None
) -> Connection:
    """Connects to a daemon, over TLS if there is a `context`. Tries every address of the host (RFC 8305).

    codec: for a classic program on the other side, which answers no pings.
    Sends nothing before `context` has accepted the daemon's certificate. Raises UnreachableError without an
    answer, UntrustedHostError for a certificate that is not accepted, TransportError otherwise.
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


def fetch_certificate(host: str, port: int, context: ssl.SSLContext, seconds: float = DIAL_SECONDS) -> bytes:
    """Gets the certificate (DER) that a daemon shows. Sends nothing after the handshake. Raises as `dial`."""
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
    """The error for a failed call, with a sentence for the user."""
    name = printable(host)
    match error:
        case ssl.SSLCertVerificationError():
            return UntrustedHostError(f"The key of {name} port {port} is not trusted: {error.verify_message}.")
        case ssl.SSLError():
            return TransportError(f"Cannot open an encrypted connection to {name} port {port}: {describe(error)}.")
        case socket.gaierror():
            return UnreachableError(f"Unknown host '{name}': {error.strerror}.")
        case UnicodeError():
            return UnreachableError(f"'{name}' is not a valid host name.")
        case TimeoutError():
            return UnreachableError(f"{name} does not answer on port {port}.")
        case _:
            return UnreachableError(f"Cannot connect to {name} port {port}: {describe(error)}.")


def permission_error(path: Path) -> PermissionDeniedError:
    """The error for a user who may not use the console socket at `path`; tells what to do."""
    with suppress(OSError, KeyError):  # its directory may be closed to this user as well
        if group := path.stat().st_gid:
            return PermissionDeniedError(
                f"Permission denied for {path}: ask an administrator to add you to the group "
                f"{grp.getgrgid(group).gr_name}, then log in again."
            )
    return PermissionDeniedError(f"Permission denied for {path}: only its owner can use it.")


async def dial_unix(path: Path, owner: Owner) -> Connection:
    """Connects to the console socket of a daemon on this machine.

    Raises UnreachableError or PermissionDeniedError, each with a sentence.
    """
    loop = asyncio.get_running_loop()
    try:
        _, connection = await loop.create_unix_connection(lambda: Connection(owner), str(path))
    except PermissionError:
        raise permission_error(path) from None
    except OSError as error:
        raise UnreachableError(f"No daemon answers at {path}: {describe(error)}.") from None
    return connection
