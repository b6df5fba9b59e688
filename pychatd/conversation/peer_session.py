"""One TCP connection of a caller. With its first message, or its session token, it becomes the peer.

Owns the connection and what has been sent over it. The seat and the conversation belong to the switchboard.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Sequence
from dataclasses import replace
from enum import Enum
from itertools import islice

from pychat_client.classic import framing
from pychat_client.classic.other_protocols import CODE as OTHER_PROTOCOL
from pychat_client.classic.other_protocols import ScreeningCodec
from pychat_client.errors import PermissionDeniedError, ProtocolError, TransportError
from pychat_client.look_alikes import looks_like
from pychat_client.phrases import counted
from pychat_client.protocol import wire
from pychat_client.protocol.digest import UNACKED_MAX, digest_of
from pychat_client.protocol.turns import Role, Turns
from pychat_client.text import printable
from pychat_client.transport.connection import (
    FINISH_SECONDS,
    READ_MAX,
    CloseReason,
    Connection,
    TransportState,
)
from pychatd.caller_events import Event, note
from pychatd.conversation.classic_queue import ClassicQueue
from pychatd.conversation.endpoint_session import EndpointSession
from pychatd.conversation.interfaces import AllowedCallersInterface, PeerInterface, Taken
from pychatd.conversation.model import (
    REST_REMOVED,
    TEXT_REMOVED,
    Conversation,
    Entry,
    JournalError,
    JournalFullError,
    Opening,
    UnreadError,
    hash_certificate,
    hash_token,
)
from pychatd.conversation.reading_price import STRANGER_READ, ReadingPrice
from pychatd.conversation.repetition import Repetition
from pychatd.conversation.silent_callers import SEEN_SECONDS, SILENT_SECONDS
from pychatd.conversation.switchboard import Switchboard

HELLO_SECONDS = 120.0
"""Time for the first line: enough for a person who types into nc. Slow senders get no extension."""

FIRST_MESSAGE_SECONDS = 120.0
"""Time from the hello to the first message: enough to think, but meanwhile nobody else can call."""

CLASSIC_SECONDS = 600.0
"""How long a classic program's connection stays open after the end. The program reads only after its user has
typed something, and crashes if the connection is closed by then."""

TOO_SLOW = "You did not send a message in time. Call again when you are ready."

_LEFT = (CloseReason.CLOSED_BY_PEER, CloseReason.SYSTEM_ERROR)
_BROKEN = "broke the protocol (%s)"
_REFUSALS = {
    "not-authorized": (Event.CERTIFICATE, "refused, it has no certificate that lets it in"),
    "invitation": (Event.INVITATION, "refused, its invitation is not valid"),
    OTHER_PROTOCOL: (Event.OTHER_PROTOCOL, _BROKEN),
}
"""What the log says of an error, by its code; of the others that the caller broke the protocol."""


class PeerState(Enum):
    """What a caller's connection has come to."""

    CONNECTED = "connected"  # it has not said hello
    PROVING = "proving"  # it has said hello, and has to prove its certificate
    WAITING = "waiting"  # it has the seat and our hello, and may send the first message
    TALKING = "talking"  # it takes part in its conversation
    END_SENT = "end sent"  # it has got the end of the conversation, and may still ack
    LEFT = "left"  # it has said \quit
    REJECTED = "rejected"  # the daemon has refused it, or ended its connection


_LEFT_BEFORE = {
    PeerState.CONNECTED: (Event.SILENT, "left without a hello"),
    PeerState.PROVING: (Event.CERTIFICATE, "did not prove its certificate"),
}
"""What the log says of a caller that has left before it was admitted."""


def busy_words(why: Taken, seconds: int) -> str:
    """The sentence for a caller when the seat is taken. It does not say by whom. seconds: for how many at most, if
    it is kept: a caller whose own program was killed reads that, too."""
    within, then = (f" within {seconds} s", "after that") if why is Taken.KEPT else ("", "later")
    return f"Busy: {why.value}{within}. Call {then}, or use --wait to keep calling."


