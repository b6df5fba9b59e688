"""What must hold, whatever happened: looks at histories and at the journal's file, and knows nothing else.

A word is said once in a run, so where it turns up, and how often, tells all.
"""

from __future__ import annotations

import sqlite3
from collections import Counter, defaultdict
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate, pairwise
from math import inf
from pathlib import Path
from typing import NamedTuple

ABANDONED = "the caller did not come back in time, and somebody else called"
TAKEN = "Busy: "
DISPLACED = "A newer connection has taken over this conversation"
REPLACED = "A newer connection of this console has taken its place"
HELD = "is using the console"
ENDED = "ended the conversation"
UNKEPT = "Cannot keep this conversation"
FULL = "No more messages are stored until the operator has read some"
STORED_AGAIN = "Your messages are stored now."
SILENT = "You did not send a message in time"
"""What the programs say; `test_checker` compares these with them. A daemon's words stand in quotation marks."""

NOT_KEPT = "(not kept)"
"""Shown in the place of another console's word where none are kept."""


class Event(NamedTuple):
    """Something that a user did (typed, cut short, command), saw or was told (shown, held, recalled, not_sent,
    not_confirmed, refused, notice, alert, status, read: a conversation and a count), or that happened to them:
    killed, or died, if another program went on with the file; left, what is in that at the end of the program; in
    the line, when it begins; seated and cut off, in the eyes of the daemon; rest, when all has settled, and what
    the screen says then (talks, signs, unread, waits) if there is a conversation; known as, the name of an invited
    user. A tuple, because a run makes thousands of them."""

    time: float
    kind: str
    text: str = ""


@dataclass(slots=True)
class History:
    """All that happened to one process of a user's program."""

    name: str
    peer: bool
    file: str = ""  # in which the programs of one user keep the conversation, one after the other
    quiet: bool = False  # this user sends no signs
    invited: str = ""  # the name under which the operator has invited this user
    events: list[Event] = field(default_factory=list)


class Stored(NamedTuple):
    """A message that a daemon has committed."""

    time: float
    conversation: int
    peer: bool
    text: str


@dataclass(slots=True)
class Outcome:
    """All there is to judge a run by. ended: when which conversation was; grace: seconds that the seat is
    kept; in_turn: whether both take turns; watchers: what each was told."""

    histories: Sequence[History]
    stored: Sequence[Stored]
    ended: dict[int, float]
    file: Path
    keep: str
    grace: float
    in_turn: bool
    watchers: Sequence[History] = ()


class Ledger:
    """What the daemon has committed, by what is asked of it."""

    def __init__(self, stored: Sequence[Stored]) -> None:
        self.place = {s.text: place for place, s in enumerate(stored)}
        self.conversation = {s.text: s.conversation for s in stored}
        self.by_side: dict[bool, list[Stored]] = {True: [], False: []}  # True: the callers'
        self.sent: dict[tuple[int, bool], list[str]] = {}  # the texts of a conversation's side
        for s in stored:
            self.by_side[s.peer].append(s)
            self.sent.setdefault((s.conversation, s.peer), []).append(s.text)
        self.texts = {peer: {s.text for s in side} for peer, side in self.by_side.items()}


class Row(NamedTuple):
    """A message as it is in the file."""

    conversation: int
    peer: bool
    text: str


class Words:
    """What became of the words that a user typed into one process."""

    def __init__(self, history: History) -> None:
        self.history = history
        by_kind: defaultdict[str, list[Event]] = defaultdict(list)
        for event in history.events:
            if event.text != NOT_KEPT:
                by_kind[event.kind].append(event)
        self._by_kind = dict(by_kind)
        self._texts: dict[str, list[str]] = {}
        self.killed = "killed" in self._by_kind

    def events(self, kind: str) -> list[Event]:
        return self._by_kind.get(kind, [])

    def of(self, kind: str) -> list[str]:
        if kind not in self._texts:
            self._texts[kind] = [event.text for event in self.events(kind)]
        return self._texts[kind]

    @cached_property
    def said(self) -> list[str]:
        """Typed and not refused, in order."""
        refused = set(self.of("refused"))
        return [word for word in self.of("typed") if word not in refused]

    @cached_property
    def given_back(self) -> set[str]:
        return {
            word for kind in ("not_sent", "not_confirmed", "recalled", "in the line") for word in self.of(kind)
        }

    @cached_property
    def shown(self) -> set[str]:
        return set(self.of("shown"))

    def shown_by(self, moment: float) -> set[str]:
        if moment == inf:
            return self.shown
        return {event.text for event in self.events("shown") if event.time <= moment}

    def settled_by(self, time: float) -> bool:
        return self.rested is not None and self.rested <= time

    @cached_property
    def rested(self) -> float | None:
        """When all had settled, if this process saw that."""
        return next((event.time for event in self.events("rest")), None)


