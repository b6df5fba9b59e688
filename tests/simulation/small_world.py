"""The smallest world: a caller, a console and the daemon, with nothing between them but frames under way.

The rules of the ends (small_user) and the daemon (small_daemon) are the real ones. A world is a few numbers: those
of its parts and of the frames that are under way. `search` tries everything that can happen.

A read brings all frames that are under way. A cut lets any first part of those to the program arrive. The program
learns of a cut before the daemon, which may still get the bytes of the dead connection, one frame after the other.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count
from typing import NamedTuple

from pychat_client.protocol.turns import Role, Turns
from tests.simulation.broken import must
from tests.simulation.copies import number_of
from tests.simulation.parts import Frames, Parts
from tests.simulation.small_daemon import CALLER, CONSOLE, DEAD, END, DaemonFacts, SmallDaemon
from tests.simulation.small_user import SmallUser, UserFacts

SIDES = (CALLER, CONSOLE)
ROLES = (Role.PEER, Role.OPERATOR)
NAMES = ("peer", "operator")


@dataclass(frozen=True)
class Budget:
    """How much can happen. words: of each side; the rest: of both together; splits: reads of one frame only;
    signs: at 0 no user sends any, at 1 both do; each one more is a user who sends none any more, or sends them
    again, from the next call on."""

    words: int = 1
    cuts: int = 0
    crashes: int = 0
    quits: int = 0
    consoles: int = 0
    splits: int = 0
    signs: int = 1

    def told(self) -> str:
        """What there is of each."""
        amounts = {name: amount for name, amount in vars(self).items() if amount or name == "signs"}
        return " ".join(f"{name}={amount}" for name, amount in amounts.items())


class Link(NamedTuple):
    """The frames under way on a connection that its program still has."""

    up: Frames
    down: Frames


class State(NamedTuple):
    """A world. What it had is in its parts; what it could still have is not.

    users, daemon: the numbers of the parts; dead: connections that only the daemon has, with what is under way
    words: of each side; cuts ... signs: what has happened; seen: at consoles that are not there any more
    """

    users: tuple[int, int]
    daemon: int
    links: tuple[Link | None, Link | None]
    dead: tuple[tuple[int, Frames], ...] = ()
    words: tuple[int, int] = (0, 0)
    cuts: int = 0
    crashes: int = 0
    quits: int = 0
    consoles: int = 0
    splits: int = 0
    signs: int = 0
    seen: tuple[str, ...] = ()


Action = tuple[str | int, ...]
"""A method of SmallWorld, and what it is given."""

_STORY = {
    "speak": "{0} speaks",
    "quit": "{0} quits",
    "call": "{0} calls",
    "call_otherwise": "{0} calls, and sends signs if it did not, or none if it did",
    "up": "{0} up",
    "up_and_crash": "{0} up, and crash before the answer",
    "down": "{0} down",
    "one_up": "{0} one up",
    "one_down": "{0} one down",
    "cut": "{0} is cut behind {1} down",
    "another_console": "another console",
    "late_bytes": "late bytes on dead connection {0}",
    "notice": "the daemon notices the end of dead connection {0}",
    "crash": "crash",
}


def told(action: Action) -> str:
    """An action as a line of a story."""
    name, *given = action
    if given and str(name) not in ("late_bytes", "notice"):
        given[0] = NAMES[int(given[0])]
    return _STORY[str(name)].format(*given)


class Rules:
    """What all worlds of a search have in common: their parts, their budget, and what was found to hold."""

    def __init__(self, turns: Turns, budget: Budget, parts: Parts | None = None) -> None:
        self.turns = turns
        self.budget = budget
        self.parts = Parts() if parts is None else parts
        self._holds: set[tuple[int, int]] = set()
        self._rests: set[tuple[tuple[int, int], int, tuple[str, ...]]] = set()
        self.end = number_of(END)

    def first(self) -> State:
        """The console is attached, and waits for calls."""
        users = self.parts.add(SmallUser(Role.PEER, signs=self.signs)), self.new_console(0)
        world = SmallWorld(self, State(users, self.parts.add(SmallDaemon(self.turns)), (None, None)))
        world.call(CONSOLE)
        while not world.rests_for(CONSOLE):
            world.up(CONSOLE)
            world.down(CONSOLE)
        return world.state()

    @property
    def signs(self) -> bool:
        return bool(self.budget.signs)

    def new_console(self, number: int) -> int:
        return self.parts.add(SmallUser(Role.OPERATOR, signs=self.signs, console=f"{number:016x}"))

    def user(self, number: int) -> UserFacts:
        facts = self.parts.facts(number)
        assert isinstance(facts, UserFacts)
        return facts

    def daemon(self, number: int) -> DaemonFacts:
        facts = self.parts.facts(number)
        assert isinstance(facts, DaemonFacts)
        return facts

    # -------------------------------------------------------------- what must hold

    def check(self, users: tuple[int, int], daemon: int) -> None:
        """What holds at any time. Depends on each user and the journal alone."""
        for side in SIDES:
            if (pair := (users[side], daemon)) not in self._holds:
                self._check_user(self.user(users[side]), side, self.daemon(daemon))
                self._holds.add(pair)

    def _check_user(self, user: UserFacts, side: int, daemon: DaemonFacts) -> None:
        own, others = daemon.stored[side], daemon.stored[1 - side]
        must(user.shown == others[user.received - len(user.shown) : user.received], "shown once, and in order")
        must(len(set(own)) == len(own), "stored once")
        must(not set(user.not_sent) & set(own), "what is not sent is not stored")
        for text in user.said:
            back = (text in user.not_sent) + (text in user.not_confirmed)
            must(back <= 1, f"{text} is given back once")
            must(text in own or text in user.waits or back == 1, f"{text} is not lost")
            must(not (back and text in user.waits), f"{text} is given back, or waits")
        mine = [text for text in own if text in user.said]
        must(mine == sorted(mine), "stored as it was said")
        must(all(map(self._in_turn, daemon.speakers)), "in turn")

    def _in_turn(self, speakers: tuple[Role, ...]) -> bool:
        return speakers[0] is Role.PEER and (
            self.turns is Turns.FREE or speakers == (ROLES * len(speakers))[: len(speakers)]
        )

    def check_rest(self, users: tuple[int, int], daemon: int, seen: tuple[str, ...]) -> None:
        """Nothing is under way, and both are there: what has to be delivered is delivered."""
        if (rest := (users, daemon, seen)) not in self._rests:
            self._check_rest(self.user(users[CALLER]), self.user(users[CONSOLE]), self.daemon(daemon), seen)
            self._rests.add(rest)

    def _check_rest(
        self, peer: UserFacts, operator: UserFacts, daemon: DaemonFacts, seen: tuple[str, ...]
    ) -> None:
        must({*seen, *operator.shown} >= set(daemon.stored[CALLER]), "all is shown at a console")
        if not peer.left:
            must(peer.shown == daemon.stored[CONSOLE], "all is shown to the caller")
        for side, user, other in ((CALLER, peer, operator), (CONSOLE, operator, peer)):
            if not user.left and user.is_open:
                must(not user.unacked, "nothing is left unconfirmed")
                must(not user.held or not user.my_turn, "nothing waits that could go")
                if not other.left:
                    _check_all_is_read(user, other, daemon.unread[side])
        over = not daemon.talks and bool(daemon.speakers)
        must(peer.left or peer.ended is over, "the caller knows whether the conversation is over")
        must(operator.is_open is (bool(daemon.speakers) and not over), "and so does the operator")


def _check_all_is_read(user: UserFacts, other: UserFacts, unread: int) -> None:
    """All is shown to the other user, who is there: the daemon knows that, and this end, unless it may not.
    unread: of this user's messages, as far as the daemon knows."""
    must(unread == 0, "the daemon knows what is shown")
    must(user.other_quiet is other.quiet, "each end knows whether the other one sends signs")
    must(other.quiet or user.read == user.stored, "what is shown is called read")
    must(user.unread == 0, "and nothing is called unread")


