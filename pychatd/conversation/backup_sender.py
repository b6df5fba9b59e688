"""`pychatd backup`: sends the file of the journal, a piece in each turn of the loop."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable

from pychat_client.errors import ProtocolError, PychatError
from pychat_client.protocol import wire
from pychat_client.transport.connection import CloseReason, Connection
from pychatd.conversation.journal import Journal
from pychatd.conversation.model import JournalError

LINE_BYTES = 3000
"""Bytes of the file in one line: with base64 they fill it nearly (codec.LINE_MAX)."""

PIECE_LINES = 16
"""Lines that are sent at once: they take a fifth of a millisecond."""

BACKUP_PAUSE = 0.005
"""Seconds between two pieces, in which the service does what it is there for."""

STALL_SECONDS = 60.0
"""How long the reader may take nothing: meanwhile the write-ahead log grows."""


class BackupSender:
    """Owns the connection of a backup, and the copy that is sent; closes both at its end."""

    def __init__(
        self, journal: Journal, connection: Connection, on_failure: Callable[[JournalError], None]
    ) -> None:
        """Raises PychatError if no copy can be made now."""
        self._journal = journal
        self._connection = connection
        self._on_failure = on_failure
        self._copy = journal.begin_copy()
        self._offset = 0
        self._timer: asyncio.TimerHandle | None = None
        self._send_piece()

    def frames_received(self, connection: Connection, frames: list[wire.Frame]) -> None:
        """A reader has nothing to say."""

    def protocol_error(self, connection: Connection, error: ProtocolError) -> None:
        connection.close([wire.Error(error.code, str(error))])

    def connection_lost(self, connection: Connection, why: str) -> None:
        self._wait(None)
        self._end()

    def resume_writing(self, connection: Connection) -> None:
        self._wait(BACKUP_PAUSE, self._send_piece)

    def _send_piece(self) -> None:
        try:
            data = self._copy.read(self._offset, PIECE_LINES * LINE_BYTES)
        except PychatError as error:
            self._connection.close([wire.Error("order", str(error))])
            return
        self._offset += len(data)
        lines = [data[start : start + LINE_BYTES] for start in range(0, len(data), LINE_BYTES)]
        self._connection.send([wire.Backup(base64.b64encode(line).decode()) for line in lines])
        if not data:
            self._wait(None)
            self._end()
            self._connection.close([wire.Ready()], seconds=STALL_SECONDS)
        elif self._connection.writable:
            self._wait(BACKUP_PAUSE, self._send_piece)
        else:
            self._wait(STALL_SECONDS, lambda: self._connection.abort(CloseReason.SLOW_READER))

    def _end(self) -> None:
        try:
            self._journal.end_copy(self._copy)
        except JournalError as error:
            self._on_failure(error)

    def _wait(self, seconds: float | None, action: Callable[[], None] = lambda: None) -> None:
        """Does `action` later, in place of what was to be done; None: nothing."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if seconds is not None:
            self._timer = asyncio.get_running_loop().call_later(seconds, action)
