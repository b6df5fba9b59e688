"""One connection of a console, over the UNIX socket.

Owns the connection, and the place in the journal up to which it has sent the console everything. It reads the
journal forward: first what the console missed of conversations that are over, then the running one. So a slow or
new console needs no queue.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from enum import Enum

from pychat_client.errors import ExitStatus, MessageError, ProtocolError, PychatError, UsageError
from pychat_client.look_alikes import looks_like
from pychat_client.phrases import counted
from pychat_client.protocol import wire
from pychat_client.protocol.digest import UNACKED_MAX, digest_of
from pychat_client.protocol.turns import Role
from pychat_client.text import check_room, printable
from pychat_client.transport.connection import CloseReason, Connection
from pychatd.caller_words import told, was_damaged
from pychatd.conversation.backup_sender import BackupSender
from pychatd.conversation.cursor import Cursor
from pychatd.conversation.endpoint_session import EndpointSession
from pychatd.conversation.history_reader import HistoryReader
from pychatd.conversation.interfaces import ConsoleInterface
from pychatd.conversation.model import (
    REST_REMOVED,
    TEXT_REMOVED,
    Conversation,
    Entry,
    JournalError,
    MissedCall,
    conversation_number,
)
from pychatd.conversation.quota import UNREAD_CONVERSATIONS_MAX
from pychatd.conversation.reading_price import ReadingPrice
from pychatd.conversation.switchboard import Switchboard
from pychatd.conversation.watcher import Watcher
from pychatd.conversation.watchers import OF_ONE_USER

CONSOLE_HELLO_SECONDS = 10.0
"""Time for a console's first line: the programs are on this host, and send it at once."""

VISITOR_READ = 256
"""Bytes that are read at a time from a program that is not the console. It has one line to say, and pings: 40 of
these take a tenth of a millisecond, in which nobody else is served."""

VISITORS_MAX = 16
"""Connections to the console socket at the same time, besides that of the attached console, which has a place of
its own: others ask for status and history. The price of reading is divided among so many."""

UNREAD_SHOWN = 10
"""Unread conversations that a console is sent whole when it attaches; it can ask for the older ones."""

log = logging.getLogger("pychatd")


class ConsoleState(Enum):
    """What a console's connection has come to."""

    CONNECTED = "connected"  # it has not attached
    CATCHING_UP = "catching up"  # the daemon sends what it missed
    READY = "ready"  # it is up to date, and knows it


