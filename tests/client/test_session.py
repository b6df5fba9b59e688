"""What a user's commands do to a session, and what the user is told and left with at its end."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import datetime
from functools import partial
from pathlib import Path

import pytest

from pychat_client.errors import ExitStatus, MessageError, NotAllowedError, PychatError, UnreachableError
from pychat_client.protocol import wire
from pychat_client.protocol.console_endpoint import ConsoleEndpoint
from pychat_client.protocol.digest import digest_of
from pychat_client.protocol.endpoint import Endpoint
from pychat_client.protocol.rate_limit import DRAFT_EVERY
from pychat_client.protocol.saved import SavedEndpoint
from pychat_client.protocol.turns import Turns
from pychat_client.session import delivery_watch, keeper
from pychat_client.session import session as session_module
from pychat_client.session.reconnect import Verdict
from pychat_client.session.session import Session, run_session
from pychat_client.session.session_file import Kept, SessionFile
from pychat_client.session.transcript import Transcript
from pychat_client.text import WORDS_MAX
from pychat_client.transport.connection import CloseReason, Connection
from pychat_client.transport.interruptible import ending_signals
from tests.support.aio import in_loop
from tests.support.endpoints import HELLO, say
from tests.support.notes import Notes
from tests.support.raw_ends import AsyncEnd, attach

IN_TURNS = HELLO.replace("free", "alternate")
RESUMED = "\\hello 1 alice session=5f0c got=1 sent=0 turns=free"
CONSOLE_HELLO = "\\hello 1 alice keep=30d"
CALL = "\\peer Bob session=3 got=0 heard=0 told=0 turns=free since=2024-05-01T12:00Z address=192.0.2.7"
CLASSIC_CALL = f"{CALL} classic=1"
"""The caller has a classic program. What the console says is confirmed by the daemon all the same."""

STAYS_UNCONFIRMED = "The other side may not know yet that you ended the conversation."


class Page(Notes):
    """A view with a line, which shows drafts."""

    line = ""

    def __init__(self) -> None:
        super().__init__()
        self.given_back: list[str] = []
        self.waiting = 0  # messages that are not on the screen yet
        self.keys_shown = False

    @property
    def shows_keys(self) -> bool:
        return self.keys_shown

    @property
    def undisplayed(self) -> int:
        return self.waiting

    @property
    def shows_drafts(self) -> bool:
        return True

    def recalled(self, text: str) -> None:
        self.line = text

    def not_sent(self, text: str) -> None:
        self.given_back.append(f"not sent: {text}")

    def not_confirmed(self, text: str) -> None:
        self.given_back.append(f"not confirmed: {text}")


class Talk:
    """A session, its view, and the daemon's end of its connection."""

    def __init__(self, session: Session, view: Page) -> None:
        self.session = session
        self.view = view
        self.connection = Connection(session)
        self.raw: AsyncEnd

    async def connect(self, *lines: str) -> list[str]:
        """A connection, on which the daemon says `lines`; what the session has said."""
        self.connection = Connection(self.session)
        self.raw = await attach(self.connection)
        self.session._supervisor.connected(self.connection)
        return await self.hears(*lines)

    async def hears(self, *lines: str) -> list[str]:
        """The daemon says `lines`; what the session has said until it has dealt with them."""
        await self.raw.say(*lines)
        return await self.raw.news()

    async def cut(self) -> None:
        self.raw.hang_up()
        await self.connection.closed


@asynccontextmanager
async def talk(session: Session, view: Page, *lines: str) -> AsyncIterator[Talk]:
    one = Talk(session, view)
    await one.connect(*lines)
    try:
        yield one
    finally:
        one.session.finish(ExitStatus.INTERRUPTED)
        one.connection.abort()
        one.raw.hang_up()
        await one.connection.closed


@asynccontextmanager
async def caller(*, turns: str = "free", file: Path | None = None, live: bool = False) -> AsyncIterator[Talk]:
    """Bob, who is connected and has sent nothing. file: of his session."""
    view = Page()
    kept = None if file is None else SessionFile.take(file)
    session = Session(Endpoint("Bob", live=live), view, "hostA", file=kept, back="pychat hostA")
    async with talk(session, view, HELLO.replace("free", turns)) as one:
        yield one


@asynccontextmanager
async def console(*lines: str, file: Path | None = None, shows_keys: bool = False) -> AsyncIterator[Talk]:
    """Alice at her console, to whom the daemon says `lines` behind its hello. shows_keys: it is a screen."""
    view = Page()
    view.keys_shown = shows_keys
    kept = None if file is None else SessionFile.take(file)
    endpoint = ConsoleEndpoint("alice", saved=None if kept is None else kept.kept.endpoint)
    session = Session(endpoint, view, "port 7000", file=kept, back="pychatd-console")
    async with talk(session, view, CONSOLE_HELLO, *lines) as one:
        yield one


# ------------------------------------------------------------------ leaving


@in_loop
async def test_ctrl_d_ends_the_conversation_of_a_caller() -> None:
    async with caller() as one:
        one.session.submit("Hi")
        await one.hears("\\ack 1")
        one.session.leave()
        assert await one.raw.news() == ["\\quit"]
        assert one.session.leaving
        assert not one.session.done
        one.session.leave()
        assert one.session.done
        assert one.session.exit_status is ExitStatus.OK


@in_loop
async def test_ctrl_d_detaches_a_console_at_once() -> None:
    async with console("\\ready", CALL, "Bob> Hi") as one:
        await one.raw.news()
        one.session.leave()
        assert one.session.done
        assert one.session.exit_status is ExitStatus.OK
        stays = "The conversation stays open: run 'pychatd-console' to return to it."
        assert one.view.sentences[-1] == f"Detached. {stays}"
        assert not any(line.startswith("\\quit") for line in await one.raw.rest())


@in_loop
async def test_who_detaches_waits_for_the_last_ack() -> None:
    async with console("\\ready", CALL, "Bob> Hi") as one:
        await one.raw.news()
        one.session.submit("Hello")
        one.session.detach()
        assert one.session.leaving
        with pytest.raises(NotAllowedError, match="this program is about to end"):
            one.session.submit("too late")
        await one.hears("\\ack 1")
        assert one.session.done
        assert one.session.exit_status is ExitStatus.OK
        assert one.session.all_stored()


@in_loop
async def test_who_waits_to_detach_can_still_end_the_conversation(tmp_path: Path) -> None:
    async with caller(file=tmp_path / "sessions" / "one") as one:
        one.session.submit("Hi")
        await one.raw.news()
        one.session.detach()
        assert one.session.leaving
        one.session.submit("\\quit bye")
        assert await one.raw.news() == ["\\quit bye"]
        one.session.submit("\\quit once more")
        await one.cut()
        assert one.session.done
        assert not one.session.stays_open


@in_loop
async def test_a_console_that_waits_to_detach_can_still_end_the_conversation() -> None:
    async with console("\\ready", CALL, "Bob> Hi") as one:
        await one.raw.news()
        one.session.submit("Hello")
        one.session.detach()
        one.session.submit("\\quit bye")
        assert (await one.raw.news())[-1] == "\\quit bye"
        await one.hears("\\ack 1")
        assert one.session.done


@in_loop
async def test_a_caller_without_a_file_cannot_detach() -> None:
    async with caller() as one:
        one.session.submit("Hi")
        with pytest.raises(NotAllowedError, match="no conversation that could stay open"):
            one.session.submit("\\detach")
        assert not one.session.done


@in_loop
async def test_a_caller_that_detaches_keeps_its_conversation(tmp_path: Path) -> None:
    path = tmp_path / "sessions" / "one"
    async with caller(file=path) as one:
        with pytest.raises(NotAllowedError, match="no conversation that could stay open"):
            one.session.detach()
        one.session.submit("Hi")
        await one.hears("\\ack 1")
        assert one.session.stays_open
        one.session.detach()
        assert one.session.done
        assert one.session.stays_open
    kept = SessionFile.take(path)
    assert kept.kept.endpoint is not None
    assert (kept.kept.endpoint.session, kept.kept.endpoint.left) == ("5f0c", False)
    kept.close()


