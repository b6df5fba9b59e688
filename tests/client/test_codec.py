"""Bytes to frames and back: each frame survives the wire, and each broken line is an error."""

from __future__ import annotations

import base64
import string
from collections.abc import Iterable
from dataclasses import fields
from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise
from typing import Any, get_args

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pychat_client.errors import HandleError, ProtocolError
from pychat_client.protocol import wire
from pychat_client.protocol.codec import LINE_MAX, LineCodec, parse
from pychat_client.protocol.grammar import shortened, timestamp
from pychat_client.protocol.turns import Turns
from pychat_client.text import HANDLE_MAX, MESSAGE_MAX, WORDS_MAX, check_handle, nfc
from tests.support.endpoints import NOON

thorough = settings(max_examples=300)
brief = settings(max_examples=50)


def _is_handle(text: str) -> bool:
    try:
        return check_handle(text) == text
    except HandleError:
        return False


def _one_of_letters(letters: str) -> st.SearchStrategy[str]:
    return st.text(letters, min_size=1, max_size=40)


handles = st.text(st.characters(categories=["L", "N", "P", "S"]), min_size=1, max_size=10).filter(_is_handle)
texts = (
    st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=MESSAGE_MAX)
    .map(nfc)
    .filter(lambda text: len(text) <= MESSAGE_MAX)
)
sentences = st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=WORDS_MAX).map(str.rstrip)
codes = _one_of_letters(string.ascii_lowercase + "-")
keeps = st.sampled_from(["forever", "none"]) | st.integers(1, 99999).map("{}d".format)
addresses = _one_of_letters(string.hexdigits + ".:%[]")
digests = st.none() | st.text("0123456789abcdef", min_size=16, max_size=16)
sessions = _one_of_letters(string.ascii_letters + string.digits + "-_")
counts = st.integers(0, 10**15 - 1)
times = st.integers(0, 10**14).map(lambda millis: datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=millis))
turns = st.sampled_from(Turns)

FRAMES: dict[type[wire.Frame], st.SearchStrategy[wire.Frame]] = {
    wire.Message: st.builds(wire.Message, handles, texts),
    wire.Hello: st.builds(
        wire.Hello,
        st.integers(1, 10**15 - 1),
        handles,
        session=st.none() | sessions,
        got=st.none() | counts,
        sent=st.none() | counts,
        digest=digests,
        turns=st.none() | turns,
        call=st.none() | counts,
        keep=st.none() | keeps,
        key=st.none() | codes,
        console=st.none() | sessions,
        suggested=st.booleans(),
        take=st.booleans(),
        proof=st.none() | codes,
        invite=st.none() | sessions,
        certificate=st.none() | st.binary(max_size=2500).map(lambda data: base64.b64encode(data).decode()),
        invited=st.none() | codes,
        quiet=st.booleans(),
        live=st.booleans(),
    ),
    wire.Peer: st.builds(
        wire.Peer,
        handles,
        *[counts] * 4,
        turns,
        times,
        addresses,
        st.booleans(),
        room=st.none() | counts,
        plain=st.booleans(),
        name=st.none() | codes,
        digest=digests,
        quiet=st.booleans(),
    ),
    wire.Ack: st.builds(wire.Ack, counts),
    wire.Stored: st.builds(wire.Stored, counts, digests),
    wire.Read: st.builds(wire.Read, counts),
    wire.Timestamp: st.builds(wire.Timestamp, times, st.booleans(), st.booleans(), st.booleans()),
    wire.Quit: st.builds(wire.Quit, sentences),
    wire.Busy: st.builds(wire.Busy, sentences),
    wire.Error: st.builds(wire.Error, codes, sentences),
    wire.Notice: st.builds(wire.Notice, sentences),
    wire.History: st.builds(wire.History, st.none() | times, st.none() | st.integers(0, 10**9)),
    wire.Watch: st.builds(wire.Watch, st.none() | counts, st.none() | counts),
    wire.Status: st.builds(wire.Status, sentences),
    wire.Backup: st.builds(wire.Backup, st.from_regex(r"\A[A-Za-z0-9+/]{0,40}={0,2}\Z")),
    wire.Order: st.builds(wire.Order, sentences),
    wire.Calling: st.builds(wire.Calling, handles, addresses, st.booleans(), st.none() | codes),
    wire.Missed: st.builds(wire.Missed, handles, addresses, st.none() | codes),
    wire.Away: st.builds(wire.Away, sentences),
    wire.Here: st.builds(
        wire.Here,
        st.just("") | handles,
        address=st.none() | addresses,
        plain=st.booleans(),
        name=st.none() | codes,
        quiet=st.booleans(),
    ),
    wire.Ready: st.builds(wire.Ready),
    wire.Prove: st.builds(wire.Prove),
    wire.Typing: st.builds(wire.Typing, st.none() | st.just("") | texts),
    wire.Live: st.builds(wire.Live, st.booleans()),
    wire.Ring: st.builds(wire.Ring),
    wire.Ping: st.builds(wire.Ping),
    wire.Pong: st.builds(wire.Pong),
}
frames = st.one_of(*FRAMES.values())