def check(outcome: Outcome) -> list[str]:
    """What is wrong, in sentences; none when all is well."""
    return [*_problems(outcome)]


def _problems(outcome: Outcome) -> Iterator[str]:
    rows, reasons = read(outcome.file)
    ledger = Ledger(outcome.stored)
    words = [Words(history) for history in outcome.histories]
    users = _by_user(words)
    removed = _removed(outcome, rows)
    yield from _journal_is_as_committed(outcome, rows, removed, words)
    yield from _once(Counter(s.text for s in outcome.stored), "the journal")
    touched = {s.conversation for s in removed}
    gone = {s.text for s in outcome.stored if s.conversation in touched} if touched else set()
    everybody_said = {word for one in words for word in one.of("typed")}
    for one in words:
        yield from _shown_once(one)
        yield from _in_order(one, ledger, everybody_said)
        yield from _statuses(one)
        yield from _not_taken_by_himself(one, outcome, reasons)
        yield from _known_by_name(one)
        same_user = [other for other in words if one.history.file and other.history.file == one.history.file]
        yield from only_who_leaves_is_in_doubt(one, same_user or [one], gone)
    for user in users:
        yield from _fates(user, ledger.place, running="" in reasons.values())
        yield from _given_back_once(user)
        yield from _stored_in_order(user, ledger.place)
    yield from _all_is_shown(users, ledger, reasons)
    yield from _seat_is_kept(users, outcome, reasons)
    yield from _turns_are_kept(outcome)
    yield from _read_marks(words, ledger)
    yield from _screens_at_rest(words, outcome)
    yield from _goodbye(words, outcome)
    for watcher in outcome.watchers:
        yield from _told_once_and_all(watcher, words, ledger.by_side[True])


def _by_user(words: Sequence[Words]) -> list[Words]:
    """Programs that went on with one file, one after the other, as one user. It was killed if the last was; the
    others have died. Nobody goes on where a program could not keep its conversation."""
    users: dict[str, list[Words]] = {}
    alone: Counter[str] = Counter()
    for one in words:
        name, file = one.history.name, one.history.file
        users.setdefault(f"{file} {alone[file]}" if file else name, []).append(one)
        alone[file] += any(UNKEPT in notice for notice in one.of("notice"))
    return [programs[0] if len(programs) == 1 else _one_after_the_other(programs) for programs in users.values()]


def _one_after_the_other(programs: Sequence[Words]) -> Words:
    first, last = programs[0].history, programs[-1].history
    user = History(first.name, first.peer, first.file)
    for program in programs:
        events = program.history.events
        died = [e._replace(kind="died") if e.kind == "killed" else e for e in events]
        user.events += events if program.history is last else died
    user.events.sort(key=lambda event: event.time)
    return Words(user)


def read(file: Path) -> tuple[list[Row], dict[int, str]]:
    """The messages in the file, and why each conversation has ended ("" while it has not)."""
    with sqlite3.connect(file) as db:
        found = db.execute("SELECT conversation, role = 'peer', text FROM message ORDER BY conversation, seq")
        rows = list(map(Row._make, found))
        reasons = dict(db.execute("SELECT id, reason FROM conversation").fetchall())
    db.close()
    return rows, reasons


