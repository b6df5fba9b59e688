"""One end of a conversation with a user at it, without I/O, clock or screen (docs/protocol.md, "A conversation").

`Endpoint` has what both ends share, and the caller's half. `console_endpoint` adds the operator's half.

    greet()            there is a connection: this end says hello
    receive(frame)     a frame has arrived; returns the events that the user has to see
    connection_lost()  the connection is lost; the conversation is not
    validate(text)     the user has typed a text: what is sent of it; or it is refused by an exception
    send(message)      sends that, or holds it until its turn
    quit(reason)       the user ends the conversation
    take_back()        gives the user back the texts that are not stored
    saved()            what another program needs to go on, if this one dies
    take_frames()      the frames to send now, in order; call it after each of the others

A conversation outlives its connections. A message that the daemon has not acked is sent again on the next one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

from pychat_client.errors import NotAllowedError, ProtocolError
from pychat_client.phrases import of_whose
from pychat_client.protocol import wire
from pychat_client.protocol.events import (
    Connected,
    Ended,
    EndedBy,
    Event,
    Leftovers,
    MessageQueued,
    MessageShown,
    Notice,
    Overtaken,
    OvertakenHere,
    Presence,
    RemoteError,
    Renamed,
    SignsOff,
    WentBack,
)
from pychat_client.protocol.outbox import HELD_MAX, Outbox
from pychat_client.protocol.phase import Phase, Trigger, next_phase
from pychat_client.protocol.saved import REPEATED, SavedEndpoint
from pychat_client.protocol.turns import Role, Turns, TurnState
from pychat_client.records import record
from pychat_client.text import check_message, check_room


@record
class Credentials:
    """What the hello says of this user's certificate and invitation. The words are those of `wire.Hello`."""

    proof: str | None = None
    invite: str | None = None
    certificate: str | None = None


@record
class OtherUser:
    """The user at the other end, as far as this end knows."""

    handle: str = ""
    present: bool = True
    away_words: str = ""  # that callers read while this user is away
    quiet: bool = False  # sends no signs of typing and no read marks
    live: bool = False  # wants live typing


