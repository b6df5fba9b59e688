"""Which kind of program calls, as its first bytes tell."""

from __future__ import annotations

import pytest

from pychat_client.classic.framing import GUEST
from pychat_client.errors import ProtocolError
from pychat_client.protocol import wire
from tests.client.test_person_codec import NOBODY, decode
from tests.support.detected import Detected

BOB = b"\\hello 1 Bob\nBob> hi\n"


@pytest.mark.parametrize("cut", range(len(BOB) + 1))
def test_a_hello_is_recognized_wherever_it_is_split(cut: int) -> None:
    codec = Detected()
    got = [*codec.feed(BOB[:cut]), *codec.feed(BOB[cut:])]
    assert got == [wire.Hello(1, "Bob"), wire.Message("Bob", "hi")]
    assert codec.encode(wire.Ack(1)) == b"\\ack 1\n"


@pytest.mark.parametrize(
    "line", [b"\\hello", b"\\hell", b"\\hello\t1", b"\\Hello 1 Bob", b" \\hello 1 Bob", b"hello 1"]
)
def test_any_other_start_is_classic(line: bytes) -> None:
    codec = Detected()
    got = [*codec.feed(line + b"\n"), *codec.silence()]
    assert got == [NOBODY, wire.Message(GUEST, line.decode().replace("\t", "\ufffd"))]
    assert codec.encode(wire.Ack(1)) == b""


def test_half_a_hello_is_the_last_line_of_a_person() -> None:
    got, error = decode(Detected(), [b"\\hel"])
    assert error is None
    assert got[1:] == [wire.Message(GUEST, "\\hel"), wire.Quit()]


def test_a_version_1_caller_has_to_follow_the_grammar() -> None:
    with pytest.raises(ProtocolError, match="not UTF-8"):
        list(Detected().feed(b"\\hello 1 Bob\n\xff\n"))


def test_the_close_of_a_version_1_caller_is_not_a_quit() -> None:
    assert decode(Detected(), [BOB + b"Bob> half a li"])[0] == [
        wire.Hello(1, "Bob"),
        wire.Message("Bob", "hi"),
    ]
