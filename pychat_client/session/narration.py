"""Tells the user about the conversation: makes a notice and a line of the transcript from each event.

The sentences of these notices are here; those that `\\status` says too are in status. The narrator remembers what
it has said, so that it does not say it twice. It decides nothing, and sends nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime

from pychat_client.dates import day
from pychat_client.errors import PychatError, TransportError
from pychat_client.phrases import had_to_leave, of_whose, with_certificate
from pychat_client.protocol import wire
from pychat_client.protocol.endpoint import Endpoint
from pychat_client.protocol.events import (
    Calling,
    Connected,
    EndConfirmed,
    Ended,
    EndedBy,
    Event,
    Leftovers,
    MessageQueued,
    MessageShown,
    MissedCall,
    Notice,
    Overtaken,
    Presence,
    Renamed,
    SignsOff,
    WentBack,
)
from pychat_client.protocol.turns import Role
from pychat_client.session.commands import DOUBLED
from pychat_client.session.reconnect import BUSY, JOURNAL, Verdict
from pychat_client.session.status import CLASSIC, ConversationStatus, away, kept, silent_call
from pychat_client.session.transcript import Transcript
from pychat_client.session.view import View
from pychat_client.text import BREAK, printable, printable_lines, quoted

STAY_SECONDS = 2.0
"""After this time the operator reads that the caller is connected again. One who is gone by then was a command
(`pychat send`, `pychat replies`): the message says all that there is to say."""

MOVED = "Another window has taken over this conversation."

_BUSY = "Busy: you cannot talk now."
"""For users who wait: why the seat is taken can change meanwhile."""


class Narrator:
    """Tells one user about one session."""

    def __init__(self, endpoint: Endpoint, view: View, title: str, transcript: Transcript, back: str = "") -> None:
        """endpoint: is only asked; title: what the service is called; back: the command that returns to the
        conversation when this program has ended; empty if nothing does."""
        self._endpoint = endpoint
        self._view = view
        self._title = title
        self._transcript = transcript
        self._back = back
        self._outage = ""  # why the other end stores no messages, until it has confirmed one again
        self._coming: asyncio.TimerHandle | None = None  # the caller has come, and the operator has not read it
        self._live_told = ""  # the last sentence about live typing in this conversation
        self._end_unconfirmed = False  # the user knows that the other side does not know of the end yet

    @property
    def _other(self) -> str:
        return printable(self._endpoint.other.handle) or "The other side"

    def stop(self) -> None:
        """The session is done: what waits to be told is no news any more."""
        self._forget_coming()

    # -------------------------------------------------------------- events of the conversation

    def event(self, event: Event) -> None:
        """Tells about an event of the endpoint, except two: see `turned_away` and `overtaken_here`."""
        match event:
            case MessageShown():
                self._message(event)
            case MessageQueued(text):
                self._view.held(text)
            case Calling():
                self._calling(event)
            case MissedCall():
                self._missed(event)
            case Connected(_, resumed, caller):
                self._connected(caller, resumed=resumed)
            case Presence(here, words) if not self._endpoint.ended:
                self._presence(words, here=here)
            case SignsOff(handle):
                who = printable(handle)
                unseen = f"whether {who} is typing or has read anything"
                self._view.notice(f"{who} has turned signs off: you do not see {unseen}.")
            case Renamed(old, new):
                self._record(f"{printable(old)} is now called {printable(new)}.", self._view.news)
            case Ended():
                self._live_told = ""
                self._ended(event)
            case EndConfirmed(other, left, unread):
                self._unread(unread, printable(other))
                self.give_back(left)
            case WentBack() | Overtaken():
                self._out_of_step(event)
            case Notice(words):
                self._view.notice(self._from_daemon(words))

    def _message(self, event: MessageShown) -> None:
        message, time = event.message, (event.time or datetime.now(UTC)).astimezone()
        self._view.message(message, own=event.own, time=time, replayed=event.time is not None)
        self._transcribe(lambda: self._transcript.said(message.handle, message.text, time, own=event.own))
        if not event.own and self._endpoint.ready:  # not for what a new console is shown of before
            words = " ".join(printable_lines(message.text))
            self._view.alert(f"{printable(message.handle)}> {words}", ring=False)

    def _connected(self, caller: wire.Peer | None, *, resumed: bool) -> None:
        self._forget_coming()
        if self._outage:  # the connection may be closed for the same reason again
            return
        if resumed and self._endpoint.role is Role.OPERATOR:  # to the daemon; the caller may be away
            sentence = f"Back in the conversation with {self._other}."
        elif resumed:
            sentence = f"Connected to {self._other} again."
        elif caller is not None:
            sentence = self._call_from(caller)
        elif self._endpoint.calls_classic_server:
            sentence = f"Connected to {self._other}, {CLASSIC}, NOT ENCRYPTED. Send the first message."
        else:
            retention = self._endpoint.retention
            copy = "" if retention is None else f" {kept(retention, 'The other host')}"
            sentence = f"Connected to {self._other}. Send the first message.{copy}"
        self._record(sentence, self._view.news)

    def _call_from(self, caller: wire.Peer) -> str:
        kind = f", with {CLASSIC}" if caller.classic else ""
        plain = ", NOT ENCRYPTED" if caller.plain else ""
        return f"{self._other} calls from {printable(caller.address)}{with_certificate(caller.name)}{kind}{plain}."

    def _calling(self, call: Calling) -> None:
        handle = printable(call.handle)
        waits = f"{handle} is calling and will send the first message."
        self._view.news(silent_call(call.address) if call.silent else waits)
        self._view.alert(f"{handle} is calling.", ring=False)

    def _missed(self, call: MissedCall) -> None:
        when = "" if call.time is None else f" on {day(call.time)} at {call.time.astimezone():%H:%M}"
        who = f"{printable(call.handle)} from {printable(call.address)}{with_certificate(call.name)}"
        why = had_to_leave(call.back) or ", without a message"
        self._record(f"Missed call{when}: {who}{why}.", self._view.news)

    def _presence(self, words: str, *, here: bool) -> None:
        role, short = self._endpoint.role, self._forget_coming()
        if not here:
            self._live_told = ""  # who comes sees again what this user types: that is news
        if self._outage and not here:  # as with each connection since
            return
        if not here:
            if not short:
                self._view.news(away(role, self._other, words))
        elif role is Role.PEER:
            self._view.news(f"{self._other} is at the console now.")
        else:
            self._coming = asyncio.get_running_loop().call_later(STAY_SECONDS, self._has_come)

    def _has_come(self) -> None:
        self._coming = None
        if self._endpoint.is_open and self._endpoint.phase.is_greeted:
            self._view.news(f"{self._other} is connected again.")

    def _forget_coming(self) -> bool:
        """Returns whether the caller has come a moment ago, and the operator has not read it."""
        coming, self._coming = self._coming, None
        if coming is not None:
            coming.cancel()
        return coming is not None

    def _ended(self, event: Ended) -> None:
        other = printable(event.other) or "The other side"
        from_outside = event.by is EndedBy.OTHER or (event.time is not None and self._endpoint.role is Role.PEER)
        reason = quoted(event.reason) if from_outside else printable(event.reason)
        because = f": {reason}" if event.reason else ""
        then = ""
        if event.time is not None and not self._endpoint.ready:  # this program was not there
            then = f" on {day(event.time)} at {event.time.astimezone():%H:%M}"
        match event.by:
            case EndedBy.YOU:
                self._record(f"You ended the conversation{then}{because}.")
            case EndedBy.OTHER:
                self._record(f"{other} ended the conversation{then}{because}.")
            case EndedBy.SERVICE:
                self._record(f"The conversation with {other} has ended{then}{because}.")
        self._unread(event.unread, other)
        self.give_back(event.left)
        if event.left.not_sent and self._endpoint.role is Role.OPERATOR:  # the console stays
            self._view.notice("\\recall takes the last one into the line.")

    def _out_of_step(self, event: WentBack | Overtaken) -> None:
        """What this end knows and what the other host has do not fit together."""
        if isinstance(event, WentBack):
            self._went_back(event)
        else:
            self._record(
                "This conversation has messages of yours that are not known here: the session file came from a "
                "backup, or a copy of it was used elsewhere."
            )
        self.give_back(event.left)

    def _went_back(self, event: WentBack) -> None:
        lost = of_whose((event.own, "your"), (event.others, f"{printable(event.other)}'s"))
        self._record(
            f"The other host has lost {lost}, for example because an older backup was restored. "
            "This conversation cannot go on. Call again to begin another one."
        )

    def _unread(self, count: int, who: str) -> None:
        if count:
            were, them = ("was", "it") if count == 1 else ("were", "them")
            self._record(f"{count} of your messages {were} stored, but {who} has not seen {them}.")

    def give_back(self, left: Leftovers) -> None:
        """Shows own texts that are not stored, so that the user can copy them."""
        for text in left.not_confirmed:
            self._view.not_confirmed(text)
            self._note(f"Not confirmed; it may have arrived: {' '.join(printable_lines(text))}")
        for text in left.not_sent:
            self._view.not_sent(text)
            self._note(f"Not sent: {' '.join(printable_lines(text))}")

    def rung(self) -> None:
        """The other user asks for attention."""
        self._view.rung(self._endpoint.other.handle)

    def rang(self) -> None:
        """This user has asked the other one for attention."""
        away = f" {self._other} is away, and hears of it only if pychatd-console --watch runs there."
        self._view.notice(f"You asked {self._other} for attention.{'' if self._endpoint.other.present else away}")

    # -------------------------------------------------------------- the connection

    def waiting_for_calls(self) -> None:
        """A console is connected to its daemon, and there is no conversation."""
        self._view.notice(f"Waiting for calls on {self._title}. The caller sends the first message.")

    def answered(self) -> None:
        """The first answer after a wait: the user may look elsewhere."""
        self._view.alert(f"{self._title} answers.", ring=True)

    def call_failed(self, error: TransportError, verdict: Verdict) -> None:
        if verdict is Verdict.BEGIN_TO_RETRY:
            self._outage = ""
            self._view.notice(f"{error} Trying again until the service can be reached.")
        elif verdict is Verdict.GIVE_UP:
            for line in str(error).split("\n"):
                self._view.notice(line)

    def certificate_renewed(self, instead: str | None) -> None:
        """instead: the fingerprint to give in place of the one that the user has given."""
        then = "It is accepted from now on." if instead is None else f"Give its fingerprint from now on: {instead}"
        self._view.notice(f"{self._title} has a new certificate for the same key. {then}")

    def connection_lost(self, why: str, verdict: Verdict) -> None:
        """why: a clause, such as "closed by the other side"."""
        match verdict:
            case Verdict.REFUSED:
                self._view.notice(f"Refused: {why}.")
                self._view.notice("Send the operator the output of 'pychat certificate'.")
            case Verdict.BEGIN_TO_RETRY:
                self._outage = ""
                later = "Reconnecting; messages that you send now are delivered later."
                self._view.notice(f"Connection lost ({why}). {later}")
            case Verdict.GIVE_UP:
                self._view.notice(f"Connection lost ({why}).")
                if self._endpoint.calls_classic_server and self._endpoint.is_open and not self._endpoint.my_turn:
                    self._view.notice("Your last message may not have arrived.")

    def gave_up(self, seconds: float, *, busy: bool) -> None:
        what = "Busy" if busy else "No answer"
        self._view.notice(f"{what} for {seconds:.10g} s; giving up.")

    def broke_protocol(self, error: PychatError) -> None:
        self._view.notice(f"The other side broke the protocol: {printable(str(error))}")

    def turned_away(self, code: str, words: str, verdict: Verdict) -> None:
        """The other end has said why it closes the connection, in its own words or in none."""
        if words:
            words = self._from_daemon(words)
        else:
            words = _BUSY if code == BUSY else f"The other side refused the call (code: {printable(code)})."
        if verdict is Verdict.GIVE_UP:
            self._view.notice(words)
        elif code == BUSY:
            if verdict is Verdict.BEGIN_TO_RETRY:  # its own words are for users who do not wait
                self._view.notice(f"{_BUSY} Calling again until you can.")
        elif code != JOURNAL:
            if verdict is Verdict.BEGIN_TO_RETRY:
                self._view.notice(words)
        elif words != self._outage:
            self._outage = words
            self._view.notice(f"{words} Your messages are kept here, and sent later.")

    def _from_daemon(self, words: str) -> str:
        """What the daemon says. A console has its own daemon; to a caller, the daemon is a program of the other
        side, whose words must not look like ours."""
        if self._endpoint.role is Role.OPERATOR:
            return printable(words)
        who = printable(self._endpoint.other.handle) or self._title
        return f"{who}'s program says: {quoted(words)}"

    def message_confirmed(self) -> None:
        """The other end has stored something: whatever it complained about is over."""
        if self._outage:
            self._outage = ""
            self._view.news("Your messages are stored now.")

    def live_changed(self, sentence: str) -> None:
        """The other user turns live typing on or off, comes or goes. A new connection of this user's repeats what
        the daemon has told before."""
        if sentence != self._live_told:
            self._live_told = sentence
            self._view.notice(sentence)

    # -------------------------------------------------------------- leaving

    def left(self) -> None:
        """The user leaves, and the conversation stays, if there is one."""
        self._view.news(f"Detached.{self._stays if self._endpoint.is_open else ''}")
        if count := len(self._endpoint.held) + len(self._endpoint.unacked):
            wait, them = ("message is", "it") if count == 1 else ("messages are", "them")
            program = "console" if self._endpoint.role is Role.OPERATOR else f"'{self._back}'"
            self._view.notice(f"{count} {wait} not stored yet. The next {program} sends {them}.")

    def away(self, words: str) -> None:
        """The operator leaves, with words for callers."""
        self._view.news(f"Callers read {quoted(words)} until you are back.")

    def warn_of_interrupt(self, *, stays_open: bool) -> None:
        """The user has pressed Ctrl-C once."""
        if self._endpoint.role is Role.OPERATOR and not self._endpoint.is_open:
            self._view.notice("Press Ctrl-C again to leave the console.")
        elif stays_open or self._endpoint.role is Role.OPERATOR:
            self._view.notice(f"Press Ctrl-C again to leave.{self._stays}")
        else:
            self._view.notice("Press Ctrl-C again to leave and to end the call.")

    @property
    def _stays(self) -> str:
        return f" The conversation stays open: run '{self._back}' to return to it." if self._back else ""

    def waiting_for_acks(self) -> None:
        """The user leaves, and messages are not confirmed yet."""
        leave = " Press Ctrl-D to leave without waiting." if self._view.keys else ""  # plain lines read no more
        self._view.notice(f"Waiting until your messages are stored.{leave}")

    def you_ended(self, reason: str) -> None:
        because = f": {reason}" if reason else ""
        self._record(f"You ended the conversation{because}.", self._view.news)

    def you_ended_earlier(self) -> None:
        """The user has ended the conversation of an earlier program."""
        self._record(f"You ended the conversation with {self._other}.")

    def can_recall(self) -> None:
        """Texts of an earlier conversation were given back, and there is another one now."""
        self._view.notice("\\recall takes the last message that was not sent into the line.")

    def moved(self) -> None:
        """The user goes on in another window."""
        self._view.notice(MOVED)

    def overtaken_here(self, *, stays_open: bool) -> None:
        """Another program has gone on. stays_open: the next one goes on here, and gives back what waits."""
        sentences = ["Another program has gone on with this conversation, from a copy of its file."]
        if stays_open and self._back:
            waits = self._endpoint.leftovers() != Leftovers()
            gives_back = ": it gives back your messages that are not confirmed" if waits else ""
            sentences.append(f"Run '{self._back}' to go on here{gives_back}.")
        self._view.notice(" ".join(sentences))

    def unread_at_the_end(self) -> None:
        """The user has ended the conversation while the other one was away."""
        self._unread(self._endpoint.unread_count, self._other)

    def end_is_unconfirmed(self) -> None:
        """A console has ended the conversation, and has no connection to say so."""
        if not self._end_unconfirmed:
            self._end_unconfirmed = True
            self._record("Not connected. The other side learns of the end when the connection is back.")

    def end_is_confirmed(self) -> None:
        """The daemon knows that the conversation has ended."""
        if self._end_unconfirmed:
            self._end_unconfirmed = False
            self._record("The other side knows now that you ended the conversation.")

    def end_stays_unconfirmed(self, *, kept: bool) -> None:
        """The user leaves, and the daemon has not confirmed the end. kept: the next program tells it."""
        then = f" Run '{self._back}' to tell them." if kept and self._back else ""
        self._record(f"The other side may not know yet that you ended the conversation.{then}")

    # -------------------------------------------------------------- answers to commands

    def help(self, commands: dict[str, str]) -> None:
        rows = [(f"\\{name}", words) for name, words in commands.items()]
        rows += [DOUBLED, *self._view.keys]
        width = max(len(what) for what, _ in rows)
        for what, words in rows:
            self._view.notice(f"{what}{BREAK}{words}" if self._view.narrow else f"{what:{width}}  {words}")

    def status(self, status: ConversationStatus) -> None:
        self._live_told = status.live_typing
        for line in status.status_lines():
            self._view.notice(line)

    def live_typing(self, sentence: str) -> None:
        self._live_told = sentence
        self._view.notice(sentence or "Live typing is off. Nobody sees what you type before you send it.")

    def held(self) -> None:
        if not self._endpoint.held:
            self._view.notice("No message is held.")
        for text in self._endpoint.held:
            self._view.held(text)

    def folded(self) -> None:
        if not self._view.show_folded():
            self._view.notice("No message is folded.")

    # -------------------------------------------------------------- the transcript

    def _record(self, sentence: str, show: Callable[[str], None] | None = None) -> None:
        """A sentence that belongs into the transcript, too; shown as a notice, or with `show`."""
        (show or self._view.notice)(sentence)
        self._note(sentence)

    def _note(self, sentence: str) -> None:
        self._transcribe(lambda: self._transcript.note(sentence))

    def _transcribe(self, write: Callable[[], None]) -> None:
        try:
            write()
        except PychatError as error:  # the transcript is over, and the conversation is not
            self._view.notice(str(error))
