"""Who gets in: from an accepted socket to the session of a caller or of a console.

Callers: limits, TLS or plain TCP, the allowlist. The first byte tells TLS from plain TCP (0x16 begins a TLS
ClientHello); we only peek at it. Consoles: which users may use the console socket. A caller that is not
admitted gets no further than here, and does not disturb the conversation of others.
"""

from __future__ import annotations

import asyncio
import logging
import os
import pwd
import random
import socket
import ssl
import struct
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from pychat_client.errors import PermissionDeniedError, TransportError
from pychat_client.protocol import wire
from pychat_client.transport.connection import FINISH_SECONDS, CloseReason, Connection
from pychatd.caller_events import Event, address_of, host_of, in_one_word, network_of, note
from pychatd.conversation.console_session import VISITORS_MAX, ConsoleSession
from pychatd.conversation.model import hash_certificate
from pychatd.conversation.peer_session import HELLO_SECONDS, TOO_SLOW, PeerSession
from pychatd.conversation.silent_callers import SEEN_SECONDS, SILENT_SECONDS
from pychatd.conversation.switchboard import Switchboard
from pychatd.network.allowed_callers import AllowedCallers
from pychatd.network.eviction import Standing, choose
from pychatd.network.first_byte import SilentCaller
from pychatd.network.identity import Identity
from pychatd.network.turnover import Turnover
from pychatd.settings import Settings

CALLERS_PER_NETWORK = 8
"""The maximum of connections from one address (`caller_events.network_of`), of the `callers` that may be here at
the same time: one address alone cannot take all places. Memory and open files stay limited."""

TLS_SECONDS = 10.0
"""How long the TLS handshake may take: two round trips and a slow machine."""

PROMPT_SECONDS = 0.15
"""A person needs longer than this to type the first line; a program sends it at once."""

_CLIENT_HELLO = 0x16

log = logging.getLogger("pychatd")


@dataclass(eq=False, slots=True)
class _Pending:
    """One connection from outside, from accept to close."""

    host: str
    network: str
    task: asyncio.Task[None] | None = None  # once it runs
    session: PeerSession | None = None  # after the first byte

    @property
    def standing(self) -> Standing:
        """What it has shown, while it has not the seat."""
        if self.session is None:
            return Standing.SILENT
        proven = self.session.conversation is not None or self.session.name is not None
        return Standing.PROVEN if proven else Standing.UNPROVEN

    @property
    def connection(self) -> Connection | None:
        """The live connection of the session, from the end of the handshake on."""
        return self.session.connection if self.session is not None and self.session.connection.is_made else None

    def evict(self) -> None:
        if (connection := self.connection) is not None:
            connection.abort(CloseReason.EVICTED)
        elif self.task is not None:
            self.task.cancel()


