"""A line of its own for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.harness import Line


@pytest.fixture
def idle_line(tmp_path: Path) -> Iterator[Line]:
    """A port and directories; no daemon runs yet."""
    line = Line(tmp_path)
    yield line
    line.close()


@pytest.fixture
def line(idle_line: Line) -> Line:
    """A running daemon."""
    idle_line.start()
    return idle_line