WORDS = r"""
    \hello \peer \ack \read \at \quit \error \notice \history \here \calling \missed \watch
    \ 1 007 ٣ -1 Bob Bob> a>b got=2 got= sent=x
    turns=free session=a session=ü session= since=2024-05-01T12:00Z since=noon 2024-05-01T12:00Z address=::
    take=1 own = \typing \live draft= draft=a on
"""
words = st.sampled_from(WORDS.split())
lines = st.one_of(
    frames.map(lambda frame: str(frame).encode()),
    st.lists(words, max_size=6).map(lambda line: " ".join(line).encode()),
    st.binary(max_size=40),
    st.integers(LINE_MAX - 2, LINE_MAX + 2).map(lambda size: b"\\quit " + b"x" * (size - 6)),
)
ended = st.tuples(lines, st.sampled_from([b"\n", b"\r\n", b""])).map(b"".join)
streams = st.lists(ended, max_size=6).map(b"".join)


def decode(chunks: Iterable[bytes]) -> tuple[list[wire.Frame], tuple[str, str] | None]:
    """The frames of a stream that comes in `chunks`, and the code and words of the error behind them."""
    codec = LineCodec()
    got: list[wire.Frame] = []
    try:
        for chunk in chunks:
            for frame in codec.feed(chunk):
                got.append(frame)
    except ProtocolError as error:
        return got, (error.code, str(error))
    return got, None


# ------------------------------------------------------------------ round trips


def test_every_frame_has_a_round_trip() -> None:
    assert set(FRAMES) == set(get_args(wire.Frame)) - {wire.Rejected}


@pytest.mark.parametrize("kind", FRAMES, ids=lambda kind: kind.__name__)
@brief
@given(data=st.data())
def test_a_frame_survives_the_wire(kind: type[wire.Frame], data: st.DataObject) -> None:
    frame = data.draw(FRAMES[kind])
    line = LineCodec().encode(frame)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert len(line) <= LINE_MAX
    assert list(LineCodec().feed(line)) == [frame]


def test_a_rejected_message_becomes_an_error_line() -> None:
    assert parse(LineCodec().encode(wire.Rejected("too-long", "Not delivered.")).rstrip()) == wire.Error(
        "too-long", "Not delivered."
    )


@pytest.mark.parametrize(
    ("frame", "line"),
    [
        (wire.Message("Client1", "Hi!"), "Client1> Hi!"),
        (wire.Hello(1, "Bob"), r"\hello 1 Bob"),
        (wire.Hello(2, "Bob"), r"\hello 2 Bob"),
        (wire.Hello(1, "Bob", session="5f0c", got=0), r"\hello 1 Bob session=5f0c got=0"),
        (
            wire.Hello(1, "alice", session="5f0c", got=2, turns=Turns.FREE, keep="30d"),
            r"\hello 1 alice session=5f0c got=2 turns=free keep=30d",
        ),
        (wire.Hello(1, "alice", sent=3, suggested=True, take=True), r"\hello 1 alice sent=3 suggested=1 take=1"),
        (
            wire.Peer("Bob", 7, 3, 1, 2, Turns.FREE, NOON, "::1", classic=True),
            r"\peer Bob session=7 got=3 heard=1 told=2 turns=free since=2024-05-01T12:00:00.000Z address=::1 "
            "classic=1",
        ),
        (wire.Ack(3), r"\ack 3"),
        (wire.Read(3), r"\read 3"),
        (wire.Timestamp(NOON), r"\at 2024-05-01T12:00:00.000Z"),
        (wire.Timestamp(NOON, own=True), r"\at 2024-05-01T12:00:00.000Z own"),
        (wire.Timestamp(NOON, own=True, gone=True), r"\at 2024-05-01T12:00:00.000Z own gone"),
        (wire.Here("alice"), r"\here alice"),
        (wire.Quit(), r"\quit"),
        (wire.Quit("see you"), r"\quit see you"),
        (wire.Busy("try later"), r"\busy try later"),
        (wire.Error("turn", "Wait."), r"\error turn Wait."),
        (wire.Notice("The daemon stops at noon."), r"\notice The daemon stops at noon."),
        (wire.History(), r"\history"),
        (wire.History(NOON), r"\history since=2024-05-01T12:00:00.000Z"),
        (wire.Status('{"port": 7000}'), r'\status {"port": 7000}'),
        *[
            (kind(), rf"\{kind.__name__.lower()}")
            for kind in (
                wire.Away,
                wire.Here,
                wire.Ready,
                wire.Prove,
                wire.Typing,
                wire.Ring,
                wire.Ping,
                wire.Pong,
            )
        ],
    ],
)
def test_each_frame_has_the_line_of_the_protocol(frame: wire.Frame, line: str) -> None:
    assert str(frame) == line
    assert parse(line.encode()) == frame


