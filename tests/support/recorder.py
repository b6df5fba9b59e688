"""The owner of a connection that keeps what arrives."""

from __future__ import annotations

import asyncio

from pychat_client.errors import ProtocolError
from pychat_client.protocol import wire
from pychat_client.transport.connection import Connection


class Recorder:
    """An owner that keeps what arrives."""

    def __init__(self) -> None:
        self.reads: list[list[wire.Frame]] = []
        self.broken: list[str] = []
        self.lost: list[str] = []
        self.writable = 0
        self.heard = asyncio.Event()

    def frames_received(self, connection: Connection, frames: list[wire.Frame]) -> None:
        assert not self.lost
        self.reads.append(frames)
        self.heard.set()

    def protocol_error(self, connection: Connection, error: ProtocolError) -> None:
        self.broken.append(error.code)
        connection.close([wire.Error(error.code, str(error))])

    def resume_writing(self, connection: Connection) -> None:
        self.writable += 1

    def connection_lost(self, connection: Connection, why: str) -> None:
        self.lost.append(why)
