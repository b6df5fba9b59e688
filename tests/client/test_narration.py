"""The sentences about a conversation that have more than one form."""

from __future__ import annotations

import asyncio

import pytest

from pychat_client.protocol import wire
from pychat_client.protocol.console_endpoint import ConsoleEndpoint
from pychat_client.protocol.endpoint import Endpoint, OtherUser
from pychat_client.protocol.events import (
    Connected,
    Ended,
    EndedBy,
    Leftovers,
    MissedCall,
    Notice,
    Overtaken,
    WentBack,
)
from pychat_client.protocol.turns import Turns
from pychat_client.session import narration
from pychat_client.session.narration import Narrator
from pychat_client.session.reconnect import Verdict
from pychat_client.session.transcript import Transcript
from pychat_client.text import printable
from tests.support.aio import in_loop
from tests.support.endpoints import NOON, say
from tests.support.notes import Notes

UNREAD = {
    1: "1 of your messages was stored, but alice has not seen it.",
    2: "2 of your messages were stored, but alice has not seen them.",
}


@pytest.mark.parametrize("count", UNREAD)
def test_the_end_counts_one_unread_message_or_several(count: int) -> None:
    @in_loop
    async def check() -> None:
        view = Notes()
        narrator = Narrator(Endpoint("Bob"), view, "hostA", Transcript())
        narrator.event(Ended("alice", EndedBy.OTHER, "", unread=count))
        assert view.sentences == ["alice ended the conversation.", UNREAD[count]]

    check()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (None, ""),
        ("bob-laptop", ", with the certificate of bob-laptop"),
        ("b\u202e", ", with the certificate of b<U+202E>"),
    ],
)
def test_a_missed_call_of_a_verified_caller_says_so(name: str | None, words: str) -> None:
    @in_loop
    async def check() -> None:
        view = Notes()
        Narrator(ConsoleEndpoint("al"), view, "hostA", Transcript()).event(MissedCall("Bob", "here", None, name))
        assert view.sentences == [f"Missed call: Bob from here{words}, without a message."]

    check()


@in_loop
async def test_a_missed_call_of_who_had_to_leave_says_why() -> None:
    view = Notes()
    call = MissedCall("Eve", "here", None, back="B\u202eb")
    Narrator(ConsoleEndpoint("al"), view, "hostA", Transcript()).event(call)
    assert view.sentences == ["Missed call: Eve from here, who had to leave: B<U+202E>b was back."]


@pytest.mark.parametrize(
    ("endpoint", "sentence"),
    [
        (Endpoint("Bob"), "Connected to alice again."),
        (ConsoleEndpoint("Bob"), "Back in the conversation with alice."),  # she may be away
    ],
)
def test_who_comes_back_reads_what_is_true(endpoint: Endpoint, sentence: str) -> None:
    @in_loop
    async def check() -> None:
        view = Notes()
        endpoint.other = OtherUser("alice")
        Narrator(endpoint, view, "hostA", Transcript()).event(Connected("alice", resumed=True))
        assert view.sentences == [sentence]

    check()


@pytest.mark.parametrize(
    ("back", "stays"),
    {
        "pychat hostA 7000": " The conversation stays open: run 'pychat hostA 7000' to return to it.",
        "": "",
    }.items(),
)
def test_who_leaves_reads_the_command_that_returns(back: str, stays: str) -> None:
    @in_loop
    async def check() -> None:
        view, endpoint = Notes(), Endpoint("Bob")
        endpoint.greet()
        endpoint.receive(wire.Hello(wire.VERSION, "alice", session="5f", got=0))
        endpoint.send(endpoint.validate("Hi"))
        endpoint.receive(wire.Ack(1))
        narrator = Narrator(endpoint, view, "hostA", Transcript(), back)
        narrator.warn_of_interrupt(stays_open=True)
        narrator.left()
        assert view.sentences == [f"Press Ctrl-C again to leave.{stays}", f"Detached.{stays}"]

    check()


@in_loop
async def test_a_console_without_a_conversation_has_none_to_return_to() -> None:
    view = Notes()
    narrator = Narrator(ConsoleEndpoint("alice"), view, "port 7000", Transcript(), "pychatd-console 7000")
    narrator.warn_of_interrupt(stays_open=False)
    narrator.left()
    assert view.sentences == ["Press Ctrl-C again to leave the console.", "Detached."]


@pytest.mark.parametrize(("key", "then"), [("Ctrl-D", " Press Ctrl-D to leave without waiting."), ("", "")])
def test_only_a_view_with_keys_offers_a_key_to_leave(key: str, then: str) -> None:
    @in_loop
    async def check() -> None:
        view = Notes()
        view.keys = [(key, "leave")] if key else []
        Narrator(Endpoint("Bob"), view, "hostA", Transcript()).waiting_for_acks()
        assert view.sentences == [f"Waiting until your messages are stored.{then}"]

    check()


@in_loop
async def test_a_journal_that_was_restored_is_told_with_what_it_has_lost() -> None:
    view = Notes()
    Narrator(Endpoint("Bob"), view, "hostA", Transcript()).event(WentBack("alice", 2, 1, Leftovers()))
    assert view.sentences == [
        "The other host has lost 2 of your messages and 1 of alice's messages, for example because an older "
        "backup was restored. This conversation cannot go on. Call again to begin another one."
    ]


