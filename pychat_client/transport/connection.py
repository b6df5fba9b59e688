"""One live connection: asyncio transports in, frames out (docs/protocol.md, "Connections").

`Link` pumps lines both ways, answers pings, notices a dead connection, and bounds what waits
unsent; dial opens one. This module knows no rules of a conversation and no screen.
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import struct
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Protocol

from pychat_client.errors import ProtocolError
from pychat_client.protocol import wire
from pychat_client.protocol.codec import Codec, LineCodec

PING_AFTER = 30.0
"""Silence after which a link is asked whether it lives; two wake-ups a minute on an idle line."""

PONG_WITHIN = 15.0
"""Silence after a ping that makes a link dead: longer than any working route needs. Shorter than
PING_AFTER, so that the answer counts."""

FINISH_SECONDS = 3.0
"""How long a closing link may take to read its last lines."""

UNSENT_MAX = 1 << 20
"""Bytes that may wait for a reader who does not read; then the link is dropped. The switchboard
stops long before (it sends no more than a transport takes), so only a broken peer gets here."""

HELD_MAX = 1 << 16
"""Bytes that wait for the end of a read at most, so that `writable` says in time that there are too many."""

_READ_SIZE = 1 << 16


class Owner(Protocol):
    """Who is told what happens on a link. Nothing is called after `link_lost`."""

    def frames_received(self, connection: Connection, frames: list[wire.Frame]) -> None:
        """All the frames of one read, in order; pings and pongs are not among them."""

    def protocol_error(self, connection: Connection, error: ProtocolError) -> None:
        """What came next breaks the protocol; nothing more will be read from this link."""

    def resume_writing(self, connection: Connection) -> None:
        """The transport takes more again, after `writable` was False."""

    def connection_lost(self, connection: Connection, why: str) -> None:
        """The connection is gone; `why` is a clause fit for a user ("closed by the other side")."""


class Connection(asyncio.BufferedProtocol):
    """One live connection."""

    def __init__(self, owner: Owner, codec: Codec | None = None) -> None:
        self.owner = owner
        self.codec: Codec = codec or LineCodec()
        self.writable = False
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.refused = False  # the other side's TLS did not want us
        self._buffer = memoryview(b"")  # made with the connection
        self._unsent: list[bytes] = []  # the lines that `send` was given during the present read
        self._unsent_bytes = 0  # their bytes
        self._transport: asyncio.Transport | None = None
        self._ignore_input = False  # what still comes is thrown away: broken, or on its way out
        self._close_reason = "closed by the other side"
        self._last_received = 0.0
        self._pinged = False
        self._timer: asyncio.TimerHandle | None = None
        self._silence: asyncio.TimerHandle | None = None

    # -------------------------------------------------------------- for the owner

    def send(self, frames: Iterable[wire.Frame]) -> None:
        """Writes `frames`; drops the link when too much waits unread."""
        transport = self._transport
        if transport is None or self._ignore_input or transport.is_closing():
            return
        lines = [self.codec.encode(frame) for frame in frames]
        self._unsent += lines
        self._unsent_bytes += sum(map(len, lines))
        self._await_silence()
        if not _outgoing.held or self._unsent_bytes > HELD_MAX:
            self.flush()
        else:
            _outgoing.connections[self] = None

    def use_codec(self, codec: Codec) -> None:
        """From now on `codec` reads and writes on this connection."""
        self.codec = codec

    def start_keepalive(self) -> None:
        """From now on pings after silence, and ends when nothing answers: for an end that knows pings."""
        self._last_received = asyncio.get_running_loop().time()
        self._set_timer(PING_AFTER, self._check_alive)

    def close(self, frames: Iterable[wire.Frame] = (), seconds: float = FINISH_SECONDS) -> None:
        """Sends the last frames, and closes once they are read, or after `seconds`.

        What the other side is still sending is read and thrown away meanwhile: closing on unread
        data would reset the connection, and the last line could be lost.
        """
        transport = self._transport
        if transport is None or self._ignore_input:
            return
        self.send(frames)
        self.flush()
        self._ignore_input = True
        self._close_reason = "closed from here"
        self._set_timer(seconds, transport.abort)
        if transport.can_write_eof():
            with suppress(OSError):  # reset by the other side: the loss is reported soon
                transport.write_eof()
        else:
            transport.close()

    def pause_reading(self, seconds: float) -> None:
        """Leaves what comes in the socket for a while."""
        transport = self._transport
        if transport is not None and not transport.is_closing():
            transport.pause_reading()
            asyncio.get_running_loop().call_later(seconds, transport.resume_reading)

    def abort(self, why: str) -> None:
        """Ends the connection at once."""
        self._ignore_input = True
        self._close_reason = why
        if self._transport is not None:
            self._transport.abort()

    @property
    def live(self) -> bool:
        """Whether there is a connection."""
        return self._transport is not None

    def certificate(self) -> bytes | None:
        """The other end's certificate (DER), where it has shown one."""
        tls = None if self._transport is None else self._transport.get_extra_info("ssl_object")
        return None if tls is None else tls.getpeercert(binary_form=True)

    def socket(self) -> socket.socket | None:
        """The socket beneath, to ask who is at the other end."""
        return None if self._transport is None else self._transport.get_extra_info("socket")

    # -------------------------------------------------------------- for asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._buffer = memoryview(bytearray(_READ_SIZE))  # asyncio's TLS writes into slices of it
        self.writable = True
        if (sock := self.socket()) is not None and sock.family != socket.AF_UNIX:
            _prepare(sock)

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        if not self._ignore_input:
            self._last_received = asyncio.get_running_loop().time()
            self._read(lambda: self.codec.feed(bytes(self._buffer[:nbytes])))

    def eof_received(self) -> bool:
        if not self._ignore_input:
            self._read(self.codec.eof)
        return False

    def pause_writing(self) -> None:
        self.writable = False

    def resume_writing(self) -> None:
        self.writable = True
        if not self._ignore_input:
            self.owner.resume_writing(self)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._ignore_input and self.codec.patience is not None:  # a last burst has come
            self._read(self.codec.silence)
        for timer in (self._timer, self._silence):
            if timer is not None:
                timer.cancel()
        self._transport = None
        self._buffer = memoryview(b"")
        self._ignore_input = True
        self.writable = False
        why = reason(exc) if isinstance(exc, OSError) else self._close_reason
        self.refused = why == _NOT_LISTED
        self.owner.connection_lost(self, why)
        self.closed.set_result(None)

    # -------------------------------------------------------------- inside

    def flush(self) -> None:
        """Writes what `send` was given; it does so itself, but while a read is being handled."""
        data, self._unsent, self._unsent_bytes = b"".join(self._unsent), [], 0
        transport = self._transport
        if data and transport is not None and not transport.is_closing():
            transport.write(data)
            if transport.get_write_buffer_size() > UNSENT_MAX:
                self.abort("it did not read what it was sent")

    def _read(self, source: Callable[[], Iterator[wire.Frame]]) -> None:
        """Hands on the frames of one read; all that is sent because of them goes out behind it, in one write
        to each link."""
        _outgoing.held = True
        try:
            self._deliver(source)
        finally:
            _outgoing.release()

    def _deliver(self, source: Callable[[], Iterator[wire.Frame]]) -> None:
        """Hands on the frames of one read; then, if it comes to that, the error behind them."""
        frames: list[wire.Frame] = []
        broken: ProtocolError | None = None
        try:
            for frame in source():
                if isinstance(frame, wire.Ping):
                    self.send([wire.Pong()])
                elif not isinstance(frame, wire.Pong):
                    frames.append(frame)
        except ProtocolError as error:
            broken = error
        if frames:
            self.owner.frames_received(self, frames)
        if broken is not None and not self._ignore_input:
            self.owner.protocol_error(self, broken)
        self._await_silence()

    def _await_silence(self) -> None:
        """Tells the codec when nothing has come for as long as it asks, and the way there and back takes."""
        if self._silence is not None:
            self._silence.cancel()
            self._silence = None
        patience = self.codec.patience
        if patience is not None and not self._ignore_input:
            patience += 2 * _round_trip(self.socket()) if patience else 0
            self._silence = asyncio.get_running_loop().call_later(patience, self._silent)

    def _silent(self) -> None:
        self._silence = None
        if not self._ignore_input:
            self._read(self.codec.silence)

    def _check_alive(self) -> None:
        loop = asyncio.get_running_loop()
        silence = loop.time() - self._last_received
        if silence < PING_AFTER:
            self._pinged = False
            self._set_timer(PING_AFTER - silence, self._check_alive)
        elif not self._pinged:
            self._pinged = True
            self.send([wire.Ping()])
            self._set_timer(PONG_WITHIN, self._check_alive)
        else:
            self.abort("the other side does not answer any more")

    def _set_timer(self, seconds: float, action: Callable[[], None]) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(seconds, action)