class ConsoleSession(EndpointSession):
    """Owns one console's connection."""

    def __init__(
        self,
        switchboard: Switchboard,
        user: str,
        uid: int,
        status: Callable[[], str],
        execute: Callable[[str], list[str]],
    ) -> None:
        """user, uid: the system's name and number for the user at the other end of the socket; status: gives the
        service's state as JSON; execute: does what an order says, and returns what to answer."""
        super().__init__(switchboard, f"console of {user}", pace=self)
        self.user = user
        self.console: str | None = None  # the id of its program
        self.call = 0  # the number of this call: later ones of that program have higher numbers
        self.quiet = False  # its user sends no signs of typing and no read marks
        self._uid = uid
        self._status = status
        self._execute = execute
        self._state = ConsoleState.CONNECTED
        self._handle = ""  # of its hello, and of its messages
        self._cursor = Cursor()
        self._price = ReadingPrice()
        self._room: int | None = None  # that the console knows of the running conversation's peer
        self._set_deadline(CONSOLE_HELLO_SECONDS, lambda: self.connection.abort(CloseReason.NO_HELLO))

    # -------------------------------------------------------------- from the connection

    def connection_lost(self, connection: Connection, why: str) -> None:
        self._cancel_deadline()
        self._switchboard.detach(self)

    # -------------------------------------------------------------- until it attaches (connection.Pace)

    read_max = VISITOR_READ

    def pause_after(self, data: bytes, now: float) -> float:
        return self._price.of_stranger(data, 0, VISITORS_MAX, now)

    # -------------------------------------------------------------- from the switchboard (ConsoleInterface)

    @property
    def number(self) -> int:
        return self.conversation.id if self.conversation is not None and self._cursor.in_step else 0

    def acknowledge(self, entries: Sequence[Entry]) -> None:
        if self._cursor.seq == entries[0].seq - 1:
            self._cursor.told_to(entries[-1])
        self.connection.send([wire.Ack(entries[-1].n)])

    def deliver(self, entries: Sequence[Entry]) -> None:
        if self._room is not None and self._room != self._switchboard.max_text_bytes():
            self.send_presence()  # what was taken for a program has turned out to be a person
        if self._is_told_running() and self.connection.writable and self._cursor.seq == entries[0].seq - 1:
            self._cursor.told_to(entries[-1])
            self.connection.send([wire.Message(entry.handle, entry.text) for entry in entries])
        else:
            self.send_backlog()

    def send_presence(self) -> None:
        conversation, peer = self.conversation, self._switchboard.peer
        if conversation is None or not self._is_told_running():
            return
        if peer is None:
            self.connection.send([wire.Away()])
        else:
            self._room = self._switchboard.max_text_bytes()
            handle, name, quiet = conversation.handle, conversation.name, conversation.quiet[Role.PEER]
            self.connection.send([wire.Here(handle, peer.address, not peer.secure, name, quiet, self._room)])

    def tell_missed(self, call: MissedCall) -> None:
        at = [] if self._is_recent(call.time) else [wire.Timestamp(call.time)]
        self.connection.send([*at, call.line()])

    def send_backlog(self) -> None:
        """Tells the console what it does not know yet, as far as it reads."""
        if not self.is_admitted:
            return
        try:
            while self.connection.writable and self._send_batch():
                pass
            if self._state is ConsoleState.CATCHING_UP and self.connection.writable and self._is_up_to_date():
                self._state = ConsoleState.READY
                self.connection.send([wire.Ready()])
        except JournalError as error:
            self._journal_failed(error)

    def close_taken_over(self, other: ConsoleInterface) -> None:
        if self._is_same_program(other):
            self._close_displaced()
            return
        try:
            stored = self._stored_in(self.conversation)
        except JournalError as error:  # its program cannot know then what has become of its last messages
            self._switchboard.journal_failed(error)
            stored = []
        self.connection.close([*stored, wire.Error("taken-over", f"{other.user} has taken over the console.")])

    def _close_displaced(self) -> None:
        """Its program has a newer connection, or another program goes on with its state: that one may still send
        what is not stored, so nothing is said of it here."""
        words = "A newer connection of this console has taken its place."
        self.connection.close([wire.Error("displaced", words)])

    def _is_same_program(self, other: ConsoleInterface) -> bool:
        """Whether the programs of both have one id: the same one, or one that goes on with the other's state."""
        return self.console is not None and self.console == other.console

    def _is_up_to_date(self) -> bool:
        """Whether the console has got all that it missed of conversations that are over."""
        return self.conversation is None or self.conversation.ended is None

    def _is_told_running(self) -> bool:
        """Whether the console gets the running conversation now."""
        return self.conversation is not None and self.conversation is self._switchboard.conversation

    def _stored_in(self, conversation: Conversation | None, known: int | None = None) -> list[wire.Frame]:
        """Tells a console that is refused how many of its own messages are stored. known: as in `_own_behind`."""
        if conversation is None or self.console is None:
            return []
        _, digest = self._own_behind(conversation, known)
        return [wire.Stored(self._switchboard.journal.sent_by(conversation.id, self.console), digest)]

    def _own_behind(self, conversation: Conversation, known: int | None) -> tuple[int | None, str | None]:
        """How many of the operator's messages behind the first `known` this console has sent, and their digest, so
        that its program can compare them with its own. Raises JournalError."""
        if known is None or self.console is None:
            return None, None
        texts = self._switchboard.journal.texts_sent_by(conversation.id, self.console, known, UNACKED_MAX + 1)
        return len(texts) or None, digest_of(texts)

    # -------------------------------------------------------------- the first line

    @property
    def is_admitted(self) -> bool:
        return self._state is not ConsoleState.CONNECTED

    def _on_first(self, frame: wire.Frame) -> None:
        self._cancel_deadline()
        match frame:
            case wire.Status():
                self.connection.close([wire.Status(self._status())])
            case wire.Order(words):
                self.connection.close(self._answer(words))
            case wire.Backup():
                self._send_backup()
            case wire.History(since, number):
                log.info("console: %s reads the history", self.user)
                switchboard = self._switchboard
                self.connection.hand_over(
                    HistoryReader(switchboard.journal, self.connection, since, number, switchboard.journal_failed)
                )
            case wire.Watch():
                self._watch(frame)
            case _:
                self._attach(self._check_hello(frame, wire.VERSION))

    def _watch(self, question: wire.Watch) -> None:
        """Raises JournalError."""
        if self._switchboard.watchers.is_crowded(self._uid):
            words = f"{OF_ONE_USER} programs of your user watch it already. End one of them first."
            self.connection.close([wire.Error("crowded", words)])
            return
        log.info("console: %s watches", self.user)
        self.connection.hand_over(Watcher(self._switchboard, self.connection, self._uid, question))

    def _send_backup(self) -> None:
        """Raises JournalError."""
        log.info("console: %s makes a backup", self.user)
        switchboard = self._switchboard
        try:
            sender = BackupSender(switchboard.journal, self.connection, switchboard.journal_failed)
        except JournalError:
            raise
        except PychatError as error:
            self.connection.close([wire.Error("order", str(error))])
        else:
            self.connection.hand_over(sender)

    def _answer(self, words: str) -> list[wire.Frame]:
        """Does what an order says; the whole answer. Raises JournalError."""
        try:
            return [*map(wire.Order, self._carry_out(words)), wire.Ready()]
        except JournalError:
            raise
        except PychatError as error:
            code = "usage" if error.status is ExitStatus.USAGE else "order"
            return [wire.Error(code, str(error))]

    def _carry_out(self, words: str) -> list[str]:
        """Does what an order says; the lines of the answer. Raises PychatError."""
        log.info("console: %s orders: %s", self.user, printable(words))
        return self._execute(words)

    def _attach(self, hello: wire.Hello) -> None:
        switchboard = self._switchboard
        self.console, self.quiet, self._live = hello.console, hello.quiet, hello.live
        self.call = hello.call or 0
        switchboard.reload_from_journal()
        attached = switchboard.operator
        again = attached is not None and self._is_same_program(attached)
        if attached is not None and again and self._is_older(hello, attached.call):
            self._close_displaced()
            return
        if attached is not None and not again and not hello.take:
            words = f"{attached.user} is using the console. Use --take-over to take it over."
            stored = self._stored_in(self._known_to(hello), hello.sent)
            self.connection.close([*stored, wire.Error("held", words)])
            return
        handle = (switchboard.settings.handle or hello.handle) if hello.suggested else hello.handle
        running = switchboard.conversation
        if running is not None and looks_like(handle, running.handle):
            words = f"Your handle looks too much like {running.handle}, the handle of the caller."
            raise ProtocolError("handle", f"{words} Start the console with another one: --handle NAME.")
        self._state, self._handle = ConsoleState.CATCHING_UP, handle
        self.connection.read_freely()
        switchboard.attach(self, handle)
        keep, key = switchboard.settings.keep, switchboard.fingerprint
        self.connection.send([wire.Hello(wire.VERSION, switchboard.handle, keep=keep, key=key)])
        self._leave_out_older()
        switchboard.tell_calls(self)
        if switchboard.journal.was_damaged:
            self.connection.send([wire.Notice(was_damaged(told(switchboard.settings.state)))])
        if (known := self._known_to(hello)) is not None:
            self._go_on(known, hello)
        self.send_backlog()

    def _go_on(self, conversation: Conversation, hello: wire.Hello) -> None:
        """Begins where the console was. If the journal lacks something that the console has, it begins anew."""
        state, got, sent = conversation.turn_state, hello.got or 0, hello.sent or 0
        operators, peers = max(sent - state.operator, 0), max(got - state.peer, 0)
        if operators + peers:
            self._switchboard.journal_went_back(conversation, Role.OPERATOR, operators=operators, peers=peers)
            self._begin(conversation, 0, 0)
        else:
            self._begin(conversation, got, sent, hello.after, compared=True)

    def _leave_out_older(self) -> None:
        """Begins with the newest unread conversations: nobody reads hundreds of them at once."""
        if older := self._switchboard.journal.unread(UNREAD_CONVERSATIONS_MAX, skip=UNREAD_SHOWN):
            self._cursor = Cursor(older[0].number)
            count = counted(len(older), "older conversation")
            words = f"Also unread: {count}. \\unread lists them; \\unread NUMBER shows one."
            self.connection.send([wire.Notice(words)])

    def _known_to(self, hello: wire.Hello) -> Conversation | None:
        """The conversation that a console which comes back was in. Another journal may have its number, too."""
        found = None if hello.conversation is None else self._find(hello.conversation)
        same = found is None or hello.since in (None, found.started)
        return found if same else None

    def _find(self, number: int) -> Conversation | None:
        running = self._switchboard.conversation
        if running is not None and running.id == number:
            return running
        return self._switchboard.journal.by_id(number)

    # -------------------------------------------------------------- what goes to it

    def _begin(
        self,
        conversation: Conversation,
        peer_offset: int,
        operator_offset: int,
        again_after: int | None = None,
        *,
        compared: bool = False,
    ) -> None:
        """From here on the console gets `conversation`, without the first messages of each side. again_after:
        these are repeated, too, from here on; compared: the console may have sent some of what follows."""
        self._switchboard.set_quiet(conversation, Role.OPERATOR, self.quiet)
        self.conversation = conversation
        self._cursor = self._cursor.begin(conversation, peer_offset, operator_offset, again_after)
        mine, digest = self._own_behind(conversation, operator_offset if compared else None)
        heading = conversation.heading(peer_offset, operator_offset)
        heading = replace(heading, after=again_after, mine=mine, digest=digest)
        running, peer = self._is_told_running(), self._switchboard.peer
        if running and peer is not None:
            self._room = self._switchboard.max_text_bytes()
            heading = replace(heading, room=self._room, plain=not peer.secure)
        frames: list[wire.Frame] = [heading]
        if count := conversation.read_mark(Role.PEER):
            frames.append(wire.Read(count))
        if running and peer is None:
            frames.append(wire.Away())
        self.connection.send(frames)
        self._switchboard.tell_live()

    def _send_batch(self) -> bool:
        """Sends the next piece. Returns False when there is nothing more to tell now."""
        conversation = self.conversation
        if conversation is None:
            return self._begin_next()
        turn_state, cursor = conversation.turn_state, self._cursor
        if cursor.seq < turn_state.peer + turn_state.operator:
            if entries := self._switchboard.journal.entries(conversation.id, cursor.seq):
                cursor.told_to(entries[-1])
                self.connection.send([frame for entry in entries for frame in self._frames_for(entry)])
            else:  # removed meanwhile
                cursor.leave_out_rest(conversation)
                if cursor.due < turn_state.peer:
                    self.connection.send([wire.Notice(REST_REMOVED)])
            return True
        # Not before its last ack: an ack names no conversation, and could be taken for one of the next.
        if conversation.ended is None or cursor.owes_ack:
            return False
        self.connection.send(self._end_frames(conversation, Role.OPERATOR))
        self.conversation, self._cursor = None, cursor.finish(conversation)
        return True

    def _begin_next(self) -> bool:
        """Begins the next conversation with something new for the operator. Returns False if there is none."""
        following = self._switchboard.next_unseen(self._cursor.previous)
        if following is None:
            return False
        if following.ended is None and self._switchboard.settings.keep != "none":
            self._begin(following, 0, 0)
        else:  # only what was missed: the operator knows the rest, or it has been removed
            self._begin(following, following.shown[Role.OPERATOR], following.turn_state.operator)
        return True

    def _frames_for(self, entry: Entry) -> list[wire.Frame]:
        """The lines of one message; none if the console has it, or has sent it since."""
        if self._cursor.repeats_again(entry):
            own = entry.role is Role.OPERATOR
            gone = not entry.text or (own and entry.n > self._cursor.own_until)
            at = wire.Timestamp(entry.time, own=own, gone=gone, again=True)
            return [at, wire.Message(entry.handle, entry.text or TEXT_REMOVED)]
        if not self._cursor.repeats(entry):
            return []
        message = wire.Message(entry.handle, entry.text or TEXT_REMOVED)
        if entry.role is Role.OPERATOR:
            mine = entry.console is not None and entry.console == self.console
            return [wire.Timestamp(entry.time, own=True, mine=mine, gone=not entry.text), message]
        return [message] if self._is_recent(entry.time) else [wire.Timestamp(entry.time), message]

    # -------------------------------------------------------------- what it sends

    def _say(self, messages: Sequence[wire.Message]) -> None:
        # Text for the conversation before is not subject to the limit of this peer's program.
        limit = self._switchboard.max_text_bytes() if self._is_for_running() else None
        self._check_handles(messages, self._handle)
        for message in messages:
            try:
                check_room(message.text, limit)
            except MessageError as error:
                raise ProtocolError("too-long", str(error)) from None
        if self._switchboard.operator is self:
            self._switchboard.operator_says(self, messages)

    def _lines_for(self, words: str) -> list[str]:
        """What the attached console is shown for an order. Raises JournalError."""
        try:
            verb, _, rest = words.partition(" ")
            if verb == "unread" and rest:
                self._open_unread(conversation_number(rest))
                return []
            return self._carry_out(words)
        except JournalError:
            raise
        except PychatError as error:
            return [str(error)]

    def _open_unread(self, number: int) -> None:
        """Sends an unread conversation. Raises UsageError if that cannot be done now."""
        conversation = self._switchboard.journal.by_id(number)
        if conversation is None or conversation.ended is None or not conversation.unread(Role.PEER):
            raise UsageError(f"There is no unread conversation {number}. \\unread lists them.")
        if self.conversation is not None:
            port = self._switchboard.settings.port
            words = f"Run 'pychatd-console --history --conversation {number} {port}' to read it."
            raise UsageError(f"Another conversation is open here, so this one cannot be shown now. {words}")
        self._begin(conversation, conversation.shown[Role.OPERATOR], conversation.turn_state.operator)
        self.send_backlog()

    def _is_for_running(self) -> bool:
        """Whether what the console sends is for the running conversation."""
        return self._switchboard.conversation is not None and self._switchboard.conversation.id == self.number

    def _handle_control(self, frame: wire.Frame) -> None:
        match frame:
            case wire.Order(words):
                self.connection.send([wire.Notice(line) for line in self._lines_for(words)])
            case wire.Quit(reason):
                if self._is_for_running():
                    self._switchboard.end_conversation(reason, Role.OPERATOR)
            case wire.Away(words):
                self._switchboard.go_away(self, words)
            case wire.Typing() | wire.Ring() if not self._cursor.in_step:
                pass  # it may be meant for the conversation before
            case _:
                super()._handle_control(frame)

    def _on_ack(self, count: int) -> None:
        conversation = self.conversation
        if conversation is None:
            return
        self._switchboard.mark_shown(conversation, Role.OPERATOR, count)
        self._cursor.acked_to(count)
        if conversation.ended is not None:
            self.send_backlog()

    def _journal_words(self, error: JournalError) -> str:
        return str(error)