@pytest.mark.parametrize("line", ["", "half a th"])
def test_a_console_keeps_only_what_the_daemon_does_not_know(tmp_path: Path, line: str) -> None:
    @in_loop
    async def check() -> None:
        path = tmp_path / "sessions" / "one"
        async with console("\\ready", CALL, "Bob> Hi", file=path) as one:
            await one.raw.news()
            one.view.line = line
            one.session.detach()
        kept = SessionFile.take(path)
        assert kept.kept.line == line
        assert (kept.kept.endpoint is None) == (not line)
        kept.close()

    check()


@in_loop
async def test_an_end_while_the_other_one_is_away_tells_what_is_unread() -> None:
    async with caller() as one:
        one.session.submit("Hi")
        await one.hears("\\ack 1", "\\away")
        one.session.leave()
        await one.raw.news()
        await one.cut()
        assert one.session.done
        assert "1 of your messages was stored, but alice has not seen it." in one.view.sentences


@in_loop
async def test_who_ends_it_without_a_connection_reads_that_nobody_knows() -> None:
    async with caller() as one:
        one.session.submit("Hi")
        await one.hears("\\ack 1")
        await one.cut()
        one.session.leave()
        assert one.session.done
        assert one.view.sentences[-1] == STAYS_UNCONFIRMED


@in_loop
async def test_ctrl_c_at_a_console_says_that_the_talk_stays_open() -> None:
    async with console("\\ready", CALL, "Bob> Hi") as one:
        one.session.interrupt_at_second_try()
        stays = "The conversation stays open: run 'pychatd-console' to return to it."
        assert one.view.sentences[-1] == f"Press Ctrl-C again to leave. {stays}"


@in_loop
async def test_ctrl_c_twice_ends_the_call_of_a_caller() -> None:
    async with caller() as one:
        one.session.submit("Hi")
        await one.hears("\\ack 1")
        one.session.interrupt_at_second_try()
        assert one.view.sentences[-1] == "Press Ctrl-C again to leave and to end the call."
        one.session.line_changed("x")
        one.session.interrupt_at_second_try()  # the first one again: something was typed in between
        assert not one.session.done
        one.session.interrupt_at_second_try()
        assert one.session.done
        assert one.session.exit_status is ExitStatus.INTERRUPTED
        assert "\\quit" in await one.raw.rest()


@in_loop
async def test_another_window_takes_a_session_over(tmp_path: Path) -> None:
    async with caller(file=tmp_path / "sessions" / "one") as one:
        one.session.submit("Hi")
        await one.hears("\\ack 1")
        one.session.moved()
        assert one.session.exit_status is ExitStatus.TAKEN
        assert one.view.sentences[-1] == "Another window has taken over this conversation."
        said = list(one.view.sentences)
        one.session.moved()
        assert one.view.sentences == said


# ------------------------------------------------------------------ what becomes of own texts


@in_loop
async def test_texts_that_are_not_stored_decide_the_exit_status() -> None:
    for statuses, texts in [
        ((ExitStatus.NOT_CONFIRMED, ExitStatus.INTERRUPTED), ["one", "two"]),
        ((ExitStatus.OK, ExitStatus.INTERRUPTED), []),
    ]:
        for given, expected in zip((ExitStatus.OK, ExitStatus.INTERRUPTED), statuses, strict=True):
            async with caller(turns="alternate") as one:
                for text in texts:
                    one.session.submit(text)
                one.session.finish(given)
                assert one.session.exit_status is expected
                back = ["not confirmed: one", "not sent: two"] if texts else []
                assert one.view.given_back == back
                assert one.session.given_back == tuple(texts[1:])


@in_loop
async def test_what_may_have_arrived_outweighs_a_failure() -> None:
    async with caller() as one:
        one.session.submit("one")
        one.session.finish(ExitStatus.FAILED)
        assert one.session.exit_status is ExitStatus.NOT_CONFIRMED
    async with caller(turns="alternate") as one:
        one.session.submit("one")
        await one.hears("\\ack 1")
        one.session.submit("two")
        one.session.finish(ExitStatus.FAILED)
        assert one.session.exit_status is ExitStatus.FAILED
        assert one.session.loss is ExitStatus.NOT_SENT


@in_loop
async def test_an_earlier_conversation_is_ended_and_its_texts_come_back() -> None:
    view, endpoint = Page(), Endpoint("Bob")
    endpoint.greet()
    endpoint.receive(wire.Hello(wire.VERSION, "alice", session="5f0c"))
    for text in ("one", "two", "three"):
        say(endpoint, text)
        if text == "one":
            endpoint.receive(wire.Ack(1))
            endpoint.receive(wire.Message("alice", "Hello"))
    saved = endpoint.saved()
    session = Session(Endpoint("Bob", saved=saved), view, "hostA")
    session.end_earlier()
    assert view.sentences == ["You ended the conversation with alice."]
    assert view.given_back == ["not sent: three", "not confirmed: two"]
    assert session.leaving
    one = Talk(session, view)
    said = await one.connect(IN_TURNS.replace("turns", "got=2 sent=1 turns"))
    assert said[-1] == "\\quit"
    await one.cut()
    assert session.done


@in_loop
async def test_a_host_that_has_lost_a_conversation_is_not_told_of_its_end() -> None:
    view, endpoint = Page(), Endpoint("Bob")
    endpoint.greet()
    endpoint.receive(wire.Hello(wire.VERSION, "alice", session="5f0c"))
    say(endpoint, "one")
    endpoint.receive(wire.Ack(1))
    session = Session(Endpoint("Bob", saved=endpoint.saved()), view, "hostA")
    session.end_earlier()
    (hello,) = await Talk(session, view).connect("\\hello 1 alice session=0c5f turns=free")
    assert hello.startswith("\\hello")
    assert session.done
    assert session.over_at_return


@in_loop
async def test_texts_without_a_conversation_come_back_without_an_end() -> None:
    view, endpoint = Page(), Endpoint("Bob")
    say(endpoint, "one")
    session = Session(Endpoint("Bob", saved=endpoint.saved()), view, "hostA")
    session.end_earlier()
    assert view.sentences == []
    assert view.given_back == ["not sent: one"]
    assert session.done


@pytest.mark.parametrize("given_back", [(), ("one",)])
def test_a_new_call_tells_how_to_take_up_what_was_not_sent(given_back: tuple[str, ...]) -> None:
    @in_loop
    async def check() -> None:
        session = Session(Endpoint("Bob"), view := Page(), "hostA", given_back=given_back)
        await Talk(session, view).connect("\\hello 1 alice session=5f0c turns=free")
        told = view.sentences[1:]
        assert told == ["\\recall takes the last message that was not sent into the line."][: len(given_back)]

    check()


@in_loop
async def test_the_newest_text_that_waits_comes_back_into_the_line() -> None:
    async with caller(turns="alternate") as one:
        for text in ("one", "two", "three"):
            one.session.submit(text)
        one.session.submit("\\recall")
        assert one.view.line == "three"
        one.session.submit("\\recall")
        assert one.view.line == "two"
        one.session.submit("\\recall")
        assert one.view.sentences[-1] == "No message is held."
        assert one.view.line == "two"


