"""Two endpoints and a simple, honest daemon between them: no message is lost, doubled or reordered.

The state machine types, recalls and quits at both ends, carries the frames one by one, cuts connections with all
that is under way on them, delivers the bytes of dead connections late, kills the programs and the daemon, replaces
the console, and lets another one speak. Session files are copied, and the copies go on, one or the other; or they
are lost. After each step it checks what docs/protocol.md promises. At the end all connections are up, everything
has arrived, and nobody waits.

A word that is in several copies can be stored from one and given back from another, each time as what it is for
that copy. It is stored once all the same, and is never nowhere.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from pychat_client.errors import NotAllowedError
from pychat_client.protocol import codec, wire
from pychat_client.protocol.console_endpoint import ConsoleEndpoint
from pychat_client.protocol.digest import digest_of
from pychat_client.protocol.endpoint import Endpoint
from pychat_client.protocol.events import (
    EndConfirmed,
    Ended,
    Event,
    Leftovers,
    MessageQueued,
    MessageShown,
    Overtaken,
)
from pychat_client.protocol.saved import ALL, SavedEndpoint
from pychat_client.protocol.turns import Role, Turns, TurnState
from pychat_client.session.session_file import Need, need
from tests.support.endpoints import HANDLES, NOON, OTHER, say

PEER, OPERATOR = Role.PEER, Role.OPERATOR
NOT_KEPT = "(not kept)"

roles = st.sampled_from(Role)
few = st.integers(0, 4)


@dataclass(eq=False)
class Connection:
    """A connection, and what is under way on it."""

    role: Role
    up: deque[wire.Frame] = field(default_factory=deque)  # to the daemon
    down: deque[wire.Frame] = field(default_factory=deque)  # to the end
    console: str | None = None  # of a console: its id
    token: str = ""  # of a peer: the session that the daemon has given it
    call: int = 0
    refused: bool = False  # the daemon reads nothing more on it
    greeted: bool = False  # the daemon has answered this end's hello
    answered: bool = False  # and the answer has arrived
    in_step: bool = True  # what comes up is for the conversation that this end has been told of


@dataclass(frozen=True)
class Stored:
    """A message in the journal. console: the id of the one that has sent it."""

    role: Role
    text: str
    console: str | None


class Daemon:
    """A journal in a list, and the rules of docs/protocol.md, "A conversation"."""

    def __init__(self, turns: Turns, *, keeps_text: bool) -> None:
        self.counts = TurnState(turns)
        self.journal: list[Stored] = []
        self.shown = {PEER: 0, OPERATOR: 0}
        self.over = False
        self.peer: Connection | None = None  # whose first message was stored, or that has resumed
        self.console: Connection | None = None
        self._callers: list[Connection] = []  # greeted, and nothing said yet
        self._keeps_text = keeps_text
        self._tokens = 0

    def stored(self, role: Role) -> list[str]:
        return [message.text for message in self.journal if message.role is role]

    def receive(self, connection: Connection, frame: wire.Frame) -> None:
        connection.in_step = connection.in_step or isinstance(frame, wire.Ack)
        if connection.refused or not connection.in_step:
            return
        match frame:
            case wire.Hello() if connection.role is PEER:
                self._greet_peer(connection, frame)
            case wire.Hello():
                self._greet_console(connection, frame)
            case wire.Message() if not self.over:
                self.store(connection.role, frame.text, connection)
            case wire.Ack(count):
                self._has_shown(connection.role, count)
            case wire.Quit() if not self.over:
                self.over = True
                for endpoint in Role:
                    self._send(endpoint, wire.Quit())
            case _:
                assert self.over, f"an end sends {frame}"

    def forget_callers(self) -> None:
        """Another daemon has only the journal."""
        self._callers.clear()

    def _greet_console(self, connection: Connection, hello: wire.Hello) -> None:
        self.console, connection.greeted, connection.console = connection, True, hello.console
        connection.down.append(wire.Hello(1, HANDLES[OPERATOR]))
        if self.journal:
            self._resume(OPERATOR, hello.sent or 0, hello.got or 0, after=hello.after)
        self._send(OPERATOR, wire.Ready())

    def _greet_peer(self, connection: Connection, hello: wire.Hello) -> None:
        """Only the newest call takes a session up, also before the first message."""
        connection.call = hello.call or 0
        before = self.peer or next((c for c in self._callers if c.token == hello.session), None)
        same = before is not None and before.token == hello.session
        if self.peer is not None and not same:
            connection.refused = True
            connection.down.append(wire.Busy())
            return
        if before is not None and same and connection.call < before.call:
            connection.refused = True
            return
        if before is not None and same:
            before.refused, connection.token = True, before.token
            self._callers = [caller for caller in self._callers if caller is not before]
        else:
            self._tokens += 1
            connection.token = f"call-{self._tokens}"
        connection.greeted = True
        got, turns = (None if self.peer is None else self.counts.peer), self.counts.turns
        after = None if self.peer is None else hello.after
        digest = self._digest(self.stored(PEER)[hello.sent or 0 :]) if self.peer is not None else None
        answer = wire.Hello(1, HANDLES[OPERATOR], session=connection.token, got=got, turns=turns, after=after)
        connection.down.append(replace(answer, digest=digest))
        if self.peer is None:
            self._callers.append(connection)
        else:
            self.peer = connection
            self._resume(PEER, self.counts.peer, hello.got or 0, after=after)
            if after is not None:
                self._send(PEER, wire.Ready())

    def _digest(self, texts: list[str]) -> str | None:
        return digest_of(texts) if self._keeps_text else None

    def _resume(self, role: Role, sent: int, got: int, *, after: int | None) -> None:
        self._has_shown(role, got)
        self._repeat(role, sent, got, after=after)

    def _repeat(self, role: Role, sent: int, got: int, *, after: int | None) -> None:
        """What `role` does not have yet; to a console also its own messages. after: what it has, too, but for the
        first so many messages."""
        if role is OPERATOR:
            self._begin(got, sent, after)
        counts = {role: 0, OTHER[role]: 0}
        for seq, message in enumerate(self.journal, 1):
            counts[message.role] += 1
            if counts[message.role] > (sent if message.role is role else got):
                self._send(role, *self._repeated(message, role))
            elif after is not None and seq > after:
                at = wire.Timestamp(NOON, own=message.role is role, again=True)
                self._send(role, at, wire.Message(HANDLES[message.role], message.text))
        self._send(role, wire.Read(self.shown[OTHER[role]]))
        if self.over:
            self._send(role, wire.Quit())

    def _has_shown(self, role: Role, count: int) -> None:
        assert count <= self.counts.count(OTHER[role])
        self.shown[role] = max(self.shown[role], count)
        self._send(OTHER[role], wire.Read(self.shown[role]))

    def _repeated(self, message: Stored, to: Role) -> tuple[wire.Frame, ...]:
        own = message.role is to
        gone = own and not self._keeps_text
        mine = own and self.console is not None and message.console == self.console.console
        text = NOT_KEPT if gone else message.text
        return wire.Timestamp(NOON, own=own, mine=mine, gone=gone), wire.Message(HANDLES[message.role], text)

    def store(self, role: Role, text: str, connection: Connection | None) -> None:
        """connection: where the message came from; None for another console, which this machine does not have."""
        if role is PEER and self.peer is None:
            self.peer = connection
        number = self.counts.add(role)
        self.journal.append(Stored(role, text, None if connection is None else connection.console))
        if connection is not None:
            connection.down.append(wire.Ack(number))
        if len(self.journal) == 1:
            self._begin(0, 0)
        self._send(OTHER[role], wire.Message(HANDLES[role], text))

    def _begin(self, heard: int, told: int, after: int | None = None) -> None:
        """Tells the console of the conversation. What it says counts from its ack of that on."""
        if (connection := self.console) is not None:
            connection.in_step = False
            got, turns = self.counts.operator, self.counts.turns
            peer = wire.Peer(HANDLES[PEER], 7, got, heard, told, turns, NOON, "192.0.2.7", after=after)
            behind = [message for message in self.journal if message.role is OPERATOR][told:]
            mine = [message.text for message in behind if message.console == connection.console]
            connection.down.append(replace(peer, mine=len(mine), digest=self._digest(mine)))

    def _send(self, role: Role, *frames: wire.Frame) -> None:
        connection = self.peer if role is PEER else self.console
        if connection is not None:
            connection.down.extend(frames)


class TwoEnds(RuleBasedStateMachine):
    """Everything that can happen to two users, their programs and their connections."""

    turns: Turns
    keeps_text: bool

    def __init__(self) -> None:
        super().__init__()
        self.connections: dict[Role, Connection] = {}
        self.dead: list[Connection] = []  # cut, and the daemon may still get what was under way on them
        self.daemon = Daemon(self.turns, keeps_text=self.keeps_text)
        self.consoles = 0
        self.ends = {PEER: Endpoint(HANDLES[PEER]), OPERATOR: self._new_console()}
        self.screens: dict[Role, list[tuple[Role, str]]] = {role: [] for role in Role}
        self.said: dict[Role, list[str]] = {role: [] for role in Role}
        self.recalled: set[str] = set()
        self.not_sent: set[str] = set()  # given back to its user
        self.not_confirmed: set[str] = set()
        self.copies: dict[Role, list[SavedEndpoint]] = {role: [] for role in Role}  # of files
        self.copied: set[str] = set()  # words that were in a copy at some time
        self.lost: set[str] = set()  # words that were only in a file that is lost
        self.programs = 0  # so many have gone on with a file
        self.files: dict[Role, SavedEndpoint | None] = dict.fromkeys(Role)  # what the programs have recorded
        self.synced: dict[Role, SavedEndpoint | None] = dict.fromkeys(Role)  # what survives a power failure

    # -------------------------------------------------------------- what happens

    @initialize(count=few)
    def they_begin(self, count: int) -> None:
        for role in Role:
            self.connection_comes_up(role)
        self.they_talk(count)

    @precondition(lambda self: len(self.connections) == 2)
    @rule(count=few)
    def they_talk(self, count: int) -> None:
        """Each says something as soon as the other's message has arrived."""
        for _ in range(count):
            self.all_arrives()
            for role, endpoint in self.ends.items():
                if endpoint.my_turn:
                    self.user_speaks(role)
        self.all_arrives()

    @rule(role=roles)
    def user_speaks(self, role: Role) -> None:
        endpoint, text = self.ends[role], f"{role.value} {len(self.said[role])}"
        try:
            event = say(endpoint, text)
        except NotAllowedError:
            assert endpoint.ended or (role is OPERATOR and not endpoint.is_open)
            return
        self.said[role].append(text)
        self._show(role, [event])

    @precondition(lambda self: any(endpoint.held for endpoint in self.ends.values()))
    @rule(role=roles)
    def user_recalls(self, role: Role) -> None:
        text = self.ends[role].recall()
        if text is not None:
            self.recalled.add(text)
            self._flush(role)

    @precondition(lambda self: len(self.daemon.journal) > 5)
    @rule(role=roles)
    def user_quits(self, role: Role) -> None:
        endpoint, connection = self.ends[role], self.connections.get(role)
        can_quit = endpoint.is_open and not endpoint.is_returning  # a new program takes no command before
        if can_quit and connection is not None and (connection.answered or role is PEER):
            self._show(role, [endpoint.quit()])

    @precondition(lambda self: len(self.connections) < 2)
    @rule(role=roles)
    def connection_comes_up(self, role: Role) -> None:
        if role not in self.connections and not self.ends[role].ended:
            self.connections[role] = Connection(role)
            self.ends[role].greet()
            self._flush(role)

    @precondition(lambda self: self.connections)
    @rule(role=roles, arrived=few, again=st.booleans())
    def connection_is_cut(self, role: Role, arrived: int, again: bool) -> None:
        """The first frames on their way to the daemon arrive; the others come late, or never."""
        if role not in self.connections:
            return
        self.some_frames_arrive(role, arrived, 0)
        connection = self.connections.pop(role)
        if role is PEER:  # a console's are gone: its socket is on the same host
            self.dead.append(connection)
        elif self.daemon.console is connection:
            self.daemon.console = None
        self.ends[role].connection_lost()
        if self.ends[role].ended:
            self._take_back(role)
        elif again:
            self.connection_comes_up(role)

    @precondition(lambda self: any(connection.up for connection in self.dead))
    @rule(which=few, count=few)
    def bytes_of_a_dead_connection_arrive(self, which: int, count: int) -> None:
        connection = self.dead[which % len(self.dead)]
        for _ in range(min(count, len(connection.up))):
            self.daemon.receive(connection, connection.up.popleft())

    @precondition(lambda self: any(endpoint.my_turn for endpoint in self.ends.values()))
    @rule(arrived=few, again=st.booleans())
    def connection_is_cut_while_somebody_speaks(self, arrived: int, again: bool) -> None:
        for role, endpoint in self.ends.items():
            if endpoint.my_turn and role in self.connections:
                self.user_speaks(role)
                self.connection_is_cut(role, arrived, again)

    @rule(arrived=few)
    def console_is_replaced(self, arrived: int) -> None:
        self.connection_is_cut(OPERATOR, arrived, False)
        self._take_back(OPERATOR)
        # Their words have an order among those of one console only.
        self.lost.update(text for saved in self.copies[OPERATOR] for text in saved.texts)
        self.copies[OPERATOR].clear()
        self.ends[OPERATOR] = self._new_console()
        self.screens[OPERATOR] = []
        self.connection_comes_up(OPERATOR)

    @rule(role=roles, arrived=few, power_fails=st.booleans(), again=st.booleans())
    def program_dies(self, role: Role, arrived: int, power_fails: bool, again: bool) -> None:
        """The next one has an empty screen, and the file."""
        if self.ends[role].ended:
            return
        self.connection_is_cut(role, arrived, False)
        self._goes_on(role, (self.synced if power_fails else self.files)[role], again)

    @precondition(lambda self: self.keeps_text)  # otherwise other words at the same place are not noticed
    @rule(role=roles)
    def file_is_copied(self, role: Role) -> None:
        saved = self.files[role]
        if saved is not None and saved.session is not None and not saved.left and saved not in self.copies[role]:
            self.copies[role].append(saved)
            self.copied.update(saved.texts)

    @precondition(lambda self: any(self.copies.values()))
    @rule(role=roles, which=few, arrived=few, again=st.booleans())
    def a_copy_goes_on(self, role: Role, which: int, arrived: int, again: bool) -> None:
        """It may be older than the conversation, or that of another host. What the other program has is a copy."""
        usable = [saved for saved in self.copies[role] if role is OPERATOR or self._has_token(saved)]
        if not usable:
            return
        self.connection_is_cut(role, arrived, False)
        if self.ends[role].ended:
            self._take_back(role)
        saved = usable[which % len(usable)]
        self.copies[role].remove(saved)
        self.file_is_copied(role)
        self._lose_words(role)
        self._goes_on(role, saved, again)

    @precondition(lambda self: self.keeps_text and self.daemon.journal)
    @rule(role=roles, here=few, there=few)
    def a_user_speaks_from_two_hosts(self, role: Role, here: int, there: int) -> None:
        """First from one that has no network; then that one is back."""
        self.file_is_copied(role)
        self.connection_is_cut(role, 0, False)
        for count, again in ((here, True), (there, False)):
            for _ in range(count):
                self.user_speaks(role)
            if len(self.connections) == 2:
                self.all_arrives()
            self.a_copy_goes_on(role, len(self.copies[role]) - 1 if again else 0, 0, True)

    @precondition(lambda self: self.daemon.peer is not None and not self.ends[PEER].ended)
    @rule(arrived=few, again=st.booleans())
    def the_callers_file_is_lost(self, arrived: int, again: bool) -> None:
        """The next program is a new caller, and its own conversation has the seat."""
        self.connection_is_cut(PEER, arrived, False)
        self._lose_words(PEER)
        self._goes_on(PEER, None, again)

    @rule(arrived=few, again=st.booleans())
    def daemon_restarts(self, arrived: int, again: bool) -> None:
        """What is under way then arrives nowhere, and who has said nothing is not known any more."""
        for role in Role:
            self.connection_is_cut(role, arrived, False)
        self.dead.clear()
        self.daemon.forget_callers()
        for role in Role if again else ():
            self.connection_comes_up(role)

    @precondition(lambda self: OPERATOR not in self.connections and self.daemon.counts.may_speak(OPERATOR))
    @rule(number=st.integers(0, 1000))
    def another_console_speaks(self, number: int) -> None:
        """It was attached while this one was cut off."""
        if not self.daemon.over:
            self.daemon.store(OPERATOR, f"another {number}", None)

    @precondition(lambda self: self.connections)
    @rule(role=roles, up=few, down=few)
    def some_frames_arrive(self, role: Role, up: int, down: int) -> None:
        if (connection := self.connections.get(role)) is None:
            return
        for _ in range(min(up, len(connection.up))):
            self.daemon.receive(connection, connection.up.popleft())
        for _ in range(min(down, len(connection.down))):
            frame = connection.down.popleft()
            connection.answered = connection.answered or isinstance(frame, wire.Hello)
            self._show(role, self.ends[role].receive(frame))
        self.ends[role].mark_displayed()
        self._flush(role)

    @precondition(lambda self: len(self.connections) == 2)
    @rule()
    def all_arrives(self) -> None:
        rounds = 0
        while any(connection.up or connection.down for connection in self.connections.values()):
            rounds += 1
            assert rounds < 1000, "the talk never comes to rest"
            for role, connection in self.connections.items():
                self.some_frames_arrive(role, len(connection.up), len(connection.down))

    # -------------------------------------------------------------- what must hold

    @invariant()
    def each_end_has_shown_the_others_messages_once_and_in_order(self) -> None:
        for role, screen in self.screens.items():
            if self.ends[role].is_returning:
                continue
            shown = [text for who, text in screen if who is not role]
            assert shown == self.daemon.stored(OTHER[role])[: len(shown)]
            assert len(shown) == self.ends[role].received_count

    @invariant()
    def each_end_has_shown_its_own_messages_once_and_in_order(self) -> None:
        for role, screen in self.screens.items():
            endpoint = self.ends[role]
            if not endpoint.ended and not endpoint.is_returning:
                shown = [text for who, text in screen if who is role]
                expected = [*self.daemon.stored(role)[: endpoint.stored_count], *endpoint.unacked]
                assert len(shown) == len(expected)
                for another in (True, False):  # another console's words come when this one is told of them
                    on_screen, in_order = (
                        [text for text in texts if text.startswith("another") is another]
                        for texts in (shown, expected)
                    )
                    assert NOT_KEPT in shown or on_screen == in_order

    @invariant()
    def the_rules_hold_in_the_journal_and_on_each_screen(self) -> None:
        journal = [message.role for message in self.daemon.journal]
        for speakers in (journal, *([who for who, _ in screen] for screen in self.screens.values())):
            assert speakers[:1] in ([], [PEER])
            if self.turns is Turns.ALTERNATE:
                assert speakers == [PEER, OPERATOR] * (len(speakers) // 2) + [PEER] * (len(speakers) % 2)

    @invariant()
    def nobodys_text_disappears(self) -> None:
        for role, endpoint in self.ends.items():
            stored = [text for text in self.daemon.stored(role) if not text.startswith("another")]
            waiting = [text for text in endpoint.unacked if text not in stored]
            # A copy learns only when it is back what another one has sent meanwhile.
            waiting += [text for text in endpoint.held if text not in self.copied or text not in stored]
            here = {*stored, *waiting}
            away = self.recalled | ((self.not_sent | self.not_confirmed) - set(stored))
            away -= self.copied & here
            away |= {text for saved in self.copies[role] for text in saved.texts} - here
            away |= self.lost - here
            left = [text for text in self.said[role] if text not in away]
            if set(waiting) & self.copied:  # where a copy's words belong is open until it is back
                left.sort(key=lambda text: text not in stored)
            assert left == [*stored, *waiting]

    @invariant()
    def what_was_told_to_be_not_sent_is_never_stored(self) -> None:
        assert not (self.not_sent - self.copied) & {message.text for message in self.daemon.journal}

    @invariant()
    def a_caller_without_the_file_does_not_get_into_the_conversation(self) -> None:
        if self._is_stranger(PEER):
            endpoint = self.ends[PEER]
            assert not endpoint.unacked
            assert not self.screens[PEER]
            assert not set(endpoint.held) & set(self.daemon.stored(PEER))

    def teardown(self) -> None:
        for connection in self.dead:
            while connection.up:
                self.daemon.receive(connection, connection.up.popleft())
        for role in Role:
            self.connection_comes_up(role)
        self.all_arrives()
        self.each_end_has_shown_the_others_messages_once_and_in_order()
        self.each_end_has_shown_its_own_messages_once_and_in_order()
        self.nobodys_text_disappears()
        for role in self.connections:
            endpoint = self.ends[role]
            assert not {*endpoint.unacked, *endpoint.held} & set(self.daemon.stored(role))
            if self._is_stranger(role):
                continue
            assert endpoint.received_count == self.daemon.counts.count(OTHER[role])
            assert endpoint.ended == self.daemon.over
            if not endpoint.ended:
                assert not endpoint.unacked
                assert not endpoint.held or not endpoint.my_turn
                assert endpoint.stored_count == self.daemon.counts.count(role)
                assert endpoint.read_count == (
                    endpoint.stored_count if self._is_there(OTHER[role]) else self.daemon.shown[OTHER[role]]
                )

    # -------------------------------------------------------------- inside

    def _show(self, role: Role, events: Iterable[Event]) -> None:
        for event in events:
            match event:
                case MessageQueued(
                    text
                ):  # it may have been shown already: another console was faster, and it waits again
                    self._take_from_screen(role, text)
                case MessageShown(message, own):
                    self.screens[role].append((role if own else OTHER[role], message.text))
                case Ended(left=left) | EndConfirmed(left=left) | Overtaken(left=left):
                    self._note(role, left)
                case _:
                    pass
        self._flush(role)

    def _goes_on(self, role: Role, saved: SavedEndpoint | None, again: bool) -> None:
        """Another program of the same user, with an empty screen."""
        self.programs += 1
        if role is PEER:
            self.ends[role] = Endpoint(HANDLES[role], saved=saved, repeat=ALL, calls=1000 * self.programs)
        else:
            self.ends[role] = self._new_console(saved)
        self.files[role] = self.synced[role] = saved
        self.screens[role] = []
        if again:
            self.connection_comes_up(role)

    def _lose_words(self, role: Role) -> None:
        """The present file of a user is not there any more, unless it is among the copies."""
        kept = {text for saved in self.copies[role] for text in saved.texts}
        self.lost.update({*self.ends[role].unacked, *self.ends[role].held} - kept - set(self.daemon.stored(role)))

    def _has_token(self, saved: SavedEndpoint) -> bool:
        """Before the first message, a daemon that was started anew has given another one."""
        return self.daemon.peer is not None and saved.session == self.daemon.peer.token

    def _is_stranger(self, role: Role) -> bool:
        """Whether this user's program has lost its file, and calls as anybody else."""
        return role is PEER and self.daemon.peer is not None and self.ends[role].session is None

    def _is_there(self, role: Role) -> bool:
        return role in self.connections and not self._is_stranger(role)

    def _new_console(self, saved: SavedEndpoint | None = None) -> Endpoint:
        self.consoles += 1
        return ConsoleEndpoint(HANDLES[OPERATOR], console=f"c{self.consoles}", saved=saved, repeat=ALL)

    def _take_back(self, role: Role) -> None:
        self._note(role, self.ends[role].take_back())

    def _take_from_screen(self, role: Role, text: str) -> None:
        if (role, text) in self.screens[role]:
            self.screens[role].remove((role, text))

    def _note(self, role: Role, left: Leftovers) -> None:
        for text in (*left.not_sent, *left.not_confirmed):
            self._take_from_screen(role, text)
        self.not_sent.update(left.not_sent)
        self.not_confirmed.update(left.not_confirmed)

    def _flush(self, role: Role) -> None:
        frames, saved = self.ends[role].take_frames(), self.ends[role].saved()
        nothing = SavedEndpoint("")
        if need(self.synced[role] or nothing, saved or nothing) is Need.SYNC:
            self.synced[role] = saved
        if need(self.files[role] or nothing, saved or nothing) is not Need.NOTHING:
            self.files[role] = saved
        assert role in self.connections or not frames
        for frame in frames:
            carried = codec.parse(str(frame).encode())
            assert carried == frame
            self.connections[role].up.append(carried)


class TakingTurns(TwoEnds):
    turns = Turns.ALTERNATE
    keeps_text = True


class SpeakingFreely(TwoEnds):
    turns = Turns.FREE
    keeps_text = True


class KeepingNoText(TwoEnds):
    turns = Turns.FREE
    keeps_text = False


often = settings(
    max_examples=100,  # the faults of tests/simulation/planted.py that it finds are found within 20
    stateful_step_count=40,
    phases=set(Phase) - {Phase.explain},
    report_multiple_bugs=False,
)

TestTakingTurns = TakingTurns.TestCase
TestTakingTurns.settings = often
TestSpeakingFreely = SpeakingFreely.TestCase
TestSpeakingFreely.settings = often
TestKeepingNoText = KeepingNoText.TestCase
TestKeepingNoText.settings = often