def _journal_is_as_committed(
    outcome: Outcome, rows: list[Row], removed: list[Stored], words: Sequence[Words]
) -> Iterator[str]:
    """removed: the first messages of conversations."""
    committed = [Row._make(s[1:]) for s in outcome.stored]
    if outcome.keep not in ("forever", "none"):  # old conversations go, from their first message on
        yield from _only_what_was_seen_is_gone(outcome, removed, words)
        gone = {s.text for s in removed}
        committed = [row for row in committed if row.text not in gone]
    if outcome.keep == "none":  # words go, and their places stay
        forgotten = [s for s, row in zip(outcome.stored, rows, strict=False) if not row.text]
        yield from _only_what_was_seen_is_gone(outcome, forgotten, words, running=True)
        if [row[:2] for row in rows] != [row[:2] for row in committed]:
            yield "places in the journal are not those that were committed"
        texts = [(ours, r.text) for ours, r in zip(committed, rows, strict=False)]
        yield from (f"{ours.text} is {text} in the journal" for ours, text in texts if text not in ("", ours.text))
    elif rows != committed:
        yield f"the journal has {[r.text for r in rows]}, and {[r.text for r in committed]} were committed"


def _once(count: Counter[str], where: str) -> Iterator[str]:
    yield from (f"{word} is {n} times in {where}" for word, n in count.items() if n > 1)


def _removed(outcome: Outcome, rows: list[Row]) -> list[Stored]:
    """The first messages of each conversation, as many as the file lacks."""
    left = Counter(row.conversation for row in rows)
    stored = Counter(s.conversation for s in outcome.stored)
    if left == stored:
        return []
    removed: list[Stored] = []
    for s in outcome.stored:
        if stored[s.conversation] > left[s.conversation]:
            stored[s.conversation] -= 1
            removed.append(s)
    return removed


def _only_what_was_seen_is_gone(
    outcome: Outcome, removed: Sequence[Stored], words: Sequence[Words], *, running: bool = False
) -> Iterator[str]:
    """What is not kept any more was shown on the other side, and its conversation is over. running: or goes on."""
    seen = {peer: _shown_to([one for one in words if one.history.peer is peer]) for peer in (True, False)}
    for s in removed:
        if s.text not in seen[not s.peer] or not (running or s.conversation in outcome.ended):
            yield f"{s.text} is removed from the journal too early"


def _shown_to(words: Sequence[Words]) -> set[str]:
    return set().union(*(one.shown for one in words))


def _shown_once(one: Words) -> Iterator[str]:
    """A word of one's own is shown again only behind the news that it waits after all, or may be lost."""
    if len(one.shown) == len(one.of("shown")):
        return
    shown: set[str] = set()
    for event in one.history.events:
        if event.kind in ("held", "not_confirmed"):
            shown.discard(event.text)
        elif event.kind == "shown" and event.text != NOT_KEPT:
            if event.text in shown:
                yield f"{event.text} was shown to {one.history.name} again"
            shown.add(event.text)


def _in_order(one: Words, ledger: Ledger, typed: set[str]) -> Iterator[str]:
    """The other side's words are shown as the journal has them. typed: by anybody."""
    other, place = ledger.texts[not one.history.peer], ledger.place
    shown = [place[word] for word in one.of("shown") if word in other]
    if shown != sorted(shown):
        yield f"{one.history.name} was shown words out of order"
    if unknown := one.shown.difference(place, typed if one.history.file else one.said):
        invented = [word for word in one.of("shown") if word in unknown]
        yield f"{one.history.name} was shown {invented}, which nobody has stored"


def _stored_in_order(one: Words, order: dict[str, int]) -> Iterator[str]:
    """Own words are stored as they were typed."""
    own = [order[word] for word in one.said if word in order]
    if own != sorted(own):
        yield f"words of {one.history.name} were stored out of order"


def _fates(one: Words, order: dict[str, int], *, running: bool) -> Iterator[str]:
    """Each word is stored or given back, or waits in the file while a conversation is still running. A program
    cannot record what is typed in the moment in which it dies: only that word may be nowhere."""
    name = one.history.name
    left = one.events("left") if running else []
    waits = {event.text for event in left if event.time == left[-1].time}  # left by the last program
    somewhere = one.given_back.union(one.of("cut short"), waits)
    not_sent, recalled = set(one.of("not_sent")), set(one.of("recalled"))
    for word in one.said:
        if word not in order:
            if word not in somewhere and not one.killed:
                yield f"{word} of {name} is lost"
            continue
        if word in not_sent:
            yield f"{name} was told that {word} was not sent, and it is stored"
        if word in recalled:
            yield f"{name} has taken {word} back, and it is stored"
    yield from (f"{name} was refused {word}, and it is stored" for word in one.of("refused") if word in order)