class Admission:
    """Admits callers."""

    def __init__(self, switchboard: Switchboard, settings: Settings, allowed: AllowedCallers) -> None:
        self._switchboard = switchboard
        self._settings = settings
        self._allowed = allowed
        self._pending: dict[_Pending, None] = {}  # in the order of arrival
        self._turnover = Turnover()
        self._expected_turnover = Turnover()

    def apply(self, settings: Settings, identity: Identity) -> None:
        """Uses new settings. Behind it comes `put_out_unwelcome`."""
        self._settings = settings
        self._allowed.apply(settings, identity)
        self.update_names()

    def update_names(self) -> None:
        """Calls everybody who is here, and the peer of the conversation, as their certificates are called now."""
        names = self._allowed.names
        for pending in self._pending:
            if (connection := pending.connection) is not None and pending.session is not None:
                name = names.get(connection.certificate() or b"")
                if name is not None and pending.session.name is not None:
                    pending.session.rename(name)
        self._switchboard.rename_peer({hash_certificate(one): name for one, name in names.items()})

    def put_out_unwelcome(self) -> bool:
        """Ends what callers do who may not call any more. Returns whether that was the conversation. Raises
        JournalError if its end cannot be stored: it ends when the journal works again."""
        try:
            return self._switchboard.put_out_unwelcome()
        finally:
            self._disconnect_removed()

    def _disconnect_removed(self) -> None:
        """Closes the connections of callers who have a certificate that does not let in any more, unless it is
        about to end anyway: its conversation is over."""
        for pending in list(self._pending):
            session, connection = pending.session, pending.connection
            if session is None or connection is None or not session.is_admitted or session.is_over:
                continue
            try:
                self._allowed.check_stays(connection.certificate())
            except PermissionDeniedError as error:
                words = "no longer on the allowlist: connection closed"
                note(Event.CERTIFICATE, pending.host, words, level=logging.WARNING)
                connection.close([wire.Error("not-authorized", str(error))])

    @property
    def connections(self) -> set[Connection]:
        """The connections of all admitted callers."""
        return {connection for pending in self._pending if (connection := pending.connection) is not None}

    def admit(self, sock: socket.socket) -> Coroutine[None, None, None] | None:
        """What serves a connection until it is closed; None if there is no place for it, and it is closed already.

        That costs little, so that a crowd does not keep those behind it waiting in the kernel's queue.
        """
        try:
            host = str(sock.getpeername()[0])
        except OSError:  # closed again already
            sock.close()
            return None
        pending = _Pending(host, network_of(host))
        if not self._make_room(pending.network):
            note(Event.CROWDED, host, "refused, too many connections")
            sock.close()
            return None
        self._pending[pending] = None
        return self._admit(sock, pending)

    async def _admit(self, sock: socket.socket, pending: _Pending) -> None:
        try:
            if pending in self._pending:  # nobody has taken its place before its task began
                pending.task = asyncio.current_task()
                await self._serve(sock, pending)
        except (OSError, TimeoutError) as error:  # ssl.SSLError is an OSError
            did = "sent nothing in time" if pending.session is None else "closed the connection in the handshake"
            note(_event_of(error, pending), pending.host, "not admitted: %s", str(error) or did)
        finally:
            sock.close()
            self._pending.pop(pending, None)

    def _make_room(self, network: str) -> bool:
        """Whether one more connection from `network` may come; evicts another one if there are too many.

        The caller who has the seat, talking or about to, is never evicted, and counts nowhere.
        """
        seated = (self._switchboard.peer, self._switchboard.waiting)
        others = [one for one in self._pending if one.session is None or one.session not in seated]
        neighbours = [one for one in others if one.network == network]
        if len(neighbours) >= CALLERS_PER_NETWORK:
            now = asyncio.get_running_loop().time()
            return self._turnover.allows_neighbour(now) and self._evict({one: one.standing for one in neighbours})
        if len(others) < self._settings.callers:
            return True
        expected = self._expected_network()
        return self._may_displace(network, expected) and self._evict(
            {one: Standing.PROVEN if one.network == expected else one.standing for one in others}
        )

    def _may_displace(self, network: str, expected: str | None) -> bool:
        """Whether a newcomer may take the place of another one now. The expected network has an account of its own
        besides, so that a crowd from elsewhere does not delay who calls from there."""
        now = asyncio.get_running_loop().time()
        if network == expected and self._expected_turnover.allows(network, CALLERS_PER_NETWORK, now):
            return True
        return self._turnover.allows(network, self._settings.callers, now)

    def _expected_network(self) -> str | None:
        """Where the peer calls from, or has called from last, and will most likely call from again when it is cut
        off, which it may notice before we do."""
        conversation = self._switchboard.conversation
        return None if conversation is None else network_of(host_of(conversation.address))

    def _evict(self, standings: Mapping[_Pending, Standing]) -> bool:
        """Ends one of these connections; False if there is none."""
        evicted = choose(standings)
        if evicted is None:
            return False
        evicted.evict()
        del self._pending[evicted]
        return True

    async def _serve(self, sock: socket.socket, pending: _Pending) -> None:
        loop = asyncio.get_running_loop()
        caller, begin = SilentCaller(sock, in_one_word(sock.getpeername())), loop.time()
        try:
            first = await self._first_byte(caller, sock, plain=self._accepts_plain(pending.host))
            if first is None and not caller.greeted:
                note(Event.SILENT, pending.host, "closed the connection without a word")
                return
            secure = first == _CLIENT_HELLO
            if not secure and not self._accepts_plain(pending.host):
                note(Event.PLAINTEXT, pending.host, "refused: it calls without encryption")
                words = "This service needs an encrypted connection: use 'pychat HOST PORT'."
                await _send_last(sock, f"{wire.Error('plaintext', words)}\n".encode())
                return
            prompt = loop.time() - begin < PROMPT_SECONDS
            pending.session = PeerSession(
                self._switchboard, caller.address, self._allowed, secure=secure, prompt=prompt
            )
            self._switchboard.silent_callers.replace(caller, pending.session)
        finally:
            self._switchboard.silent_callers.leave(caller)
        await self._serve_session(sock, pending.session, greeted=caller.greeted)

    async def _serve_session(self, sock: socket.socket, session: PeerSession, *, greeted: bool) -> None:
        try:
            if session.secure:
                await self._shake_hands(sock, session.connection)
            else:
                await asyncio.get_running_loop().connect_accepted_socket(lambda: session.connection, sock)
        except BaseException:
            session.abandon()
            raise
        if greeted:
            session.greet()
        await session.connection.closed

    async def _first_byte(self, caller: SilentCaller, sock: socket.socket, *, plain: bool) -> int | None:
        """Waits for the first byte. Raises TimeoutError. plain: the caller may be a classic program, so the
        operator is told of it, and it gets a sentence when its time is over."""
        loop = asyncio.get_running_loop()

        def show() -> None:
            deadline.reschedule(loop.time() + SILENT_SECONDS)
            self._switchboard.add_silent(caller)

        seen = loop.call_later(SEEN_SECONDS, show) if plain else None
        try:
            async with asyncio.timeout(HELLO_SECONDS) as deadline:
                return await caller.first_byte()
        except TimeoutError:
            if seen is not None:
                seen.cancel()
                await _send_last(sock, f"{wire.Error('slow', TOO_SLOW)}\n".encode())
            raise
        finally:
            if seen is not None:
                seen.cancel()

    async def _shake_hands(self, sock: socket.socket, connection: Connection) -> None:
        """The TLS handshake. If it fails, sends the TLS alert that tells the caller why: asyncio drops it."""
        context = _RememberingContext(self._allowed.identity.context)
        with sock.dup() as spare:
            try:
                await asyncio.get_running_loop().connect_accepted_socket(
                    lambda: connection, sock, ssl=cast(ssl.SSLContext, context), ssl_handshake_timeout=TLS_SECONDS
                )
            except ssl.SSLError:
                await _send_last(spare, context.alert)
                raise

    def _accepts_plain(self, host: str) -> bool:
        if self._allowed.needs_certificate or self._settings.plaintext == "never":
            return False  # an allowlist needs certificates, and plain TCP has none
        return self._settings.plaintext == "always" or address_of(host).is_loopback


