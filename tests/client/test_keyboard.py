"""What the terminal sends for a key: which key it is, and that an unknown one types nothing."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prompt_toolkit.input.ansi_escape_sequences import ANSI_SEQUENCES
from prompt_toolkit.key_binding import KeyPress
from prompt_toolkit.keys import Keys

from pychat_client.ui.keyboard import LINE_BREAK, SEQUENCE_MAX, KnownKeys
from tests.support.aio import in_loop
from tests.support.desk import ALT_ENTER, desk


def keys_of(*pieces: str) -> list[KeyPress]:
    """The keys of what arrives in these pieces, and after that nothing more."""
    keys: list[KeyPress] = []
    parser = KnownKeys(keys.append)
    for piece in pieces:
        parser.feed(piece)
    parser.flush()
    return keys


def names(*pieces: str) -> list[str]:
    return [key.key.value if isinstance(key.key, Keys) else key.key for key in keys_of(*pieces)]


UNKNOWN = [
    "\x1b[97;6u",  # CSI u: Ctrl-Shift-a
    "\x1b[57358u",  # kitty: Caps Lock
    "\x1b[13;2:3u",  # kitty: Shift-Enter released
    "\x1b[27;5;97~",  # modifyOtherKeys: Ctrl-a
    "\x1b[?1;2c",  # late answers to questions about the terminal
    "\x1b[>0;10;1c",
    "\x1b[?2004;2$y",
    "\x1b]11;rgb:0000/0000/0000\x07",
    "\x1b]11;rgb:0000/0000/0000\x1b\\",
    "\x1bP1$r0m\x1b\\",
    "\x1bP>|some terminal\x1b\\",
    "\x1b_Gi=1;OK\x1b\\",  # kitty: about a picture
    "\x1bOj",  # keypad: *
    "\x1b[<0;10;10M",  # a mouse
    "\x1b[201~",
    "\x1b[5m",
    "\x1b[999;999;999z",
]


@pytest.mark.parametrize("sequence", UNKNOWN)
def test_an_unknown_sequence_types_nothing(sequence: str) -> None:
    assert names(f"a{sequence}b") == ["a", "b"]
    assert names("a", *sequence, "b") == ["a", "b"]  # also in pieces
    assert names(f"a{sequence[:-1]}") == ["a"] or len(sequence) == 3  # also without its end


@given(st.from_regex(r"\A\x1b(\[[0-?]{1,9}[ -/]?[@-~]|O[0-9]{0,2}[@-~])\Z"))
def test_no_sequence_of_any_terminal_types_its_letters(sequence: str) -> None:
    if sequence == "\x1b[200~" or re.match(r"\x1b\[[235678]\$", sequence):  # a paste; a key of rxvt, and a letter
        return
    assert all(isinstance(key.key, Keys) for key in keys_of(sequence))


ENTERS = ["\x1bOM", "\x1b[13;2u", "\x1b[13;5u", "\x1b[13;6u", "\x1b[27;2;13~", "\x1b[27;5;13~", "\x1b[13;130u"]


@pytest.mark.parametrize("sequence", [*ENTERS, ALT_ENTER])
def test_enter_with_a_modifier_is_a_line_break(sequence: str) -> None:
    assert names(sequence) == [key.value for key in LINE_BREAK]

    @in_loop
    async def check() -> None:
        async with desk() as one:
            one.press("one", sequence, "two")
            await one.line_is("one\ntwo")
            assert not one.session.endpoint.sent_count

    check()


@pytest.mark.parametrize("sequence", ["\r", "\x1b[13u", "\x1b[13;65u", "\x1b[13;129u", "\x1b[57414u"])
def test_enter_alone_sends(sequence: str) -> None:
    assert names(sequence) == [Keys.ControlM.value]


def test_a_key_of_rxvt_does_not_take_the_next_one() -> None:
    """Their sequences end with a character that elsewhere stands before the end."""
    assert names("\x1b[7$x") == ["s-home", "x"]
    assert names("\x1b[7", "$", "x") == ["s-home", "x"]
    assert names("\x1b[3$x") == ["x"]


def test_known_keys_and_text_are_those_of_the_toolkit() -> None:
    assert names("a\x1b[A\x1bOP\x1bx\x1b[3;5Rz") == [
        "a",
        "up",
        "f1",
        "escape",
        "x",
        "<cursor-position-response>",
        "z",
    ]
    assert names("\x1b") == ["escape"]
    assert names("\x1b[", "A") == ["up"]
    assert names("\x1b[") == ["escape", "["]  # Alt-[
    assert names("\x1b[[A") == ["f1"]  # the Linux console


@in_loop
async def test_a_key_that_does_nothing_types_nothing() -> None:
    others = (Keys.BracketedPaste, Keys.ControlM)
    async with desk() as one:
        one.press(
            *(sequence for sequence, key in ANSI_SEQUENCES.items() if key not in others and sequence[2:]), "z"
        )
        await one.until(lambda: "z" in one.line)
        assert "\x1b" not in one.line


@pytest.mark.parametrize(
    ("begin", "end"),
    [
        ("\x1b[", "~"),
        ("\x1b[1;", "R"),
        ("\x1b]0;", "\x07"),
        ("\x1b]0;", "\x1b\\"),
        ("\x1bP1$", "\x1b\\"),
        ("\x1b_G", "\x1b\\"),
        ("\x1bO", "M"),
        ("\x1b]0;", ""),
    ],
)
def test_a_sequence_that_does_not_end_is_neither_kept_nor_typed(begin: str, end: str) -> None:
    keys: list[KeyPress] = []
    parser = KnownKeys(keys.append)
    parser.feed(begin)
    for _ in range(20):
        parser.feed("1" * 1000)
        assert len(parser._begun) <= SEQUENCE_MAX
    for char in end:
        parser.feed(char)
    parser.flush()
    parser.feed("x")
    assert [key.data for key in keys] == ["x"]


@given(st.text(st.sampled_from("\x1b[201~ab")), st.lists(st.integers(1, 9)))
def test_a_paste_is_the_same_in_whatever_pieces(text: str, lengths: list[int]) -> None:
    text = text.replace("\x1b[201~", "")
    rest, pieces = f"\x1b[200~{text}\x1b[201~z", []
    for length in lengths:
        pieces.append(rest[:length])
        rest = rest[length:]
    pasted, behind = keys_of(*pieces, rest)
    assert (pasted.key, pasted.data, behind.data) == (Keys.BracketedPaste, text.partition("\x1b[201~")[0], "z")


def test_a_paste_is_one_key_whatever_is_in_it() -> None:
    text = "x\x1b[97;6u\x1bOMy\r"
    (key, behind) = keys_of("\x1b[20", f"0~{text[:3]}", f"{text[3:]}\x1b[201~b")
    assert (key.key, key.data, behind.key) == (Keys.BracketedPaste, text, "b")


@pytest.mark.parametrize("move", ["", "\x1b[D", "\x1b[H", "\x1b[D\x1b[D"])
def test_no_letter_is_lost_while_text_is_marked(move: str) -> None:
    @in_loop
    async def check() -> None:
        async with desk() as one:
            one.press("ab", "\x00", move, "xyé")
            place = 2 - (move.count("\x1b[D") or 2 * move.count("H"))
            await one.line_is("ab"[:place] + "xyé" + "ab"[place:])

    check()
