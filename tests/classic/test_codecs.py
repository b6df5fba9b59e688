"""The bytes of classic programs through the codecs, however the network splits and joins them."""

from __future__ import annotations

import asyncio
import time
import tracemalloc
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from pychat_client.classic.detecting_codec import DetectingCodec
from pychat_client.classic.framing import EMPTY, SILENCE, WRITE_MAX
from pychat_client.classic.keys import KEYS_SECONDS
from pychat_client.classic.other_protocols import ScreeningCodec
from pychat_client.classic.person_codec import PersonCodec
from pychat_client.classic.program_codec import ProgramCodec
from pychat_client.classic.server_codec import ServerCodec, ServerQuirks
from pychat_client.errors import ProtocolError
from pychat_client.protocol import wire
from pychat_client.protocol.codec import Codec, LineCodec
from pychat_client.protocol.turns import Turns
from pychatd.conversation.peer_session import PeerSession
from tests.classic.cases import CLIENTS, SERVERS, Client, Server, octets, with_text
from tests.support.allowed_callers import Anybody
from tests.support.detected import Detected
from tests.support.in_process import ADDRESS, InProcessService, with_service

ANN_FIELD = b"Ann" + bytes(8)

Split = Callable[[bytes], Iterable[bytes]]


def whole(data: bytes) -> list[bytes]:
    return [data]


def single(data: bytes) -> list[bytes]:
    return [bytes([byte]) for byte in data]