class PeerSession(EndpointSession):
    """Owns one caller's connection."""

    def __init__(
        self,
        switchboard: Switchboard,
        address: str,
        allowed: AllowedCallersInterface,
        *,
        secure: bool,
        prompt: bool = False,
    ) -> None:
        """allowed: who may call; secure: it calls over TLS; prompt: it has sent something at once."""
        super().__init__(switchboard, address, pace=self)
        self._screening = ScreeningCodec(
            self.connection.use_codec, prompt=prompt, answers=switchboard.settings.answer_handle
        )
        self.connection.use_codec(self._screening)
        self.address = address
        self.secure = secure
        self.name: str | None = None
        self._allowed = allowed
        self._state = PeerState.CONNECTED
        self._invited: str | None = None  # its name, if it has come with an invitation
        self._hello: wire.Hello | None = None  # the first line, while it is proving
        self._opening: Opening | None = None
        self._said_handle = ""  # of its last message, if that is another one than in the hello
        self._sent = 0  # the operator's messages sent over this connection, or received by the peer before
        self._repetition: Repetition | None = None  # while it is catching up
        self._queue = ClassicQueue()
        self._price = ReadingPrice()
        self._inbox: list[wire.Frame] = []  # what was read, and waits because of `rate`
        self._inbox_timer: asyncio.TimerHandle | None = None
        self._set_deadline(HELLO_SECONDS, self._on_timeout)
        self._seen = asyncio.get_running_loop().call_later(SEEN_SECONDS, self._show_silent)

    # -------------------------------------------------------------- from the connection

    def frames_received(self, connection: Connection, frames: list[wire.Frame]) -> None:
        """An ack does not separate messages here: all messages of one read go into one transaction, unless there
        are too many for `rate`."""
        self._inbox += frames if len(frames) == 1 else _acks_last(frames)
        if self._inbox_timer is None:
            self._take_frames()

    def _take_rest(self) -> None:
        """Goes on after a pause, and reads again when nothing is left."""
        self._inbox_timer = None
        self._take_frames()
        if self._inbox_timer is None:
            self.connection.resume_reading()

    def _take_frames(self) -> None:
        """Handles what was read, as fast as `rate` allows. Meanwhile all that follows stays in the socket."""
        while self._inbox and self.connection.state is TransportState.OPEN:
            if seconds := self._switchboard.pause_for(self):
                self._inbox_timer = asyncio.get_running_loop().call_later(seconds, self._take_rest)
                self.connection.pause_reading()
                return
            end = _end_of_slice(self._inbox, self._switchboard.messages_at_once)
            frames, self._inbox = self._inbox[:end], self._inbox[end:]
            super().frames_received(self.connection, frames)
        self._inbox = []

    def protocol_error(self, connection: Connection, error: ProtocolError) -> None:
        self._state = PeerState.REJECTED
        super().protocol_error(connection, error)
        self._switchboard.miss(self)

    def connection_lost(self, connection: Connection, why: str) -> None:
        self._cancel_deadline()
        self._no_longer_silent()
        if connection.close_reason in _LEFT and (left := _LEFT_BEFORE.get(self._state)) is not None:
            self._note(*left)
        if self._inbox_timer is not None:
            self._inbox_timer.cancel()
        for step in (self.deliver_waiting, lambda: self._switchboard.peer_lost(self, why)):
            try:
                step()
            except JournalError as error:
                self._switchboard.journal_failed(error)

    # -------------------------------------------------------------- from the connection (connection.Pace)

    @property
    def read_max(self) -> int:
        return READ_MAX if self._switchboard.peer is self else STRANGER_READ

    def pause_after(self, data: bytes, now: float) -> float:
        shown = 0 if self.conversation is None else self.conversation.shown[Role.PEER]
        if self._switchboard.peer is self:
            return self._price.of_peer(data, shown, now)
        return self._price.of_stranger(data, shown, self._switchboard.settings.callers, now)

    # -------------------------------------------------------------- from admission

    @property
    def is_over(self) -> bool:
        """Whether its conversation has ended."""
        return self.conversation is not None and self.conversation.ended is not None

    def rename(self, name: str) -> None:
        """The owner of its certificate has this name now. Its program learns that at its next call."""
        self.name = name
        if self._opening is not None:
            self._opening = replace(self._opening, name=name)

    def abandon(self) -> None:
        """There will be no connection."""
        self._cancel_deadline()
        self._no_longer_silent()

    # -------------------------------------------------------------- while it says nothing (SilentInterface)

    def _show_silent(self) -> None:
        if self._state is PeerState.CONNECTED and self.connection.state is TransportState.OPEN:
            if self._screening.waits:
                self._set_deadline(SILENT_SECONDS, self._on_timeout)
            self._switchboard.add_silent(self)

    def _no_longer_silent(self) -> None:
        self._seen.cancel()
        self._switchboard.silent_callers.leave(self)

    def greet(self) -> None:
        """The operator speaks first."""
        if self._state is PeerState.CONNECTED:
            self.frames_received(self.connection, list(self._screening.greet()))

    # -------------------------------------------------------------- from the switchboard (PeerInterface)

    @property
    def opening(self) -> Opening:
        assert self._opening is not None, "not admitted yet"
        return self._opening

    @property
    def handle(self) -> str:
        return self._said_handle or self.opening.handle

    def max_text_bytes(self, handle: str) -> int | None:
        return self.connection.codec.max_text_bytes(handle)

    def join(self, conversation: Conversation) -> None:
        self._cancel_deadline()
        self.conversation, self._state = conversation, PeerState.TALKING
        self._switchboard.set_quiet(conversation, Role.PEER, self.opening.quiet)

    def acknowledge(self, entries: Sequence[Entry]) -> None:
        self.connection.send([wire.Ack(entries[-1].n)])

    def deliver(self, entries: Sequence[Entry]) -> None:
        if self.connection.writable and self._sent == entries[0].n - 1:  # or else the backlog has them
            self._sent = entries[-1].n
            self.connection.send([wire.Message(entry.handle, entry.text) for entry in entries])
        if self._queue:
            asyncio.get_running_loop().call_soon(self._release_waiting)

    def deliver_waiting(self) -> None:
        self._switchboard.reload_from_journal()
        self._remove_stored()
        if self._opening is not None and self._opening.classic and self._state is not PeerState.LEFT:
            self._queue.add([frame for frame in self._inbox if isinstance(frame, wire.Message)])
            self._inbox = []  # nobody else has these any more
        if self._queue and self.conversation is not None and self.conversation.ended is None:
            try:
                self._switchboard.peer_says(self, self._queue.next(Turns.FREE), in_turn=False)
            except JournalFullError as error:
                self._tell_dropped(error)
                raise

    def _tell_dropped(self, error: JournalFullError) -> None:
        """Tells a person what becomes of the lines. A program has to get the end alone, or does not notice it."""
        if self.max_text_bytes(self.opening.handle) is None:
            lines = counted(len(self._queue), "line")
            self.connection.send([wire.Rejected("journal", f"Not delivered: {lines} that still waited. {error}")])

    def send_backlog(self) -> None:
        """Sends the operator's messages that this connection has not had, and then the end, if it has come."""
        conversation = self.conversation
        if conversation is None:
            return
        try:
            while self.connection.writable and self._repetition is not None:
                self._repeat_batch(conversation, self._repetition)
            while self.connection.writable and self._sent < conversation.turn_state.operator:
                self._send_batch(conversation)
        except JournalError as error:
            self._journal_failed(error)
            return
        all_sent = self._repetition is None and self._sent == conversation.turn_state.operator
        if conversation.ended is not None and all_sent:
            self._send_end(conversation)

    def _repeat_batch(self, conversation: Conversation, repetition: Repetition) -> None:
        entries = self._switchboard.journal.entries(conversation.id, repetition.seq)
        frames = list(repetition.frames(entries))
        self._sent = max([self._sent, *(entry.n for entry in entries if entry.role is Role.OPERATOR)])
        if not entries:
            self._repetition = None
            frames += [] if conversation.ended is not None else [wire.Ready()]
        self.connection.send(frames)

    def _send_batch(self, conversation: Conversation) -> None:
        entries = self._switchboard.journal.entries(conversation.id, self._sent, Role.OPERATOR)
        self._sent = entries[-1].n if entries else conversation.turn_state.operator
        frames: list[wire.Frame] = [] if entries else [wire.Notice(REST_REMOVED)]
        for entry in entries:
            frames += [wire.Timestamp(entry.time), wire.Message(entry.handle, entry.text or TEXT_REMOVED)]
        self.connection.send(frames)

    def _send_end(self, conversation: Conversation) -> None:
        """The conversation is over, and all messages are sent: waits a moment for the last ack, then closes."""
        last = self._end_frames(conversation, None if self._state is PeerState.LEFT else Role.PEER)
        if self._state is PeerState.LEFT:
            self.connection.close([] if conversation.classic else last)
        elif conversation.classic:
            is_person = self.max_text_bytes(conversation.handle) is None  # who reads it at once
            self.connection.close(last, FINISH_SECONDS if is_person else CLASSIC_SECONDS)
        elif conversation.shown[Role.PEER] == conversation.turn_state.operator:
            self.connection.close([] if self._state is PeerState.END_SENT else last)
        elif self._state is not PeerState.END_SENT:
            self._state = PeerState.END_SENT
            self.connection.send(last)
            self._set_deadline(FINISH_SECONDS, self.connection.close)

    def reject_busy(self, why: Taken) -> None:
        self._note(Event.BUSY, "refused, %s", why.value)
        self._reject(wire.Busy(busy_words(why, self._switchboard.seat_kept_for)))

    def reject_blocked(self) -> None:
        self._note(Event.BLOCKED, "refused, the operator has blocked it")
        self._reject(wire.Error("blocked", "The operator has blocked you here."))

    def close_displaced(self) -> None:
        self._reject(wire.Error("displaced", "A newer connection has taken over this conversation."))

    def _reject(self, frame: wire.Frame) -> None:
        self._state = PeerState.REJECTED
        self.connection.close([frame])

    # -------------------------------------------------------------- the hello

    @property
    def is_admitted(self) -> bool:
        return self._state not in (PeerState.CONNECTED, PeerState.PROVING)

    def _on_first(self, frame: wire.Frame) -> None:
        proving = self._hello is not None
        if proving and not isinstance(frame, wire.Prove):
            raise ProtocolError("hello", "Only the first line can be a hello.")
        hello = self._hello or self._check_hello(frame, wire.VERSION, framing.CLASSIC_VERSION)
        if self._is_blocked(hello):  # before its invitation counts, and again with the key that it proves
            self.reject_blocked()
        elif not proving and self._has_to_prove(hello):
            self._hello, self._state = hello, PeerState.PROVING
            self._ask_for_certificate()
        else:
            self._admit(hello)

    def _has_to_prove(self, hello: wire.Hello) -> bool:
        unproven = self.secure and self.connection.certificate() is None
        return unproven and self._allowed.is_awaited(hello, self.address, self.connection.accept_certificate)

    def _ask_for_certificate(self) -> None:
        """The answer in TLS comes before the line that answers this one."""
        try:
            self.connection.ask_for_certificate()
        except TransportError as error:
            raise ProtocolError("not-authorized", str(error)) from None
        self.connection.send([wire.Prove()])
        self.connection.flush()  # until then TLS has not asked, and a caller may say at once that it has answered

    def _admit(self, hello: wire.Hello) -> None:
        """The caller has shown all that it can show."""
        certificate = self.connection.certificate()
        try:
            self._allowed.enrol(hello, certificate, self.address)
            self.name = self._allowed.name_of(certificate)
        except PermissionDeniedError as error:
            raise ProtocolError("not-authorized", str(error)) from None
        self._live = hello.live
        self._invited = self.name if self._allowed.is_invited(certificate) else None
        self._cancel_deadline()
        self._switchboard.reload_from_journal()
        if hello.version == wire.VERSION:
            self.connection.start_keepalive()
        token = hello.session
        found = None if token is None else self._switchboard.find_conversation(token)
        removed = None if token is None or found is not None else self._switchboard.journal.removed(token)
        if removed is None:
            self._meet(hello, found)
        else:
            self._tell_removed(hello, removed)

    def _meet(self, hello: wire.Hello, found: Conversation | None) -> None:
        """The peer of a conversation that was found is back, or somebody calls anew."""
        if found is None or found.handle != hello.handle:
            self._check_name(hello.handle)
        certificate_hash = self._certificate_hash()
        # A stolen token is of no use without the certificate that goes with it.
        if found is None or found.certificate_hash != certificate_hash:
            self._welcome(hello, certificate_hash)
        elif self._is_older(hello, found.call):
            self.close_displaced()
        else:
            self._resume(hello, found)

    def _tell_removed(self, hello: wire.Hello, removed: Conversation) -> None:
        """The peer learns how many of its messages were stored, so that it sends none of them again."""
        self._state = PeerState.REJECTED
        self._answer(hello.session, removed, removed.turn_state.turns, hello.after)
        self.connection.close(self._end_frames(removed, Role.PEER))

    def _certificate_hash(self) -> bytes | None:
        certificate = self.connection.certificate()
        return None if certificate is None else hash_certificate(certificate)

    def _is_blocked(self, hello: wire.Hello) -> bool:
        """A key need not be proved to be refused: a stranger's never is."""
        blocklist = self._switchboard.blocklist
        blocked = blocklist.blocks(self.address, hello.handle, self._certificate_hash())
        return blocked or (hello.proof is not None and hello.proof in blocklist)

    def _check_name(self, handle: str) -> None:
        """Raises ProtocolError if people could take this caller for the operator."""
        operator = self._switchboard.handle
        if looks_like(handle, operator):
            words = f"Your handle looks too much like {operator}, the handle of the operator."
            raise ProtocolError("handle", f"{words} Call with another one.")

    def _welcome(self, hello: wire.Hello, certificate_hash: bytes | None) -> None:
        """A new caller, or one that was cut off before its first message."""
        switchboard = self._switchboard
        before = switchboard.find_waiting(hello, self.address, certificate_hash)
        if before is not None and self._is_older(hello, before.opening.call):
            self.close_displaced()
            return
        if before is None and (why := switchboard.taken) is not None:
            self.reject_busy(why)
            return
        token = _token_for(hello, before)
        self._state = PeerState.WAITING
        self._opening = self._opened(hello, token, certificate_hash)
        self._set_deadline(FIRST_MESSAGE_SECONDS, self._on_timeout)
        switchboard.begin_call(self)
        self._answer(token, None, self._opening.turns)

    def _opened(self, hello: wire.Hello, token: str | None, certificate_hash: bytes | None) -> Opening:
        """The conversation goes as the service is set, but always in turns for a peer that knows nothing else."""
        only_turns = hello.turns is Turns.ALTERNATE
        return Opening(
            hello.handle,
            self.address,
            None if token is None else hash_token(token),
            certificate_hash,
            Turns.ALTERNATE if only_turns else self._switchboard.settings.turns,
            hello.call or 0,
            hello.quiet,
            self.name,
        )

    def _resume(self, hello: wire.Hello, conversation: Conversation) -> None:
        """The peer is back: sends again what it has not received, and tells it what it need not send again."""
        switchboard, state = self._switchboard, conversation.turn_state
        got = min(hello.got or 0, state.operator)
        self._opening = self._opened(hello, hello.session, conversation.certificate_hash)
        self.join(conversation)
        self._sent = got
        operators, peers = max((hello.got or 0) - state.operator, 0), max((hello.sent or 0) - state.peer, 0)
        if lacking := operators + peers:
            switchboard.journal_went_back(conversation, Role.PEER, operators=operators, peers=peers)
        elif hello.after is not None:
            self._repetition = Repetition.begin(switchboard.journal, conversation, hello, hello.after)
        after = None if self._repetition is None else self._repetition.seq
        self._answer(hello.session, conversation, state.turns, after, self._digest(conversation, hello.sent))
        if conversation.ended is None:
            switchboard.take_seat(self, conversation)
        switchboard.mark_shown(conversation, Role.PEER, got)
        if not lacking:  # otherwise the peer ends the conversation
            self.send_backlog()

    def _digest(self, conversation: Conversation, known: int | None) -> str | None:
        """Of the peer's messages behind the first `known`, so that it knows whether it has sent them itself.
        Raises JournalError."""
        if known is None:
            return None
        entries = self._switchboard.journal.entries(conversation.id, known, Role.PEER, UNACKED_MAX + 1)
        return digest_of([entry.text for entry in entries])

    def _answer(
        self,
        token: str | None,
        conversation: Conversation | None,
        turns: Turns,
        after: int | None = None,
        digest: str | None = None,
    ) -> None:
        switchboard = self._switchboard
        frames: list[wire.Frame] = [
            wire.Hello(
                wire.VERSION,
                switchboard.handle,
                session=token,
                got=None if conversation is None else conversation.turn_state.peer,
                sent=None if conversation is None else conversation.turn_state.operator,
                after=after,
                digest=digest,
                turns=turns,
                keep=switchboard.settings.keep,
                invited=self._invited,
                quiet=self._operator_is_quiet,
            )
        ]
        if conversation is not None and (count := conversation.read_mark(Role.OPERATOR)):
            frames.append(wire.Read(count))
        if not switchboard.here:
            frames.append(switchboard.away)
        elif conversation is not None:
            frames.append(switchboard.here)
        self.connection.send(frames)

    @property
    def _operator_is_quiet(self) -> bool:
        """Whether the operator sends no signs; one who is away, as far as this conversation knows."""
        if (here := self._switchboard.here) is not None:
            return here.quiet
        return self.conversation is not None and self.conversation.quiet[Role.OPERATOR]

    # -------------------------------------------------------------- what it sends

    def _say(self, messages: Sequence[wire.Message]) -> None:
        if self._state is PeerState.LEFT:
            return
        opening = self.opening
        if self.conversation is None:
            self._check_name(opening.handle)  # the operator may have come after the hello
        if opening.classic:
            for handle in {message.handle for message in messages} - {opening.handle}:
                self._say_handle(handle)  # one that was greeted has said its name since
            if self.connection.state is not TransportState.OPEN:
                return
            self._queue.add(messages)
            self._release_waiting()
            self._queue.check_length()
        else:
            self._check_handles(messages, opening.handle)
            self._switchboard.peer_says(self, messages)

    def _say_handle(self, handle: str) -> None:
        """The caller gives another name than in its hello: it is put out if that is blocked. Raises ProtocolError,
        JournalError."""
        self._check_name(handle)
        if handle != self._said_handle:
            self._said_handle = handle
            self._switchboard.put_out_unwelcome()

    def _release_waiting(self) -> None:
        """Sends the next messages of a classic peer, as far as it is its turn."""
        try:
            self._remove_stored()
            while self._queue and self._may_speak():
                turns = self.opening.turns if self.conversation is None else self.conversation.turn_state.turns
                self._switchboard.peer_says(self, self._queue.next(turns))
                self._remove_stored()
        except JournalError as error:
            self._journal_failed(error)

    def _remove_stored(self) -> None:
        """A message that could not be stored may be in the journal all the same."""
        if self.conversation is not None:
            self._queue.remove_stored(self.conversation.turn_state.peer)

    def _may_speak(self) -> bool:
        """Whether a message of this caller may be stored now: in its conversation, or as its first."""
        if self.conversation is None:
            return self._state is PeerState.WAITING
        return self.conversation.ended is None and self.conversation.turn_state.may_speak(Role.PEER)

    def _handle_control(self, frame: wire.Frame) -> None:
        match frame:
            case wire.Quit(reason):
                self._on_quit(reason)
            case wire.Rejected():
                self.connection.send([frame])
            case wire.Error(code):
                self._note(Event.PROTOCOL, "says that we broke the protocol (%s)", printable(code[:20]))
                self.connection.abort(CloseReason.REMOTE_ERROR)
            case _:
                super()._handle_control(frame)

    def _on_quit(self, reason: str) -> None:
        self._state = PeerState.LEFT
        self._switchboard.reload_from_journal()
        if self.conversation is not None and self._switchboard.conversation is self.conversation:
            self._switchboard.end_conversation(reason, Role.PEER)
        else:
            self._switchboard.miss(self)
            self.connection.close()

    def _on_ack(self, count: int) -> None:
        conversation = self.conversation
        if not count:
            return
        if conversation is None:
            raise ProtocolError("ack", "A message was confirmed, but none was sent.")
        self._switchboard.mark_shown(conversation, Role.PEER, count)
        if conversation.ended is not None:
            self.send_backlog()

    # -------------------------------------------------------------- trouble

    def _on_timeout(self) -> None:
        self._note(Event.SILENT, "sent nothing in time")
        self._switchboard.miss(self)
        self.connection.close([wire.Error("slow", TOO_SLOW)])

    def _note(self, event: Event, words: str, *values: object) -> None:
        note(event, self.address, words, *values)

    def _note_broken(self, code: str) -> None:
        event, words = _REFUSALS.get(code, (Event.PROTOCOL, _BROKEN))
        values = (code,) if words is _BROKEN else ()
        note(event, self.address, words, *values, level=logging.WARNING)

    def _journal_failed(self, error: JournalError) -> None:
        super()._journal_failed(error)
        self._switchboard.miss(self)

    def _journal_words(self, error: JournalError) -> str:
        """It does not promise what the other program does: that one knows whether it calls again."""
        words = "The other host cannot store messages now"
        if isinstance(error, UnreadError):
            words = str(error)
        else:
            words += "." if isinstance(error, JournalFullError) else " (is its disk full?)."
        if self._opening is not None and self._opening.classic:
            words += " Your last lines may not be delivered: call again later, and repeat them."
        return words


