"""Faults, one for each promise, that the simulator has to find: a checker that missed them would prove nothing.

A fault replaces a piece of a method by another one. `make planted` looks for each in one run after the other, and
prints which found it, and how long that took one processor.
"""

from __future__ import annotations

import importlib
import inspect
import logging
import sys
import tempfile
import textwrap
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.simulation.disk import memory
from tests.simulation.driver import Driver
from tests.simulation.runs import WrongError, run_driver


@dataclass(frozen=True)
class Fault:
    """promise: what it breaks; where: a method, as "module:Class.method"; seed: of a run that finds it fast."""

    promise: str
    where: str
    old: str
    new: str
    seed: int = 0

    @contextmanager
    def planted(self) -> Iterator[None]:
        """The programs have this fault."""
        module_name, _, path = self.where.partition(":")
        owner: Any = importlib.import_module(module_name)
        *outer, name = path.split(".")
        for part in outer:
            owner = getattr(owner, part)
        static = inspect.getattr_static(owner, name)
        function = static.fget if isinstance(static, property) else getattr(owner, name)
        wrong = self._changed(function)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(owner, name, property(wrong) if isinstance(static, property) else wrong)
            yield

    def _changed(self, function: Any) -> Any:
        source = textwrap.dedent(inspect.getsource(function)).removeprefix("@property\n")
        assert self.old in source, f"plant it anew: {self.where} has no {self.old!r}"
        names = dict(function.__globals__)
        exec(compile(source.replace(self.old, self.new), self.where, "exec"), names)
        return names[function.__name__]


ENDPOINT = "pychat_client.protocol.endpoint:Endpoint."
CONSOLE_ENDPOINT = "pychat_client.protocol.console_endpoint:ConsoleEndpoint."
OUTBOX = "pychat_client.protocol.outbox:Outbox."
TURNS = "pychat_client.protocol.turns:TurnState."
SESSION = "pychat_client.session.session:Session."
SWITCHBOARD = "pychatd.conversation.switchboard:Switchboard."
RETENTION = "pychatd.conversation.retention:Retention."
PEER_SESSION = "pychatd.conversation.peer_session:PeerSession."
CONSOLE_SESSION = "pychatd.conversation.console_session:ConsoleSession."
WATCHER = "pychatd.conversation.watcher:Watcher."
CURSOR = "pychatd.conversation.cursor:Cursor."
JOURNAL = "pychatd.conversation.journal:Journal."
ALLOWED_CALLERS = "pychatd.network.allowed_callers:AllowedCallers."
CONVERSATION = "pychatd.conversation.model:Conversation."

