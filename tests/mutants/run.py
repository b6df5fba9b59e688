"""`make mutants`: puts small faults into the rules, one at a time, and sees whether the fast tests notice.

    python -m tests.mutants.run [--seed N] [--minutes M] [--module NAME...] [--listed] [--work SECONDS]

It prints each mutant that survives and is not listed in survivors.toml, and each listed one that a test notices;
at the end a table. It keeps the score of each module of which it has tried all mutants.
"""

from __future__ import annotations

import argparse
import math
import os
import secrets
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby, takewhile
from pathlib import Path
from random import Random

from tests.mutants.mutate import Mutant, mutants_of
from tests.mutants.score import NOT_LISTED, NOTICED, Scores, count, keep, table
from tests.mutants.survivors import Verdict, listed
from tests.mutants.trial import Trials

PROTOCOL = ["turns", "phase", "outbox", "endpoint", "console_endpoint", "codec", "wire", "grammar", "rate_limit"]
DAEMON = [
    "journal",
    "journal_file",
    "switchboard",
    "peer_session",
    "console_session",
    "endpoint_session",
    "cursor",
    "model",
    "retention",
]
MODULES = [
    *(f"pychat_client.protocol.{name}" for name in PROTOCOL),
    *(f"pychatd.conversation.{name}" for name in DAEMON),
    *(f"pychat_client.session.{name}" for name in ("session", "reconnect")),
    *(f"pychat_client.trust.{name}" for name in ("known_hosts", "certificates", "public_key", "tls")),
]

RUNS = "tests/simulation/test_simulation.py::test_nothing_is_lost_or_doubled_whatever_happens"
TESTS = [
    "tests/client",
    "tests/daemon",
    "tests/classic/test_codecs.py",
    "tests/property/test_unread.py",
    "tests/property/test_went_back.py",
    "tests/simulation/test_stories.py",
    *(f"{RUNS}[{batch}]" for batch in range(3)),
    "tests/simulation/test_return.py::test_a_killed_client_loses_and_doubles_nothing",
]
"""The fast tests: those that run the programs' code in their own process, and take a moment."""

WORK_SECONDS = 10.0
"""Of the tests for one mutant, together: nearly all that are noticed are noticed within one."""


def main() -> int:
    arguments = _parse()
    print(f"--seed {arguments.seed}", flush=True)
    known, mutants = listed(), all_mutants()
    for name in sorted(known.keys() - {str(mutant) for mutant in mutants}):
        print(f"listed, and not there any more: {name}")
    chosen = [
        mutant
        for mutant in mutants
        if (not arguments.module or mutant.short in arguments.module)
        and (str(mutant) in known or not arguments.listed)
    ]
    sample = arguments.listed or arguments.minutes is not None
    if sample:
        Random(arguments.seed).shuffle(chosen)
    batches = [begun_within(arguments.minutes, chosen)] if sample else _by_module(chosen)
    with tempfile.TemporaryDirectory(prefix="mutants-") as directory:

        def fates(mutants: Iterable[Mutant]) -> Iterator[tuple[str, str]]:
            """The module and the fate of each."""
            for mutant in mutants:
                yield mutant.short, fate(mutant, known, survives=trials.survives(mutant, arguments.work))

        def try_them() -> None:
            scores: Scores = {}
            for batch in batches:
                found = count(fates(batch))
                if not sample:
                    keep(found)
                scores |= found
            print(f"of {len(chosen)} mutants, in {sum(os.times()[:4]) / 60:.0f} minutes of a processor:")
            print(*table(scores), sep="\n")

        trials = Trials(MODULES, Path(directory), try_them)
        return trials.run(TESTS)


def all_mutants() -> list[Mutant]:
    return [mutant for module in MODULES for mutant in mutants_of(module)]


def fate(mutant: Mutant, known: Mapping[str, Verdict], *, survives: bool) -> str:
    """What became of a mutant. Prints what the list does not say."""
    verdict = known.get(str(mutant))
    if survives and verdict is None:
        print(f"survives: {mutant}", flush=True)
    if verdict is not None and not survives:
        print(f"listed as {verdict.value}, and is noticed: {mutant}", flush=True)
    return NOTICED if not survives else NOT_LISTED if verdict is None else verdict.value


def _by_module(mutants: Iterable[Mutant]) -> Iterator[Iterator[Mutant]]:
    return (of_module for _, of_module in groupby(mutants, lambda mutant: mutant.short))


def begun_within(minutes: float | None, mutants: Iterable[Mutant]) -> Iterator[Mutant]:
    """Those that are begun in this time from the first one on; all, if there is none."""
    end = math.inf if minutes is None else time.monotonic() + minutes * 60
    yield from takewhile(lambda _: time.monotonic() < end, mutants)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tests.mutants.run")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**9), help="of the order")
    parser.add_argument("--minutes", type=float, help="as long as it tries; all, if not given")
    parser.add_argument("--module", nargs="+", help="only these, such as outbox")
    parser.add_argument("--listed", action="store_true", help="only those in survivors.toml")
    parser.add_argument("--work", type=float, default=WORK_SECONDS, help="seconds of tests for each mutant")
    return parser.parse_args()


if __name__ == "__main__":
    os.chdir(Path(__file__).parents[2])
    os.environ["PYCHAT_TEST_PATIENCE"] = "8"  # before the tests are imported
    sys.exit(main())