def halves(data: bytes) -> list[bytes]:
    return [data[: len(data) // 2], data[len(data) // 2 :]]


def keys(data: bytes) -> list[bytes]:
    return [*single(data)]


splits = pytest.mark.parametrize("split", [whole, single, halves])
clients = pytest.mark.parametrize("case", CLIENTS, ids=lambda case: case.family)
servers = pytest.mark.parametrize("case", SERVERS, ids=lambda case: case.family)


def hear(codec: Codec, data: bytes, split: Split = whole) -> Iterator[wire.Frame]:
    """The frames of one burst, and of the silence behind it."""
    for piece in split(data):
        yield from codec.feed(piece)
        if split is keys and codec.patience is not None:
            yield from codec.silence()
    while codec.patience is not None:
        yield from codec.silence()


def opened(case: Client, split: Split = whole) -> tuple[Detected, list[wire.Frame]]:
    """A client's codec after its opening, which got the answers it waits for."""
    codec = Detected(prompt=case.prompt)
    frames: list[wire.Frame] = []
    if case.keys:  # the first ones tell it
        frames += hear(codec, b"abc\x7f\x7f\b", keys)
    for sent, got in case.opening:
        new = list(hear(codec, octets(sent), split))
        answer: wire.Frame = wire.Pong() if wire.Ping() in new else wire.Hello(1, "Bob")
        if case.first:
            assert new.pop() == wire.Message(case.name, case.first)
            answer = wire.Message("Bob", "hi there")
        assert codec.encode(answer) == octets(got)
        frames += new
    if case.waits:
        hello, message = codec.screening.greet()
        assert message == wire.Message("guest", EMPTY)
        assert codec.encode(wire.Message("Bob", "hi there")) == octets(case.gets)
        frames.append(hello)
    return codec, [frame for frame in frames if frame != wire.Ping()]


@splits
@clients
def test_messages_of_each_client_go_both_ways(case: Client, split: Split) -> None:
    codec, frames = opened(case, split)
    frames += hear(codec, octets(case.says), split)
    assert [type(frame) for frame in frames] == [wire.Hello, wire.Message]
    assert frames[1] == wire.Message(case.name, "hello")
    for _ in range(3):
        assert codec.encode(wire.Message("Bob", "hi there")) == octets(case.gets)
        assert list(hear(codec, octets(case.says), split)) == [wire.Message(case.name, "hello")]


HANDLES = ["A", "abcdefgh", "abcdefghi", "abcdefghij", "é", "żółć", "Ażółć", "Zażółć", "Żółćżółć", "👋👋👋"]
"""Of 1, 8, 9 and 10 bytes, and others that a cut could split."""

handles = pytest.mark.parametrize("handle", HANDLES)


@handles
@clients
def test_a_client_with_any_handle_gets_no_more_than_it_reads(case: Client, handle: str) -> None:
    case = with_handles(case, handle, "Bob")
    codec, frames = opened(case)
    frames += hear(codec, octets(case.says))
    assert frames[1] == wire.Message(case.name, "hello")
    assert codec.encode(wire.Message("Bob", "hi there")) == octets(case.gets)


@handles
@clients
def test_a_client_reads_any_handle_of_the_operator(case: Client, handle: str) -> None:
    codec = Detected()
    if case.keys:
        list(hear(codec, b"abc\x7f\x7f\b", keys))
    for sent, got in case.opening:
        frames = list(hear(codec, octets(sent)))
        if got == "Bob\\0":
            answer = codec.encode(wire.Hello(1, handle))
            assert len(answer) <= 8
            assert handle.encode().startswith(answer.rstrip(b"\0"))
        assert wire.Hello(1, handle) not in frames
    if case.waits:
        list(codec.screening.greet())
    list(hear(codec, octets(case.says)))
    expected = octets(case.gets).replace(b"Bob", handle.encode())
    assert codec.encode(wire.Message(handle, "hi there")) == expected


def test_a_client_that_appends_a_cut_handle_is_known_by_its_name() -> None:
    codec = Detected()
    list(hear(codec, b"abcdefghij"))
    assert codec.encode(wire.Hello(1, "Robertsson")) == b"Roberts\0"
    assert list(hear(codec, b"abcdefghijRoberts> hello\nhello\n")) == [wire.Message("abcdefghij", "hello")]


def test_a_handle_that_a_client_has_cut_is_known_by_its_name() -> None:
    codec = Detected()
    list(hear(codec, "Żółćż".encode()))
    codec.encode(wire.Hello(1, "Bob"))
    assert list(hear(codec, "Żółćżółć> hello\n".encode())) == [wire.Message("Żółćż", "hello")]
    assert list(hear(codec, b"see> here\n")) == [wire.Message("Żółćż", "see> here")]


def test_a_client_with_a_handle_of_eight_bytes_is_known_by_it() -> None:
    codec = Detected()
    list(hear(codec, b"abcdefgh"))
    codec.encode(wire.Hello(1, "Bob"))
    assert list(hear(codec, b"abcdefghij> hello" + bytes(483))) == [wire.Message("abcdefgh", "hello")]


def test_what_follows_a_handle_of_ten_bytes_is_no_part_of_it() -> None:
    for behind in (b"\x03", b"\x1f"):
        codec = Detected()
        frames = list(hear(codec, b"abcdefghij" + behind))
        assert [type(frame) for frame in frames] == [wire.Hello]
    for message in (b"abcdefghi\x03", b"abcdefghijk", b"abcdefghij\x03\x04"):
        codec = Detected()
        assert wire.Message in map(type, hear(codec, message))


def test_a_number_that_somebody_types_is_a_message() -> None:
    codec = Detected(prompt=False)
    assert list(hear(codec, b"27101\n"))[1:] == [wire.Message("guest", "27101")]


@clients
def test_utf_8_is_not_changed(case: Client) -> None:
    codec, _ = opened(case)
    said = with_text(octets(case.says), b"hello", "Grüße, 世界 👋")
    assert wire.Message(case.name, "Grüße, 世界 👋") in list(hear(codec, said))
    assert "żółć".encode() in codec.encode(wire.Message("Bob", "żółć"))


@splits
@clients
def test_a_clients_quit_is_seen(case: Client, split: Split) -> None:
    codec, _ = opened(case)
    list(hear(codec, octets(case.says)))
    if case.last:
        assert list(hear(codec, octets(case.last), split)) == [wire.Message(case.name, case.last)]
    frames = list(hear(codec, octets(case.quits), split)) if case.quits else list(codec.eof())
    assert frames == [wire.Quit()]


@clients
def test_a_client_sees_bobs_quit(case: Client) -> None:
    codec, _ = opened(case)
    list(hear(codec, octets(case.says)))
    assert codec.encode(wire.Quit()) == octets(case.end)


@clients
def test_a_text_that_fits_is_not_too_long_for_a_client(case: Client) -> None:
    codec, _ = opened(case)
    list(hear(codec, octets(case.says)))
    for handle in ("Bob", "ж" * 10):
        max_bytes = codec.max_text_bytes(handle)
        if max_bytes is None:
            assert "a person" in case.family
            continue
        assert max_bytes > WRITE_MAX - 30
        assert len(codec.encode(wire.Message(handle, "x" * max_bytes))) <= WRITE_MAX


@clients
def test_programs_take_turns_and_people_can_be_free(case: Client) -> None:
    codec, frames = opened(case)
    hello = [*frames, *hear(codec, octets(case.says))][0]
    assert isinstance(hello, wire.Hello)
    lines = case.family.startswith(("a person", "names, lines"))
    assert hello.turns == (None if lines else Turns.ALTERNATE)


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        ((b"20211Ann> hello",), ["hello"]),  # two writes in one segment
        ((b"Ann", b"Ann> hello\n", b"hello\n"), ["hello"]),  # the seed's doubled text, torn
        ((b"Ann> one\0\0\0Ann> two\0\0",), ["one", "two"]),
        ((b"Ann> hello\0", b"\0\0\0\0"), ["hello"]),  # padding that comes late
        ((b"Ann> hello\0lo, what was there before",), ["hello"]),
        ((b"Ann> one@!@\0Ann> two@!@\0",), ["one", "two"]),
        ((b"Ann> hello\nhello\n",), ["hello"]),
        ((b"Ann> one\nAnn> two\nAnn> three\n",), ["one", "two", "three"]),
        ((b"one\ntwo\nthree\n",), ["one", "two", "three"]),
        ((b"Ann> Client connection established.", b"Ann> hello"), ["Client connection established.", "hello"]),
        ((b"Ann> 25211\0\0\0\0", b"Ann> hello\0\0\0"), ["25211", "hello"]),
        ((b"Ann", b"\n"), [" "]),  # an empty message passes the turn
        ((b"Ann> ",), [" "]),
        ((b"Ann", b"see: this> here"), ["see: this> here"]),
        ((b"Ann", b"Ann> a> b"), ["a> b"]),
        ((b"Ann> a", b"Eve> b"), ["a", "Eve> b"]),
        ((b"two words",), ["two words"]),
        ((b"Ann", b"Ann> wow@@@\nwow@@@\n", b"Ann> more\nmore\n"), ["wow@@@", "more"]),  # no mark, but words
        ((b"Ann> one@@@", b"Ann> two@@@", b"Ann> three"), ["one", "two", "three"]),
        ((b"Ann> one", b"Ann> two@@@"), ["one", "two@@@"]),
        ((b"Ann", b"a@@@\n", b"b@@@\n"), ["a", "b"]),
        ((b"20211\0\0Ann> hello\0",), ["hello"]),
        ((b"Ann> hi\n\0", b"Ann>hello\n\0", b"Ann> \\quit\n\0"), ["hi", "hello"]),
        ((b"Ann>\0", b"Ann> hi\0"), [" ", "hi"]),
        ((b"Ann> hi\0", b"\n\0"), ["hi", " "]),
        ((b"caf\xe9 \xff\0",), ["caf\ufffd \ufffd"]),
        ((b"Ann", b"a@@@b\n@@@"), ["a@@@b"]),
        ((b"a@@@b\n@@@", b"c\n@@@"), ["a@@@b", "c"]),
        ((b"a\n@@@b\n@@@",), ["a", "b"]),
        ((b"Ann> hi||", b"Ann> more||", b"Ann> done"), ["hi", "more", "done"]),
        ((b"Ann> 22003", b"Ann> hi||", b"Ann> done"), ["22003", "hi", "done"]),
        ((ANN_FIELD + b"hello there" + bytes(489), ANN_FIELD + b"and" + bytes(497)), ["hello there", "and"]),
        ((ANN_FIELD + b"Ann> hello\n" + bytes(489),), ["hello"]),
        ((b"\0\0\0\x0chello there\n", b"\0\0\0\x06again\n"), ["hello there", "again"]),
        ((b"\0\0\0\x05one\r\n\0\0\0\x03two",), ["one", "two"]),
        ((b"Ann>hello\n\0Ann> gotcha\n\0" + bytes(400),), ["hello"]),
        ((b"Ann>hello\n\0Ann>gotcha\n\0",), ["hello", "gotcha"]),
        ((b"Ann", b"Ann> \n\n"), [" "]),
        ((b"Ann> \0", b"Ann> hi\0"), [" ", "hi"]),
        ((bytes(20) + b"Ann> hello" + bytes(490),), ["hello"]),
    ],
)
def test_bursts_are_read_as_they_were_meant(sent: tuple[bytes, ...], said: list[str]) -> None:
    codec = Detected()
    frames: list[wire.Frame] = []
    for burst in sent:
        frames += hear(codec, burst)
        codec.encode(wire.Hello(1, "Bob"))
    assert [frame.text for frame in frames if isinstance(frame, wire.Message)] == said


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (b"a@@@b\n@@@", [wire.Message("Bob", "a@@@b")]),
        (b"a\n@@@b\n@@@", [wire.Message("Bob", "a"), wire.Notice("Bob> b")]),
        (b"Bob" + bytes(8) + b"hi there" + bytes(489), [wire.Message("Bob", "hi there")]),
        (b"\0\0\0\x0chello there\n", [wire.Message("Bob", "hello there")]),
        (b"\0\0\0\x01a\0\0\0\x02bc", [wire.Message("Bob", "a"), wire.Notice("Bob> bc")]),
        (b"\0\0\0!hello\n", [wire.Message("Bob", "!hello")]),
        (b"Bob>hi\n\0Bob> gotcha\n\0", [wire.Message("Bob", "hi")]),
        (b"Bob> \n", [wire.Message("Bob", " ")]),
    ],
)
def test_a_servers_bursts_are_read_as_they_were_meant(said: bytes, told: list[wire.Frame]) -> None:
    for split in (whole, single, halves):
        assert list(hear(connected(SERVERS[0]), said, split)) == told