@in_loop
async def test_a_console_that_was_left_tells_of_nobody_who_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection may end seconds later, if the daemon is slow."""
    monkeypatch.setattr("pychat_client.session.narration.STAY_SECONDS", 0.0)
    async with console("\\ready", CALL, "Bob> Hi", "\\away") as one:
        one.session._handle(one.session.endpoint.receive(wire.Here("Bob")))
        one.session.interrupt()
        told = list(one.view.sentences)
        assert one.session.endpoint.is_open
        for _ in range(5):
            await asyncio.sleep(0)
        assert one.view.sentences == told


@in_loop
async def test_a_text_that_came_back_can_be_recalled_at_the_console() -> None:
    call = CALL.replace("free", "alternate")
    async with console("\\ready", call, "Bob> Hi") as one:
        await one.raw.news()
        one.session.submit("one")
        await one.hears("\\ack 1")
        one.session.submit("two")
        await one.hears("\\quit bye")
        assert one.session.given_back == ("two",)
        one.session.submit("\\recall")
        assert one.view.line == "two"
        assert not one.session.given_back


# ------------------------------------------------------------------ commands


@in_loop
async def test_after_the_end_nothing_is_sent() -> None:
    async with caller() as one:
        one.session.submit("Hi")
        await one.hears("\\ack 1")
        one.session.submit("\\quit bye")
        assert await one.raw.news() == ["\\quit bye"]
        with pytest.raises(NotAllowedError, match="the conversation is over"):
            one.session.submit("more")
        one.session.submit("\\quit again")
        assert await one.raw.news() == []
        one.session.finish(ExitStatus.OK)
        with pytest.raises(NotAllowedError, match="the conversation is over"):
            one.session.submit("\\help")


@pytest.mark.parametrize("kept", [True, False], ids=["left open", "over"])
def test_who_leaves_a_session_that_is_done_changes_nothing(tmp_path: Path, kept: bool) -> None:
    """A signal can end it while the front end waits to leave it."""

    @in_loop
    async def check() -> None:
        async with caller(turns="alternate", file=tmp_path / "sessions" / "one" if kept else None) as one:
            one.session.submit("one")
            one.session.submit("two")
            await one.hears("\\ack 1")
            one.session.interrupt()
            told = (list(one.view.sentences), list(one.view.given_back), one.session.given_back)
            assert one.view.given_back == ([] if kept else ["not sent: two"])
            for leave in (one.session.leave, one.session.detach, partial(one.session.quit, "bye")):
                leave()
                assert (one.view.sentences, one.view.given_back, one.session.given_back) == told
                assert (one.session.done, one.session.stays_open) == (True, kept)
                assert one.session.exit_status is ExitStatus.INTERRUPTED

    check()


@in_loop
async def test_an_empty_line_sends_nothing() -> None:
    async with caller() as one:
        one.session.submit("")
        assert await one.raw.news() == []


@in_loop
async def test_a_console_ends_the_conversation_and_stays() -> None:
    async with console("\\ready") as one:
        await one.raw.news()
        with pytest.raises(NotAllowedError, match="No conversation is open"):
            one.session.submit("\\quit")
        await one.hears(CALL, "Bob> Hi")
        one.session.submit("\\quit bye")
        assert (await one.raw.news())[-1] == "\\quit bye"
        assert not one.session.done
        assert "You ended the conversation: bye." in one.view.sentences


@in_loop
async def test_an_offline_console_reads_when_its_end_is_known() -> None:
    async with console("\\ready", CALL, "Bob> Hi") as one:
        await one.raw.news()
        await one.cut()
        one.session.submit("\\quit")
        waits = "Not connected. The other side learns of the end when the connection is back."
        assert one.view.sentences.count(waits) == 1
        await one.connect(CONSOLE_HELLO, CALL.replace("heard=0", "heard=1"), "\\quit")
        assert one.view.sentences[-1] == "The other side knows now that you ended the conversation."


@in_loop
async def test_callers_get_the_words_of_who_goes_away() -> None:
    async with console("\\ready") as one:
        await one.raw.news()
        with pytest.raises(NotAllowedError, match=f"have {WORDS_MAX + 1} characters; the limit is {WORDS_MAX}"):
            one.session.submit("\\away " + "x" * (WORDS_MAX + 1))
        words = "x" * WORDS_MAX
        one.session.submit(f"\\away {words}")
        assert one.session.done
        assert f'Callers read "{words}" until you are back.' in one.view.sentences
        assert await one.raw.rest() == [f"\\away {words}"]


@in_loop
async def test_a_reason_that_is_too_long_ends_nothing() -> None:
    """Words that are shown longer than they are count as they are shown: no end of them is cut off unseen."""
    async with caller() as one:
        one.session.submit("Hi")
        await one.hears("\\ack 1")
        for reason in ("x" * (WORDS_MAX + 1), "e\u200b" * (WORDS_MAX // 4)):
            with pytest.raises(NotAllowedError, match=f"characters; the limit is {WORDS_MAX}"):
                one.session.submit(f"\\quit {reason}")
        assert await one.raw.news() == []
        one.session.submit("\\quit " + "x" * WORDS_MAX)
        assert await one.raw.news() == ["\\quit " + "x" * WORDS_MAX]


@pytest.mark.parametrize("line", ["\\detach see you tomorrow", "\\status now", "\\recall 2"])
def test_words_behind_a_command_that_takes_none_stay_in_the_line(line: str) -> None:
    @in_loop
    async def check() -> None:
        async with caller() as one:
            one.session.submit("Hi")
            await one.hears("\\ack 1")
            with pytest.raises(NotAllowedError, match="takes no words"):
                one.session.submit(line)
            assert not one.session.leaving

    check()


@in_loop
async def test_without_a_connection_nothing_can_be_ordered() -> None:
    async with console("\\ready") as one:
        await one.raw.news()
        one.session.submit("\\unread 3")
        one.session.submit("\\block Bob")
        one.session.submit("\\greet")
        assert await one.raw.news() == ["\\order unread 3", "\\order block Bob", "\\order greet"]
        await one.cut()
        for line in ("\\unread", "\\block Bob", "\\greet"):
            with pytest.raises(NotAllowedError, match="no connection to the daemon"):
                one.session.submit(line)
        with pytest.raises(NotAllowedError, match="callers cannot get your words now"):
            one.session.submit("\\away soon")
        assert not one.session.done


NEXT_CALL = CALL.replace("Bob", "Eve").replace("session=3", "session=4")


@in_loop
async def test_a_block_names_the_conversation_whose_caller_is_shown() -> None:
    async with console("\\ready") as one:
        nobody = "^Nobody is talking now: name an address, a key or a handle.$"
        with pytest.raises(NotAllowedError, match=nobody):
            one.session.submit("\\block")
        await one.hears(CALL, "Bob> spam")
        one.session.submit("\\block")
        assert await one.raw.news() == ["\\order block conversation=3"]
        await one.hears("\\quit")
        with pytest.raises(NotAllowedError, match=nobody):
            one.session.submit("\\block")
        await one.hears(NEXT_CALL, "Eve> Hello?")
        one.session.submit("\\block")
        assert await one.raw.news() == ["\\order block conversation=4"]


@in_loop
async def test_a_block_that_was_begun_before_its_user_saw_the_caller_is_refused_once() -> None:
    async with console("\\ready", CALL, "Bob> spam", shows_keys=True) as one:
        one.session.line_changed("\\blo")
        await one.hears("\\quit", NEXT_CALL)
        one.view.waiting = 1  # an editor has the terminal
        await one.hears("Eve> Hello?")
        one.session.line_changed("\\block")
        one.session.line_changed("")  # as the screen does with a line that it takes
        words = "Nobody is blocked: Eve has called since you began this line."
        sentence = f"^{words} Enter it again to block this caller.$"
        with pytest.raises(NotAllowedError, match=sentence):
            one.session.submit("\\block")
        one.session.line_changed("\\block")  # the screen puts it back; but Eve is not on it
        with pytest.raises(NotAllowedError, match=sentence):
            one.session.submit("\\block")
        one.session.line_changed("")
        one.view.waiting = 0
        one.session.displayed()
        await one.raw.news()
        one.session.line_changed("\\block")
        one.session.submit("\\block")
        assert await one.raw.news() == ["\\order block conversation=4"]


@in_loop
async def test_a_quit_that_was_begun_in_another_conversation_is_refused_once() -> None:
    async with console("\\ready", CALL, "Bob> Bye", shows_keys=True) as one:
        one.session.line_changed("\\quit")
        await one.hears("\\quit", NEXT_CALL, "Eve> Hello?")
        one.session.line_changed("")
        words = "Nothing has ended: Eve has called since you began this line."
        sentence = f"^{words} Enter it again to end this conversation.$"
        with pytest.raises(NotAllowedError, match=sentence):
            one.session.submit("\\quit")
        one.session.line_changed("\\quit")
        one.session.submit("\\quit")
        assert await one.raw.news() == ["\\quit"]


@pytest.mark.parametrize(("line", "sent"), [("\\quit", "\\quit"), ("\\block", "\\order block conversation=3")])
def test_an_earlier_consoles_line_is_meant_for_the_caller_on_the_screen(
    tmp_path: Path, line: str, sent: str
) -> None:
    """The screen tells of no change when this line is put back."""

    @in_loop
    async def check() -> None:
        path = tmp_path / "sessions" / "one"
        async with console(CALL, "Bob> Hi", "\\ready", file=path, shows_keys=True) as one:
            await one.raw.news()
            one.view.line = line
        async with console(CALL.replace("heard=0", "heard=1"), "\\ready", file=path, shows_keys=True) as one:
            await one.session.caught_up()
            assert one.session.take_line() == line
            one.session.line_changed("")  # as the screen does with a line that it takes
            one.session.submit(line)
            while (heard := await one.raw.hear()) != sent:  # behind what waits for the disk
                assert heard

    check()


@in_loop
async def test_an_earlier_consoles_line_is_not_meant_for_the_next_caller(tmp_path: Path) -> None:
    path = tmp_path / "sessions" / "one"
    async with console(CALL, "Bob> Hi", "\\ready", file=path, shows_keys=True) as one:
        await one.raw.news()
        one.view.line = "\\quit"
    async with console(CALL.replace("heard=0", "heard=1"), "\\ready", file=path, shows_keys=True) as one:
        await one.session.caught_up()
        assert one.session.take_line() == "\\quit"
        await one.hears("\\quit", NEXT_CALL, "Eve> Hello?")
        one.session.line_changed("")
        with pytest.raises(NotAllowedError, match=r"^Nothing has ended: Eve has called since you began this line"):
            one.session.submit("\\quit")


@in_loop
async def test_no_command_sends_bytes_that_are_not_utf8() -> None:
    """Neither is the line forgotten: the user can correct it."""
    async with console("\\ready", CALL, "Bob> Hi") as one:
        await one.raw.news()
        for name in one.session.commands:
            with pytest.raises(MessageError, match=rf"^The words after \\{name} contain bytes"):
                one.session.submit(f"\\{name} caf\udce9")
        assert await one.raw.news() == []
        assert not one.session.leaving


@in_loop
async def test_a_caller_has_no_orders() -> None:
    async with caller() as one:
        assert not {"away", "unread", "block", "greet"} & one.session.commands.keys()
        assert {"quit", "detach", "live", "ring"} <= one.session.commands.keys()
    async with console() as one:
        assert {"away", "unread", "block", "greet", "detach", "live"} <= one.session.commands.keys()
    classic = Session(Endpoint("Bob", classic_server=True), Page(), "hostA")
    assert not {"live", "detach"} & classic.commands.keys()


WATCHED = "Live typing is on: alice sees what you type, and you see what alice types."
ALONE = "Live typing is on at your side only. Nobody sees what you type until the other side wants it too."


@in_loop
async def test_the_user_is_told_when_the_other_side_turns_it_on_or_off() -> None:
    async with caller(live=True) as one:
        one.session.submit("Hi")
        await one.hears("\\ack 1")
        for line, sentence in (("\\live on", WATCHED), ("\\live off", ALONE), ("\\live on", WATCHED)):
            await one.hears(line)
            assert one.view.sentences[-1] == sentence


@in_loop
async def test_before_the_first_message_nothing_is_told_of_live_typing() -> None:
    async with console("\\ready") as one:
        one.session.endpoint.set_live(True)
        await one.hears("\\live on")
        assert not any("Live typing" in sentence for sentence in one.view.sentences)
        await one.hears(CALL, "Bob> Hi", "\\live on")
        assert one.view.sentences[-1].startswith("Live typing is on: Bob sees")


@in_loop
async def test_a_connection_that_comes_back_is_no_news_of_live_typing() -> None:
    async with caller(live=True) as one:
        one.session.submit("Hi")
        await one.hears("\\ack 1", "\\live on")
        await one.cut()
        await one.connect(RESUMED, "\\live on")
        assert one.session.status.watched
        assert one.view.sentences.count(WATCHED) == 1


@in_loop
async def test_live_typing_that_is_on_again_is_told_to_who_has_read_that_it_was_not() -> None:
    async with caller(live=True) as one:
        one.session.submit("Hi")
        await one.hears("\\ack 1", "\\live on")
        await one.cut()
        one.session.submit("\\status")
        assert ALONE in one.view.sentences
        await one.connect(RESUMED, "\\live on")
        assert one.view.sentences[-1] == WATCHED
        one.session.submit("\\status")
        await one.cut()
        await one.connect(RESUMED, "\\live on")
        assert one.view.sentences.count(WATCHED) == 3  # the last one is that of the status


@in_loop
async def test_live_typing_is_told_again_when_the_other_side_was_gone_meanwhile() -> None:
    async with caller(live=True) as one:
        one.session.submit("Hi")
        await one.hears("\\here alice", "\\ack 1", "\\live on")
        await one.cut()
        await one.connect(RESUMED, "\\away")
        await one.hears("\\here alice", "\\live on")
        assert one.view.sentences[-2:] == ["alice is at the console now.", WATCHED]


@in_loop
async def test_without_ones_own_wish_the_others_is_no_news() -> None:
    async with caller() as one:
        one.session.submit("Hi")
        await one.hears("\\ack 1", "\\live on")
        assert not any("Live typing" in sentence for sentence in one.view.sentences)


@in_loop
async def test_live_typing_is_turned_on_or_off_by_name_or_changed() -> None:
    async with caller() as one:
        one.session.submit("Hi")
        await one.hears("\\ack 1")
        for line, live in (("off", False), ("on", True), ("on", True), ("off", False), ("", True), ("", False)):
            one.session.submit(f"\\live {line}")
            assert one.session.endpoint.live is live
        assert await one.raw.news() == ["\\live on", "\\live off", "\\live on", "\\live off"]
        with pytest.raises(NotAllowedError, match="takes 'on', 'off' or no words"):
            one.session.submit("\\live no")


@in_loop
async def test_a_view_that_shows_no_drafts_any_more_ends_live_typing() -> None:
    async with caller(live=True) as one:
        one.session.submit("Hi")
        await one.raw.news()
        one.session.stop_live()
        assert await one.raw.news() == ["\\live off"]
        assert "Live typing is off" in one.view.sentences[-1]
        said = list(one.view.sentences)
        one.session.stop_live()
        assert await one.raw.news() == []
        assert one.view.sentences == said


# ------------------------------------------------------------------ the connection


@in_loop
async def test_a_refused_handle_is_told_apart() -> None:
    async with caller() as one:
        await one.hears("\\error handle Your handle looks too much like alice")
        assert one.session.done
        assert one.session.handle_refused
        assert one.session.exit_status is ExitStatus.REFUSED
    async with caller() as one:
        await one.hears("\\busy Busy.")
        assert one.session.exit_status is ExitStatus.TAKEN
        assert not one.session.handle_refused


@in_loop
async def test_a_broken_rule_ends_a_session_and_is_told_to_both() -> None:
    async with caller() as one:
        one.session.submit("Hi")
        await one.raw.news()
        await one.raw.say("\\ack 9")
        assert [line.split()[:2] for line in await one.raw.rest()] == [["\\error", "ack"]]
        assert one.session.exit_status is ExitStatus.NOT_CONFIRMED
        assert any(line.startswith("The other side broke the protocol: 9 ") for line in one.view.sentences)


@in_loop
async def test_a_lost_connection_is_told_and_the_session_stays() -> None:
    async with caller() as one:
        await one.cut()
        assert not one.session.done
        assert not one.session.status.connected
        assert one.view.sentences[-1].startswith("Connection lost (")
        assert one.session.status.attempts == 1


@in_loop
async def test_a_host_that_lacks_messages_is_told_why_it_ends() -> None:
    async with caller() as one:
        one.session.submit("Hi")
        one.session.submit("you")
        await one.hears("\\ack 2")
        await one.cut()
        said = await one.connect(RESUMED)
        assert said[-1].startswith("\\quit the journal has lost 1 of Bob's messages")
        assert one.session.leaving
        assert one.view.given_back == ["not sent: you"]
        await one.cut()
        assert one.session.exit_status is ExitStatus.NOT_SENT


# ------------------------------------------------------------------ what an earlier program has left


@asynccontextmanager
async def returned(path: Path, line: str) -> AsyncIterator[Talk]:
    """Bob goes on where a program ended that had this line; the daemon has not answered yet."""
    file = SessionFile.take(path)
    saved = SavedEndpoint("Bob", "alice", session="5f0c", turns=Turns.FREE, received=1, stored=1, stored_here=1)
    file.save(Kept(saved, line))
    file.close()
    view, file = Page(), SessionFile.take(path)
    session = Session(Endpoint("Rob", saved=file.kept.endpoint), view, "hostA", file=file)
    async with talk(session, view) as one:
        yield one


@in_loop
async def test_an_earlier_programs_line_is_for_the_same_conversation(tmp_path: Path) -> None:
    async with returned(tmp_path / "sessions" / "same", "half a th") as one:
        await one.hears("\\hello 1 alice session=5f0c got=1 sent=1 turns=free")
        assert one.session.take_line() == "half a th"
        assert one.session.take_line() == ""
        assert one.view.given_back == []
    async with returned(tmp_path / "sessions" / "over", "half a th") as one:
        await one.hears("\\hello 1 alice session=5f0c got=1 sent=1 turns=free", "\\quit bye")
        assert one.session.done
        assert one.view.given_back == ["not sent: half a th"]
        assert one.session.exit_status is ExitStatus.NOT_SENT
    async with returned(tmp_path / "sessions" / "other", "half a th") as one:
        one.session.endpoint.session = "another"
        assert one.session.take_line() == ""
        assert one.view.given_back == ["not sent: half a th"]


@in_loop
async def test_an_earlier_programs_line_is_given_back_as_the_message_that_it_is(tmp_path: Path) -> None:
    for name, hello in (("over", ["\\quit bye"]), ("other", [])):
        async with returned(tmp_path / "sessions" / name, "\\\\note") as one:
            await one.hears("\\hello 1 alice session=5f0c got=1 sent=1 turns=free", *hello)
            one.session.endpoint.session = "another"
            assert one.session.take_line() == ""
            assert one.view.given_back == ["not sent: \\note"]
            assert one.session.given_back == ("\\note",)


@in_loop
async def test_a_returning_program_has_caught_up_when_all_is_told(tmp_path: Path) -> None:
    async with returned(tmp_path / "sessions" / "one", "") as one:
        waiting = asyncio.create_task(one.session.caught_up())
        await one.hears("\\hello 1 alice session=5f0c got=1 sent=1 after=0 turns=free")
        assert not waiting.done()
        again = "\\at 2024-05-01T12:00Z again"
        await one.hears(f"{again} own", "Bob> 1", again, "alice> one", "\\ready")
        await waiting
        assert one.view.messages == ["1", "one"]
        await one.session.caught_up()
    async with returned(tmp_path / "sessions" / "two", "") as one:
        waiting = asyncio.create_task(one.session.caught_up())
        await one.hears()
        assert not waiting.done()
        one.session.interrupt()
        await waiting


@in_loop
async def test_a_program_is_done_when_another_one_has_gone_on(tmp_path: Path) -> None:
    """It keeps its file: the next program goes on."""
    file = tmp_path / "sessions" / "one"
    async with returned(file, "") as one:
        await one.hears("\\hello 1 alice session=5f0c got=1 sent=1 after=0 turns=free", "\\ready")
        await one.cut()
        await one.connect("\\hello 1 alice session=5f0c got=2 sent=1 turns=free")
        assert one.session.exit_status is ExitStatus.TAKEN
        assert one.view.sentences[-1].startswith("Another program has gone on with this conversation")
        assert file.exists()


@in_loop
async def test_nothing_is_told_behind_the_end_of_a_program(tmp_path: Path) -> None:
    """Another program has gone on and ended the conversation, and one read brings both."""
    file = tmp_path / "sessions" / "one"
    async with returned(file, "") as one:
        await one.hears("\\hello 1 alice session=5f0c got=1 sent=1 after=0 turns=free", "\\ready")
        await one.cut()
        one.session.submit("two")
        hello = f"\\hello 1 alice session=5f0c got=3 sent=1 turns=free digest={digest_of(['more', 'words'])}"
        await one.connect(hello, "\\at 2024-05-01T12:00Z own", "\\quit")
        assert one.view.sentences[-1].startswith("Another program has gone on with this conversation")
        assert one.view.given_back == []
        assert one.session.exit_status is ExitStatus.TAKEN
    kept = SessionFile.take(file)
    assert kept.kept.endpoint is not None
    assert kept.kept.endpoint.texts == ("two",)
    kept.close()


@pytest.mark.parametrize("call", [CALL, CLASSIC_CALL])
def test_a_console_keeps_what_is_not_confirmed_for_the_next_one(tmp_path: Path, call: str) -> None:
    file = tmp_path / "sessions" / "one"

    @in_loop
    async def check() -> None:
        async with console("\\ready", call, "Bob> Hi", file=file) as one:
            one.session.submit("Hello")
            one.session.interrupt()
            assert one.session.stays_open
            assert one.view.given_back == []
        kept = SessionFile.take(file)
        assert kept.kept.endpoint is not None
        assert kept.kept.endpoint.texts == ("Hello",)
        kept.close()

    check()


@pytest.mark.parametrize("call", [CALL, CLASSIC_CALL])
def test_a_console_keeps_an_end_that_the_daemon_does_not_know(tmp_path: Path, call: str) -> None:
    file = tmp_path / "sessions" / "one"

    @in_loop
    async def check() -> None:
        async with console("\\ready", call, "Bob> Hi", file=file) as one:
            await one.cut()
            one.session.quit("")
            one.session.interrupt()
        kept = SessionFile.take(file)
        assert kept.kept.endpoint is not None
        assert kept.kept.endpoint.left
        kept.close()

    check()


@pytest.mark.parametrize("over", [False, True])
def test_a_program_that_returns_to_what_was_over_knows_it(tmp_path: Path, over: bool) -> None:
    @in_loop
    async def check() -> None:
        async with returned(tmp_path / "sessions" / "one", "") as one:
            await one.hears("\\hello 1 alice session=5f0c got=1 sent=1 after=0 turns=free")
            await one.hears("\\quit bye" if over else "\\ready")
            assert one.session.over_at_return == over
            await one.hears("\\quit bye")  # now it was there
            assert one.session.done
            assert one.session.over_at_return == over

    check()


@in_loop
async def test_an_end_that_the_user_has_seen_is_no_news_for_the_next_call() -> None:
    async with caller() as one:
        one.session.submit("Hi")
        await one.hears("\\ack 1", "\\quit bye")
        assert one.session.done
        assert not one.session.over_at_return


# ------------------------------------------------------------------ what the status says


@in_loop
async def test_the_status_follows_calls_that_fail_or_are_refused() -> None:
    view = Page()
    session = Session(Endpoint("Bob"), view, "hostA", wait=True)
    one = Talk(session, view)
    await one.connect("\\busy Busy.")
    assert session.status.busy
    assert session.status.attempts == 0
    await one.cut()
    assert session.status.attempts == 1
    assert not session.done
    await one.connect(HELLO)
    assert not session.status.busy
    assert session.status.attempts is None
    await one.cut()
    assert session.status.attempts == 1
    assert view.sentences[-1].startswith("Connection lost (")
    session.finish(ExitStatus.OK)


RETURNED = f"{HELLO} got=0"
AWAY_AND_FULL = ("\\away", "\\error journal The other host cannot store messages now.")


@in_loop
async def test_a_host_that_stores_nothing_is_told_once() -> None:
    async with caller() as one:
        one.session.submit("Hi")
        await one.hears(*AWAY_AND_FULL)
        told = list(one.view.sentences)
        says = 'alice\'s program says: "The other host cannot store messages now."'
        assert told[-1] == f"{says} Your messages are kept here, and sent later."
        for _ in range(3):
            await one.cut()
            await one.connect(RETURNED, *AWAY_AND_FULL)
        assert one.view.sentences == told
        await one.cut()
        await one.connect(RETURNED, "\\ack 1")
        assert one.view.sentences == [*told, "Your messages are stored now."]


@in_loop
async def test_a_host_that_is_reached_again_is_told_though_it_stores_nothing() -> None:
    async with caller() as one:
        one.session.submit("Hi")
        await one.hears(*AWAY_AND_FULL)
        await one.cut()
        one.session.call_failed(UnreachableError("Nobody answers."), Verdict.BEGIN_TO_RETRY)
        await one.connect(RETURNED)
        assert one.view.sentences[-1] == "Connected to alice again."


@in_loop
async def test_a_cable_that_breaks_while_nothing_is_stored_is_told() -> None:
    async with caller() as one:
        one.session.submit("Hi")
        await one.hears(*AWAY_AND_FULL)
        await one.cut()
        await one.connect(RETURNED)
        await one.cut()
        assert one.view.sentences[-1].startswith("Connection lost (")
        await one.connect(RETURNED)
        assert one.view.sentences[-1] == "Connected to alice again."


@in_loop
async def test_a_daemon_that_was_started_again_is_told() -> None:
    async with caller() as one:
        one.session.submit("Hi")
        await one.hears("\\ack 1", "\\error stopping The daemon is stopping.")
        await one.cut()
        assert one.view.sentences[-1].startswith("Connection lost (")
        await one.connect(RETURNED.replace("got=0", "got=1"))
        assert one.view.sentences[-1] == "Connected to alice again."


@in_loop
async def test_a_daemon_that_is_long_in_stopping_is_told_once() -> None:
    async with caller() as one:
        await one.hears("\\error stopping The daemon is stopping.")
        await one.cut()
        told = list(one.view.sentences)
        for _ in range(2):
            await one.connect("\\error stopping The daemon is stopping.")
            await one.cut()
        assert one.view.sentences == told


@in_loop
async def test_a_reason_without_words_is_told_by_its_code() -> None:
    async with caller() as one:
        await one.hears("\\error stopping")
        assert one.view.sentences[-1] == "The other side refused the call (code: stopping)."


@in_loop
async def test_who_is_not_on_the_list_is_told_what_to_do() -> None:
    async with caller() as one:
        one.connection.abort(CloseReason.NOT_LISTED)
        await one.connection.closed
        assert one.view.sentences[-1] == "Send the operator the output of 'pychat certificate'."
        assert one.session.exit_status is ExitStatus.REFUSED


@in_loop
async def test_a_console_shows_how_the_caller_calls_now() -> None:
    async with console("\\ready", CALL, "Bob> Hi") as one:
        await one.hears("\\away", "\\here Bob address=192.0.2.9 plain=1 name=bob.pem")
        caller = one.session.status.caller
        assert caller is not None
        assert (caller.address, caller.plain, caller.name) == ("192.0.2.9", True, "bob.pem")


@in_loop
async def test_a_console_waits_for_calls_and_says_so_once() -> None:
    async with console("\\ready") as one:
        waits = "Waiting for calls on port 7000. The caller sends the first message."
        assert one.view.sentences == [waits]
        await one.hears(CALL, "Bob> Hi")
        await one.cut()
        await one.connect(CONSOLE_HELLO)
        assert one.view.sentences.count(waits) == 1


@in_loop
async def test_a_renewed_certificate_is_told_with_a_given_fingerprint() -> None:
    async with caller() as one:
        one.session.certificate_renewed("SHA256:new", given=True)
        assert one.view.sentences[-1].endswith("Give its fingerprint from now on: SHA256:new")
        one.session.certificate_renewed("SHA256:newer", given=False)
        assert one.view.sentences[-1].endswith("It is accepted from now on.")
        assert one.session.status.key == "SHA256:newer"


# ------------------------------------------------------------------ waiting, signals and the transcript


@pytest.mark.parametrize("call", [CALL, CLASSIC_CALL])
def test_who_waits_for_acks_is_told_so_and_not_kept_for_long(monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    monkeypatch.setattr(session_module, "EXPLAIN_SECONDS", 0.01)
    monkeypatch.setattr(session_module, "LEAVE_SECONDS", 0.1)

    @in_loop
    async def check() -> None:
        async with console("\\ready", call, "Bob> Hi") as one:
            await one.raw.news()
            one.session.submit("Hello")
            one.session.detach()
            while not one.session.done:
                await asyncio.sleep(0.01)
            assert "Waiting until your messages are stored." in one.view.sentences
            assert one.session.exit_status is ExitStatus.NOT_CONFIRMED

    check()


@in_loop
async def test_who_waits_no_more_is_not_told_of_a_wait() -> None:
    """Because all is stored, or because a classic server confirms nothing."""
    view = Page()
    classic = Session(Endpoint("Bob", classic_server=True), view, "hostA")
    async with caller() as one, talk(classic, view, HELLO) as other:
        one.session.submit("Hi")
        one.session.submit("\\quit")
        await one.hears("\\ack 1", "\\quit")
        await one.cut()
        assert one.session.done
        other.session.submit("\\quit")
        assert other.session.leaving
        for session in (one.session, other.session):
            session._explain_wait()
        assert not any("Waiting" in sentence for sentence in [*one.view.sentences, *view.sentences])


@in_loop
async def test_a_classic_programs_connection_ends_with_the_talk() -> None:
    view = Page()
    session = Session(Endpoint("Bob", classic_server=True), view, "hostA")
    async with talk(session, view, HELLO) as one:
        session.submit("Hi")
        session.leave()
        assert "Bob> Hi" in await one.raw.rest()


@in_loop
async def test_a_classic_server_is_not_asked_whether_it_is_there() -> None:
    """It does not answer, and would be taken for dead."""
    view = Page()
    async with talk(Session(Endpoint("Bob", classic_server=True), view, "hostA"), view, HELLO) as one:
        one.session.route_changed()
        assert await one.raw.news() == []


@in_loop
async def test_a_cut_before_the_end_is_confirmed_is_told() -> None:
    async with console("\\ready", CALL, "Bob> Hi") as one:
        await one.raw.news()
        one.session.submit("\\quit")
        await one.cut()
        waits = "Not connected. The other side learns of the end when the connection is back."
        assert one.view.sentences.count(waits) == 1


@pytest.fixture
def program_that_goes_on() -> Iterator[None]:
    """A signal that ends a program has it look at its output from now on, again and again (interruptible)."""
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)


@pytest.mark.parametrize(
    ("number", "status"),
    [
        (signal.SIGINT, ExitStatus.INTERRUPTED),
        (signal.SIGTERM, ExitStatus.INTERRUPTED),
        (signal.SIGHUP, ExitStatus.INTERRUPTED),
        (signal.SIGQUIT, ExitStatus.INTERRUPTED),
        (signal.SIGUSR1, ExitStatus.TAKEN),
    ],
)
@pytest.mark.usefixtures("program_that_goes_on")
def test_a_signal_ends_a_session(number: signal.Signals, status: ExitStatus) -> None:
    @in_loop
    async def check() -> None:
        view = Page()
        session = Session(Endpoint("Bob"), view, "hostA")
        silent = asyncio.Event()

        async def connect() -> Connection:
            os.kill(os.getpid(), number)
            await silent.wait()
            raise AssertionError

        assert await run_session(session, view.run, connect) is status

    check()


def test_a_signal_that_was_ignored_at_the_start_stays_so() -> None:
    numbers = (signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, signal.SIG_DFL) for number in numbers}
    try:
        assert ending_signals() == list(numbers)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        assert ending_signals() == [signal.SIGINT, signal.SIGQUIT, signal.SIGTERM]
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@in_loop
async def test_the_transcript_has_the_messages_and_the_own_end(tmp_path: Path) -> None:
    path, view = tmp_path / "transcript", Page()
    transcript = Transcript(path)
    session = Session(Endpoint("Bob"), view, "hostA", transcript=transcript)
    async with talk(session, view, HELLO) as one:
        session.submit("Hi")
        await one.hears("\\ack 1", "alice> Hello")
        session.leave()
        await one.raw.news()
    lines = path.read_text().splitlines()
    assert [line.split(" ", 2)[2] for line in lines if "> " in line] == [">Bob> Hi", "alice> Hello"]
    assert lines[-1].endswith("You ended the conversation.")


# ------------------------------------------------------------------ what stays, and what is shown


@pytest.mark.parametrize("confirmed", [False, True])
def test_a_goodbye_that_the_daemon_does_not_know_is_kept(tmp_path: Path, confirmed: bool) -> None:
    @in_loop
    async def check() -> None:
        path = tmp_path / "sessions" / "one"
        async with caller(file=path) as one:
            one.session.submit("Hi")
            await one.hears("\\ack 1")
            if not confirmed:
                await one.cut()
            one.session.submit("\\quit bye")
            if confirmed:
                await one.hears("\\quit bye")
                await one.cut()
            assert one.session.done
        kept = SessionFile.take(path)
        left = None if kept.kept.endpoint is None else (kept.kept.endpoint.left, kept.kept.endpoint.reason)
        assert left == (None if confirmed else (True, "bye"))
        kept.close()

    check()


@in_loop
async def test_a_first_call_that_is_lost_before_its_answer_is_the_end() -> None:
    view = Page()
    session = Session(Endpoint("Bob"), view, "hostA")
    one = Talk(session, view)
    await one.connect()
    await one.cut()
    assert session.done
    assert session.exit_status is ExitStatus.FAILED


@in_loop
async def test_held_and_sent_texts_are_not_stored_yet() -> None:
    async with caller(turns="alternate") as one:
        assert one.session.all_stored()
        one.session.submit("one")
        assert not one.session.all_stored()
        await one.hears("\\ack 1")
        assert one.session.all_stored()
        one.session.submit("two")
        assert not one.session.all_stored()


class Follower(Page):
    """A view that shows the status as it was told to look at it last."""

    session: Session | None = None
    seen: tuple[int | None, bool, int, int] | None = None

    def refresh(self) -> None:
        if self.session is not None:
            self.seen = now(self.session)


def now(session: Session) -> tuple[int | None, bool, int, int]:
    endpoint = session.endpoint
    return session.status.attempts, endpoint.my_turn, len(endpoint.held), len(endpoint.unacked)


@in_loop
async def test_a_view_shows_the_present_after_each_step() -> None:
    view = Follower()
    session = view.session = Session(Endpoint("Bob"), view, "hostA", wait=True)
    session.call_failed(UnreachableError("No answer."), Verdict.KEEP_RETRYING)
    assert view.seen == now(session)
    async with talk(session, view) as one:
        assert view.seen == now(session)
        for line in (IN_TURNS, "\\ack 1", "alice> Hello", "\\away", "\\error stopping The daemon stops."):
            await one.hears(line)
            assert view.seen == now(session)
            if line == IN_TURNS:
                for text in ("one", "two"):
                    session.submit(text)
                    assert view.seen == now(session)
                session.recall()
                assert view.seen == now(session)
        await one.cut()
        assert view.seen == now(session)


@pytest.mark.parametrize("call", [CALL, CLASSIC_CALL])
def test_a_console_knows_how_late_its_message_is(monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    monkeypatch.setattr(delivery_watch, "LATE_SECONDS", 0.05)

    @in_loop
    async def check() -> None:
        async with console("\\ready", call, "Bob> Hi") as one:
            one.session.submit("Hello")
            while await one.raw.hear() != "\\ping":
                pass
            assert one.session.status.late is not None

    check()


def test_a_message_that_is_not_confirmed_in_time_is_shown_as_late(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery_watch, "LATE_SECONDS", 0.05)

    @in_loop
    async def check() -> None:
        view = Follower()
        session = view.session = Session(Endpoint("Bob"), view, "hostA")
        async with talk(session, view, HELLO) as one:
            session.submit("Hi")
            assert session.status.late is None
            view.seen = None
            while await one.raw.hear() != "\\ping":  # the session asks for a sign of life
                pass
            assert view.seen is not None
            assert session.status.late is not None
            await one.hears("\\pong", "\\ack 1")
            assert session.status.late is None
            session.submit("you")
            while session.status.late is None:
                await asyncio.sleep(0.01)
            await one.cut()
            assert session.status.late is None

    check()


@in_loop
async def test_the_file_has_the_line_and_the_end_at_once(
    tmp_path: Path,
) -> None:
    file, view = SessionFile.take(tmp_path / "sessions" / "one"), Page()
    session = Session(Endpoint("Bob"), view, "hostA", file=file)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keeper, "LATER", 0.01)
        async with talk(session, view, HELLO) as one:
            session.submit("Hi")
            await one.hears("\\ack 1")
            for view.line in ("half", "half a th"):
                session.line_changed(view.line)
                while file.kept.line != view.line:
                    await asyncio.sleep(0.01)
            session.submit("\\quit bye")
            assert not session.done
            assert file.kept.endpoint is not None
            assert (file.kept.endpoint.left, file.kept.endpoint.reason) == (True, "bye")


class LatePage(Page):
    """It shows messages a moment later, or only when `lent` is over."""

    waiting = 0
    lent = False

    def message(self, message: wire.Message, *, own: bool, time: datetime, replayed: bool) -> None:
        super().message(message, own=own, time=time, replayed=replayed)
        self.waiting += not own

    @property
    def undisplayed(self) -> int:
        return self.waiting

    def flush(self) -> None:
        if not self.lent:
            self.waiting = 0


@asynccontextmanager
async def late_caller(path: Path) -> AsyncIterator[tuple[Talk, LatePage, SessionFile]]:
    file, view = SessionFile.take(path / "sessions" / "one"), LatePage()
    session = Session(Endpoint("Bob"), view, "hostA", file=file)
    async with talk(session, view, HELLO) as one:
        session.submit("Hi")
        await one.hears("\\ack 1")
        yield one, view, file


@in_loop
async def test_what_is_shown_is_recorded_and_then_acked(tmp_path: Path) -> None:
    async with late_caller(tmp_path) as (one, view, file):
        assert await one.hears("alice> one", "alice> two") == []
        view.waiting = 1
        one.session.displayed()
        assert file.kept.endpoint is not None
        assert file.kept.endpoint.received == 1
        assert await one.raw.news() == ["\\ack 1"]
        view.waiting = 0
        one.session.displayed()
        assert file.kept.endpoint.received == 2
        assert await one.raw.news() == ["\\ack 2"]


@in_loop
async def test_what_is_shown_at_the_own_end_is_acked_before_it(tmp_path: Path) -> None:
    async with late_caller(tmp_path) as (one, _, _):
        await one.hears("alice> one")
        one.session.submit("\\quit")
        assert await one.raw.news() == ["\\ack 1", "\\quit"]


@pytest.mark.parametrize(("lent", "acks"), [(False, ["\\ack 1"]), (True, [])])
@pytest.mark.parametrize("lines", [(), ("\\quit",)], ids=["this user leaves", "the other one ends it"])
def test_what_a_view_can_still_show_is_acked_at_the_end(
    lines: tuple[str, ...], lent: bool, acks: list[str], tmp_path: Path
) -> None:
    @in_loop
    async def check() -> None:
        async with late_caller(tmp_path) as (one, view, _):
            view.lent = lent
            said = await one.hears("alice> one", *lines)
            if not lines:
                one.session.submit("\\detach")
                said += await one.raw.news()
            assert one.session.done
            assert said == acks

    check()


@in_loop
async def test_what_stays_in_the_file_is_in_doubt_as_well(tmp_path: Path) -> None:
    async with caller(file=tmp_path / "sessions" / "one") as one:
        one.session.submit("Hi")
        one.session.finish(ExitStatus.OK)
        assert one.session.stays_open
        assert one.session.exit_status is ExitStatus.NOT_CONFIRMED
        assert one.view.given_back == []


@in_loop
async def test_a_text_that_crossed_the_consoles_own_quit_comes_back() -> None:
    async with console("\\ready", CALL, "Bob> Hi") as one:
        await one.raw.news()
        one.session.submit("Hello")
        one.session.submit("\\quit")
        await one.hears("\\quit")
        assert one.view.given_back == ["not sent: Hello"]
        assert one.session.given_back == ("Hello",)
        assert one.session.loss is ExitStatus.NOT_SENT


@in_loop
async def test_what_was_on_its_way_to_a_host_that_went_back_is_in_doubt() -> None:
    async with caller() as one:
        one.session.submit("one")
        one.session.submit("two")
        await one.hears("\\ack 1")
        await one.cut()
        await one.connect("\\hello 1 alice session=5f0c got=0 sent=0 turns=free")
        assert one.view.given_back == ["not confirmed: two", "not sent: one"]
        assert one.session.loss is ExitStatus.NOT_CONFIRMED


@in_loop
async def test_a_session_that_does_not_return_has_nothing_to_catch_up() -> None:
    await Session(Endpoint("Bob"), Page(), "hostA").caught_up()


@in_loop
async def test_nothing_stays_open_behind_a_run() -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    view = Page()
    session = Session(Endpoint("Bob"), view, "hostA")

    async def refuse() -> Connection:
        raise UnreachableError("No answer.")

    assert await run_session(session, view.run, refuse) is ExitStatus.ABSENT
    assert len(list(Path("/proc/self/fd").iterdir())) == before


@in_loop
async def test_a_turned_away_caller_shows_no_draft_any_more() -> None:
    async with caller(live=True) as one:
        one.session.submit("Hi")
        await one.hears("\\ack 1", str(wire.Live(True)), str(wire.Typing("half")))
        assert one.session.typing_indicator.draft == "half"
        await one.hears("\\error stopping The daemon stops.")
        assert one.session.typing_indicator.draft == ""
        assert not one.session.status.typing


@in_loop
async def test_a_text_that_looks_like_a_command_can_be_said() -> None:
    async with caller() as one:
        one.session.say("\\quit")
        assert await one.raw.news() == ["Bob> \\quit"]
        with pytest.raises(MessageError):
            one.session.say("")
        assert not one.session.keeps


@in_loop
async def test_a_caller_that_is_about_to_leave_says_nothing_more(tmp_path: Path) -> None:
    async with caller(file=tmp_path / "sessions" / "one") as one:
        assert one.session.keeps
        one.session.submit("Hi")
        one.session.detach()
        with pytest.raises(NotAllowedError, match="this program is about to end"):
            one.session.say("more")
        await one.hears("\\ack 1")
        assert one.session.done


@in_loop
async def test_ctrl_c_ends_no_conversation_that_can_go_on(tmp_path: Path) -> None:
    async with console("\\ready", CALL, "Bob> Hi") as one:
        await one.raw.news()
        one.session.interrupt()
        assert one.session.exit_status is ExitStatus.INTERRUPTED
        assert not any(line.startswith("\\quit") for line in await one.raw.rest())
    async with caller(file=tmp_path / "sessions" / "one") as one:
        one.session.submit("Hi")
        await one.hears("\\ack 1")
        one.session.interrupt()
        assert not any(line.startswith("\\quit") for line in await one.raw.rest())
        assert one.session.stays_open


def test_a_signal_ends_a_conversation_that_cannot_be_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the last write finds the disk full. Nobody could return to what would stay open."""

    def full(*_: object) -> None:
        raise PychatError("The disk is full.")

    @in_loop
    async def check() -> None:
        async with caller(file=tmp_path / "sessions" / "one") as one:
            one.session.submit("Hi")
            await one.hears("\\ack 1")
            monkeypatch.setattr(SessionFile, "save", full)
            one.session.interrupt()
            assert "\\quit" in await one.raw.rest()
            assert one.session.exit_status is ExitStatus.INTERRUPTED
            assert not one.session.stays_open

    check()


