"""`python -m tests.bench.before DIR...`: what older checkouts and this one need, measured in turn.

DIR is a checkout, such as `git worktree add DIR COMMIT` makes. All are installed as a user would. Of what `make
bench` measures, this is what changes from one version of pychat to another; no other program is measured.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pychat_client.errors import UsageError
from tests.bench import measure, screens, strangers
from tests.bench.goals import ALLOWLIST, PROCESS, PYCHAT, Figures
from tests.bench.measure import say
from tests.bench.run import ROOT, commit, save
from tests.bench.systems import KINDS, MissingError, Server, Tools, build

ROUNDS = 5
SERVICES = (1, 200)

Versions = Mapping[str, Tools]
"""The programs of each checkout, by its commit; this one is the last."""


def measured(place: Path, versions: Versions, rounds: int) -> dict[str, Figures]:
    """For each version, figures such as `run`, `screens` and `strangers` make."""
    figures: dict[str, Figures] = {name: {} for name in versions}
    for number in range(rounds):
        for name, speed in _speed(versions, place / f"{number}-speed").items():
            figures[name] = joined(figures[name], {"speed": speed})
        for name, tools in versions.items():
            say(f"before {number + 1}/{rounds}: {name}")
            (directory := place / f"{number}-{name}").mkdir()
            figures[name] = joined(figures[name], _one(directory, tools, number))
    for name, tools in versions.items():
        figures[name]["lines"] = measure.lines(tools, place / f"{name}-lines", SERVICES, rounds)
    return figures


def joined(one: Any, other: Any) -> Any:
    """The figures of two rounds: all their lists one behind the other."""
    if isinstance(one, dict):
        return one | {key: joined(one[key], value) if key in one else value for key, value in other.items()}
    return one + other


def _speed(versions: Versions, place: Path) -> dict[str, Figures]:
    """Round trips and streams, with the servers of all versions in turn. A library takes the syncs away, as what
    turns them off in pychat itself is not the same in each version."""
    running: dict[str, Server] = {}
    try:
        for name, tools in versions.items():
            for kind, within in ((PYCHAT, ()), (PROCESS, ("env", f"LD_PRELOAD={tools.sync}"))):
                running[f"{name} {kind}"] = Server(KINDS[PYCHAT], tools, place / name / kind, within)
        figures = measure.speed(tools, running, 1)
    finally:
        for server in running.values():
            server.close()
    return {name: {kind: figures[f"{name} {kind}"] for kind in (PYCHAT, PROCESS)} for name in versions}


def _one(place: Path, tools: Tools, seed: int) -> Figures:
    """What is measured of one version after the other, once."""
    programs = tools.env / "bin"
    rows: dict[str, dict[str, list[float]]] = {}
    for (what, program), times in screens.ROWS.items():
        if program.startswith(PYCHAT):
            with screens.desk(place, programs) as at:
                seconds = times(at, random.Random(seed))
            rows.setdefault(what, {})[program] = [1000 * value for value in seconds]
    with screens.desk(place, programs) as at:
        memory = {program: [size] for program, size in screens.MEMORY[PYCHAT](at).items()}
    (stranger := place / "stranger").mkdir()
    with strangers.pychatd(stranger, programs) as where:
        cost = strangers.cost(*where)
    return {
        **measure.talking(tools, [PYCHAT], place / "talking", 1),
        "starts": measure.starts(tools, place / "starts", 2, measure.PARTS),
        "screens": {"rows": rows},
        "screen_memory": memory,
        "strangers": {ALLOWLIST: [cost]},
    }


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="tests.bench.before", description="Measures older checkouts and this one."
    )
    parser.add_argument("old", metavar="DIR", type=Path, nargs="+", help="an older checkout")
    checkouts = [*parser.parse_args().old, ROOT]
    for checkout in checkouts:
        if not (checkout / "pychat_client").is_dir():
            raise UsageError(f"{checkout} is not a checkout.")
    named = {commit(checkout) or checkout.name: checkout for checkout in checkouts}
    try:
        versions = {name: build(ROOT / "build/bench" / name, checkout) for name, checkout in named.items()}
    except MissingError as error:
        say(f"bench: {error}")
        return 1
    with tempfile.TemporaryDirectory(prefix="pychat-before-", dir="/var/tmp") as place:
        save("before", {"before": measured(Path(place), versions, ROUNDS)})
    return 0


if __name__ == "__main__":
    sys.exit(main())