@pytest.mark.parametrize(
    ("mark", "ends"),
    [(b"@@@", b"\\quit\n@@@"), (b"\n@@@", b"\\quit\n@@@"), (b"@!@", b"\\quit@!@"), (b"||", b"/quit")],
)
def test_a_mark_that_a_server_sends_tells_how_to_leave_it(mark: bytes, ends: bytes) -> None:
    codec = connected(server("names"))
    list(hear(codec, b"Bob> hi there" + mark))
    assert codec.encode(wire.Quit()) == ends


def test_a_mark_that_the_user_names_wins() -> None:
    codec = ServerCodec(ServerQuirks("", "\n@@@"))
    codec.encode(wire.Hello(1, "Ann"))
    codec.encode(wire.Message("Ann", "hello"))
    list(hear(codec, b"Bob> hi there@@@"))
    assert codec.encode(wire.Message("Ann", "hello")) == b"Ann> hello\n@@@"
    assert codec.encode(wire.Quit()) == b"\\quit\n@@@"


def test_a_quit_word_is_all_that_is_sent() -> None:
    for word in ("/quit", "\\quit\n@@@", "bye@@@", ""):
        codec = ServerCodec(ServerQuirks("", "@@@", word))
        assert codec.encode(wire.Quit()) == word.encode()