def test_times_travel_in_utc_with_milliseconds() -> None:
    east = NOON.astimezone(timezone(timedelta(hours=2))) + timedelta(microseconds=1999)
    assert timestamp(east) == "2024-05-01T12:00:00.001Z"
    assert parse(rb"\at 2024-05-01T14:00:00+02:00") == wire.Timestamp(NOON)


@pytest.mark.parametrize(
    ("frame", "most"),
    [
        (wire.Quit("x" * 1001), WORDS_MAX),
        (wire.Notice("x" * 1001), WORDS_MAX),
        (wire.Error("t", "x" * 1001), 1000),
        (wire.Order("x" * 1001), 1000),
    ],
)
def test_long_sentences_are_cut(frame: wire.Frame, most: int) -> None:
    assert str(frame).partition("x")[2] == "x" * (most - 2) + "…"


def test_an_error_of_a_thousand_characters_fits_into_a_line() -> None:
    error = wire.Error("x" * 20, "\U0001f600" * 1000)
    assert list(LineCodec().feed(LineCodec().encode(error))) == [error]


# ------------------------------------------------------------------ the stream


@thorough
@given(streams, st.lists(st.integers(0, 10_000)))
@example(b"x" * (LINE_MAX + 1), [])
@example(b"\\quit\r\n" + b"x" * (LINE_MAX - 1) + b"\n", [])
@example(b"\\quit\n" + b"x" * LINE_MAX + b"\n", [])
def test_how_a_stream_is_split_makes_no_difference(stream: bytes, cuts: list[int]) -> None:
    whole = decode([stream])
    assert decode(bytes([byte]) for byte in stream) == whole
    edges = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    assert decode(stream[a:b] for a, b in pairwise(edges)) == whole


@thorough
@given(st.lists(words, max_size=10).map(" ".join))
def test_a_frame_that_was_read_can_be_written_again(line: str) -> None:
    got, _ = decode([f"{line}\n".encode()])
    assert [parse(str(frame).encode()) for frame in got] == got


@given(st.lists(frames, min_size=1, max_size=5))
@brief
def test_frames_before_a_broken_line_count_and_none_behind_it(before: list[wire.Frame]) -> None:
    stream = b"".join(map(LineCodec().encode, before))
    for rest, code in ((b"not a line\n\\ping\n", "syntax"), (b"x" * (LINE_MAX + 1), "too-long")):
        got, error = decode([stream + rest])
        assert got == before
        assert error is not None
        assert error[0] == code


def test_a_line_ends_with_lf_or_cr_lf() -> None:
    assert decode([b"\\ping\r\nBob> Hi\r\n\\pong\n"]) == (
        [wire.Ping(), wire.Message("Bob", "Hi"), wire.Pong()],
        None,
    )


def test_an_unfinished_last_line_is_dropped() -> None:
    codec = LineCodec()
    assert list(codec.feed(b"Bob> Hi")) == []
    assert list(codec.eof()) == []
    assert list(codec.feed(b"\\ping\n")) == [wire.Ping()]


# ------------------------------------------------------------------ limits


def test_the_longest_legal_message_travels() -> None:
    message = wire.Message("🙂" * HANDLE_MAX, "🙂" * MESSAGE_MAX)
    assert list(LineCodec().feed(LineCodec().encode(message))) == [message]


def test_a_message_is_counted_in_nfc() -> None:
    accents = "e\u0301" * MESSAGE_MAX
    assert parse(f"Bob> {accents}".encode()) == wire.Message("Bob", "é" * MESSAGE_MAX)
    with pytest.raises(ProtocolError, match="has 501 characters"):
        parse(f"Bob> {accents}x".encode())


