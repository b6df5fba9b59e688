"""The rules of a conversation, without IO, clocks or screens (docs/protocol.md, "A conversation").

`Endpoint` is one end with a user at it, for both roles: the peer's client and the operator's console
differ in who must speak first and in who starts the conversation, and in nothing else.

    say()      what the user typed          -> Said or Held, or raises Refused
    take_back()  own texts that nobody will confirm any more
    receive()  a frame from the link        -> the events a user has to see
    greet()    a link is up: what to say first        lost()  the link is gone
    frames()   what has to be sent now, in order (empties the list)

Every method that can lead to sending leaves the frames in `frames()`; whoever drives the endpoint
fetches them after each call. "Connected" is never saved: a conversation outlives its links, and
what was sent and not acked waits in the outbox for the next one.
"""

from __future__ import annotations

from collections import deque

from pychat_client.errors import NotAllowedError, ProtocolError
from pychat_client.protocol import wire
from pychat_client.protocol.events import (
    Connected,
    Ended,
    Event,
    Leftovers,
    MessageQueued,
    MessageShown,
    Notice,
    Presence,
    RemoteError,
    Renamed,
    TextsReturned,
)
from pychat_client.protocol.turns import Role, Turns, TurnState
from pychat_client.text import check_message, check_room

OUTBOX_MAX = 100
"""Messages that may be on their way unacked; further ones are held, so that a slow link is not flooded."""

HELD_MAX = 100
"""Messages typed early that may wait for their turn; more is a paste gone wrong, not a conversation."""


