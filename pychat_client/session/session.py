"""One user's side of the talk: joins the rules (conversation), a link and a view.

What is typed comes in through `check` and `typed`, what arrives through the link; sentences and
messages go out to the view, frames to the link. This module knows every sentence about
the conversation; it knows no terminal and no socket, and the same class serves the client and
the operator's console.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

from pychat_client.errors import (
    ExitStatus,
    NotAllowedError,
    ProtocolError,
    TransportError,
    UnreachableError,
    UntrustedHostError,
)
from pychat_client.protocol import wire
from pychat_client.protocol.endpoint import Endpoint
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
from pychat_client.protocol.rate_limit import Sign
from pychat_client.protocol.turns import Role
from pychat_client.session.commands import Commands, unescaped
from pychat_client.session.status import Status
from pychat_client.session.transcript import Transcript
from pychat_client.session.typing_indicator import TypingIndicator
from pychat_client.session.view import View
from pychat_client.text import printable, printable_lines
from pychat_client.transport.connection import CloseReason, Connection

LEAVE_SECONDS = 5.0
"""How long a user who leaves on purpose may wait for the last acks."""


_TAKEN = "The line is taken."

RETRYABLE_CODES = ("stopping", "journal", "displaced")
"""Codes of an error line after which it makes sense to call again: the conversation is kept."""


class Session:
    """One user's side of the talk."""

    def __init__(
        self, endpoint: Endpoint, view: View, place: str, *, wait: bool = False, log: Transcript | None = None
    ) -> None:
        """place: what the line is called ("host port 7000"); wait: a taken line, or one where nobody answers,
        is called again; log: where what is said is also written."""
        self.endpoint = endpoint
        self.title = place
        self.exit_status: ExitStatus | None = None  # set when the chat is done
        self.gone = asyncio.Event()  # set while there is no link
        self.greeted = False  # whether the newest link got as far as the other end's hello
        self.key: str | None = None  # the fingerprint of the daemon's key, verified or our own daemon's
        self.attempt = 0  # how many calls in a row have failed, for the user to see
        self._wait = wait
        self._log = log or Transcript()
        self._log.report = view.notice
        self._taken = False  # the line was, when we called last
        self._known = False  # whether the other end has ever answered: then we call again when cut off
        self.view = view
        self._connection: Connection | None = None
        self._leaving = False  # on purpose, as soon as the last acks are there
        self._loss = ExitStatus.OK  # what has become of own words that are not stored, at the worst
        self._ending: ExitStatus | None = None  # done, once what came with the end has been acked
        self._peer: wire.Peer | None = None
        self._untold = False  # this user has been warned that nobody knows of the end yet
        self._trouble = ""  # why the other end cut us off last, until it has taken something again
        self.typing_indicator = TypingIndicator(self)
        self._commands = Commands(self)

    # -------------------------------------------------------------- from the view

    @property
    def done(self) -> bool:
        return self.exit_status is not None

    @property
    def leaving(self) -> bool:
        """Whether this user leaves, and waits for the last acks."""
        return self._leaving

    @property
    def _linked(self) -> bool:
        """Whether the other end has said hello, on a link that lives."""
        return self.greeted and not self.gone.is_set()

    @property
    def status(self) -> Status:
        """Where the conversation stands now."""
        calls, typing = None if self._linked else self.attempt, self.typing_indicator.typing
        return Status(self.endpoint, self.title, self._peer, calls, self.key, typing, self._taken)

    @property
    def commands(self) -> dict[str, str]:
        """Each command's name (without its backslash) and what it does."""
        return self._commands.helps

    def validate(self, line: str) -> None:
        """Raises a PychatError if `typed(line)` would be refused; changes nothing."""
        if not self._commands.find(line):
            self._check_there()
            self.endpoint.validate(unescaped(line))

    def submit(self, line: str) -> None:
        """Does what the user typed: sends, holds, or obeys a command. Raises a PychatError if it is
        refused; then nothing has changed."""
        if self.done:
            raise NotAllowedError("Not sent: the conversation is over.")
        if command := self._commands.find(line):
            command()
        elif line.strip():
            self.say(unescaped(line))
        self._flush()

    def say(self, text: str) -> None:
        """Sends or holds `text`, whatever it begins with. Raises a PychatError if it is refused."""
        self._check_there()
        self._show([self.endpoint.say(text)])
        self._flush()

    def leave(self) -> None:
        """Ctrl-D, or the end of the input: the client ends the conversation, the console detaches. Again: at
        once, without waiting for the last acks."""
        if self._leaving:
            self.finish(ExitStatus.OK)
        elif self.endpoint.role is Role.PEER:
            self.quit("")
            self._flush()
        else:
            self._detach()

    def _detach(self) -> None:
        goes_on = " The conversation goes on; 'pychatd-console' comes back to it." if self.endpoint.is_open else ""
        self.view.notice(f"Detached.{goes_on}")
        self._leaving = True
        if self.endpoint.outbox and self._linked:
            asyncio.get_running_loop().call_later(LEAVE_SECONDS, self.finish, ExitStatus.OK)
        else:
            self.finish(ExitStatus.OK)

    def interrupt(self) -> None:
        """Leaves at once, waiting for nothing. The client's conversation ends with it: nobody could resume."""
        if not self.done and self.endpoint.role is Role.PEER and not self.endpoint.ended:
            self._give_back(self.endpoint.quit().left)
            self._flush()
        self.finish(ExitStatus.INTERRUPTED)

    @property
    def can_sign(self) -> bool:
        """Whether the other user is there to see a sign."""
        return (
            self._connection is not None and self.greeted and self.endpoint.is_open and self.endpoint.other_present
        )

    def send_sign(self, sign: Sign) -> None:
        if self._connection is not None:
            self._connection.send([sign])

    def all_stored(self) -> bool:
        """Whether all that was typed has been stored: nothing is held, nothing waits for its ack."""
        return not self.endpoint.held and not self.endpoint.outbox

    # -------------------------------------------------------------- from the link (link.Owner)

    def connection_made(self, connection: Connection) -> None:
        """A link is up; says hello on it."""
        self._connection = connection
        self.greeted = False
        self.gone.clear()
        self.endpoint.greet()
        self._flush()

    def frames_received(self, connection: Connection, frames: list[wire.Frame]) -> None:
        if self.done:
            return
        try:
            for frame in frames:
                if isinstance(frame, wire.Hello):
                    self._greet(frame)
                elif isinstance(frame, wire.Here) and frame.address is not None and self._peer is not None:
                    peer = replace(self._peer, address=frame.address, plain=frame.plain, name=frame.name)
                    self._peer = peer
                elif isinstance(frame, wire.Typing | wire.Ring):
                    self.typing_indicator.take(frame)
                elif isinstance(frame, wire.Ack) and self._trouble:
                    self._trouble = ""
                    self.view.news("What you sent is stored now.")
                self._show(self.endpoint.receive(frame))
        except ProtocolError as error:
            self.protocol_error(connection, error)
            return
        if self.done:  # the view failed: what it could not show is not acked
            return
        if self._untold and not self.endpoint.quit_unconfirmed:
            self._untold = False
            self._tell("The conversation is over on the line, too.", self.view.notice)
        self.endpoint.mark_displayed()
        self._flush()
        if self._ending is not None:
            self.finish(self._ending)
        elif self._leaving and self.endpoint.role is Role.OPERATOR and not self.endpoint.outbox:
            self.finish(ExitStatus.OK)

    def protocol_error(self, connection: Connection, error: ProtocolError) -> None:
        self.view.notice(f"The other side broke the protocol: {printable(str(error))}")
        connection.close([wire.Error(error.code, str(error))])
        self.finish(ExitStatus.REFUSED)

    def resume_writing(self, connection: Connection) -> None:
        """Nothing waits here: the transport keeps what it could not send."""

    def connection_lost(self, connection: Connection, why: str) -> None:
        self._connection = None
        self.typing_indicator.typing_is_over()
        self.endpoint.connection_lost()
        self.gone.set()
        if self.done:
            return
        if self._leaving:
            self.finish(ExitStatus.OK)
        elif connection.close_reason is CloseReason.NOT_LISTED:
            self.view.notice(f"Refused: {why}.")
            self.view.notice("Its operator needs what 'pychat --show-certificate' prints.")
            self.finish(ExitStatus.REFUSED)
        elif self.endpoint.classic and self.endpoint.role is Role.PEER:
            self.view.notice(f"The connection is gone: {why}.")
            if self.endpoint.is_open and not self.endpoint.my_turn:
                self.view.notice("Whether your last message has arrived is not known.")
            self.finish(ExitStatus.FAILED)
        elif not self._known and not self._wait:
            self.view.notice(f"The connection is gone: {why}.")
            self.finish(ExitStatus.FAILED)
        elif self.greeted:
            self.view.notice(f"The connection is gone: {why}. Calling again; what you send is kept.")
        self._warn_untold()
        self.view.refresh()

    def call_failed(self, error: TransportError) -> None:
        """A call failed: the end of it for the first call, unless we are to wait; a later one is tried again."""
        self.gone.set()
        patient = self._known or (self._wait and isinstance(error, UnreachableError))
        if not patient or isinstance(error, UntrustedHostError):
            for line in str(error).split("\n"):
                self.view.notice(line)
            self.finish(error.status)
        elif self.attempt == int(self._known):  # the call after a lost link is the first attempt
            self.view.notice(f"{error} Trying again until somebody answers.")
        self.view.refresh()

    def give_up(self, seconds: float) -> None:
        """The user's limit for trying to reach the other side is over."""
        self.view.notice(f"Nobody answered for {seconds:.0f} s; giving up.")
        self.finish(ExitStatus.ABSENT)

    def _greet(self, hello: wire.Hello) -> None:
        if self.endpoint.role is Role.OPERATOR:
            self.key = hello.key
        if self.endpoint.role is Role.OPERATOR and not self.endpoint.session:
            self.view.notice(f"This is {self.title}. Whoever calls speaks first.")
        if self._wait and self.attempt and not self._known:  # who waits for this may look elsewhere
            self.view.alert(f"{self.title} answers.", ring=True)
        self.greeted = self._known = True
        self._taken = False
        self.attempt = 0

    # -------------------------------------------------------------- commands

    def recall(self) -> None:
        """The newest held message comes back into the line. Raises NotAllowedError when nothing is held."""
        text = self.endpoint.recall()
        if text is None:
            raise NotAllowedError("Nothing is held.")
        self.view.recalled(text)
        self.view.refresh()

    def quit(self, reason: str) -> None:
        """Ends the conversation. Raises NotAllowedError when there is none."""
        if self.endpoint.role is Role.OPERATOR and (self.endpoint.ended or not self.endpoint.is_open):
            raise NotAllowedError("No conversation is open. \\detach leaves the console.")
        if self._leaving:
            return
        over = self.endpoint.quit(printable(reason))
        if self.endpoint.role is Role.PEER:
            self._log.note("You ended the conversation.")
            self._give_back(over.left)
            self._leave_after_acks()
        else:
            self._show([over])
            self._warn_untold()

    def _warn_untold(self) -> None:
        """A console's quit waits for a connection, as messages do, but only while the console is there."""
        if self.endpoint.quit_unconfirmed and not self._linked and not self._untold and not self.done:
            self._untold = True
            words = "the other side is told as soon as there is one, if this console is still open then"
            self._tell(f"There is no connection now: {words}.", self.view.notice)

    def _leave_after_acks(self) -> None:
        """The daemon closes once it has stored what we sent; that, or the time limit, is the end."""
        self._leaving = True
        if self._connection is None:
            if self.endpoint.is_open or self.endpoint.sent_count:
                self.view.notice("There is no connection now, so the other side is not told.")
            self.finish(ExitStatus.OK)
        else:
            asyncio.get_running_loop().call_later(LEAVE_SECONDS, self.finish, ExitStatus.OK)

    # -------------------------------------------------------------- showing

    def _show(self, events: list[Event]) -> None:
        for event in events:
            self._show_one(event)
        self.view.refresh()

    def _show_one(self, event: Event) -> None:  # noqa: PLR0912 -- a table, a few lines an event
        other = printable(self.endpoint.other_handle)
        match event:
            case MessageShown(message, own, time):
                when = (time or datetime.now(UTC)).astimezone()
                self.view.message(message, own=own, time=when, replayed=time is not None)
                self._log.said(message.handle, message.text, when)
                if not own:
                    self.typing_indicator.typing_is_over()
                    if self.endpoint.ready:  # and not what a new console is told of before
                        words = " ".join(printable_lines(message.text))
                        self.view.alert(f"{printable(message.handle)}> {words}", ring=False)
            case MessageQueued(text):
                self.view.held(text)
            case Connected(_, resumed, detail):
                self._peer = detail
                if not self._trouble:
                    self._tell(self.status.met(resumed=resumed), self.view.news)
            case Presence(here):
                self.view.news(f"{other or 'The other side'} is {'here' if here else 'away'}.")
            case Renamed(old, new):
                self._tell(f"{printable(old)} is called {printable(new)} now.", self.view.news)
            case Ended(name, by_other, reason, left, unread):
                self.typing_indicator.typing_is_over()
                who = (printable(name) or "The other side") if by_other else "You"
                because = f": {printable(reason)}" if reason else ""
                self._tell(f"{who} ended the conversation{because}.", self.view.notice)
                if unread:
                    self._tell(_unread(unread, who), self.view.notice)
                self._give_back(left)
                if left.not_sent and self.endpoint.role is Role.OPERATOR:  # whose console goes on
                    self.view.restore(left.not_sent[-1])
                if by_other and self.endpoint.role is Role.PEER:
                    self._ending = ExitStatus.OK
            case TextsReturned(left):
                self._give_back(left)
            case RemoteError(code, words):
                self._complaint(code, printable(words))
            case Notice(words):
                self.view.notice(printable(words))

    def _complaint(self, code: str, words: str) -> None:
        if code == "busy":
            if not self._wait:
                self.view.notice(words or _TAKEN)
                self.finish(ExitStatus.TAKEN)
            elif not self._taken:  # its own words are for those who do not wait
                self.view.notice(f"{_TAKEN} Calling again until it is free.")
            self._taken = True
        elif code in RETRYABLE_CODES:
            self.greeted = False  # not an answer that makes the next pause shorter
            if words != self._trouble:
                self.view.notice(words)
            self._trouble = words
        else:
            self.view.notice(words or f"The other side refused: {printable(code)}.")
            self.finish(ExitStatus.TAKEN if code in ("held", "taken-over") else ExitStatus.REFUSED)

    def _give_back(self, left: Leftovers) -> None:
        """Own words that are not stored are shown, so that they can be copied, and never dropped."""
        for text in left.not_confirmed:
            self.view.not_confirmed(text)
            self._log.note(f"Not confirmed; it may have arrived: {' '.join(printable_lines(text))}")
            self._loss = ExitStatus.NOT_CONFIRMED
        for text in left.not_sent:
            self.view.not_sent(text)
            self._log.note(f"Not sent: {' '.join(printable_lines(text))}")
            self._loss = max(self._loss, ExitStatus.NOT_SENT)

    def _check_there(self) -> None:
        """Raises NotAllowedError when nothing more can be said: nobody would send it."""
        if self.done or self._leaving:
            over = self.endpoint.ended and self.endpoint.role is Role.PEER
            raise NotAllowedError(
                f"Not sent: {'the conversation is over' if over else 'this program is leaving'}."
            )

    def _tell(self, sentence: str, show: Callable[[str], None]) -> None:
        """A sentence that belongs into a transcript of the conversation too."""
        show(sentence)
        self._log.note(sentence)

    # -------------------------------------------------------------- the end

    def finish(self, status: ExitStatus) -> None:
        """The chat is done; only the first call counts."""
        if self.done:
            return
        self._give_back(self.endpoint.take_back())
        if (
            self._leaving
            and self.endpoint.role is Role.PEER
            and not self.endpoint.other_present
            and self.endpoint.unread_count
        ):
            self._tell(
                _unread(self.endpoint.unread_count, printable(self.endpoint.other_handle)), self.view.notice
            )
        if self.endpoint.quit_unconfirmed and not self._linked:
            words = "If so, 'pychatd-console' comes back to the conversation."
            self._tell(f"The other side may not have been told of the end. {words}", self.view.notice)
        self.exit_status = self._loss if status is ExitStatus.OK else status
        self.view.stop()
        if self._connection is not None:
            self._connection.close()

    def _flush(self) -> None:
        frames = self.endpoint.take_frames()
        if frames and self._connection is not None:
            self._connection.send(frames)
            if self._leaving and self.endpoint.classic:  # it confirms nothing; the end of what we send is our quit
                self._connection.close()
        self.view.refresh()


def _unread(count: int, who: str) -> str:
    """What is said behind the end of own messages that the other side has stored, and not shown."""
    were = "message of yours was" if count == 1 else "messages of yours were"
    return f"{count} {were} stored, but not shown to {who} before the end."
