"""People at nc and telnet: whatever they send becomes frames."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pychat_client.classic.framing import CLASSIC_VERSION, GUEST
from pychat_client.classic.person_codec import PersonCodec
from pychat_client.errors import ProtocolError
from pychat_client.protocol import codec, wire
from pychat_client.protocol.codec import LINE_MAX
from pychat_client.text import MESSAGE_MAX
from tests.support.detected import Detected

thorough = settings(max_examples=300)

ANN = wire.Hello(CLASSIC_VERSION, "Ann")
NOBODY = wire.Hello(CLASSIC_VERSION, GUEST)

ODD = [b"\0", b"\r", b"\t", b"\xff", b"\xe2\x80", b"\x1b[2J", "e\u0301".encode(), "\u2028".encode(), b"x" * 499]
SAID = [b"\n", b"\r\n", b" ", b"Ann> ", b"> ", b"a b> ", b"hello", b"hi\n", b"\\quit", b"/quit\n"]
VERSION_1 = [b"\\hel", b"\\hello ", b"\\hello 1 Bob\n", b"Bob> hi\n", b"\\ping\n"]
overlong = st.integers(LINE_MAX - 8, LINE_MAX + 1).map(lambda size: b"x" * size)
pieces = st.sampled_from([*ODD, *SAID, *VERSION_1])
seldom_overlong = st.integers(1, 8).flatmap(lambda n: overlong if n == 8 else pieces)
streams = st.lists(st.one_of(st.binary(max_size=20), seldom_overlong), max_size=12).map(b"".join)


def decode(
    codec: PersonCodec | Detected, chunks: Iterable[bytes], *, eof: bool = True
) -> tuple[list[wire.Frame], str | None]:
    """The frames of a stream that comes in `chunks` and then ends, and the error that ended it before."""
    got: list[wire.Frame] = []
    try:
        for chunk in chunks:
            for frame in codec.feed(chunk):
                if isinstance(frame, wire.Ping):  # as the connection does: answered, and nobody hears of it
                    codec.encode(wire.Pong())
                else:
                    got.append(frame)
        if eof:
            got.extend(codec.eof())
    except ProtocolError as error:
        return got, str(error)
    return got, None


def classic(*chunks: bytes) -> list[wire.Frame]:
    """What a classic caller's bytes mean, as long as it has not hung up."""
    got, error = decode(PersonCodec(), chunks, eof=False)
    assert error is None
    return got


# ------------------------------------------------------------------ the stream


@pytest.mark.parametrize("kind", [PersonCodec, Detected])
@thorough
@given(stream=streams, cuts=st.lists(st.integers(0, 10_000)))
@example(stream=b"\\hello 1 Bob\nBob> hi\nbroken\n", cuts=[])
@example(stream=b"\\hel", cuts=[])
@example(stream=b"Ann> " + b"x" * LINE_MAX + b"\n", cuts=[])
@example(stream=b"x" * LINE_MAX + b"\n", cuts=[])
@example(stream=b"Ann> hi" + b"\0" * LINE_MAX + b"\n", cuts=[])
def test_how_a_stream_is_split_makes_no_difference(
    kind: type[PersonCodec | Detected], stream: bytes, cuts: list[int]
) -> None:
    whole = decode(kind(), [stream])
    assert decode(kind(), (bytes([byte]) for byte in stream)) == whole
    edges = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    assert decode(kind(), (stream[a:b] for a, b in pairwise(edges))) == whole


@thorough
@given(streams)
def test_a_person_is_greeted_once_and_all_frames_can_travel(stream: bytes) -> None:
    got, error = decode(PersonCodec(), [stream])
    assert error is None
    kinds = [type(frame) for frame in got]
    assert kinds[:1] in ([], [wire.Hello])
    assert wire.Hello not in kinds[1:]
    for frame in got:
        if isinstance(frame, wire.Message):
            assert list(codec.LineCodec().feed(codec.LineCodec().encode(frame))) == [frame]
        else:
            assert isinstance(frame, wire.Hello | wire.Quit | wire.Rejected | wire.Ping)


# ------------------------------------------------------------------ what a classic caller means