class Endpoint:
    """One end of a conversation, with a user at it."""

    def __init__(
        self, role: Role, handle: str, turns: Turns = Turns.ALTERNATE, console: str | None = None
    ) -> None:
        """console: the id of an operator's program, by which the daemon knows its messages from another's."""
        self.role = role
        self.handle = handle
        self._console = console
        self._calls = 0  # how often a link has come up
        self.handle_is_default = False  # operator only: the daemon may know a better handle
        self.take_over = False  # operator only: displace the console that is attached
        self.ready = False  # what there is to know of before has been told
        self.retention: str | None = None  # how long the daemon keeps what is said
        self.classic = False  # the other end is a classic program: it tells nothing, and resumes nothing
        self.max_text_bytes: int | None = None  # bytes of text that it takes at once
        self._frames: list[wire.Frame] = []
        self._connected = False  # the other end has said hello on this link
        self._synced = False  # and the counts agree, so that what is said can be sent at once
        self._reset(turns)

    def _reset(self, turns: Turns) -> None:
        """No conversation yet."""
        self.turns = turns
        self.other_handle = ""  # the other side's handle
        self.session: str | None = None
        self.stored_count = 0  # own messages acked: the daemon has them for good
        self.read_count = 0  # own messages shown to the other user
        self.received_count = 0  # the other's messages
        self.other_present = True
        self.ended = False
        self._quit: wire.Quit | None = None  # what this user said to end it
        self.outbox: deque[str] = deque()  # own messages stored+1, stored+2, ... not acked yet
        self._transmitted = 0  # so many of them, from the first, were given to a link: they may have arrived
        self._own_stored = 0  # own messages of this program that are known to be stored
        self.held: deque[str] = deque()
        self._acked = 0  # how many of `received` we have acked
        self._replay_until = 0  # own messages the daemon is about to repeat to us (operator)
        self._time: wire.Timestamp | None = None

    # -------------------------------------------------------------- what can be asked

    @property
    def sent_count(self) -> int:
        """Own messages that have their number: stored, or on their way."""
        return self.stored_count + len(self.outbox)

    @property
    def is_open(self) -> bool:
        """Whether a first message has been said and no quit."""
        return not self.ended and self.sent_count + self.received_count > 0

    @property
    def unread_count(self) -> int:
        """Own messages that are stored, and not shown to the other user as far as is known here."""
        return 0 if self.classic else self.stored_count - self.read_count

    @property
    def quit_unconfirmed(self) -> bool:
        """Whether the operator has ended the conversation, and the daemon has not said yet that it is over."""
        return self.role is Role.OPERATOR and self._quit is not None

    @property
    def my_turn(self) -> bool:
        """Whether the rules let this user speak now (the link may be down)."""
        return not self.ended and self._ledger().may_speak(self.role)

    def _ledger(self) -> TurnState:
        if self.role is Role.PEER:
            return TurnState(self.turns, self.sent_count, self.received_count)
        return TurnState(self.turns, self.received_count, self.sent_count)

    def _can_send_now(self) -> bool:
        """Whether a message can get its number: its turn, in a conversation whose counts we know."""
        return (
            self.my_turn
            and self.session is not None
            and self.stored_count >= self._replay_until
            and len(self.outbox) < OUTBOX_MAX
        )

    # -------------------------------------------------------------- from the user

    def validate(self, text: str) -> str:
        """The text as it would be sent. Raises MessageError or NotAllowedError; changes nothing."""
        message = check_message(text)
        if self.role is Role.OPERATOR and not self.is_open:
            raise NotAllowedError("Not sent: the caller has to send the first message.")
        if self.ended:
            raise NotAllowedError("Not sent: the conversation is over.")
        check_room(message, self.max_text_bytes)
        if not self._can_send_now() and len(self.held) >= HELD_MAX:
            raise NotAllowedError(f"Not sent: {HELD_MAX} messages are waiting for their turn already.")
        return message

    def say(self, text: str) -> MessageShown | MessageQueued:
        """Sends `text`, or holds it until its turn. Raises MessageError or NotAllowedError, text unused."""
        return self.send(self.validate(text))

    def send(self, message: str) -> MessageShown | MessageQueued:
        """Sends a message that `validate` has returned just now, or holds it until its turn."""
        if self.held or not self._can_send_now():
            self.held.append(message)
            return MessageQueued(message)
        return self._send(message)

    def recall(self) -> str | None:
        """Takes the newest held message back; None when nothing is held."""
        return self.held.pop() if self.held else None

    def quit(self, reason: str = "") -> Ended:
        """Ends the conversation from this side. What is on its way may still be acked; ask `take_back` when
        the link has closed. A console without a link waits for no ack: all is given back at once."""
        self.ended = True
        self._quit = wire.Quit(reason)
        if self._connected:
            self._frames.append(self._quit)
        if self.role is Role.OPERATOR and not self._synced:
            left = self.take_back()
        else:
            left = Leftovers(not_sent=tuple(self.held))
            self.held.clear()
        return Ended(self.other_handle, False, reason, left)

    def take_back(self) -> Leftovers:
        """Own texts that were not stored as far as is known here, given back for good."""
        outbox = tuple(self.outbox)
        left = Leftovers((*outbox[self._transmitted :], *self.held), outbox[: self._transmitted])
        self.outbox.clear()
        self.held.clear()
        self._transmitted = 0
        return left

    # -------------------------------------------------------------- from the link

    def greet(self) -> None:
        """A link is up: leaves this end's hello."""
        self._calls += 1
        resume = self.session if not self.ended or self._quit is not None else None
        self._frames = [
            wire.Hello(
                wire.VERSION,
                self.handle,
                session=resume,
                got=self.received_count if resume else None,
                sent=self.stored_count if resume and self.role is Role.OPERATOR else None,
                call=self._calls if self.role is Role.PEER else None,
                console=self._console,
                suggested=self.handle_is_default,
                take=self.take_over,
            )
        ]

    def connection_lost(self) -> None:
        """The link is gone; the conversation is not."""
        self._connected = self._synced = False
        self._frames = []
        self._time = None

    def mark_displayed(self) -> None:
        """The user has seen all that was received: leaves the ack for it."""
        if self._acked < self.received_count:
            self._acked = self.received_count
            if self._connected:
                self._frames.append(wire.Ack(self.received_count))

    def take_frames(self) -> list[wire.Frame]:
        """What has to be sent now, in order; the list is handed over."""
        frames, self._frames = self._frames, []
        return frames

    def receive(self, frame: wire.Frame) -> list[Event]:  # noqa: PLR0912 -- a table, a line or two a frame
        """The events that `frame` leads to. Raises ProtocolError when the daemon broke a rule."""
        match frame:
            case wire.Message():
                return self._on_message(frame)
            case wire.Ack(count):
                self._on_ack(count)
                return self._release()
            case wire.Stored(count):
                self._on_stored(count)
            case wire.Read(count):
                self.read_count = max(self.read_count, min(count, max(self.sent_count, self._replay_until)))
            case wire.Timestamp():
                self._time = frame
            case wire.Hello():
                return self._on_hello(frame)
            case wire.Peer() if self.role is Role.OPERATOR:
                return self._on_peer(frame)
            case wire.Away():
                return self._on_presence(here=False)
            case wire.Here(handle):
                renamed = self._update_other_handle(
                    handle or self.other_handle
                )  # who comes may be somebody else: no other name
                return [*(renamed if self.other_present else []), *self._on_presence(here=True)]
            case wire.Quit(reason) if not self.ended:
                self.ended = True
                return [self._ended_by_other(reason)]
            case wire.Quit():
                self._quit = None  # it has arrived, or crossed the other's
                self._transmitted = 0
                return self._returned() if self.role is Role.OPERATOR else []
            case wire.Ready():
                self.ready = True
            case wire.Busy(words):
                self._transmitted = 0  # what a caller says that is sent away is not stored
                return [RemoteError("busy", words)]
            case wire.Error(code, words):
                return [RemoteError(code, words)]
            case wire.Notice(words):
                return [Notice(words)]
            case _:  # signs are for chat; pings for link; and what a later version may send
                pass
        return []

    # -------------------------------------------------------------- one frame each

    def _on_hello(self, hello: wire.Hello) -> list[Event]:
        if self._connected:
            raise ProtocolError("hello", "There has been a hello already.")
        if hello.version != wire.VERSION:
            raise ProtocolError("version", f"The other side speaks version {hello.version}, not {wire.VERSION}.")
        self._connected, self.other_present = True, True
        self.retention = hello.keep
        if self.role is Role.OPERATOR:  # the conversation follows with \peer, if there is one
            self.handle, self.handle_is_default, self.take_over = hello.handle, False, False
            return []
        self._synced = True
        if self.ended:
            self._drop_acked(hello.got or 0 if hello.session == self.session else 0)
            self._frames += [] if self._quit is None else [self._quit]
            return []
        if hello.session is None:
            raise ProtocolError("hello", "The daemon's hello names no session.")
        known = self.session
        resumed = known is not None and hello.session == known and (hello.got or 0) >= self.stored_count
        if known is not None and not resumed and self.stored_count + self.received_count > 0:
            self.ended = True
            reason = "The other side does not know this conversation any more."
            return [Ended(self.other_handle, True, reason, self.take_back())]
        self.session = hello.session
        if not (resumed and self.is_open):  # who is there now is told by what follows; perhaps it is nobody
            self.other_handle = hello.handle
        self.turns = _turns(hello.turns)
        self._drop_acked(hello.got or 0)
        self.ready = True
        met = Connected(self.other_handle, resumed and self.is_open)
        return [met, *self._resend()]

    def _on_peer(self, peer: wire.Peer) -> list[Event]:
        events: list[Event] = []
        if self._quit is not None and peer.session == self.session:
            self._frames += [wire.Ack(self.received_count), self._quit]  # said while there was no link
            return []
        same = peer.session == self.session and not self.ended
        resumed = same and (peer.heard, peer.told) == (self.received_count, self.stored_count)
        if not resumed:
            if self.outbox or self.held:
                events.append(Ended(self.other_handle, True, "it was over while we were away", self.take_back()))
            self._reset(_turns(peer.turns))
        self.session, self.other_handle, self.turns = peer.session, peer.handle, _turns(peer.turns)
        self._synced = False
        self.received_count, self.stored_count, self._replay_until = peer.heard, peer.told, peer.got
        self.classic, self.max_text_bytes = peer.classic, peer.room
        self._acked = self.received_count
        self._frames.append(wire.Ack(self.received_count))  # tells the daemon which conversation our words are for
        self.other_present = True
        return [*events, Connected(peer.handle, resumed, peer), *self._resend()]

    def _on_message(self, message: wire.Message) -> list[Event]:
        # Also after this user's quit: what was stored before the quit arrived is shown.
        at, self._time = self._time, None
        time = None if at is None else at.time
        if at is not None and at.own:
            return self._on_own(message, at)
        # What was said some time ago does not tell what an operator is called now.
        renamed = self._update_other_handle(message.handle) if time is None or self.role is Role.OPERATOR else []
        self.received_count += 1  # whether it was their turn is for the daemon to say, and it has said yes
        return [*renamed, MessageShown(message, False, time), *self._release()]

    def _on_own(self, message: wire.Message, at: wire.Timestamp) -> list[Event]:
        """The daemon repeats an operator's message: sent from here and not acked, or by another console."""
        shown: list[Event] = []
        if at.mine and self.outbox:
            self._confirm_next()
        else:
            self.stored_count += 1
            shown.append(MessageShown(message, True, at.time))
        return [*shown, *self._resend()] if self.stored_count == self._replay_until else shown

    def _update_other_handle(self, handle: str) -> list[Event]:
        """The other side's handle as it is now: another console, say, has set another one."""
        old, self.other_handle = self.other_handle, handle
        # A classic program has none until it has said something.
        return [Renamed(old, handle)] if old not in ("", handle) and not self.classic else []

    def _on_presence(self, *, here: bool) -> list[Event]:
        changed = here is not self.other_present
        self.other_present = here
        return [Presence(here)] if changed else []

    def _on_ack(self, count: int) -> None:
        if count > self.sent_count:
            raise ProtocolError("ack", f"{count} messages were acked, and {self.sent_count} were sent.")
        self._drop_acked(count)

    # -------------------------------------------------------------- sending

    def _drop_acked(self, count: int) -> None:
        if count > self.sent_count:
            raise ProtocolError("ack", f"The other side has {count} messages, and {self.sent_count} were sent.")
        while self.stored_count < count:
            self._confirm_next()

    def _on_stored(self, count: int) -> None:
        """This console is refused: so many of its messages are stored, and the others are not."""
        while self.outbox and self._own_stored < count:
            self._confirm_next()
        self._transmitted = 0
        self._synced = False  # the daemon reads nothing more: what is said from now on is not sent

    def _confirm_next(self) -> None:
        """The first message of the outbox is stored."""
        self.outbox.popleft()
        self.stored_count += 1
        self._own_stored += 1
        self._transmitted = max(self._transmitted - 1, 0)

    def _ended_by_other(self, reason: str) -> Ended:
        """The daemon says that it is over. It acks in order, so what is not acked by now is not stored."""
        self._transmitted = 0
        return Ended(self.other_handle, True, reason, self.take_back(), self.unread_count)

    def _returned(self) -> list[Event]:
        left = self.take_back()
        return [TextsReturned(left)] if left != Leftovers() else []

    def _resend(self) -> list[Event]:
        """After a resume, once the counts agree: the outbox again, then what was held."""
        if self.stored_count < self._replay_until:
            return []
        self._synced = True
        waiting = self._requeue()
        self._transmitted = len(self.outbox)
        self._frames += [wire.Message(self.handle, text) for text in self.outbox]
        return [*waiting, *self._release()]

    def _requeue(self) -> list[Event]:
        """Another console has spoken meanwhile: what is out of turn now waits with the held ones."""
        waiting, self.outbox = self.outbox, deque()
        while waiting and self.my_turn:
            self.outbox.append(waiting.popleft())
        self.held.extendleft(reversed(waiting))
        return [MessageQueued(text) for text in waiting]

    def _release(self) -> list[Event]:
        """Held messages whose turn has come."""
        events: list[Event] = []
        while self.held and self._can_send_now():
            events.append(self._send(self.held.popleft()))
        return events

    def _send(self, text: str) -> MessageShown:
        self.outbox.append(text)
        message = wire.Message(self.handle, text)
        if self._synced:
            self._transmitted = len(self.outbox)
            self._frames.append(message)
        return MessageShown(message, True)


def _turns(word: str | None) -> Turns:
    try:
        return Turns(word or "alternate")
    except ValueError:
        raise ProtocolError("syntax", "Turns are 'alternate' or 'free'.") from None
