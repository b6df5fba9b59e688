"""docs/classic.md lists the families as cases.toml has them, and names the settings that there are."""

from __future__ import annotations

from pathlib import Path

from pychat_client.classic import framing, server_codec
from tests.classic.cases import CLIENTS, SERVERS

DOCS = (Path(__file__).parents[2] / "docs" / "classic.md").read_text()


def rows(heading: str) -> list[str]:
    """The rows of the one table in a section."""
    section = DOCS.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return [line for line in section.splitlines() if line.startswith("|")][2:]


def test_the_tables_have_the_rows_of_the_cases() -> None:
    assert rows("Classic clients") == [case.row() for case in CLIENTS]
    assert rows("Classic servers") == [case.row() for case in SERVERS]


def test_the_page_has_the_numbers_of_the_code() -> None:
    for number in (
        f"{framing.SILENCE * 1000:.0f} ms",
        f"{framing.WRITE_MAX} bytes",
        f"{server_codec.GREETING_SECONDS} s",
    ):
        assert number in DOCS
