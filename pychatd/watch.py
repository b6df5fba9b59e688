"""`pychatd-console --watch`: tells who calls, and what nobody is there to read, of one service or of all.

Keeps a connection to each service that runs, and starts none: a daemon that systemd starts on demand sleeps on.
Where none runs, it sleeps too, until something changes in their directories. How an event is written, and how the
user is called, is in watch_output.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path

from pychat_client import garbage
from pychat_client.errors import BusyError, ExitStatus, PermissionDeniedError, ProtocolError, TransportError
from pychat_client.protocol import wire
from pychat_client.text import printable
from pychat_client.transport.connect import dial_unix
from pychat_client.transport.connection import Connection
from pychat_client.transport.interruptible import when_ended
from pychatd import services
from pychatd.directory_changes import DirectoryChanges
from pychatd.services import Place
from pychatd.watch_output import Output, ServiceOutput

LOOK_SECONDS = 0.5
"""After this time a watcher looks again whether a service runs now, and for new ones: a hook has to start within a
second of a message. Where the system tells of changes, it waits longer and longer."""

LONGEST_PAUSE = 600.0
"""Seconds between two looks where the system tells of changes: should it fail to."""

CROWDED_SECONDS = 600.0
"""Pause before a watcher asks again for a place at a service that has enough of them. Each question begins the
time anew after which an idle daemon may end."""

ANSWER_SECONDS = 0.2
"""Time for a daemon to say that it has enough watchers. One that takes a watcher may have nothing to say."""

SETTLE_SECONDS = 0.05
"""Pause behind a change: several come together."""


async def watch(ports: Sequence[int], runtime: Path | None, output: Output) -> ExitStatus:
    """Watches the services on `ports`, or all that this user may use, until a signal.

    Raises PermissionDeniedError and BusyError for a port that was asked for.
    """
    garbage.started()
    stopped = asyncio.Event()
    when_ended(stopped.set)
    output.stop_by(stopped.set)
    finding, stopping = asyncio.create_task(_find(ports, runtime, output)), asyncio.create_task(stopped.wait())
    await asyncio.wait((finding, stopping), return_when=asyncio.FIRST_COMPLETED)
    if not stopping.done():
        try:
            await finding
        except ExceptionGroup as group:
            raise group.exceptions[0] from None
    finding.cancel()
    return output.exit_status


async def _find(ports: Sequence[int], runtime: Path | None, output: Output) -> None:
    """Watches each service while it is there."""
    for port in ports:
        if all(services.awake_since(place) is None for place in services.places(port, runtime)):
            output.complain(f"No service runs on port {port}, or it sleeps until the next call. Waiting for it.")
    known: dict[Place, WatchedService] = {}
    pause = LOOK_SECONDS
    with closing(DirectoryChanges()) as changes:
        async with asyncio.TaskGroup() as tasks:
            while True:
                places = _places(ports, runtime)
                told = changes.watch(services.directories_of(places, runtime))
                for place in (*places, *_places(ports, runtime)):  # once more: what has come before it was watched
                    if place not in known:
                        known[place] = WatchedService(place, output.for_service(place.port), named=bool(ports))
                for watched in known.values():
                    watched.look(tasks, changes.note)
                if await changes.wait(pause):
                    pause = LOOK_SECONDS
                    await asyncio.sleep(SETTLE_SECONDS)
                elif told:
                    pause = min(2 * pause, LONGEST_PAUSE)


def _places(ports: Sequence[int], runtime: Path | None) -> list[Place]:
    if ports:
        return [place for port in ports for place in services.places(port, runtime)]
    try:
        return services.places(None, runtime)
    except PermissionDeniedError:  # it may be opened later
        return []


class _Told(Enum):
    """What the user has read last of the connection to a service."""

    NOTHING = "nothing"  # or that it was lost
    WATCHED = "watched"
    CROWDED = "crowded"  # that the service has enough watchers


class WatchedService:
    """One service: a connection while it runs (connection.Owner), and what was told last."""

    def __init__(self, place: Place, output: ServiceOutput, *, named: bool) -> None:
        """named: the user has asked for this port, so that it is an error if it cannot be used."""
        self._place = place
        self._output = output
        self._named = named
        self._session: int | None = None
        self._got = 0
        self._at: wire.Timestamp | None = None
        self._missed_until: datetime | None = None  # the last missed call that was told
        self._repeated_until: datetime | None = None  # the same, of all connections before this one
        self._task: asyncio.Task[None] | None = None  # of the connection
        self._left_alone: int | None = None  # services.awake_since of the daemon that wants no connection
        self._farewell: wire.Error | None = None  # its words about that
        self._told = _Told.NOTHING

    def look(self, tasks: asyncio.TaskGroup, note_end: Callable[[], None]) -> None:
        """Connects if the daemon runs. One that has said that it stops is left alone until its next start: to
        connect again would wake it. So is one that has enough watchers, for a while. note_end: called when there
        is reason to look again."""
        since = services.awake_since(self._place)
        connected = self._task is not None and not self._task.done()
        if not connected and since is not None and since != self._left_alone:
            self._task = tasks.create_task(self._connect(since, note_end))

    async def _connect(self, since: int, note_end: Callable[[], None]) -> None:
        """Raises PermissionDeniedError and BusyError for a port that was asked for."""
        self._farewell = None
        try:
            connection = await dial_unix(self._place.socket, self)
        except PermissionDeniedError:
            if self._named:
                raise
            return
        except TransportError:  # it has just ended
            return
        await self.listen(connection)
        self._left_alone = since if self._farewell is not None else None
        if (refusal := self._refusal) is not None:
            if self._named:
                raise BusyError(f"Not watching port {self._place.port}: {printable(refusal)}")
            if self._told is not _Told.CROWDED:
                self._told = _Told.CROWDED
                self._output.notice(f"not watching: {refusal}")
            asyncio.get_running_loop().call_later(CROWDED_SECONDS, self._ask_again, since, note_end)
        await asyncio.sleep(LOOK_SECONDS)  # a daemon that ends it again and again is not asked more often
        note_end()

    async def listen(self, connection: Connection) -> None:
        """Asks for what is unread, and listens until the connection is lost."""
        self._repeated_until = self._missed_until
        connection.send([wire.Watch(self._session, None if self._session is None else self._got)])
        connection.start_keepalive()
        await asyncio.wait([connection.closed], timeout=ANSWER_SECONDS)
        if not connection.closed.done():
            self._joined()
        await asyncio.wait([connection.closed])

    def _joined(self) -> None:
        if self._told is not _Told.WATCHED:
            self._told = _Told.WATCHED
            self._output.connected()

    def _ask_again(self, since: int, note_end: Callable[[], None]) -> None:
        """A place may be free now. A daemon that has said since then that it stops is not asked; nor is one that
        was started since then, and has a time of its own. since: services.awake_since of the one that refused."""
        if self._left_alone == since and self._refusal is not None:
            self._left_alone = None
            note_end()

    @property
    def _refusal(self) -> str | None:
        """The daemon's words if it has enough watchers."""
        farewell = self._farewell
        return farewell.words if farewell is not None and farewell.code == "crowded" else None

    # -------------------------------------------------------------- from the connection

    def frames_received(self, connection: Connection, frames: list[wire.Frame]) -> None:
        for frame in frames:
            if not isinstance(frame, wire.Error):
                self._joined()
            self._receive(frame)

    def protocol_error(self, connection: Connection, error: ProtocolError) -> None:
        connection.abort()

    def resume_writing(self, connection: Connection) -> None:
        """Nothing waits here."""

    def connection_lost(self, connection: Connection, why: str) -> None:
        if self._refusal is None and self._told is _Told.WATCHED:
            self._told = _Told.NOTHING
            self._output.lost()

    def _receive(self, frame: wire.Frame) -> None:
        at, self._at = self._at, None
        match frame:
            case wire.Timestamp():
                self._at = frame
            case wire.Peer():
                self._session, self._got = frame.session, frame.heard
                self._output.conversation(frame)
            case wire.Message():
                self._got += 1
                self._output.message(frame, at)
            case wire.Quit(reason):
                self._session, self._got = None if self._session is None else self._session + 1, 0
                self._output.ended(reason, at)
            case wire.Calling():
                self._output.calling(frame)
            case wire.Missed():
                self._missed(frame, at)
            case wire.Ring():
                self._output.ring()
            case wire.Here():
                self._output.attended()
            case wire.Away():
                self._output.unattended()
            case wire.Read():
                self._output.read()
            case wire.Error("stopping" | "crowded"):
                self._farewell = frame
            case wire.Notice(words) | wire.Error(_, words):
                self._output.notice(words)

    def _missed(self, call: wire.Missed, at: wire.Timestamp | None) -> None:
        """The daemon repeats the missed calls to each new connection, until a console has them."""
        now = datetime.now(UTC)
        time = now if at is None else at.time
        if at is None or self._repeated_until is None or time > self._repeated_until:
            self._missed_until = time
            self._output.missed(call, at)