class Endpoint:
    """The caller's end of a conversation; ConsoleEndpoint is the operator's."""

    role: ClassVar[Role] = Role.PEER

    def __init__(
        self,
        handle: str,
        *,
        classic_server: bool = False,
        max_text_bytes: int | None = None,
        saved: SavedEndpoint | None = None,
        repeat: int = REPEATED,
        calls: int = 0,
        credentials: Credentials | None = None,
        quiet: bool = False,
        live: bool = False,
    ) -> None:
        """classic_server: this program calls a classic server, which confirms nothing and resumes nothing;
        max_text_bytes: the bytes of a text that it takes, None for any number; saved: goes on where an earlier
        program was; repeat: how many messages it then shows again; calls: its calls then have numbers
        higher than this and than the earlier program's; credentials: what the daemon can ask for; quiet: this user
        sends no signs of typing and no read marks; live: this user wants live typing."""
        self.handle = handle
        self.quiet = quiet
        self.credentials = Credentials() if credentials is None else credentials
        self.invited_as: str | None = None  # the name under which the daemon knows this user since an invitation
        self.calls_classic_server = classic_server
        self.max_text_bytes = max_text_bytes
        self.live = live
        self._live_said = live  # to the daemon, on this connection
        self.other = OtherUser()
        self.ready = False  # the daemon has sent all that happened before: what follows happens now
        self.retention: str | None = None  # how long the daemon keeps the messages
        self._phase = Phase.OFFLINE
        self._calls = 0  # the number of the newest call
        self._frames: list[wire.Frame] = []
        self._told: int | None = None  # messages that a new program needs not be told again; None when it has all
        self._skipped = 0  # counted messages behind these that it does not show
        self._unshown: list[Event] = []  # what a new program shows behind the messages that are repeated
        self._start_conversation(Turns.ALTERNATE)
        if saved is not None:
            self._restore(saved, repeat, calls)

    def _start_conversation(self, turns: Turns, received: int = 0, stored: int = 0) -> None:
        """Begins anew with the counts of messages that the daemon has already."""
        self.turns = turns
        self.session: str | int | None = None  # a peer's token, or the number of a console's conversation
        self.other = OtherUser(live=self.other.live)
        self.received_count = received
        self._outbox = Outbox(stored)
        self._displayed_count = received  # received messages that the user has seen
        self._time: wire.Timestamp | None = None  # of the next message
        self._quit_reason = ""

    def _restore(self, saved: SavedEndpoint, repeat: int, calls: int) -> None:
        self.handle, self.other = saved.handle, OtherUser(saved.other_handle)
        self.turns, self.session = saved.turns, saved.session
        self._calls = saved.calls if saved.session is None else max(saved.calls, calls)
        self.received_count = self._displayed_count = saved.received
        self._outbox = Outbox.restored(saved)
        if saved.session is not None and not saved.left:
            self._told = max(saved.received + saved.stored - repeat, 0)
        if saved.left:
            self._quit_reason = saved.reason
            self._advance(Trigger.QUIT)

    # -------------------------------------------------------------- what can be asked

    @property
    def phase(self) -> Phase:
        return self._phase

    @property
    def ended(self) -> bool:
        """Whether either side has ended the conversation."""
        return self._phase.has_ended

    @property
    def is_open(self) -> bool:
        """Whether a first message has been said and no quit."""
        return not self.ended and self.sent_count + self.received_count > 0

    @property
    def my_turn(self) -> bool:
        """Whether the rules let this user speak now, with a connection or without."""
        return not self.ended and self._turn_state().may_speak(self.role)

    @property
    def can_go_on(self) -> bool:
        """Whether the daemon has this conversation, or may have it, so that another program can go on with it."""
        begun = self.stored_count + self.received_count + self._outbox.transmitted > 0
        return self.session is not None and begun and not self.ended and not self.calls_classic_server

    @property
    def other_is_classic(self) -> bool:
        """Whether the other user's program is a classic one, which tells nothing of its user."""
        return self.calls_classic_server

    @property
    def owes_quit(self) -> bool:
        """Whether this user has ended a conversation that the daemon has, and that does not know it yet."""
        told = self.stored_count + self.received_count > 0
        return self._phase.is_left and told and not self.calls_classic_server

    @property
    def is_returning(self) -> bool:
        """Whether this is a new program that the daemon has not told yet what was said before."""
        return self._told is not None

    @property
    def held(self) -> deque[str]:
        """Own texts that wait for their turn."""
        return self._outbox.held

    @property
    def unacked(self) -> deque[str]:
        """Own messages that are not acked yet."""
        return self._outbox.unacked

    @property
    def sent_count(self) -> int:
        """Own messages that have their number: stored or not acked yet."""
        return self._outbox.sent

    @property
    def stored_count(self) -> int:
        """Own messages that the daemon has stored."""
        return self._outbox.stored

    @property
    def read_count(self) -> int:
        """Own messages that the other user has seen."""
        return self._outbox.read

    @property
    def unread_count(self) -> int:
        """Own messages that are stored, and that the other user has not seen as far as this end knows."""
        return 0 if self.other_is_classic or self.other.quiet else self.stored_count - self.read_count

    @property
    def is_watched(self) -> bool:
        """Whether the other user sees what this one types, and the other way round."""
        return self.live and self.other.live and self.is_open and self.other.present

    def _turn_state(self) -> TurnState:
        return TurnState(self.turns, peer=self.sent_count, operator=self.received_count)

    def _can_send_now(self) -> bool:
        """Whether a text can get its number now."""
        return self.my_turn and self.session is not None and not self._outbox.is_full

    def saved(self) -> SavedEndpoint | None:
        """What another program needs to go on from here; None if there is nothing to go on with."""
        over = self.ended and not self._phase.is_left
        if self.calls_classic_server or over or not (self.sent_count + self.received_count or self.held):
            return None
        return SavedEndpoint(
            self.handle,
            self.other.handle,
            session=None if self.session is None else str(self.session),
            turns=self.turns,
            calls=self._calls,
            received=self._displayed_count,  # the next program shows the others
            left=self._phase.is_left,
            reason=self._quit_reason,
            **self._outbox.saved(),
        )

    # -------------------------------------------------------------- from the user

    def validate(self, text: str) -> str:
        """The text as it would be sent. Raises MessageError or NotAllowedError. Changes nothing."""
        message = check_message(text)
        self._check_open()
        check_room(message, self.max_text_bytes)
        if not self._outbox.can_hold and not self._can_send_now():
            raise NotAllowedError(f"Not sent: {HELD_MAX} messages already wait for your turn.")
        return message

    def _check_open(self) -> None:
        if self.ended:
            raise NotAllowedError("Not sent: the conversation is over.")

    def send(self, message: str) -> MessageShown | MessageQueued:
        """Sends a message that `validate` has returned just now, or holds it until its turn."""
        if self.held or self.is_returning or not self._can_send_now():
            self._outbox.hold(message)
            return MessageQueued(message)
        return self._send(message)

    def recall(self) -> str | None:
        """Takes the newest held text back; None when nothing is held."""
        return self._outbox.recall()

    def set_live(self, wanted: bool) -> None:
        """This user wants live typing from now on, or does not."""
        self.live = wanted
        self._say_live()

    def _say_live(self) -> None:
        if self._phase.is_greeted and self._live_said is not self.live:
            self._live_said = self.live
            self._frames.append(wire.Live(self.live))

    def quit(self, reason: str = "") -> Ended:
        """Ends the conversation. The daemon can still ack what was sent before; call `take_back` when the
        connection is closed."""
        self._quit_reason, self._told = reason, None
        left = self._leftovers_at_quit()
        self._advance(Trigger.QUIT)
        if self._phase.is_greeted:
            self._frames.append(wire.Quit(reason))
        return Ended(self.other.handle, EndedBy.YOU, reason, left)

    def _leftovers_at_quit(self) -> Leftovers:
        return self._outbox.give_back_held()

    def leftovers(self) -> Leftovers:
        """Own texts that are not stored as far as this end knows."""
        return self._outbox.leftovers()

    def take_back(self) -> Leftovers:
        """The same, given back for good."""
        return self._outbox.give_back()

    # -------------------------------------------------------------- from the connection

    def greet(self) -> None:
        """There is a new connection: this end says hello on it."""
        self._advance(Trigger.CALL)
        self._calls += 1
        self._live_said, self.other = self.live, replace(self.other, live=False)
        self._frames = [self._hello()]

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
            proof=self.credentials.proof,
            invite=self.credentials.invite,
            certificate=self.credentials.certificate,
            quiet=self.quiet,
            live=self.live,
        )

    def _session_to_resume(self) -> str | None:
        """None after the other side's quit. After this user's quit the daemon still has to learn of it."""
        return None if self.session is None or self._phase is Phase.OVER_CUT else str(self.session)

    def connection_lost(self) -> None:
        """The connection is lost; the conversation is not."""
        self._advance(Trigger.LOSE)
        self._frames, self._unshown = [], []
        self._time = None

    def mark_displayed(self, waiting: int = 0) -> None:
        """The user has seen all that has arrived, but the newest `waiting` messages: acks it."""
        if self._displayed_count < (count := self.received_count - waiting):
            self._displayed_count = count
            if self._phase.is_greeted:
                self._frames.append(wire.Ack(count))

    def take_frames(self) -> list[wire.Frame]:
        """The frames to send now, in order. The caller has to send them."""
        frames, self._frames = self._frames, []
        return frames

    def receive(self, frame: wire.Frame) -> list[Event]:
        """What the user has to see of `frame`. Raises ProtocolError when the daemon has broken a rule."""
        match frame:
            case wire.Message():
                self._count_told()
                return self._on_message(frame, self._take_time())
            case wire.Ack(count):
                return self._on_ack(count)
            case wire.Read(count):
                self._outbox.mark_read(count)
            case wire.Timestamp():
                self._time = frame
            case wire.Hello():
                return self._on_hello(frame)
            case wire.Away() | wire.Here() | wire.Live():
                return self._on_presence_line(frame)
            case wire.Quit(reason):
                return self._on_quit(reason, self._take_time())
            case wire.Prove():
                self._frames.append(frame)
            case wire.Ready():
                return self._on_ready()
            case wire.Busy(words):
                return self._on_busy(words)
            case wire.Error() | wire.Notice():
                return [
                    RemoteError(frame.code, frame.words) if isinstance(frame, wire.Error) else Notice(frame.words)
                ]
            case _:  # typing, ring, ping and pong are for others, and a later version can send more
                pass
        return []

    def _advance(self, trigger: Trigger) -> None:
        self._phase = next_phase(self._phase, trigger)

    # -------------------------------------------------------------- hello

    def _on_hello(self, hello: wire.Hello) -> list[Event]:
        self._advance(Trigger.ANSWER)
        if hello.version != wire.VERSION:
            raise ProtocolError(
                "version", f"Version {hello.version} is not supported, only version {wire.VERSION}."
            )
        self.other = replace(self.other, present=True)
        self._say_live()
        self.retention, self.invited_as = hello.keep, hello.invited
        return self._on_answer(hello)

    def _on_answer(self, hello: wire.Hello) -> list[Event]:
        """The hello also says which conversation goes on."""
        if self.ended:
            return self._on_answer_at_the_end(hello)
        if hello.session is None:
            raise ProtocolError("hello", "The daemon's hello names no session.")
        known = hello.session == self.session
        if known and (gone := self._gone_back(hello)) is not None:
            return [gone]
        if self.session is not None and not known and self.stored_count + self.received_count > 0:
            return [self._forgotten()]
        overtaken: list[Event] = []
        got = hello.got or 0
        if known and not self._outbox.agrees(got - self.stored_count, hello.digest):
            if not self.is_returning:
                return [OvertakenHere()]
            overtaken = [Overtaken(self._outbox.overtaken(got))]
        return [*overtaken, *self._meet(hello, hello.session, resumed=known and self.is_open)]

    def _on_answer_at_the_end(self, hello: wire.Hello) -> list[Event]:
        known = hello.session == self.session
        if self._phase.is_left and not known:  # the daemon does not have the conversation: it need not be told
            self._advance(Trigger.OTHER_QUIT)
        got = (hello.got or 0) if known else 0
        self._frames += [wire.Quit(self._quit_reason)] if self._phase.is_left else []
        if self.leftovers() != Leftovers() and not self._outbox.agrees(got - self.stored_count, hello.digest):
            return [Overtaken(self._outbox.overtaken(got))]
        self._confirm(min(got, self.sent_count))  # the user has been given back what else the daemon has
        return []

    def _gone_back(self, hello: wire.Hello) -> WentBack | None:
        """Ends a conversation of which the journal lacks messages that were stored; None if it has all."""
        own = max(self.stored_count - (hello.got or 0), 0)
        others = 0 if hello.sent is None else max(self.received_count - hello.sent, 0)
        if not (own or others):
            return None
        lost, left = self._outbox.forgotten(own), self.take_back()
        whose = of_whose((own, f"{self.handle}'s"), (others, f"{self.other.handle}'s"))
        self._quit_reason = f"the journal has lost {whose}"
        self._advance(Trigger.QUIT)
        self._frames.append(wire.Quit(self._quit_reason))
        return WentBack(self.other.handle, own, others, replace(left, not_sent=(*lost, *left.not_sent)))

    def _forgotten(self) -> Ended:
        """Ends a conversation that the daemon does not know: its journal was restored, or has removed it at its
        time. Then the messages have arrived."""
        lost, left = self._outbox.forgotten(self.stored_count), self.take_back()
        self._advance(Trigger.OTHER_QUIT)
        left = replace(left, not_confirmed=(*lost, *left.not_confirmed))
        return Ended(self.other.handle, EndedBy.SERVICE, self._why_missing("the other host"), left)

    def _why_missing(self, where: str) -> str:
        """Why a conversation has ended of which nothing is there any more, and how much was in it."""
        whose = of_whose((self.stored_count, "your"), (self.received_count, f"{self.other.handle}'s"))
        return f"{where} does not have it any more{f' (it had {whose})' if whose else ''}"

    def _meet(self, hello: wire.Hello, session: str, *, resumed: bool) -> list[Event]:
        self._advance(Trigger.MEET)
        self.session, self.turns = session, hello.turns or Turns.ALTERNATE
        if not resumed:  # the frames behind a resuming hello tell who is at the console now
            self.other = replace(self.other, handle=hello.handle)
        self._confirm(hello.got or 0)
        known: list[Event] = [Connected(self.other.handle, resumed)]
        if hello.quiet or not resumed:  # in a conversation that goes on, the operator may only be away
            known += self._on_quiet(hello.quiet)
        events = [*self._later(known), *self._resend()]
        return events if self._begin_repetition(hello.after) else [*events, *self._on_ready()]

    def _begin_repetition(self, after: int | None) -> bool:
        """Begins to count what a new program is told of before. after: the messages that the daemon leaves out.
        False if it tells nothing, or this program is not new."""
        if self._told is None or after is None:
            return False
        self._skipped += max(self._told - after, 0)  # also those that a lost connection has not told yet
        self._told = after
        return True

    def _on_ready(self) -> list[Event]:
        """All that was said before is shown. Only now come the own messages that the daemon does not have, and
        those that the user has typed meanwhile."""
        events, self._unshown, was_returning = self._unshown, [], self.is_returning
        self.ready, self._told, self._skipped = True, None, 0
        released = self._release()
        held = [MessageQueued(text) for text in self.held] if was_returning else []
        return [*events, *released, *held]

    def _later(self, events: Sequence[Event]) -> list[Event]:
        """`events`, but nothing yet while the daemon tells a new program what was said before."""
        if not self.is_returning:
            return list(events)
        self._unshown += events
        return []

    # -------------------------------------------------------------- the other frames

    def _on_message(self, message: wire.Message, at: wire.Timestamp | None) -> list[Event]:
        """Shown also after this user's quit: the daemon had stored it before that arrived."""
        time = None if at is None else at.time
        if at is not None and at.again:
            return self._on_repeated(message, at)
        # A message from some time ago does not tell the operator's present handle.
        renamed = self._rename_other(message.handle) if time is None else []
        self.received_count += 1  # the daemon has checked that it was their turn
        return [*renamed, MessageShown(message, False, time), *self._release()]

    def _take_time(self) -> wire.Timestamp | None:
        """What the line before this one says about it."""
        at, self._time = self._time, None
        return at

    def _count_told(self) -> None:
        """A new program has been told one message more of those that were said before."""
        if self._told is not None:
            self._told += 1

    def _on_repeated(self, message: wire.Message, at: wire.Timestamp) -> list[Event]:
        """A message that this end has counted before: it is only shown, and once."""
        if self._skipped:
            self._skipped -= 1
            return []
        return [] if at.gone else [MessageShown(message, at.own, at.time)]

    def _on_ack(self, count: int) -> list[Event]:
        if count > self.sent_count:
            raise ProtocolError("ack", f"{count} messages were confirmed, but only {self.sent_count} were sent.")
        self._confirm(count)
        return self._release()

    def _on_presence_line(self, frame: wire.Away | wire.Here | wire.Live) -> list[Event]:
        if isinstance(frame, wire.Live):
            self.other = replace(self.other, live=frame.wanted)
            return []
        was_present, words = self.other.present, frame.words if isinstance(frame, wire.Away) else ""
        self.other = replace(self.other, present=isinstance(frame, wire.Here), away_words=words)
        events: list[Event] = []
        if isinstance(frame, wire.Here):
            events = self._rename_other(frame.handle or self.other.handle)
        if was_present is not self.other.present:
            # After an absence it can be another person, so that is not a new handle of the same one.
            events = [Presence(self.other.present, self.other.away_words)]
        return [*events, *(self._on_quiet(frame.quiet) if isinstance(frame, wire.Here) else [])]

    def _on_quiet(self, quiet: bool) -> list[Event]:
        """Whether the other user sends signs. The user is told once that there are none."""
        told, self.other = self.other.quiet, replace(self.other, quiet=quiet)
        return [SignsOff(self.other.handle)] if quiet and not told else []

    def _on_busy(self, words: str) -> list[Event]:
        """The daemon reads nothing more here. What an earlier connection was given may have arrived, unless the
        hello has settled that. Without a token the next call is the first one again: it must not take the seat of
        somebody who calls from the same host."""
        if self._phase is Phase.MET:
            self._outbox.nothing_more_arrives()
        if self.session is None:
            self._calls = 0
        self._advance(Trigger.REFUSE)
        return [RemoteError("busy", words)]

    def _on_quit(self, reason: str, at: wire.Timestamp | None) -> list[Event]:
        """The daemon acks in order, so it stores nothing that it has not acked by now."""
        was_over = self.ended
        self._advance(Trigger.OTHER_QUIT)
        self._outbox.nothing_more_arrives()
        if was_over:
            return self._on_quit_confirmed()
        by = EndedBy.OTHER
        if at is not None and (at.own or at.service):  # by the same user: this program's state is an old one
            by = EndedBy.YOU if at.own else EndedBy.SERVICE
        time = None if at is None else at.time
        return [Ended(self.other.handle, by, reason, self.take_back(), self.unread_count, time)]

    def _on_quit_confirmed(self) -> list[Event]:
        return []

    def _rename_other(self, handle: str) -> list[Event]:
        if handle == (old := self.other.handle):
            return []
        self.other = replace(self.other, handle=handle)
        # A classic program has no handle before its first message.
        return [Renamed(old, handle)] if old and not self.other_is_classic else []

    # -------------------------------------------------------------- sending

    def _confirm(self, count: int) -> None:
        if count > self.sent_count:
            raise ProtocolError("ack", f"{count} messages were confirmed, but only {self.sent_count} were sent.")
        self._outbox.confirm(count)

    def _resend(self) -> list[Event]:
        """Both ends know the counts: sends the unacked messages again, and then the held ones."""
        waiting = self._outbox.requeue(lambda: self.my_turn)
        self._outbox.transmit()
        messages = [wire.Message(self.handle, text) for text in self.unacked]
        self._frames += messages
        if self.is_returning:  # a new program has not shown any of them
            return [*self._later([MessageShown(message, True) for message in messages]), *self._release()]
        return [*map(MessageQueued, waiting), *self._release()]

    def _release(self) -> list[Event]:
        """Sends the held messages whose turn has come."""
        events: list[Event] = []
        while self.held and self._can_send_now():
            events.append(self._send(self._outbox.next_held()))
        return self._later(events)

    def _send(self, text: str) -> MessageShown:
        """Gives `text` its number, and sends it; without a connection, the next one sends it."""
        self._outbox.number(text)
        message = wire.Message(self.handle, text)
        if self._phase is Phase.MET:
            self._outbox.transmit()
            self._frames.append(message)
        return MessageShown(message, True)
