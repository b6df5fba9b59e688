"""From an accepted TCP connection to a caller: how many there may be, TLS or plain, and who may in.

TLS or plain is told by the first byte, which stays where it is (0x16 begins a TLS ClientHello). A
stranger gets no further than here; the conversation of others does not notice.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from dataclasses import dataclass
from ipaddress import ip_address

from pychat_client import wire
from pychat_client.errors import NotPermitted
from pychat_client.link import Link
from pychatd.caller import HELLO_SECONDS, Caller
from pychatd.config import Settings
from pychatd.identity import Identity
from pychatd.switchboard import Switchboard

CALLERS_PER_HOST = 8
"""Of the `callers` that may be here at once (one talks, the others may wait to speak first; memory and files
are bounded whatever comes), so many may be from one address: nobody can fill all places alone."""

TLS_SECONDS = 10.0
"""For the TLS handshake: two round trips, and a slow machine."""

_CLIENT_HELLO = 0x16

log = logging.getLogger("pychatd")


@dataclass(eq=False, slots=True)
class _Visit:
    """One connection from outside. caller: once it is in."""

    host: str
    task: asyncio.Task[None] | None
    caller: Caller | None = None

    def put_out(self) -> None:
        if self.caller is not None:
            self.caller.link.drop("others want to call")
        elif self.task is not None:
            self.task.cancel()


class Door:
    """Lets callers in."""

    def __init__(self, board: Switchboard, settings: Settings, identity: Identity) -> None:
        self._board = board
        self._visits: dict[_Visit, None] = {}  # in the order of their coming
        self.use(settings, identity)

    def use(self, settings: Settings, identity: Identity) -> None:
        """Takes new settings; a caller whose certificate is not on the allowlist any more is put out."""
        self._settings = settings
        self._identity = identity
        for link in self.links:
            try:
                identity.name_of(link.certificate())
            except NotPermitted as error:
                log.warning("A caller is not on the allowlist any more")
                link.finish([wire.Error("not-authorized", str(error))])

    @property
    def links(self) -> set[Link]:
        """Those of the callers that are in."""
        return {visit.caller.link for visit in self._visits if visit.caller is not None}

    async def admit(self, sock: socket.socket) -> None:
        """Looks after one connection until it is closed."""
        try:
            host = str(sock.getpeername()[0])
        except OSError:  # gone again already
            sock.close()
            return
        visit = _Visit(host, asyncio.current_task())
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
        """Whether one more may come. Where there are too many, the one who has been here longest without
        a word has to go: who comes back to a conversation must not be locked out by strangers."""
        of_host = [visit for visit in self._visits if visit.host == host]
        if len(of_host) < CALLERS_PER_HOST and len(self._visits) < self._settings.callers:
            return True
        for visit in of_host if len(of_host) >= CALLERS_PER_HOST else list(self._visits):
            if visit.caller is None or visit.caller.conversation is None:
                visit.put_out()
                del self._visits[visit]
                return True
        return False

    async def _let_in(self, sock: socket.socket, visit: _Visit) -> None:
        async with asyncio.timeout(HELLO_SECONDS):
            first = await _first_byte(sock)
        if first is None:
            return
        secure = first == _CLIENT_HELLO
        if not secure and not self._takes_plain(visit.host):
            words = "This line is encrypted: call it with 'pychat HOST PORT'."
            await asyncio.get_running_loop().sock_sendall(sock, f"{wire.Error('plaintext', words)}\n".encode())
            return
        caller = Caller(self._board, address_of(sock.getpeername()), self._identity.name_of, secure=secure)
        context = self._identity.context if secure else None
        await asyncio.get_running_loop().connect_accepted_socket(
            lambda: caller.link, sock, ssl=context, ssl_handshake_timeout=TLS_SECONDS if secure else None
        )
        visit.caller = caller
        await caller.link.closed

    def _takes_plain(self, host: str) -> bool:
        if self._identity.names is not None or self._settings.plaintext == "never":
            return False  # an allowlist knows people by their certificates, and plain TCP shows none
        return self._settings.plaintext == "always" or ip_address(host.partition("%")[0]).is_loopback


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
