"""One user's side of a conversation: joins the rules (an endpoint), a connection and a view.

What the user types comes in through `submit`, what arrives through the connection. Frames go out to the
connection; the narrator tells the view what happens. A session knows no terminal and no socket. The client and the
operator's console both use it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import replace
from enum import Enum
from functools import partial

from pychat_client import garbage
from pychat_client.errors import ExitStatus, NotAllowedError, ProtocolError, PychatError, TransportError
from pychat_client.protocol import wire
from pychat_client.protocol.endpoint import Endpoint
from pychat_client.protocol.events import (
    Connected,
    EndConfirmed,
    Ended,
    Event,
    Leftovers,
    MessageShown,
    Overtaken,
    OvertakenHere,
    Presence,
    RemoteError,
    WentBack,
)
from pychat_client.protocol.outbox import HELD_MAX
from pychat_client.protocol.rate_limit import Sign
from pychat_client.protocol.turns import Role
from pychat_client.session.commands import Command, Commands, ParsedLine, unescaped
from pychat_client.session.delivery_watch import DeliveryWatch
from pychat_client.session.draft_sender import DraftSender
from pychat_client.session.keeper import Keeper
from pychat_client.session.meant import Meant
from pychat_client.session.narration import Narrator
from pychat_client.session.reconnect import RETRYABLE_CODES, Connect, ConnectionSupervisor, Verdict
from pychat_client.session.session_file import SessionFile
from pychat_client.session.status import ConversationStatus
from pychat_client.session.transcript import Transcript
from pychat_client.session.typing_indicator import TypingIndicator
from pychat_client.session.view import View
from pychat_client.text import WORDS_MAX, printable
from pychat_client.transport.connection import Connection
from pychat_client.transport.interruptible import MOVE_SIGNAL, when_ended
from pychat_client.transport.route_watch import RouteWatch

LEAVE_SECONDS = 5.0
"""How long a user who leaves waits for the last acks at most."""

EXPLAIN_SECONDS = 0.5
"""After this time the program tells such a user what it waits for: a working connection is faster."""

CLASSIC_END_SECONDS = 0.5
"""How long a classic server may take to close after our quit. Many never do; and it confirms nothing, so there is
nothing to wait for. The system still delivers what was sent."""

_SEAT_CODES = ("busy", "held", "taken-over", "displaced")
"""Codes of an error line that says that somebody else has the seat or the console, or another program."""

_HANDLE = "handle"
"""The code of an error line that refuses this end's handle."""


class Stage(Enum):
    """How far a session is."""

    RUNNING = "running"
    TELLING = "telling"  # this program has to tell the daemon that the user has ended the conversation before
    ENDING = "ending"  # the user has ended the conversation and leaves; the last acks are still missing
    DETACHING = "detaching"  # the user leaves, and the conversation stays; the last acks are still missing
    MOVED = "moved"  # the user goes on in another window
    OVERTAKEN = "overtaken"  # another program has gone on with the conversation
    # The session is done:
    LEFT_OPEN = "left open"  # and a program can return to the conversation
    OVER_AT_RETURN = "over at return"  # and only told this user so; what is typed is for the next call
    CLOSED = "closed"  # and nobody can return


_DONE = (Stage.LEFT_OPEN, Stage.OVER_AT_RETURN, Stage.CLOSED)