class ConsoleAdmission:
    """Admits programs of this machine to the console socket."""

    def __init__(
        self,
        switchboard: Switchboard,
        path: Path,
        status: Callable[[], str],
        *,
        execute: Callable[[str], list[str]],
    ) -> None:
        """path: of the console socket; status: gives the state of the service as JSON; execute: does what an order
        says, and returns what to answer."""
        self._switchboard = switchboard
        self._path = path
        self._status = status
        self._execute = execute
        self._sessions: dict[ConsoleSession, int] = {}  # with the uid of each user

    @property
    def connections(self) -> set[Connection]:
        """The connections of all admitted programs."""
        return {session.connection for session in self._sessions}

    async def admit(self, sock: socket.socket) -> None:
        """Serves one connection until it is closed."""
        assert hasattr(socket, "SO_PEERCRED")
        pid, uid, gid = struct.unpack("3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        user = f"{_user_name(uid)} (pid {pid})"
        try:
            if not may_use(uid, gid, self._path):
                raise TransportError("permission denied")
            session = ConsoleSession(self._switchboard, user, uid, self._status, self._execute)
            await self._serve(sock, session, uid)
        except (OSError, TransportError) as error:
            log.warning("console: %s: not admitted: %s", user, error)
        finally:
            sock.close()

    async def _serve(self, sock: socket.socket, session: ConsoleSession, uid: int) -> None:
        self._make_room(uid)
        self._sessions[session] = uid
        try:
            await asyncio.get_running_loop().connect_accepted_socket(lambda: session.connection, sock)
            await session.connection.closed
        finally:
            self._sessions.pop(session, None)

    def _make_room(self, uid: int) -> None:
        """If there are too many, puts out one of the user who has most; never the attached console.

        So a user who opens many and does not read them cannot keep the operator out.
        """
        others = {one: user for one, user in self._sessions.items() if one is not self._switchboard.operator}
        if len(others) < VISITORS_MAX:
            return
        counts = Counter([*others.values(), uid])
        evicted = random.choice([one for one, user in others.items() if counts[user] == max(counts.values())])  # noqa: S311 -- not a secret
        log.warning("console: %s: too many connections, and a newer one took the place", evicted.user)
        evicted.connection.abort(CloseReason.EVICTED)
        del self._sessions[evicted]


def may_use(uid: int, gid: int, path: Path) -> bool:
    """Whether a user may use the console socket at `path`: root, the daemon's own user, and its group.

    The mode of the socket says the same. This check also covers a descriptor that was passed on, and a mode that
    has changed.
    """
    if uid in (0, os.geteuid()):
        return True
    try:
        groups = {gid, *os.getgrouplist(pwd.getpwuid(uid).pw_name, gid)}
    except KeyError:
        groups = {gid}
    return path.stat().st_gid in groups


def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"


class _RememberingContext:
    """An SSL context for one connection that keeps the alert of a failed handshake."""

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
    """Sends `data`, and reads until the other side closes: closing with unread data would reset the connection,
    and `data` could be lost."""
    loop = asyncio.get_running_loop()
    with suppress(OSError, TimeoutError):
        async with asyncio.timeout(FINISH_SECONDS):
            await loop.sock_sendall(sock, data)
            sock.shutdown(socket.SHUT_WR)
            while await loop.sock_recv(sock, 4096):
                pass


def _event_of(error: Exception, pending: _Pending) -> Event:
    """Why a connection was not admitted."""
    if pending.session is None:
        return Event.SILENT
    if isinstance(error, ssl.SSLError) and "CERTIFICATE" in (error.reason or ""):
        return Event.CERTIFICATE
    return Event.HANDSHAKE