def _token_for(hello: wire.Hello, before: PeerInterface | None) -> str | None:
    """The token of a caller, which may have been given one at its call `before`; None for a classic one."""
    if hello.version != wire.VERSION:
        return None
    if before is not None and hello.session is not None and before.opening.token_hash == hash_token(hello.session):
        return hello.session
    return os.urandom(16).hex()


def _end_of_slice(frames: Sequence[wire.Frame], messages: int | None) -> int:
    """How many of `frames` come before message number `messages` + 1."""
    if messages is None or len(frames) <= messages:
        return len(frames)
    places = (index for index, frame in enumerate(frames) if isinstance(frame, wire.Message))
    return next(islice(places, messages, None), len(frames))


def _acks_last(frames: list[wire.Frame]) -> list[wire.Frame]:
    """The frames with one ack, the highest, behind the messages that come before the next other frame."""
    sorted_: list[wire.Frame] = []
    highest: wire.Ack | None = None
    for frame in frames:
        if isinstance(frame, wire.Ack):
            if highest is None or highest.count < frame.count:
                highest = frame
            continue
        if highest is not None and not isinstance(frame, wire.Message):
            sorted_.append(highest)
            highest = None
        sorted_.append(frame)
    return sorted_ if highest is None else [*sorted_, highest]