def _given_back_once(one: Words) -> Iterator[str]:
    """A word is given back again only after it was in the line. A program cannot tell and record in one moment:
    what it tells in that in which it dies, the next one tells again."""
    back = [*one.of("not_sent"), *one.of("not_confirmed")]
    if len(set(back)) == len(back):
        return
    deaths = {event.time for event in one.events("died")}
    given: list[str] = []
    for time, kind, word in one.history.events:
        if kind in ("not_sent", "not_confirmed") and word in given:
            yield f"{word} was given back to {one.history.name} again"
        elif kind in ("not_sent", "not_confirmed") and time not in deaths:
            given.append(word)
        elif kind in ("recalled", "in the line") and word in given:
            given.remove(word)
        elif kind == "cut short" and word == "\\recall":  # the newest one, and nobody was told
            del given[-1:]


def _statuses(one: Words) -> Iterator[str]:
    """The exit status tells of what was given back, or left in a file for the next program."""
    left = one.of("left")
    for status in one.of("status"):
        given = "9" if one.of("not_confirmed") else "6" if one.of("not_sent") else "0"
        right = (given, max(given, "6"), "9") if left else (given,)
        if status in ("0", "6", "9") and status not in right:
            yield f"{one.history.name} left with {status} instead of {given}"
        was_silent = any(tells(event, SILENT) for event in one.events("notice"))
        if status == "5" and not (was_silent and set(one.said) <= one.given_back):
            yield f"{one.history.name} was refused"  # and nobody here does what is against the rules


def _not_taken_by_himself(one: Words, outcome: Outcome, kept: Container[int]) -> Iterator[str]:
    """kept: the conversations that the journal still has. A program whose conversation is not kept calls as any
    other."""
    said = set(one.said)
    own = [s for s in outcome.stored if s.text in said and s.conversation in kept]
    for event in one.events("notice"):
        if tells(event, TAKEN) and any(s.time <= event.time for s in own):
            yield f"{one.history.name} was told that the line is taken, and has it"
        if tells(event, DISPLACED) or tells(event, REPLACED):
            yield f"the newest call of {one.history.name} was displaced"
        if tells(event, f"{one.history.name} (pid 7) {HELD}"):
            yield f"{one.history.name} was told that the console is held, and holds it"


def _known_by_name(one: Words) -> Iterator[str]:
    """Who was invited is known by the name of the invitation."""
    for name in one.of("known as"):
        if name != one.history.invited:
            yield f"{one.history.name} is known as {name!r} and was invited as {one.history.invited}"


def tells(event: Event, words: str) -> bool:
    """Whether a notice begins with `words`: as our own, or as what it quotes from the other side's program."""
    return event.kind == "notice" and event.text.rpartition("'s program says: \"")[2].startswith(words)


def only_who_leaves_is_in_doubt(one: Words, others: Sequence[Words], gone: set[str]) -> Iterator[str]:
    """Whether a word has arrived is open in four cases only: it was typed before its user left, perhaps in an
    earlier program, and all had not settled by then, or the daemon stored no more; its user found somebody else in
    the seat after that, and did not get it again; its user's conversation is not kept any more, so nobody can say;
    its program cannot keep it for the next one, and has ended without an answer.
    others: the programs of the same user; gone: words of conversations that are not kept."""
    if not one.of("not_confirmed"):
        return
    typed = {event.text: event.time for each in others for event in each.events("typed")}
    leaves = [event.time for event in one.events("command") if event.text in ("\\quit", "\\detach")]
    leaves += [event.time for each in others for event in each.events("command") if event.text == "\\quit"]
    not_kept = any(word in gone for each in others for word in (*each.said, *each.of("shown")))
    taken: float | None = None  # when this user was told so last, since it had the seat
    full = unkept = False  # this user was told so last
    ends = {event.time for event in one.events("status")}
    for event in one.history.events:
        if event.kind == "seated":
            taken = None
        elif tells(event, TAKEN):
            taken = event.time
        elif tells(event, FULL) or tells(event, STORED_AGAIN):
            full = tells(event, FULL)
        elif tells(event, UNKEPT):
            unkept = True
        elif event.kind == "not_confirmed" and not not_kept and not (unkept and event.time in ends):
            moments = leaves if full or not one.settled_by(event.time) else []
            if taken is not None:
                moments = [*moments, taken]
            if not any(typed[event.text] <= moment <= event.time for moment in moments):
                yield f"{event.text} of {one.history.name} was not confirmed, for no reason"


