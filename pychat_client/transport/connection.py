"""One live connection: bytes from an asyncio transport become frames, and frames become bytes.

`Connection` answers pings, notices a dead connection, and limits what waits unsent. It knows no rules of a
conversation. `connect` opens connections; `tcp` has what is Linux's own.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from enum import Enum, auto
from typing import Protocol

from pychat_client.errors import ProtocolError, TransportError
from pychat_client.protocol import wire
from pychat_client.protocol.codec import Codec, LineCodec
from pychat_client.transport import os_errors, tcp

PING_AFTER = 30.0
"""Seconds of silence before we send a ping: two wake-ups a minute on an idle connection."""

PONG_WITHIN = 15.0
"""Seconds without an answer to a ping, after which the connection counts as dead: longer than any working
route needs. Shorter than PING_AFTER, so that the answer counts."""

PROBE_WITHIN = 4.0
"""Seconds without an answer to `probe`, besides a few round trips, after which the connection counts as dead."""

PROBE_TRIPS = 4
"""Round trips that an answer to `probe` may take: TCP may have to send the question again."""

FINISH_SECONDS = 3.0
"""How long the other side may take to read our last lines before we cut the connection."""

UNSENT_MAX = 1 << 20
"""Bytes that may wait for a slow reader; with more we drop the connection. The switchboard stops long before
(it sends no more than a transport takes), so only a broken peer gets here."""

BATCH_MAX = 1 << 16
"""Bytes that `send` collects at most before it writes them, so that `writable` turns False in time."""

RECORD_MAX = 1400
"""Bytes of a TLS record at most: with its 22 bytes it fits into a packet. TLS hands on nothing of a record before
its end, and makes records of up to 16 KiB. A link that always breaks before that would never get a long repetition
through, which goes on behind what has arrived. A record costs each end a microsecond."""

READ_MAX = 1 << 16
"""Bytes that are read at a time."""

USER_READ = 1 << 14
"""The same in a user's program: about 300 messages. A key that is pressed meanwhile waits for their turn."""

_SIGNS_OF_LIFE = (wire.Ping, wire.Pong)
"""What the connection itself handles."""

DISCARD_MAX = 1 << 18
"""Bytes that we read and throw away after our last line: more than a program has under way that waits for acks, of
100 messages. Then nothing more is read."""

TLS_UNREAD = (20 << 10, 32 << 10)
"""Bytes of TLS below which asyncio reads on, and above which it stops, while we do not read. It needs room for one
record, of 16 KiB. By default it takes 256 KiB of each connection."""


class TransportState(Enum):
    """Where a connection is in its life."""

    CONNECTING = auto()
    """asyncio has given us no transport yet."""
    OPEN = auto()
    CLOSING = auto()
    """We send nothing more, and throw away what still arrives."""
    CLOSED = auto()


class _Pause(Enum):
    """Why a connection is not read."""

    OWNER = auto()
    """The owner has enough for now."""
    PACE = auto()
    """It has been read too fast."""


class CloseReason(Enum):
    """Why a connection has ended; the value is a clause that fits into a sentence for a user."""

    CLOSED_BY_PEER = "closed by the other side"
    CLOSED_HERE = "closed by this side"
    NO_ANSWER = "no answer"
    NO_HELLO = "no hello in time"
    SLOW_READER = "the other side does not read what we send"
    REMOTE_ERROR = "the other side reported an error"
    EVICTED = "too many connections, and a newer one took the place"
    NOT_LISTED = os_errors.NOT_LISTED
    SYSTEM_ERROR = "a network error"
    """The clause that the owner gets is the system's own (`os_errors.describe`)."""


class Owner(Protocol):
    """Learns what happens on a connection. After `connection_lost`, nothing more is called."""

    def frames_received(self, connection: Connection, frames: list[wire.Frame]) -> None:
        """All the frames of one read, in order, without pings and pongs."""

    def protocol_error(self, connection: Connection, error: ProtocolError) -> None:
        """The next bytes break the protocol. The owner should close the connection."""

    def resume_writing(self, connection: Connection) -> None:
        """The transport takes more again, after `writable` was False."""

    def connection_lost(self, connection: Connection, why: str) -> None:
        """The connection has ended; `why` is a clause for a user, `connection.close_reason` is for programs."""


class Pace(Protocol):
    """How fast a connection is read."""

    @property
    def read_max(self) -> int:
        """Bytes that the next read may bring, at most READ_MAX."""

    def pause_after(self, data: bytes, now: float) -> float:
        """Counts a read, after its frames have been handled. Returns for how many seconds nothing is read.

        now: when it came, by the loop's clock.
        """


