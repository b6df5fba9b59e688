"""The seat and the conversation: joins the peer, the journal and the console.

    peer -> frames -> may it be sent now? -> journal COMMIT -> ack the sender -> deliver to the other end

Commit first: the ack and the delivery come after the journal has the message. What an end has not received yet
is read back from the journal when it comes back, so there is no queue of messages in memory. The switchboard
knows no connections; the ends own them.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime

from pychat_client.classic.framing import GUEST
from pychat_client.errors import ProtocolError, UsageError
from pychat_client.look_alikes import looks_like
from pychat_client.phrases import of_whose
from pychat_client.protocol import wire
from pychat_client.protocol.rate_limit import Sign
from pychat_client.protocol.turns import Role
from pychat_client.text import printable
from pychat_client.transport.connection import WriteBatch
from pychatd.caller_events import Event, host_of, note
from pychatd.conversation.blocklist import Blocklist
from pychatd.conversation.interfaces import (
    ConsoleInterface,
    EndInterface,
    PeerInterface,
    SilentInterface,
    Taken,
    WatcherInterface,
)
from pychatd.conversation.journal import Journal
from pychatd.conversation.journal_health import Health, JournalHealth
from pychatd.conversation.missed_calls import MissedCalls
from pychatd.conversation.model import (
    Conversation,
    Entry,
    JournalDamagedError,
    JournalError,
    JournalFullError,
    LastOperator,
    MissedCall,
    hash_token,
)
from pychatd.conversation.quota import Quota
from pychatd.conversation.retention import Retention
from pychatd.conversation.silent_callers import SilentCallers
from pychatd.conversation.token_bucket import TokenBucket
from pychatd.conversation.unread import Unread, unread
from pychatd.conversation.watchers import Watchers
from pychatd.settings import Settings

FALLBACK_HANDLE = "operator"
"""Of a service without the setting `handle` at whose console nobody has ever been."""

CONNECTION_LOST = "the connection was lost"
DAEMON_STOPPED = "the daemon was stopped"
JOURNAL_DAMAGED = "the journal was damaged"
JOURNAL_REPLACED = "the journal was replaced"
BLOCKED = "the caller was blocked"
CERTIFICATE_REMOVED = "the caller's certificate was removed"
NEEDS_CERTIFICATE = "only callers with a certificate may call now"
REPLACED = "the caller did not come back in time, and somebody else called"
"""Why the daemon says that a conversation ends. Both users read it behind "The conversation has ended: "."""

RATE_BURST = 0.25
"""Seconds' worth of `rate` that may be stored at once after a pause: what a program had to keep comes soon."""

RATE_SLICE = 0.1
"""Seconds' worth of `rate` in one transaction, if more messages come at once."""

LACKING = "The journal of this service was replaced. The new one does not have this conversation, so it is over."

STOPPING = "The daemon is stopping. The conversation is kept, and continues when the daemon is back."

log = logging.getLogger("pychatd")