def test_an_unasked_message_has_the_name_of_the_server() -> None:
    codec = ServerCodec(ServerQuirks(""))
    codec.encode(wire.Hello(1, "Ann"))
    list(hear(codec, b""))
    assert list(hear(codec, b"Bob> who is it?")) == [wire.Notice("Bob> who is it?")]


# ------------------------------------------------------------------ clients that wait to be spoken to


@pytest.mark.parametrize("opening", [b"", b"27101"])
@pytest.mark.parametrize("said", [b"Ann> hello", b"Ann> hello" + bytes(503), b"Ann> hello\n\0"])
def test_a_client_is_spoken_to_first(opening: bytes, said: bytes) -> None:
    codec = Detected()
    assert list(hear(codec, opening)) == []
    frames = list(codec.screening.greet())
    assert [type(frame) for frame in frames] == [wire.Hello, wire.Message]
    assert frames[1] == wire.Message("guest", EMPTY)
    assert codec.encode(wire.Message("Bob", "hi there")) == b"Bob> hi there\0"
    assert list(hear(codec, said)) == [wire.Message("Ann", "hello")]
    assert codec.encode(wire.Message("Bob", "hi there")) == b"Bob> hi there\0"
    assert list(hear(codec, b"/quit")) == [wire.Quit()]


@pytest.mark.parametrize(
    ("begun", "kinds"),
    [(b"27101", [wire.Hello, wire.Message]), (b"Ann", [wire.Hello]), (b"", [wire.Hello, wire.Message])],
)
def test_a_client_can_be_spoken_to_before_the_silence(begun: bytes, kinds: list[type]) -> None:
    codec = Detected()
    list(codec.feed(begun))
    assert [type(frame) for frame in codec.screening.greet()] == kinds
    codec.encode(wire.Message("Bob", "hi there"))
    assert list(hear(codec, b"Ann> hello")) == [wire.Message("Ann", "hello")]