class SmallWorld:
    """A world during a step, and what can happen in it. Raises BrokenError when a promise is broken."""

    def __init__(self, rules: Rules, state: State) -> None:
        self._rules = rules
        users, self._daemon, links, dead, words = state[:5]
        self._users, self._links, self._dead, self._words = list(users), list(links), list(dead), list(words)
        self._cuts, self._crashes, self._quits, self._consoles, self._splits, self._signs, self._seen = state[5:]

    def state(self) -> State:
        return State(
            (self._users[0], self._users[1]),
            self._daemon,
            (self._links[0], self._links[1]),
            tuple(self._dead),
            (self._words[0], self._words[1]),
            self._cuts,
            self._crashes,
            self._quits,
            self._consoles,
            self._splits,
            self._signs,
            self._seen,
        )

    def take(self, action: Action) -> None:
        """One step."""
        name, *given = action
        getattr(self, str(name))(*given)
        self._rules.check((self._users[0], self._users[1]), self._daemon)

    # -------------------------------------------------------------- what can happen

    def actions(self) -> list[Action]:
        actions: list[Action] = []
        for side in SIDES:
            self._add_actions_of(side, actions)
        for number, up in self._dead:
            if up:
                actions.append(("late_bytes", number))
            actions.append(("notice", number))
        if self._crashes < self._rules.budget.crashes:
            actions.append(("crash",))
        return actions

    def _add_actions_of(self, side: int, actions: list[Action]) -> None:
        budget, user, link = self._rules.budget, self._rules.user(self._users[side]), self._links[side]
        if user.left:
            return
        if self._words[side] < budget.words and not user.ended and (side == CALLER or user.is_open):
            actions.append(("speak", side))
        if self._quits < budget.quits and user.is_open:
            actions.append(("quit", side))
        if link is None:
            actions.append(("call", side))
            if 1 + self._signs < budget.signs:
                actions.append(("call_otherwise", side))
            return
        self._add_reads(side, link, actions)
        if self._cuts < budget.cuts:
            for down in range(len(link.down) + 1):
                actions.append(("cut", side, down))
        if self._consoles < budget.consoles and side == CONSOLE:
            actions.append(("another_console",))

    def _add_reads(self, side: int, link: Link, actions: list[Action]) -> None:
        if link.up:
            actions.append(("up", side))
            if self._crashes < self._rules.budget.crashes:
                actions.append(("up_and_crash", side))
        if link.down:
            actions.append(("down", side))
        if self._splits < self._rules.budget.splits:
            if len(link.up) > 1:
                actions.append(("one_up", side))
            if len(link.down) > 1:
                actions.append(("one_down", side))

    def speak(self, side: int) -> None:
        self._words[side] += 1
        self._user_does(side, "say", f"{NAMES[side][0]}{self._words[side]}")

    def quit(self, side: int) -> None:
        self._quits += 1
        self._user_does(side, "quit")

    def call(self, side: int) -> None:
        self._links[side] = Link((), ())
        self._daemon_does("accept_caller" if side == CALLER else "accept_console")
        self._user_does(side, "call")

    def call_otherwise(self, side: int) -> None:
        self._signs += 1
        self._user_does(side, "change_signs")
        self.call(side)

    def up(self, side: int) -> None:
        self._arrives(side, len(self._link(side).up))

    def one_up(self, side: int) -> None:
        self._splits += 1
        self._arrives(side, 1)

    def down(self, side: int) -> None:
        self._comes_down(side, len(self._link(side).down))

    def one_down(self, side: int) -> None:
        self._splits += 1
        self._comes_down(side, 1)

    def up_and_crash(self, side: int) -> None:
        self._crashed("read_and_crash", side, self._link(side).up)

    def crash(self) -> None:
        """What the daemon has sent may arrive before the end of the connection."""
        self._crashed("crash")

    def cut(self, side: int, down: int) -> None:
        self._cuts += 1
        self._comes_down(side, down)
        if self._links[side] is None:
            return
        late, self._links[side] = self._link(side).up, None
        self._user_does(side, "lose")
        known = self._rules.daemon(self._daemon).known
        if side in known:
            number = next(number for number in count(DEAD + side, 2) if number not in known)
            self._daemon_does("keep_dead", side, number)
            self._dead.append((number, late))

    def late_bytes(self, number: int) -> None:
        index, (_, up) = next((index, dead) for index, dead in enumerate(self._dead) if dead[0] == number)
        self._dead[index] = (number, up[1:])
        self._daemon_does("read", number, up[:1])

    def notice(self, number: int) -> None:
        self._dead = [dead for dead in self._dead if dead[0] != number]
        self._daemon_does("lose", number)

    def another_console(self) -> None:
        """The daemon has noticed the end of the other one."""
        self._consoles += 1
        for number, _ in [dead for dead in self._dead if dead[0] % 2 == CONSOLE]:
            self.notice(number)
        self._seen += self._rules.user(self._users[CONSOLE]).shown
        self._links[CONSOLE] = None
        self._daemon_loses(CONSOLE)
        self._users[CONSOLE] = self._rules.new_console(self._consoles)

    # -------------------------------------------------------------- inside

    def _link(self, side: int) -> Link:
        link = self._links[side]
        assert link is not None
        return link

    def _user_does(self, side: int, does: str, *given: Frames | str) -> None:
        """What a user's program does, and sends to the daemon, if that reads it."""
        self._users[side], frames = self._rules.parts.step(self._users[side], does, *given)
        if frames and self._links[side] is not None and side in self._rules.daemon(self._daemon).listening:
            up, down = self._link(side)
            self._links[side] = Link(up + frames, down)

    def _daemon_does(self, does: str, *given: int | Frames) -> None:
        """What the daemon does, and sends to both."""
        self._daemon, sent = self._rules.parts.step(self._daemon, does, *given)
        facts = self._rules.daemon(self._daemon)
        for side, link in enumerate(self._links):
            if link is not None:
                up = link.up if side in facts.listening else ()
                self._links[side] = Link(up, link.down + sent[side])
        if self._dead:
            dead = [dead for dead in self._dead if dead[0] in facts.known]
            self._dead = [(number, up if number in facts.listening else ()) for number, up in dead]

    def _arrives(self, side: int, length: int) -> None:
        up, down = self._link(side)
        if not length:
            return
        self._links[side] = Link(up[length:], down)
        self._daemon_does("read", side, up[:length])

    def _comes_down(self, side: int, length: int) -> None:
        up, down = self._link(side)
        if not length:
            return
        frames = down[:length]
        ends = self._rules.end in frames
        self._links[side] = None if ends else Link(up, down[length:])
        self._user_does(side, "read", frames)
        if ends:
            self._daemon_loses(side)

    def _daemon_loses(self, side: int) -> None:
        if side in self._rules.daemon(self._daemon).known:
            self._daemon_does("lose", side)

    def _crashed(self, does: str, *given: int | Frames) -> None:
        self._crashes += 1
        self._dead = []
        self._daemon_does(does, *given)
        for side, link in enumerate(self._links):
            if link is not None:
                end = () if self._rules.end in link.down else (self._rules.end,)
                self._links[side] = Link((), link.down + end)

    # -------------------------------------------------------------- what must hold

    def check_rest(self) -> None:
        self._rules.check_rest((self._users[0], self._users[1]), self._daemon, self._seen)

    def rests_for(self, side: int) -> bool:
        """Whether nothing is under way to or from this one."""
        return self._links[side] == ((), ())

    @property
    def rests(self) -> bool:
        return not self._dead and all(
            self.rests_for(side) or self._rules.user(self._users[side]).left for side in SIDES
        )