def test_a_line_can_be_as_long_as_the_limit() -> None:
    reason = "x" * (LINE_MAX - len("\\quit \n"))
    assert decode([f"\\quit {reason}\n".encode()]) == ([wire.Quit(reason)], None)
    _, error = decode([f"\\quit {reason}x\n".encode()])
    assert error is not None
    assert error[0] == "too-long"


def test_an_endless_line_is_an_error_early() -> None:
    codec = LineCodec()
    assert list(codec.feed(b"x" * LINE_MAX)) == []
    with pytest.raises(ProtocolError, match="at most 4096 bytes"):
        list(codec.feed(b"x"))


# ------------------------------------------------------------------ room to grow


@pytest.mark.parametrize(
    "line", [b"\\", b"\\dance", b"\\dance 1 a=b", b"\\Ping", b"\\helloo 1 Bob", "\\tanzt ü".encode()]
)
def test_an_unknown_verb_is_ignored(line: bytes) -> None:
    assert parse(line) is None
    assert decode([line + b"\n\\ping\n"]) == ([wire.Ping()], None)


@pytest.mark.parametrize(
    ("line", "frame"),
    [
        (r"\hello 1 Bob colour=blue got=2 word", wire.Hello(1, "Bob", got=2)),
        (
            r"\peer Bob x=y address=:: since=2024-05-01T12:00Z turns=free told=2 heard=1 got=0 session=7 word",
            wire.Peer("Bob", 7, 0, 1, 2, Turns.FREE, NOON, "::"),
        ),
        ("\\hello 1 alice keep=ever.\u00a0You\u00a0can\u00a0trust\u00a0it", wire.Hello(1, "alice")),
        (r"\hello 1 alice keep=2w got=2", wire.Hello(1, "alice", got=2)),
        (r"\hello 1 got=5", wire.Hello(1, "got=5")),  # a handle, if a strange one
        (r"\at 2024-05-01T12:00Z x=y", wire.Timestamp(NOON)),
        (r"\at 2024-05-01T12:00Z owner", wire.Timestamp(NOON)),
        (r"\history x=y", wire.History()),
        (r"\at 2024-05-01T12:00Z x=y own", wire.Timestamp(NOON, own=True)),
        (r"\ping x=y", wire.Ping()),
        (r"\away since=2024-05-01T12:00Z", wire.Away("since=2024-05-01T12:00Z")),
        (r"\at 2024-05-01T12:00Z gone own x=y", wire.Timestamp(NOON, own=True, gone=True)),
        (r"\here alice x=y", wire.Here("alice")),
        (r"\ack 1 x=y", wire.Ack(1)),
        (r"\read 1 x=y", wire.Read(1)),
    ],
)
def test_unknown_words_are_ignored_and_any_order_is_read(line: str, frame: wire.Frame) -> None:
    assert parse(line.encode()) == frame


# ------------------------------------------------------------------ errors

PEER = str(wire.Peer("Bob", 7, 0, 0, 0, Turns.FREE, NOON, "::"))
BROKEN = {
    "utf-8": [b"Bob> \xff", b"Bob> caf\xe9", b"\\quit \xed\xa0\x80", b"\xf4\x90\x80\x80"],
    "control": [
        b"Bob> a\tb",
        b"Bob> \x1b[2J",
        b"a\rb> c",
        b"\\quit \x7f",
        b"Bob> \xc2\x9b",
        b"\\dance \0",
        b"\r\r",
    ],
    "handle": [
        b"> hi",
        b"a b> hi",
        b"abcdefghijk> hi",
        "Bob\u200b> hi".encode(),
        b"a>b> hi",
        b"\\hello 1 a\\b",
        b"\\peer abcdefghijk session=7",
        b"\\peer",
        b"\\here a>b",
    ],
    "version": [b"\\hello 0 Bob"],  # that of a peer without a hello
    "empty": [b"Bob> "],
    "too-long": [b"Bob> " + b"x" * 501, b"Bob> " + "\u0958".encode() * 251],
    "syntax": [
        b"",
        b" ",
        b"hi",
        b"Bob>hi",
        b"Bob: hi",
        b"\\hello",
        b"\\hello 1",
        b"\\hello one Bob",
        b"\\hello -1 Bob",
        b"\\hello 1 Bob got=",
        b"\\hello 1 Bob got=1.0",
        b"\\hello 1 Bob sent=x",
        b"\\hello 1 Bob session=",
        b"\\hello 1 Bob session=a/b",
        b"\\hello 1 Bob session=" + b"a" * 65,
        b"\\hello 1 Bob turns=chess",
        b"\\ack",
        b"\\ack x",
        b"\\ack -1",
        b"\\ack 1e3",
        b"\\ack 1234567890123456",
        "\\ack ٣".encode(),
        b"\\read",
        b"\\at",
        b"\\at noon",
        b"\\at 2024-05-01T12:00",  # of which zone?
        b"\\at 2024-13-01T12:00Z",
        b"\\peer Bob",
        b"\\history since=noon",
        PEER.replace("2024-05", "2024-13").encode(),
        PEER.replace("heard=0", "heard=x").encode(),
        PEER.replace("session=7", "session=5f0c").encode(),
        PEER.replace("turns=free", "turns=chess").encode(),
    ],
}


