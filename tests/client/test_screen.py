"""What the screen prints, and what its toolbar says, without a terminal."""

from __future__ import annotations

import asyncio
import gc
import re
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from prompt_toolkit.data_structures import Size
from prompt_toolkit.utils import get_cwidth

from pychat_client.protocol import wire
from pychat_client.session.session_file import SessionFile
from pychat_client.session.status import Emphasis, ToolbarItem
from pychat_client.ui.scrollback import AT_ONCE, WAITING_MAX, ambiguous_columns
from pychat_client.ui.terminal import Foreground
from pychat_client.ui.theme import COLOURED
from pychat_client.ui.toolbar import fit_items
from pychat_client.width import most_columns
from tests.support.aio import in_loop
from tests.support.desk import CTRL_E, CTRL_U, CTRL_X, ROWS, Desk, desk
from tests.support.endpoints import NOON

FOCUS_IN, FOCUS_OUT = "\x1b[I", "\x1b[O"
TITLE_BACK = "\x1b[23;2t"


# ------------------------------------------------------------------ messages


@in_loop
async def test_a_message_has_time_and_name_and_is_indented() -> None:
    async with desk() as one:
        text = "one\u2028" + "word " * 30
        one.screen.message(wire.Message("alice", text.strip()), own=False, time=NOON, replayed=True)
        await one.sees("12:00 alice> one")
        rows = one.rows()
        start = next(i for i, row in enumerate(rows) if "alice> one" in row)
        body = rows[start + 1 : start + 4]
        assert all(row.startswith("        word word") and len(row) <= 80 for row in body)


LINK = "https://example.org/" + "a-long_path/" * 10


@in_loop
async def test_only_a_long_word_is_continued_by_the_terminal() -> None:
    async with desk() as one:
        await one.says(f"alice> see {LINK} there")
        await one.sees("        there")
        rows = one.rows()
        start = next(i for i, row in enumerate(rows) if "alice> see" in row)
        assert "".join(rows[start + 1 : start + 3]) == LINK
        assert f"\x1b[?7h\x1b[0;4m{LINK}\x1b[?7l" in one.written.replace("\x1b[0m\x1b[?7l", "\x1b[?7l")


@in_loop
async def test_a_folded_message_shows_no_part_of_a_link() -> None:
    async with desk() as one:
        one.terminal.get_size = lambda: Size(rows=12, columns=80)  # type: ignore[method-assign]
        link = f"https://example.org/{'x' * 400}"
        await one.says("alice> before", f"alice> one\u2028{link}\u2028last")
        await one.sees("7 more rows of this message. \\show shows them.")
        assert "https://" not in one.written
        one.press("\\show\r")
        await one.until(lambda: link in one.written)


@pytest.mark.parametrize("columns", [300, 40, 20, 12])
def test_a_link_that_is_folded_is_seen_to_begin(columns: int) -> None:
    """Behind the name; the dots keep a terminal from opening a part of it as if it were whole."""

    @in_loop
    async def check() -> None:
        async with desk() as one:
            one.terminal.get_size = lambda: Size(rows=4, columns=columns)  # type: ignore[method-assign]
            link = f"https://example.org/{'x' * 470}"
            await one.says(f"alice> {link}")
            await one.until(lambda: "more" in one.written)
            written = re.sub(r"\x1b\[[?;0-9]*[a-zA-Z]", "", one.written)
            begun = re.search(r"alice>\s+(.+)…\r\n", written)
            assert begun is not None, written
            assert link.startswith(begun[1])
            assert columns < 20 or most_columns(f"12:00 alice> {begun[1]}…") == columns
            one.press("\\show\r")
            await one.until(lambda: link in one.written)

    check()


@in_loop
async def test_a_new_day_is_announced_before_its_first_message() -> None:
    async with desk() as one:
        for time in (NOON, NOON + timedelta(hours=1), NOON + timedelta(days=1)):
            one.screen.message(wire.Message("alice", f"at {time:%d %H}"), own=False, time=time, replayed=True)
        await one.sees("at 02 12")
        said = [row for row in one.rows() if row.startswith(("--", "1")) and "Send the first message" not in row]
        assert said == [
            "-- Wednesday, 01 May 2024",
            "12:00 alice> at 01 12",
            "13:00 alice> at 01 13",
            "-- Thursday, 02 May 2024",
            "12:00 alice> at 02 12",
        ]


