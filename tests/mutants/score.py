"""What became of the mutants, by module: kept in score.json, and a table of docs/development.md.

`python -m tests.mutants.score` writes the table into the page.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

from tests.mutants.survivors import Verdict

FILE = Path(__file__).with_name("score.json")
PAGE = Path(__file__).parents[2] / "docs/development.md"

NOTICED = "noticed"
NOT_LISTED = "not listed"
FATES = [NOTICED, *(verdict.value for verdict in Verdict), NOT_LISTED]
HEADINGS = ["module", "mutants", *FATES, "score"]

_TABLE = re.compile(r"(?<=<!-- mutants -->\n).*(?=<!-- end of mutants -->)", re.DOTALL)

Scores: TypeAlias = dict[str, dict[str, int]]
"""Of each module: how many mutants had which fate."""


def kept() -> Scores:
    scores: Scores = json.loads(FILE.read_text()) if FILE.exists() else {}
    return scores


def count(fates: Iterable[tuple[str, str]]) -> Scores:
    """Of pairs of a module and what became of one of its mutants."""
    scores: Scores = {}
    for module, fate in fates:
        of_module = scores.setdefault(module, {})
        of_module[fate] = of_module.get(fate, 0) + 1
    return scores


def keep(scores: Scores) -> None:
    """In place of what is kept of these modules; the others stay."""
    FILE.write_text(json.dumps(kept() | scores, indent=1, sort_keys=True) + "\n")


def table(scores: Scores) -> Iterator[str]:
    """In Markdown: each module, and all together."""
    yield _row(HEADINGS)
    yield _row(["---", *["--:"] * (len(HEADINGS) - 1)])
    for module, counts in sorted(scores.items()):
        yield _line(f"`{module}`", counts)
    together: Counter[str] = Counter()
    for counts in scores.values():
        together.update(counts)
    yield _line("all", together)


def with_table(page: str, scores: Scores) -> str:
    """The page with this table between its two comments."""
    return _TABLE.sub("".join(f"{line}\n" for line in table(scores)), page)


def _line(name: str, counts: Mapping[str, int]) -> str:
    """The score is what is noticed of those that can be: not of the equivalent ones."""
    fates = [counts.get(fate, 0) for fate in FATES]
    real = sum(fates) - counts.get(Verdict.EQUIVALENT.value, 0)
    score = f"{100 * counts.get(NOTICED, 0) / real:.1f} %" if real else ""
    return _row([name, str(sum(fates)), *map(str, fates), score])


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    PAGE.write_text(with_table(PAGE.read_text(), kept()))