class Session:
    """One user's side of a conversation."""

    def __init__(
        self,
        endpoint: Endpoint,
        view: View,
        title: str,
        *,
        wait: bool = False,
        key: str | None = None,
        transcript: Transcript | None = None,
        file: SessionFile | None = None,
        back: str = "",
        given_back: Iterable[str] = (),
    ) -> None:
        """title: what the service is called ("HOST port 7000"); wait: call again while nothing answers or the
        service is busy; key: the fingerprint of the host's certificate, if the client has verified it; file: keeps
        the conversation when this program ends; back: the command that returns to it then; given_back: texts that
        an earlier session of this program has not sent."""
        self.endpoint = endpoint
        self.typing_indicator = TypingIndicator(self._send_sign, view.refresh)
        self._drafts = DraftSender(lambda draft: self._send_sign(wire.Typing(draft)))
        self._view = view
        self._title = title
        self._key = key
        self._narrator = Narrator(endpoint, view, title, transcript or Transcript(), back)
        self._keeper = Keeper(endpoint, file, view)
        self._delivery = DeliveryWatch(endpoint, self._late)
        self._returned_to = endpoint.session  # the conversation of an earlier program
        self._caught_up = asyncio.Event()
        self._given_back = deque(given_back, HELD_MAX)  # texts that were not sent
        self._refusal: str | None = None  # the code of the error line that has ended this session
        self._warned = False  # the user knows what the next Ctrl-C does
        self._supervisor = ConnectionSupervisor(self, wait=wait, returning=endpoint.session is not None)
        self._commands = Commands(self._table())
        self._caller: wire.Peer | None = None  # what the daemon tells of the caller, to a console
        self._meant = Meant(sees_line=view.shows_keys)
        # A caller's program that goes on with a conversation which its user has ended is there to tell the daemon.
        # A console tells it, too, and stays for the next caller.
        self._stage = Stage.TELLING if endpoint.ended and self._is_caller else Stage.RUNNING
        self._exit_status = ExitStatus.FAILED
        self._loss = ExitStatus.OK  # the worst that has become of own texts

    # -------------------------------------------------------------- what can be asked

    @property
    def done(self) -> bool:
        return self._stage in _DONE

    @property
    def leaving(self) -> bool:
        """Whether this user has left, and waits for the last acks."""
        return self._stage in (Stage.TELLING, Stage.ENDING, Stage.DETACHING)

    @property
    def over_at_return(self) -> bool:
        """Whether this program has returned to a conversation that is over, and the daemon knows it. What the user
        types is for the next call."""
        return self._stage is Stage.OVER_AT_RETURN

    @property
    def handle_refused(self) -> bool:
        """Whether the service has refused this user's handle: it looks like the operator's."""
        return self._refusal == _HANDLE

    async def caught_up(self) -> None:
        """Waits until a program that returns to a conversation has shown what was said before, or is done."""
        if (self.endpoint.is_returning or self._stage is Stage.TELLING) and not self.done:
            await self._caught_up.wait()

    def take_line(self) -> str:
        """The line that was being typed when an earlier program ended. It is only for the same conversation."""
        line = self._keeper.take_inherited()
        if line and (self.endpoint.ended or self.endpoint.session != self._returned_to):
            self._give_back(Leftovers(not_sent=(unescaped(line),)))
            return ""
        self._meant.line_changed(line)  # the screen tells of no change when it puts this line back
        return line

    @property
    def keeps(self) -> bool:
        """Whether this session keeps its conversation for the next program."""
        return self._keeper.works

    @property
    def stays_open(self) -> bool:
        """Whether a program can return to the conversation when this one has ended."""
        return self._stage is Stage.LEFT_OPEN if self.done else self._keeper.works and self.endpoint.can_go_on

    def line_changed(self, text: str, *, private: bool = False) -> None:
        """The user has changed the line. private: the other user may not see it. It may have been written to
        somebody else, or this user does not see who watches."""
        self._warned = False
        self._meant.line_changed(text)
        self._keeper.line_changed()
        if self.endpoint.is_watched:
            self._drafts.line_changed("" if private else text)
        else:
            self.typing_indicator.line_changed(text)

    def hide_line(self) -> None:
        """This user may not see any more who watches: takes the draft back. The next change of the line shows it
        again, if it may be seen then."""
        if self.endpoint.is_watched:
            self._drafts.line_changed("")

    def certificate_renewed(self, key: str | None, *, given: bool) -> None:
        """The host has another certificate for the same key. key: the fingerprint of the certificate; given: the
        user has given that of the old one."""
        self._key = key
        self._narrator.certificate_renewed(key if given else None)

    @property
    def exit_status(self) -> ExitStatus:
        """How the session has ended; means nothing before it is done."""
        return self._exit_status

    @property
    def status(self) -> ConversationStatus:
        """Where the conversation stands now."""
        supervisor = self._supervisor
        attempts = None if supervisor.is_live else supervisor.attempts
        return ConversationStatus(
            self.endpoint,
            self._title,
            self._caller,
            attempts,
            self._key,
            self.typing_indicator.typing,
            supervisor.busy,
            self._delivery.seconds,
        )

    @property
    def commands(self) -> dict[str, str]:
        """The name of each command, without its backslash, and what it does."""
        return self._commands.helps

    def room(self, line: str) -> int | None:
        """How many more characters the typed `line` can have, as Commands.room."""
        return self._commands.room(line)

    @property
    def given_back(self) -> tuple[str, ...]:
        """The texts that were not sent, and that the user can take up, the newest last."""
        return tuple(self._given_back)

    def all_stored(self) -> bool:
        """Whether all messages of this user are stored: none is held, none waits for its ack."""
        return not self.endpoint.held and not self.endpoint.unacked

    # -------------------------------------------------------------- what the user types

    def validate(self, line: str) -> ParsedLine:
        """Parses and checks a typed line, for `submit`. Raises a PychatError if it is refused. Changes nothing."""
        if self.done:
            raise NotAllowedError("Not sent: the conversation is over.")
        parsed = self._commands.parse(line)
        if parsed.command is None and parsed.text:
            return ParsedLine(self._checked(parsed.text))
        return parsed

    def submit(self, line: str | ParsedLine) -> None:
        """Sends or holds a message, or obeys a command. line: as typed, or what `validate` has returned just
        now. Raises a PychatError if it is refused; then nothing has changed."""
        parsed = self.validate(line) if isinstance(line, str) else line
        if parsed.command is not None:
            parsed.command.run(parsed.text)
        elif parsed.text:
            self._send_message(parsed.text)
        self._flush()

    def say(self, text: str) -> None:
        """Sends or holds `text`, whatever it begins with. Raises a PychatError if it is refused."""
        self._send_message(self._checked(text))
        self._flush()

    def _checked(self, text: str) -> str:
        """The message as it is sent. Raises a PychatError if it cannot be."""
        if self._stage is not Stage.RUNNING:
            over = self.endpoint.ended and self._is_caller
            why = "the conversation is over" if over else "this program is about to end"
            raise NotAllowedError(f"Not sent: {why}.")
        return self.endpoint.validate(text)

    def _send_message(self, message: str) -> None:
        self._handle([self.endpoint.send(message)])

    def displayed(self) -> None:
        """The view has shown something that had to wait: that is acked, and another program need not show it.
        Reads on, if the view was behind."""
        if not self.done:
            if (connection := self._supervisor.connection) is not None:
                connection.resume_reading()
            self._mark_displayed()
            self._flush()

    def _mark_displayed(self) -> None:
        if self.endpoint.is_open and not self._view.undisplayed:
            self._meant.displayed(self.endpoint.session)
        self.endpoint.mark_displayed(self._view.undisplayed)

    def _display_now(self) -> None:
        """Before this user leaves: nothing can be acked behind that."""
        if self._view.undisplayed:
            self._view.flush()
            self.displayed()

    # -------------------------------------------------------------- commands

    def _table(self) -> list[Command]:
        table = [
            Command("help", "show this list", lambda _: self._narrator.help(self.commands)),
            Command(
                "status",
                "show who is there, whose turn it is, and what waits",
                lambda _: self._narrator.status(self.status),
            ),
            Command("held", "list the messages that are held until your turn", lambda _: self._narrator.held()),
            Command(
                "recall",
                "take the newest message that is held, or was not sent, into the line",
                lambda _: self.recall(),
            ),
            Command("show", "show a folded message whole, the newest first", lambda _: self._narrator.folded()),
            Command("ring", "ask the other side for attention", lambda _: self._ring()),
            Command(
                "quit",
                "end the conversation; words after it are sent as the reason",
                self.quit,
                takes_words=True,
                words_max=WORDS_MAX,
            ),
        ]
        if not self._is_caller:
            table.append(
                Command(
                    "away",
                    "leave; callers read the words after it until you are back",
                    self.go_away,
                    takes_words=True,
                    words_max=WORDS_MAX,
                )
            )
        if not self.endpoint.calls_classic_server:
            table.append(
                Command("live", "let both sides see what is typed, or stop that", self._live, takes_words=True)
            )
            table.append(Command("detach", "leave; the conversation stays open", lambda _: self.detach()))
        if not self._is_caller:
            table += [
                Command(
                    "unread",
                    "list the conversations that you have not read; with a number, show one",
                    lambda words: self._order("unread", words),
                    takes_words=True,
                ),
                Command(
                    "block",
                    "end the conversation, and refuse this caller from now on; or an address, a key or a handle",
                    self._block,
                    takes_words=True,
                ),
                Command(
                    "greet",
                    "speak first, to a classic program that waits for that",
                    lambda _: self._order("greet", ""),
                ),
            ]
        return table

    def _order(self, verb: str, words: str) -> None:
        """Orders something of the daemon, which answers with notices. Raises NotAllowedError."""
        if not self._supervisor.is_live:
            raise NotAllowedError("There is no connection to the daemon now. Try again when it is back.")
        self._post([wire.Order(f"{verb} {words}".strip())])

    def _block(self, words: str) -> None:
        """Blocks `words`, or the caller of the conversation that the user means. Raises NotAllowedError."""
        if not words:
            if not self.endpoint.is_open:
                raise NotAllowedError("Nobody is talking now: name an address, a key or a handle.")
            self._check_meant("Nobody is blocked", "block this caller")
        self._order("block", words or f"conversation={self.endpoint.session}")

    def _check_meant(self, undone: str, wish: str) -> None:
        """Raises NotAllowedError if somebody has called whom the user of a console cannot mean. undone, wish: what
        has not happened then, and what the user may want all the same."""
        if self._meant.conversation != self.endpoint.session:
            other = printable(self.endpoint.other.handle)
            words = f"{undone}: {other} has called since you began this line."
            raise NotAllowedError(f"{words} Enter it again to {wish}.")

    def recall(self) -> None:
        """Takes the newest held message back into the line, or else the newest one that was given back."""
        text = self.endpoint.recall()
        if text is None and self._given_back:
            text = self._given_back.pop()
        if text is None:
            self._narrator.held()  # none; not an error, which would leave the command itself in the line
        else:
            self._keeper.record_line(text)
            self._view.recalled(text)
            self._flush()

    def _ring(self) -> None:
        if not self._supervisor.is_live:
            raise NotAllowedError("You cannot ring now: there is no connection.")
        if not self.endpoint.is_open:
            raise NotAllowedError("You cannot ring now: no conversation is open.")
        self.typing_indicator.ring()
        self._narrator.rang()

    def _live(self, words: str) -> None:
        """words: `on`, `off`, or none for the other one of them. Raises NotAllowedError for others, and where the
        view shows no line that is being typed."""
        wanted = {"": not self.endpoint.live, "on": True, "off": False}.get(words)
        if wanted is None:
            raise NotAllowedError("\\live takes 'on', 'off' or no words.")
        if not self._view.shows_drafts:
            raise NotAllowedError("Live typing needs --json, or the screen with its toolbar.")
        self._set_live(wanted)

    def stop_live(self) -> None:
        """Turns live typing off, because the view cannot show any more whether the other user sees the line."""
        if self.endpoint.live:
            self._set_live(False)
            self._flush()

    def _set_live(self, wanted: bool) -> None:
        self.endpoint.set_live(wanted)
        self._stop_drafts()
        self._narrator.live_typing(self.status.live_typing)

    def quit(self, reason: str) -> None:
        """Ends the conversation. Raises NotAllowedError when there is none. Does nothing when the session is
        done."""
        if self.done:
            return
        reason = printable(reason)
        if not self._is_caller:
            if not self.endpoint.is_open:
                raise NotAllowedError("No conversation is open. \\detach leaves the console.")
            self._check_meant("Nothing has ended", "end this conversation")
        if self._stage in (Stage.TELLING, Stage.ENDING):
            return
        was_open = self.endpoint.is_open
        ended = self._end(reason)
        if self._is_caller:
            if was_open:  # and no call without a message yet
                self._narrator.you_ended(reason)
            self._give_back(ended.left)
            if not self.done:  # the view has failed
                self._leave_after_acks()
        else:
            self._handle([ended])
            self._check_end()

    def _end(self, reason: str = "") -> Ended:
        """Ends the conversation, for the next program as well if this one dies before it can tell its user."""
        self._display_now()
        self._keeper.record_end(reason)
        return self.endpoint.quit(reason)

    # -------------------------------------------------------------- leaving

    def leave(self) -> None:
        """Ctrl-D, or the end of the input: the client ends the conversation, the console detaches. The second
        time it does not wait for the last acks. Does nothing when the session is done."""
        if self.leaving or self.done:
            self.finish(ExitStatus.OK)
        elif self._is_caller:
            self.quit("")
            self._flush()
        else:
            self.detach()

    def detach(self) -> None:
        """Leaves, and the conversation stays open. Raises NotAllowedError where no program can return to it. Does
        nothing when the session is done."""
        if self.done:
            return
        self._keeper.record_all()  # first: if that fails, nobody could return
        if self._is_caller and not self.stays_open:
            raise NotAllowedError("There is no conversation that could stay open. \\quit leaves.")
        self._stage = Stage.DETACHING
        self._finish_soon(wait=bool(self.endpoint.unacked) and self._supervisor.is_live)

    def go_away(self, words: str) -> None:
        """Leaves a console. Callers read `words` until one is attached again. Raises NotAllowedError."""
        words = printable(words)
        if not self._supervisor.is_live:
            raise NotAllowedError("Not connected: callers cannot get your words now. \\detach leaves the console.")
        self._post([wire.Away(words)])
        if words:
            self._narrator.away(words)
        self.detach()

    def end_earlier(self) -> None:
        """Ends the conversation of an earlier program. If the daemon knows it, this program tells it as soon as
        there is a connection."""
        if self.endpoint.is_open:
            self._narrator.you_ended_earlier()
        self._give_back(self._end().left)
        self._give_back(self.endpoint.take_back())
        self._stage = Stage.TELLING
        if not self.endpoint.owes_quit:
            self.finish(ExitStatus.OK)

    def interrupt(self) -> None:
        """Leaves at once, and waits for nothing. The conversation stays open where a program can return to it."""
        if not self.done and self.stays_open:
            self._keeper.record_all()  # first: if that fails, nobody could return
        if not self.done and self._is_caller and not self.endpoint.ended and not self.stays_open:
            self._give_back(self._end().left)
            self._flush()
        self.finish(ExitStatus.INTERRUPTED)

    def interrupt_at_second_try(self) -> None:
        """Ctrl-C on an empty line: the first one tells what the second one does."""
        if self._warned:
            self.interrupt()
        else:
            self._warned = True
            self._narrator.warn_of_interrupt(stays_open=self.stays_open)

    def moved(self) -> None:
        """The user goes on in another window."""
        if not self.done:
            self._stage = Stage.MOVED
            self.finish(ExitStatus.TAKEN)

    def finish(self, status: ExitStatus) -> None:
        """The session is done; only the first call counts. A view that cannot show the last words calls again."""
        if self.done:
            return
        self._display_now()
        if self.stays_open:
            self._keeper.record_all()  # if that fails, the user gets the texts back now
        if self.done:  # the view could not show that, and has called again
            return
        stage, self._stage = self._stage, self._last_stage(status)  # a view that fails now ends nothing more
        if self.stays_open:
            self._count_loss(self.endpoint.leftovers())
        else:
            self._keeper.record_end()
            self._give_back(self.endpoint.take_back())
            self._give_back(Leftovers(not_sent=tuple(filter(None, [unescaped(self._keeper.take_inherited())]))))
        self._narrator.stop()
        self._narrate_finish(stage)
        self._drafts.stop()
        self._keeper.close(keep=self._is_needed())
        self._exit_status = self._outcome(status)
        self._caught_up.set()
        self._delivery.update(connected=False)
        self._view.stop()
        self._supervisor.close()

    def _last_stage(self, status: ExitStatus) -> Stage:
        """The stage of this session once it is done."""
        if self.stays_open:
            return Stage.LEFT_OPEN
        returned = self._stage is Stage.TELLING or (self._returned_to is not None and not self.endpoint.ready)
        over = returned and self.endpoint.ended and not self.endpoint.owes_quit
        return Stage.OVER_AT_RETURN if over and status is ExitStatus.OK else Stage.CLOSED

    def _is_needed(self) -> bool:
        """Whether another program needs the file. The daemon tells a console all but its own words."""
        if not self.stays_open:
            return self.endpoint.owes_quit
        return self._is_caller or not self.all_stored() or bool(self._keeper.line.strip())

    def _narrate_finish(self, stage: Stage) -> None:
        if stage is Stage.MOVED:
            self._narrator.moved()
        elif stage is Stage.OVERTAKEN:
            self._narrator.overtaken_here(stays_open=self.stays_open)
        elif self.stays_open or (stage is Stage.DETACHING and not self._is_caller):
            self._narrator.left()
        elif stage in (Stage.TELLING, Stage.ENDING) and not self.endpoint.other.present:
            self._narrator.unread_at_the_end()
        if self.endpoint.owes_quit and not self._supervisor.is_live:
            self._narrator.end_stays_unconfirmed(kept=self._keeper.works)

    def _outcome(self, status: ExitStatus) -> ExitStatus:
        """`status`, unless own texts are not stored. That one may have arrived outweighs why the session ended,
        so that no script sends it again."""
        if status is ExitStatus.OK:
            return self._loss
        in_doubt = self._loss is ExitStatus.NOT_CONFIRMED and status is not ExitStatus.INTERRUPTED
        return self._loss if in_doubt else status

    def conclude(self, status: ExitStatus) -> None:
        """The front end knows better how the session has ended."""
        self._exit_status = status

    @property
    def loss(self) -> ExitStatus:
        """The worst that has become of own texts: OK, NOT_SENT or NOT_CONFIRMED."""
        return self._loss

    def _leave_after_acks(self) -> None:
        """The daemon closes the connection once it has stored what we sent."""
        self._stage = Stage.ENDING
        self._finish_soon(wait=self._supervisor.is_connected)

    def _finish_soon(self, *, wait: bool) -> None:
        if not wait:
            self.finish(ExitStatus.OK)
            return
        loop = asyncio.get_running_loop()
        loop.call_later(LEAVE_SECONDS, self.finish, ExitStatus.OK)
        loop.call_later(EXPLAIN_SECONDS, self._explain_wait)

    def _explain_wait(self) -> None:
        if self.leaving and not self.endpoint.calls_classic_server:
            self._narrator.waiting_for_acks()

    def _give_back(self, left: Leftovers) -> None:
        self._narrator.give_back(left)
        self._count_loss(left)

    def _count_loss(self, left: Leftovers) -> None:
        if left.not_confirmed:
            self._loss = ExitStatus.NOT_CONFIRMED
        if left.not_sent:
            self._loss = max(self._loss, ExitStatus.NOT_SENT)
            self._given_back.extend(left.not_sent)

    def _check_end(self) -> None:
        """Follows a console's own quit: it waits for a connection, as messages do, while the console is there."""
        if self.done or self._is_caller:
            return
        if not self.endpoint.phase.is_left:
            self._narrator.end_is_confirmed()
        elif not self._supervisor.is_live:
            self._narrator.end_is_unconfirmed()

    # -------------------------------------------------------------- from the supervisor

    async def keep_connected(self, connect: Connect, retry_for: float | None = None) -> None:
        """Keeps this session connected until it is done; see ConnectionSupervisor.run."""
        await self._supervisor.run(connect, retry_for)

    def route_changed(self) -> None:
        """The addresses or routes of this host are others now."""
        if not self.endpoint.calls_classic_server:  # which answers no question
            self._supervisor.probe()
        self._supervisor.hurry()

    def connection_made(self) -> None:
        """A connection is up: says hello."""
        self.endpoint.greet()
        self._flush()

    def call_failed(self, error: TransportError, verdict: Verdict) -> None:
        self._narrator.call_failed(error, verdict)
        if verdict is Verdict.GIVE_UP:
            self.finish(error.status)
        self._view.refresh()

    def give_up(self, seconds: float) -> None:
        """The user's limit for making a connection is over."""
        busy = self._supervisor.busy
        self._narrator.gave_up(seconds, busy=busy)
        self.finish(ExitStatus.TAKEN if busy else ExitStatus.ABSENT)

    # -------------------------------------------------------------- from the connection (connection.Owner)

    def frames_received(self, connection: Connection, frames: list[wire.Frame]) -> None:
        if self.done:
            return
        try:
            for frame in frames:
                self._receive(frame)
                if self.done:  # another program goes on, or the view has failed: what follows is not acked
                    return
        except ProtocolError as error:
            self.protocol_error(connection, error)
            return
        self._check_end()
        self._mark_displayed()
        self._flush()
        if self._view.behind:
            connection.pause_reading()
        if self.endpoint.ready and self._stage is not Stage.TELLING:
            self._caught_up.set()
        if self._has_ended():
            self.finish(ExitStatus.OK)

    def _has_ended(self) -> bool:
        """Whether nothing is left to wait for."""
        if self._stage is Stage.DETACHING:
            return not self.endpoint.unacked
        if self._stage is Stage.TELLING:  # or the daemon has closed the connection
            return not self.endpoint.owes_quit
        return self._is_caller and self.endpoint.ended and not self.leaving  # the other side has ended it

    def protocol_error(self, connection: Connection, error: ProtocolError) -> None:
        self._narrator.broke_protocol(error)
        connection.close([wire.Error(error.code, str(error))])
        self.finish(ExitStatus.REFUSED)

    def resume_writing(self, connection: Connection) -> None:
        """Nothing waits here: the transport keeps what it could not send."""

    def connection_lost(self, connection: Connection, why: str) -> None:
        verdict = self._supervisor.connection_lost(connection, resumable=not self.endpoint.calls_classic_server)
        self._stop_drafts()
        self.endpoint.connection_lost()
        self._delivery.update(connected=False)
        if self.leaving:
            told = self._stage is not Stage.TELLING or not self.endpoint.owes_quit
            self.finish(ExitStatus.OK if told else ExitStatus.ABSENT)
        elif not self.done:
            self._narrator.connection_lost(why, verdict)
        if verdict is Verdict.REFUSED:
            self.finish(ExitStatus.REFUSED)
        elif verdict is Verdict.GIVE_UP:
            self.finish(ExitStatus.FAILED)
        self._check_end()
        self._view.refresh()

    # -------------------------------------------------------------- frames and events

    def _receive(self, frame: wire.Frame) -> None:
        match frame:
            case wire.Hello():
                self._greet(frame)
            case wire.Here(address=str(address)) if self._caller is not None:
                self._caller = replace(self._caller, address=address, plain=frame.plain, name=frame.name)
            case wire.Typing(draft) if self.endpoint.is_open:
                self._other_types(draft)
            case wire.Live():
                self._stop_drafts()
            case wire.Ring() if self.endpoint.is_open and self.typing_indicator.other_rings():
                self._narrator.rung()
            case wire.Ack():
                self._narrator.message_confirmed()
            case _:
                pass
        self._handle(self.endpoint.receive(frame))
        if self.endpoint.live and self.endpoint.is_open:
            self._follow_live(frame)

    def _follow_live(self, frame: wire.Frame) -> None:
        """Tells what has become of live typing. A console's conversation may open behind the `\\live` line."""
        if isinstance(frame, wire.Live) or self.status.watched:
            self._narrator.live_changed(self.status.live_typing)

    def _other_types(self, draft: str | None) -> None:
        if draft is not None and self.endpoint.is_watched:
            self.typing_indicator.other_draft(draft)
        else:
            self.typing_indicator.other_types()

    def _stop_drafts(self) -> None:
        """Neither side sees a draft any more."""
        self._drafts.stop()
        self.typing_indicator.typing_is_over()

    def _greet(self, hello: wire.Hello) -> None:
        if not self._is_caller:
            self._key = hello.key
            if not self.endpoint.session:
                self._narrator.waiting_for_calls()
        if self._supervisor.greeted():
            self._narrator.answered()

    def _handle(self, events: list[Event]) -> None:
        """Narrates events. Behind them comes a `_flush`, which has the view look again."""
        for event in events:
            match event:
                case RemoteError(code, words):
                    self._turned_away(code, words)
                    continue
                case Connected(detail=caller):
                    self._caller = caller
                case MessageShown(own=True):
                    self._drafts.message_sent()
                case MessageShown():
                    self.typing_indicator.typing_is_over()
                case Presence(here=False):
                    self._stop_drafts()
                case Ended(left=left):
                    self._stop_drafts()
                    self._count_loss(left)
                case EndConfirmed(left=left) | Overtaken(left=left):
                    self._count_loss(left)
                case WentBack(left=left):
                    self._count_loss(left)
                    self._loss = max(self._loss, ExitStatus.NOT_SENT)
                case _:
                    pass
            self._narrator.event(event)
            self._follow(event)

    def _follow(self, event: Event) -> None:
        """What comes after the user has read of `event`."""
        match event:
            case Connected(resumed=False) if self._is_caller and self._given_back:
                self._narrator.can_recall()
            case WentBack():
                self._leave_after_acks()
            case OvertakenHere():
                self._stage = Stage.OVERTAKEN
                self.finish(ExitStatus.TAKEN)
            case _:
                pass

    def _turned_away(self, code: str, words: str) -> None:
        self._stop_drafts()
        verdict = self._supervisor.turned_away(code)
        self._narrator.turned_away(code, words, verdict)
        if verdict is Verdict.GIVE_UP:
            self._refusal = code
            status = ExitStatus.FAILED if code in RETRYABLE_CODES else ExitStatus.REFUSED
            self.finish(ExitStatus.TAKEN if code in _SEAT_CODES else status)

    # -------------------------------------------------------------- inside

    @property
    def _is_caller(self) -> bool:
        return self.endpoint.role is Role.PEER

    def _send_sign(self, sign: Sign) -> bool:
        """Sends a sign if somebody can notice it, and this user lets others see it. A caller's ring reaches also
        an operator who is away, by a program that watches the service. A draft only goes to somebody whose own
        drafts this user sees."""
        if self.endpoint.quiet and sign == wire.Typing():
            return False
        noticed = self.endpoint.other.present or (self._is_caller and isinstance(sign, wire.Ring))
        if not (self._supervisor.is_live and self.endpoint.is_open and noticed):
            return False
        self._post([sign])
        return True

    def _flush(self) -> None:
        """Sends what the endpoint has to say."""
        self._post(self.endpoint.take_frames())
        self._delivery.update(connected=self._supervisor.is_live)
        self._view.refresh()

    def _post(self, frames: Sequence[wire.Frame]) -> None:
        """Records the conversation, and then sends `frames`, behind all that was posted before."""
        self._keeper.record(partial(self._send, self._supervisor.connection, frames))

    def _send(self, connection: Connection | None, frames: Sequence[wire.Frame]) -> None:
        """connection: the one for which they are; the next one begins with a hello."""
        if not frames or connection is not self._supervisor.connection:
            return
        if self._supervisor.send(frames) and self.leaving and self.endpoint.calls_classic_server:
            self._supervisor.hang_up(CLASSIC_END_SECONDS)  # the end of our input is our quit

    def _late(self) -> None:
        """A message is not confirmed in time: is the other side still there?"""
        self._supervisor.probe()
        self._view.refresh()


