"""`make mutants`: puts small faults into the rules, one at a time, and sees whether the fast tests notice.

    python -m tests.mutants.run [--seed N] [--minutes M] [--module NAME] [--each N]

With --each it tries N mutants of each module. Each is tried in a fork of this process, which has imported all.
It prints those that survive.
"""

from __future__ import annotations

import argparse
import os
import secrets
import signal
import sys
import time
from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path
from random import Random

import pytest

from tests.mutants.mutate import Mutant, mutants_of, plant

PROTOCOL = ["turns", "phase", "outbox", "endpoint", "console_endpoint", "codec", "wire", "grammar", "rate_limit"]
DAEMON = ["journal", "switchboard", "peer_session", "console_session", "endpoint_session", "cursor", "model"]
SESSION = ["session", "reconnect"]
TRUST = ["known_hosts", "certificates", "tls"]
RUNS = "tests/simulation/test_simulation.py::test_nothing_is_lost_or_doubled_whatever_happens"
RETURN = "tests/simulation/test_return.py::test_a_killed_client_loses_and_doubles_nothing"
SIMULATION = ["tests/simulation/test_stories.py", *(f"{RUNS}[{batch}]" for batch in range(3)), RETURN]
TESTS = {
    "pychat_client.protocol": (
        PROTOCOL,
        [
            "tests/client/test_endpoint.py",
            "tests/client/test_phase.py",
            "tests/client/test_codec.py",
            "tests/client/test_typing_indicator.py",
            "tests/client/test_session_file.py",
            "tests/client/test_invitation.py",
            "tests/client/test_narration.py",
            "tests/client/test_status.py",
            "tests/daemon/test_repetition.py",
            *SIMULATION,
        ],
    ),
    "pychatd.conversation": (
        DAEMON,
        [
            "tests/daemon/test_cursor.py",
            "tests/daemon/test_journal.py",
            "tests/daemon/test_journal_health.py",
            "tests/daemon/test_peer_session.py",
            "tests/daemon/test_switchboard.py",
            "tests/daemon/test_tidying.py",
            "tests/daemon/test_quota.py",
            "tests/daemon/test_repetition.py",
            "tests/daemon/test_history_reader.py",
            "tests/daemon/test_classic_queue.py",
            "tests/daemon/test_signals_passed_on.py",
            *SIMULATION,
        ],
    ),
    "pychat_client.session": (
        SESSION,
        [
            "tests/client/test_reconnect.py",
            "tests/client/test_narration.py",
            "tests/client/test_status.py",
            "tests/client/test_session_file.py",
            "tests/client/test_typing_indicator.py",
            "tests/client/test_endpoint.py",
            *SIMULATION,
        ],
    ),
    "pychat_client.trust": (
        TRUST,
        [
            "tests/client/test_trust.py",
            "tests/client/test_aliases.py",
            "tests/client/test_connect.py",
            "tests/client/test_invitation.py",
            "tests/daemon/test_identity.py",
        ],
    ),
}
"""Which modules of a package are changed, and the fast tests that are to notice, the fastest first."""

CPU_SECONDS = 30
"""Of work for the tests of one mutant, three times what they take. More means that it hangs: that is noticed."""

WAIT_SECONDS = 60
"""Without any work, for one that hangs: that is noticed. One that waits for a busy processor does not hang."""


def survives(mutant: Mutant, tests: Sequence[str]) -> bool:
    """Whether no test notices."""
    child = os.fork()
    if child == 0:
        os._exit(_try_out(mutant, tests))
    idle = 0.0
    while idle < WAIT_SECONDS:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return status == 0
        time.sleep(0.1)
        idle = 0.0 if _is_runnable(child) else idle + 0.1
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return False


def _is_runnable(pid: int) -> bool:
    """Whether a process has a processor, or waits for one or for a disk."""
    state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    return state in "RDZ"


def _try_out(mutant: Mutant, tests: Sequence[str]) -> int:
    """In the fork: 0 if all tests pass."""
    signal.setitimer(signal.ITIMER_PROF, CPU_SECONDS)
    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, 1)
    os.dup2(devnull, 2)
    try:
        plant(mutant)
        return int(_pytest(["-x", *tests]))
    except BaseException:
        return 1


def _pytest(arguments: Sequence[str]) -> int:
    plugins = ["-p", "no:cacheprovider", "-p", "no:xdist", "--timeout=0", "-o", "addopts="]
    return int(pytest.main([*plugins, "-q", *arguments]))


def main() -> int:
    arguments = _parse()
    print(f"trying mutants for {arguments.minutes:g} minutes, --seed {arguments.seed}", flush=True)
    chosen = _chosen(arguments)
    _warm_up({test for _, tests in chosen for test in tests})
    end = time.monotonic() + arguments.minutes * 60
    survivors: list[Mutant] = []
    tried = 0
    for mutant, tests in chosen:
        if time.monotonic() > end:
            break
        tried += 1
        if survives(mutant, tests):
            survivors.append(mutant)
            print(f"survives: {mutant}", flush=True)
    killed = tried - len(survivors)
    print(f"{killed} of {tried} mutants were noticed ({100 * killed // max(tried, 1)} %); there are {len(chosen)}")
    return 0


def _chosen(arguments: argparse.Namespace) -> list[tuple[Mutant, list[str]]]:
    """The mutants to try, in the order of the seed."""
    chosen = [(m, tests) for m, tests in _all_mutants() if arguments.module in (None, m.module.rpartition(".")[2])]
    Random(arguments.seed).shuffle(chosen)
    return chosen if arguments.each is None else _from_each(chosen, arguments.each)


def _from_each(chosen: list[tuple[Mutant, list[str]]], limit: int) -> list[tuple[Mutant, list[str]]]:
    """The first of each module, then the second of each, and so on."""
    by_module: dict[str, list[tuple[Mutant, list[str]]]] = {}
    for mutant, tests in chosen:
        by_module.setdefault(mutant.module, []).append((mutant, tests))
    rounds = zip_longest(*(found[:limit] for found in by_module.values()))
    return [pair for one in rounds for pair in one if pair is not None]


def _all_mutants() -> list[tuple[Mutant, list[str]]]:
    return [
        (mutant, tests)
        for package, (modules, tests) in TESTS.items()
        for name in modules
        for mutant in mutants_of(f"{package}.{name}")
    ]


def _warm_up(tests: set[str]) -> None:
    """Imports everything once, and sees that all tests pass without a fault."""
    if _pytest(["--collect-only", "-qqq", *sorted(tests)]):
        raise SystemExit("the tests cannot be collected")


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tests.mutants.run")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**9), help="of the order")
    parser.add_argument("--minutes", type=float, default=3.0)
    parser.add_argument("--each", type=int, help="mutants of each module")
    parser.add_argument("--module", help="only this one, such as outbox")
    return parser.parse_args()


if __name__ == "__main__":
    os.chdir(Path(__file__).parents[2])
    sys.exit(main())
