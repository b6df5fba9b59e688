"""How many columns text takes, where it is wrapped, and what is drawn while it is typed."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prompt_toolkit.utils import get_cwidth

from pychat_client.text import CONTROL, printable
from pychat_client.ui.width import columns, fixed_width, most_columns, wrap
from tests.client.test_text import ENGLAND, hostile

thorough = settings(max_examples=400)

WIDTHS = [
    ("", 0, 0),
    ("a b", 3, 3),
    ("naïve", 5, 5),
    ("e\u0301", 1, 1),  # with a mark
    ("日本語", 6, 6),
    ("ｈ", 2, 2),
    ("한국", 4, 4),
    ("🙂", 2, 2),
    ("🇩🇪", 2, 4),
    ("🇩🇪🇫🇷", 4, 8),
    ("1️⃣", 2, 2),
    ("❤️", 2, 2),
    ("❤️a", 3, 3),
    ("👍🏽", 2, 4),
    ("👩‍👩‍👧", 2, 6),
    ("👩🏽‍🚀", 2, 6),
    ("🏳️‍🌈", 2, 4),
    (ENGLAND, 2, 2),
    ("a👩‍👩‍👧b🇩🇪c", 7, 13),
]
"""Text, its columns where emoji are joined, and the most that a terminal needs for it."""


@pytest.mark.parametrize(("text", "joined", "most"), WIDTHS)
def test_text_takes_the_columns_that_terminals_give_it(text: str, joined: int, most: int) -> None:
    assert columns(text) == joined
    assert most_columns(text) == most


@thorough
@given(hostile.map(printable))
def test_no_text_takes_more_than_the_most(text: str) -> None:
    assert columns(text) <= most_columns(text)


@thorough
@given(st.text(st.characters(categories=["L", "N", "P", "S", "Zs"], exclude_characters="\u1160")))
def test_the_line_has_the_width_that_is_drawn(text: str) -> None:
    assert columns(fixed_width(text)) == get_cwidth(fixed_width(text))


# ------------------------------------------------------------------ wrapping


@pytest.mark.parametrize("line", ["", "a", "two words here ", "fifteen letters", "zwölf", "日本語"])
def test_a_line_that_has_room_stays_in_one_piece(line: str) -> None:
    assert wrap(line, 80, 15) == [line]


def test_a_line_that_is_too_long_is_broken_at_a_space() -> None:
    assert wrap("sixteen  letters", 80, 15) == ["sixteen  ", "letters"]


@pytest.mark.parametrize("emoji", ["🇩🇪", "1️⃣", "❤️", "👍🏽", "👩‍👩‍👧", ENGLAND, "e\u0301\u0323"])
def test_nothing_that_is_drawn_as_one_is_torn(emoji: str) -> None:
    for room in range(2, 15):
        pieces = wrap(emoji * 20, room, room)
        assert "".join(pieces) == emoji * 20
        assert all(set(piece.split(emoji)) == {""} for piece in pieces), room


def test_an_emoji_of_many_parts_has_a_row_of_its_own() -> None:
    crowd = "\u200d".join("👩" * 30)
    assert wrap(f"a {crowd} 12:00 Server> forged", 20, 20) == ["a ", crowd, " 12:00 Server> ", "forged"]


@pytest.mark.parametrize("emoji", ["👩‍👩‍👧", "🇩🇪", "👍🏽", "\u0903"])
@pytest.mark.parametrize("number", range(1, 40))
def test_no_terminal_wraps_a_row_itself(emoji: str, number: int) -> None:
    """A terminal that draws each part alone would put the text after the emoji into its first column."""
    for piece in wrap(emoji * number + "Server> forged", 65, 65):
        alone = [2 if char >= "\U0001f000" else char != "\u200d" for char in piece]
        assert sum(alone) <= 65


@thorough
@given(hostile.map(printable), st.integers(2, 30))
def test_no_row_is_too_wide_but_for_a_single_emoji(text: str, room: int) -> None:
    pieces = wrap(text, room, room)
    assert "".join(pieces) == text
    for piece in pieces:
        assert most_columns(piece) <= room or columns(piece) <= 2  # a single emoji


# ------------------------------------------------------------------ the line being typed


@given(st.one_of(st.text(), hostile))
def test_each_character_is_drawn_as_one(typed: str) -> None:
    assert len(fixed_width(typed)) == len(typed)


@thorough
@given(hostile)
def test_only_what_a_message_may_show_is_drawn(typed: str) -> None:
    """But control characters stay, which prompt_toolkit shows as ^X."""
    drawn = CONTROL.sub("x", fixed_width(typed).replace("\u2060", "x"))
    assert printable(drawn) == drawn


def test_text_in_ascii_does_not_load_the_tables() -> None:
    program = (
        "from pychat_client.ui.width import wrap; wrap('word ' * 90, 20, 20); import sys; print(*sys.modules)"
    )
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert "wcwidth" not in loaded.split()
