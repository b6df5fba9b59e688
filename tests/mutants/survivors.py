"""The mutants that no test needs to notice, and why: survivors.toml."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from enum import Enum
from pathlib import Path

FILE = Path(__file__).with_name("survivors.toml")


class Verdict(Enum):
    """What a listed mutant is; the value is the name of its part of the file."""

    EQUIVALENT = "equivalent"
    """It changes nothing that anybody can notice."""
    UNIMPORTANT = "unimportant"
    """It changes something, and a test of that is not worth its lines."""


def listed() -> dict[str, Verdict]:
    """The names of all listed mutants. A name that stands there twice, or without a reason, is an error."""
    found: dict[str, Verdict] = {}
    for verdict in Verdict:
        for reason, names in _reasons(verdict).items():
            assert reason, f"no reason: {names}"
            for name in names:
                assert name not in found, f"twice: {name}"
                found[name] = verdict
    return found


def _reasons(verdict: Verdict) -> Mapping[str, list[str]]:
    """The names under each reason."""
    reasons: Mapping[str, list[str]] = tomllib.loads(FILE.read_text())[verdict.value]
    return reasons