class _Outgoing:
    """The links that were written to while a read is being handled; there is one at a time in a process."""

    def __init__(self) -> None:
        self.held = False
        self.connections: dict[Connection, None] = {}

    def release(self) -> None:
        """The read has been handled."""
        self.held = False
        connections = list(self.connections)
        self.connections.clear()
        for connection in connections:
            connection.flush()


_outgoing = _Outgoing()


def reason(error: Exception) -> str:
    """What went wrong, as a clause: the operating system's words without the numbers."""
    if isinstance(error, ssl.SSLError):
        word = (error.reason or "the other side broke off the handshake").lower().replace("_", " ")
        return _ALERTS.get(word, word)
    if isinstance(error, OSError) and error.errno is not None:
        # asyncio puts its own sentence in strerror; the first of several errors stands for all
        return os.strerror(error.errno).lower()
    if isinstance(error, OSError) and "[Errno" in str(error):
        number = str(error).split("[Errno ", 1)[1].split("]", 1)[0]
        return os.strerror(int(number)).lower()
    return str(error) or type(error).__name__


_NOT_LISTED = "your certificate is not on the list of who may call there"
_ALERTS = {
    "tlsv13 alert certificate required": _NOT_LISTED,
    "tlsv1 alert unknown ca": _NOT_LISTED,
    "sslv3 alert bad certificate": _NOT_LISTED,
    "sslv3 alert certificate expired": _NOT_LISTED,
    "sslv3 alert unsupported certificate": _NOT_LISTED,
    "tlsv1 alert protocol version": "the other side speaks no TLS 1.3",
    "unsupported protocol": "the other side speaks no TLS 1.3",
    "wrong version number": "the other side does not speak TLS",
}


def _round_trip(sock: socket.socket | None) -> float:
    """Seconds to the other side and back, as the kernel has measured them (tcp(7), TCP_INFO)."""
    microseconds = 0
    if sock is not None:
        with suppress(OSError):  # no TCP, or gone
            (microseconds,) = _TCP_INFO.unpack(
                sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO.size)
            )
    return microseconds / 1e6


_TCP_INFO = struct.Struct("=68xI")
"""`struct tcp_info` of linux/tcp.h up to tcpi_rtt, in microseconds."""


def _prepare(sock: socket.socket) -> None:
    """No delay for small lines, and a kernel that notices a dead route."""
    for level, option, value in (
        (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
        (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),  # for those that know no pings
        (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, int(PING_AFTER)),
        (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, int(PONG_WITHIN / 3)),
        (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
        # What was sent and not confirmed ends the connection as soon as a silent one would end.
        (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int((PING_AFTER + PONG_WITHIN) * 1000)),
    ):
        with suppress(OSError):  # reset by the other side already: that is reported soon enough
            sock.setsockopt(level, option, value)
