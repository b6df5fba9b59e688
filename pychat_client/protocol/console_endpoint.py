"""The operator's end of a conversation: what differs from the caller's (docs/protocol.md, "Console and daemon").

The operator cannot speak first, and can have several consoles, one after the other. So the daemon tells a console
which conversation goes on, and repeats the operator's own messages to it as well.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import ClassVar

from pychat_client.errors import NotAllowedError
from pychat_client.protocol import grammar, wire
from pychat_client.protocol.endpoint import Endpoint
from pychat_client.protocol.events import (
    Calling,
    Connected,
    EndConfirmed,
    Ended,
    EndedBy,
    Event,
    Leftovers,
    MessageShown,
    MissedCall,
    Overtaken,
)
from pychat_client.protocol.phase import Phase, Trigger
from pychat_client.protocol.saved import REPEATED, SavedEndpoint
from pychat_client.protocol.turns import Role, Turns, TurnState
from pychat_client.text import printable


class ConsoleEndpoint(Endpoint):
    """The operator's end of a conversation."""

    role: ClassVar[Role] = Role.OPERATOR

    def __init__(
        self,
        handle: str,
        *,
        console: str | None = None,
        handle_is_default: bool = False,
        take_over: bool = False,
        saved: SavedEndpoint | None = None,
        repeat: int = REPEATED,
        calls: int = 0,
        quiet: bool = False,
        live: bool = False,
    ) -> None:
        """console: the id by which the daemon knows the messages of this program; handle_is_default: a handle
        that the daemon is configured with goes before this one; take_over: take the place of the console that is
        attached; saved: goes on where an earlier program was; repeat: how many messages it then shows again;
        calls: its calls then have numbers higher than this and than the earlier program's; quiet: this user
        sends no signs of typing and no read marks; live: this user wants live typing."""
        super().__init__(handle, saved=saved, repeat=repeat, calls=calls, quiet=quiet, live=live)
        self.handle_is_default = handle_is_default and saved is None
        self.take_over = take_over
        self._console = console
        self.calling: wire.Calling | None = None  # who has not sent the first message yet
        self._since: datetime | None = None  # when the conversation began: another journal has the same numbers
        self._caller_is_classic = False  # confirmations come from the daemon all the same
        self._current: int | None = None  # the conversation that the daemon tells of on this connection
        if saved is not None:
            self._console = saved.console
            self.session = None if saved.session is None else int(saved.session)
            self._since = None if saved.since is None else grammar.time(saved.since)

    def _start_conversation(self, turns: Turns, received: int = 0, stored: int = 0) -> None:
        super()._start_conversation(turns, received, stored)
        self._replay_until = stored  # own messages that the daemon has, and repeats

    # -------------------------------------------------------------- what can be asked

    @property
    def other_is_classic(self) -> bool:
        return self._caller_is_classic

    @property
    def _is_replaying(self) -> bool:
        """Whether the daemon still has to repeat own messages."""
        return self.stored_count < self._replay_until

    def _turn_state(self) -> TurnState:
        return TurnState(self.turns, peer=self.received_count, operator=self.sent_count)

    def _can_send_now(self) -> bool:
        return super()._can_send_now() and not self._is_replaying

    def saved(self) -> SavedEndpoint | None:
        saved = super().saved()
        since = None if self._since is None else grammar.timestamp(self._since)
        return None if saved is None else replace(saved, console=self._console, since=since)

    # -------------------------------------------------------------- from the user

    def _check_open(self) -> None:
        if not self.is_open:
            raise NotAllowedError("Not sent: the caller has to send the first message.")
        call = self.calling
        if call is not None and not call.silent and not self.other.present:
            caller, other = printable(call.handle), printable(self.other.handle)
            raise NotAllowedError(
                f"Not sent: it would go to {other}, who is away. {caller} is calling: wait for the first message."
            )

    def _leftovers_at_quit(self) -> Leftovers:
        """Only where messages are on their way can acks still come."""
        acks_can_come = self._phase in (Phase.MET, Phase.LEFT) and not self._is_replaying
        return super()._leftovers_at_quit() if acks_can_come else self.take_back()

    # -------------------------------------------------------------- from the connection

    def _hello(self) -> wire.Hello:
        session = self._session_to_resume()
        return wire.Hello(
            wire.VERSION,
            self.handle,
            session=session,
            got=None if session is None else self.received_count,
            sent=None if session is None else self.stored_count,
            after=None if session is None else self._told,
            call=self._calls,
            console=self._console,
            since=None if session is None else self._since,
            suggested=self.handle_is_default,
            take=self.take_over,
            quiet=self.quiet,
            live=self.live,
        )

    def receive(self, frame: wire.Frame) -> list[Event]:
        match frame:
            case wire.Peer():
                return self._on_peer(frame)
            case wire.Calling():
                return self._on_calling(frame)
            case wire.Missed():
                return self._on_missed(frame, self._take_time())
            case wire.Here(handle, address=str(address), room=room):
                self.max_text_bytes = room
                self._forget_call(handle, address)
                return super().receive(frame)
            case wire.Stored(count, digest):
                # If these are other messages, all texts stay as they are, and the next `\peer` settles it.
                if self._outbox.agrees(count - self._outbox.stored_from_here, digest):
                    self._outbox.confirm_from_here(count)
                self._advance(Trigger.REFUSE)
            case _:
                return super().receive(frame)
        return []

    def _on_answer(self, hello: wire.Hello) -> list[Event]:
        """The conversation follows with `\\peer`, if there is one."""
        self.handle, self.handle_is_default, self.take_over = hello.handle, False, False
        return []

    def connection_lost(self) -> None:
        super().connection_lost()
        self.calling = self._current = None

    def _on_calling(self, call: wire.Calling) -> list[Event]:
        """The same caller may call again, over a new connection. Of one that says nothing, the daemon tells again
        when the seat has become free."""
        before, self.calling = self.calling, call
        known = before is not None and not call.silent and before.handle == call.handle
        return [] if known else [Calling(call.handle, call.address, call.silent)]

    def _forget_call(self, handle: str, address: str) -> None:
        """This caller takes part in a conversation."""
        if self.calling is not None and (handle == self.calling.handle or address == self.calling.address):
            self.calling = None

    def _on_missed(self, call: wire.Missed, at: wire.Timestamp | None) -> list[Event]:
        if at is None and self.calling is not None and call.address == self.calling.address:
            self.calling = None  # otherwise it is about an earlier caller
        return [MissedCall(call.handle, call.address, None if at is None else at.time, call.name, call.back)]

    def _on_ready(self) -> list[Event]:
        """The daemon has told all. If it has named no conversation, it does not have this one any more."""
        is_over = self.ended and not self._phase.is_left
        gone = self.session is not None and self._current is None and not is_over
        return [*(self._on_gone() if gone else []), *super()._on_ready()]

    def _on_gone(self) -> list[Event]:
        """What was sent may have been stored: only the daemon could have told."""
        left_before = self.ended
        self._advance(Trigger.OTHER_QUIT)
        if left_before:
            return self._on_quit_confirmed()
        return [Ended(self.other.handle, EndedBy.SERVICE, self._why_missing("the journal"), self.take_back())]

    def _on_peer(self, peer: wire.Peer) -> list[Event]:
        self._current = peer.session
        self._forget_call(peer.handle, peer.address)
        same = peer.session == self.session and self._since in (None, peer.since)
        if self._phase.is_left and same:  # the user has quit without a connection
            self._frames += [wire.Ack(self.received_count), wire.Quit(self._quit_reason)]
            return self._compare(peer) if self.leftovers() != Leftovers() else []
        counts = (self.received_count, self.stored_count)
        resumed = not self.ended and same and (peer.heard, peer.told) == counts
        lost = self._compare(peer) if resumed else self._start_another(peer)
        self._advance(Trigger.MEET)
        self.session, self._since, self.turns = peer.session, peer.since, peer.turns
        self.other = replace(self.other, handle=peer.handle, present=True)
        self._caller_is_classic, self.max_text_bytes = peer.classic, peer.room
        self._replay_until = peer.got
        if not self._begin_repetition(peer.after):
            self._told = None
        self._frames.append(wire.Ack(self.received_count))  # what follows is for this conversation
        known = [Connected(peer.handle, resumed, peer), *self._on_quiet(peer.quiet)]
        return [*lost, *known, *([] if self._is_replaying else self._resend())]

    def _compare(self, peer: wire.Peer) -> list[Event]:
        """Gives all texts back if the daemon has messages of this console that are not from here. Not while it
        repeats messages and none is on its way: this console has been told of those on the connection before."""
        told = self._is_replaying and not self.unacked
        if told or self._outbox.agrees(peer.mine or 0, peer.digest):
            return []
        return [Overtaken(self._outbox.overtaken(self.stored_count))]

    def _start_another(self, peer: wire.Peer) -> list[Event]:
        """Begins where the daemon begins to tell; gives back the texts that were for the conversation before. A
        journal that was replaced may have another one with its number, or less of it."""
        left, reason = self.take_back(), "it was over when this console connected again"
        other_journal = peer.session == self.session and self._since not in (None, peer.since)
        if other_journal:
            reason = self._why_missing("the journal")
        elif peer.session == self.session and not self.ended:
            reason = "the journal lacks messages of it"
        ended = Ended(self.other.handle, EndedBy.SERVICE, reason, left)
        self._start_conversation(peer.turns, received=peer.heard, stored=peer.told)
        return [ended] if (other_journal and not self.ended) or left != Leftovers() else []

    def _on_message(self, message: wire.Message, at: wire.Timestamp | None) -> list[Event]:
        if at is not None and at.again:
            return super()._on_message(message, at)
        if at is not None and at.own:
            return self._on_own(message, at)
        renamed = self._rename_other(message.handle)  # a caller keeps the same handle, unlike a console
        return [*renamed, *super()._on_message(message, at)]

    def _on_own(self, message: wire.Message, at: wire.Timestamp) -> list[Event]:
        """The daemon repeats an own message: one that this console has sent and that was not acked, or another
        console's."""
        known = at.mine and bool(self.unacked)
        if known:
            self._outbox.confirm_next()
        else:
            self._outbox.count_repeated(from_here=at.mine)
        shown: list[Event] = [] if known and not self.is_returning else [MessageShown(message, True, at.time)]
        if self._is_replaying or self.ended:  # after this user's quit, what is not repeated is not sent again
            return shown
        return [*shown, *self._resend()]

    def _on_quit_confirmed(self) -> list[Event]:
        left, unread = self.take_back(), 0 if self.other.present else self.unread_count
        return [EndConfirmed(self.other.handle, left, unread)] if unread or left != Leftovers() else []
