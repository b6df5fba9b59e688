"""Live typing at one end: what is sent of the line and when, and what is shown of the other user's."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pychat_client.protocol.codec import LINE_MAX, parse
from pychat_client.protocol.endpoint import Endpoint
from pychat_client.protocol.rate_limit import DRAFT_EVERY
from pychat_client.protocol.wire import Live, Typing
from pychat_client.session.draft_sender import draft_of
from pychat_client.session.session import Session
from pychat_client.text import BREAK, CONTROL, MESSAGE_MAX
from pychat_client.transport.connection import Connection
from pychat_client.ui.draft import ROWS_MAX, draft_rows
from pychat_client.ui.json_lines import JsonLines
from pychat_client.width import columns, most_columns
from tests.client.test_text import hostile
from tests.support.aio import in_loop
from tests.support.desk import ALT_ENTER, ALT_UP, CTRL_C, CTRL_E, CTRL_U, RIGHT, UP, Desk, desk
from tests.support.endpoints import HELLO, say
from tests.support.notes import Notes
from tests.support.raw_ends import AsyncEnd, attach


@asynccontextmanager
async def talking(
    hello: str = HELLO, *, live: bool = True, watched: bool = True, quiet: bool = False
) -> AsyncIterator[tuple[Session, AsyncEnd]]:
    """A caller's session after the first message, and the daemon's end of the connection."""
    one = Session(Endpoint("Bob", live=live, quiet=quiet), Notes(), "the test")
    connection = Connection(one)
    raw = await attach(connection)
    one._supervisor.connected(connection)
    await raw.say(hello)
    assert ("live=1" in await raw.hear()) is live
    one.submit("Hi!")
    await raw.say("\\ack 1", *["\\live on"] * watched)
    await raw.news()
    try:
        yield one, raw
    finally:
        connection.abort()
        with suppress(asyncio.CancelledError):
            await connection.closed
        raw.hang_up()


# ------------------------------------------------------------------ what a draft is


@pytest.mark.parametrize(
    ("line", "draft"),
    [
        ("Hello, how ar", "Hello, how ar"),
        ("two\nlines", f"two{BREAK}lines"),
        ("\\status", ""),
        ("\\\\o/", ""),
        (" secret", ""),
        ("\u3000secret", ""),
        ("\n", ""),
        ("e\u0301", "\u00e9"),
        ("a\tb\x1b[2J\x9b", "a    b\ufffd[2J\ufffd"),
        ("half \ud800", "half \ufffd"),
        ("x" * 600, "x" * MESSAGE_MAX),
    ],
)
def test_a_command_and_a_line_behind_a_space_are_no_drafts(line: str, draft: str) -> None:
    assert draft_of(line) == draft


@given(st.one_of(st.text(st.characters(), max_size=700), hostile))
def test_every_draft_fits_into_a_line_and_arrives_as_it_was_sent(line: str) -> None:
    sent = f"{Typing(draft_of(line))}\n".encode()
    assert len(sent) <= LINE_MAX
    assert parse(sent[:-1]) == Typing(draft_of(line))


def test_a_draft_of_a_foreign_program_is_cut() -> None:
    assert parse(b"\\typing draft=" + b"x" * 3000) == Typing("x" * MESSAGE_MAX)
    assert parse(b"\\typing") == Typing(None)
    assert parse(b"\\typing draft=") == Typing("")
    assert [parse(b"\\live on"), parse(b"\\live off"), parse(b"\\live")] == [Live(True), Live(False), Live(False)]


# ------------------------------------------------------------------ when it is sent


@in_loop
async def test_a_line_is_sent_at_once_and_then_at_most_every_300_ms() -> None:
    async with talking() as (one, raw):
        loop = asyncio.get_running_loop()
        began = loop.time()
        for length in range(1, 8):
            one.line_changed("thought"[:length])
        assert await raw.hear() == "\\typing draft=t"
        assert await raw.hear() == "\\typing draft=thought"
        assert loop.time() - began >= DRAFT_EVERY * 0.9
        assert await raw.news() == []


@in_loop
async def test_a_paste_is_one_sign() -> None:
    async with talking() as (one, raw):
        one.line_changed("x" * 500)
        assert await raw.news() == [f"\\typing draft={'x' * 500}"]


@in_loop
async def test_a_cleared_line_or_a_command_takes_the_draft_back() -> None:
    async with talking() as (one, raw):
        for line in ("", "\\status", " no"):
            one.line_changed("thought")
            assert await raw.hear() == "\\typing draft=thought"
            one.line_changed(line)
            assert await raw.hear() == "\\typing draft="


@in_loop
async def test_a_hidden_line_takes_the_draft_back_once() -> None:
    async with talking() as (one, raw):
        one.line_changed("thought")
        assert await raw.hear() == "\\typing draft=thought"
        for _ in range(3):  # each drawing of a low window
            one.hide_line()
        assert await raw.hear() == "\\typing draft="
        one.hide_line()
        assert one._drafts._timer is None
        assert await raw.news() == []
        one.line_changed("thoughts")
        assert await raw.hear() == "\\typing draft=thoughts"


@in_loop
async def test_hiding_the_line_says_nothing_where_nobody_watches() -> None:
    async with talking(watched=False) as (one, raw):
        one.hide_line()
        assert await raw.news() == []


@in_loop
async def test_a_message_takes_the_place_of_the_draft() -> None:
    async with talking() as (one, raw):
        await raw.say("alice> Yes?")
        await raw.news()
        for _ in range(2):  # the same text again is a new draft
            one.line_changed("thought")
            assert await raw.hear() == "\\typing draft=thought"
            one.line_changed("")  # the line is empty before its message goes
            one.submit("thought")
            assert await raw.hear() == "Bob> thought"
            await asyncio.sleep(DRAFT_EVERY * 1.5)
        assert await raw.news() == []


@in_loop
async def test_the_next_lines_draft_comes_back_after_a_held_message() -> None:
    """Without another key: the user may think about how the line goes on."""
    async with talking(HELLO.replace("free", "alternate")) as (one, raw):
        one.submit("held")
        one.line_changed("thought")
        assert await raw.hear() == "\\typing draft=thought"
        await raw.say("alice> Yes?")
        assert [await raw.hear(), await raw.hear()] == ["Bob> held", "\\ack 1"]
        assert await raw.hear() == "\\typing draft=thought"
        await asyncio.sleep(DRAFT_EVERY * 1.5)
        assert await raw.news() == []


@in_loop
async def test_no_timer_runs_while_nothing_changes() -> None:
    async with talking() as (one, raw):
        one.line_changed("thought")
        assert one._drafts._timer is None
        one.line_changed("thoughts")
        assert await raw.hear() == "\\typing draft=thought"
        assert await raw.hear() == "\\typing draft=thoughts"
        assert one._drafts._timer is None


@pytest.mark.parametrize(("live", "watched"), [(False, False), (True, False), (False, True)])
def test_nothing_is_sent_unless_both_want_it(live: bool, watched: bool) -> None:
    @in_loop
    async def check() -> None:
        async with talking(live=live, watched=watched) as (one, raw):
            one.line_changed("thought")
            assert await raw.news() == ["\\typing"]
            assert not one.status.watched

    check()


@in_loop
async def test_live_typing_shows_own_drafts_also_without_signs() -> None:
    async with talking(quiet=True) as (one, raw):
        one.line_changed("thought")
        assert await raw.news() == ["\\typing draft=thought"]
        await raw.say("\\live off")
        await raw.news()
        one.line_changed("more")
        assert await raw.news() == []


@pytest.mark.parametrize("line", ["\\away", "\\live off", "\\quit"])
def test_no_draft_is_sent_when_the_other_side_leaves_or_stops(line: str) -> None:
    @in_loop
    async def check() -> None:
        async with talking() as (one, raw):
            await raw.say("\\typing draft=Hel")
            one.line_changed("thought")
            one.line_changed("thoughts")
            await raw.say(line)
            assert "\\typing draft=thought" in await raw.news()
            assert one.typing_indicator.draft == ""
            one.line_changed("more")
            assert not any("draft=" in sent for sent in await raw.news())

    check()


@in_loop
async def test_the_command_turns_it_off_and_on_again() -> None:
    async with desk() as one:
        one.session.endpoint.set_live(True)
        one.press("Hi!\r")
        await one.says("\\ack 1", "\\live on", "\\typing draft=Hel")
        await one.sees("alice … Hel")
        assert "watched" in one.toolbar()
        one.press("\\live\r")
        await one.sees("Live typing is off. Nobody sees what you type before you send it.")
        assert await one.raw.hear() == "\\live off"
        assert "watched" not in one.toolbar()
        await one.until(lambda: not any("alice …" in row for row in one.rows()))
        await one.says("\\typing draft=secret")
        assert one.session.typing_indicator.draft == ""
        one.press("\\live\r")
        await one.sees("-- Live typing is on: alice sees what you type, and you see what alice types.")
        assert await one.raw.hear() == "\\live on"


@in_loop
async def test_a_choice_made_before_the_answer_is_told_behind_it() -> None:
    endpoint = Endpoint("Bob", live=True)
    endpoint.greet()
    assert "live=1" in str(endpoint.take_frames()[0])
    endpoint.set_live(False)
    assert endpoint.take_frames() == []
    hello = parse(HELLO.encode())
    assert hello is not None
    endpoint.receive(hello)
    assert endpoint.take_frames() == [Live(False)]


@in_loop
async def test_on_a_new_connection_the_daemon_has_to_tell_it_again() -> None:
    """Another user may be there."""
    hello = parse(HELLO.encode())
    assert hello is not None
    endpoint = Endpoint("Bob", live=True)
    endpoint.greet()
    endpoint.receive(hello)
    say(endpoint, "Hi!")
    endpoint.receive(Live(True))
    assert endpoint.is_watched
    endpoint.connection_lost()
    endpoint.greet()
    endpoint.receive(hello)
    assert not endpoint.is_watched


@pytest.mark.parametrize(
    ("turns", "key", "last"),
    [
        ("free", "\r", "Bob> thought"),
        ("alternate", "\r", "\\typing draft="),
        ("free", CTRL_C, "\\typing draft="),
    ],
    ids=["message", "held message", "Ctrl-C"],
)
def test_a_line_that_has_left_the_screen_is_no_draft(turns: str, key: str, last: str) -> None:
    """Also when its last letters were typed too soon to be sent as a draft."""

    @in_loop
    async def check() -> None:
        async with desk(turns=turns) as one:
            one.session.endpoint.set_live(True)
            one.press("Hi!\r")
            await one.says("\\ack 1", "\\live on")
            one.press(f"thought{key}")
            await asyncio.sleep(DRAFT_EVERY * 2)
            news = await one.raw.news()
            assert news[-1] == last
            assert "\\typing draft=thought" not in news

    check()


# ------------------------------------------------------------------ what is shown


@in_loop
async def test_a_draft_is_above_the_line_until_the_message_comes() -> None:
    async with desk() as one:
        one.session.endpoint.set_live(True)
        one.press("Hi!\r")
        await one.says("\\ack 1", "\\live on", "\\typing draft=Hello, how ar")
        one.press("half")
        await one.sees("Bob> half")
        rows = one.rows()
        line = next(y for y, row in enumerate(rows) if row.startswith("Bob> half"))
        assert rows[line - 1] == "alice … Hello, how ar"
        await one.says("alice> Hello, how are you?")
        await one.sees("alice> Hello, how are you?")
        assert not any("…" in row for row in one.rows())
        assert one.line == "half"


@pytest.mark.parametrize(("above", "empty"), [(30, 0), (5, 0), (4, 1), (1, 4)])
def test_a_draft_stands_below_as_many_rows_as_half_the_width_needs(above: int, empty: int) -> None:
    """Each of the three, of the line and of the toolbar may become two, and the top of the window leaves it."""

    @in_loop
    async def check() -> None:
        async with desk() as one:
            one.session.endpoint.set_live(True)
            one.press("Hi!\r")
            await one.says("\\ack 1", "\\live on")
            await one.sees("Live typing is on")
            one.press(f"\x1b[{above + 1};1R")  # the terminal tells where the cursor is
            await one.says(f"\\typing draft={'word ' * 40}")
            one.press("half")
            await one.sees("Bob> half")
            rows = one.rows()
            last = next(y for y, row in enumerate(rows) if "Live typing is on" in row)
            assert [bool(row) for row in rows[last + 1 :]][: empty + 5] == [False] * empty + [True] * 4 + [False]

    check()


@in_loop
async def test_the_rows_of_a_long_line_are_joined_below_a_draft() -> None:
    async with desk() as one:
        one.session.endpoint.set_live(True)
        one.press("Hi!\r")
        await one.says("\\ack 1", "\\live on", f"\\typing draft={'word ' * 40}")
        await one.until(lambda: one.session.typing_indicator.draft)
        one.press("x" * 200)
        await one.line_is("x" * 200)
        renderer = one.prompt._renderer
        await one.until(lambda: renderer._drawn is not None and len(renderer._drawn.joined) == 2)
        assert renderer._drawn is not None
        assert renderer._drawn.joined == {3, 4}


@in_loop
async def test_an_earlier_line_is_not_shown_to_the_other_side() -> None:
    """It may have been written to somebody else."""
    async with watched_desk() as one:
        one.press(UP)
        await one.line_is("about you")
        one.press(" and more", CTRL_U, "new")
        await one.line_is("new")
        assert await _drafts(one) == ["n", "new"]


@asynccontextmanager
async def watched_desk() -> AsyncIterator[Desk]:
    """After the first message, whose words the line can have again."""
    async with desk() as one:
        one.session.endpoint.set_live(True)
        one.press("about you\r")
        await one.says("\\ack 1", "\\live on")
        await one.history_is_there()
        yield one


async def _drafts(one: Desk) -> list[str]:
    """What the other side has seen of the line, once it has seen all; a draft for each change."""
    await asyncio.sleep(DRAFT_EVERY * 1.5)
    return [line.partition("draft=")[2] for line in await one.raw.news() if "draft=" in line]


@pytest.mark.parametrize("accept", [RIGHT, CTRL_E, "\x06", "\x1bf"], ids=["Right", "Ctrl-E", "Ctrl-F", "Alt-F"])
def test_a_suggestion_is_not_shown_to_the_other_side(accept: str) -> None:
    @in_loop
    async def check() -> None:
        async with watched_desk() as one:
            one.press("a")
            await one.until(lambda: one.prompt.line.suggestion is not None)
            one.press(accept)
            await one.until(lambda: one.line != "a")
            one.press("!")
            assert (await _drafts(one))[-1] == ""

    check()


@pytest.mark.parametrize(
    ("keys", "line"),
    [
        ("\x1b.", "you"),
        ("so \x1b\x19", "so you"),
        ("about me\x17\x19", "about me"),
        ("about me\x17\x1f", "about me"),
    ],
    ids=["Alt-.", "Alt-Ctrl-Y", "Ctrl-W Ctrl-Y", "Ctrl-W Ctrl-_"],
)
def test_words_from_elsewhere_are_not_shown_to_the_other_side(keys: str, line: str) -> None:
    @in_loop
    async def check() -> None:
        async with watched_desk() as one:
            one.press(keys)
            await one.line_is(line)
            one.press("!\x7f")
            assert (await _drafts(one) or [""])[-1] == ""
            one.press(CTRL_C, "new")
            await one.line_is("new")
            assert (await _drafts(one))[-1] == "new"

    check()


@in_loop
async def test_a_message_that_was_taken_back_is_not_shown_to_the_other_side() -> None:
    async with desk(turns="alternate") as one:
        one.session.endpoint.set_live(True)
        one.press("Hi!\r")
        await one.says("\\ack 1", "\\live on")
        one.session.submit("about you")  # it is held
        one.press(ALT_UP)
        await one.line_is("about you")
        one.press("!\x7f")
        assert not any(await _drafts(one))


@in_loop
async def test_all_that_is_typed_and_pasted_is_shown_to_the_other_side() -> None:
    async with watched_desk() as one:
        one.press("one", ALT_ENTER, "tvo\x1b[D\x7fw")
        one.paste("nn\rn")  # as terminals paste a line feed
        await one.line_is("one\ntwnn\nno")
        assert (await _drafts(one))[-1] == f"one{BREAK}twnn{BREAK}no"


@given(hostile, st.integers(6, 100), st.integers(0, 5))
def test_a_draft_has_at_most_three_rows_that_fit(draft: str, room: int, most: int) -> None:
    rows = draft_rows("alice", draft, room, most)
    assert len(rows) <= min(most, ROWS_MAX)
    assert all(columns(row) <= room and not CONTROL.search(row) for row in rows)
    assert all(row.startswith("alice" if i == 0 else " ") for i, row in enumerate(rows))


@pytest.mark.parametrize("handle", ["a", "\u6f22" * 10])
@pytest.mark.parametrize("room", [6, 20, 40, 80, 300])
def test_the_end_of_a_long_draft_is_shown_behind_the_name(handle: str, room: int) -> None:
    rows = draft_rows(handle, "word " * 99 + "end", room, 3)
    assert len(rows) <= 3
    assert rows[-1].endswith("end")
    assert rows[0].startswith(handle[: room // 2])
    assert all(most_columns(row, letters=1) <= room for row in rows)


@in_loop
async def test_a_program_gets_drafts_as_objects(capsys: pytest.CaptureFixture[str]) -> None:
    view = JsonLines()
    one = view._session = Session(Endpoint("Bob", live=True), view, "the test")
    connection = Connection(one)
    raw = await attach(connection)
    one._supervisor.connected(connection)
    await raw.say(HELLO)
    await raw.news()
    one.submit("Hi!")
    await raw.say("\\ack 1", "\\live on", f"\\typing draft=Hello,{BREAK}how")
    await raw.news()
    await raw.say("alice> Hello")
    await raw.news()
    objects = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    drafts = [found for found in objects if found["type"] == "draft"]
    assert [found.pop("text") for found in drafts] == ["Hello,\nhow", ""]
    assert drafts[0] == {"v": 1, "type": "draft", "from": "operator", "handle": "alice"}
    assert [found["live"] for found in objects if found["type"] == "state"][-1] is True
    connection.abort()
    await connection.closed
    raw.hang_up()