def _all_is_shown(words: list[Words], ledger: Ledger, ends: dict[int, str]) -> Iterator[str]:
    """All the peers' words have been seen at some console: when all had settled, and in the end, for one came
    last. A client has seen all of the operator's, unless it was killed or lost the seat: when all had settled,
    and in the end, if it did not leave by itself."""
    consoles = [one for one in words if not one.history.peer]
    for moment in {inf, *(one.rested for one in consoles if one.rested is not None)}:
        seen = set().union(*(one.shown_by(moment) for one in consoles))
        missed = [s.text for s in ledger.by_side[True] if s.text not in seen and s.time < moment]
        yield from (f"{word} was shown at no console" for word in missed)
    abandoned = {number for number, reason in ends.items() if reason == ABANDONED}
    for one in (one for one in words if one.history.peer and not one.killed):
        talks = {ledger.conversation[word] for word in ledger.texts[True].intersection(one.said)} - abandoned
        moments = (one.rested, None if "\\quit" in one.of("command") else inf)
        for moment in (moment for moment in moments if moment is not None and talks):
            seen = one.shown_by(moment)
            yield from (
                f"{s.text} was not shown to {one.history.name}"
                for s in ledger.by_side[False]
                if s.text not in seen and s.time < moment and s.conversation in talks
            )


def _seat_is_kept(words: list[Words], outcome: Outcome, ends: dict[int, str]) -> Iterator[str]:
    """Who was cut off lost the conversation only after the grace."""
    for number in (number for number, reason in ends.items() if reason == ABANDONED):
        first = next(s for s in outcome.stored if s.conversation == number)
        loser = next(one.history for one in words if first.text in one.of("typed"))
        taken, last = outcome.ended[number], Event(first.time, "cut off")  # if it never heard that it has the seat
        for event in loser.events:
            if event.kind in ("seated", "cut off") and event.time <= taken:
                last = event
        if last.kind == "seated" or taken - last.time < outcome.grace - 0.001:
            yield f"{loser.name} was {last.kind} at {last.time:.3f}, and lost the seat at {taken:.3f}"


def _turns_are_kept(outcome: Outcome) -> Iterator[str]:
    """The caller begins each conversation; where both take turns, they do."""
    last: dict[int, bool] = {}
    for s in outcome.stored:
        if last.get(s.conversation) is None and not s.peer:
            yield f"{s.text} of the operator begins a conversation"
        if outcome.in_turn and last.get(s.conversation) is s.peer:
            yield f"{s.text} is out of turn"
        last[s.conversation] = s.peer


def _read_marks(words: list[Words], ledger: Ledger) -> Iterator[str]:
    """Nothing is called read that nobody on the other side has seen."""
    seen = {peer: _first_shown([one for one in words if one.history.peer is peer]) for peer in (True, False)}
    for one in words:
        sent: dict[str, list[tuple[str, float]]] = {}  # by conversation: when all up to a word was seen
        for time, _, text in one.events("read"):
            number, count = text.split(" ")
            if number not in sent:
                said = _sent(one, ledger, int(number) if number else None)
                first = [seen[not one.history.peer].get(word, inf) for word in said]
                sent[number] = list(zip(said, accumulate(first, max), strict=True))
            until = sent[number]
            last = min(int(count), len(until)) - 1
            if last >= 0 and until[last][1] > time:
                early = next(word for word, all_seen in until if all_seen > time)
                yield f"{one.history.name} was told that {early} is read"


def _first_shown(words: list[Words]) -> dict[str, float]:
    """When each word was first shown to one of these."""
    first: dict[str, float] = {}
    for one in words:
        for time, _, text in one.events("shown"):
            if time < first.get(text, inf):
                first[text] = time
    return first


