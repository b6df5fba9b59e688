"""The keys of the screen: what they do to the line, and what is sent."""

from __future__ import annotations

import asyncio
import stat
from pathlib import Path
from unittest.mock import ANY

import pytest
from prompt_toolkit.key_binding.vi_state import InputMode

from pychat_client.errors import ExitStatus
from pychat_client.ui import input_history
from pychat_client.ui.input_history import HISTORY_MAX, open_history, trim_history
from tests.support.aio import in_loop
from tests.support.desk import (
    ALT_ENTER,
    ALT_UP,
    CTRL_C,
    CTRL_D,
    CTRL_E,
    CTRL_R,
    CTRL_U,
    CTRL_X,
    RIGHT,
    UP,
    Desk,
    desk,
)


async def _sent(one: Desk) -> list[str]:
    """What was sent, except \\typing."""
    return [line for line in await one.raw.news() if line != "\\typing"]


# ------------------------------------------------------------------ sending


@pytest.mark.parametrize("keys", ["emacs", "vi"])
def test_enter_sends_and_alt_enter_is_a_line_break(keys: str) -> None:
    @in_loop
    async def check() -> None:
        async with desk(keys=keys) as one:
            one.press("one", ALT_ENTER, "two", "\r")
            await one.until(lambda: one.session.endpoint.sent_count)
            assert await _sent(one) == ["Bob> one\u2028two"]
            assert one.line == ""

    check()


@in_loop
async def test_emoji_are_drawn_in_parts_and_sent_whole() -> None:
    """How a terminal shows them is in tests/e2e/test_tmux.py."""
    emoji = "\U0001f44d\U0001f3fd \U0001f468\u200d\U0001f469 \U0001f1e9\U0001f1ea"
    async with desk() as one:
        one.press(emoji)
        await one.line_is(emoji)
        await one.until(lambda: "\uff24\uff25" in one.written)  # the flag
        one.press("\r")
        await one.until(lambda: one.session.endpoint.sent_count)
        assert await _sent(one) == [f"Bob> {emoji}"]


HOSTILE = "a\u202eb\u2066c\u200bd\ue000e\u2028f" + "\u0301" * 10 + "é\x1b[31m\x9b1m"
"""Changes the direction of writing, hides, floods and colours."""


@in_loop
async def test_the_terminal_obeys_nothing_in_pasted_text() -> None:
    async with desk() as one:
        one.paste(HOSTILE)
        await one.line_is(HOSTILE)
        drawn = (
            "a\ufffdb\ufffdc\ufffdd\ufffde\ufffdf" + "\u0301" * 8 + "\ufffd\ufffdé\x1b[0m^[\x1b[0m[31m\x1b[0m<9b>"
        )
        await one.until(lambda: drawn in one.written)
        one.press(CTRL_U, CTRL_R)
        one.paste(HOSTILE)
        await one.until(lambda: f"i-search)`{drawn}" in one.written)
        assert "\u202e" not in one.written


@in_loop
async def test_pasted_text_is_sent_unchanged() -> None:
    async with desk() as one:
        one.paste("a\u202eb\u200b")
        await one.until(lambda: "a\ufffdb\ufffd" in one.written)
        one.press("\r")
        await one.until(lambda: one.session.endpoint.sent_count)
        assert await _sent(one) == ["Bob> a\u202eb\u200b"]


@in_loop
async def test_pasted_lines_wait_for_enter() -> None:
    async with desk() as one:
        one.paste("one\r\ntwo\n\\quit\n")
        await one.line_is("one\ntwo\n\\quit")
        assert await _sent(one) == []
        one.press("\r")
        await one.until(lambda: one.session.endpoint.sent_count)
        assert await _sent(one) == ["Bob> one\u2028two\u2028\\quit"]


@in_loop
async def test_a_huge_paste_is_refused_and_changes_nothing() -> None:
    async with desk() as one:
        one.press("half a thought")
        one.paste("x" * 50_000 + "\n")  # a pipe holds no more
        await one.sees("Not pasted: the line takes at most 5,000 characters, and this has 50,000.")
        assert one.line == "half a thought"


@in_loop
async def test_a_refused_line_stays_and_is_not_in_the_history() -> None:
    async with desk() as one:
        one.paste("x" * 501)
        one.press("\r")
        await one.sees("the message has 501 characters; the limit is 500")
        assert one.line == "x" * 501
        one.press("\x7f", "\r")
        await one.line_is("")
        await one.history_is_there()
        one.press(UP)
        await one.line_is("x" * 500)
        one.press(UP)
        assert await _sent(one) == ["Bob> " + "x" * 500]
        assert one.line == "x" * 500


