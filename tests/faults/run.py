"""One conversation of the real programs while everything around them fails.

    pychat --plain  <->  proxy that cuts  <->  pychatd  <->  pychatd-console --plain

Both ends say numbered messages (p1, p2, ... and o1, o2, ...); the proxy cuts the connection at random
bytes, or delivers them late; daemon and console are killed with -9 at random moments and started again, and
the operator leaves the console, or it is ended, right behind a message. The client is killed with -9 too, alone
or with the power of its host, at random bytes and moments; the next one goes on from the session file, as the
disk has it. On a mirror of two disks, one disk or the whole host is lost. At the end each message has to be on the
other screen once, in order, and in the journal, and what a program that was not killed said of its messages has
to be true. `python -m tests.faults.run` runs it by hand; the seed of every run is printed, and `--seed` repeats
its choices (not its timing).

What is typed again, into a later program, has its number behind it: o7, o7.1, o7.2.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import random
import re
import select
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path

from pychat_client.errors import PychatError
from tests.faults.caller_host import CallerHost
from tests.faults.mirror import MirroredService
from tests.faults.power import Disk, TracedService, lost
from tests.faults.proxy import Proxy, Weather
from tests.faults.screened import Screened
from tests.faults.strace import why_not
from tests.support.programs import Piped
from tests.support.service import Service
from tests.support.waiting import PATIENCE, wait_for

HANDSHAKE = 2500
"""Bytes of a TLS handshake, about; each call begins with one."""

CUTS_AT_START = 2
"""Cuts until a new client has been told again what was said before, at most: that is long, and would use up the
cuts of the talk."""

STUCK = 150.0
"""Seconds without any progress that end a run: cuts can leave a few calls in a row without an answer for 10 s,
with pauses of up to 15 s between them."""

_NUMBER = r"[0-9]+(?:\.[0-9]+)?"
_NOT_SENT, _NOT_CONFIRMED = "Not sent:", "Not confirmed; it may have arrived:"
_TAKEN = ("Busy:", "is open in another window", "taken over")
"""What a caller may never be told: nobody but this one ever calls."""

TICK = 0.02
"""Seconds until the driver looks up when no program writes anything."""


@dataclass(frozen=True)
class Plan:
    """What is said, and what fails."""

    turns: str
    messages: int  # each way
    cuts: int
    daemon_kills: int
    console_kills: int
    both_kills: int  # daemon and console at the same moment
    leaves: int  # the operator says \\detach, right behind a message
    terms: int  # the console gets a SIGTERM then
    client_kills: int = 0
    client_powers: int = 0  # the power of the client's host fails; only with `power`
    power: bool = False  # the daemon's disk is looked at, as a power loss would leave it
    screen: bool = False  # the client has one, and a thread that syncs its session file
    losses: int = 0  # on a mirror of two disks: the last takes the host, one before it a disk alone

    def __str__(self) -> str:
        return f"{self.turns}, {self.messages} each way{', with a screen' if self.screen else ''}"


@dataclass
class Result:
    """What became of it. `problems` is everything else that should not be; it is in words."""

    plan: Plan
    seed: int
    lost: int = 0
    doubled: int = 0
    disordered: int = 0
    sent_after_all: int = 0  # told not sent, and stored
    untold: int = 0  # told nothing: neither stored, kept, given back, nor shown anywhere
    gone: int = 0  # confirmed, and gone after power loss
    taken: int = 0  # callers who were told that their own seat is taken
    cuts: int = 0
    daemon_kills: int = 0
    console_kills: int = 0
    leaves: int = 0
    terms: int = 0
    client_kills: int = 0
    client_powers: int = 0
    losses: int = 0
    late: int = 0  # bytes of old calls that arrived behind those of newer ones
    power: bool = False  # it was looked at
    seconds: float = 0.0
    problems: list[str] = field(default_factory=list)

    @property
    def good(self) -> bool:
        untrue = self.sent_after_all or self.untold or self.gone or self.taken
        return not (self.lost or self.doubled or self.disordered or untrue or self.problems)

    def count(self, numbers: list[int], last: int, first: int = 1) -> None:
        """Compares what was shown with first, ... last."""
        self.lost += len(set(range(first, last + 1)) - set(numbers))
        self.doubled += len(numbers) - len(set(numbers))
        self.disordered += sum(b < a for a, b in itertools.pairwise(numbers))

    def __str__(self) -> str:
        line = (
            f"seed {self.seed} ({self.plan}): {self.lost} lost, {self.doubled} doubled, "
            f"{self.disordered} out of order, {self.sent_after_all} told not sent and stored, "
            f"{self.untold} told nothing, {self.gone} confirmed and gone after power loss"
            f"{'' if self.power else ' (not looked at)'}, {self.taken} told taken; {self.cuts} cuts, "
            f"{self.late} late arrivals, {self.daemon_kills} daemon kills, {self.console_kills} console kills, "
            f"{self.leaves} detached, {self.terms} terminated, {self.client_kills} client kills, "
            f"{self.client_powers} power losses of the client, "
            f"{self.losses} disks or hosts lost; {self.seconds:.1f} s"
        )
        return "\n  ".join([line, *self.problems])


def fault_run(directory: Path, plan: Plan, seed: int) -> Result:
    """Runs `plan`; never raises for what the programs do, but tells it in the result."""
    result = Result(plan, seed)
    started = time.monotonic()
    driver = _Driver(directory, plan, seed, result)
    try:
        driver.run()
    except (AssertionError, OSError, subprocess.SubprocessError, PychatError) as error:
        result.problems += [f"{type(error).__name__}: {error}", *driver.state()]
        driver.compare()
        driver.account()
    finally:
        driver.close()
    result.seconds = time.monotonic() - started
    return result


def _number(words: str) -> int:
    """That of a message; how often it was typed before is behind the point."""
    return int(words.partition(".")[0])


class _End:
    """One program on pipes, what was typed into it, and the numbers it has shown."""

    def __init__(self, program: Piped | Screened, theirs: str, own: str, attempt: int = 0) -> None:
        """theirs, own: how a message of the other and of this end begins, before its number; attempt: how many
        programs were this end before."""
        self.program = program
        self.typed: list[str] = []
        self.killed = False  # with -9: it could tell nothing
        self.left_well = False  # the operator has detached, and it had nothing to complain of
        self.unread = b""  # of what was typed, when it ended
        self._attempt = attempt
        self._own_start = own
        self._theirs = re.compile(rf"{theirs}({_NUMBER})")
        self._own = re.compile(rf"[a-z-]+: sent earlier: {own}({_NUMBER})")

    def type(self, numbers: Iterable[int], *then: str) -> None:
        """Types the messages of these numbers, and then `then`, in one write."""
        again = f".{self._attempt}" if self._attempt else ""
        texts = [f"{self._own_start}{n}{again}" for n in numbers]
        self.typed += texts
        self.program.enter("\n".join([*texts, *then]))

    def lines(self) -> list[str]:
        return self.program.out().split("\n")[:-1]

    def shown(self) -> list[int]:
        return [_number(found[1]) for line in self.lines() if (found := self._theirs.fullmatch(line))]

    def said_earlier(self) -> list[int]:
        return [
            _number(found[1])
            for line in self.program.notices().split("\n")
            if (found := self._own.fullmatch(line))
        ]

    def given_back(self) -> tuple[list[str], list[str]]:
        """The texts that it has told not to be sent, and not to be confirmed."""
        told: dict[str, list[str]] = {}
        here: list[str] = []
        for line in self.program.notices().split("\n"):
            words = line.partition(": ")[2]
            if words.startswith("    "):
                here.append(words.strip())
            else:
                here = told.setdefault(words, [])
        return told.get(_NOT_SENT, []), told.get(_NOT_CONFIRMED, [])

    def others(self) -> list[str]:
        """What is on stdout and no message: nothing should be."""
        return [line for line in self.lines() if not self._theirs.fullmatch(line)]

    @property
    def ended(self) -> bool:
        return self.program.process.poll() is not None

    def kill(self) -> None:
        self.killed = True
        self.program.process.kill()
        self.program.process.wait()

    def terminate(self) -> int:
        """Ends it by SIGTERM; its exit status."""
        pipe = os.open(f"/proc/{self.program.process.pid}/fd/0", os.O_RDONLY | os.O_NONBLOCK)
        try:
            self.program.process.terminate()
            status = self.program.exit_status()
            with suppress(BlockingIOError):
                self.unread = os.read(pipe, 1 << 16)
        finally:
            os.close(pipe)
        return status


class _Driver:
    """Types, kills, ends and restarts."""

    def __init__(self, directory: Path, plan: Plan, seed: int, result: Result) -> None:
        self._plan = plan
        self._result = result
        self._rng = random.Random(seed)
        result.power = plan.power and not why_not(directory)
        self._service = self._new_service(directory)
        traffic = plan.messages * 50  # bytes that cross the proxy, about
        # With room for a handshake: cut off in each of them, a client calls ever more rarely, as it should.
        between = (1, 2 * traffic // (plan.cuts + 1) + 4 * HANDSHAKE)
        self._proxy = Proxy(self._service.port, self._rng.getrandbits(32), Weather(plan.cuts, between))
        kinds = ["daemon"] * plan.daemon_kills + ["console"] * plan.console_kills + ["both"] * plan.both_kills
        kinds += ["leave"] * plan.leaves + ["terminate"] * plan.terms
        kinds += ["client"] * plan.client_kills
        kinds += ["power"] * plan.client_powers if result.power else []
        kinds += ["lose"] * plan.losses
        self._rng.shuffle(kinds)
        places = sorted(self._rng.randint(2, 2 * plan.messages - 4) for _ in kinds)
        self._kills = list(zip(places, kinds, strict=True))  # after how many messages shown, what
        self._window = 60 if plan.turns == "free" else 3  # messages typed and not shown yet
        self._typed = {"p": 0, "o": 0}
        self._host = CallerHost(
            self._service, self._proxy.port, self._rng, traced=result.power, screen=plan.screen
        )
        self._client: _End | None = None
        self._clients = self._consoles = 0  # so many have been started
        self._first_shown = 1  # by the present client, at the latest
        self._told = 0  # the last message that a client has shown
        self._console: _End | None = None
        self._ends: list[_End] = []  # and those of before

    def _new_service(self, directory: Path) -> Service:
        if self._plan.losses:
            return MirroredService(directory, self._rng)
        return TracedService(directory) if self._result.power else Service(directory)

    def close(self) -> None:
        self._proxy.close()
        self._service.close()

    def state(self) -> list[str]:
        """Where it stands, for a run that went wrong."""
        told = [f"typed {self._typed}, kills left {self._kills}"]
        for name, end in (("client", self._client), ("console", self._console)):
            if end is not None:
                shown = end.shown()
                told.append(f"{name}: shown {len(shown)}, last {shown[-3:]}; exit {end.program.process.poll()}")
                told += [f"{name} | {line}" for line in end.program.notices().splitlines()[-8:]]
        return [*told, *(f"log | {line}" for line in self._service.log()[-12:])]

    def run(self) -> None:
        self._service.start("--turns", self._plan.turns)
        self._start_console(0)
        self._start_client(0, "--handle", "Client1")
        self._proxy.arm()
        self._type(self.client, "p", 1)
        self._ready(0)
        self._until(lambda: self._talk(self._plan.messages - 1))
        self._proxy.disarm()
        self._last_words()
        self.compare()
        self._read()
        self._quit()
        self._compare_journal()
        self.account()
        self._lose_power()

    @property
    def client(self) -> _End:
        assert self._client is not None
        return self._client

    @property
    def console(self) -> _End:
        assert self._console is not None
        return self._console

    # -------------------------------------------------------------- talking

    def _until(self, done: Callable[[], bool], *, leaving: bool = False) -> None:
        """Repeats `done` with whatever comes from the programs, until it holds or nothing moves. leaving: the
        console may end."""
        before, since = (-1, -1), time.monotonic()
        while not done():
            for name, end in (("client", self.client), ("console", self.console)):
                assert not end.ended or (leaving and end is self._console), f"the {name} has ended"
            select.select([*self.client.program.files(), *self.console.program.files()], [], [], TICK)
            now = (len(self.client.program.out()), len(self.console.program.out()))
            if now != before:
                before, since = now, time.monotonic()
            assert time.monotonic() - since < STUCK, f"nothing moves for {STUCK:.0f} s"

    def _talk(self, last: int) -> bool:
        """Types what may be typed, kills what is due; True when all has been shown on both sides."""
        heard, told = self._progress()
        self._type_more(self.client, "p", heard, last)
        self._type_more(self.console, "o", told, last)
        if self._kills and heard + told >= self._kills[0][0]:
            self._kill(self._kills.pop(0)[1])
            return False
        return heard >= last and told >= last and not self._kills

    def _progress(self) -> tuple[int, int]:
        """The last messages that a console and a client have shown. A new console shows all again, a new client
        perhaps only its own: what the one before has shown counts."""
        self._told = max([self._told, *self.client.shown()])
        return max(self.console.shown(), default=0), self._told

    def _type_more(self, end: _End, who: str, arrived: int, last: int) -> None:
        room = min(self._window - (self._typed[who] - arrived), last - self._typed[who])
        if room > 0:
            self._type(end, who, self._rng.randint(1, min(room, 12)))

    def _type(self, end: _End, who: str, count: int, *then: str) -> None:
        first = self._typed[who] + 1
        self._typed[who] += count
        end.type(range(first, first + count), *then)

    def _last_words(self) -> None:
        """The last message of each side goes through a connection that is not cut any more."""
        last = self._plan.messages
        self._type(self.client, "p", 1)
        self._until(lambda: self._progress()[0] >= last)
        self._type(self.console, "o", 1)
        self._until(lambda: self._progress()[1] >= last)

    # -------------------------------------------------------------- killing

    def _kill(self, what: str) -> None:
        if what in ("client", "power"):
            self._kill_client(power=what == "power")
            return
        if what == "leave":
            self._leave()
        elif what == "terminate":
            self._terminate()
        elif what == "lose":
            self._lose()
            return
        if what in ("daemon", "both"):
            self._kill_daemon()
            self._result.daemon_kills += 1
        if what in ("console", "both"):
            self.console.kill()
            self._result.console_kills += 1
        if what in ("daemon", "both"):
            self._service.start("--turns", self._plan.turns)
        if what != "daemon":
            self._next_console()

    def _lose(self) -> None:
        """A disk of the mirror, or at the last time the host, with the daemon and the console."""
        assert isinstance(self._service, MirroredService)
        self._result.losses += 1
        if any(what == "lose" for _, what in self._kills):
            self._service.mirror.tear()
            return
        self._kill_daemon(then=self._service.mirror.lose_host)
        self.console.kill()
        self._service.mirror.mount_survivor()
        self._service.start("--turns", self._plan.turns)
        self._next_console()

    def _next_console(self) -> None:
        """The one before has ended, in whatever way."""
        self._compare_console()
        wait_for(lambda: self._service.status()["console"] is None, "the daemon sees that its console is gone")
        stored = self._stored("o")
        if self.console.left_well and stored < self._typed["o"]:
            self._result.problems.append(f"detached with status 0: {self._typed['o']} typed, {stored} stored")
        self._start_console(stored)
        self._ready(stored)
        self._typed["o"] = stored  # the rest is typed again

    def _behind_a_message(self, *then: str) -> None:
        """Types a few of the operator's messages, and `then` with them, into a console that is connected."""
        wait_for(lambda: self._service.status()["console"] is not None, "the console is back")
        room = self._plan.messages - 1 - self._typed["o"]
        self._type(self.console, "o", self._rng.randint(min(room, 1), min(room, 3)), *then)

    def _leave(self) -> None:
        """The operator detaches. Where they take turns, the client has to go on meanwhile."""
        self._behind_a_message("\\detach")
        last = self._plan.messages - 1

        def gone() -> bool:
            self._type_more(self.client, "p", self._progress()[0], last)
            return self.console.ended

        self._until(gone, leaving=True)
        self._result.leaves += 1
        self._ends_with(self.console.program.exit_status(), 0)
        self.console.left_well = True

    def _terminate(self) -> None:
        """The console is ended by a signal, perhaps before it has read or sent what was typed."""
        self._behind_a_message()
        time.sleep(self._rng.choice([0, 1]) * self._rng.uniform(0, 0.005))
        self._result.terms += 1
        self._ends_with(self.console.terminate(), 130)

    def _ends_with(self, status: int, expected: int) -> None:
        if status != expected:
            self._result.problems.append(f"the console's exit status is {status}, not {expected}")
            self._result.problems += [f"  {line}" for line in self.console.program.notices().splitlines()[-5:]]

    def _kill_daemon(self, then: Callable[[], None] = lambda: None) -> None:
        """In the middle of what was just typed: at its next answer, or after a few milliseconds. then: at once."""
        with self._service.ends():
            pid = self._service.pid()
            if self._rng.random() < 0.5:
                struck = threading.Event()

                def strike() -> None:
                    with suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                    then()
                    struck.set()

                self._proxy.strike(strike)
                if struck.wait(1):
                    return
                self._proxy.strike(lambda: None)
            time.sleep(self._rng.uniform(0, 0.005))
            os.kill(pid, signal.SIGKILL)
            then()

    def _kill_client(self, *, power: bool) -> None:
        """At a random byte, or after a few milliseconds; in the middle of what was just typed."""
        last = self._plan.messages - 1
        self._type_more(self.client, "p", self._progress()[0], last)
        self._type_more(self.console, "o", self._progress()[1], last)
        self._at_a_random_byte(self.client.program.process.kill)
        self.client.kill()
        if power:
            self._proxy.lose_client()
        self._compare_client()
        self._first_shown = self._progress()[1] + 1
        least, known = self._host.killed(power=power), self._host.recorded()
        if (stored := self._stored("p")) > least:
            self._result.problems.append(f"{stored} of the client's messages are stored, its file knows {least}")
        self._result.client_powers += power
        self._result.client_kills += not power
        self._typed["p"] = known  # the rest is typed again
        self._proxy.arm(CUTS_AT_START)
        self._start_client(known, *([] if known else ["--handle", "Client1"]))
        self._proxy.arm()

    def _at_a_random_byte(self, kill: Callable[[], None]) -> None:
        struck = threading.Event()

        def strike() -> None:
            kill()
            struck.set()

        if self._rng.random() < 0.5:
            self._proxy.strike(strike, after=self._rng.randint(0, 1500))
            if struck.wait(1):
                return
            self._proxy.strike(lambda: None)
        time.sleep(self._rng.uniform(0, 0.005))

    def _start_client(self, known: int, *options: str) -> None:
        """known: how many of its messages its session file has."""
        repeat = self._rng.choice(["", "0", "all"]) if known and "--repeat" not in options else ""
        if repeat == "all":
            self._first_shown = 1
        options = (*options, *(["--repeat", repeat] if repeat else []))
        self._client = _End(self._host.start(*options), "Server> o", "p", self._clients)
        self._clients += 1
        self._ends.append(self._client)
        program = self._client.program
        # A cut of its first calls can leave them without an answer, until it gives each of them up.
        wait_for(
            lambda: "Connected to" in program.notices() or self.client.ended, "the client is connected", STUCK
        )
        if self.client.ended:  # its first call was cut, so the user types the command again
            assert "Cannot connect" in program.notices(), program.notices()
            self._host.left()
            self._start_client(known, *options)

    def _stored(self, who: str) -> int:
        """How many messages of the client (p) or the operator (o) are in the journal."""
        peer = self._service.status()["peer"]
        return 0 if peer is None else int(peer["received" if who == "p" else "sent"])

    def _start_console(self, stored: int) -> None:
        before, self._consoles = self._consoles, self._consoles + 1
        # Each console is another user's: what was typed into the one before is not in its files.
        console = self._service.plain("pychatd-console", "--plain", "--handle", "Server", user=f"console-{before}")
        self._console = _End(console, "Client1> p", "o", before)
        self._ends.append(self._console)

    def _ready(self, stored: int) -> None:
        """Waits until a new console knows the conversation, with all that was stored of its user's."""
        if stored:
            wait_for(lambda: stored in self.console.said_earlier(), f"o{stored} is repeated")
        else:
            self.console.program.notes("calls from")

    # -------------------------------------------------------------- comparing

    def _compare_console(self, last: int | None = None) -> None:
        """What one console process has shown: all from the first message on, up to where it was killed."""
        shown, earlier = self.console.shown(), self.console.said_earlier()
        self._result.count(shown, max(shown, default=0) if last is None else last)
        if earlier != list(range(1, len(earlier) + 1)):
            self._result.problems.append(f"own messages repeated to a console: {earlier}")
        self._result.problems += [f"on the console's stdout: {line!r}" for line in self.console.others()]

    def _compare_client(self, last: int | None = None) -> None:
        """What one client process has shown: all from the first that it shows again, up to where it was killed."""
        shown = self.client.shown()
        first = min([self._first_shown, *shown[:1]])
        self._result.count(shown, max(shown, default=first - 1) if last is None else last, first)
        self._result.problems += [f"on the client's stdout: {line!r}" for line in self.client.others()]
        self._result.taken += any(words in self.client.program.notices() for words in _TAKEN)

    def compare(self) -> None:
        """What has been shown, at the end of the run."""
        self._result.cuts, self._result.late = self._proxy.cuts_made, self._proxy.late_arrivals
        if self._console is not None:
            self._compare_console(self._plan.messages)
        if self._client is not None:
            self._compare_client(self._plan.messages)

    def _read(self) -> None:
        """Each program's own count agrees, once the last acks are there."""
        last = self._plan.messages
        words = f"Sent: {last} ({last} stored, {last} read). Received: {last}."
        for end in (self.client, self.console):
            self._status_is(end.program, words)

    def _status_is(self, program: Piped | Screened, words: str) -> None:
        """The last ack may still be under way: the network stalls, and the machine may be busy."""

        def says_so() -> bool:
            before = program.notices().count("Sent: ")
            program.enter("\\status")
            wait_for(lambda: program.notices().count("Sent: ") > before, "the answer to \\status")
            return words in program.notices()

        wait_for(says_so, f"\\status says {words!r}")

    def _quit(self) -> None:
        """One side ends the conversation, both programs end well."""
        if self._rng.random() < 0.5:
            self.client.program.enter("\\quit")
            self.console.program.notes("Client1 ended the conversation.")
        else:
            self.console.program.enter("\\quit")
            self.client.program.notes("Server ended the conversation.")
        self.console.program.end_input()
        for name, end in (("client", self.client), ("console", self.console)):
            status = end.program.exit_status()
            assert status == 0, f"the {name}'s exit status is {status}"

    def _journal(self) -> list[dict[str, str]]:
        words = [str(Path(sys.executable).parent / "pychatd-console"), str(self._service.port)]
        words += ["--runtime-directory", str(self._service.runtime), "--history", "--json"]
        done = subprocess.run(words, env=self._service.env, capture_output=True, timeout=PATIENCE, check=True)
        return [json.loads(line) for line in done.stdout.splitlines()]

    def _compare_journal(self) -> None:
        messages = self._journal()
        said = [(message["text"][0], _number(message["text"][1:])) for message in messages]
        last = self._plan.messages
        for who in "po":
            numbers = [n for side, n in said if side == who]
            assert numbers == list(range(1, last + 1)), f"the journal has {who}: {numbers}"
        if self._plan.turns == "alternate":
            assert said == [(who, n) for n in range(1, last + 1) for who in "po"], "the turns in the journal"
        assert len({message["conversation"] for message in messages}) == 1, "one conversation became several"

    def account(self) -> None:
        """Whether what the programs said of their messages is true, now that all is stored that will be."""
        try:
            stored = {message["text"] for message in self._journal()}
        except (OSError, subprocess.SubprocessError) as error:
            self._result.problems.append(f"the journal cannot be asked: {error}")
            return
        shown = {line.partition("> ")[2] for end in self._ends for line in end.lines()}
        kept = self._kept()
        for end in self._ends:
            not_sent, not_confirmed = end.given_back()
            wrong = [text for text in not_sent if text in stored]
            self._result.sent_after_all += len(wrong)
            self._result.problems += [f"told not sent, and stored: {text}" for text in wrong]
            if end.ended and not end.killed:
                told = {*stored, *shown, *kept, *not_sent, *not_confirmed, *end.unread.decode().split("\n")}
                untold = [text for text in end.typed if text not in told]
                self._result.untold += len(untold)
                self._result.problems += [f"told nothing: {text}" for text in untold]
                if untold:
                    lines = end.program.notices().splitlines()[-6:]
                    self._result.problems += [f"  by the program that said: {line}" for line in lines]

    def _kept(self) -> set[str]:
        """What consoles have kept for the next one of their user, who does not come back here."""
        texts: set[str] = set()
        for path in self._service.directory.glob("state-of-console-*/pychat/sessions/*.db"):
            with suppress(sqlite3.OperationalError), closing(sqlite3.connect(path)) as db:  # killed at its making
                texts.update(text for (text,) in db.execute("SELECT text FROM text"))
        return texts

    def _lose_power(self) -> None:
        """Looks at what would be left if the power had failed at some moments of the run."""
        if isinstance(self._service, TracedService):
            self._service.kill()
            disk = Disk(self._service.journal, empty=True)
            self._result.gone = lost(disk, self._service.events(), self._rng)