def _sent(one: Words, ledger: Ledger, number: int | None) -> list[str]:
    """What this side has sent in a conversation; None for the last one of this process."""
    if number is None:
        stored = [word for word in one.said if word in ledger.place]
        number = ledger.conversation[max(stored, key=ledger.place.__getitem__)] if stored else 0
    return ledger.sent.get((number, one.history.peer), [])


def _screens_at_rest(words: list[Words], outcome: Outcome) -> Iterator[str]:
    """What the screens say when all has settled: who is there, what is unread, and that nothing waits."""
    talking = [one for one in words if one.of("talks")]
    if not talking:
        return
    moment = talking[0].rested or inf
    stored = [s for s in outcome.stored if s.time < moment]
    running = [s for s in stored if outcome.ended.get(s.conversation, inf) > moment]
    if not running:
        yield f"{talking[0].history.name} sees a conversation that is over"
        return
    current = [s for s in running if s.conversation == running[-1].conversation]
    for one in talking:
        yield from _screen_at_rest(one, [other for other in talking if other is not one], current, outcome)


def _screen_at_rest(one: Words, others: list[Words], current: list[Stored], outcome: Outcome) -> Iterator[str]:
    name, peer = one.history.name, one.history.peer
    somebody = any(other.history.peer is not peer for other in others)
    if (one.of("talks") == ["with somebody"]) is not somebody:
        yield f"{name} talks {one.of('talks')[0]}, as the screen says"
    signs = ["without" if other.history.quiet else "with" for other in others if other.history.peer is not peer]
    if somebody and one.of("signs") != signs:
        yield f"{name} is told of somebody {one.of('signs')[0]} signs"
    if somebody and one.of("unread") != ["0"]:
        yield f"{name} is told of {one.of('unread')[0]} unread messages"
    may_speak = not outcome.in_turn or current[-1].peer is not peer
    if may_speak and one.of("waits") != ["0"]:
        yield f"{one.of('waits')[0]} words of {name} still wait"


def _told_once_and_all(watcher: History, words: list[Words], peers: Sequence[Stored]) -> Iterator[str]:
    """A watcher is told what is stored and unread, once and in order; when all has settled and nobody is at a
    console, it has been told all of it. peers: what the callers have stored."""
    places = {s.text: place for place, s in enumerate(peers)}
    told = [event for event in watcher.events if event.kind == "told"]
    for event in told:
        if event.text not in places or peers[places[event.text]].time > event.time:
            yield f"{watcher.name} was told {event.text}, which is not stored"
    order = [places[event.text] for event in told if event.text in places]
    yield from (f"{watcher.name} was told {peers[b].text} again" for a, b in pairwise(order) if b <= a)
    moment = next((event.time for event in watcher.events if event.kind == "rest"), None)
    consoles = [one for one in words if not one.history.peer]
    if moment is None or any(one.rested is not None for one in consoles):
        return
    known = {event.text for event in told} | {word for one in consoles for word in one.shown_by(moment)}
    missed = [s.text for s in peers if s.time < moment and s.text not in known]
    yield from (f"{watcher.name} was not told {word}" for word in missed)


def _goodbye(words: list[Words], outcome: Outcome) -> Iterator[str]:
    """Who says goodbye when all is well ends the conversation, and the other side is told."""
    talking = [one for one in words if one.of("talks")]
    first = min(((_quits(one), one) for one in talking), key=lambda pair: pair[0], default=(inf, None))
    moment, who = first
    if who is None or moment == inf:
        return
    if not any(end >= moment for end in outcome.ended.values()):
        yield f"{who.history.name} has ended the conversation, and it goes on"
    for other in talking:
        told = any(ENDED in e.text and e.time >= moment for e in other.events("notice"))
        if other.history.peer is not who.history.peer and not told:
            yield f"{other.history.name} is not told that {who.history.name} has ended the conversation"


def _quits(one: Words) -> float:
    """When this user says goodbye, after all has settled."""
    return next((e.time for e in one.events("command") if e.text == "\\quit" and one.settled_by(e.time)), inf)