FAULTS = [
    # ---------------------------------------------------------------- stored, before anybody is told
    Fault(
        "what is confirmed is in the journal",
        JOURNAL + "append",
        "self._db.execute(_INSERT_MESSAGE, _row(number, entries[0]))",
        "pass",
    ),
    Fault(
        "nothing is confirmed whose commit has failed",
        SWITCHBOARD + "_store",
        "        self.journal.append(conversation, entries, turn_state)",
        "        try:\n"
        "            self.journal.append(conversation, entries, turn_state)\n"
        "        except Exception:\n"
        "            conversation.turn_state = turn_state",
    ),
    Fault(
        "nobody sees a message before it is stored",
        SWITCHBOARD + "_store",
        "        self.journal.append(",
        "        end = self.peer if role is Role.OPERATOR else self.operator\n"
        "        if end is not None:\n"
        "            end.deliver(entries)\n"
        "        self.journal.append(",
        seed=8,
    ),
    Fault(
        "after an error the daemon goes on with what the journal holds",
        SWITCHBOARD + "reload_from_journal",
        "if not self._health.needs_reload:",
        "if True:",
        seed=128,
    ),
    Fault(
        "a restart continues the conversation with its counts",
        JOURNAL + "_one",
        "TurnState(Turns(turns), peer_count, operator_count)",
        "TurnState(Turns(turns), peer_count, max(0, operator_count - 1))",
    ),
    Fault(
        "what is confirmed outlives a loss of power",
        "pychatd.conversation.journal_file:JournalFile._open",
        "'FULL' if self._full",
        "'NORMAL' if self._full",
        seed=12,
    ),
    # ---------------------------------------------------------------- once, and in order
    Fault(
        "an unconfirmed message is sent again",
        ENDPOINT + "_resend",
        "for text in self.unacked]",
        "for text in ()]",
    ),
    Fault("and only once", ENDPOINT + "_resend", "for text in self.unacked]", "for text in self.unacked] * 2"),
    Fault(
        "a message is shown once, also after a cut",
        ENDPOINT + "_hello",
        "else self.received_count",
        "else max(0, self.received_count - 1)",
    ),
    Fault(
        "a console is not told again what it has",
        CURSOR + "repeats",
        "entry.n > self.peer_offset",
        "entry.n >= self.peer_offset",
    ),
    Fault("held messages go out in order", OUTBOX + "next_held", "self.held.popleft()", "self.held.pop()", seed=2),
    Fault(
        "an older connection of the same caller is not read any more",
        SWITCHBOARD + "take_seat",
        "older.close_displaced()",
        "pass",
        seed=268,
    ),
    Fault(
        "a word for a conversation that is over begins no other one",
        SWITCHBOARD + "_conversation_for",
        "if caller is not self.waiting:",
        "if caller is self.waiting and False:",
        seed=6,
    ),
    # ---------------------------------------------------------------- nothing is lost
    Fault(
        "held messages outlive the connection",
        ENDPOINT + "connection_lost",
        "self._time = None",
        "self.held.clear()",
        seed=2,
    ),
    Fault(
        "held messages go when their turn comes",
        ENDPOINT + "_on_ack",
        "return self._release()",
        "return []",
        seed=1,
    ),
    Fault(
        "a caller who comes back gets what was said meanwhile",
        PEER_SESSION + "_resume",
        "self.send_backlog()",
        "self._sent = conversation.turn_state.operator",
        seed=4,
    ),
    Fault(
        "the operator gets what came in while nobody was at the console",
        JOURNAL + "next_unseen",
        "{_UNSEEN}",
        "{_UNSEEN} AND ended IS NULL",
        seed=24,
    ),
    Fault(
        "with keep = none a text stays until it was read",
        RETENTION + "forget",
        "conversation.shown[role.other]",
        "conversation.shown[role.other] + 1",
        seed=40,
    ),
    # ---------------------------------------------------------------- what the user is told is true
    Fault(
        "what is called not sent is not stored",
        OUTBOX + "leftovers",
        "Leftovers((*unacked[self.transmitted :], *self.held), unacked[: self.transmitted])",
        "Leftovers((*unacked, *self.held))",
        seed=8,
    ),
    Fault(
        "who returns to a conversation that is not kept any more gets the words back",
        CONSOLE_ENDPOINT + "_on_ready",
        "if gone else",
        "if False else",
    ),
    Fault("what is taken back is not sent", OUTBOX + "recall", "self.held.pop()", "self.held[-1]", seed=6),
    Fault(
        "a console that is refused learns how many of its messages are stored",
        CONSOLE_SESSION + "_stored_in",
        "self._switchboard.journal.sent_by(conversation.id, self.console)",
        "self._switchboard.journal.sent_by(conversation.id, self.console) + 1",
    ),
    Fault(
        "and so does one that is taken over",
        CONSOLE_SESSION + "close_taken_over",
        "[*stored, wire.Error",
        "[wire.Error",
        seed=28,
    ),
    Fault(
        "the exit status tells what was not sent", SESSION + "_outcome", "return self._loss\n", "return status\n"
    ),
    Fault(
        "read is what was shown",
        PEER_SESSION + "acknowledge",
        "[wire.Ack(entries[-1].n)]",
        "[wire.Ack(entries[-1].n), wire.Read(entries[-1].n)]",
    ),
    Fault(
        "the operator's read mark is passed on",
        SWITCHBOARD + "_tell_read_mark",
        "other.send_read_mark(count)",
        "pass",
        seed=2,
    ),
    Fault(
        "what a caller has seen is known when they come back",
        PEER_SESSION + "_resume",
        "switchboard.mark_shown(conversation, Role.PEER, got)",
        "pass",
        seed=92,
    ),
    Fault(
        "who comes back is told what was read meanwhile",
        PEER_SESSION + "_answer",
        "frames.append(wire.Read(count))",
        "pass",
        seed=226,
    ),
    Fault(
        "and so is a console",
        CONSOLE_SESSION + "_begin",
        "frames.append(wire.Read(count))",
        "pass",
        seed=34,
    ),
    Fault(
        "who sends signs again tells what was read before",
        SWITCHBOARD + "set_quiet",
        "self._tell_read_mark(conversation, role)",
        "pass",
        seed=86,
    ),
    Fault(
        "the caller sees that the operator has gone",
        SWITCHBOARD + "detach",
        "self._notify_callers(self.away)",
        "pass",
        seed=60,
    ),
    Fault(
        "the operator sees that the caller is back",
        SWITCHBOARD + "take_seat",
        "self._tell_presence()",
        "self._tell_change()",
        seed=36,
    ),
    Fault(
        "a watcher is told once what nobody has read",
        WATCHER + "take_turn",
        "if sent >= SENT_AT_ONCE:",
        "self._told += sent > 0\n    if sent >= SENT_AT_ONCE:",
        seed=69,
    ),
    Fault(
        "with keep = 1d nothing goes that was not read",
        JOURNAL + "_old",
        "INDEXED BY conversation_shown WHERE ended < ? AND {_SHOWN}",
        "WHERE ended < ?",
        seed=66,
    ),
    # ---------------------------------------------------------------- invitations
    Fault(
        "who was invited is known by the name of the invitation",
        ALLOWED_CALLERS + "enrol",
        "{**self._invited, certificate: name}",
        "{**self._invited, certificate: hello.handle + '2'}",
        seed=2,
    ),
    Fault(
        "and also after a restart of the daemon",
        ALLOWED_CALLERS + "enrol",
        "authorized.add(self._directory, name, certificate)",
        "pass",
        seed=2,
    ),
    # ---------------------------------------------------------------- turns, the seat, the end
    Fault("both take turns", TURNS + "may_speak", "if self.turns is Turns.FREE:", "if self.peer:", seed=2),
    Fault(
        "the seat is kept for a caller who was cut off",
        SWITCHBOARD + "taken",
        "return Taken.KEPT if self.seat_kept_for else None",
        "return None",
        seed=2,
    ),
    Fault(
        "also after a restart",
        SWITCHBOARD + "_keep_seat",
        "+ self.settings.grace",
        "+ self.settings.grace * (self.conversation is not None and self.conversation.call > 0)",
        seed=6,
    ),
    Fault(
        "nobody's own seat is taken to him",
        PEER_SESSION + "_meet",
        "if found is None or found.certificate_hash",
        "if found is None or self._switchboard.peer is not None or found.certificate_hash",
    ),
    Fault(
        "the newest call is the one that counts",
        PEER_SESSION + "_meet",
        "elif self._is_older(hello, found.call):",
        "elif found.call:",
    ),
    Fault(
        "the caller learns that the conversation is over",
        SWITCHBOARD + "_end",
        "peer.send_backlog()",
        "pass",
        seed=172,
    ),
    Fault("and so does the operator", SWITCHBOARD + "_end", "self.operator.send_backlog()", "pass"),
    Fault(
        "who says goodbye ends the conversation",
        PEER_SESSION + "_on_quit",
        "self._switchboard.reload_from_journal()",
        "return",
    ),
]

