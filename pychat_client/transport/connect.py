"""Opens connections to a daemon on another host or on this one.

Errors of the operating system become TransportErrors here, each with a sentence for the user.
"""

from __future__ import annotations

import asyncio
import grp
import socket
import ssl
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from pychat_client.errors import PermissionDeniedError, TransportError, UnreachableError, UntrustedHostError
from pychat_client.protocol.codec import Codec
from pychat_client.text import printable
from pychat_client.transport.connection import USER_READ, Connection, Owner
from pychat_client.transport.daemon_threads import DaemonThreads
from pychat_client.transport.os_errors import describe
from pychat_client.transport.via import Via, command_for

DIAL_SECONDS = 20.0
"""How long we try to connect: TCP repeats a lost SYN four times within 15 s."""

NEXT_ADDRESS_SECONDS = 0.25
"""How long the first address of a host may take before we also try the next one: RFC 8305 recommends it."""

_THREADS = DaemonThreads()

P = TypeVar("P", bound=asyncio.BaseProtocol)


async def dial(
    host: str,
    port: int,
    owner: Owner,
    context: ssl.SSLContext | None = None,
    codec: Codec | None = None,
    *,
    via: Sequence[str] = (),
) -> Connection:
    """Connects to a daemon, over TLS if there is a `context`. Tries every address of the host (RFC 8305).

    codec: for a classic program on the other side, which answers no pings; via: a program that connects instead.
    Sends nothing before `context` has accepted the daemon's certificate. Raises UnreachableError without an
    answer, UntrustedHostError for a certificate that is not accepted, TransportError otherwise.
    """
    if via:
        program = Via(command_for(via, host, port))
        _, connection = await _open_via(
            program,
            lambda: Connection(owner, codec, read_max=USER_READ),
            host,
            port,
            context,
            seconds=DIAL_SECONDS,
        )
        connection.closed.add_done_callback(lambda _: program.end())
    else:
        _, connection = await _open(
            lambda: Connection(owner, codec, read_max=USER_READ), host, port, context, DIAL_SECONDS
        )
    if codec is None:
        connection.start_keepalive()
    return connection


async def fetch_certificate(
    host: str, port: int, context: ssl.SSLContext, seconds: float = DIAL_SECONDS, via: Sequence[str] = ()
) -> bytes:
    """Gets the certificate (DER) that a daemon shows. Sends nothing after the handshake. Raises as `dial`."""
    if not via:
        transport, _ = await _open(asyncio.Protocol, host, port, context, seconds)
        return _certificate_of(transport)
    program = Via(command_for(via, host, port))
    try:
        transport, _ = await _open_via(program, asyncio.Protocol, host, port, context, seconds=seconds)
        return _certificate_of(transport)
    finally:
        program.end()


def _certificate_of(transport: asyncio.Transport) -> bytes:
    """The other end's certificate; closes the connection."""
    certificate: bytes | None = transport.get_extra_info("ssl_object").getpeercert(binary_form=True)
    transport.abort()
    assert certificate is not None  # TLS 1.3 has no server without one
    return certificate


async def _open(
    protocol: Callable[[], P], host: str, port: int, context: ssl.SSLContext | None, seconds: float
) -> tuple[asyncio.Transport, P]:
    """Connects; a new address is tried before the last one has failed. Raises TransportError."""
    loop = asyncio.get_running_loop()
    loop.set_default_executor(_THREADS)  # they ask the name servers
    try:
        async with asyncio.timeout(seconds):
            return await loop.create_connection(
                protocol, host, port, ssl=context, happy_eyeballs_delay=NEXT_ADDRESS_SECONDS
            )
    except TimeoutError:
        raise _no_reply(host, port, seconds) from None
    except (OSError, UnicodeError) as error:
        raise dial_error(error, host, port) from None


async def _open_via(
    program: Via,
    protocol: Callable[[], P],
    host: str,
    port: int,
    context: ssl.SSLContext | None,
    *,
    seconds: float,
) -> tuple[asyncio.Transport, P]:
    """Connects through a program, and ends it if that fails. Raises TransportError."""
    connected = False
    try:
        async with asyncio.timeout(seconds):
            opened = await asyncio.get_running_loop().create_connection(
                protocol, sock=program.socket, ssl=context, server_hostname=None if context is None else host
            )
        connected = True
        return opened
    except TimeoutError:
        raise _no_reply(host, port, seconds) from None
    except OSError as error:
        if not isinstance(error, ssl.SSLError) and (why := await program.explain()) is not None:
            raise UnreachableError(f"Cannot connect to {printable(host)} port {port}: {why}") from None
        raise dial_error(error, host, port) from None
    finally:
        if not connected:
            program.end()


def _no_reply(host: str, port: int, seconds: float) -> UnreachableError:
    return UnreachableError(f"{printable(host)} does not answer on port {port}: no reply within {seconds:.2g} s.")


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
    return PermissionDeniedError(
        f"Permission denied for {path}: run this as root, or as the user who started the service."
    )


async def dial_unix(path: Path, owner: Owner) -> Connection:
    """Connects to the console socket of a daemon on this machine.

    Raises UnreachableError or PermissionDeniedError, each with a sentence.
    """
    loop = asyncio.get_running_loop()
    try:
        _, connection = await loop.create_unix_connection(lambda: Connection(owner, read_max=USER_READ), str(path))
    except PermissionError:
        raise permission_error(path) from None
    except OSError as error:
        raise UnreachableError(f"No daemon answers at {path}: {describe(error)}.") from None
    return connection
