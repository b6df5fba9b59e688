"""Where a conversation stands: in every situation `\\status` says what the toolbar says, and both are true."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import product
from pathlib import Path

import pytest

from pychat_client.protocol import wire
from pychat_client.protocol.endpoint import Credentials, Endpoint
from pychat_client.protocol.turns import Role, Turns
from pychat_client.session.status import ConversationStatus, Fact, ToolbarItem, away, kept
from pychat_client.trust.fingerprint import safety_number
from tests.support.endpoints import make_endpoint, say

PEER, OPERATOR = Role.PEER, Role.OPERATOR
NAMES = {PEER: "Bob", OPERATOR: "alice"}
KEY = "SHA256:" + "A" * 43

Step = Callable[[Endpoint], object]


def frame(frame: wire.Frame) -> Step:
    return lambda endpoint: endpoint.receive(frame)


def says(*texts: str) -> Step:
    return lambda endpoint: [say(endpoint, text) for text in texts]


def _caller(turns: Turns, *, classic: bool = False, plain: bool = False, name: str | None = None) -> wire.Peer:
    since = datetime(2024, 5, 1, 12, tzinfo=UTC)
    return wire.Peer("Bob", 7, 0, 0, 0, turns, since, "192.0.2.7", classic, 200 if classic else None, plain, name)


def stories() -> Iterator[tuple[Role, bool, wire.Peer | None, Sequence[Step]]]:
    """What happens to an endpoint, step by step: its role, whether it is the client of a classic program, what the
    daemon tells of its caller, and the steps."""
    for turns in Turns:
        hello = frame(wire.Hello(1, "alice", session="5f0c", turns=turns, keep="7d"))
        rest = [frame(wire.Ack(1)), frame(wire.Read(1)), frame(wire.Message("alice", "Hello")), frame(wire.Away())]
        yield PEER, False, None, [hello, says("Hi!", "and", "so on"), *rest, frame(wire.Quit())]
        live = [lambda endpoint: endpoint.set_live(True), frame(wire.Live(True)), frame(wire.Live(False))]
        yield PEER, False, None, [hello, says("Hi!"), *live]
        yield PEER, True, None, [hello, says("Hi!", "and"), rest[0], rest[2], frame(wire.Quit())]
        for peer in (
            _caller(turns),
            _caller(turns, plain=True),
            _caller(turns, name="bobs-laptop"),
            _caller(turns, classic=True, plain=True),
        ):
            greeted = [
                frame(wire.Hello(1, "alice", keep="none")),
                frame(wire.Calling("Bob", "192.0.2.7")),
                frame(peer),
                frame(wire.Message("Bob", "Hi!")),
            ]
            rest = [frame(wire.Ack(1)), frame(wire.Message("Bob", "Yes?")), frame(wire.Away())]
            rest[1:1] = [] if peer.classic else [frame(wire.Read(1))]
            yield OPERATOR, False, peer, [*greeted, says("Hello", "and", "so on"), *rest, frame(wire.Quit())]
            yield OPERATOR, False, peer, [*greeted, lambda endpoint: endpoint.quit()]
    yield OPERATOR, False, None, [frame(wire.Calling("guest", "192.0.2.7:40000", plain=True, silent=True))]


def situations() -> list[ConversationStatus]:
    """Every moment of every story, with a connection and without one, and so on."""
    found = []
    for role, classic, peer, steps in stories():
        for count in range(len(steps) + 1):
            endpoint = make_endpoint(role, NAMES[role])
            endpoint.calls_classic_server = classic
            endpoint.greet()
            for step in steps[:count]:
                step(endpoint)
            known = peer if endpoint.other.handle else None
            for attempts, key, typing, busy in product((None, 0, 2), (None, KEY), (False, True), (False, True)):
                connected = attempts is None
                if (connected and (not count or busy)) or (
                    typing and not (connected and endpoint.is_open and endpoint.other.present)
                ):
                    continue  # impossible
                found.append(ConversationStatus(endpoint, "the test", known, attempts, key, typing, busy))
    return found


def test_a_toolbar_item_needs_a_sentence() -> None:
    """So no fact can be in the toolbar and not in `\\status`."""
    with pytest.raises(ValueError, match="away"):
        Fact("", ToolbarItem("away"))


TOOLBAR_WORDS = {
    "1 held",
    "1 not confirmed yet",
    "2 held",
    "2 not confirmed yet",
    "3 not confirmed yet",
    "Bob",
    "Bob's turn",
    "PLAINTEXT",
    "alice",
    "alice's turn",
    "anyone can call",
    "away",
    "busy",
    "calling",
    "calling again (2)",
    "certificate valid",
    "ended",
    "known host",
    "no caller yet",
    "no turns",
    "not read yet",
    "read",
    "sent",
    "typing",
    "verified as bobs-laptop",
    "watched",
    "waiting for Bob's first message",
    "waiting for the next caller",
    "a caller says nothing: \\greet",
    "you send first",
    "your turn",
}


def test_all_situations_together_have_all_toolbar_words() -> None:
    """Each of them was made together with its sentence."""
    assert {item.words for status in situations() for item in status.parts()} == TOOLBAR_WORDS


def test_one_conversation_in_all_three_forms() -> None:
    endpoint = Endpoint("Bob")
    endpoint.greet()
    endpoint.receive(wire.Hello(1, "alice", session="5f0c", turns=Turns.ALTERNATE, keep="7d"))
    for text in ("Hi!", "and", "so on"):
        say(endpoint, text)
    endpoint.receive(wire.Ack(1))
    status = ConversationStatus(endpoint, "hostA port 7000", None, None, KEY, typing=True, busy=False)
    assert [item.words for item in status.parts()] == [
        "alice",
        "alice's turn",
        "typing",
        "known host",
        "2 held",
        "not read yet",
    ]
    assert status.status_lines() == [
        "You are Bob, calling hostA port 7000.",
        "The other side is alice.",
        "You take turns. It is alice's turn.",
        "alice is typing.",
        "Encrypted with TLS 1.3. The host has the key that you trust.",
        f"The fingerprint of the host's certificate is {KEY}.",
        f"The safety number is {safety_number(KEY)}; both sides see the same one.",
        "The other host keeps a copy of this conversation for 7 days.",
        "2 messages are held until your turn.",
        "Sent: 1 (1 stored, 0 read). Received: 0.",
        "A message has at most 500 characters.",
    ]
    assert status.state() == {
        "connected": True,
        "open": True,
        "your_turn": False,
        "turns": "alternate",
        "handle": "Bob",
        "other": "alice",
        "calling": None,
        "here": True,
        "typing": True,
        "live": False,
        "sent": 1,
        "stored": 1,
        "read": 0,
        "received": 0,
        "held": 2,
        "address": None,
        "name": None,
        "plaintext": False,
    }


@pytest.mark.parametrize(
    ("invite", "words", "sentence"),
    [
        ("00112233445566778899", "invited by alice", "The host has the key of your invitation."),
        (None, "known host", "The host has the key that you trust."),
    ],
)
def test_only_a_call_with_an_invitation_has_checked_one(invite: str | None, words: str, sentence: str) -> None:
    """Any host can send the word, with anything in it."""
    endpoint = Endpoint("Bob", credentials=Credentials(invite=invite))
    endpoint.greet()
    endpoint.receive(wire.Hello(1, "alice", session="5f0c", invited='Bob".\u00a0Yes'))
    status = ConversationStatus(endpoint, "the test", None, None, KEY, typing=False, busy=False)
    assert words in [item.words for item in status.parts()]
    assert f'Encrypted with TLS 1.3. {sentence} The host knows you as "Bob\'.\u00a0Yes".' in status.status_lines()


def test_the_state_has_the_same_keys_in_every_situation() -> None:
    page = (Path(__file__).parents[2] / "docs" / "scripts.md").read_text()
    table = page.split("#### state\n")[1].split("####")[0]
    documented = {row.split("`")[1] for row in table.splitlines() if row.startswith("| `")}
    for status in situations():
        assert set(status.state()) == documented


def test_who_is_away_says_why_and_the_messages_wait() -> None:
    waits = "Bob is not at the console now. Your messages wait there until Bob is back."
    assert away(Role.PEER, "Bob", "") == waits
    assert away(Role.PEER, "Bob", "At \u202enine") == f'{waits} Bob says: "At <U+202E>nine".'
    assert away(Role.OPERATOR, "Bob", "") == (
        "Bob is not connected now. Your messages are delivered when Bob is back."
    )


def test_how_long_a_host_keeps_a_conversation() -> None:
    copy = "This host keeps a copy of this conversation"
    assert kept("forever", "This host") == f"{copy}."
    assert kept("1d", "This host") == f"{copy} for 1 day."
    assert kept("30d", "This host") == f"{copy} for 30 days."


# What can only be known, and can only be true, while the two hosts are connected.
OF_NOW = (
    "Encrypted",
    "PLAINTEXT",
    "calls from",
    "The other side is",
    " is typing",
    "you see what",
    " is not at the console",
    " is not connected",
    "has proved",
    "It is your turn.",
    "'s turn.",
    "certificate of",
    "certificate valid",
    "authority",
    "verified",
    "certificate is",
)


def test_without_a_connection_nothing_is_said_of_now() -> None:
    without = [one for one in situations() if one.attempts is not None]
    assert without
    for status in without:
        told = "\n".join([*status.status_lines(), *(part.words for part in status.parts())])
        assert [words for words in OF_NOW if words in told] == [], told


def test_nothing_is_said_of_a_connection_that_never_was() -> None:
    for classic, key in product((False, True), (None, KEY)):
        endpoint = Endpoint("Bob")
        endpoint.calls_classic_server = classic
        told = "\n".join(ConversationStatus(endpoint, "the test", None, 1, key, False, False).status_lines())
        assert "Not connected: calling again (1)." in told
        assert "ncrypted" not in told
        assert "ENCRYPTED" not in told
        assert "last connection" not in told


def test_an_absent_caller_is_not_said_to_be_there() -> None:
    gone = [
        one
        for one in situations()
        if one.endpoint.role is OPERATOR and (one.endpoint.ended or not one.endpoint.other.present)
    ]
    assert gone
    for status in gone:
        told = "\n".join(status.status_lines())
        untrue = ("calls from", "ncrypted", "ENCRYPTED", "verified", "certificate of")
        assert [words for words in untrue if words in told] == [], told
        assert not status.state()["here"]


@pytest.mark.parametrize("turns", Turns)
def test_the_last_connection_is_in_the_past_tense(turns: Turns) -> None:
    endpoint = Endpoint("Bob")
    endpoint.greet()
    endpoint.receive(wire.Hello(1, "alice", session="5f0c", turns=turns))
    lines = ConversationStatus(endpoint, "the test", None, 2, KEY, False, False).status_lines()
    assert lines[1:3] == ["The last connection was with alice.", "Not connected: calling again (2)."]
    assert "The last connection was encrypted with TLS 1.3." in lines
    assert f"The fingerprint of the host's certificate was {KEY}." in lines