class WriteBatch:
    """Collects what is sent while one read is handled, so that each connection needs one write for it.

    Connections that answer each other share a batch: what a read of one makes the others send goes out with its
    end. (`loop.call_soon(flush)` needs no such object, but costs another turn of the loop: 10 us a round trip.)
    """

    def __init__(self) -> None:
        self.collecting = False
        self._connections: dict[Connection, None] = {}  # in the order in which they were written to

    def add(self, connection: Connection) -> None:
        self._connections[connection] = None

    def __enter__(self) -> None:
        self.collecting = True

    def __exit__(self, *_: object) -> None:
        self.collecting = False
        connections, self._connections = self._connections, {}
        for connection in connections:
            connection.flush()


class Connection(asyncio.BufferedProtocol):
    """One live connection."""

    def __init__(
        self,
        owner: Owner,
        codec: Codec | None = None,
        batch: WriteBatch | None = None,
        pace: Pace | None = None,
        *,
        read_max: int = READ_MAX,
    ) -> None:
        """batch: shared with the connections whose reads make this one send, by default its own; pace: by default
        everything is read as it comes; read_max: bytes of one read."""
        self.owner = owner
        self.codec: Codec = codec or LineCodec()
        self.state = TransportState.CONNECTING
        self.close_reason = CloseReason.CLOSED_BY_PEER  # until we know better
        self.writable = False  # whether the transport takes more without a long queue
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._transport: asyncio.Transport | None = None
        self._read_max = read_max
        self._buffer = memoryview(b"")  # allocated in connection_made
        self._batch = batch or WriteBatch()
        self._pace = pace
        self._pauses: set[_Pause] = set()
        self._discarded = 0  # bytes that have come after our last line
        self._unsent = bytearray()  # lines that `send` has collected for the next flush
        self._last_received = 0.0
        self._answer_due: float | None = None  # when our last ping ends the connection, if nothing comes
        self._timer: asyncio.TimerHandle | None = None
        self._silence: asyncio.TimerHandle | None = None
        self._pace_timer: asyncio.TimerHandle | None = None

    # -------------------------------------------------------------- for the owner

    def send(self, frames: Iterable[wire.Frame]) -> None:
        """Sends `frames`: at once, or while a read is handled, with its end.

        Drops the connection when too much waits unread.
        """
        if self.state is not TransportState.OPEN:
            return
        encode = self.codec.encode
        for frame in frames:
            self._unsent += encode(frame)
        if self._batch.collecting and len(self._unsent) <= BATCH_MAX:
            self._batch.add(self)
        else:
            self.flush()

    def flush(self) -> None:
        """Writes what `send` has collected."""
        data, self._unsent = self._unsent, bytearray()
        self._await_silence()
        transport = self._open_transport()
        if not data or transport is None:
            return
        if len(data) > RECORD_MAX and transport.get_extra_info("ssl_object") is not None:
            transport.writelines(data[i : i + RECORD_MAX] for i in range(0, len(data), RECORD_MAX))
        else:
            transport.write(data)
        if not self.writable and transport.get_write_buffer_size() > UNSENT_MAX:  # it asks for a pause long before
            self.abort(CloseReason.SLOW_READER)

    def hand_over(self, owner: Owner) -> None:
        """From now on `owner` learns what happens here."""
        self.owner = owner

    def use_codec(self, codec: Codec) -> None:
        """From now on `codec` reads and writes on this connection."""
        self.codec = codec

    def read_freely(self) -> None:
        """From now on everything is read as it comes."""
        self._pace = None

    def start_keepalive(self) -> None:
        """From now on we ping after silence, and end the connection without an answer: for programs that
        know pings."""
        self._last_received = asyncio.get_running_loop().time()
        self._set_timer(PING_AFTER, self._check_alive)

    def probe(self) -> None:
        """Asks for a sign of life now, and ends the connection without one."""
        if self.state is not TransportState.OPEN:
            return
        seconds = PROBE_WITHIN + PROBE_TRIPS * tcp.round_trip(self.socket())
        if self._answer_due is None:
            self._ping(seconds)
        elif self._answer_due > asyncio.get_running_loop().time() + seconds:
            self._await_answer(seconds)

    def close(self, frames: Iterable[wire.Frame] = (), seconds: float | None = None) -> None:
        """Sends the last frames, and closes when the other side has read them, or after `seconds`
        (default: FINISH_SECONDS).

        Meanwhile we read and throw away what the other side still sends, up to DISCARD_MAX: closing a socket with
        unread data resets the connection, and the last line could be lost.
        """
        transport = self._transport
        if transport is None or self.state is not TransportState.OPEN:
            return
        self.send(frames)
        self.flush()
        if self.state is not TransportState.OPEN:  # the other side does not read
            return
        self.state = TransportState.CLOSING
        self.close_reason = CloseReason.CLOSED_HERE
        if self._pauses:
            self._pauses.clear()
            transport.resume_reading()
        self._set_timer(FINISH_SECONDS if seconds is None else seconds, transport.abort)
        if transport.can_write_eof():
            with suppress(OSError):  # the other side has reset the connection: asyncio reports that soon
                transport.write_eof()
        else:
            transport.close()

    def pause_reading(self) -> None:
        """Leaves incoming data in the socket until `resume_reading`."""
        self._pause(_Pause.OWNER)

    def resume_reading(self) -> None:
        """The owner takes more again."""
        self._resume(_Pause.OWNER)

    def abort(self, reason: CloseReason = CloseReason.CLOSED_HERE) -> None:
        """Ends the connection at once."""
        if self.state is TransportState.CLOSED:
            return
        self.state = TransportState.CLOSING
        self.close_reason = reason
        if self._transport is not None:
            self._transport.abort()

    @property
    def is_made(self) -> bool:
        """Whether there is a connection."""
        return self._transport is not None

    @property
    def has_unsent(self) -> bool:
        """Whether the system has not yet taken all that was sent."""
        transports = (self._transport, _below(self._transport))
        return any(one is not None and one.get_write_buffer_size() > 0 for one in transports)

    def certificate(self) -> bytes | None:
        """The other end's certificate (DER), if it has shown one."""
        tls = None if self._transport is None else self._transport.get_extra_info("ssl_object")
        return None if tls is None else tls.getpeercert(binary_form=True)

    def accept_certificate(self, certificate: bytes) -> None:
        """From now on the other end may prove this certificate (DER). Raises ssl.SSLError or ValueError for what
        is none."""
        assert self._transport is not None
        self._transport.get_extra_info("ssl_object").context.load_verify_locations(cadata=certificate)

    def ask_for_certificate(self) -> None:
        """Makes TLS ask the other end for its certificate, with the next line. Raises TransportError if the other
        end cannot answer that."""
        assert self._transport is not None
        try:
            self._transport.get_extra_info("ssl_object").verify_client_post_handshake()
        except ssl.SSLError:
            raise TransportError("Your program cannot prove a certificate after the TLS handshake.") from None

    def socket(self) -> socket.socket | None:
        """The socket below, to ask the kernel about the other end."""
        return None if self._transport is None else self._transport.get_extra_info("socket")

    # -------------------------------------------------------------- for asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._buffer = memoryview(bytearray(self._read_max))  # asyncio's TLS writes into slices of it
        if self.state is TransportState.CLOSING:  # aborted before it was made
            transport.abort()
            return
        self.state = TransportState.OPEN
        self.writable = True
        if (limit := getattr(transport, "set_read_buffer_limits", None)) is not None:  # TLS
            limit(low=TLS_UNREAD[0], high=TLS_UNREAD[1])
        if (sock := self.socket()) is not None and sock.family != socket.AF_UNIX:
            tcp.set_options(sock, PING_AFTER, PONG_WITHIN)

    def get_buffer(self, sizehint: int) -> memoryview:
        if self._pace is None or self.state is not TransportState.OPEN:  # what we throw away costs little
            return self._buffer
        return self._buffer[: self._pace.read_max]

    def buffer_updated(self, nbytes: int) -> None:
        if self.state is not TransportState.OPEN:
            self._discard(nbytes)
            return
        self._last_received = now = asyncio.get_running_loop().time()
        self._answer_due = None
        data = bytes(self._buffer[:nbytes])
        self._read(self.codec.feed(data))
        if self._pace is not None and (seconds := self._pace.pause_after(data, now)):
            self._pause(_Pause.PACE)
            if self._pace_timer is not None:
                self._pace_timer.cancel()
            self._pace_timer = asyncio.get_running_loop().call_later(seconds, self._resume, _Pause.PACE)

    def eof_received(self) -> bool:
        if self.state is TransportState.OPEN:
            self._read(self.codec.eof())
        return False

    def pause_writing(self) -> None:
        self.writable = False

    def resume_writing(self) -> None:
        self.writable = True
        if self.state is TransportState.OPEN:
            self.owner.resume_writing(self)

    def connection_lost(self, exc: Exception | None) -> None:
        if self.state is TransportState.OPEN and self.codec.patience is not None:
            self._read(self.codec.silence())  # the last bytes have arrived
        for timer in (self._timer, self._silence, self._pace_timer):
            if timer is not None:
                timer.cancel()
        self._transport = None
        self._buffer = memoryview(b"")
        self.state = TransportState.CLOSED
        self.writable = False
        why = self.close_reason.value
        if isinstance(exc, OSError):
            not_listed = os_errors.refuses_certificate(exc)
            self.close_reason = CloseReason.NOT_LISTED if not_listed else CloseReason.SYSTEM_ERROR
            why = os_errors.describe(exc)
        self.owner.connection_lost(self, why)
        self.closed.set_result(None)

    # -------------------------------------------------------------- inside

    def _open_transport(self) -> asyncio.Transport | None:
        """The transport, if it still takes something."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return None
        # In Python 3.11, TLS does not tell that the connection below it is lost, and asyncio warns of each write.
        below = _below(transport)
        return None if below is not None and below.is_closing() else transport

    def _pause(self, why: _Pause) -> None:
        if self.state is TransportState.OPEN and (transport := self._open_transport()) is not None:
            self._pauses.add(why)
            transport.pause_reading()

    def _resume(self, why: _Pause) -> None:
        """Reads again, if nothing else is against it."""
        if why not in self._pauses:
            return
        self._pauses.remove(why)
        if not self._pauses and (transport := self._open_transport()) is not None:
            transport.resume_reading()

    def _discard(self, nbytes: int) -> None:
        self._discarded += nbytes
        if self._discarded > DISCARD_MAX and (transport := self._open_transport()) is not None:
            transport.pause_reading()

    def _read(self, source: Iterator[wire.Frame]) -> None:
        """Handles one read; then sends all that its handling has made connections send."""
        with self._batch:
            self._deliver(source)

    def _deliver(self, source: Iterator[wire.Frame]) -> None:
        """Hands the frames of one read to the owner, then the error behind them, if there is one."""
        frames: list[wire.Frame] = []
        broken: ProtocolError | None = None
        try:
            for frame in source:
                if not isinstance(frame, _SIGNS_OF_LIFE):
                    frames.append(frame)
                elif isinstance(frame, wire.Ping):
                    self.send([wire.Pong()])
        except ProtocolError as error:
            broken = error
        if frames:
            self.owner.frames_received(self, frames)
        if broken is not None and self.state is TransportState.OPEN:
            self.owner.protocol_error(self, broken)
        self._await_silence()

    def _await_silence(self) -> None:
        """Starts the timer that tells the codec of silence: as long as it asks for, and one round trip more."""
        if self._silence is not None:
            self._silence.cancel()
            self._silence = None
        patience = self.codec.patience
        if patience is not None and self.state is TransportState.OPEN:
            patience += 2 * tcp.round_trip(self.socket()) if patience else 0
            self._silence = asyncio.get_running_loop().call_later(patience, self._silent)

    def _silent(self) -> None:
        self._silence = None
        if self._pauses:  # it may have sent more, which we have not read
            self._await_silence()
        elif self.state is TransportState.OPEN:
            self._read(self.codec.silence())

    def _check_alive(self) -> None:
        loop = asyncio.get_running_loop()
        if self._pauses:  # it may have sent something, which we have not read
            self._last_received = loop.time()
            self._answer_due = None
        silence = loop.time() - self._last_received
        if self._answer_due is not None:
            self.abort(CloseReason.NO_ANSWER)
        elif silence < PING_AFTER:
            self._set_timer(PING_AFTER - silence, self._check_alive)
        else:
            self._ping(PONG_WITHIN)

    def _ping(self, seconds: float) -> None:
        """Asks the other side for an answer within `seconds`."""
        self._await_answer(seconds)
        self.send([wire.Ping()])

    def _await_answer(self, seconds: float) -> None:
        self._answer_due = asyncio.get_running_loop().time() + seconds
        self._set_timer(seconds, self._check_alive)

    def _set_timer(self, seconds: float, action: Callable[[], None]) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(seconds, action)


def _below(transport: asyncio.Transport | None) -> asyncio.Transport | None:
    """The transport below that of TLS."""
    below: asyncio.Transport | None = getattr(getattr(transport, "_ssl_protocol", None), "_transport", None)
    return below