# ------------------------------------------------------------------ by hand

LONG = (
    Plan("free", 2000, 60, 8, 8, both_kills=4, leaves=8, terms=8, client_kills=8),
    Plan("alternate", 300, 30, 5, 5, both_kills=3, leaves=5, terms=5, client_kills=5),
    Plan("free", 200, 5, 8, 4, both_kills=4, leaves=4, terms=4, client_kills=4, client_powers=6, power=True),
    Plan("alternate", 60, 5, 2, 2, both_kills=1, leaves=1, terms=1, client_kills=4, client_powers=6, power=True),
    Plan("free", 80, 5, 2, 2, 1, leaves=2, terms=2, client_kills=4, client_powers=8, power=True, screen=True),
)
SHORT = (
    Plan("free", 200, 5, 2, 2, both_kills=1, leaves=2, terms=2, client_kills=2, client_powers=2, power=True),
    Plan("alternate", 30, 3, 1, 1, both_kills=0, leaves=1, terms=1, client_kills=1, client_powers=1, power=True),
    Plan("free", 60, 2, 1, 1, 0, leaves=1, terms=1, client_kills=1, client_powers=4, power=True, screen=True),
)
SEEDS = (1, 2, 3, 4)


def main() -> int:
    parser = argparse.ArgumentParser(description="Conversations of the real programs while everything fails.")
    parser.add_argument("--long", action="store_true", help="thousands of messages, several seeds (minutes)")
    parser.add_argument("--seed", type=int, action="append", help="only this seed (repeatable)")
    args = parser.parse_args()
    seeds = args.seed or [*(SEEDS if args.long else SEEDS[:1]), int.from_bytes(os.urandom(4))]
    good = True
    for seed in seeds:
        for plan in LONG if args.long else SHORT:
            with tempfile.TemporaryDirectory() as directory:
                result = fault_run(Path(directory), plan, seed)
            print(result, flush=True)
            good = good and result.good
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