@in_loop
async def test_who_is_refused_is_not_told_that_it_has_detached() -> None:
    async with console() as one:
        await one.hears("\\error held bob is using the console.")
        assert one.session.exit_status is ExitStatus.TAKEN
        assert one.view.sentences[-1] == "bob is using the console."


@in_loop
async def test_messages_that_are_not_stored_yet_are_said_to_be_later() -> None:
    async with caller() as one:
        one.session.submit("Hi")
        await one.hears("\\error journal The disk is full.")
        await one.cut()
        await one.connect("\\hello 1 alice session=5f0c got=0 sent=0 turns=free", "\\ack 1")
        assert one.view.sentences[-1] == "Your messages are stored now."
        await one.hears("\\read 1")
        one.session.submit("you")
        await one.hears("\\ack 2")
        assert one.view.sentences.count("Your messages are stored now.") == 1


@in_loop
async def test_a_draft_is_not_sent_to_who_has_gone() -> None:
    async with caller(live=True) as one:
        one.session.submit("Hi")
        await one.hears("\\ack 1", str(wire.Live(True)))
        one.session.line_changed("m")
        one.session.line_changed("mo")
        await one.hears("\\away")
        await asyncio.sleep(DRAFT_EVERY * 1.5)  # what is tested is that nothing is sent then
        assert str(wire.Typing("mo")) not in await one.raw.news()


