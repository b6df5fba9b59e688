"""One connection of a console: the daemon's end of the UNIX socket.

Owns the link and the place in the journal up to which this console has been told. A console reads
the journal forward: conversations that came and ended while nobody was here, then the running one,
each from its start; so a slow or a new console needs no queue.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from datetime import timedelta

from pychat_client.errors import JournalError, MessageError, ProtocolError
from pychat_client.protocol import wire
from pychat_client.protocol.rate_limit import LATE, Signs
from pychat_client.protocol.turns import Role
from pychat_client.text import check_room
from pychat_client.transport.connection import Connection
from pychatd.conversation.history_reader import HistoryReader
from pychatd.conversation.journal import Conversation, Entry
from pychatd.conversation.service_status import report
from pychatd.conversation.switchboard import Switchboard

HELLO_SECONDS = 10.0
"""Until a console's first line: programs on this machine, that have nothing to think about."""

NOT_KEPT = "(not kept)"
"""Stands for a message whose words have been removed, where its place still counts."""

NUMBER_DIGITS = 15
"""Of a conversation's number: SQLite takes no more than 18."""

NOW = timedelta(seconds=1)
"""A message younger than this is sent without its time."""

log = logging.getLogger("pychatd")


class ConsoleSession:
    """The owner of one console's link."""

    def __init__(self, switchboard: Switchboard, user: str) -> None:
        """user: who the system says is at the other end of the socket, for the log and for others."""
        self.user = user
        self.conversation: Conversation | None = None  # the one this console is being told
        self.connection = Connection(self)
        self._switchboard = switchboard
        self._greeted = False
        self.console: str | None = None  # its program's id
        self._handle = ""  # the one our hello gave it, and its messages begin with
        self._ready = False  # it has been told that it is up to date
        self._last = 0  # the number of the conversation told last
        self._seq = 0  # messages told of `conversation`, both sides
        self._heard = 0  # peer's messages that are not repeated to it
        self._told = 0  # operator's messages that are not repeated to it
        self._own_until = 0  # operator's messages that are repeated to it; later ones are its own
        self._acked = 0
        self._in_step = False  # it has acked the \\peer line of `conversation`
        self._signs = Signs(slack=LATE)
        self._deadline = asyncio.get_running_loop().call_later(
            HELLO_SECONDS, self.connection.abort, "no hello in time"
        )

    @property
    def number(self) -> int:
        """The conversation that this console's words are for; 0 for none, or while it may not yet know
        that another one has begun."""
        return self.conversation.id if self.conversation is not None and self._in_step else 0

    # -------------------------------------------------------------- from the link (link.Owner)

    def frames_received(self, connection: Connection, frames: list[wire.Frame]) -> None:
        try:
            messages: list[wire.Message] = []
            for frame in frames:
                if not self._greeted:
                    self._greet(frame)
                elif isinstance(frame, wire.Message):
                    messages.append(frame)
                elif isinstance(frame, wire.Ack):
                    self._say(messages)  # what was said before it may be for the conversation before
                    messages = []
                    self._shown(frame.count)
                else:
                    self._say(messages)
                    messages = []
                    self._obey(frame)
            self._say(messages)
        except ProtocolError as error:
            self.protocol_error(connection, error)
        except JournalError as error:
            self._journal_failed(error)

    def protocol_error(self, connection: Connection, error: ProtocolError) -> None:
        log.warning("console of %s: broke the protocol (%s)", self.user, error.code)
        connection.close([wire.Error(error.code, str(error))])

    def resume_writing(self, connection: Connection) -> None:
        self.pump()

    def connection_lost(self, connection: Connection, why: str) -> None:
        self._deadline.cancel()
        self._switchboard.detach(self)

    # -------------------------------------------------------------- from the switchboard

    def stored(self, entries: Sequence[Entry]) -> None:
        """What this console said has been stored."""
        if self._seq == entries[0].seq - 1:
            self._seq = entries[-1].seq
        self.connection.send([wire.Ack(entries[-1].n)])

    def forward(self, entries: Sequence[Entry]) -> None:
        """Messages that the peer has just said."""
        live = self.conversation is not None and self.conversation is self._switchboard.conversation
        if live and self.connection.writable and self._seq == entries[0].seq - 1:
            self._seq = entries[-1].seq
            self.connection.send([wire.Message(e.handle, e.text) for e in entries])
        else:
            self.pump()

    def read(self, count: int) -> None:
        self.connection.send([wire.Read(count)])

    def peer_presence(self) -> None:
        """The peer has come back (and how), or is away."""
        conversation, peer = self.conversation, self._switchboard.peer
        if conversation is None or conversation is not self._switchboard.conversation:
            return
        if peer is None:
            self.connection.send([wire.Away()])
        else:
            here = wire.Here(conversation.handle, address=peer.address, plain=not peer.secure, name=peer.name)
            self.connection.send([here])

    def pump(self) -> None:
        """Tells this console what it does not know yet, as far as it reads."""
        try:
            while self._greeted and self.connection.writable and self._tell_some():
                pass
            behind = self.conversation is not None and self.conversation.ended is not None
            if self._greeted and self.connection.writable and not self._ready and not behind:
                self._ready = True
                self.connection.send([wire.Ready()])
        except JournalError as error:
            self._journal_failed(error)

    def taken_over(self, user: str) -> None:
        try:
            stored = self._stored(self.conversation)
        except JournalError as error:  # then its program does not know it of what it has sent last
            self._switchboard.journal_failed(error)
            stored = []
        self.connection.close([*stored, wire.Error("taken-over", f"{user} has taken over the console.")])

    def _stored(self, conversation: Conversation | None) -> list[wire.Frame]:
        """What this console is told when it is refused: how many of its own messages are stored."""
        if conversation is None or self.console is None:
            return []
        return [wire.Stored(self._switchboard.journal.said_by(conversation.id, self.console))]

    # -------------------------------------------------------------- the hello

    def _greet(self, frame: wire.Frame) -> None:
        self._deadline.cancel()
        switchboard = self._switchboard
        if isinstance(frame, wire.Status):
            log.info("console: %s asked for the status", self.user)
            self.connection.close([wire.Status(report(switchboard))])
            return
        if isinstance(frame, wire.History):
            log.info("console: %s reads the history", self.user)
            self.connection.owner = HistoryReader(switchboard, self.connection, frame.since)
            return
        if not isinstance(frame, wire.Hello):
            raise ProtocolError("hello", "The first line has to be a hello.")
        if frame.version != wire.VERSION:
            raise ProtocolError("version", f"Version {wire.VERSION} is spoken here, not {frame.version}.")
        self.console = frame.console
        switchboard.refresh()
        if switchboard.operator is not None and not frame.take:
            words = f"The console is held by {switchboard.operator.user}; '--take-over' takes it over."
            self.connection.close([*self._stored(self._known_to(frame)), wire.Error("held", words)])
            return
        handle = (switchboard.settings.handle or frame.handle) if frame.suggested else frame.handle
        self._greeted, self._handle = True, handle
        switchboard.attach(self, handle)
        self.connection.send(
            [
                wire.Hello(
                    wire.VERSION, switchboard.handle, keep=switchboard.settings.keep, key=switchboard.fingerprint
                )
            ]
        )
        if (known := self._known_to(frame)) is not None:
            self._begin(known, frame.got or 0, frame.sent or 0)
        self.pump()

    def _known_to(self, hello: wire.Hello) -> Conversation | None:
        """The conversation a console that comes back was in, if its counts make sense."""
        if hello.session is None or not hello.session.isdecimal():
            return None
        running = self._switchboard.conversation
        number = int(hello.session[:NUMBER_DIGITS])
        known = (
            running if running is not None and running.id == number else self._switchboard.journal.by_id(number)
        )
        if known is None or (hello.got or 0) > known.ledger.peer or (hello.sent or 0) > known.ledger.operator:
            return None
        return known

    # -------------------------------------------------------------- telling

    def _begin(self, conversation: Conversation, heard: int, told: int) -> None:
        """From here on this console is told of `conversation`, but for the first messages of each side."""
        self.conversation = conversation
        self._heard, self._told, self._own_until = heard, told, conversation.ledger.operator
        self._seq = min(heard, told)  # a message with a number over n has a seq over n as well
        self._acked = -1  # until it acks this very line, an ack may be for the conversation before
        self._in_step = False
        peer = self._switchboard.peer if conversation is self._switchboard.conversation else None
        frames: list[wire.Frame] = [
            wire.Peer(
                conversation.handle,
                session=str(conversation.id),
                got=conversation.ledger.operator,
                heard=heard,
                told=told,
                turns=conversation.ledger.turns.value,
                since=conversation.started,
                address=conversation.address,
                classic=conversation.classic,
                room=None if peer is None else self._room(),
                plain=peer is not None and not peer.secure,
                name=None if peer is None else peer.name,
            )
        ]
        if conversation.shown[Role.PEER]:
            frames.append(wire.Read(conversation.shown[Role.PEER]))
        if conversation is self._switchboard.conversation and peer is None:
            frames.append(wire.Away())
        self.connection.send(frames)

    def _tell_some(self) -> bool:
        """Sends the next piece; False when there is nothing more to tell now."""
        conversation = self.conversation
        if conversation is None:
            following = self._following()
            if following is None:
                return False
            if following.ended is None and self._switchboard.settings.keep != "none":
                self._begin(following, 0, 0)
            else:  # only what was missed; and what was seen is not kept
                self._begin(following, following.shown[Role.OPERATOR], following.ledger.operator)
            return True
        ledger = conversation.ledger
        if self._seq < ledger.peer + ledger.operator:
            entries = self._switchboard.journal.entries(conversation.id, self._seq)
            self._seq = entries[-1].seq if entries else ledger.peer + ledger.operator  # pruned meanwhile
            self.connection.send([frame for e in entries for frame in self._lines_of(e)])
            return True
        # Not before its last ack: an ack names no conversation, so it must not be taken for the next one's.
        if conversation.ended is None or self._acked < ledger.peer:
            return False
        self.connection.send([wire.Quit(conversation.reason)])
        self.conversation, self._last = None, conversation.id
        return True

    def _following(self) -> Conversation | None:
        """The next conversation with something new for the operator; the running one as the live object."""
        following = self._switchboard.journal.next_unseen(self._last)
        running = self._switchboard.conversation
        if following is not None and running is not None and running.id == following.id:
            return running
        return following

    def _lines_of(self, e: Entry) -> list[wire.Frame]:
        """The lines of one message; none for what this console has, or has said itself since."""
        message = wire.Message(e.handle, e.text or NOT_KEPT)
        if e.role is Role.OPERATOR:
            mine = e.console is not None and e.console == self.console
            at = wire.Timestamp(e.time, own=True, mine=mine, gone=not e.text)
            return [at, message] if self._told < e.n <= self._own_until else []
        if e.n <= self._heard:
            return []
        is_now = timedelta(0) <= self._switchboard.now() - e.time < NOW
        return [message] if is_now else [wire.Timestamp(e.time), message]

    # -------------------------------------------------------------- what it says

    def _say(self, messages: Sequence[wire.Message]) -> None:
        for message in messages:
            if message.handle != self._handle:
                raise ProtocolError("handle", "The handle is not that of the hello.")
            try:
                # What is meant for the conversation before is not measured by this one.
                check_room(message.text, self._room() if self._is_of_running() else None)
            except MessageError as error:
                raise ProtocolError("too-long", str(error)) from None
        if messages and self._switchboard.operator is self:
            self._switchboard.operator_says(self, messages)

    def _is_of_running(self) -> bool:
        """Whether what this console says is for the conversation that runs."""
        return self._switchboard.conversation is not None and self._switchboard.conversation.id == self.number

    def _room(self) -> int | None:
        """Bytes of text that the peer's program takes at once."""
        switchboard = self._switchboard
        if switchboard.peer is None or switchboard.conversation is None:
            return None
        return switchboard.peer.connection.codec.room(switchboard.handle)

    def _obey(self, frame: wire.Frame) -> None:
        match frame:
            case wire.Quit(reason):
                if self._is_of_running():
                    self._switchboard.end_conversation(reason, "the operator")
            case wire.Typing() | wire.Ring():
                if self._in_step and self._signs.give(frame, asyncio.get_running_loop().time()):
                    self._switchboard.pass_on(self, frame)
            case wire.Hello():
                raise ProtocolError("hello", "There has been a hello already.")
            case _:  # what a later version may send
                pass

    def _shown(self, count: int) -> None:
        conversation = self.conversation
        if conversation is None:
            return
        self._in_step = True
        self._switchboard.shown(conversation, Role.OPERATOR, count)
        self._acked = max(self._acked, count)
        self.pump()

    def _journal_failed(self, error: JournalError) -> None:
        """Nothing was acked; the console keeps what it said, and comes back until it can be stored."""
        self._switchboard.journal_failed(error)
        self.connection.close([wire.Error("journal", f"{error} What you send is kept here until then.")])
