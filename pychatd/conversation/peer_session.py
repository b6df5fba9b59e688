"""One TCP connection from host B: first a caller, with its first message (or its session) the peer.

Owns the link and what this connection has been sent; the seat and the conversation are the
switchboard's.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections import deque
from collections.abc import Callable, Sequence

from pychat_client.classic import framing
from pychat_client.classic.detecting_codec import DetectingCodec
from pychat_client.errors import JournalError, PermissionDeniedError, ProtocolError
from pychat_client.protocol import wire
from pychat_client.protocol.rate_limit import LATE, Signs
from pychat_client.protocol.turns import Role, Turns, TurnState
from pychat_client.text import printable
from pychat_client.transport.connection import FINISH_SECONDS, Connection
from pychatd.conversation.journal import Conversation, Entry, hash_certificate, hash_token
from pychatd.conversation.switchboard import Switchboard, check_count

HELLO_SECONDS = 120.0
"""Until the first line: a person with nc has to think and type; a program that drips bytes has not longer."""

FIRST_MESSAGE_SECONDS = 600.0
"""From the hello to the first message: time to find words, not to keep a connection for nothing."""

PAUSE_MAX = 5.0
"""Seconds that a peer which says too much is not read: far under those after which a link is dead."""

WAITING_MAX = 100
"""Messages of a classic peer that may wait for their turn, as they did in the seed's socket buffer."""

CLASSIC_SECONDS = 600.0
"""Until a classic program may take to read that it is over: it reads only when its user has said something,
and dies of a connection that is gone."""

BUSY = (
    "The line is taken: a conversation has it, or it is kept for one that was cut off. "
    "Try again later, or call with --wait."
)
"""The same for everybody: whose conversation it is, a line without an allowlist does not know (it asks for no
certificate), and others are not to learn. It may be the caller's own, whose program was killed."""

log = logging.getLogger("pychatd")


