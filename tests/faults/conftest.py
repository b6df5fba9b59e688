"""A line of its own for each test, as in tests/e2e; tests marked slow only when asked for (`-m slow`)."""

from __future__ import annotations

import pytest

from tests.e2e.conftest import idle_line, line
from tests.e2e.harness import Line

__all__ = ["idle_line", "line"]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("markexpr"):
        for item in items:
            if item.get_closest_marker("slow"):
                item.add_marker(pytest.mark.skip(reason="slow: `make faults` runs it"))


@pytest.fixture
def line_free(idle_line: Line) -> Line:
    """A running daemon; both may speak at any time."""
    idle_line.start("--turns", "free")
    return idle_line