SECONDS = 60.0
"""Of one processor, for one fault, at most: so a busy machine finds no less."""

SEEDS = (*range(0, 400, 2), *range(1, 100, 2))
"""Short runs come first: most faults are found in one of them."""


def finds(fault: Fault, seed: int) -> str:
    """What the run of a seed says of a fault; nothing if it does not find it."""
    with fault.planted(), tempfile.TemporaryDirectory(dir=memory()) as directory:
        try:
            run_driver(Path(directory), Driver(seed))
        except WrongError as error:
            return error.problems[0]
    return ""


def search(fault: Fault, seeds: Iterable[int] = SEEDS, seconds: float = SECONDS) -> tuple[int, str]:
    """The first seed that finds a fault, and what it says; nothing if none does in time."""
    end = time.process_time() + seconds
    for seed in seeds:
        if time.process_time() > end:
            break
        if problem := finds(fault, seed):
            return seed, problem
    return -1, ""


def main() -> int:
    logging.disable(logging.CRITICAL)
    missed = 0
    for fault in FAULTS:
        begin = time.process_time()
        seed, problem = search(fault)
        missed += not problem
        words = problem[:70].replace("\n", " ") or "NOT FOUND"
        print(f"{fault.promise:66} seed {seed:3} {time.process_time() - begin:6.2f} s  {words}", flush=True)
    print(f"{len(FAULTS) - missed} of {len(FAULTS)} faults were found")
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main())
