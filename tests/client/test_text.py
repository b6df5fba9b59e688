"""Handles, messages, and what printable() makes of hostile text."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pychat_client.errors import HandleError, MessageError, TextError
from pychat_client.text import (
    BREAK,
    COMBINING_MAX,
    HANDLE_MAX,
    MESSAGE_MAX,
    check_handle,
    check_message,
    printable,
    printable_lines,
)

thorough = settings(max_examples=400)

ZWJ, VS16 = "\u200d", "\ufe0f"
BIDI = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
FILLERS = "\u115f\u1160\u3164\uffa0"  # Hangul "letters" that are drawn as nothing
INVISIBLE = "\u00ad\u034f\u17b4\u17b5\u180b\u180e\u200b\u200c\u2060\u2064\ufeff" + FILLERS
ENGLAND = "\U0001f3f4" + "".join(chr(0xE0000 + ord(c)) for c in "gbeng") + "\U000e007f"
EMOJI = [
    "👍🏽",
    "🇩🇪",
    "1️⃣",
    "👩‍👩‍👧‍👦",  # joined by three ZWJ
    "❤️‍🔥",  # ZWJ behind a variation selector
    "🏳️‍🌈",
    "👩🏽‍🚀",
    ENGLAND,
    "\U0001fae9",  # newer than the Unicode tables of Python 3.11
]

hostile = st.text(
    st.one_of(
        st.characters(),  # surrogates too
        st.sampled_from([*map(chr, range(0xA0)), *BIDI, *INVISIBLE, ZWJ, VS16, BREAK, "\u2029", "\u0301"]),
        st.sampled_from(["👩", "🏴", "❤", "\U000e0067", "\U000e007f", "\ue000", "\u0378", "\udcff", "\u0489"]),
    ),
    max_size=60,
)

visible = st.characters(categories=["L", "M", "N", "P", "S"])


def accepted(check: Callable[[str], str], text: str) -> str:
    """What `check` makes of `text`; rejects other examples."""
    try:
        return check(text)
    except TextError:
        assume(False)
        raise


# ------------------------------------------------------------------ handles


@pytest.mark.parametrize(
    "handle", ["a", "Client1", "abcdefghij", "é", "日本語", "Ωмега", "🙂", "a=b", "<b", "a\u0332"]
)
def test_a_word_of_up_to_ten_visible_characters_is_a_handle(handle: str) -> None:
    assert check_handle(handle) == handle


def test_a_handle_is_counted_and_returned_in_nfc() -> None:
    assert check_handle("e\u0301" * HANDLE_MAX) == "é" * HANDLE_MAX
    with pytest.raises(HandleError, match="has 11"):
        check_handle("e\u0301" * (HANDLE_MAX + 1))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "one word of 1 to 10"),
        ("abcdefghijk", "at most 10 characters: 'abcdefghijk' has 11"),
        *[(f"a{space}b", "contains a space") for space in " \t\n\r\v\f\x85\u00a0\u2028\u2029\u3000"],
        *[(f"a{char}b", f"cannot contain U\\+{ord(char):04X}") for char in ">\\\x00\x07\b\x1b\x7f\x9b"],
        *[(f"a{char}b", f"cannot contain U\\+{ord(char):04X}") for char in BIDI + INVISIBLE + ZWJ],
        ("a\ue000", r"cannot contain U\+E000"),  # private
        ("a\u0378", r"cannot contain U\+0378"),  # unassigned
        ("a\ud800", r"cannot contain U\+D800"),  # a surrogate
        ("\u0301a", r"cannot begin with U\+0301 \(COMBINING ACUTE ACCENT\)"),
    ],
)
def test_anything_else_is_refused_with_the_reason(text: str, why: str) -> None:
    with pytest.raises(HandleError, match=why):
        check_handle(text)


@thorough
@given(st.one_of(st.text(visible, max_size=11), st.text(max_size=2)))
def test_every_rule_holds_for_each_accepted_handle(text: str) -> None:
    handle = accepted(check_handle, text)
    assert 1 <= len(handle) <= HANDLE_MAX
    assert unicodedata.is_normalized("NFC", handle)
    assert not {unicodedata.category(char)[0] for char in handle} & {"C", "Z"}
    assert not set(handle) & set(">\\" + INVISIBLE)
    assert check_handle(handle) == handle


@pytest.mark.parametrize("text", ["\ufe0f", "bob\ufe00", "bob\U000e0100"])
def test_a_handle_has_no_variation_selector(text: str) -> None:
    with pytest.raises(HandleError):
        check_handle(text)


@pytest.mark.parametrize("text", ["\u20dda", "\u0903a"])  # an enclosing and a spacing mark
def test_a_handle_begins_with_no_mark_of_any_kind(text: str) -> None:
    with pytest.raises(HandleError):
        check_handle(text)


@pytest.mark.parametrize("blank", ["\u2800", "\u3164", "\U0001d159", "\uffa0", "a\u2800", "\U00013441"])
def test_a_handle_has_nothing_that_is_drawn_as_nothing(blank: str) -> None:
    with pytest.raises(HandleError, match="cannot contain"):
        check_handle(blank)


@pytest.mark.parametrize(
    "handle", ["--", ".", "-", "*", "\u2014", "\u2212\u2212", "\u02cb", "\ua9cf", "\u0f0c", "|", "~_~"]
)
def test_a_handle_is_not_only_punctuation(handle: str) -> None:
    """It would pass for a notice, or be hardly seen."""
    with pytest.raises(HandleError, match="needs a letter"):
        check_handle(handle)
    assert check_handle(f"{handle}1")


@pytest.mark.parametrize("handle", ["You", "you", "YOU", "\u03a5ou", "Y\u043eu", "Y0u", "\uff39ou", "Y\u00f2u"])
def test_nobody_is_called_as_our_sentences_call_the_user(handle: str) -> None:
    with pytest.raises(HandleError, match="own sentences"):
        check_handle(handle)
    assert check_handle(f"{handle}s")


# ------------------------------------------------------------------ messages


@pytest.mark.parametrize(
    ("typed", "sent"),
    [
        ("Hi!", "Hi!"),
        ("  Hi ", "  Hi "),
        ("\\quit", "\\quit"),
        ("e\u0301", "é"),
        ("a\tb", "a    b"),
        *[(f"a{end}b", f"a{BREAK}b") for end in ("\n", "\r\n", "\r", "\v", "\f", "\x85", "\u2028", "\u2029")],
        ("hi\n\\quit", f"hi{BREAK}\\quit"),
        ("a\n\r\nb\n", f"a{BREAK}{BREAK}b{BREAK}"),
    ],
)
def test_a_message_is_sent_in_nfc_without_breaks_and_tabs(typed: str, sent: str) -> None:
    assert check_message(typed) == sent


@pytest.mark.parametrize("text", ["", " ", "\t", "\n", "\r\n \u3000\u2028"])
def test_a_blank_message_is_refused(text: str) -> None:
    with pytest.raises(MessageError, match="empty"):
        check_message(text)


@pytest.mark.parametrize(
    ("unit", "fit"),
    [
        ("x", MESSAGE_MAX),
        ("🙂", MESSAGE_MAX),
        ("e\u0301", MESSAGE_MAX),  # one character in NFC
        ("\u0958", MESSAGE_MAX // 2),  # two characters in NFC
        (".\r\n", MESSAGE_MAX // 2),  # a break is one character
        (".\t", MESSAGE_MAX // 5),  # a tab is four
    ],
)
def test_five_hundred_characters_after_nfc_fit_in_a_message(unit: str, fit: int) -> None:
    assert len(check_message(unit * fit)) == MESSAGE_MAX
    with pytest.raises(MessageError, match=rf"\b{MESSAGE_MAX + 1} characters"):
        check_message(unit * fit + "x")


@pytest.mark.parametrize(
    "char", [chr(n) for n in (*range(0x20), *range(0x7F, 0xA0)) if chr(n) not in "\t\n\v\f\r\x85"]
)
def test_a_control_character_is_refused_by_its_name(char: str) -> None:
    with pytest.raises(MessageError, match=rf"control character.*U\+{ord(char):04X}"):
        check_message(f"a{char}b")


def test_a_message_that_is_not_utf8_is_refused() -> None:
    with pytest.raises(MessageError, match="not UTF-8"):
        check_message(b"caf\xe9".decode(errors="surrogateescape"))


@thorough
@given(st.one_of(st.text(), st.text(st.characters(exclude_categories=["Cc", "Cs"])), hostile))
def test_an_accepted_message_is_one_line_in_its_final_form(text: str) -> None:
    message = accepted(check_message, text)
    assert 1 <= len(message) <= MESSAGE_MAX
    assert not re.search(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff\u2029]", message)
    assert check_message(message) == message


@pytest.mark.parametrize("check", [check_handle, check_message])
@thorough
@given(text=hostile.map(lambda text: f"{text}\x1b"))
def test_a_refusal_is_a_printable_sentence(check: Callable[[str], str], text: str) -> None:
    with pytest.raises(TextError) as refusal:
        check(text)
    assert printable(str(refusal.value)) == str(refusal.value)


# ------------------------------------------------------------------ printable


@pytest.mark.parametrize(
    "text", ["", "Hi!", "a  b", "naïve", "e\u0301", "日本語", "שלום", "हिन्दी", "ไทย", "\u00a0", *EMOJI]
)
def test_ordinary_text_and_emoji_are_not_changed(text: str) -> None:
    assert printable(text) == text
    assert printable(f"a{text}b") == f"a{text}b"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[2J", "<U+001B>[2J"),
        ("\x1b[31mred", "<U+001B>[31mred"),
        ("\x1b]8;;http://evil\x1b\\x", "<U+001B>]8;;http://evil<U+001B>\\x"),  # OSC 8: a link
        ("\x1b]52;c;cm0=\a", "<U+001B>]52;c;cm0=<U+0007>"),  # OSC 52: the clipboard
        ("\x9b2J\x90\x9c", "<U+009B>2J<U+0090><U+009C>"),  # C1: CSI, DCS, ST
        ("safe\rEvil", "safe<U+000D>Evil"),
        ("a\b\x7f\x00", "a<U+0008><U+007F><U+0000>"),
        ("a\tb\nc", "a<U+0009>b<U+000A>c"),
        ("a\u2028b\u2029c\x85", "a<U+2028>b<U+2029>c<U+0085>"),
        *[(f"a{char}b", f"a<U+{ord(char):04X}>b") for char in BIDI + INVISIBLE + ZWJ],
        ("\U0001d173", "<U+1D173>"),  # a format character beyond the BMP
        (f"👩{ZWJ}", "👩<U+200D>"),  # a joiner that joins nothing
        (f"{ZWJ}👩", "<U+200D>👩"),
        (f"👩{ZWJ}{ZWJ}👩", "👩<U+200D><U+200D>👩"),
        (f"👩{ZWJ}a", "👩<U+200D>a"),
        ("\U000e0067", "<U+E0067>"),  # a tag without its flag
        ("a\U000e0067", "a<U+E0067>"),
        ("👩\U000e0067", "👩<U+E0067>"),
        ("🏴a\U000e0067", "🏴a<U+E0067>"),
        ("\U000e0001", "<U+E0001>"),
        ("\udc9b", "<U+DC9B>"),  # C1 CSI smuggled by surrogateescape
        ("\ue000\U000f0000", "<U+E000><U+F0000>"),
        ("\u0378\ufdd0\U0001ffff", "<U+0378><U+FDD0><U+1FFFF>"),
        ("\u0301a", "<U+0301>a"),
        ("\u180d", "<U+180D>"),
    ],
)
def test_what_a_terminal_obeys_or_hides_is_shown_as_a_code(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_a_character_has_at_most_eight_marks() -> None:
    assert printable("a" + "\u0301" * 8 + "b") == "a" + "\u0301" * 8 + "b"
    assert printable("a" + "\u0301" * 9 + "b") == "a" + "\u0301" * 8 + "<U+0301>b"
    assert printable(("a" + "\u0301" * 8) * 3) == ("a" + "\u0301" * 8) * 3
    assert printable("a" + "\u0489" * 10) == "a" + "\u0489" * 8 + "<U+0489>" * 2  # enclosing


@pytest.mark.parametrize("region", ["gbeng", "gbsct", "gbwls"])
def test_the_flag_of_a_region_stays(region: str) -> None:
    flag = "🏴" + "".join(chr(0xE0000 + ord(char)) for char in f"{region}\x7f")
    assert printable(f"a{flag}{flag}b") == f"a{flag}{flag}b"
    assert printable(flag[:-1]) == "🏴<5 invisible characters>"  # without its end


@pytest.mark.parametrize(
    ("hidden", "shown"),
    [
        ("🏴" + "\U000e0061" * 8, "🏴<8 invisible characters>"),  # data in tags
        ("🏴" + "\U000e0061", "🏴<U+E0061>"),
        ("a\ufe0f", "a<U+FE0F>"),  # selectors that select nothing
        ("❤\ufe0f\ufe0f", "❤\ufe0f<U+FE0F>"),
        ("日\U000e0100", "日<U+E0100>"),
        ("a" + "\ufe00\ufe01" * 8, "a<16 invisible characters>"),
        ("a" + "\u2800" * 400, "a<400 invisible characters>"),  # blanks
        ("\u200b" * 5 + "x" + "\u200b" * 4, "<5 invisible characters>x" + "<U+200B>" * 4),
    ],
)
def test_hidden_text_is_counted_and_said(hidden: str, shown: str) -> None:
    assert printable(hidden) == shown


@thorough
@given(hostile)
def test_nothing_invisible_or_obeyed_is_left(text: str) -> None:
    shown = printable(text)
    flags = re.compile("🏴[\U000e0020-\U000e007f]{1,8}")
    joined = re.compile(f"(?<=[^\x00-\x7f]){ZWJ}(?=[^\x00-\x7f])")
    rest = joined.sub("", flags.sub("", shown))
    categories = {unicodedata.category(char) for char in rest if not "\U0001f000" <= char <= "\U0001fbff"}
    assert not categories & {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
    assert not set(rest) & set(INVISIBLE + BIDI)
    assert shown.splitlines() in ([shown], [])


@thorough
@given(hostile)
def test_making_printable_twice_changes_nothing_more(text: str) -> None:
    assert printable(printable(text)) == printable(text)


@thorough
@given(st.text(st.one_of(st.just("a"), st.characters(categories=["Mn", "Me"])), max_size=60))
def test_a_flood_of_any_marks_is_cut(text: str) -> None:
    runs = "".join("m" if unicodedata.category(char)[0] == "M" else " " for char in printable(text))
    assert max(map(len, runs.split(" "))) <= COMBINING_MAX


@thorough
@given(st.text(st.characters(categories=["L", "N", "P", "S", "Zs"], exclude_characters=FILLERS)))
def test_letters_punctuation_and_symbols_are_not_changed(text: str) -> None:
    assert printable(text) == text


def test_a_joiner_stays_only_between_emoji() -> None:
    assert printable(f"^{ZWJ}^") == "^<U+200D>^"


def test_an_emoji_joined_with_an_arrow_stays_whole() -> None:
    assert printable(f"🙂{ZWJ}↔{VS16}") == f"🙂{ZWJ}↔{VS16}"  # shaking its head


def test_a_message_is_shown_line_by_line() -> None:
    assert printable_lines("") == [""]
    assert printable_lines(f"a{BREAK}{BREAK}\x1bb") == ["a", "", "<U+001B>b"]
