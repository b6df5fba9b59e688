"""One connection of an end, a peer or a console: what the daemon does with both of them alike."""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta

from pychat_client.errors import ProtocolError
from pychat_client.protocol import wire
from pychat_client.protocol.rate_limit import LATE, Sign, Signs
from pychat_client.protocol.turns import Role
from pychat_client.transport.connection import Connection, Pace, TransportState
from pychatd.conversation.model import Conversation, Entry, JournalError
from pychatd.conversation.switchboard import Switchboard

RECENT = timedelta(seconds=1)
"""A message younger than this is sent without its time."""

log = logging.getLogger("pychatd")


class EndpointSession(ABC):
    """Owns a connection, and hands what it receives to the switchboard."""

    def __init__(self, switchboard: Switchboard, log_name: str, pace: Pace | None = None) -> None:
        """log_name: what the log calls this end; pace: how fast it is read."""
        self.connection = Connection(self, batch=switchboard.write_batch, pace=pace)
        self.conversation: Conversation | None = None  # the one that this end is being told
        self._switchboard = switchboard
        self._log_name = log_name
        self._signs = Signs(slack=LATE)
        self._live = False  # its user wants live typing
        self._live_told = False  # what this end knows of the other user
        self._deadline: asyncio.TimerHandle | None = None

    # -------------------------------------------------------------- from the connection (connection.Owner)

    def frames_received(self, connection: Connection, frames: list[wire.Frame]) -> None:
        """Handles the frames of one read, until the connection closes. Messages that follow each other are stored
        in one transaction."""
        try:
            messages: list[wire.Message] = []
            for frame in frames if self.is_admitted else self._take_first(frames):
                if connection.state is not TransportState.OPEN:
                    return
                if isinstance(frame, wire.Message):
                    messages.append(frame)
                    continue
                if messages:
                    self._say(messages)
                    messages = []
                if isinstance(frame, wire.Ack):
                    self._on_ack(frame.count)
                else:
                    self._handle_control(frame)
            if messages:
                self._say(messages)
        except ProtocolError as error:
            self.protocol_error(connection, error)
        except JournalError as error:
            self._journal_failed(error)

    def _take_first(self, frames: list[wire.Frame]) -> list[wire.Frame]:
        """Handles the frames up to the admission; returns those behind them. None are for a connection that has
        been closed, or belongs to somebody else now."""
        for index, frame in enumerate(frames, 1):
            self._on_first(frame)
            if self.connection.state is not TransportState.OPEN or self.connection.owner is not self:
                return []
            if self.is_admitted:
                return frames[index:]
        return []

    def protocol_error(self, connection: Connection, error: ProtocolError) -> None:
        self._note_broken(error.code)
        connection.close([wire.Error(error.code, str(error))])

    def resume_writing(self, connection: Connection) -> None:
        self.send_backlog()

    @abstractmethod
    def connection_lost(self, connection: Connection, why: str) -> None: ...

    # -------------------------------------------------------------- from the switchboard (EndInterface)

    @abstractmethod
    def acknowledge(self, entries: Sequence[Entry]) -> None: ...

    @abstractmethod
    def deliver(self, entries: Sequence[Entry]) -> None: ...

    @abstractmethod
    def send_backlog(self) -> None: ...

    def send_read_mark(self, count: int) -> None:
        self.connection.send([wire.Read(count)])

    def send_sign(self, sign: Sign) -> None:
        if self.connection.writable:
            self.connection.send([sign])

    @property
    def live(self) -> bool:
        return self._live

    def send_live(self, wanted: bool) -> None:
        if wanted is not self._live_told:
            self._live_told = wanted
            self.connection.send([wire.Live(wanted)])

    def notify(self, frame: wire.Notice | wire.Away | wire.Here | wire.Calling) -> None:
        self.connection.send([frame])

    def close(self, frames: Iterable[wire.Frame]) -> None:
        self.connection.close(frames)

    # -------------------------------------------------------------- what differs

    @property
    @abstractmethod
    def is_admitted(self) -> bool:
        """Whether it has shown all that it can show, and takes part."""

    @abstractmethod
    def _on_first(self, frame: wire.Frame) -> None:
        """A frame before it is admitted: its hello, or what it asks for instead."""

    @abstractmethod
    def _say(self, messages: Sequence[wire.Message]) -> None:
        """Messages, one or more."""

    @abstractmethod
    def _on_ack(self, count: int) -> None:
        """Its user has seen the first `count` messages of the other side."""

    @abstractmethod
    def _journal_words(self, error: JournalError) -> str:
        """The sentence for this side when the journal fails."""

    def _handle_control(self, frame: wire.Frame) -> None:
        """A frame that is no message and no ack."""
        match frame:
            case wire.Typing(draft=str()) if self._switchboard.passes_drafts:
                self._switchboard.forward_sign(self, frame)
            case wire.Typing():
                self._forward_at_times(wire.Typing())
            case wire.Ring():
                self._forward_at_times(frame)
            case wire.Live(wanted):
                self._live = wanted
                self._switchboard.tell_live()
            case wire.Hello():
                raise ProtocolError("hello", "Only the first line can be a hello.")
            case _:  # a later version may send others
                pass

    def _forward_at_times(self, sign: Sign) -> None:
        if self._signs.give(sign, asyncio.get_running_loop().time()):
            self._switchboard.forward_sign(self, sign)

    def _note_broken(self, code: str) -> None:
        """Logs a rule that this end has broken."""
        log.warning("%s: broke the protocol (%s)", self._log_name, code)

    # -------------------------------------------------------------- for the sessions

    def _check_hello(self, frame: wire.Frame, *versions: int) -> wire.Hello:
        """Raises ProtocolError if `frame` is not a hello with one of `versions`."""
        if not isinstance(frame, wire.Hello):
            raise ProtocolError("hello", "The first line has to be a hello.")
        if frame.version not in versions:
            raise ProtocolError(
                "version", f"Version {frame.version} is not supported, only version {wire.VERSION}."
            )
        return frame

    def _is_older(self, hello: wire.Hello, call: int) -> bool:
        """Whether the same program has made a newer call, number `call`, which overtook this one."""
        return 0 < (hello.call or 0) < call

    def _check_handles(self, messages: Sequence[wire.Message], handle: str) -> None:
        for message in messages:
            if message.handle != handle:
                raise ProtocolError("handle", "The handle is not the same as in the hello.")

    def _end_frames(self, conversation: Conversation, reader: Role | None) -> list[wire.Frame]:
        """The end of a conversation, with its time if that is not now, or if the reader or the service has ended
        it. reader: whose program is told; None for a peer whose user has just ended it on this connection."""
        assert conversation.ended is not None
        quit_ = wire.Quit(conversation.reason)
        service, own = conversation.ended_by is None, reader is not None and conversation.ended_by is reader
        if self._is_recent(conversation.ended) and not service and not own:
            return [quit_]
        return [wire.Timestamp(conversation.ended, own=own, service=service), quit_]

    def _is_recent(self, time: datetime) -> bool:
        """Whether `time` is about now, so that the other program need not be told."""
        return timedelta(0) <= self._switchboard.now() - time < RECENT

    def _set_deadline(self, seconds: float, action: Callable[[], None]) -> None:
        self._cancel_deadline()
        self._deadline = asyncio.get_running_loop().call_later(seconds, action)

    def _cancel_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _journal_failed(self, error: JournalError) -> None:
        """Nothing was acked. The other program keeps its messages, and comes back until they can be stored."""
        self._switchboard.journal_failed(error)
        self.connection.close([wire.Error("journal", self._journal_words(error))])
