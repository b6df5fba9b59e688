"""Each promise of the pages has a test, and the tables that say which one are complete."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROMISES = (ROOT / "docs/promises.md").read_text()
SECURITY = (ROOT / "docs/security.md").read_text()
README = (ROOT / "README.md").read_text()

NO_PROMISES = {
    "Encrypted, with trust as in ssh.": "a heading",
    "Nothing disturbs the line you are typing.": "a heading",
    "Nobody else takes part.": "a heading",
    "Scripts are welcome.": "a heading",
    "Without one, you check the key of host A once, at the first call.": "what the user does",
    "The messages go from host to host, and host A keeps the conversation.": "how it is made",
    "`pychat send` for one message, `pychat replies` for what came, JSON lines for bots, exact exit statuses.": (
        "a list of what there is"
    ),
}
"""Sentences of "Why pychat" that promise nothing by themselves, and why."""

MANUALS = sorted((ROOT / "packaging/man").glob("*.[1-8]"))
PROMISING = re.compile(r"\b(never|always|lost|nothing|nobody|at once)\b", re.IGNORECASE)

NO_PROMISES_OF_MANUALS = {
    "By default it never gives up.": "what the option is for",
    "By default it never stops.": "what the option is for",
    "When the connection is lost,": "when something happens",
    "leave at once;": "what a key does",
    "send nothing before the first message.": "advice",
    "lists the numbers of those that nobody has read.": "what a command does",
    "and nothing else to end the conversation.": "what an option does",
    "Show who calls, and the messages that nobody is there to read;": "what an option does",
    "nobody.": "the end of a list of values",
    "A failure, or the connection was lost.": "a status",
    "Nothing has been sent.": "a status",
    "nothing has come.": "a status",
    "How many seconds, from 0 to 86400, the service is kept for a caller who lost the connection or left the"
    " conversation open;": "its second half is listed",
}
"""Sentences of the manual pages with a promising word that promise nothing, and why."""


def rows(page: str, heading: str) -> list[list[str]]:
    """The cells of the table below a heading, without the head of the table."""
    below = page.split(f"{heading}\n", 1)[1]
    table = below[below.index("| ") :].split("\n\n")[0]
    return [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in table.splitlines()[2:]]


def in_one_line(text: str) -> str:
    return re.sub(r"\s+", " ", text.replace("**", "").replace("\n- ", " "))


def sentences(text: str) -> list[str]:
    return [s.strip() for s in re.findall(r"[^.]+?(?:\d\.\d[^.]*?)?\.(?= |$)", in_one_line(text).strip())]


LISTED = [
    row
    for heading in ("## In the README", "## Against attackers", "## In the manual pages")
    for row in rows(PROMISES, heading)
]
WHY = README.split("## Why pychat\n")[1].split("\n## ")[0].strip().removeprefix("- ")


@pytest.mark.parametrize(("promise", "page", "test"), LISTED)
def test_a_listed_promise_is_in_its_page_and_has_its_test(promise: str, page: str, test: str) -> None:
    assert promise in in_one_line((ROOT / page.strip("`")).read_text())
    file, _, name = test.strip("`").partition("::")
    functions = {node.name for node in ast.walk(ast.parse((ROOT / file).read_text())) if hasattr(node, "name")}
    assert name in functions


def test_every_promise_of_the_readme_is_listed() -> None:
    listed = {row[0] for row in LISTED}
    found = sentences(WHY)
    assert len(found) > 10
    assert [s for s in found if s not in listed and s not in NO_PROMISES] == []
    assert set(NO_PROMISES) <= set(found)


def test_every_promise_of_the_security_page_is_listed() -> None:
    listed = [row[0] for row in LISTED if row[1] == "`docs/security.md`"]
    assert listed == [row[0] for row in rows(SECURITY, "## Promises")]


@pytest.mark.parametrize("page", MANUALS, ids=lambda page: page.name)
def test_every_promise_of_a_manual_page_is_listed(page: Path) -> None:
    listed = {row[0] for row in LISTED if row[1] == f"`packaging/man/{page.name}`"}
    blocks = re.split(r"^\..*$", page.read_text(), flags=re.MULTILINE)  # the text between macros
    parts = [s for block in blocks for s in re.split(r"(?<=[.:;])\s", " ".join(block.split()))]
    found = {s for s in parts if PROMISING.search(s)}
    assert found - listed - set(NO_PROMISES_OF_MANUALS) == set()


@pytest.mark.parametrize("row", rows(SECURITY, "## Promises"), ids=lambda row: row[0][:40])
def test_a_promise_of_the_security_page_names_its_tests(row: list[str]) -> None:
    tests = re.findall(r"`(tests/[^`]+\.py)`", row[-1])
    assert tests
    assert all((ROOT / test).is_file() for test in tests)


# ------------------------------------------------------------------ the comparison

COMPARED = rows(README, "## Comparison")
ROWS = [row[0].replace("**", "") for row in COMPARED]
OURS = rows(PROMISES, "Each cell of its column *pychat* has a\ntest or a page:")
OTHERS = rows(PROMISES, "What it says of the others is in their own texts, which are named below:")
SOURCES = rows(PROMISES, "### Texts of the others")


def names(cell: str) -> list[str]:
    return [name.strip("`") for name in cell.split(", ")]


def test_every_cell_of_pychat_in_the_comparison_is_listed() -> None:
    assert [row[:2] for row in OURS] == [[name, row[1]] for name, row in zip(ROWS, COMPARED, strict=True)]


@pytest.mark.parametrize("where", [name for row in OURS for name in names(row[2])])
def test_a_cell_of_pychat_in_the_comparison_has_its_test_or_page(where: str) -> None:
    file, _, name = where.partition("::")
    text = (ROOT / file).read_text()
    assert not name or name in {node.name for node in ast.walk(ast.parse(text)) if hasattr(node, "name")}


def test_every_cell_of_the_others_in_the_comparison_has_a_source() -> None:
    assert [row[0] for row in OTHERS] == ROWS
    columns = README.split("\n| | pychat ")[1].split("\n")[0]
    assert f"\n| row {columns}\n" in PROMISES
    used = {name for row in OTHERS for cell in row[1:] for name in names(cell)}
    assert used == {name for row in SOURCES for name in names(row[0])}