@in_loop
async def test_a_conversation_of_today_begins_without_a_date() -> None:
    async with desk() as one:
        await one.says("alice> Hello")
        await one.sees("alice> Hello")
        assert f"{datetime.now():%A}" not in "".join(one.rows())  # noqa: DTZ005 -- what the screen shows


@in_loop
async def test_own_and_other_messages_differ_without_colours() -> None:
    async with desk() as one:
        one.press("mine\r")
        await one.says("alice> theirs")
        await one.sees("theirs")
        assert "\x1b[0;1malice> \x1b[0mtheirs" in one.written  # in bold
        assert " >Bob> mine" in one.written
        assert "\x1b[38" not in one.written


@in_loop
async def test_the_prompt_is_bold_while_it_is_your_turn() -> None:
    async with desk(theme=COLOURED, turns="alternate") as one:
        await one.until(lambda: one.written.rfind("\x1b[0;32;1mBob> ") > one.written.rfind("-- Connected"))
        one.press("Hi!\r")
        await one.says("\\ack 1")
        await one.until(lambda: one.written.rfind("mBob> \x1b[5D") > one.written.rfind("Hi!"))
        assert one.written.rfind(";1mBob> ") < one.written.rfind("Hi!")


@in_loop
async def test_the_toolbar_says_plaintext_with_a_classic_program() -> None:
    async with desk() as one:
        one.session.endpoint.calls_classic_server = True
        assert "PLAINTEXT" in one.toolbar()
        assert "PLAINTEXT, NOT ENCRYPTED" in " ".join(one.session.status.status_lines())


@in_loop
async def test_messages_that_arrive_do_not_disturb_the_line() -> None:
    async with desk() as one:
        one.press("half a thou")
        await one.line_is("half a thou")
        await one.says(*(f"alice> {number}" for number in range(200)))
        one.press("ght")
        await one.line_is("half a thought")
        await one.sees("alice> 199")


