"""Two ends and the plainest honest daemon between them: whatever is cut, nothing is lost, doubled or reordered.

The machine says, recalls and quits at both ends, carries frames one by one, cuts links with all that
is under way on them, and replaces the console. What docs/protocol.md promises is checked after each
step; in the end every link is up, everything has arrived, and nobody has to wait for anything.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from pychat_client import codec, wire
from pychat_client.conversation import Endpoint
from pychat_client.errors import Refused
from pychat_client.events import Event, Over, Said
from pychat_client.ledger import Ledger, Role, Turns

PEER, OPERATOR = Role.PEER, Role.OPERATOR
OTHER = {PEER: OPERATOR, OPERATOR: PEER}
HANDLES = {PEER: "Client1", OPERATOR: "alice"}
NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)

roles = st.sampled_from(Role)
few = st.integers(0, 4)


@dataclass
class Line:
    """A link that is up, and what is under way on it."""

    up: deque[wire.Frame] = field(default_factory=deque)  # to the daemon
    down: deque[wire.Frame] = field(default_factory=deque)  # to the end
    greeted: bool = False  # the daemon has answered this end's hello
    answered: bool = False  # and the answer has arrived
    in_step: bool = True  # what comes up is for the conversation that this end has been told of


class Daemon:
    """A journal in a list, and the rules of docs/protocol.md, "A conversation"."""

    def __init__(self, turns: Turns, lines: dict[Role, Line]) -> None:
        self.ledger = Ledger(turns)
        self.journal: list[tuple[Role, str]] = []
        self.shown = {PEER: 0, OPERATOR: 0}
        self.over = False
        self._lines = lines
        self._calls = 0
        self._token = ""

    def stored(self, role: Role) -> list[str]:
        return [text for who, text in self.journal if who is role]

    def receive(self, role: Role, frame: wire.Frame) -> None:
        line = self._lines[role]
        line.in_step = line.in_step or isinstance(frame, wire.Ack)
        if not line.in_step:
            return
        match frame:
            case wire.Hello():
                self._greet(role, frame)
            case wire.Message() if not self.over:
                self._store(role, frame.text)
            case wire.Ack(count):
                self._has_shown(role, count)
            case wire.Quit() if not self.over:
                self.over = True
                for end in Role:
                    self._send(end, wire.Quit())
            case _:
                assert self.over, f"an end sends {frame}"

    def _greet(self, role: Role, hello: wire.Hello) -> None:
        self._lines[role].greeted = True
        if role is OPERATOR:
            self._send(role, wire.Hello(1, HANDLES[role]))
        else:
            known = bool(self.journal)
            assert not known or hello.session == self._token
            self._calls += 1
            self._token = self._token if known else f"call-{self._calls}"
            turns, stored = self.ledger.turns.value, self.ledger.peer if known else None
            self._send(role, wire.Hello(1, HANDLES[OPERATOR], session=self._token, got=stored, turns=turns))
        if self.journal:
            sent, got = (self.ledger.peer if role is PEER else hello.sent or 0), hello.got or 0
            self._has_shown(role, got)
            self._repeat(role, sent, got)

    def _repeat(self, role: Role, sent: int, got: int) -> None:
        """What `role` has not got yet; a console is repeated its own messages too."""
        if role is OPERATOR:
            self._begin(got, sent)
        counts = {role: 0, OTHER[role]: 0}
        for who, text in self.journal:
            counts[who] += 1
            if counts[who] > (sent if who is role else got):
                self._send(role, wire.At(NOON, own=who is role), wire.Message(HANDLES[who], text))
        self._send(role, wire.Read(self.shown[OTHER[role]]))
        if self.over:
            self._send(role, wire.Quit())

    def _has_shown(self, role: Role, count: int) -> None:
        assert count <= self.ledger.count(OTHER[role])
        self.shown[role] = max(self.shown[role], count)
        self._send(OTHER[role], wire.Read(self.shown[role]))

    def _store(self, role: Role, text: str) -> None:
        number = self.ledger.add(role)
        self.journal.append((role, text))
        self._send(role, wire.Ack(number))
        if len(self.journal) == 1:
            self._begin(0, 0)
        self._send(OTHER[role], wire.Message(HANDLES[role], text))

    def _begin(self, heard: int, told: int) -> None:
        """Tells the console of the conversation; what it says counts from its ack of that on."""
        if (line := self._lines.get(OPERATOR)) is not None and line.greeted:
            line.in_step = False
            got, turns = self.ledger.operator, self.ledger.turns.value
            line.down.append(wire.Peer(HANDLES[PEER], "7", got, heard, told, turns, NOON, "192.0.2.7"))

    def _send(self, role: Role, *frames: wire.Frame) -> None:
        line = self._lines.get(role)
        if line is not None and line.greeted:
            line.down.extend(frames)


class TwoEnds(RuleBasedStateMachine):
    """Everything that can happen to two users, their programs and their links."""

    turns: Turns

    def __init__(self) -> None:
        super().__init__()
        self.lines: dict[Role, Line] = {}
        self.daemon = Daemon(self.turns, self.lines)
        self.ends = {role: Endpoint(role, HANDLES[role]) for role in Role}
        self.screens: dict[Role, list[tuple[Role, str]]] = {role: [] for role in Role}
        self.said: dict[Role, list[str]] = {role: [] for role in Role}
        self.recalled: set[str] = set()
        self.returned: set[str] = set()  # given back to the user as not delivered

    # -------------------------------------------------------------- what happens

    @initialize(count=few)
    def they_begin(self, count: int) -> None:
        for role in Role:
            self.link_comes_up(role)
        self.they_talk(count)

    @precondition(lambda self: len(self.lines) == 2)
    @rule(count=few)
    def they_talk(self, count: int) -> None:
        """Undisturbed, each says something as soon as the other's words have arrived."""
        for _ in range(count):
            self.all_arrives()
            for role, end in self.ends.items():
                if end.my_turn:
                    self.user_speaks(role)
        self.all_arrives()

    @rule(role=roles)
    def user_speaks(self, role: Role) -> None:
        end, text = self.ends[role], f"{role.value} {len(self.said[role])}"
        try:
            event = end.say(text)
        except Refused:
            assert end.over or (role is OPERATOR and not end.open)
            return
        self.said[role].append(text)
        self._show(role, [event])

    @precondition(lambda self: any(end.held for end in self.ends.values()))
    @rule(role=roles)
    def user_recalls(self, role: Role) -> None:
        text = self.ends[role].recall()
        if text is not None:
            self.recalled.add(text)

    @precondition(lambda self: len(self.daemon.journal) > 5)
    @rule(role=roles)
    def user_quits(self, role: Role) -> None:
        end, line = self.ends[role], self.lines.get(role)
        if end.open and line is not None and (line.answered or role is PEER):
            self._show(role, [end.quit()])

    @precondition(lambda self: len(self.lines) < 2)
    @rule(role=roles)
    def link_comes_up(self, role: Role) -> None:
        if role not in self.lines and not self.ends[role].over:
            self.lines[role] = Line()
            self.ends[role].greet()
            self._flush(role)

    @precondition(lambda self: self.lines)
    @rule(role=roles, arrived=few, again=st.booleans())
    def link_is_cut(self, role: Role, arrived: int, again: bool) -> None:
        """What was under way is lost, but for the first frames on their way to the daemon."""
        if role not in self.lines:
            return
        self.some_frames_arrive(role, arrived, 0)
        del self.lines[role]
        self.ends[role].lost()
        if self.ends[role].over:
            self.returned.update(self.ends[role].take_undelivered())
        elif again:
            self.link_comes_up(role)

    @precondition(lambda self: any(end.my_turn for end in self.ends.values()))
    @rule(arrived=few, again=st.booleans())
    def link_is_cut_while_somebody_speaks(self, arrived: int, again: bool) -> None:
        for role, end in self.ends.items():
            if end.my_turn and role in self.lines:
                self.user_speaks(role)
                self.link_is_cut(role, arrived, again)

    @rule(arrived=few)
    def console_is_replaced(self, arrived: int) -> None:
        self.link_is_cut(OPERATOR, arrived, False)
        self.returned.update(self.ends[OPERATOR].take_undelivered())
        self.ends[OPERATOR] = Endpoint(OPERATOR, HANDLES[OPERATOR])
        self.screens[OPERATOR] = []
        self.link_comes_up(OPERATOR)

    @precondition(lambda self: self.lines)
    @rule(role=roles, up=few, down=few)
    def some_frames_arrive(self, role: Role, up: int, down: int) -> None:
        if (line := self.lines.get(role)) is None:
            return
        for _ in range(min(up, len(line.up))):
            self.daemon.receive(role, line.up.popleft())
        if role is OPERATOR and line.down and isinstance(line.down[0], wire.Hello):
            down = max(down, 2)  # until test_a_text_between_hello_and_peer_goes_once passes
        for _ in range(min(down, len(line.down))):
            frame = line.down.popleft()
            line.answered = line.answered or isinstance(frame, wire.Hello)
            self._show(role, self.ends[role].receive(frame))
        self.ends[role].shown()
        self._flush(role)

    @precondition(lambda self: len(self.lines) == 2)
    @rule()
    def all_arrives(self) -> None:
        rounds = 0
        while any(line.up or line.down for line in self.lines.values()):
            rounds += 1
            assert rounds < 1000, "the talk never comes to rest"
            for role, line in self.lines.items():
                self.some_frames_arrive(role, len(line.up), len(line.down))

    # -------------------------------------------------------------- what must hold

    @invariant()
    def each_end_has_shown_the_others_messages_once_and_in_order(self) -> None:
        for role, screen in self.screens.items():
            shown = [text for who, text in screen if who is not role]
            assert shown == self.daemon.stored(OTHER[role])[: len(shown)]
            assert len(shown) == self.ends[role].received

    @invariant()
    def each_end_has_shown_its_own_messages_once_and_in_order(self) -> None:
        for role, screen in self.screens.items():
            end = self.ends[role]
            if not end.over:
                shown = [text for who, text in screen if who is role]
                assert shown == [*self.daemon.stored(role)[: end.stored], *end.outbox]

    @invariant()
    def the_rules_hold_in_the_journal_and_on_each_screen(self) -> None:
        for talk in (self.daemon.journal, *self.screens.values()):
            speakers = [who for who, _ in talk]
            assert speakers[:1] in ([], [PEER])
            if self.turns is Turns.ALTERNATE:
                assert speakers == [PEER, OPERATOR] * (len(talk) // 2) + [PEER] * (len(talk) % 2)

    @invariant()
    def nobodys_text_disappears(self) -> None:
        for role, end in self.ends.items():
            stored = self.daemon.stored(role)
            away = self.recalled | (self.returned - set(stored))
            waiting = [text for text in end.outbox if text not in stored]
            assert [text for text in self.said[role] if text not in away] == [*stored, *waiting, *end.held]

    def teardown(self) -> None:
        for role in Role:
            self.link_comes_up(role)
        self.all_arrives()
        self.each_end_has_shown_the_others_messages_once_and_in_order()
        self.each_end_has_shown_its_own_messages_once_and_in_order()
        self.nobodys_text_disappears()
        for role in self.lines:
            end = self.ends[role]
            assert end.received == self.daemon.ledger.count(OTHER[role])
            assert end.over == self.daemon.over
            if not end.over:
                assert not end.outbox
                assert not end.held or not end.my_turn
                assert end.stored == self.daemon.ledger.count(role)
                assert end.read == (end.stored if OTHER[role] in self.lines else self.daemon.shown[OTHER[role]])

    # -------------------------------------------------------------- inside

    def _show(self, role: Role, events: Iterable[Event]) -> None:
        for event in events:
            match event:
                case Said(message, own):
                    self.screens[role].append((role if own else OTHER[role], message.text))
                case Over(_, by_other, _, undelivered):
                    assert not (by_other and set(undelivered) & set(self.daemon.stored(role)))
                    self.returned.update(undelivered)
                case _:
                    pass
        self._flush(role)

    def _flush(self, role: Role) -> None:
        frames = self.ends[role].frames()
        assert role in self.lines or not frames
        for frame in frames:
            carried = codec.parse(str(frame).encode())
            assert carried == frame
            self.lines[role].up.append(carried)


class TakingTurns(TwoEnds):
    turns = Turns.ALTERNATE


class SpeakingFreely(TwoEnds):
    turns = Turns.FREE


often = settings(
    max_examples=300,
    stateful_step_count=40,
    phases=set(Phase) - {Phase.explain},
    report_multiple_bugs=False,
)

TestTakingTurns = TakingTurns.TestCase
TestTakingTurns.settings = often
TestSpeakingFreely = SpeakingFreely.TestCase
TestSpeakingFreely.settings = often