async def run_session(
    session: Session,
    front_end: Callable[[Session], Awaitable[None]],
    connect: Connect,
    retry_for: float | None = None,
) -> ExitStatus:
    """Lets the two users talk until the session is done; returns the exit status.

    front_end: lets the user type until the session is done; connect: opens a connection, or raises
    TransportError; retry_for: seconds without a connection after which to give up, None for never.
    Raises PychatError when the program itself has failed.
    """
    garbage.started()
    loop = asyncio.get_running_loop()
    when_ended(session.interrupt)  # so that the terminal is put back in order
    loop.add_signal_handler(MOVE_SIGNAL, session.moved)
    watch = RouteWatch(session.route_changed)
    try:
        async with asyncio.TaskGroup() as tasks:
            calling = tasks.create_task(session.keep_connected(connect, retry_for))
            try:
                await front_end(session)
            except asyncio.CancelledError:  # `calling` has failed
                session.interrupt()
            calling.cancel()
    except ExceptionGroup as group:
        raise _sentence_for(group.exceptions[0]) from group
    finally:
        watch.close()
    return session.exit_status


def _sentence_for(error: Exception) -> Exception:
    """The error that the user sees when the program ends with `error`."""
    if isinstance(error, PychatError | EOFError):
        return error
    what = f"{type(error).__name__}: {printable(str(error))}"
    return PychatError(f"This is a bug in pychat ({what}). Please report it.")
