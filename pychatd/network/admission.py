"""From an accepted TCP connection to a caller: how many there may be, TLS or plain, and who may in.

TLS or plain is told by the first byte, which stays where it is (0x16 begins a TLS ClientHello). A
stranger gets no further than here; the conversation of others does not notice.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any, cast

from pychat_client.errors import PermissionDeniedError
from pychat_client.protocol import wire
from pychat_client.transport.connection import FINISH_SECONDS, CloseReason, Connection
from pychatd.conversation.peer_session import HELLO_SECONDS, PeerSession
from pychatd.conversation.switchboard import Switchboard
from pychatd.network.identity import Identity
from pychatd.settings import Settings

CALLERS_PER_HOST = 8
"""Of the `callers` that may be here at once (one talks, the others may wait to speak first; memory and files
are bounded whatever comes), so many may be from one address: nobody can fill all places alone."""

TLS_SECONDS = 10.0
"""For the TLS handshake: two round trips, and a slow machine."""

_CLIENT_HELLO = 0x16

log = logging.getLogger("pychatd")


@dataclass(eq=False, slots=True)
class _Pending:
    """One connection from outside. caller: once it is in."""

    host: str
    task: asyncio.Task[None] | None
    caller: PeerSession | None = None

    def put_out(self) -> None:
        if self.caller is not None and self.caller.connection.live:
            self.caller.connection.abort(CloseReason.EVICTED)
        elif self.task is not None:
            self.task.cancel()


class Admission:
    """Lets callers in."""

    def __init__(self, switchboard: Switchboard, settings: Settings, identity: Identity) -> None:
        self._switchboard = switchboard
        self._visits: dict[_Pending, None] = {}  # in the order of their coming
        self.use(settings, identity)

    def use(self, settings: Settings, identity: Identity) -> None:
        """Takes new settings; a caller whose certificate is not on the allowlist any more is put out."""
        self._settings = settings
        self._identity = identity
        for connection in self.connections:
            try:
                identity.name_of(connection.certificate())
            except PermissionDeniedError as error:
                log.warning("A caller is not on the allowlist any more")
                connection.close([wire.Error("not-authorized", str(error))])

    @property
    def connections(self) -> set[Connection]:
        """Those of the callers that are in."""
        return {
            visit.caller.connection
            for visit in self._visits
            if visit.caller is not None and visit.caller.connection.live
        }

    async def admit(self, sock: socket.socket) -> None:
        """Looks after one connection until it is closed."""
        try:
            host = str(sock.getpeername()[0])
        except OSError:  # gone again already
            sock.close()
            return
        visit = _Pending(host, asyncio.current_task())
        if not self._has_room(host):
            log.info("%s: one caller too many", host)
            sock.close()
            return
        self._visits[visit] = None
        try:
            await self._let_in(sock, visit)
        except (OSError, TimeoutError) as error:  # ssl.SSLError is an OSError
            log.info("%s: did not get in: %s", host, error)
        finally:
            sock.close()
            self._visits.pop(visit, None)

    def _has_room(self, host: str) -> bool:
        """Whether one more may come. Where there are too many, one of those who do not have the seat has to
        go: who comes back to a conversation must not be locked out by strangers."""
        hosts = Counter(visit.host for visit in self._visits)
        if hosts[host] < CALLERS_PER_HOST and len(self._visits) < self._settings.callers:
            return True
        # Of the address that has most; at random, so that nobody can time it.
        crowded = host if hosts[host] >= CALLERS_PER_HOST else hosts.most_common(1)[0][0]
        strangers = [
            visit
            for visit in self._visits
            if visit.host == crowded and (visit.caller is None or visit.caller is not self._switchboard.peer)
        ]
        if not strangers:
            return False
        import random

        out = random.choice(strangers)  # noqa: S311 -- not a secret
        out.put_out()
        del self._visits[out]
        return True

    async def _let_in(self, sock: socket.socket, visit: _Pending) -> None:
        async with asyncio.timeout(HELLO_SECONDS):
            first = await _first_byte(sock)
        if first is None:
            return
        secure = first == _CLIENT_HELLO
        if not secure and not self._takes_plain(visit.host):
            words = "This line is encrypted: call it with 'pychat HOST PORT'."
            await _send_last(sock, f"{wire.Error('plaintext', words)}\n".encode())
            return
        address = address_of(sock.getpeername())
        # Whose certificate it is, is asked of the list as it is then: a reload may come before the hello.
        caller = PeerSession(self._switchboard, address, self._name_of, secure=secure)
        visit.caller = caller
        try:
            if secure:
                await self._shake_hands(sock, caller.connection)
            else:
                await asyncio.get_running_loop().connect_accepted_socket(lambda: caller.connection, sock)
        except BaseException:
            caller.abandon()
            raise
        await caller.connection.closed

    def _name_of(self, certificate: bytes | None) -> str | None:
        return self._identity.name_of(certificate)

    async def _shake_hands(self, sock: socket.socket, connection: Connection) -> None:
        """The TLS handshake. Who fails it is told why: asyncio drops the alert that says so."""
        context = _RememberingContext(self._identity.context)
        with sock.dup() as spare:
            try:
                await asyncio.get_running_loop().connect_accepted_socket(
                    lambda: connection, sock, ssl=cast(ssl.SSLContext, context), ssl_handshake_timeout=TLS_SECONDS
                )
            except ssl.SSLError:
                await _send_last(spare, context.alert)
                raise

    def _takes_plain(self, host: str) -> bool:
        if self._identity.names is not None or self._settings.plaintext == "never":
            return False  # an allowlist knows people by their certificates, and plain TCP shows none
        return self._settings.plaintext == "always" or ip_address(host.partition("%")[0]).is_loopback


class _RememberingContext:
    """An SSL context for one connection that keeps the alert of a handshake which fails."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        self.alert = b""

    def wrap_bio(self, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO, **more: Any) -> ssl.SSLObject:
        tls = self._context.wrap_bio(incoming, outgoing, **more)
        shake_hands = tls.do_handshake

        def remember() -> None:
            try:
                shake_hands()
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                raise
            except ssl.SSLError:
                self.alert = outgoing.read()
                raise

        tls.do_handshake = remember  # type: ignore[method-assign]
        return tls


async def _send_last(sock: socket.socket, data: bytes) -> None:
    """Sends `data` so that it is read: what still comes is taken first, or closing would reset it away."""
    loop = asyncio.get_running_loop()
    with suppress(OSError, TimeoutError):
        async with asyncio.timeout(FINISH_SECONDS):
            await loop.sock_sendall(sock, data)
            sock.shutdown(socket.SHUT_WR)
            while await loop.sock_recv(sock, 4096):
                pass


def address_of(name: tuple[str, int]) -> str:
    """A socket's address in one word."""
    host, port = name[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


async def _first_byte(sock: socket.socket) -> int | None:
    """The first byte, left in the socket; None when it is closed before there is one."""
    loop = asyncio.get_running_loop()
    readable = asyncio.Event()
    loop.add_reader(sock, readable.set)
    try:
        await readable.wait()
    finally:
        loop.remove_reader(sock)
    first = sock.recv(1, socket.MSG_PEEK)
    return first[0] if first else None