@in_loop
async def test_the_end_is_in_the_file_before_the_user_reads_of_it(tmp_path: Path) -> None:
    """Or else the next program could send what this one has called not sent."""
    file = SessionFile.take(tmp_path / "sessions" / "one")
    left: list[bool] = []

    class Witness(Page):
        def not_sent(self, text: str) -> None:
            super().not_sent(text)
            left.append(file.kept.endpoint is not None and file.kept.endpoint.left)

    view = Witness()
    session = Session(Endpoint("Bob"), view, "hostA", file=file)
    async with talk(session, view, IN_TURNS) as one:
        session.submit("one")
        await one.hears("\\ack 1")
        session.submit("two")
        await one.hears("alice> Hello")
        session.submit("three")
        session.submit("\\quit")
        assert view.given_back == ["not sent: three"]
        assert left == [True]


@in_loop
async def test_texts_given_back_at_a_refusal_are_in_the_file_before(tmp_path: Path) -> None:
    """Or else nobody would have them if the program died just then."""
    file = SessionFile.take(tmp_path / "sessions" / "one")
    kept: list[Kept] = []

    class Witness(Page):
        def not_sent(self, text: str) -> None:
            super().not_sent(text)
            kept.append(file.kept)

    view = Witness()
    session = Session(Endpoint("Bob"), view, "hostA", file=file)
    async with talk(session, view) as one:
        session.submit("Hi")
        await one.hears("\\error blocked The operator has blocked you here.")
        assert session.done
        assert view.given_back == ["not sent: Hi"]
        assert kept == [Kept(None, "Hi")]