class PeerSession:
    """The owner of one caller's link."""

    def __init__(
        self,
        switchboard: Switchboard,
        address: str,
        name_of: Callable[[bytes | None], str | None],
        *,
        secure: bool,
    ) -> None:
        """name_of: whose certificate it is, on a line with an allowlist; secure: it calls over TLS."""
        self.address = address
        self.secure = secure
        self.name: str | None = None
        self._name_of = name_of
        self.conversation: Conversation | None = None
        self.connection = Connection(self, DetectingCodec())
        self._switchboard = switchboard
        self._hello: wire.Hello | None = None
        self.token: str | None = None
        self._certificate: bytes | None = None  # hashed
        self._sent = 0  # the operator's messages sent on this link, or known to have arrived before
        self._waiting: deque[wire.Message] = deque()  # a classic peer's, until its turn
        self._taken = 0  # how many of them have been stored
        self._signs = Signs(slack=LATE)
        self._quit = False  # this peer has said it
        self._told_end = False  # this peer has been told it
        self._deadline = asyncio.get_running_loop().call_later(HELLO_SECONDS, self._too_slow)

    # -------------------------------------------------------------- from the link (link.Owner)

    def frames_received(self, connection: Connection, frames: list[wire.Frame]) -> None:
        """All messages of one read go into one transaction, so that a burst costs one commit."""
        try:
            messages: list[wire.Message] = []
            acked = 0
            for frame in frames:
                if self._hello is None:
                    self._greet(frame)
                elif isinstance(frame, wire.Message):
                    messages.append(frame)
                elif isinstance(frame, wire.Ack):
                    acked = max(acked, frame.count)
                else:
                    self._say(messages)
                    self._shown(acked)
                    messages, acked = [], 0
                    self._obey(frame)
            self._say(messages)
            self._shown(acked)
        except ProtocolError as error:
            self.protocol_error(connection, error)
        except JournalError as error:
            self._journal_failed(error)

    def protocol_error(self, connection: Connection, error: ProtocolError) -> None:
        log.warning("%s: broke the protocol (%s)", self.address, error.code)
        connection.close([wire.Error(error.code, str(error))])

    def resume_writing(self, connection: Connection) -> None:
        self.pump()

    def connection_lost(self, connection: Connection, why: str) -> None:
        self._deadline.cancel()
        for step in (self._say_late, lambda: self._switchboard.peer_lost(self, why)):
            try:
                step()
            except JournalError as error:
                self._switchboard.journal_failed(error)

    # -------------------------------------------------------------- from the switchboard

    def abandon(self) -> None:
        """The connection did not come about: nothing of it is to stay."""
        self._deadline.cancel()

    @property
    def call(self) -> int:
        """The number that its program has given this call; 0 for one that does not count."""
        return 0 if self._hello is None else self._hello.call or 0

    def is_of(self, token: str, certificate: bytes | None) -> bool:
        """Whether this caller has been given `token`, and has shown the same certificate (hashed)."""
        return self.token == token and self._certificate == certificate

    def new_conversation(self) -> Conversation:
        """What this caller's first message starts."""
        assert self._hello is not None
        token = None if self.token is None else hash_token(self.token)
        ledger = TurnState(self._turns())
        conversation = Conversation(self._hello.handle, self.address, token, ledger, self._switchboard.now())
        conversation.certificate = self._certificate
        return conversation

    def stored(self, count: int) -> None:
        self._deadline.cancel()
        self.connection.send([wire.Ack(count)])

    def forward(self, entries: Sequence[Entry]) -> None:
        """Messages that the operator has just said."""
        if self.connection.writable and self._sent == entries[0].n - 1:
            self._sent = entries[-1].n
            self.connection.send([wire.Message(e.handle, e.text) for e in entries])
        if self._waiting:
            asyncio.get_running_loop().call_soon(self._next_waiting)

    def read(self, count: int) -> None:
        self.connection.send([wire.Read(count)])

    def pump(self) -> None:
        """Sends what the operator said and this link has not had, and then the end, if it is over."""
        conversation = self.conversation
        if conversation is None:
            return
        try:
            while self.connection.writable and self._sent < conversation.ledger.operator:
                entries = self._switchboard.journal.entries(conversation.id, self._sent, Role.OPERATOR)
                self._sent = entries[-1].n if entries else conversation.ledger.operator  # pruned meanwhile
                self.connection.send(
                    [f for e in entries for f in (wire.Timestamp(e.time), wire.Message(e.handle, e.text))]
                )
        except JournalError as error:
            self._journal_failed(error)
            return
        if conversation.ended is not None and self._sent == conversation.ledger.operator:
            self._close_ended(conversation)

    def _close_ended(self, conversation: Conversation) -> None:
        """The conversation is over and all of it is sent: closes with the last ack, or soon without it."""
        if self._quit or conversation.classic or conversation.shown[Role.PEER] == conversation.ledger.operator:
            linger = CLASSIC_SECONDS if conversation.classic and not self._quit else FINISH_SECONDS
            self.connection.close([] if self._quit or self._told_end else [wire.Quit(conversation.reason)], linger)
        elif not self._told_end:
            self._told_end = True
            self.connection.send([wire.Quit(conversation.reason)])
            self._deadline = asyncio.get_running_loop().call_later(FINISH_SECONDS, self.connection.close)

    def busy(self) -> None:
        self.connection.close([wire.Busy(BUSY)])

    def displaced(self) -> None:
        """The same peer has called again; this connection is its ghost."""
        self.connection.close([wire.Error("displaced", "This conversation goes on over a newer connection.")])

    # -------------------------------------------------------------- the hello

    def _greet(self, frame: wire.Frame) -> None:
        if not isinstance(frame, wire.Hello):
            raise ProtocolError("hello", "The first line has to be a hello.")
        if frame.version not in (wire.VERSION, framing.VERSION):
            raise ProtocolError("version", f"Version {wire.VERSION} is spoken here, not {frame.version}.")
        certificate = self.connection.certificate()
        try:
            self.name = self._name_of(certificate)
        except PermissionDeniedError as error:
            raise ProtocolError("not-authorized", str(error)) from None
        self._hello = frame
        self._deadline.cancel()
        self._certificate = None if certificate is None else hash_certificate(certificate)
        self._switchboard.refresh()
        if frame.version == wire.VERSION:
            self.connection.start_keepalive()
        found = None if frame.session is None else self._switchboard.find(frame.session)
        # A stolen token is of no use without the key that goes with it.
        if found is not None and found.certificate == self._certificate:
            if self._is_older_than(found.call):
                self.displaced()
            else:
                self._resume(frame, found)
        elif not self._switchboard.seat_is_free():
            self.busy()
        else:
            self._welcome(frame)

    def _is_older_than(self, call: int) -> bool:
        """Whether this hello was overtaken: its program has called again since, and is that newer call's."""
        return 0 < self.call < call

    def _welcome(self, hello: wire.Hello) -> None:
        """A new caller, or one that was cut off before its first message: it may speak first."""
        before = None if hello.session is None else self._switchboard.greeted_as(hello.session, self._certificate)
        if before is not None and self._is_older_than(before.call):
            self.displaced()
            return
        if before is not None:  # its first message may be on the way still, over the dead link
            self._switchboard.greeted.discard(before)
            before.displaced()
            self.token = before.token
        elif hello.version == wire.VERSION:
            self.token = os.urandom(16).hex()
        self._deadline = asyncio.get_running_loop().call_later(FIRST_MESSAGE_SECONDS, self._too_slow)
        self._switchboard.greeted.add(self)
        self._answer(None)

    def _turns(self) -> Turns:
        """How a new conversation goes: as the line is set, but for a peer that can only take turns."""
        strict = self._hello is not None and self._hello.turns == Turns.ALTERNATE.value
        return Turns.ALTERNATE if strict else self._switchboard.settings.turns

    def _resume(self, hello: wire.Hello, conversation: Conversation) -> None:
        """The peer is back: what it has not got is sent again, what we have it need not send."""
        got = hello.got or 0
        check_count(conversation.ledger, Role.OPERATOR, got)
        self.conversation, self.token, self._sent = conversation, hello.session, got
        self._answer(conversation)
        if conversation.ended is None:
            self._switchboard.take_seat(self, conversation)
        self._switchboard.shown(conversation, Role.PEER, got)
        self.pump()

    def _answer(self, conversation: Conversation | None) -> None:
        switchboard = self._switchboard
        turns = self._turns().value if conversation is None else conversation.ledger.turns.value
        got = None if conversation is None else conversation.ledger.peer
        frames: list[wire.Frame] = [
            wire.Hello(
                wire.VERSION,
                switchboard.handle,
                session=self.token,
                got=got,
                turns=turns,
                keep=switchboard.settings.keep,
            )
        ]
        if conversation is not None and conversation.shown[Role.OPERATOR]:
            frames.append(wire.Read(conversation.shown[Role.OPERATOR]))
        if switchboard.operator is None:
            frames.append(wire.Away())
        elif conversation is not None:
            frames.append(wire.Here(switchboard.handle))
        self.connection.send(frames)

    # -------------------------------------------------------------- what it says

    def _throttle(self, count: int) -> None:
        """Lets a peer that says more than `rate` messages a second wait: what it sends stays in its socket,
        and neither the disk nor the other side is flooded."""
        switchboard = self._switchboard
        rate = switchboard.settings.rate
        if rate and count:
            now = asyncio.get_running_loop().time()
            switchboard.credit = min(rate, switchboard.credit + (now - switchboard.credited) * rate) - count
            switchboard.credited = now
            if switchboard.credit < 0:
                self.connection.pause_reading(min(-switchboard.credit / rate, PAUSE_MAX))

    def _say(self, messages: Sequence[wire.Message]) -> None:
        self._throttle(len(messages))
        assert self._hello is not None or not messages
        if not messages or self._quit or self._hello is None:
            return
        if self._hello.version == framing.VERSION:
            self._waiting.extend(messages)
            self._next_waiting()
            if len(self._waiting) > WAITING_MAX:
                raise ProtocolError("waiting", f"More than {WAITING_MAX} messages wait for their turn.")
            return
        for message in messages:
            if message.handle != self._hello.handle:
                raise ProtocolError("handle", "The handle is not that of the hello.")
        self._switchboard.peer_says(self, messages)

    def _next_waiting(self) -> None:
        """A classic peer's next messages, as far as it is its turn."""
        try:
            self._drop_stored()
            while self._waiting and self._allowed():
                turns = self._turns() if self.conversation is None else self.conversation.ledger.turns
                free = turns is Turns.FREE
                messages = list(self._waiting) if free else [self._waiting[0]]
                self._switchboard.peer_says(self, messages)
                self._drop_stored()
        except JournalError as error:
            self._journal_failed(error)

    def _drop_stored(self) -> None:
        """What the journal has does not wait any more; so it may be when storing it has failed, too."""
        stored = 0 if self.conversation is None else self.conversation.ledger.peer
        while self._taken < stored and self._waiting:
            self._waiting.popleft()
            self._taken += 1

    def _say_late(self) -> None:
        """A classic peer leaves: what still waited for its turn is delivered all the same."""
        self._switchboard.refresh()
        self._drop_stored()
        if self._waiting and self.conversation is not None and self.conversation.ended is None:
            messages, self._waiting = list(self._waiting), deque()
            self._switchboard.peer_says(self, messages, in_turn=False)

    def _allowed(self) -> bool:
        """Whether a message of this caller may be said now: in its conversation, or as its first."""
        conversation = self.conversation
        if conversation is None:
            return self in self._switchboard.greeted
        return conversation.ended is None and conversation.ledger.may_speak(Role.PEER)

    def _obey(self, frame: wire.Frame) -> None:
        match frame:
            case wire.Quit(reason):
                self._hang_up(reason)
            case wire.Typing() | wire.Ring():
                if self._signs.give(frame, asyncio.get_running_loop().time()):
                    self._switchboard.pass_on(self, frame)
            case wire.Rejected():
                self.connection.send([frame])
            case wire.Hello():
                raise ProtocolError("hello", "There has been a hello already.")
            case wire.Error(code):
                log.warning("%s: says that we broke the protocol (%s)", self.address, printable(code[:20]))
                self.connection.abort("it reported an error")
            case _:  # what a later version may send
                pass

    def _hang_up(self, reason: str) -> None:
        self._quit = True
        self._say_late()
        if self.conversation is not None and self._switchboard.conversation is self.conversation:
            self._switchboard.end_conversation(reason, "the peer")
        else:
            self.connection.close()

    def _shown(self, count: int) -> None:
        conversation = self.conversation
        if not count:
            return
        if conversation is None:
            raise ProtocolError("ack", "Nothing was sent that could be acked.")
        self._switchboard.shown(conversation, Role.PEER, count)
        if conversation.ended is not None:
            self.pump()

    # -------------------------------------------------------------- trouble

    def _too_slow(self) -> None:
        log.info("%s: said nothing in time", self.address)
        self.connection.close([wire.Error("slow", "Nothing was said in time; call again when you are ready.")])

    def _journal_failed(self, error: JournalError) -> None:
        """Nothing was acked; the peer keeps what it said, and calls again until it can be stored."""
        self._switchboard.journal_failed(error)
        words = "The other side cannot store messages now. What you send is kept here until it can."
        self.connection.close([wire.Error("journal", words)])