@pytest.mark.parametrize(
    ("sent", "frames"),
    [
        (b"hello\n", [NOBODY, wire.Message(GUEST, "hello")]),
        (b"hello\r\n", [NOBODY, wire.Message(GUEST, "hello")]),
        (b"Ann> hello\n", [ANN, wire.Message("Ann", "hello")]),
        (b"Ann> hello\nbye\n", [ANN, wire.Message("Ann", "hello"), wire.Message("Ann", "bye")]),
        (b"hello\nAnn> hi\n", [NOBODY, wire.Message(GUEST, "hello"), wire.Message(GUEST, "Ann> hi")]),
        (b"Ann> hi\nBob> hi\n", [ANN, wire.Message("Ann", "hi"), wire.Message("Ann", "Bob> hi")]),
        (b"note: milk\n", [NOBODY, wire.Message(GUEST, "note: milk")]),
        (b"Ann> \n", [ANN, wire.Message("Ann", " ")]),
        (b"Ann> hi\nAnn> \n", [ANN, wire.Message("Ann", "hi"), wire.Message("Ann", " ")]),
        (b"> \n", [NOBODY, wire.Message(GUEST, "> ")]),
        (b"Ann> a> b\n", [ANN, wire.Message("Ann", "a> b")]),
        (b"two words> hi\n", [NOBODY, wire.Message(GUEST, "two words> hi")]),
        (b"abcdefghijk> hi\n", [NOBODY, wire.Message(GUEST, "abcdefghijk> hi")]),
        (b"Ann>hi\n", [NOBODY, wire.Message(GUEST, "Ann>hi")]),
        ("Ann> e\u0301\n".encode(), [ANN, wire.Message("Ann", "é")]),
        (b"Ann> hello\0\0\0\n", [ANN, wire.Message("Ann", "hello")]),
        (b"a\0b\n", [NOBODY, wire.Message(GUEST, "a\ufffdb")]),
        (b"caf\xe9\n", [NOBODY, wire.Message(GUEST, "caf\ufffd")]),
        (b"\x1b[2J\a\x7f\tx\n", [NOBODY, wire.Message(GUEST, "\ufffd[2J\ufffd\ufffd\ufffdx")]),
        (b"\xc2\x9b2J\n", [NOBODY, wire.Message(GUEST, "\ufffd2J")]),
        (b"\\quit\n", [NOBODY, wire.Quit()]),
        (b"/quit\r\n", [NOBODY, wire.Quit()]),
        (b"Ann> \\quit\0\0\n", [ANN, wire.Quit()]),
        (b"\\quit now\n", [NOBODY, wire.Message(GUEST, "\\quit now")]),
        (b"\\ack 1\n", [NOBODY, wire.Message(GUEST, "\\ack 1")]),
        (b"\n\r\n \n\0\0\n", []),
        (b"no end of line", []),
    ],
)
def test_a_line_means_what_its_writer_meant(sent: bytes, frames: list[wire.Frame]) -> None:
    assert classic(sent) == frames


def test_padding_is_not_part_of_the_next_line() -> None:
    assert classic(b"Ann> a\n\0\0Ann> b\n") == [ANN, wire.Message("Ann", "a"), wire.Message("Ann", "b")]


# ------------------------------------------------------------------ limits


def test_a_long_message_is_rejected_and_the_next_one_is_not() -> None:
    fit = "é" * MESSAGE_MAX
    got = classic(f"Ann> {fit}\nAnn> {fit}x\nAnn> hi\n".encode())
    unfit = "Not delivered: the message has 501 characters; the limit is 500."
    assert got == [ANN, wire.Message("Ann", fit), wire.Rejected("too-long", unfit), wire.Message("Ann", "hi")]


def test_an_endless_line_is_rejected_once_and_skipped() -> None:
    codec = PersonCodec()
    assert list(codec.feed(b"x" * (LINE_MAX - 1))) == []
    refusal = wire.Rejected("too-long", "Not delivered: a message has at most 500 characters.")
    assert list(codec.feed(b"x")) == [NOBODY, refusal]
    for _ in range(3):
        assert list(codec.feed(b"x" * LINE_MAX)) == []
    assert list(codec.feed(b"the end of it\nAnn> hi\n")) == [wire.Message("Ann", "hi")]


def test_an_endless_line_takes_no_memory() -> None:
    codec = PersonCodec()
    for _ in range(3):
        list(codec.feed(b"x" * (LINE_MAX + 1)))
    assert list(codec.eof()) == [wire.Quit()]


# ------------------------------------------------------------------ the end


def test_the_last_line_needs_no_end_and_the_close_is_a_quit() -> None:
    assert decode(PersonCodec(), [b"Ann> hi\nbye"])[0] == [
        ANN,
        wire.Message("Ann", "hi"),
        wire.Message("Ann", "bye"),
        wire.Quit(),
    ]


@pytest.mark.parametrize("sent", [b"", b"\n", b"\0\0"])
def test_a_silent_caller_gives_no_frames(sent: bytes) -> None:
    assert decode(PersonCodec(), [sent]) == ([], None)
    assert decode(Detected(), [sent]) == ([], None)


# ------------------------------------------------------------------ what it is sent


def test_a_person_gets_messages_and_readable_control_lines() -> None:
    codec = PersonCodec()
    assert codec.encode(wire.Message("alice", "a\u2028b")) == b"alice> a b\n"
    assert codec.encode(wire.Quit()) == b"\\quit\nThe conversation is over.\n"
    assert codec.encode(wire.Busy("Try later.")) == b"\\busy Try later.\n"
    assert codec.encode(wire.Error("waiting", "Too many.")) == b"\\error waiting Too many.\n"
    assert codec.encode(wire.Rejected("too-long", "Cut it.")) == b"\\error too-long Cut it.\n"


@pytest.mark.parametrize(
    "frame",
    [
        wire.Hello(1, "alice"),
        wire.Ack(1),
        wire.Read(1),
        wire.Away(),
        wire.Here(),
        wire.Ping(),
        wire.Typing(),
        wire.Ring(),
    ],
)
def test_a_person_gets_no_other_control_line(frame: wire.Frame) -> None:
    assert PersonCodec().encode(frame) == b""