@in_loop
async def test_who_leaves_gets_back_what_the_file_cannot_keep(tmp_path: Path) -> None:
    file, view = SessionFile.take(tmp_path / "sessions" / "one"), Page()
    session = Session(Endpoint("Bob"), view, "hostA", file=file)

    def full(*_: object) -> None:
        raise PychatError("The disk is full.")

    async with talk(session, view, HELLO) as one:
        session.submit("Hi")
        await one.raw.news()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(SessionFile, "save", full)
            session.interrupt()
        assert not session.stays_open
        assert view.given_back == ["not confirmed: Hi"]


@in_loop
async def test_a_recalled_text_is_in_the_file_before_it_is_in_the_line(tmp_path: Path) -> None:
    file = SessionFile.take(tmp_path / "sessions" / "one")
    kept: list[str] = []

    class Witness(Page):
        def recalled(self, text: str) -> None:
            super().recalled(text)
            kept.append(file.kept.line)

    view = Witness()
    session = Session(Endpoint("Bob"), view, "hostA", file=file)
    async with talk(session, view, IN_TURNS) as one:
        session.submit("one")
        await one.hears("\\ack 1")
        session.submit("two")
        session.submit("\\recall")
        assert (view.line, kept) == ("two", ["two"])


@in_loop
async def test_what_waited_for_the_disk_is_not_sent_over_the_next_connection() -> None:
    """It begins with a hello, and the daemon's answer says what is still to be sent."""
    async with caller() as one:
        waiting: list[Callable[[], None]] = []
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(one.session._keeper, "record", waiting.append)
            one.session.submit("Hi")
            await one.cut()
            await one.connect()
            for then in waiting:
                then()
            said = await one.raw.news()
        assert [line.split()[0] for line in said] == ["\\hello"]