@in_loop
async def test_a_host_without_the_conversation_ends_it_in_a_sentence() -> None:
    view, endpoint = Notes(), Endpoint("Bob")
    narrator = Narrator(endpoint, view, "hostA", Transcript())
    for session in ("old", "new"):
        endpoint.greet()
        for event in endpoint.receive(wire.Hello(wire.VERSION, "alice", session=session, got=0)):
            narrator.event(event)
        if session == "old":
            endpoint.send(endpoint.validate("Hi"))
            endpoint.receive(wire.Ack(1))
            endpoint.connection_lost()
    for event in endpoint.receive(wire.Away("")):  # of the conversation that could begin now
        narrator.event(event)
    gone = "the other host does not have it any more (it had 1 of your messages)"
    assert view.sentences[1:] == [
        f"The conversation with alice has ended: {gone}.",
        "Not confirmed; it may have arrived:",
        "    Hi",
    ]


@pytest.mark.parametrize(
    "words", ["Your key has changed.", 'Busy." You ended the conversation. "', "a\u202eb\x1b[2J"]
)
def test_the_words_of_the_other_program_are_marked_as_its_own(words: str) -> None:
    @in_loop
    async def check() -> None:
        view, endpoint = Notes(), Endpoint("Bob")
        narrator = Narrator(endpoint, view, "hostA", Transcript())
        endpoint.greet()
        endpoint.receive(wire.Hello(wire.VERSION, "alice", session="5f"))
        narrator.event(Notice(words))
        narrator.turned_away("odd", words, Verdict.GIVE_UP)
        narrator.event(Ended("alice", EndedBy.OTHER, words))
        quotation = f'"{printable(words).replace(chr(34), chr(39))}"'
        says = f"alice's program says: {quotation}"
        assert view.sentences == [says, says, f"alice ended the conversation: {quotation}."]
        assert all(sentence.count('"') == 2 for sentence in view.sentences)

    check()


@in_loop
async def test_a_console_has_its_own_daemon() -> None:
    view = Notes()
    narrator = Narrator(ConsoleEndpoint("alice"), view, "port 7000", Transcript())
    narrator.event(Notice("The disk is full."))
    assert view.sentences == ["The disk is full."]


@in_loop
async def test_an_old_session_file_is_told_with_what_it_had() -> None:
    view = Notes()
    Narrator(Endpoint("Bob"), view, "hostA", Transcript()).event(Overtaken(Leftovers(not_confirmed=("two",))))
    assert view.sentences == [
        "This conversation has messages of yours that are not known here: the session file came from a backup, "
        "or a copy of it was used elsewhere.",
        "Not confirmed; it may have arrived:",
        "    two",
    ]


OVERTAKEN = "Another program has gone on with this conversation, from a copy of its file."


@pytest.mark.parametrize(
    ("text", "stays_open", "told"),
    [
        (
            "Me",
            True,
            f"{OVERTAKEN} Run 'pychat hostA' to go on here: it gives back your messages that are not confirmed.",
        ),
        (None, True, f"{OVERTAKEN} Run 'pychat hostA' to go on here."),
        (None, False, OVERTAKEN),
    ],
    ids=["a message waits", "nothing waits", "no file"],
)
def test_who_is_overtaken_reads_how_to_go_on(text: str | None, stays_open: bool, told: str) -> None:
    @in_loop
    async def check() -> None:
        view, endpoint = Notes(), Endpoint("Bob")
        endpoint.greet()
        endpoint.receive(wire.Hello(wire.VERSION, "alice", session="5f", got=0))
        if text is not None:
            say(endpoint, text)
        Narrator(endpoint, view, "hostA", Transcript(), "pychat hostA").overtaken_here(stays_open=stays_open)
        assert view.sentences == [told]

    check()


@in_loop
async def test_an_own_end_that_is_news_has_its_time() -> None:
    view = Notes()
    Narrator(Endpoint("Bob"), view, "hostA", Transcript()).event(Ended("alice", EndedBy.YOU, "tired", time=NOON))
    assert view.sentences == [f'You ended the conversation on {NOON.astimezone():%d %B %Y at %H:%M}: "tired".']


@pytest.mark.parametrize("stays", [True, False])
def test_only_a_caller_that_stays_is_connected_again(stays: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(narration, "STAY_SECONDS", 0.0 if stays else 3600.0)

    @in_loop
    async def check() -> None:
        view, endpoint = Notes(), ConsoleEndpoint("alice")
        endpoint.greet()
        caller = wire.Peer("Client1", 1, 0, 0, 0, Turns.FREE, NOON, "192.0.2.1:4000")
        for frame in (wire.Hello(wire.VERSION, "alice"), caller, wire.Message("Client1", "Hi")):
            endpoint.receive(frame)
        narrator = Narrator(endpoint, view, "hostA", Transcript())
        gone, back = "Client1 is not connected now.", "Client1 is connected again."
        for presence in (wire.Away(), wire.Here(), wire.Away()):
            for event in endpoint.receive(presence):
                narrator.event(event)
            while stays and narrator._coming is not None:
                await asyncio.sleep(0)
        told = [sentence.split(" Your messages")[0] for sentence in view.sentences]
        assert told == ([gone, back, gone] if stays else [gone])

    check()
