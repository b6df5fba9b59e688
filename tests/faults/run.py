"""One conversation of the real programs while everything around them fails.

    pychat --plain  <->  proxy that cuts  <->  pychatd  <->  pychatd-console --plain

Both ends say numbered messages (p1, p2, ... and o1, o2, ...); the proxy cuts the connection at random
bytes, daemon and console are killed with -9 at random moments and started again. At the end each
message has to be on the other screen once, in order, and in the journal. `python -m tests.faults.run`
runs it by hand; the seed of every run is printed, and `--seed` repeats its choices (not its timing).
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
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.e2e.harness import PATIENCE, Line, Piped, wait_for
from tests.faults.proxy import Proxy, Weather

HANDSHAKE = 2500
"""Bytes of a TLS handshake, about; each call begins with one."""

STUCK = 60.0
"""Seconds without any progress that end a run: four times the longest pause between two calls."""

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

    def __str__(self) -> str:
        return f"{self.turns}, {self.messages} each way"


@dataclass
class Result:
    """What became of it. `problems` is everything else that should not be; it is in words."""

    plan: Plan
    seed: int
    lost: int = 0
    doubled: int = 0
    disordered: int = 0
    cuts: int = 0
    daemon_kills: int = 0
    console_kills: int = 0
    seconds: float = 0.0
    problems: list[str] = field(default_factory=list)

    @property
    def good(self) -> bool:
        return not (self.lost or self.doubled or self.disordered or self.problems)

    def count(self, numbers: list[int], last: int) -> None:
        """Compares what was shown with 1, 2, ... last."""
        self.lost += len(set(range(1, last + 1)) - set(numbers))
        self.doubled += len(numbers) - len(set(numbers))
        self.disordered += sum(b < a for a, b in itertools.pairwise(numbers))

    def __str__(self) -> str:
        line = (
            f"seed {self.seed} ({self.plan}): {self.lost} lost, {self.doubled} doubled, "
            f"{self.disordered} out of order; {self.cuts} cuts, {self.daemon_kills} daemon kills, "
            f"{self.console_kills} console kills; {self.seconds:.1f} s"
        )
        return "\n  ".join([line, *self.problems])


def fault_run(directory: Path, plan: Plan, seed: int) -> Result:
    """Runs `plan`; never raises for what the programs do, but tells it in the result."""
    result = Result(plan, seed)
    started = time.monotonic()
    driver = _Driver(directory, plan, seed, result)
    try:
        driver.run()
    except (AssertionError, OSError, subprocess.SubprocessError) as error:
        result.problems += [f"{type(error).__name__}: {error}", *driver.state()]
        driver.compare()
    finally:
        driver.close()
    result.seconds = time.monotonic() - started
    return result


class _End:
    """One program on pipes, and the numbers it has shown."""

    def __init__(self, program: Piped, theirs: str, own: str) -> None:
        """theirs, own: how a message of the other and of this end begins, before its number."""
        self.program = program
        self._theirs = re.compile(rf"{theirs}([0-9]+)")
        self._own = re.compile(rf"[a-z-]+: said earlier: {own}([0-9]+)")

    def lines(self) -> list[str]:
        return self.program.out().split("\n")[:-1]

    def shown(self) -> list[int]:
        return [int(found[1]) for line in self.lines() if (found := self._theirs.fullmatch(line))]

    def said_earlier(self) -> list[int]:
        return [
            int(found[1]) for line in self.program.notices().split("\n") if (found := self._own.fullmatch(line))
        ]

    def others(self) -> list[str]:
        """What is on stdout and no message: nothing should be."""
        return [line for line in self.lines() if not self._theirs.fullmatch(line)]

    def files(self) -> list[int]:
        process = self.program.process
        return [stream.fileno() for stream in (process.stdout, process.stderr) if stream is not None]

    def kill(self) -> None:
        self.program.process.kill()
        self.program.process.wait()


class _Driver:
    """Types, kills and restarts."""

    def __init__(self, directory: Path, plan: Plan, seed: int, result: Result) -> None:
        self._plan = plan
        self._result = result
        self._rng = random.Random(seed)
        self._line = Line(directory)
        traffic = plan.messages * 50  # bytes that cross the proxy, about
        # With room for a handshake: cut off in each of them, a client calls ever more rarely, as it should.
        between = (1, 2 * traffic // (plan.cuts + 1) + 2 * HANDSHAKE)
        self._proxy = Proxy(self._line.port, self._rng.getrandbits(32), Weather(plan.cuts, between))
        kinds = ["daemon"] * plan.daemon_kills + ["console"] * plan.console_kills + ["both"] * plan.both_kills
        self._rng.shuffle(kinds)
        places = sorted(self._rng.randint(2, 2 * plan.messages - 4) for _ in kinds)
        self._kills = list(zip(places, kinds, strict=True))  # after how many messages shown, what
        self._window = 60 if plan.turns == "free" else 3  # messages typed and not shown yet
        self._typed = {"p": 0, "o": 0}
        self._client: _End | None = None
        self._console: _End | None = None

    def close(self) -> None:
        self._proxy.close()
        self._line.close()

    def state(self) -> list[str]:
        """Where it stands, for a run that went wrong."""
        told = [f"typed {self._typed}, kills left {self._kills}"]
        for name, end in (("client", self._client), ("console", self._console)):
            if end is not None:
                shown = end.shown()
                told.append(f"{name}: shown {len(shown)}, last {shown[-3:]}; exit {end.program.process.poll()}")
                told += [f"{name} | {line}" for line in end.program.notices().splitlines()[-8:]]
        return [*told, *(f"log | {line}" for line in self._line.log()[-12:])]

    def run(self) -> None:
        self._line.start("--turns", self._plan.turns)
        self._start_console(0)
        words = [str(Path(sys.executable).parent / "pychat"), "--accept-new", "127.0.0.1", str(self._proxy.port)]
        client = Piped(self._line.popen([*words, "--plain", "--handle", "Client1"]))
        self._client = _End(client, "Server> o", "p")
        client.notes("Connected to")
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

    @property
    def client(self) -> _End:
        assert self._client is not None
        return self._client

    @property
    def console(self) -> _End:
        assert self._console is not None
        return self._console

    # -------------------------------------------------------------- talking

    def _until(self, done: Callable[[], bool]) -> None:
        """Repeats `done` with whatever comes from the programs, until it holds or nothing moves."""
        before, since = (-1, -1), time.monotonic()
        while not done():
            for name, end in (("client", self.client), ("console", self.console)):
                assert end.program.process.poll() is None, f"the {name} has ended"
            select.select([*self.client.files(), *self.console.files()], [], [], TICK)
            now = (len(self.client.program.out()), len(self.console.program.out()))
            if now != before:
                before, since = now, time.monotonic()
            assert time.monotonic() - since < STUCK, f"nothing moves for {STUCK:.0f} s"

    def _talk(self, last: int) -> bool:
        """Types what may be typed, kills what is due; True when all has been shown on both sides."""
        heard, told = len(self.console.shown()), len(self.client.shown())
        for end, who, arrived in ((self.client, "p", heard), (self.console, "o", told)):
            room = min(self._window - (self._typed[who] - arrived), last - self._typed[who])
            if room > 0:
                self._type(end, who, self._rng.randint(1, min(room, 12)))
        if self._kills and heard + told >= self._kills[0][0]:
            self._kill(self._kills.pop(0)[1])
            return False
        return heard >= last and told >= last and not self._kills

    def _type(self, end: _End, who: str, count: int) -> None:
        first = self._typed[who] + 1
        self._typed[who] += count
        end.program.enter("\n".join(f"{who}{n}" for n in range(first, first + count)))

    def _last_words(self) -> None:
        """The last message of each side goes through a connection that is not cut any more."""
        last = self._plan.messages
        self._type(self.client, "p", 1)
        self._until(lambda: len(self.console.shown()) >= last)
        self._type(self.console, "o", 1)
        self._until(lambda: len(self.client.shown()) >= last)

    # -------------------------------------------------------------- killing

    def _kill(self, what: str) -> None:
        if what in ("daemon", "both"):
            self._kill_daemon()
            self._result.daemon_kills += 1
        if what in ("console", "both"):
            self.console.kill()
            self._result.console_kills += 1
            self._compare_console()
        if what in ("daemon", "both"):
            self._line.start("--turns", self._plan.turns)
        if what in ("console", "both"):
            wait_for(lambda: self._line.status()["console"] is None, "the daemon sees that its console is gone")
            stored = self._stored()
            self._start_console(stored)
            self._ready(stored)
            self._typed["o"] = stored  # the rest is typed again

    def _kill_daemon(self) -> None:
        """In the middle of what was just typed: at its next answer, or after a few milliseconds."""
        with self._line.ends():
            pid = self._line.pid()
            if self._rng.random() < 0.5:
                struck = threading.Event()

                def strike() -> None:
                    with suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                    struck.set()

                self._proxy.strike(strike)
                if struck.wait(1):
                    return
                self._proxy.strike(lambda: None)
            time.sleep(self._rng.uniform(0, 0.005))
            os.kill(pid, signal.SIGKILL)

    def _stored(self) -> int:
        peer = self._line.status()["peer"]
        return 0 if peer is None else int(peer["sent"])

    def _start_console(self, stored: int) -> None:
        console = self._line.plain("pychatd-console", "--plain", "--handle", "Server")
        self._console = _End(console, "Client1> p", "o")

    def _ready(self, stored: int) -> None:
        """Waits until a new console knows the conversation, with all that was stored of its user's."""
        self.console.program.notes(f"said earlier: o{stored}\n" if stored else "calls from")

    # -------------------------------------------------------------- comparing

    def _compare_console(self, last: int | None = None) -> None:
        """What one console process has shown: all from the first message on, up to where it was killed."""
        shown, earlier = self.console.shown(), self.console.said_earlier()
        self._result.count(shown, max(shown, default=0) if last is None else last)
        if earlier != list(range(1, len(earlier) + 1)):
            self._result.problems.append(f"own messages repeated to a console: {earlier}")
        self._result.problems += [f"on the console's stdout: {line!r}" for line in self.console.others()]

    def compare(self) -> None:
        """What has been shown, at the end of the run."""
        self._result.cuts = self._proxy.cuts_made
        if self._console is not None:
            self._compare_console(self._plan.messages)
        if self._client is not None:
            self._result.count(self._client.shown(), self._plan.messages)
            self._result.problems += [f"on the client's stdout: {line!r}" for line in self._client.others()]

    def _read(self) -> None:
        """Each program's own count agrees, once the last acks are there."""
        last = self._plan.messages
        words = f"Sent {last}, of which {last} stored and {last} read; received {last}; held 0."
        for end in (self.client, self.console):
            self._status_is(end.program, words)

    def _status_is(self, program: Piped, words: str) -> None:
        for _ in range(100):
            before = program.notices().count("Sent ")
            program.enter("\\status")
            wait_for(lambda: program.notices().count("Sent ") > before, "the answer to \\status")  # noqa: B023
            if words in program.notices():
                return
        raise AssertionError(f"\\status never says {words!r}")

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

    def _compare_journal(self) -> None:
        words = [str(Path(sys.executable).parent / "pychatd-console"), str(self._line.port)]
        words += ["--runtime-directory", str(self._line.runtime), "--history", "--json"]
        done = subprocess.run(words, env=self._line.env, capture_output=True, timeout=PATIENCE, check=True)
        messages = [json.loads(line) for line in done.stdout.splitlines()]
        said = [message["text"] for message in messages]
        last = self._plan.messages
        for who in "po":
            numbers = [int(text[1:]) for text in said if text[0] == who]
            assert numbers == list(range(1, last + 1)), f"the journal has {who}: {numbers}"
        if self._plan.turns == "alternate":
            assert said == [f"{who}{n}" for n in range(1, last + 1) for who in "po"], "the turns in the journal"
        assert len({message["conversation"] for message in messages}) == 1, "one conversation became several"


# ------------------------------------------------------------------ by hand

LONG = (
    Plan("free", 2000, cuts=60, daemon_kills=8, console_kills=8, both_kills=4),
    Plan("alternate", 300, cuts=30, daemon_kills=5, console_kills=5, both_kills=3),
)
SHORT = (
    Plan("free", 200, cuts=5, daemon_kills=2, console_kills=2, both_kills=1),
    Plan("alternate", 30, cuts=3, daemon_kills=1, console_kills=1, both_kills=0),
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
