"""How text is laid out for a terminal, and for what is none."""

from __future__ import annotations

import io
import os
import pty
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

import pytest

from pychat_client.layout import fit, fit_page


@contextmanager
def terminal(columns: int) -> Iterator[TextIO]:
    main, other = pty.openpty()
    termios.tcsetwinsize(other, (24, columns))
    with os.fdopen(main, "rb"), os.fdopen(other, "w") as stream:
        yield stream


def test_what_is_no_terminal_gets_the_lines_as_they_are() -> None:
    text = "word " * 100
    assert fit(io.StringIO(), text) == text
    assert fit(io.StringIO(), "one\ntwo", 7) == "one\n       two"
    assert fit_page(io.StringIO(), "one\n    two") == "one\n    two"


def test_in_a_terminal_every_row_but_the_first_is_indented() -> None:
    with terminal(20) as stream:
        assert fit(stream, "Bob> one two three four\nfive") == "Bob> one two three \n    four\n    five"
        assert fit(stream, "one two three four five six", 30) == "one two three four \n      five six"


def test_a_long_word_is_left_to_the_terminal_to_wrap() -> None:
    link = "https://example.org/a/long/path"
    with terminal(20) as stream:
        assert fit(stream, f"Bob> see {link} there") == f"Bob> see\n{link}\n    there"
        assert fit(stream, f"Bob> {'x' * 20}Bob>forged").count("\n    ") == 2


@pytest.mark.parametrize("columns", [1, 2, 3, 5, 8])
def test_a_narrow_terminal_gets_all_of_the_text(columns: int) -> None:
    with terminal(columns) as stream:
        rows = fit(stream, "Bob> 東京 x").split("\n")
        assert "".join(rows).replace(" ", "") == "Bob>東京x"
        assert all(row.startswith(" " * (columns // 3)) for row in rows[1:])


def test_the_lines_of_a_page_keep_their_places() -> None:
    with terminal(20) as stream:
        page = fit_page(stream, "pychat: The key of host\n\n    SHA256:0123456789abcdef\nend")
    assert page == "pychat: The key of \n    host\n\n    SHA256:012345678\n    9abcdef\nend"
