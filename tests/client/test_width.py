"""How many columns text takes, where it is wrapped, and what is drawn while it is typed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prompt_toolkit.utils import get_cwidth

from pychat_client.text import CONTROL, printable
from pychat_client.width import Row, columns, fixed_width, most_columns, rows, wrap
from tests.client.test_text import ENGLAND, hostile

thorough = settings(max_examples=400)


def doubtful() -> Iterator[int]:
    """Some of each range that terminals draw in one column or in two."""
    for first, last in [
        (0x4DC0, 0x4DFF),  # hexagrams: wide since Unicode 16
        (0x3248, 0x324F),  # numbers on black squares
        (0x1F1E6, 0x1F1FF),  # regional indicators alone
        (0x1F3FB, 0x1F3FF),  # skin tones alone
        (0x2600, 0x26FF),  # symbols that may be emoji
        (0x2E3A, 0x2E3B),  # dashes as long as two and three letters
        (0x12031, 0x12031),
        (0x1FAC0, 0x1FAFF),  # emoji of newer versions
        (0x31E4, 0x31E5),  # strokes of Unicode 16
    ]:
        yield from {first, (first + last) // 2, last}


WIDTHS = [
    ("", 0, 0),
    ("a b", 3, 3),
    ("naïve", 5, 5),
    ("e\u0301", 1, 2),  # with a mark
    ("日本語", 6, 6),
    ("ｈ", 2, 2),
    ("한국", 4, 4),
    ("🙂", 2, 2),
    ("🇩🇪", 2, 4),
    ("🇩🇪🇫🇷", 4, 8),
    ("1️⃣", 2, 3),
    ("❤️", 2, 3),
    ("❤️a", 3, 4),
    ("👍🏽", 2, 4),
    ("👩‍👩‍👧", 2, 8),
    ("🏳️‍🌈", 2, 6),
    (ENGLAND, 2, 8),
    ("Привет", 6, 12),
]
"""Text, its columns where emoji are joined, and the most that a terminal needs for it."""


@pytest.mark.parametrize(("text", "joined", "most"), WIDTHS)
def test_text_takes_the_columns_that_terminals_give_it(text: str, joined: int, most: int) -> None:
    assert columns(text) == joined
    assert most_columns(text) == most


def test_letters_of_ambiguous_width_can_be_counted_as_narrow() -> None:
    assert most_columns("Привет αβγ é", letters=1) == 12
    assert most_columns("\u4dc0\u3248±→①─�", letters=1) == 14  # but nothing else


@pytest.mark.parametrize("char", [chr(code) for code in doubtful()])
def test_a_character_of_doubtful_width_is_counted_at_its_widest(char: str) -> None:
    assert most_columns(char, letters=1) == 2


@given(st.characters(exclude_categories=["C"], exclude_characters="\ufe0f"))
def test_no_character_has_fewer_columns_than_unjoined(char: str) -> None:
    assert 1 <= most_columns(char) <= 2
    assert most_columns(char) >= columns(char)


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
    for room in range(8, 21):
        pieces = wrap(emoji * 20, room, room)
        assert "".join(pieces) == emoji * 20
        assert all(set(piece.split(emoji)) == {""} for piece in pieces), room


def test_an_emoji_that_fills_a_row_is_broken() -> None:
    """A terminal that draws each part alone would go on at the left edge with what is behind it."""
    crowd = "\u200d".join("👩" * 30)
    pieces = wrap(f"a {crowd} 12:00 Server> forged", 20, 20)
    assert "".join(pieces) == f"a {crowd} 12:00 Server> forged"
    assert max(most_columns(piece) for piece in pieces) <= 20


@pytest.mark.parametrize("emoji", ["👩‍👩‍👧", "🇩🇪", "👍🏽", "\u0903"])
@pytest.mark.parametrize("number", range(1, 40))
def test_no_terminal_wraps_a_row_itself(emoji: str, number: int) -> None:
    """A terminal that draws each part alone would put the text after the emoji into its first column."""
    for piece in wrap(emoji * number + "Server> forged", 65, 65):
        alone = [2 if char >= "\U0001f000" else 1 for char in piece]
        assert sum(alone) <= 65


@pytest.mark.parametrize("wide", ["÷", "日", "👍🏽"])
@pytest.mark.parametrize("behind", [7, 8, 9])
def test_a_wide_character_behind_a_full_row_begins_the_next(wide: str, behind: int) -> None:
    pieces = wrap(f" {behind * 'x'}{wide}", 9, 9)
    assert max(map(most_columns, pieces)) <= 9


@thorough
@given(hostile.map(printable), st.integers(2, 30))
def test_no_row_is_too_wide(text: str, room: int) -> None:
    pieces = wrap(text, room, room)
    assert "".join(pieces) == text
    assert max(most_columns(piece) for piece in pieces) <= room


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


@pytest.mark.parametrize("char", ["\u3248", "\u324f", "\u4dc0", "\u4dff"])
def test_what_terminals_draw_in_other_widths_is_not_drawn(char: str) -> None:
    assert fixed_width(f"a{char}b") == "a\ufffdb"


def test_text_in_ascii_does_not_load_the_tables() -> None:
    program = "from pychat_client.width import wrap; wrap('word ' * 90, 20, 20); import sys; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert "wcwidth" not in loaded.split()


# ------------------------------------------------------------------ long words

LINK = "https://example.org/" + "a-long_path/" * 10 + "?q=1&r=%20#end"


@pytest.mark.parametrize(
    "word",
    [
        LINK,
        "0123456789abcdef" * 8,
        "x" * 81,
        "a" * 73,
        *(f"{name}{'directory/' * 20}" for name in ("/srv/", "./", "$HOME/")),
        "C:\\" + "directory\\" * 20,
        *(f"{marks[0]}{LINK}{marks[1]}" for marks in ("()", "[]", "{}", "''", "**", "__")),
        f"[{LINK}]({LINK})",
        f"{LINK}{{a}}|b^c",
    ],
)
@pytest.mark.parametrize("left", [65, None])
def test_a_long_word_stays_whole_and_has_rows_of_its_own(word: str, left: int | None) -> None:
    found = rows(f"see {word} there", 72, left)
    assert found == [Row("see"), Row(word, whole=True), Row("there")]
    assert rows(word, 72, left) == [*([] if left is None else [Row("")]), Row(word, whole=True)]


@pytest.mark.parametrize("marks", ["<>", '""', "``", "“”", "„“", "«»", "»«"])
def test_a_link_in_brackets_or_quotation_marks_stays_whole(marks: str) -> None:
    found = rows(f"see {marks[0]}{LINK}{marks[1]}, and", 72, 65)
    assert found == [Row(f"see {marks[0]}"), Row(LINK, whole=True), Row(f"{marks[1]}, and")]


@pytest.mark.parametrize(("before", "behind"), [("", "…"), ("", "’s"), ("見よ", "を"), ("（", "）")])
def test_a_link_between_signs_of_other_writing_stays_whole(before: str, behind: str) -> None:
    found = rows(f"see {before}{LINK}{behind}", 72, 65)
    assert found == [Row(f"see {before}".rstrip()), Row(LINK, whole=True), Row(behind)]


def test_two_long_words_have_a_row_each() -> None:
    assert rows(f"{LINK} {LINK}", 72, None) == [Row(LINK, whole=True)] * 2


@pytest.mark.parametrize(
    "word",
    [
        "x" * 80 + "Server>forged",  # would begin a row as a message does
        "日" * 80,
        "https://example.org/" + "ä" * 80,  # its width is not certain
        "-" * 160 + "forged",  # would begin a row as a notice does
        "x" * 72,  # it has room
        "x" * 80 + '"' + "x" * 80,
    ],
)
def test_no_other_word_goes_on_at_the_left_edge(word: str) -> None:
    assert not any(row.whole for row in rows(word, 72, 65))


@thorough
@given(hostile.map(printable), st.integers(6, 30), st.one_of(st.none(), st.integers(6, 30)))
def test_a_whole_word_cannot_look_like_the_beginning_of_an_entry(text: str, room: int, left: int | None) -> None:
    for row in rows(f"{text} {LINK}{text} {text}", room, left):
        assert not row.whole or (row.text.isascii() and not set(' <>"`') & set(row.text) and row.text[0] != "-")
        assert row.whole or most_columns(row.text) <= max(room, left or 0)


@given(hostile.map(printable), st.integers(6, 30))
def test_only_blanks_around_whole_words_are_left_out(text: str, room: int) -> None:
    line = f"{text} {LINK} {text}"
    assert "".join(row.text for row in rows(line, room, room)).replace(" ", "") == line.replace(" ", "")
