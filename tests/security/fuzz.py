"""What bytes a stranger may send: the targets of fuzzing, for fuzz_run and for test_fuzz."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from pychat_client.classic.framing import WRITE_MAX
from pychat_client.classic.server_codec import ServerCodec, ServerQuirks
from pychat_client.errors import ProtocolError
from pychat_client.protocol import wire
from pychat_client.protocol.codec import LINE_MAX, Codec, LineCodec
from pychat_client.protocol.turns import Turns
from pychat_client.text import CONTROL, MESSAGE_MAX
from pychat_client.transport.connection import Connection
from pychatd.conversation.journal import Journal
from pychatd.conversation.peer_session import PeerSession
from pychatd.conversation.switchboard import Switchboard
from pychatd.settings import Settings
from tests.support.allowed_callers import Anybody, Nobody
from tests.support.detected import Detected

CORPUS = Path(__file__).parent / "fuzz_corpus"


def pieces(data: bytes) -> list[bytes]:
    """`data` cut at places that depend on nothing but itself."""
    cuts = hashlib.sha256(data).digest()
    sizes = itertools.cycle(1 + cut % (7 if cuts[0] % 2 else 97) for cut in cuts)
    start, cut_up = 0, []
    while start < len(data):
        size = next(sizes)
        cut_up.append(data[start : start + size])
        start += size
    return cut_up


def _frames(codec: Codec, parts: list[bytes]) -> tuple[list[wire.Frame], str | None]:
    """The frames of a stream, and the code of the error that ended it."""
    frames: list[wire.Frame] = []
    try:
        for part in parts:
            for frame in codec.feed(part):
                _check(frame)
                if isinstance(frame, wire.Ping):  # as the link does; how often depends on the reads
                    codec.encode(wire.Pong())
                else:
                    frames.append(frame)
        frames += codec.eof()
    except ProtocolError as error:
        return frames, error.code
    return frames, None


def _check(frame: wire.Frame) -> None:
    """What everybody behind a codec relies on."""
    line = str(frame)
    assert CONTROL.search(line) is None, ascii(line)
    line.encode()
    if isinstance(frame, wire.Message):
        assert 0 < len(frame.text) <= MESSAGE_MAX
        assert len(line.encode()) < LINE_MAX


def codecs(data: bytes) -> None:
    """Whole or split, a stream is the same frames and the same error, and never another exception."""
    for make in (LineCodec, Detected):
        whole, split = _frames(make(), [data]), _frames(make(), pieces(data))
        assert whole == split, (make.__name__, whole, split)
        for frame in whole[0]:
            if not isinstance(frame, wire.Rejected):
                make().encode(frame)


def bursts(data: bytes) -> None:
    """What classic programs may send, with silences between: frames, a protocol error, and bounded answers."""
    for codec in (Detected(), ServerCodec(ServerQuirks())):
        codec.encode(wire.Hello(wire.VERSION, "Bob"))
        with suppress(ProtocolError):
            for burst in data.split(b"\x1e"):
                frames = [*codec.feed(burst)]
                while codec.patience is not None:
                    frames += codec.silence()
                for frame in (*frames, wire.Message("Bob", "x" * 400), wire.Pong()):
                    _check(frame)
                    codec.encode(frame)
                written = codec.encode(wire.Message("Bob", "x" * 480))
                assert codec.max_text_bytes("Bob") is None or len(written) <= WRITE_MAX
            for frame in codec.eof():
                _check(frame)


class _Transport(asyncio.Transport):
    """A connection that takes everything and keeps count."""

    def __init__(self) -> None:
        super().__init__()
        self.written = 0
        self._closed = False

    def write(self, data: Any) -> None:
        self.written += len(data)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default

    def is_closing(self) -> bool:
        return self._closed

    def get_write_buffer_size(self) -> int:
        return 0

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        pass

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass

    def close(self) -> None:
        self._closed = True

    def abort(self) -> None:
        self._closed = True


def _receive(connection: Connection, data: bytes) -> None:
    """Data arrives, though the connection may have asked for a pause."""
    while data:
        buffer = connection.get_buffer(len(data))
        size = min(len(buffer), len(data))
        buffer[:size] = data[:size]
        connection.buffer_updated(size)
        data = data[size:]


class Admission:
    """A switchboard whose journal is in memory, and a caller at a time."""

    def __init__(self, directory: Path) -> None:
        self._loop = asyncio.new_event_loop()
        self._unseen: list[dict[str, Any]] = []
        self._loop.set_exception_handler(lambda _, context: self._unseen.append(context))
        self._directory = directory
        self._count = 0

    def call(self, data: bytes) -> None:
        """A caller that sends `data` in pieces, and hangs up."""
        for listed in (True, False):
            self._loop.run_until_complete(self._call(data, listed=listed))
        assert not self._unseen, self._unseen

    async def _call(self, data: bytes, *, listed: bool) -> None:
        self._count += 1
        file = self._directory / f"{self._count % 2}.db"
        for old in self._directory.glob(f"{file.name}*"):
            old.unlink()
        journal = Journal(file, full=False)
        turns = Turns.FREE if len(data) % 2 else Turns.ALTERNATE
        switchboard = Switchboard(Settings(7000, turns=turns), journal)
        caller = PeerSession(switchboard, "198.51.100.7:40000", Anybody() if listed else Nobody(), secure=False)
        connection, transport = caller.connection, _Transport()
        connection.connection_made(transport)
        for piece in pieces(data):
            _receive(connection, piece)
            await asyncio.sleep(0)
        connection.eof_received()
        connection.connection_lost(None)
        await asyncio.sleep(0)
        assert switchboard.peer is None
        assert listed or journal.by_id(1) is None, "a stranger was put before the operator"
        assert transport.written <= 256 * (len(data) + 16)  # no word is answered by many
        journal.close()

    def close(self) -> None:
        self._loop.close()


@contextmanager
def targets() -> Iterator[Callable[[bytes], None]]:
    """All targets for one input."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as directory:
        door = Admission(Path(directory))

        def one(data: bytes) -> None:
            codecs(data)
            bursts(data)
            door.call(data)

        try:
            yield one
        finally:
            door.close()
