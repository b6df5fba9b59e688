"""What is asked of the history, before any service is asked."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest

from pychat_client.errors import UnreachableError, UsageError
from pychatd.print_history import print_history

NOWHERE = Path("/nonexistent/console.sock")


@pytest.mark.parametrize("pattern", ["(", "a{99999999999999999999}", "(" * 5000, "(?\x1b[2J", "(?P<\x1b>a)"])
def test_what_is_no_pattern_is_refused_in_one_printable_line(pattern: str) -> None:
    with pytest.raises(UsageError, match=r"^--grep: '.+' is not a valid regular expression: .+\.$") as refused:
        print_history(NOWHERE, None, pattern, None, as_json=False)
    assert str(refused.value).isprintable()


def test_a_pattern_that_looks_odd_is_taken_without_a_warning() -> None:
    with warnings.catch_warnings(action="error"), pytest.raises(UnreachableError):
        print_history(NOWHERE, None, "[[a]", None, as_json=False)