class Switchboard:
    """One service: at most one conversation, one peer in the seat, one console."""

    def __init__(
        self,
        settings: Settings,
        journal: Journal,
        fingerprint: str | None = None,
        changed: Callable[[], None] = lambda: None,
        may_go_on: Callable[[bytes | None], bool] = lambda certificate_hash: True,
    ) -> None:
        """fingerprint: of the certificate that callers see; changed: called when the state in service_status
        changes; may_go_on: whether the owner of a certificate, of which it gets the hash, may still call."""
        self.settings = settings
        self.fingerprint = fingerprint
        self.journal = journal
        self._last_operator = journal.last_operator()
        self.handle = settings.handle or self._last_operator.handle or FALLBACK_HANDLE
        self.conversation: Conversation | None = None
        self.peer: PeerInterface | None = None  # it has the seat, and is connected
        self.operator: ConsoleInterface | None = None  # the attached console
        self._told_lost: set[int] = set()  # the conversations of which it knows that the journal has lost messages
        self.watchers = Watchers()
        self.waiting: PeerInterface | None = None  # it has the seat and our hello, and has sent no message yet
        self.missed = MissedCalls(journal, self.journal_failed)
        self.started = datetime.now(UTC)
        self.blocklist = Blocklist(settings.blocklist)
        self.write_batch = WriteBatch()  # of the connections of both sides
        self.silent_callers = SilentCallers(self)
        self._seat_kept_until = 0.0  # by the loop's clock
        self._seat_timer: asyncio.TimerHandle | None = None  # until then
        self._changed = changed
        self._may_go_on = may_go_on
        self._account = TokenBucket()  # of the conversation: a new connection of its peer gains nothing
        self._health = JournalHealth(self.broadcast)
        self._quota = Quota(journal)
        self.retention = Retention(journal, self._tell_read, self.journal_failed)
        self._resume_running()
        self.prune()

    def _resume_running(self) -> None:
        """After a restart the conversation continues, if its peer can come back."""
        running = self.journal.running()
        if running is not None and running.classic:
            self._store_end(running, DAEMON_STOPPED, None)
            running = None
        self.conversation = running
        if running is not None and running.turn_state.operator:
            last = self.journal.entries(running.id, running.turn_state.operator - 1, Role.OPERATOR)
            self.handle = last[0].handle  # the peer knows the operator by this one
        self._keep_seat()

    # -------------------------------------------------------------- what the ends ask

    def now(self) -> datetime:
        return datetime.now(UTC)

    @property
    def taken(self) -> Taken | None:
        """Why nobody may call now; None while the seat is free."""
        if self.waiting is not None:
            return Taken.CALLING
        if self.conversation is None:
            return None
        if self.peer is not None:
            return Taken.TALKING
        return Taken.KEPT if self.seat_kept_for else None

    def seat_is_free(self) -> bool:
        return self.taken is None

    @property
    def seat_kept_for(self) -> int:
        """For how many seconds at most the seat is kept for a peer that was cut off."""
        return max(0, math.ceil(self._seat_kept_until - asyncio.get_running_loop().time()))

    def watch(self, watcher: WatcherInterface) -> None:
        """From now on `watcher` is told what happens. First it learns whether a console is attached: then no call
        is an alert. After that, who has called, who calls now, and what is unread."""
        self.watchers.add(watcher)
        if self.here is not None:
            watcher.tell([self.here])
        for call in self.missed:
            watcher.tell([wire.Timestamp(call.time), call.line()])
        if (calling := self.calling) is not None:
            watcher.tell([calling])
        watcher.send_unread()
        self._changed()

    def watched_place(self, question: wire.Watch) -> tuple[int, int]:
        """Where a watcher goes on: the conversation, and how many messages of its peer it knows. Begins anew if
        the journal never had so many: it is another one. Raises JournalError."""
        number, told = question.session or 0, question.got or 0
        conversation = self.journal.by_id(number)
        fewer = conversation is not None and told > conversation.turn_state.peer
        return (0, 0) if fewer or number + bool(told) > self.journal.last_number() + 1 else (number, told)

    def unwatch(self, watcher: WatcherInterface) -> None:
        self.watchers.discard(watcher)
        self._changed()

    def next_unseen(self, after: int) -> Conversation | None:
        """The first conversation after number `after` with something new for the operator. Raises JournalError."""
        following = self.journal.next_unseen(after)
        running = self.conversation
        if following is not None and running is not None and running.id == following.id:
            return running  # the live object: its counts go on
        return following

    def unread(self) -> Unread:
        """What waits for the operator. Raises JournalError."""
        return unread(self.journal, self.conversation)

    def check_journal(self) -> bool:
        """Whether messages could be stored now. Writes only after a failure, to find out. What was reported, and
        does not hold any more, is told to be over."""
        error: JournalError | None = None
        try:
            self.journal.check_file()
            self._quota.check_room(self.settings.journal_max)
            if self._health.state is Health.LIMITED:
                self._quota.check_unread(self.conversation)
            elif self._health.state is Health.FAILED:
                self._try_to_write()
        except JournalDamagedError as damage:
            self.journal_failed(damage)
            return False
        except JournalError as found:
            error = found
        self._health.looked(error)
        return error is None and self._health.works

    def _try_to_write(self) -> None:
        """Does what failed once more. Raises JournalError."""
        self.reload_from_journal()
        self.journal.save_last_operator(self._last_operator)

    def find_conversation(self, token: str) -> Conversation | None:
        """The conversation of a session token, running or ended. Raises JournalError."""
        if self.conversation is not None and self.conversation.token_hash == hash_token(token):
            return self.conversation
        return self.journal.by_token(token)

    def find_waiting(
        self, hello: wire.Hello, address: str, certificate_hash: bytes | None
    ) -> PeerInterface | None:
        """The waiting caller, if `hello` is of the same program: it has the same certificate, and the token that
        this caller was given. A program that was cut off before the answer has no token, but calls once more."""
        caller = self.waiting
        if caller is None or caller.opening.certificate_hash != certificate_hash:
            return None
        known = hello.session is not None and caller.opening.token_hash == hash_token(hello.session)
        again = caller.opening.is_repeated_by(hello.handle, hello.call or 0)
        same_host = host_of(caller.address) == host_of(address)
        return caller if known or (again and same_host) else None

    def begin_call(self, caller: PeerInterface) -> None:
        """`caller` has the seat, and may send the first message. If its program has called before, that message
        may still arrive over the dead connection, and does not count then."""
        self.silent_callers.discard(caller)
        older, self.waiting = self.waiting, caller
        if older is not None:
            older.close_displaced()
        asyncio.get_running_loop().call_soon(self._announce, caller)  # many send a message with the hello

    def _announce(self, caller: PeerInterface) -> None:
        if caller is not self.waiting:
            return
        note(Event.CALLING, caller.address, "%s calls", printable(caller.opening.handle))
        self._tell_operators(_calling(caller))
        self._changed()

    def miss(self, caller: PeerInterface, back: str | None = None) -> None:
        """`caller` has gone, or has to go, before its first message. back: because this peer is back."""
        if caller is not self.waiting:
            return
        self.waiting = None
        handle = caller.opening.handle
        note(Event.MISSED, caller.address, "%s's call has ended without a message", printable(handle))
        self._tell_missed(MissedCall(handle, caller.address, self.now(), caller.opening.name, back))
        self.silent_callers.announce()

    def _tell_missed(self, missed: MissedCall) -> None:
        if self.operator is not None:
            self.operator.tell_missed(missed)
        else:
            self.missed.add(missed)
        self.watchers.tell([missed.line()])
        self._changed()

    @property
    def calling(self) -> wire.Calling | None:
        """Who calls now: the caller that has the seat, or one that says nothing while the seat is free."""
        if (caller := self.waiting) is not None:
            return _calling(caller)
        silent = self.silent_callers.calling
        return None if silent is None else _calling_silently(silent)

    def tell_calls(self, operator: ConsoleInterface) -> None:
        """Tells a console that has just attached who has called, and who is calling."""
        for call in self.missed:
            operator.tell_missed(call)
        self.missed.clear()
        if (calling := self.calling) is not None:
            operator.notify(calling)

    def take_seat(self, caller: PeerInterface, conversation: Conversation) -> None:
        """`caller` becomes the peer of `conversation`. An older connection of the same peer is closed."""
        self.silent_callers.discard(caller)
        older, self.peer = self.peer, caller
        if older is not None:
            older.close_displaced()
        if self.conversation is not conversation:
            self.conversation, self._account = conversation, TokenBucket()
        conversation.note_call(caller.opening)
        if self.waiting is caller:
            self.waiting = None
        elif self.waiting is not None:
            self._put_out(self.waiting, conversation.handle)
        _note(Event.CONNECTED, conversation, "%s is connected", printable(conversation.handle))
        self._tell_presence()

    def _put_out(self, caller: PeerInterface, back: str) -> None:
        """The peer, called `back`, was away for long and is back: `caller` has to go before its first message."""
        handle = caller.opening.handle
        reads = f"{handle} reads that the service is busy."
        self._tell_operators(
            wire.Notice(f"{handle} had to leave: {back} is back in the open conversation. {reads}")
        )
        self.miss(caller, back)
        caller.reject_busy(Taken.BACK)

    def pause_for(self, caller: PeerInterface) -> float:
        """For how many seconds no message of `caller` should be stored. Nobody pays for what others have sent."""
        return self._charge(0) if caller is self.peer else 0.0

    @property
    def messages_at_once(self) -> int | None:
        """How many messages of a caller are stored together; None for any number."""
        return max(1, round(self.settings.rate * RATE_SLICE)) if self.settings.rate else None

    def _charge(self, count: int) -> float:
        """Charges the conversation for `count` stored messages of its peer. Returns until when it is in debt."""
        rate = self.settings.rate
        if not rate:
            return 0.0
        return self._account.spend(count, rate, rate * RATE_BURST, asyncio.get_running_loop().time())

    def max_text_bytes(self) -> int | None:
        """How many bytes of text the peer's program takes in one message; None for any number."""
        return None if self.peer is None else self.peer.max_text_bytes(self.handle)

    # -------------------------------------------------------------- messages

    def peer_says(self, caller: PeerInterface, messages: Sequence[wire.Message], *, in_turn: bool = True) -> None:
        """Messages of the peer, or of the caller that has the seat, whose first one begins a conversation.

        Raises ProtocolError behind the last message that was in turn, unless `in_turn` is False; JournalError
        if nothing could be stored.
        """
        self.reload_from_journal()
        conversation = self._conversation_for(caller, len(messages))
        if conversation is None:
            return
        entries, error = self._store(conversation, Role.PEER, messages, in_turn)
        if entries:
            if self.peer is not caller:
                caller.join(conversation)
                self.take_seat(caller, conversation)
            self._charge(len(entries))
            caller.acknowledge(entries)
            if self.operator is not None:
                self.operator.deliver(entries)
            self.watchers.send_unread()
            self._changed()
        if error is not None:
            raise error

    def _conversation_for(self, caller: PeerInterface, count: int) -> Conversation | None:
        """The conversation that `count` messages of `caller` belong to, a new one if they are the first. None if
        they do not count: they are not acked, so the caller's program gives them back to its user. Raises
        JournalFullError while they cannot be stored."""
        conversation = self.conversation
        if conversation is not None and caller.conversation is conversation:
            self._quota.check(conversation, Role.PEER, count, self.settings.journal_max)
            return conversation
        if caller is not self.waiting:  # rejected, or it has not heard of the end yet
            return None
        conversation = Conversation.opened(caller.opening, self.now())
        self._quota.check(conversation, Role.PEER, count, self.settings.journal_max)
        if self.conversation is not None:  # its peer has not come back in time
            self.end_conversation(REPLACED, None)
        return conversation

    def operator_says(self, operator: ConsoleInterface, messages: Sequence[wire.Message]) -> None:
        """Messages of the operator. Raises ProtocolError behind the last one that was in turn, JournalError if
        nothing could be stored."""
        self.reload_from_journal()
        conversation = self.conversation
        if conversation is None or operator.number != conversation.id or self._has_lost_its_peer:
            return  # the console has not heard of the end yet; without an ack its user gets the text back
        self._quota.check(conversation, Role.OPERATOR, len(messages), self.settings.journal_max)
        entries, error = self._store(conversation, Role.OPERATOR, messages, console=operator.console)
        if entries:
            operator.acknowledge(entries)
            if self.peer is not None:
                self.peer.deliver(entries)
        if error is not None:
            raise error

    def _store(
        self,
        conversation: Conversation,
        role: Role,
        messages: Sequence[wire.Message],
        in_turn: bool = True,
        console: str | None = None,
    ) -> tuple[list[Entry], ProtocolError | None]:
        """Stores as many of `messages` as the rules allow, in one transaction."""
        turn_state = conversation.turn_state.copy()  # it becomes the conversation's when the entries are durable
        entries: list[Entry] = []
        error: ProtocolError | None = None
        now = self.now()
        try:
            for message in messages:
                entries.append(Entry.numbered(turn_state, role, message, now, in_turn, console))
        except ProtocolError as broken:
            error = broken
        if entries:
            self.journal.append(conversation, entries, turn_state)
            self._health.stored()
        return entries, error

    def mark_shown(self, conversation: Conversation, role: Role, count: int) -> None:
        """The user of `role` has seen the first `count` messages of the other side. Raises ProtocolError,
        JournalError."""
        if not conversation.mark_shown(role, count):
            return
        self._tell_read_mark(conversation, role)  # before the journal: it is true whatever becomes of it now
        if role is Role.OPERATOR:
            self._changed()
        if self.settings.keep == "none":
            self.retention.forget(conversation, role.other)
        elif conversation.ended is not None:
            self.journal.save_shown(conversation)

    def set_quiet(self, conversation: Conversation, role: Role, quiet: bool) -> None:
        """The user of `role` sends no read marks from now on, or sends them again: then the other side learns what
        this user has seen meanwhile."""
        if conversation.quiet[role] is quiet:
            return
        conversation.quiet[role] = quiet
        self._tell_read_mark(conversation, role)
        try:
            self.journal.save_quiet(conversation)
        except JournalError as error:
            self.journal_failed(error)

    def _tell_read_mark(self, conversation: Conversation, role: Role) -> None:
        """Tells the other side what the user of `role` has seen, if it may know. An end that is not there, or has
        not been told of the conversation, learns it when it is."""
        other: EndInterface | None = self.operator if role is Role.PEER else self.peer
        count = conversation.read_mark(role)
        if count and other is not None and other.conversation is conversation:
            other.send_read_mark(count)

    def forward_sign(self, sender: EndInterface, sign: Sign) -> None:
        """Passes a sign on to the other end of the running conversation, if it is there. Signs are not
        stored."""
        other: EndInterface | None = None
        if sender is self.peer:
            other = self.operator
        elif sender is self.operator:
            other = self.peer
        if other is not None and other.conversation is sender.conversation:
            other.send_sign(sign)
        if sender is self.peer and self.operator is None and isinstance(sign, wire.Ring):
            for watcher in self.watchers:
                watcher.tell_ring()

    @property
    def passes_drafts(self) -> bool:
        """Whether both users are there and want live typing."""
        return all(end is not None and end.live for end in (self.peer, self.operator))

    def tell_live(self) -> None:
        """Tells both ends whether the other user is there and wants live typing."""
        peer, operator = self.peer, self.operator
        if peer is not None:
            peer.send_live(operator is not None and operator.live)
        if operator is not None:
            operator.send_live(peer is not None and operator.conversation is peer.conversation and peer.live)

    # -------------------------------------------------------------- when the journal fails

    def journal_failed(self, error: JournalError) -> None:
        """Tells both sides. The side that caused the failure then loses its connection, and sends again what was
        not acked when it is back."""
        if isinstance(error, JournalDamagedError):
            self._drop_lost(str(error), JOURNAL_DAMAGED)
        self._health.failed(error)
        self._changed()

    def reload_from_journal(self) -> None:
        """After an error, takes over what the journal holds: it may be more than it has confirmed. Raises
        JournalError while it cannot be read."""
        if not self._health.needs_reload:
            return
        running = self.journal.running()
        self._health.reloaded()
        peer, ours = self.peer, self.conversation
        stored = None if ours is None else self.journal.by_id(ours.id)
        if ours is None:
            self.conversation = self._as_told(running)
            self._keep_seat()
        elif stored is None or not stored.is_same(ours):  # an older backup, for example
            self._drop_lost(LACKING, JOURNAL_REPLACED)
            self.conversation = running
            self._keep_seat()
        else:
            ours.adopt(stored)
            if stored.ended is not None:
                log.info("conversation %d: the journal says that it has ended", ours.id)
                self.conversation, self.peer = running, None
                self._tell_change()
        for end in (peer, self.operator):
            if end is not None:
                end.send_backlog()
        self._catch_up()

    def _catch_up(self) -> None:
        """Does what an error of the journal has kept from being done."""
        try:
            self.put_out_unwelcome()
            if self._has_lost_its_peer:
                self.end_conversation(CONNECTION_LOST, None)
            elif self.conversation is not None:
                self.journal.save_shown(self.conversation)
        except JournalError as error:
            self.journal_failed(error)
        self.prune()

    def _as_told(self, running: Conversation | None) -> Conversation | None:
        """The running conversation, as the object that the console's session already has, if it knows it."""
        told = None if self.operator is None else self.operator.conversation
        same = told is not None and running is not None and told.is_same(running)
        return told if same else running

    def _drop_lost(self, words: str, reason: str) -> None:
        """The journal has lost the running conversation, so no end can be stored: tells both ends in `words` that
        it is over."""
        conversation, self.conversation = self.conversation, None
        if conversation is not None:
            conversation.end(reason, self.now(), None)
            log.error("conversation %d: ended, because %s", conversation.id, reason)
        for end in self._both_ends():
            end.close([wire.Notice(words), wire.Timestamp(self.now(), service=True), wire.Quit(reason)])
        self.peer = None
        for watcher in self.watchers:
            watcher.begin_anew()

    def journal_went_back(self, conversation: Conversation, by: Role, *, operators: int, peers: int) -> None:
        """The program of `by` knows of so many messages of each side that the journal lacks: it was restored, or
        its disk has lost them. Tells a console once of each conversation: any number of calls can say so."""
        words = "the journal has lost messages: %d of the operator, %d of the peer"
        _note(Event.WENT_BACK, conversation, words, operators, peers, level=logging.ERROR)
        lost = of_whose((operators, "your"), (peers, f"{conversation.handle}'s"))
        if self.operator is not None and conversation.id not in self._told_lost:
            self._told_lost.add(conversation.id)
            who = "The" if by is Role.OPERATOR else f"{conversation.handle}'s program says that the"
            words = f"{who} journal has lost {lost} in the conversation with {conversation.handle}"
            self.operator.notify(wire.Notice(f"{words}, for example because an older backup was restored."))

    # -------------------------------------------------------------- who comes and goes

    def end_conversation(self, reason: str, by: Role | None) -> None:
        """Delivers what still waits for its turn, and ends the running conversation for good. by: whose user wants
        it; None for the service itself. Raises JournalError."""
        self.reload_from_journal()
        if self.conversation is not None and self.peer is not None:
            try:
                self.peer.deliver_waiting()
            except JournalFullError as error:  # an end is stored all the same
                self.journal_failed(error)
        self._end(reason, by)

    def _end(self, reason: str, by: Role | None) -> None:
        """Ends the running conversation, if there is one. What still waits for its turn is not delivered. Raises
        JournalError."""
        conversation = self.conversation
        if conversation is None:
            return
        self._store_end(conversation, reason, by)
        who = f"the service ({reason})" if by is None else f"the {by.value}"
        unread = "".join(f", unread from the {r.value}: {n}" for r in Role if (n := conversation.unread(r)))
        _note(Event.ENDED, conversation, "ended by %s%s", who, unread)
        self.prune()
        self.conversation = None
        peer, self.peer = self.peer, None
        if peer is not None:
            peer.send_backlog()
        if self.operator is not None:
            self.operator.send_backlog()
        self.watchers.send_unread()
        self.silent_callers.announce()
        self._tell_change()

    def _store_end(self, conversation: Conversation, reason: str, by: Role | None) -> None:
        """A classic peer acks nothing and cannot come back, so what was sent to it counts as shown."""
        if conversation.classic:
            conversation.mark_shown(Role.PEER, conversation.turn_state.operator)
        self.journal.end_conversation(conversation, reason, self.now(), by)

    def add_silent(self, caller: SilentInterface) -> None:
        """`caller` is connected, and has said nothing for a while."""
        if not self._is_blocked(caller):
            self.silent_callers.add(caller)

    def _is_blocked(self, caller: SilentInterface) -> bool:
        return self.blocklist.blocks(caller.address, GUEST, None)

    def announce_silent(self, caller: SilentInterface, *, new: bool) -> None:
        """Tells that `caller` is calling. new: nobody knows of it yet."""
        calling = _calling_silently(caller)
        if self.operator is not None:
            self.operator.notify(calling)
        if new:
            note(Event.CALLING, caller.address, "is connected, and has said nothing yet")
            self.watchers.tell([calling])
        self._changed()

    def miss_silent(self, caller: SilentInterface) -> None:
        """`caller` was calling, and has gone. Its connection has told the log."""
        self._tell_missed(MissedCall(GUEST, caller.address, self.now()))

    def greet(self) -> None:
        """The operator speaks first with a caller that waits for that. Raises UsageError."""
        if (why := self.taken) is Taken.CALLING:
            raise UsageError("Somebody is calling now: wait for the first message.")
        if why is not None:
            raise UsageError("Somebody is talking here, or may come back: end that conversation first.")
        self.silent_callers.first.greet()

    @property
    def _has_lost_its_peer(self) -> bool:
        """Whether the peer of the running conversation cannot come back. Its end could not be stored yet."""
        return self.conversation is not None and self.conversation.classic and self.peer is None

    def peer_lost(self, caller: PeerInterface, why: str) -> None:
        """The connection of a caller is gone. Only a classic peer's conversation ends with it."""
        self.miss(caller)
        if self.peer is not caller:
            return
        self.peer = None
        conversation = self.conversation
        if conversation is None:
            return
        _note(Event.DISCONNECTED, conversation, "connection lost: %s", why)
        if conversation.classic:
            try:
                self.end_conversation(CONNECTION_LOST, None)
            except JournalError as error:  # it ends when the journal works again
                self.journal_failed(error)
                self._tell_presence()
            return
        self._keep_seat()
        self._save_shown(conversation)
        self._tell_presence()

    def put_out_unwelcome(self) -> bool:
        """Ends what callers do who may not call any more. Returns whether that was the conversation. Raises
        JournalError."""
        self.silent_callers.leave(*filter(self._is_blocked, self.silent_callers.waiting))
        caller = self.waiting
        if caller is not None:
            opening = caller.opening
            if self.blocklist.blocks(opening.address, opening.handle, opening.certificate_hash):
                self.miss(caller)
                caller.reject_blocked()
        why = None if self.conversation is None else self._why_unwelcome(self.conversation)
        if why is not None:
            self.reload_from_journal()
            self._end(why, Role.OPERATOR)
        return why is not None

    def _why_unwelcome(self, talk: Conversation) -> str | None:
        """Why the peer of the running conversation may not call any more; None if it may."""
        handles = {talk.handle, talk.handle if self.peer is None else self.peer.handle}
        if any(self.blocklist.blocks(talk.address, handle, talk.certificate_hash) for handle in handles):
            return BLOCKED
        if self._may_go_on(talk.certificate_hash):
            return None
        return NEEDS_CERTIFICATE if talk.certificate_hash is None else CERTIFICATE_REMOVED

    def rename_peer(self, names: Mapping[bytes, str]) -> None:
        """The names of who may call have changed. names: by the hashes of their certificates."""
        talk = self.conversation
        if talk is None or talk.certificate_hash is None:
            return
        name = names.get(talk.certificate_hash, talk.name)
        if name is None or name == talk.name:
            return
        talk.rename_peer(name)
        self._save_shown(talk)
        if self.peer is not None and self.operator is not None:
            self.operator.send_presence()

    def attach(self, operator: ConsoleInterface, handle: str) -> None:
        """A console takes the operator's side. Its user is called `handle`."""
        old, self.operator, self.handle = self.operator, operator, handle
        self._told_lost.clear()
        self._remember(LastOperator(handle))
        log.info("console: %s attached", operator.user)
        if old is not None:
            old.close_taken_over(operator)
        here = wire.Here(handle, quiet=operator.quiet)
        self._notify_callers(here)
        self.watchers.tell([here])
        self._tell_change()

    @property
    def here(self) -> wire.Here | None:
        """What callers are told while a console is attached; None while there is none."""
        return None if self.operator is None else wire.Here(self.handle, quiet=self.operator.quiet)

    @property
    def away(self) -> wire.Away:
        """What callers are told while no console is attached."""
        return wire.Away(self._last_operator.away or self.settings.away or "")

    def go_away(self, operator: ConsoleInterface, words: str) -> None:
        """The user of a console is about to leave; callers get `words` until a console is attached."""
        if operator is self.operator:
            self._remember(self._last_operator._replace(away=words))

    def _remember(self, last: LastOperator) -> None:
        if last == self._last_operator:
            return
        self._last_operator = last
        try:
            self.journal.save_last_operator(last)
        except JournalError as error:  # a restart forgets it
            self.journal_failed(error)

    def detach(self, operator: ConsoleInterface) -> None:
        """The connection of a console is gone."""
        if self.operator is not operator:
            return
        self.operator = None
        log.info("console: %s detached", operator.user)
        if self.conversation is not None:
            self._save_shown(self.conversation)
        self._notify_callers(self.away)
        self.watchers.tell([wire.Away()])
        self._tell_read()
        self.watchers.send_unread()
        self._tell_change()

    def stop(self) -> None:
        """The daemon stops: tells all ends. Only a classic peer's conversation ends with it."""
        self.silent_callers.stop()
        conversation = self.conversation
        if conversation is not None:
            try:
                if conversation.classic:
                    self.end_conversation(DAEMON_STOPPED, None)
                else:
                    self.journal.save_shown(conversation)
            except JournalError as error:
                log.error("%s", error)
        for end in (*self._both_ends(), self.waiting):
            if end is not None:
                end.close([wire.Error("stopping", STOPPING)])
        self.watchers.stop()
        for watcher in self.watchers:
            watcher.close([wire.Error("stopping", STOPPING)])
        self.retention.stop()
        self.missed.stop()

    def prune(self) -> None:
        """Removes what `keep` does not keep."""
        self.retention.prune(self.settings, self.now())

    def reload(self, settings: Settings, fingerprint: str) -> None:
        """Takes the settings that can change while the service runs. An attached console keeps its handle."""
        self.fingerprint = fingerprint
        if self.operator is None and settings.handle is not None and settings.handle != self.settings.handle:
            self.handle = settings.handle
        before, self.settings = self.away, settings
        for words in self.complaints:
            log.warning("%s", words)
        if self.operator is None and self.away != before:
            self._notify_callers(self.away)
        self.prune()

    @property
    def complaints(self) -> list[str]:
        """What the settings do not allow with the present caller."""
        handle, running = self.settings.handle, self.conversation
        if handle is None or running is None or not looks_like(handle, running.handle):
            return []
        words = f"The setting 'handle' looks too much like {printable(running.handle)}, the handle of the caller."
        return [f"{words} Until the conversation is over, start the console with another one: --handle NAME."]

    # -------------------------------------------------------------- inside

    def broadcast(self, notice: wire.Notice) -> None:
        """Shows a sentence at both ends."""
        if self.peer is not None:
            self.peer.notify(notice)
        self._tell_operators(notice)

    def _tell_operators(self, frame: wire.Notice | wire.Calling) -> None:
        """Tells the console, and the programs that watch."""
        if self.operator is not None:
            self.operator.notify(frame)
        self.watchers.tell([frame])

    def _tell_read(self) -> None:
        try:
            for watcher in self.watchers:
                watcher.tell_read()
        except JournalError as error:
            self.journal_failed(error)

    def _both_ends(self) -> list[EndInterface]:
        """Those that are connected."""
        return [end for end in (self.peer, self.operator) if end is not None]

    def _notify_callers(self, presence: wire.Away | wire.Here) -> None:
        """Tells the peer and a waiting caller whether a console is attached."""
        for caller in (self.peer, self.waiting):
            if caller is not None:
                caller.notify(presence)

    def _tell_presence(self) -> None:
        """The peer has come or gone."""
        if self.operator is not None:
            self.operator.send_presence()
        self._tell_change()

    def _tell_change(self) -> None:
        """Somebody has come or gone."""
        self.tell_live()
        self._changed()

    def _keep_seat(self) -> None:
        loop = asyncio.get_running_loop()
        self._seat_kept_until = loop.time() + self.settings.grace
        if self._seat_timer is not None:
            self._seat_timer.cancel()
        self._seat_timer = loop.call_later(self.settings.grace, self.silent_callers.announce)

    def _save_shown(self, conversation: Conversation) -> None:
        try:
            self.journal.save_shown(conversation)
        except JournalError as error:
            self.journal_failed(error)


def _note(
    event: Event, conversation: Conversation, words: str, *values: object, level: int = logging.INFO
) -> None:
    """Logs what happens in a conversation, as an event of its caller."""
    note(event, conversation.address, f"conversation %d: {words}", conversation.id, *values, level=level)


def _calling(caller: PeerInterface) -> wire.Calling:
    opening = caller.opening
    return wire.Calling(opening.handle, caller.address, plain=not caller.secure, name=opening.name)


def _calling_silently(caller: SilentInterface) -> wire.Calling:
    return wire.Calling(GUEST, caller.address, plain=not caller.secure, silent=True)
