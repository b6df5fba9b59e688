"""The seat and the conversation: joins the peer, the journal and the console.

    peer -> frames -> may it be said? -> journal COMMIT -> ack the sender -> forward to the other end

Commit, then tell anyone: neither the ack nor the other side comes before the journal has it. What
the two ends have not got yet is read back from the journal when they come back, so no queue of
messages exists in memory. Knows no sockets; the ends (caller, operator) own the links.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from pychat_client.errors import JournalError, ProtocolError
from pychat_client.protocol import wire
from pychat_client.protocol.rate_limit import Sign
from pychat_client.protocol.turns import Role, TurnState
from pychat_client.text import printable
from pychatd.conversation.journal import (
    Conversation,
    Entry,
    Journal,
    JournalDamagedError,
    copy_of,
    entry,
    hash_token,
)
from pychatd.settings import Settings

if TYPE_CHECKING:
    from pychatd.conversation.console_session import ConsoleSession
    from pychatd.conversation.peer_session import PeerSession

FALLBACK_HANDLE = "operator"

log = logging.getLogger("pychatd")


class Switchboard:
    """One line: at most one conversation, one peer in the seat, one console."""

    def __init__(
        self,
        settings: Settings,
        journal: Journal,
        fingerprint: str | None = None,
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        """fingerprint: of the key that callers see; changed: called when `report.state_words` has changed."""
        self.settings = settings
        self.fingerprint = fingerprint
        self.journal = journal
        self.handle = settings.handle or FALLBACK_HANDLE
        self.conversation: Conversation | None = None
        self.peer: PeerSession | None = None  # who has the seat; its link is live
        self.operator: ConsoleSession | None = None  # the attached console
        self.greeted: set[PeerSession] = set()  # callers that have our hello and have not spoken yet
        self.started = datetime.now(UTC)
        self._seat_kept_until = 0.0  # by the loop's clock
        self._changed = changed
        self.credit = 0.0  # messages that peers may still say at once, see Caller
        self.credited = 0.0  # when that was counted
        self._journal_broken = False  # both ends have been told
        self._stale = False  # an error has left open what the journal holds
        self.prune()
        self._resume_running()

    def _resume_running(self) -> None:
        """After a restart: the conversation goes on where it was, if its peer can come back."""
        running = self.journal.running()
        if running is not None and running.classic:
            self.journal.end_conversation(running, "the daemon was stopped", self.now())
            running = None
        self.conversation = running
        if running is not None and running.ledger.operator:
            last = self.journal.entries(running.id, running.ledger.operator - 1, Role.OPERATOR)
            self.handle = last[0].handle  # what the peer knows the operator by
        self._keep_seat()

    # -------------------------------------------------------------- what the ends ask

    def now(self) -> datetime:
        return datetime.now(UTC)

    @property
    def turns_word(self) -> str:
        return self.settings.turns.value

    def seat_is_free(self) -> bool:
        """Whether a first message may start a conversation: nobody talks, and nobody is waited for."""
        if self.conversation is None:
            return True
        return self.peer is None and asyncio.get_running_loop().time() >= self._seat_kept_until

    def find(self, token: str) -> Conversation | None:
        """The conversation of a session token, running or over. Raises JournalError."""
        if self.conversation is not None and self.conversation.token == hash_token(token):
            return self.conversation
        return self.journal.by_token(token)

    def greeted_as(self, token: str, certificate: bytes | None) -> PeerSession | None:
        """The caller that was given a session token and has not spoken yet."""
        return next((caller for caller in self.greeted if caller.is_of(token, certificate)), None)

    def take_seat(self, caller: PeerSession, conversation: Conversation) -> None:
        """`caller` becomes the peer of `conversation`; whoever held the seat for it is a ghost."""
        ghost, self.peer = self.peer, caller
        if ghost is not None:
            ghost.displaced()
        self.conversation = conversation
        conversation.call = max(conversation.call, caller.call)
        self.greeted.discard(caller)
        for other in list(self.greeted):
            other.busy()
        log.info(
            "conversation %d: %s from %s has the seat",
            conversation.id,
            printable(conversation.handle),
            caller.address,
        )
        if self.operator is not None:
            self.operator.peer_presence()
        self._changed()

    # -------------------------------------------------------------- what is said

    def peer_says(self, caller: PeerSession, messages: Sequence[wire.Message], *, in_turn: bool = True) -> None:
        """Messages of the peer, or of a caller: the first one takes the seat. Raises ProtocolError
        behind the last good one (not so with in_turn False), JournalError if nothing could be stored."""
        self.refresh()
        conversation = caller.conversation
        if conversation is not self.conversation or conversation is None:
            if caller is self.peer or (conversation is not None and conversation.ended is not None):
                return  # it crossed the end of the conversation: never acked, so never lost
            if caller not in self.greeted:  # refused: what came with its hello does not count
                return
            if not self.seat_is_free():
                caller.busy()
                return
            self._abandon()
            conversation = caller.new_conversation()
        entries, error = self._store(conversation, Role.PEER, messages, in_turn)
        if entries:
            if self.peer is not caller:
                caller.conversation = conversation
                self.take_seat(caller, conversation)
            caller.stored(conversation.ledger.peer)
            if self.operator is not None:
                self.operator.forward(entries)
        if error is not None:
            raise error

    def operator_says(self, operator: ConsoleSession, messages: Sequence[wire.Message]) -> None:
        """Messages of the operator. Raises ProtocolError behind the last good one, JournalError."""
        self.refresh()
        conversation = self.conversation
        if conversation is None or operator.number != conversation.id:
            return  # it crossed the end of the conversation
        entries, error = self._store(conversation, Role.OPERATOR, messages, console=operator.console)
        if entries:
            operator.stored(entries)
            if self.peer is not None:
                self.peer.forward(entries)
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
        ledger = copy_of(conversation.ledger)
        entries: list[Entry] = []
        error: ProtocolError | None = None
        now = self.now()
        try:
            for message in messages:
                entries.append(entry(ledger, role, message, now, in_turn=in_turn, console=console))
        except ProtocolError as broken:
            error = broken
        if entries:
            self.journal.append(conversation, entries, ledger)
            self._journal_works()
        return entries, error

    def shown(self, conversation: Conversation, role: Role, count: int) -> None:
        """The user of `role` has seen the first `count` messages of the other. Raises ProtocolError,
        JournalError."""
        if not mark_shown(conversation, role, count):
            return
        if self.settings.keep == "none":
            self.journal.forget_text(conversation, role.other, count)
        elif conversation.ended is not None:
            self.journal.save_shown(conversation)
        other = self.operator if role is Role.PEER else self.peer
        if other is not None and other.conversation is conversation:
            other.read(count)

    # -------------------------------------------------------------- the journal's health

    def pass_on(self, endpoint: PeerSession | ConsoleSession, sign: Sign) -> None:
        """Forwards a sign to the other end of the running conversation, if it is there and reads what it
        is sent; a sign is not worth keeping."""
        other = self.operator if endpoint is self.peer else self.peer if endpoint is self.operator else None
        if other is not None and other.connection.writable and endpoint.conversation is other.conversation:
            other.connection.send([sign])

    def journal_failed(self, error: JournalError) -> None:
        """Nothing was acked; both ends are told, once. The end concerned then loses its connection, and
        comes back with what it keeps."""
        log.error("%s", error)
        self._stale = True
        if isinstance(error, JournalDamagedError):
            self._drop_damaged(error)
        if not self._journal_broken:
            self._journal_broken = True
            words = "Messages cannot be stored on the host of this line now; nothing is sent on until they can."
            self._tell(wire.Notice(words))

    def refresh(self) -> None:
        """After an error the journal may hold more than we were told was stored (a commit whose fsync
        failed): what it holds is the truth. Raises JournalError while it cannot be read."""
        if not self._stale:
            return
        held = self.journal.running()
        self._stale = False
        peer = self.peer
        if self.conversation is None:
            self.conversation = held
            self._keep_seat()
        elif held is not None and held.id == self.conversation.id:
            self.conversation.ledger = held.ledger
        elif (ours := self.journal.by_id(self.conversation.id)) is not None and ours.ended is not None:
            self.conversation.ledger = ours.ledger
            self.conversation.ended, self.conversation.reason = ours.ended, ours.reason
            log.info("conversation %d: ended, as the journal has it", ours.id)
            self.conversation, self.peer = held, None
            self._changed()
        for endpoint in (peer, self.operator):
            if endpoint is not None:
                endpoint.pump()

    def _journal_works(self) -> None:
        if self._journal_broken:
            self._journal_broken = False
            log.info("The journal can be written again")
            self._tell(wire.Notice("Messages are stored again."))

    def _drop_damaged(self, damage: JournalDamagedError) -> None:
        """The conversation's journal is gone from under it: both ends are told that it is over."""
        conversation, self.conversation = self.conversation, None
        if conversation is not None:
            conversation.ended, conversation.reason = self.now(), "the journal was damaged"
            log.error("conversation %d: ended, for its journal was damaged", conversation.id)
        for endpoint in (self.peer, self.operator):
            if endpoint is not None:
                endpoint.connection.close([wire.Notice(str(damage)), wire.Quit("the journal was damaged")])
        self.peer = None

    # -------------------------------------------------------------- comings and goings

    def end_conversation(self, reason: str, who: str) -> None:
        """The running conversation is over for good; both ends are told. Raises JournalError."""
        self.refresh()
        conversation = self.conversation
        if conversation is None:
            return
        if conversation.classic:  # it acked nothing and cannot come back: what was sent is delivered
            mark_shown(conversation, Role.PEER, conversation.ledger.operator)
            if self.settings.keep == "none":
                self.journal.forget_text(conversation, Role.OPERATOR, conversation.ledger.operator)
        self.journal.end_conversation(conversation, reason, self.now())
        unread = "".join(f", {n} of the {r.value} not shown" for r in Role if (n := conversation.unread(r)))
        log.info("conversation %d: ended by %s%s", conversation.id, who, unread)
        self.prune()
        self.conversation = None
        peer, self.peer = self.peer, None
        if peer is not None:
            peer.pump()
        if self.operator is not None:
            self.operator.pump()
        self._changed()

    def peer_lost(self, caller: PeerSession, why: str) -> None:
        """A caller's link is gone. The conversation is not, unless its peer is a classic one."""
        self.greeted.discard(caller)
        if self.peer is not caller:
            return
        self.peer = None
        conversation = self.conversation
        if conversation is None:
            return
        log.info("conversation %d: the connection is gone: %s", conversation.id, why)
        if conversation.classic:
            self.end_conversation("the connection is gone", "the connection")
            return
        self._keep_seat()
        self._save_shown(conversation)
        if self.operator is not None:
            self.operator.peer_presence()
        self._changed()

    def attach(self, operator: ConsoleSession, handle: str) -> None:
        """A console takes over the operator's side; its user is called `handle`."""
        old, self.operator, self.handle = self.operator, operator, handle
        log.info("console: %s attached", operator.user)
        if old is not None:
            old.taken_over(operator.user)
        self._tell_presence(wire.Here(self.handle))
        self._changed()

    def detach(self, operator: ConsoleSession) -> None:
        """A console's link is gone."""
        if self.operator is not operator:
            return
        self.operator = None
        log.info("console: %s detached", operator.user)
        if self.conversation is not None:
            self._save_shown(self.conversation)
        self._tell_presence(wire.Away())
        self._changed()

    def stop(self) -> None:
        """The daemon stops: both ends are told. A classic peer's conversation ends with it."""
        conversation = self.conversation
        if conversation is not None:
            try:
                if conversation.classic:
                    self.end_conversation("the daemon was stopped", "the daemon's stop")
                else:
                    self.journal.save_shown(conversation)
            except JournalError as error:
                log.error("%s", error)
        words = "The daemon is stopping. The conversation is kept, and goes on when it is back."
        for endpoint in (self.peer, self.operator, *self.greeted):
            if endpoint is not None:
                endpoint.connection.close([wire.Error("stopping", words)])

    def prune(self) -> None:
        """Removes conversations that ended longer ago than `keep` says."""
        if (days := self.settings.keep_days) is None:
            return
        try:
            if removed := self.journal.prune(self.now() - timedelta(days=days)):
                log.info("Removed %d conversations that ended more than %d days ago", removed, days)
        except JournalError as error:
            self.journal_failed(error)

    def reload(self, settings: Settings, fingerprint: str) -> None:
        """Takes over what can change while the line runs."""
        self.fingerprint = fingerprint
        if settings.handle is not None and settings.handle != self.settings.handle:
            self.handle = settings.handle
        self.settings = settings
        self.prune()

    # -------------------------------------------------------------- inside

    def _abandon(self) -> None:
        """The seat goes to somebody else: the peer that did not come back has lost its conversation."""
        if self.conversation is not None:
            self.end_conversation("the connection was lost, and somebody else has called since", "a new caller")

    def _keep_seat(self) -> None:
        self._seat_kept_until = asyncio.get_running_loop().time() + self.settings.grace

    def _tell(self, frame: wire.Notice) -> None:
        for endpoint in (self.peer, self.operator):
            if endpoint is not None:
                endpoint.connection.send([frame])

    def _tell_presence(self, frame: wire.Away | wire.Here) -> None:
        for caller in (self.peer, *self.greeted):
            if caller is not None:
                caller.connection.send([frame])

    def _save_shown(self, conversation: Conversation) -> None:
        try:
            self.journal.save_shown(conversation)
        except JournalError as error:
            self.journal_failed(error)


def mark_shown(conversation: Conversation, role: Role, count: int) -> bool:
    """Notes an ack of an end; whether it says anything new. Raises ProtocolError for more than was said."""
    check_count(conversation.ledger, role.other, count)
    new = count > conversation.shown[role]
    if new:
        conversation.shown[role] = count
    return new


def check_count(ledger: TurnState, role: Role, count: int) -> None:
    """Raises ProtocolError when an end speaks of more messages of `role` than there are."""
    said = ledger.count(role)
    if count > said:
        raise ProtocolError("ack", f"{count} messages cannot have arrived: {said} were sent.")