def test_what_a_client_says_when_spoken_to_is_no_handle() -> None:
    codec = Detected()
    list(codec.screening.greet())
    codec.encode(wire.Message("Bob", "hi there"))
    assert list(hear(codec, b"hello")) == [wire.Message("guest", "hello")]
    assert codec.encode(wire.Message("Bob", "hi there")) == b"hi there\0"


@pytest.mark.parametrize("said", [b"", b"hello\r\n"])
@pytest.mark.parametrize("keys", [b"\xff\xf4\xff\xfd\x06", b"\xff\xec"], ids=["ctrl-c", "ctrl-d"])
def test_a_person_at_telnet_who_is_spoken_to_first_can_leave(said: bytes, keys: bytes) -> None:
    codec = Detected()
    list(codec.screening.greet())
    assert len(list(hear(codec, said))) == len(said.splitlines())
    assert list(hear(codec, keys)) == [wire.Quit()]


def test_who_speaks_version_1_is_not_spoken_to_first() -> None:
    codec = Detected()
    list(codec.feed(b"\\hello 1 Ann\n"))
    assert list(codec.screening.greet()) == []


def test_a_handle_is_not_answered_where_the_setting_says_so() -> None:
    codec = Detected(answers=False)
    assert [type(frame) for frame in hear(codec, b"Ann")] == [wire.Hello]
    assert codec.encode(wire.Hello(1, "Bob")) == b""
    assert list(hear(codec, b"Ann> hello")) == [wire.Message("Ann", "hello")]
    assert codec.encode(wire.Message("Bob", "hi there")) == b"Bob> hi there\0"


# ------------------------------------------------------------------ people, and programs that look like them


def talking(*, slow: bool) -> Detected:
    """Somebody who has sent a line, at once or after a while."""
    codec = Detected(prompt=not slow)
    assert [type(frame) for frame in hear(codec, b"Ann> hello\n")] == [wire.Hello, wire.Message]
    return codec


def test_a_line_sent_at_once_may_be_of_a_program_with_500_bytes() -> None:
    codec = talking(slow=False)
    max_bytes = codec.max_text_bytes("Bob")
    assert max_bytes is not None
    assert len(codec.encode(wire.Message("Bob", "x" * max_bytes))) == WRITE_MAX
    list(codec.feed(b"Ann> again\n"))
    assert codec.max_text_bytes("Bob") == max_bytes


def test_who_sends_a_second_line_before_an_answer_is_a_person() -> None:
    codec = talking(slow=False)
    list(codec.feed(b"Ann> and more\n"))
    assert codec.max_text_bytes("Bob") is None


def test_who_types_the_first_line_is_a_person() -> None:
    codec = Detected(prompt=False)
    list(hear(codec, b"hello\n"))
    assert codec.max_text_bytes("Bob") is None


def test_a_line_with_a_name_is_a_programs_until_a_second_line() -> None:
    codec = Detected(prompt=False)
    list(hear(codec, b"Ann> hello\n"))
    assert codec.encode(wire.Quit()) == b"\\quit\n"
    assert codec.max_text_bytes("Bob") == WRITE_MAX - len("Bob> \n")
    list(hear(codec, b"Ann> are you there?\n"))
    assert codec.max_text_bytes("Bob") is None


def test_a_name_alone_is_an_empty_message() -> None:
    codec = Detected()
    list(hear(codec, b"Ann> hello\n"))
    codec.encode(wire.Message("Bob", "hi"))
    assert list(hear(codec, b"Ann> \n")) == [wire.Message("Ann", " ")]


def test_keys_that_come_one_by_one_are_a_line() -> None:
    codec = Detected()
    assert list(hear(codec, b"hxi  yo\x7f\x7fou", keys)) == []
    frames = list(hear(codec, b"\r", keys))
    assert frames[1:] == [wire.Message("guest", "hxi  ou")]
    assert list(hear(codec, "ż\x7fó\r\n".encode(), keys)) == [wire.Message("guest", "ó")]


def test_a_handle_of_one_letter_gets_its_answer_a_little_later() -> None:
    codec = Detected()
    list(codec.feed(b"A"))
    assert list(codec.silence()) == []
    assert codec.patience == KEYS_SECONDS
    assert [type(frame) for frame in codec.silence()] == [wire.Hello]


def test_a_key_alone_from_a_server_is_a_message() -> None:
    codec = connected(server("names"))
    assert list(hear(codec, b"k")) == [wire.Message("server", "k")]