@pytest.mark.parametrize(("code", "line"), [(code, line) for code in BROKEN for line in BROKEN[code]])
def test_a_broken_line_is_an_error_with_its_code(code: str, line: bytes) -> None:
    with pytest.raises(ProtocolError) as broken:
        parse(line)
    assert broken.value.code == code


@pytest.mark.parametrize("missing", ["session", "got", "heard", "told", "turns", "since", "address"])
def test_the_error_names_the_missing_word(missing: str) -> None:
    line = " ".join(word for word in PEER.split() if not word.startswith(f"{missing}="))
    with pytest.raises(ProtocolError, match=f"{missing}= is missing"):
        parse(line.encode())


@pytest.mark.parametrize(
    "time", ["0001-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00"]
)
def test_every_accepted_time_exists_in_every_zone(time: str) -> None:
    got, _ = decode([f"\\at {time}\n".encode()])
    for frame in got:
        assert isinstance(frame, wire.Timestamp)
        for hours in (-12, 0, 14):
            assert frame.time.astimezone(timezone(timedelta(hours=hours))) == frame.time


# ------------------------------------------------------------------ values


@pytest.mark.parametrize("line", [r"\hello 1 Bob turns=chess", PEER.replace("turns=free", "turns=chess")])
def test_turns_are_alternate_or_free(line: str) -> None:
    with pytest.raises(ProtocolError, match="'alternate' or 'free'"):
        parse(line.encode())


@pytest.mark.parametrize(
    "digest", ["", "0123456789abcde", "0123456789abcdef0", "0123456789ABCDEF", "0123456789abcdeg"]
)
@pytest.mark.parametrize("line", [r"\hello 1 Bob", PEER, r"\stored 1"])
def test_a_digest_is_16_hexadecimal_digits(line: str, digest: str) -> None:
    parse(f"{line} digest=0123456789abcdef".encode())
    with pytest.raises(ProtocolError, match="A digest is 16 hexadecimal digits"):
        parse(f"{line} digest={digest}".encode())


@pytest.mark.parametrize(
    ("session", "number"), [("7", 7), ("5f0c", None), ("1" * 64, None), ("٣", None), (None, None), ("", None)]
)
def test_a_consoles_session_is_the_number_of_a_conversation(session: str | None, number: int | None) -> None:
    assert wire.Hello(1, "alice", session=session).conversation == number


@pytest.mark.parametrize("kind", [wire.Hello, wire.Peer, wire.Here, wire.History])
def test_each_key_is_an_attribute_of_its_frame(kind: Any) -> None:
    names = [field.name for field in fields(kind)]
    assert list(kind.KEYS) == names[-len(kind.KEYS) :]


@pytest.mark.parametrize(("line", "byte"), [(b"\xff", 1), (b"Bob> Hi \xc3(", 9)])
def test_the_first_wrong_byte_of_a_line_is_named(line: bytes, byte: int) -> None:
    with pytest.raises(ProtocolError, match=rf"not UTF-8 \(byte {byte}\)"):
        parse(line)


@pytest.mark.parametrize("most", [10, 200])
def test_only_a_sentence_that_is_too_long_is_cut(most: int) -> None:
    assert shortened("x" * most, most) == "x" * most
    assert shortened("x" * (most + 1), most) == "x" * (most - 1) + "…"
    assert shortened("one\ntwo", most) == "one two"


def test_a_byte_of_a_path_that_is_no_text_is_sent_as_a_code() -> None:
    """As Python has the name of a file in another encoding than that of the locale."""
    error = wire.Error("order", "Cannot read /Z\udcfcrich.")
    assert LineCodec().encode(error) == b"\\error order Cannot read /Z\\udcfcrich.\n"


def test_a_value_can_have_the_sign_between_key_and_value() -> None:
    hello = parse(b"\\hello 1 Bob invite=a=b==")
    assert isinstance(hello, wire.Hello)
    assert hello.invite == "a=b=="
