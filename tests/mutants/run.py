"""`make mutants`: puts small faults into the rules, one at a time, and sees whether the fast tests notice.

    python -m tests.mutants.run [--seed N] [--minutes M] [--module NAME] [--listed] [--work SECONDS]

It prints each mutant that survives and is not listed in survivors.toml, and each listed one that a test notices;
at the end the table for docs/development.md.
"""

from __future__ import annotations

import argparse
import math
import os
import secrets
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random

from tests.mutants.mutate import Mutant, mutants_of
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
]
MODULES = [
    *(f"pychat_client.protocol.{name}" for name in PROTOCOL),
    *(f"pychatd.conversation.{name}" for name in DAEMON),
    *(f"pychat_client.session.{name}" for name in ("session", "reconnect")),
    *(f"pychat_client.trust.{name}" for name in ("known_hosts", "certificates", "tls")),
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

WORK_SECONDS = 3.0
"""Of the tests for one mutant, together: nearly all that are noticed are noticed within one."""

HEADINGS = ["module", "mutants", "noticed", *(verdict.value for verdict in Verdict), "not listed", "score"]


def main() -> int:
    arguments = _parse()
    print(f"--seed {arguments.seed}", flush=True)
    known, mutants = listed(), all_mutants()
    for name in sorted(known.keys() - {str(mutant) for mutant in mutants}):
        print(f"listed, and not there any more: {name}")
    chosen = [
        mutant
        for mutant in mutants
        if arguments.module in (None, mutant.short) and (str(mutant) in known or not arguments.listed)
    ]
    Random(arguments.seed).shuffle(chosen)
    tally = Tally(known)
    with tempfile.TemporaryDirectory(prefix="mutants-") as directory:

        def try_them() -> None:
            end = time.monotonic() + arguments.minutes * 60
            for mutant in chosen:
                if time.monotonic() > end:
                    break
                tally.add(mutant, trials.survives(mutant, arguments.work))
            print(f"of {len(chosen)} mutants:", *tally.table(), sep="\n")

        trials = Trials(MODULES, Path(directory), try_them)
        return trials.run(TESTS)


def all_mutants() -> list[Mutant]:
    return [mutant for module in MODULES for mutant in mutants_of(module)]


class Tally:
    """Counts what has become of the mutants, by module, and prints what the list does not say."""

    def __init__(self, known: dict[str, Verdict]) -> None:
        self._known = known
        self._counts: Counter[tuple[str, str]] = Counter()

    def add(self, mutant: Mutant, survives: bool) -> None:
        verdict = self._known.get(str(mutant))
        if survives and verdict is None:
            print(f"survives: {mutant}", flush=True)
        if verdict is not None and not survives:
            print(f"listed as {verdict.value}, and is noticed: {mutant}", flush=True)
        fate = "noticed" if not survives else "not listed" if verdict is None else verdict.value
        self._counts[mutant.short, fate] += 1

    def table(self) -> Iterator[str]:
        """In Markdown: each module, and all together."""
        yield _row(HEADINGS)
        yield _row(["---"] * len(HEADINGS))
        for module in [module.rpartition(".")[2] for module in MODULES]:
            if any(tried == module for tried, _ in self._counts):
                yield self._line(f"`{module}`", [module])
        yield self._line("all", [tried for tried, _ in self._counts])

    def _line(self, name: str, modules: Sequence[str]) -> str:
        fates = {fate: sum(self._counts[m, fate] for m in set(modules)) for fate in HEADINGS[2:-1]}
        tried = sum(fates.values())
        real = tried - fates[Verdict.EQUIVALENT.value]
        score = f"{100 * fates['noticed'] / real:.1f} %" if real else ""
        return _row([name, str(tried), *map(str, fates.values()), score])


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tests.mutants.run")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**9), help="of the order")
    parser.add_argument("--minutes", type=float, default=math.inf, help="as long as it tries; all, if not given")
    parser.add_argument("--module", help="only this one, such as outbox")
    parser.add_argument("--listed", action="store_true", help="only those in survivors.toml")
    parser.add_argument("--work", type=float, default=WORK_SECONDS, help="seconds of tests for each mutant")
    return parser.parse_args()


if __name__ == "__main__":
    os.chdir(Path(__file__).parents[2])
    os.environ["PYCHAT_TEST_PATIENCE"] = "8"  # before the tests are imported
    sys.exit(main())