@in_loop
async def test_a_long_line_is_drawn_and_joined_in_one_write(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between two writes the window could change, and the terminal would break rows that are not joined yet."""
    async with desk() as one:
        writes: list[str] = []
        monkeypatch.setattr(one.terminal.stdout, "write", writes.append)
        one.press("zq " * 60)
        await one.until(lambda: "zq" in "".join(writes))
        save_cursor = "\x1b7"  # joining begins so
        assert all(save_cursor in write for write in writes if "zq" in write)


@in_loop
async def test_an_answer_of_the_terminal_that_is_no_news_draws_nothing() -> None:
    async with desk() as one:
        app = one.prompt._app
        one.press(f"\x1b[{ROWS};1R")
        await one.sees("you send first")
        one.screen.notice("a sentence")
        await one.until(lambda: app.renderer.waiting_for_cpr)
        await one.rests()
        drawn = app.render_counter
        one.press(f"\x1b[{ROWS};1R")
        await one.until(lambda: not app.renderer.waiting_for_cpr)
        assert (app.render_counter, app.invalidated) == (drawn, False)


async def _at_the_bottom(one: Desk) -> None:
    """From now on the drawing has no more rows than it needs."""
    one.press(f"\x1b[{ROWS};1R")
    await one.sees("you send first")
    one.screen.notice("a sentence")
    await one.until(lambda: one.prompt._renderer.waiting_for_cpr)
    one.press(f"\x1b[{ROWS};1R")
    await one.until(lambda: not one.prompt._renderer.waiting_for_cpr)
    await one.rests()


def _reversed(one: Desk) -> set[tuple[int, int]]:
    """The places with exchanged colours: those of the menu, or of what is selected."""
    rows = one.shown().buffer
    return {(y, x) for y, row in rows.items() for x, cell in row.items() if cell.reverse}


@in_loop
async def test_a_message_comes_with_the_line_below_it_in_one_write(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise the line would be away from the screen until the toolkit has drawn it."""
    async with desk() as one:
        await _at_the_bottom(one)
        one.press("typed")
        await one.sees("Bob> typed")
        await one.rests()
        writes: list[str] = []
        write = one.terminal.stdout.write

        def note(text: str) -> int:
            writes.append(text)
            return write(text)

        monkeypatch.setattr(one.terminal.stdout, "write", note)
        await one.says("alice> Hello")
        await one.sees("alice> Hello")
        assert [text for text in writes if "Hello" in text and "typed" in text and "you send first" in text]
        await one.rests()
        assert one.rows()[-2:] == ["Bob> typed", one.toolbar()]


@pytest.mark.parametrize("keys", ["\\", "ab  \0\x01"], ids=["menu", "selection"])
@in_loop
async def test_a_message_leaves_what_is_drawn_below_it(keys: str) -> None:
    async with desk() as one:
        await _at_the_bottom(one)
        one.press(keys)
        await one.until(lambda: one.menu() or one.prompt.line.selection_state)
        await one.rests()
        before = _reversed(one)
        assert before
        await one.says("alice> Hello")
        await one.sees("alice> Hello")
        await one.rests()
        assert _reversed(one) == before


@in_loop
async def test_what_was_drawn_for_another_size_is_not_drawn_again(monkeypatch: pytest.MonkeyPatch) -> None:
    async with desk() as one:
        await _at_the_bottom(one)
        monkeypatch.setattr(one.terminal, "get_size", lambda: Size(rows=ROWS, columns=79))
        with one.prompt.replaced(1):
            pass
        assert one.prompt._renderer.last_rendered_screen is None


@in_loop
async def test_a_key_draws_what_waited(monkeypatch: pytest.MonkeyPatch) -> None:
    async with desk() as one:
        one.press(f"\x1b[{ROWS};1R", "Hello\r")
        await one.until(lambda: one.session.endpoint.unacked)
        await one.rests()
        monkeypatch.setattr("pychat_client.ui.prompt.SOON", 3600)
        await one.says("\\ack 1")
        assert one.prompt._drawing is not None
        one.press("x")
        await one.sees("Bob> x")
        assert one.prompt._drawing is None
        assert one.rows()[-1] == one.toolbar()


@in_loop
async def test_the_task_that_lends_the_terminal_is_kept() -> None:
    """asyncio has only weak references to tasks: one that nobody keeps can end at any time."""
    ended = []

    async def use() -> None:
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            ended.append(True)

    async with desk() as one:
        one.screen._lend(Foreground.EDITOR, use)
        await one.until(lambda: one.terminal.foreground is Foreground.EDITOR)
        gc.collect()
        one.screen.notice("meanwhile")
        await asyncio.sleep(0.05)
        assert ended == []
        assert "meanwhile" not in one.written
        assert one.screen._lending is not None
        one.screen._lending.cancel()
        await one.sees("-- meanwhile")
        assert one.terminal.foreground is Foreground.SESSION


@in_loop
async def test_a_key_does_not_wait_for_many_messages() -> None:
    """The toolkit may draw it 10 ms later than it handles it: a few hundred messages can be printed meanwhile."""
    count = 30 * AT_ONCE + 5
    async with desk() as one:
        for number in range(count):
            one.screen.message(wire.Message("alice", f"text {number}."), own=False, time=NOON, replayed=True)
        one.press("Z")
        last = f"text {count - 1}."
        await one.until(lambda: last in one.written)  # drawing all of it takes seconds
        assert 0 < one.written.index("Z") < one.written.index(last)
        said = re.findall(r"text (\d+)\.", one.written)
        assert said == [str(number) for number in range(count)]


@in_loop
async def test_a_message_counts_as_displayed_when_it_is_printed() -> None:
    async with desk() as one:
        seen: list[tuple[int, bool]] = []
        displayed = one.session.displayed

        def note() -> None:
            seen.append((one.screen.undisplayed, any("alice> two" in row for row in one.rows())))
            displayed()

        one.session.displayed = note  # type: ignore[method-assign]
        for text in ("one", "two"):
            one.screen.message(wire.Message("alice", text), own=False, time=NOON, replayed=False)
        one.screen.message(wire.Message("Bob", "three"), own=True, time=NOON, replayed=False)
        assert one.screen.undisplayed == 2
        await one.until(lambda: seen)
        assert seen == [(0, True)]


@in_loop
async def test_the_session_is_not_told_in_the_middle_that_all_is_printed() -> None:
    """It may be recording, or have counted a message that it gives the screen only now."""
    async with desk() as one:
        told: list[bool] = []
        one.session.displayed = lambda: told.append(True)  # type: ignore[method-assign]
        one.screen.message(wire.Message("alice", "one"), own=False, time=NOON, replayed=False)
        assert one.screen.undisplayed == 1
        one.screen.flush()
        assert one.screen.undisplayed == 0
        assert any("alice> one" in row for row in one.rows())
        assert told == []
        await one.until(lambda: told)


@in_loop
async def test_a_flood_waits_at_the_other_end_while_an_editor_is_open() -> None:
    closed = asyncio.Event()

    async def edit() -> None:
        await closed.wait()

    count = 3 * WAITING_MAX
    async with desk() as one:
        one.screen._lend(Foreground.EDITOR, edit)
        await one.until(lambda: one.terminal.foreground is Foreground.EDITOR)
        flood = asyncio.create_task(one.raw.say(*(f"\\notice n{number} {'x' * 400}" for number in range(count))))
        await one.until(lambda: one.screen.behind)
        connection = one.session._supervisor.connection
        assert connection is not None
        transport = connection._transport
        assert transport is not None
        await one.until(lambda: not transport.is_reading())
        assert len(one.screen._scrollback._waiting) < 1.5 * WAITING_MAX
        closed.set()
        await one.until(lambda: f"n{count - 1}" in one.written)
        assert re.findall(r"\bn(\d+)", one.written) == [str(number) for number in range(count)]
        assert transport.is_reading()
        await flood


@in_loop
async def test_what_comes_while_an_editor_is_open_is_acked_behind_it() -> None:
    closed = asyncio.Event()

    async def edit() -> None:
        await closed.wait()

    async with desk() as one:
        await one.raw.news()
        one.screen._lend(Foreground.EDITOR, edit)
        await one.until(lambda: one.terminal.foreground is Foreground.EDITOR)
        await one.raw.say("alice> one", "alice> two")
        assert await one.raw.news() == []
        closed.set()
        await one.sees("alice> two")
        await asyncio.sleep(0)
        assert await one.raw.news() == ["\\ack 2"]


@pytest.mark.parametrize("kept", [False, True])
def test_an_edit_that_ends_after_the_session_is_shown(
    kept: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also if the conversation stays open: the file has the line as it was before."""
    editor = tmp_path / "editor"
    wait = f"touch {tmp_path}/open; while [ ! -e {tmp_path}/go ]; do sleep 0.05; done"
    editor.write_text(f'#!/bin/sh\n{wait}\nprintf ", edited" >>"$1"\n')
    editor.chmod(0o700)
    monkeypatch.setenv("VISUAL", str(editor))
    file = SessionFile.take(tmp_path / "sessions" / "one") if kept else None

    @in_loop
    async def check() -> None:
        async with desk(file=file) as one:
            await one.says("alice> Hello")
            one.press("half", CTRL_X + CTRL_E)
            await one.until((tmp_path / "open").exists)
            one.session.interrupt()
            assert one.session.stays_open is kept
            (tmp_path / "go").touch()
            await one.sees("-- Not sent: half, edited")

    check()


@in_loop
async def test_what_comes_with_the_other_sides_end_is_acked() -> None:
    async with desk() as one:
        await one.raw.news()
        await one.raw.say("alice> one", "alice> bye", "\\quit")
        assert (await one.raw.news())[-1] == "\\ack 2"
        await one.sees("alice> bye")


@in_loop
async def test_what_came_at_the_end_is_all_printed() -> None:
    async with desk() as one:
        await one.until(lambda: one.written)
        one.screen.stop()
        for number in range(2 * AT_ONCE + 5):
            one.screen.message(wire.Message("alice", f"text {number}."), own=False, time=NOON, replayed=True)
        await one.sees(f"text {2 * AT_ONCE + 4}.")


@in_loop
async def test_a_refused_line_is_checked_again_at_the_next_enter() -> None:
    """The toolkit would remember the answer for the same text, but it changes with the conversation."""
    async with desk() as one:
        one.paste("x" * 501)
        for times in (1, 2):
            one.press("\r")
            await one.until(lambda: one.written.count("501 characters") == times)  # noqa: B023
        assert len(one.line) == 501


# ------------------------------------------------------------------ the toolbar


@in_loop
async def test_the_toolbar_counts_characters_as_they_are_sent() -> None:
    async with desk() as one:
        await one.until(lambda: "you send first" in one.toolbar())
        one.paste("e\u0301" * 251 + "\t\n")
        await one.until(lambda: one.line)
        one.paste("x")
        await one.until(lambda: one.line.endswith("x"))
        assert one.toolbar().endswith(f" | {500 - 251 - 4 - 1} left")
        one.press(CTRL_U)
        await one.line_is("")
        one.paste("x" * 503)
        await one.until(lambda: one.line)
        assert one.toolbar().endswith(" | 3 too many")
        one.press(CTRL_U)
        await one.line_is("")
        assert "left" not in one.toolbar()


@in_loop
async def test_a_doubled_backslash_counts_once() -> None:
    async with desk() as one:
        one.paste("\\\\" + "x" * 299)
        await one.until(lambda: one.line)
        assert one.toolbar().endswith("200 left")


@pytest.mark.parametrize(
    ("line", "count"),
    [
        ("\\quit " + "x" * 203, "3 too many"),
        ("\\quit  " + "x" * 201 + " ", "1 too many"),
        ("\\quit " + "x" * 200, ""),
        ("\\detach " + "x" * 600, ""),
        ("\\nothing " + "x" * 600, ""),
    ],
    ids=["quit", "spaces", "fits", "no words", "no command"],
)
def test_the_words_of_a_command_have_a_limit_of_their_own(line: str, count: str) -> None:
    @in_loop
    async def check() -> None:
        async with desk() as one:
            one.paste(line)
            await one.until(lambda: one.line)
            assert [item for item in one.toolbar().split(" | ") if item.endswith(("too many", " left"))] == (
                [count] if count else []
            )

    check()


PARTS = [
    ToolbarItem("Tencharact"),
    ToolbarItem("your turn", Emphasis.TURN),
    ToolbarItem("anyone can call"),
    ToolbarItem("100 held"),
    ToolbarItem("12 too many"),
]


@pytest.mark.parametrize("columns", [20, 40, 80, 300])
def test_the_toolbar_is_complete_at_every_width(columns: int) -> None:
    fitted = "".join(words for _, words, *_ in fit_items(PARTS, columns))
    assert all(get_cwidth(row) <= columns for row in fitted.split("\n"))
    assert fitted.replace(" | ", "\n").replace(" ", "\n").split() == " ".join(item.words for item in PARTS).split()


@in_loop
async def test_the_toolbar_shows_all_items_of_the_status() -> None:
    async with desk(turns="alternate") as one:
        for text in ("Hi!", "held", "this too"):
            one.press(text, "\r")
        await one.says("\\typing")
        state = "alice | alice's turn | typing | certificate valid | 2 held | 1 not confirmed yet"
        assert one.toolbar().replace("\n", " | ") == state
        assert [part.words for part in one.session.status.parts()] == state.split(" | ")
        one.press("x" * 300)
        await one.until(lambda: one.toolbar().endswith("200 left"))
        assert "A message has at most 500 characters." in one.session.status.status_lines()


# ------------------------------------------------------------------ signs, focus, the terminal's modes


@in_loop
async def test_typing_is_reported_but_not_for_a_command() -> None:
    async with desk() as one:
        one.press("Hi!\r")
        await one.says("\\ack 1")
        one.press("\\stat")
        await one.line_is("\\stat")
        assert await one.raw.news() == []
        one.press(CTRL_U, "thought")
        await one.line_is("thought")
        assert await one.raw.news() == ["\\typing"]


@in_loop
async def test_a_message_rings_while_the_terminal_has_no_focus() -> None:
    async with desk(bell="unfocused") as one:
        await one.says("alice> one")
        assert one.bells == 0
        one.press("half", FOCUS_OUT, " a thought")
        await one.line_is("half a thought")
        one.press(FOCUS_OUT)
        await one.until(one.screen._alerts.unattended)
        await one.says("alice> two")
        assert one.bells == 1
        assert one.line == "half a thought"
        one.press(FOCUS_IN)
        await one.until(lambda: not one.screen._alerts.unattended())
        await one.says("alice> three")
        assert one.bells == 1


@in_loop
async def test_the_title_is_put_back_also_if_the_chat_breaks_off() -> None:
    async with desk(bell="unfocused") as one:
        one.press("half", FOCUS_OUT)
        await one.until(one.screen._alerts.unattended)
        await one.says("alice> one")
        await one.until(lambda: "alice (1)\a" in one.written)
        assert TITLE_BACK not in one.written
        assert one.screen._running is not None
        one.screen._running.cancel()
        await one.until(lambda: TITLE_BACK in one.written)


@pytest.mark.parametrize(("bell", "reports"), [("off", False), ("unfocused", True)])
def test_the_terminal_is_left_as_it_was_found(bell: str, reports: bool) -> None:
    @in_loop
    async def check() -> None:
        async with desk(bell=bell) as one:
            await one.sees("Send the first message")
            assert ("\x1b[?1004h" in one.written) is reports
            assert one.written.count("\x1b[?2004h") == 1
            assert "\x1b[?2004l" not in one.written
            await one.says(*(f"alice> {number}" for number in range(10)))
            await one.sees("alice> 9")
            assert "\x1b[?2004l" not in one.written  # a paste at that moment would send itself
        assert one.final.rindex("\x1b[?2004l") > one.final.rindex("\x1b[?2004h")
        assert one.final.rindex("\x1b[?1004l") > one.final.rfind("\x1b[?1004h")

    check()


def test_letters_of_ambiguous_width_are_wide_where_letters_are() -> None:
    assert [ambiguous_columns(name) for name in ("C.UTF-8", "ru_RU.UTF-8", "ja_JP.UTF-8", "zh_CN")] == [1, 1, 2, 2]


@pytest.mark.parametrize(
    "text", ["first" + "\u2028" * 490 + "last", "\u2028".join(map(str, range(60))), "🏴 " * 249]
)
def test_a_message_takes_at_most_half_of_the_window(text: str) -> None:
    @in_loop
    async def check() -> None:
        async with desk() as one:
            one.terminal.get_size = lambda: Size(rows=12, columns=80)  # type: ignore[method-assign]
            await one.says("alice> before", f"alice> {text}", "alice> after")
            await one.sees("alice> after")
            first, last = (
                next(y for y, row in enumerate(one.rows()) if row.endswith(f"alice> {word}"))
                for word in ("before", "after")
            )
            assert last - first - 1 == 6
            await one.sees(" more rows of this message. \\show shows them.")

    check()


@in_loop
async def test_a_folded_message_can_be_shown_whole_the_newest_first() -> None:
    async with desk() as one:
        for number in ("one", "two"):
            await one.says(f"alice> {number}" + "\u2028" * 60 + f"end of {number}")
        await one.until(lambda: one.written.count("more rows of this message") == 2)
        assert "end of" not in one.written
        for number in ("two", "one"):
            one.press("\\show\r")
            await one.sees(f"end of {number}")
        one.press("\\show\r")
        await one.sees("No message is folded.")