@pytest.mark.parametrize("text", [b"", b"hello", b"hello\n", b"hello there, and more\n"])
def test_a_length_without_its_text_is_another_protocol(text: bytes) -> None:
    codec = Detected()
    list(codec.feed(b"\0\0\0\x0c" + text))
    with pytest.raises(ProtocolError):
        list(codec.silence())


def test_a_word_and_the_end_are_a_message_not_a_handshake() -> None:
    codec = Detected()
    assert list(codec.feed(b"hello")) == []
    assert list(codec.eof())[1:] == [wire.Message("guest", "hello"), wire.Quit()]


def test_digits_and_the_end_are_a_message_too() -> None:
    codec = Detected()
    list(codec.feed(b"12345"))
    assert list(codec.eof())[1:] == [wire.Message("guest", "12345"), wire.Quit()]


def test_lines_of_a_person_without_pauses_are_shown() -> None:
    codec = Detected()
    assert list(codec.feed(b"one\n")) == []
    assert list(codec.feed(b"two\n"))[1:] == [wire.Message("guest", "one"), wire.Message("guest", "two")]
    assert list(codec.feed(b"three\n")) == [wire.Message("guest", "three")]


def test_ctrl_c_at_telnet_before_the_first_line_is_a_quit() -> None:
    assert list(hear(Detected(), b"\xff\xf4"))[1:] == [wire.Quit()]


@pytest.mark.parametrize("codec", [Detected(), ServerCodec(ServerQuirks())])
def test_an_endless_burst_takes_no_memory(codec: Codec) -> None:
    list(hear(codec, b"Ann> Hello\0"))
    tracemalloc.start()
    try:
        for _ in range(1000):
            list(codec.feed(b"\0" * 4000))
        assert tracemalloc.get_traced_memory()[0] < 100_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("start", [b"\0" + b"\n" * 4000, b"@@@\n@@@\n" * 500])
def test_slow_bytes_are_examined_once(start: bytes) -> None:
    """A fraction of a second; if each line were looked at for each byte, half a minute of the daemon's time."""
    codec = Detected()
    begun = time.process_time()
    for byte in single(start):
        list(codec.feed(byte))
    assert time.process_time() - begun < 5


def test_an_over_long_burst_is_refused_once() -> None:
    codec = Detected()
    list(hear(codec, b"Ann> hi"))
    frames = list(hear(codec, b"Ann> " + b"x" * 100_000, single))
    assert [type(frame) for frame in frames] == [wire.Rejected]
    assert codec.encode(frames[0]).startswith(b"\\error too-long Not delivered: ")
    assert list(hear(codec, b"Ann> hi")) == [wire.Message("Ann", "hi")]


def test_silence_counts_only_where_it_decides_something() -> None:
    codec = Detected()
    assert codec.patience is None
    list(codec.feed(b"\\hel"))  # it may become a hello, however slow the way is
    assert codec.patience is None
    codec = Detected()
    list(codec.feed(b"Ann"))
    assert codec.patience == SILENCE
    list(codec.silence())
    assert codec.patience is None


def with_handles(case: Client, ann: str, bob: str) -> Client:
    """The same program with other users."""

    def renamed(text: str) -> str:
        for old, new in (("Ann", ann), ("Bob", bob)):
            text = text.replace(f"\\x03{old}", f"\\x{len(new.encode()):02x}{old}").replace(old, new)
        return text

    return replace(
        case,
        opening=[[renamed(text) for text in pair] for pair in case.opening],
        says=renamed(case.says),
        gets=renamed(case.gets),
        quits=renamed(case.quits),
        end=renamed(case.end),
        name=renamed(case.name),
        first=renamed(case.first),
    )


# ------------------------------------------------------------------ pychat --classic


def habits(case: Server) -> ServerQuirks:
    words = dict(pairwise([*case.options, ""]))
    hello = "" if "--no-hello" in words else words.get("--hello")
    return ServerQuirks(hello, octets(words.get("--end-mark", "")).decode(), quit_word(words))


def quit_word(words: dict[str, str]) -> str | None:
    return octets(words["--quit-word"]).decode() if "--quit-word" in words else None


def server(family: str) -> Server:
    return next(case for case in SERVERS if case.family == family)