# ------------------------------------------------------------------ leaving


@in_loop
async def test_ctrl_c_clears_the_line_or_leaves_at_the_second_try() -> None:
    async with desk() as one:
        one.press("half", CTRL_C)
        await one.line_is("")
        one.press(CTRL_C)
        await one.sees("Press Ctrl-C again to leave")
        one.press("x", CTRL_C, CTRL_C)  # the first one clears the line again
        await one.line_is("")
        assert not one.session.done
        one.press(CTRL_C)
        await one.until(lambda: one.session.done)
        assert one.session.exit_status is ExitStatus.INTERRUPTED


@in_loop
async def test_ctrl_d_deletes_a_character_or_leaves() -> None:
    async with desk() as one:
        one.press("ab", "\x01", CTRL_D)
        await one.line_is("b")
        one.press(CTRL_D)
        await one.line_is("")
        one.press(CTRL_D)
        await one.until(lambda: one.session.endpoint.ended)
        assert await _sent(one) == ["\\quit"]


# ------------------------------------------------------------------ what is held


@in_loop
async def test_alt_up_takes_held_messages_back_newest_first() -> None:
    async with desk(turns="alternate") as one:
        for text in ("Hi!", "first", "\\\\second"):
            one.press(text, "\r")
        await one.until(lambda: len(one.session.endpoint.held) == 2)
        one.press(ALT_UP)
        await one.line_is("\\\\second")
        one.press(ALT_UP)  # something stands in the line: it is not disturbed
        await one.sees("The line is not empty")
        assert one.line == "\\\\second"
        one.press(CTRL_U, ALT_UP)
        await one.line_is("first")
        one.press(CTRL_U, ALT_UP)
        await one.sees("No message is held.")


@in_loop
async def test_restored_text_goes_only_into_an_empty_line() -> None:
    async with desk(turns="alternate") as one:
        one.screen.recalled("not delivered")
        await one.line_is("not delivered")
        one.screen.recalled("this neither")
        assert one.line == "not delivered"


# ------------------------------------------------------------------ the menu of commands


@in_loop
async def test_a_backslash_opens_a_menu_of_all_commands() -> None:
    async with desk() as one:
        one.press("\\")
        await one.until(one.menu)
        assert one.menu() == [(f"\\{name}", words) for name, words in one.session.commands.items()]
        one.press("h")
        await one.until(lambda: len(one.menu()) == 2)
        assert one.menu() == [("\\help", ANY), ("\\held", ANY)]


@in_loop
async def test_tab_completes_a_command() -> None:
    async with desk() as one:
        one.press("\\sta\t")
        await one.line_is("\\status")
        one.press("\r")
        await one.sees("You are Bob")


@pytest.mark.parametrize("line", ["hello \\", "\\\\", "\\quit now", "hello"])
def test_there_is_no_menu_for_a_message(line: str) -> None:
    @in_loop
    async def check() -> None:
        async with desk() as one:
            one.press(line)
            await one.line_is(line)
            await asyncio.sleep(0)
            assert one.menu() == []

    check()


# ------------------------------------------------------------------ history


@in_loop
async def test_up_ctrl_r_and_suggestions_bring_lines_back() -> None:
    async with desk() as one:
        for text in ("the first", "another", "the last"):
            one.press(text, "\r")
        await one.until(lambda: one.session.endpoint.sent_count == 3)
        await one.history_is_there()
        one.press(UP)
        await one.line_is("the last")
        one.press(CTRL_U, CTRL_R, "fir", "\x1b")
        await one.line_is("the first")
        one.press(CTRL_E, CTRL_U, "ano")
        await one.until(lambda: one.prompt.line.suggestion)
        one.press(RIGHT)
        await one.line_is("another")


@in_loop
async def test_history_has_equal_lines_once_and_no_indented_ones(tmp_path: Path) -> None:
    file = tmp_path / "pychat" / "history"
    async with desk(file) as one:
        for text in ("one", "two", " a secret", "one"):
            one.press(text, "\r")
        await one.until(lambda: one.session.endpoint.sent_count == 4)
        await one.history_is_there()
        one.press(UP)
        await one.line_is("one")
        one.press(UP)
        await one.line_is("two")
        one.press(UP)
        await asyncio.sleep(0.05)
        assert one.line == "two"
    assert b"secret" not in file.read_bytes()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700


