"""A line of its own for each test."""

from tests.e2e.conftest import idle_line, line

__all__ = ["idle_line", "line"]