def test_the_word_of_a_server_without_a_handle_is_no_handle() -> None:
    codec = ServerCodec(ServerQuirks(hello=""))
    assert codec.encode(wire.Hello(1, "Ann")) == b""
    hello, notice = hear(codec, b"connected!")
    assert hello == wire.Hello(1, "server", session="", turns=Turns.ALTERNATE)
    assert notice == wire.Notice("connected!")
    assert codec.encode(wire.Message("Ann", "hello")) == b"Ann> hello\n"
    assert list(hear(codec, b"Bob>hi there")) == [wire.Ack(1), wire.Message("Bob", "hi there")]


def connected(case: Server, split: Split = whole) -> ServerCodec:
    codec = ServerCodec(habits(case))
    assert codec.encode(wire.Hello(1, "Ann")) == case.hello()
    (hello,) = hear(codec, octets(case.opening), split)
    name = case.name if case.opening else "server"
    assert hello == wire.Hello(1, name, session="", turns=Turns.ALTERNATE)
    assert codec.encode(wire.Message("Ann", "hello")) == octets(case.hears)
    assert list(hear(codec, b"")) == [wire.Ack(1)]
    if case.keys:
        list(hear(codec, b"abc\x7f\x7f\b", keys))
    return codec


@splits
@servers
def test_messages_of_each_server_go_both_ways(case: Server, split: Split) -> None:
    codec = connected(case, split)
    for number in range(2, 5):
        assert list(hear(codec, octets(case.says), split)) == [wire.Message(case.name, "hi there")]
        assert codec.encode(wire.Message("Ann", "hello")) == octets(case.again)
        assert list(hear(codec, b"")) == [wire.Ack(number)]


@handles
@servers
def test_a_server_gets_no_more_than_it_reads(case: Server, handle: str) -> None:
    codec = ServerCodec(habits(case))
    if case.hello() == b"Ann":
        hello = codec.encode(wire.Hello(1, handle))
        assert len(hello) <= 10
        assert handle.encode().startswith(hello)
    said = codec.encode(wire.Message(handle, "hello"))
    assert said == octets(case.hears).replace(b"Ann", handle.encode())


@handles
@servers
def test_a_servers_handle_may_have_any_size(case: Server, handle: str) -> None:
    def theirs(text: str) -> bytes:
        return octets(text).replace(case.name.encode(), handle.encode())

    codec = ServerCodec(habits(case))
    codec.encode(wire.Hello(1, "Ann"))
    list(hear(codec, theirs(case.opening)))
    codec.encode(wire.Message("Ann", "hello"))
    list(hear(codec, b"abc\x7f\x7f\b" if case.keys else b"", keys))
    (said,) = hear(codec, theirs(case.says))
    assert said == wire.Message("server" if case.name == "server" else handle, "hi there")


def test_a_handle_that_a_server_has_cut_is_known_by_its_name() -> None:
    codec = ServerCodec(ServerQuirks())
    codec.encode(wire.Hello(1, "Ann"))
    list(hear(codec, b"Roberts\0"))
    codec.encode(wire.Message("Ann", "hello"))
    list(hear(codec, b""))
    assert list(hear(codec, b"Robertsson> hi there\0")) == [wire.Message("Robertsson", "hi there")]


@splits
@servers
def test_a_servers_quit_is_seen(case: Server, split: Split) -> None:
    codec = connected(case)
    frames = list(hear(codec, octets(case.quits), split)) if case.quits else list(codec.eof())
    assert frames == [wire.Quit()]


@servers
def test_a_server_sees_anns_quit(case: Server) -> None:
    codec = connected(case)
    list(hear(codec, octets(case.says)))
    assert codec.encode(wire.Quit()) == octets(case.end)


@servers
def test_a_text_that_fits_is_not_too_long_for_a_server(case: Server) -> None:
    codec = connected(case)
    for handle in ("Ann", "ж" * 10):
        frame = codec.encode(wire.Message(handle, "x" * codec.max_text_bytes(handle)))
        assert WRITE_MAX - 20 <= len(frame) <= WRITE_MAX


def test_an_unexpected_message_is_a_notice_not_a_turn() -> None:
    codec = connected(SERVERS[0])
    assert list(hear(codec, b"Bob> one")) == [wire.Message("Bob", "one")]
    assert list(hear(codec, b"Bob> two")) == [wire.Notice("Bob> two")]


def test_several_lines_of_a_person_are_one_answer() -> None:
    codec = connected(server("bare"))
    assert list(hear(codec, b"one\ntwo\n")) == [wire.Message("server", "one\u2028two")]