def _write(file: Path, entries: list[str]) -> None:
    made = open_history(file)
    for entry in entries:
        made.append_string(entry)


def test_opening_the_history_keeps_only_the_newest_lines(tmp_path: Path) -> None:
    file = tmp_path / "history"
    _write(file, ["again\nand again", *map(str, range(HISTORY_MAX)), "again\nand again"])
    kept = list(open_history(file).load_history_strings())
    assert len(kept) == HISTORY_MAX
    assert kept[:2] == ["again\nand again", str(HISTORY_MAX - 1)]
    assert kept.count("again\nand again") == 1
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_short_history_file_is_not_written_again(tmp_path: Path) -> None:
    file = tmp_path / "history"
    _write(file, ["one", "two"])
    before = file.stat().st_ino
    trim_history(file)
    assert file.stat().st_ino == before


def test_a_readable_history_file_is_made_private(tmp_path: Path) -> None:
    file = tmp_path / "history"
    file.touch(mode=0o644)
    open_history(file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_without_a_file_the_history_is_in_memory(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (None, tmp_path / "file" / "history"):
        made = open_history(path)
        made.append_string("one")
        made.append_string(" a secret")
        assert made.get_strings() == ["one"]


def test_a_byte_that_is_not_utf_8_is_saved_as_a_question_mark(tmp_path: Path) -> None:
    file = tmp_path / "history"
    _write(file, ["caf\udce9"])
    assert list(open_history(file).load_history_strings()) == ["caf?"]


def test_a_full_disk_does_not_disturb_the_user() -> None:
    full = input_history._OwnHistory("/dev/full")
    full.append_string("one")
    assert full.get_strings() == ["one"]


# ------------------------------------------------------------------ vi, the editor


@in_loop
async def test_vi_keys_move_and_change() -> None:
    async with desk(keys="vi") as one:
        one.press("hello wrold", "\x1b")
        await one.until(lambda: one.prompt._app.vi_state.input_mode is InputMode.NAVIGATION)
        one.press("bxp")
        await one.line_is("hello rwold")
        one.press("0x$i-")
        await one.line_is("ello rwol-d")


@in_loop
async def test_in_vi_mode_each_line_begins_in_insert_mode() -> None:
    async with desk(keys="vi") as one:
        one.press("hello", "\x1b")
        await one.until(lambda: one.prompt._app.vi_state.input_mode is InputMode.NAVIGATION)
        one.press("\r", "jokes")
        await one.line_is("jokes")
        one.press("\x1b")
        await one.until(lambda: one.prompt._app.vi_state.input_mode is InputMode.NAVIGATION)
        one.press(CTRL_C, "jokes")
        await one.line_is("jokes")


@pytest.mark.parametrize(("mode", "keys"), [("emacs", CTRL_X + CTRL_E), ("vi", CTRL_X + CTRL_E), ("vi", "\x1bv")])
def test_the_editor_gets_the_line_and_its_result_comes_back(
    mode: str, keys: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    editor = tmp_path / "editor"
    editor.write_text('#!/bin/sh\nstat -c %a "$1" >"$0.mode"\nprintf \', edited\\n\' >>"$1"\n')
    editor.chmod(0o700)
    monkeypatch.setenv("VISUAL", str(editor))

    @in_loop
    async def check() -> None:
        async with desk(keys=mode) as one:
            one.press("typed")
            one.press(keys)
            await one.line_is("typed, edited")
            assert await _sent(one) == []

    check()
    assert (tmp_path / "editor.mode").read_text() == "600\n"


@in_loop
async def test_the_editor_opens_with_a_line_that_is_not_utf8() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VISUAL", "true")
        async with desk() as one:
            one.press("caf\udce9", CTRL_X + CTRL_E)
            await one.line_is("caf\ufffd")


@pytest.mark.parametrize(
    ("editor", "why"),
    [
        ("vi '", "The editor in VISUAL cannot be read as a command: the quotation marks or backslashes in 'vi ''"),
        ("vi\\", "The editor in VISUAL cannot be read as a command: the quotation marks or backslashes in 'vi\\'"),
        ("''", "VISUAL names no program: set it to the command that starts your editor."),
        ("SCRIPT printf 'caf\\351' >", "The editor has not saved the text as UTF-8; the line is as it was."),
        ("SCRIPT rm ", "Cannot edit the line with"),
        ("SCRIPT fifo() { rm $1; mkfifo $1; }; fifo", "Cannot edit the line with"),
        (
            "SCRIPT yes 12345678 | head -n 600 >",
            "The line takes at most 5,000 characters, and the editor has saved 5,399; the",
        ),
        ("SCRIPT false ", "ended with status 1; the line is as it was."),
        ("SCRIPT kill $$ #", "was ended by signal 15; the line is as it was."),
        ("/nowhere/editor", "Cannot edit the line with /nowhere/editor: "),
    ],
)
def test_an_editor_that_gives_no_text_back_leaves_the_line(
    editor: str, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if editor.startswith("SCRIPT "):
        file = tmp_path / "editor"
        file.write_text(f'#!/bin/sh\n{editor[7:]} "$1"\n')
        file.chmod(0o700)
        editor = str(file)
    monkeypatch.setenv("VISUAL", editor)

    @in_loop
    async def check() -> None:
        async with desk() as one:
            one.press("typed", CTRL_X + CTRL_E)
            await one.until(lambda: why in " ".join(row.strip() for row in one.rows()))
            await one.line_is("typed")
            one.press("!")
            await one.line_is("typed!")

    check()


# ------------------------------------------------------------------ readline's keys

AT_THREE = "one two three four" + 8 * "\x02"
"""The cursor is in the middle of "three"."""


@pytest.mark.parametrize(
    ("keys", "line"),
    [
        ("\x1bt", "one three twoX four"),
        ("\x05\x1bt", "one two four threeX"),
        ("\x01\x1bt", "Xone two three four"),
        ("\x1br", "X"),
        ("\x18\x7f", "Xree four"),
        ("\x18\x7f\x19", "one two thXree four"),
        ("\x1b[1;3C", "one two threeX four"),
        ("\x1bf", "one two threeX four"),
        ("\x1b[1;3D", "one two Xthree four"),
        ("\x1bp\x1bn\x1b~\x1b%\x1b ", "one two thXree four"),
        ("\x1b[127;5u", "one two Xree four"),
        ("\x1b[27;5;127~", "one two Xree four"),
        ("\x1b[127;2u", "one two tXree four"),
        ("\x1b\x7f", "one two Xree four"),
        ("\x1b[3;5~", "one two thX four"),
        ("\x1b[3;3~", "one two thX four"),
        ("\x1b[3^", "one two thX four"),
        ("\x1b[8^", "one two three fourX"),
        ("\x1b\x12", "X"),
        ("\x18g\x18*\x18\x12", "one two thXree four"),
    ],
)
def test_keys_do_what_they_do_in_readline(keys: str, line: str) -> None:
    @in_loop
    async def check() -> None:
        async with desk() as one:
            one.press(AT_THREE, keys, "X")
            await one.line_is(line)

    check()


@pytest.mark.parametrize("key", ["\x1b#", "\x0f"], ids=["Alt-#", "Ctrl-O"])
def test_only_enter_sends_the_line(key: str) -> None:
    """The toolkit's comment and its operate-and-get-next would send it as well."""

    @in_loop
    async def check() -> None:
        async with desk() as one:
            one.press("half a thought", key, "!")
            await one.line_is("half a thought!")
            assert await _sent(one) == []

    check()


@pytest.mark.parametrize("key", ["\x1b", CTRL_X], ids=["Escape", "Ctrl-X"])
@pytest.mark.parametrize(
    ("behind", "line"), [("\x1b[200~pasted\x1b[201~", "pastedX"), ("\x1b[5;1R", "X"), (f"half{CTRL_C}", "X")]
)
def test_a_key_that_waits_for_another_takes_no_paste_and_no_report(key: str, behind: str, line: str) -> None:
    """Somebody closes a menu with Escape, and pastes at once."""

    @in_loop
    async def check() -> None:
        async with desk() as one:
            one.press(key)
            await one.until(lambda: one.prompt._app.key_processor.key_buffer)
            one.press(behind, "X")
            await one.line_is(line)
            assert one.prompt._renderer.height_is_known is behind.endswith("R")

    check()


@in_loop
async def test_in_vi_mode_an_unknown_key_types_its_letter() -> None:
    """There Escape is a key of its own."""
    async with desk(keys="vi") as one:
        one.press("one")
        await one.line_is("one")
        one.press("\x1b")
        await one.until(lambda: one.prompt._app.vi_state.input_mode is InputMode.NAVIGATION)
        one.press("x")
        await one.line_is("on")
