"""Where a conversation stands: what the toolbar says is in `\\status` too, and both are true."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import product

import pytest

from pychat_client.protocol import wire
from pychat_client.protocol.endpoint import Endpoint
from pychat_client.protocol.turns import Role, Turns
from pychat_client.session.status import Status
from tests.endpoints import make_endpoint

PEER, OPERATOR = Role.PEER, Role.OPERATOR
NAMES = {PEER: "Bob", OPERATOR: "alice"}
KEY = "SHA256:" + "A" * 43

Step = Callable[[Endpoint], object]
Sentence = Callable[[re.Match[str], Status], str]


def frame(frame: wire.Frame) -> Step:
    return lambda endpoint: endpoint.receive(frame)


def says(*texts: str) -> Step:
    return lambda endpoint: [endpoint.say(text) for text in texts]


def _caller(turns: Turns, *, classic: bool = False, plain: bool = False, name: str | None = None) -> wire.Peer:
    since = datetime(2024, 5, 1, 12, tzinfo=UTC)
    return wire.Peer("Bob", 7, 0, 0, 0, turns, since, "192.0.2.7", classic, 200 if classic else None, plain, name)


def stories() -> Iterator[tuple[Role, bool, wire.Peer | None, Sequence[Step]]]:
    """What happens to an end, one step after the other: its role, whether it is the client of a classic
    program, what it is told of its caller, and the steps."""
    for turns in Turns:
        hello = frame(wire.Hello(1, "alice", session="5f0c", turns=turns, keep="7d"))
        rest = [frame(wire.Ack(1)), frame(wire.Read(1)), frame(wire.Message("alice", "Hello")), frame(wire.Away())]
        yield PEER, False, None, [hello, says("Hi!", "and", "so on"), *rest, frame(wire.Quit())]
        yield PEER, True, None, [hello, says("Hi!", "and"), rest[0], rest[2], frame(wire.Quit())]
        for peer in (
            _caller(turns),
            _caller(turns, plain=True),
            _caller(turns, name="bobs-laptop"),
            _caller(turns, classic=True, plain=True),
        ):
            greeted = [frame(wire.Hello(1, "alice", keep="none")), frame(peer), frame(wire.Message("Bob", "Hi!"))]
            rest = [frame(wire.Ack(1)), frame(wire.Message("Bob", "Yes?")), frame(wire.Away())]
            rest[1:1] = [] if peer.classic else [frame(wire.Read(1))]
            yield OPERATOR, False, peer, [*greeted, says("Hello", "and", "so on"), *rest, frame(wire.Quit())]
            yield OPERATOR, False, peer, [*greeted, lambda endpoint: endpoint.quit()]


def situations() -> list[Status]:
    """Every moment of every story: with a connection and without one, and so on."""
    found = []
    for role, classic, peer, steps in stories():
        for count in range(len(steps) + 1):
            endpoint = make_endpoint(role, NAMES[role])
            endpoint.classic = classic
            endpoint.greet()
            for step in steps[:count]:
                step(endpoint)
            known = peer if endpoint.other_handle else None
            for calls, key, typing, taken in product((None, 0, 2), (None, KEY), (False, True), (False, True)):
                linked = calls is None
                if (linked and (not count or taken)) or (
                    typing and not (linked and endpoint.is_open and endpoint.other_present)
                ):
                    continue  # so it cannot be
                found.append(Status(endpoint, "the test", known, calls, key, typing, taken))
    return found


def _counted(status: Status, stored: int, read: int) -> str:
    endpoint = status.endpoint
    words = f"Sent {endpoint.sent_count}, of which {stored} stored"
    return words if endpoint.classic else f"{words} and {read} read"


# For each part of the toolbar, the words of the sentence that tells the same.
SENTENCES: dict[str, Sentence] = {
    "nobody there yet": lambda _, s: "Nobody is there yet.",
    "taken": lambda _, s: "The line was taken when it was called last.",
    "alice": lambda _, s: "The other side is alice" if s.calls is None else "The last connection was with alice",
    "Bob": lambda _, s: (
        f"Bob {'calls' if s.calls is None and s.endpoint.other_present else 'called'} from 192.0.2.7 with "
    ),
    "waiting for the next caller": lambda m, s: f"The conversation with Bob is over: {m[0]}.",
    r"calling|calling again \(\d+\)": lambda m, s: f"There is no connection: {m[0]}.",
    "your turn|.*'s turn|speak freely|you speak first|waiting for the first message|over": lambda m, s: (
        f"{'now' if s.calls is None or m[0] == 'over' else 'as far as is known here'}: {m[0]}."
    ),
    "typing": lambda _, s: f"{s.endpoint.other_handle} is typing.",
    "away": lambda _, s: f"{s.endpoint.other_handle} is away: messages are kept",
    "key accepted": lambda _, s: "The host has proved to have the accepted key.",
    "an authority vouches": lambda _, s: "A certificate authority of this system vouches for the host's name.",
    "PLAINTEXT": lambda _, s: "PLAINTEXT, NOT ENCRYPTED",
    "not verified": lambda _, s: "Whose key that is has not been verified",
    "verified as (.*)": lambda m, s: f"Encrypted; the certificate is that of {m[1]}.",
    r"(\d+) held": lambda m, s: f"; held {m[1]}.",
    r"(\d+) not confirmed": lambda m, s: _counted(s, s.endpoint.sent_count - int(m[1]), s.endpoint.read_count),
    "not read": lambda _, s: _counted(s, s.endpoint.sent_count, s.endpoint.read_count),
    "read": lambda _, s: _counted(s, s.endpoint.sent_count, s.endpoint.sent_count),
    "sent": lambda _, s: "Its program does not tell what has arrived",
}


def test_everything_in_the_toolbar_is_in_the_status_too() -> None:
    seen = set()
    for status in situations():
        lines = "\n".join(status.status_lines())
        for part in status.parts():
            found = [(one, match) for one in SENTENCES if (match := re.fullmatch(one, part.words))]
            assert len(found) == 1, f"a part without a sentence of its own: {part.words!r}"
            ((pattern, match),) = found
            assert SENTENCES[pattern](match, status) in lines, (part.words, lines)
            seen.add(pattern)
    assert seen == set(SENTENCES)


# What can only be known, and can only be true, while the two hosts are connected.
OF_NOW: tuple[str, ...] = (
    "Encrypted",
    "PLAINTEXT",
    "calls from",
    "The other side is",
    " is typing",
    " is away",
    "has proved",
    "now:",
)
OF_NOW += ("vouches", "verified", "key is")


def test_without_a_connection_nothing_is_told_of_the_present() -> None:
    without = [one for one in situations() if one.calls is not None]
    assert without
    for status in without:
        told = "\n".join([*status.status_lines(), *(part.words for part in status.parts())])
        assert [words for words in OF_NOW if words in told.replace("now: over", "")] == [], told


def test_nothing_is_told_of_a_connection_that_never_was() -> None:
    for classic, key in product((False, True), (None, KEY)):
        endpoint = Endpoint("Bob")
        endpoint.classic = classic
        told = "\n".join(Status(endpoint, "the test", None, 1, key, False, False).status_lines())
        assert "There is no connection: calling again (1)." in told
        assert "ncrypted" not in told
        assert "ENCRYPTED" not in told
        assert "last connection" not in told


def test_a_caller_that_is_away_or_has_quit_is_not_told_to_be_there() -> None:
    gone = [
        one
        for one in situations()
        if one.endpoint.role is OPERATOR and (one.endpoint.ended or not one.endpoint.other_present)
    ]
    assert gone
    for status in gone:
        told = "\n".join(status.status_lines())
        untrue = ("calls from", "ncrypted", "ENCRYPTED", "verified")
        assert [words for words in untrue if words in told] == [], told


@pytest.mark.parametrize("turns", Turns)
def test_the_last_connection_is_told_of_as_what_is_over(turns: Turns) -> None:
    endpoint = Endpoint("Bob")
    endpoint.greet()
    endpoint.receive(wire.Hello(1, "alice", session="5f0c", turns=turns))
    lines = Status(endpoint, "the test", None, 2, KEY, False, False).status_lines()
    assert lines[1:3] == ["There is no connection: calling again (2).", "The last connection was with alice."]
    assert "The last connection was encrypted with TLS 1.3." in lines
    assert f"The host's key was {KEY}:" in lines