def test_the_refusal_of_a_pychatd_is_understood() -> None:
    codec = ServerCodec(ServerQuirks())
    codec.encode(wire.Hello(1, "Ann"))
    assert list(hear(codec, b"\\error plaintext TLS is required.\n")) == [
        wire.Error("plaintext", "TLS is required.")
    ]
    codec = ServerCodec(ServerQuirks())
    codec.encode(wire.Hello(1, "Ann"))
    assert list(hear(codec, b"\\busy The line is taken.\0")) == [wire.Busy("The line is taken.")]


def test_a_banner_is_shown() -> None:
    codec = ServerCodec(ServerQuirks())
    codec.encode(wire.Hello(1, "Ann"))
    frames = list(hear(codec, b"Welcome to the chat server"))
    assert [type(frame) for frame in frames] == [wire.Hello, wire.Notice]


def test_a_late_handle_is_still_a_handshake() -> None:
    codec = ServerCodec(ServerQuirks())
    codec.encode(wire.Hello(1, "Ann"))
    assert list(hear(codec, b"")) == [wire.Hello(1, "server", session="", turns=Turns.ALTERNATE)]
    assert list(hear(codec, b"Bob")) == [wire.Here("Bob")]
    codec.encode(wire.Message("Ann", "hello"))
    assert list(hear(codec, b"Bob> hi there")) == [wire.Ack(1), wire.Message("Bob", "hi there")]
    assert list(hear(codec, b"Bob> \\quit")) == [wire.Quit()]
    assert codec.encode(wire.Quit()) == b""


def test_after_a_handshake_only_the_handle_is_a_name() -> None:
    codec = connected(SERVERS[0])
    assert list(hear(codec, b"see> here")) == [wire.Message("Bob", "see> here")]


def test_a_notice_does_not_decide_the_style_of_a_server() -> None:
    codec = connected(SERVERS[0])
    list(hear(codec, b"Bob> one"))
    codec = connected(server("bare"))
    assert list(hear(codec, b"HAL> one")) == [wire.Message("HAL", "one")]
    assert list(hear(codec, b"wait")) == [wire.Notice("HAL> wait")]


def test_several_marked_messages_in_one_segment() -> None:
    codec = connected(server("handshake, bare, marked"))
    assert list(hear(codec, b"one@@@two@@@")) == [wire.Message("Bob", "one"), wire.Notice("Bob> two")]


def test_a_text_about_errors_is_a_message() -> None:
    codec = connected(server("bare"))
    assert list(hear(codec, b"\\error in line 3")) == [wire.Message("server", "\\error in line 3")]


def test_a_stopping_pychatd_is_understood() -> None:
    codec = connected(SERVERS[0])
    assert list(hear(codec, b"\\error stopping It stops.\0")) == [wire.Error("stopping", "It stops.")]


def test_the_end_is_a_quit_only_after_a_handshake() -> None:
    assert list(connected(SERVERS[0]).eof()) == [wire.Quit()]
    assert list(connected(server("bare")).eof()) == []


def test_a_server_that_closes_at_once_has_quit() -> None:
    codec = ServerCodec(ServerQuirks())
    codec.encode(wire.Hello(1, "Ann"))
    assert list(codec.eof())[-1] == wire.Quit()


# ------------------------------------------------------------------ the hand-over


@pytest.mark.parametrize(
    ("start", "kind"),
    [(b"\\hello 1 Ann\n", LineCodec), (b"hello\n", PersonCodec), (b"Ann> hello\0", ProgramCodec)],
)
def test_the_detecting_codec_hands_over_once(start: bytes, kind: type[Codec]) -> None:
    chosen: list[Codec] = []
    codec = DetectingCodec(chosen.append)
    list(codec.feed(start[:3]))
    assert chosen == []
    list(codec.feed(start[3:]))
    if not chosen:
        list(codec.silence())
    assert [type(codec) for codec in chosen] == [kind]


@pytest.mark.parametrize(("start", "kind"), [("\\hello 1 Ann", LineCodec), ("hello", PersonCodec)])
def test_a_connection_uses_the_chosen_codec(start: str, kind: type[Codec], tmp_path: Path) -> None:
    @with_service()
    async def run(service: InProcessService) -> None:
        caller = PeerSession(service.switchboard, ADDRESS, Anybody(), secure=False)
        assert type(caller.connection.codec) is ScreeningCodec
        raw = await service.connect(caller)
        await raw.say(start, f"{start}, again")
        while type(caller.connection.codec) is not kind:
            await asyncio.sleep(0.01)

    run(tmp_path)
