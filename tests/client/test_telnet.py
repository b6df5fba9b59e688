"""Telnet's commands are removed from a stream and refused."""

from __future__ import annotations

import time

import pytest

from pychat_client.classic.telnet import SUBNEGOTIATION_MAX, Telnet, has_commands

STREAM = b"a\xff\xfd\x03b\xff\xfb\x18c\xff\xfa\x18\x00xterm\xff\xff\xff\xf0"
STREAM += b"d\xff\xf1e\xff\xfe\x01\xff\xfc\x01f\xff\xffg\r\0h\r\n"


def test_commands_are_removed_and_text_stays() -> None:
    telnet = Telnet()
    assert telnet.feed(STREAM) == b"abcdefg\r\nh\r\n"
    assert telnet.take_refusals() == b"\xff\xfc\x03\xff\xfe\x18"
    assert not telnet.interrupted


@pytest.mark.parametrize("cut", range(len(STREAM)))
def test_it_makes_no_difference_where_a_stream_is_split(cut: int) -> None:
    telnet = Telnet()
    text = telnet.feed(STREAM[:cut]) + telnet.feed(STREAM[cut:])
    assert text == b"abcdefg\r\nh\r\n"
    assert telnet.take_refusals() == b"\xff\xfc\x03\xff\xfe\x18"


@pytest.mark.parametrize("command", [b"\xf4", b"\xec"])
def test_ctrl_c_and_the_end_of_the_input_interrupt(command: bytes) -> None:
    telnet = Telnet()
    telnet.feed(b"\xff" + command)
    assert telnet.interrupted


def test_bytes_of_other_encodings_are_text() -> None:
    assert Telnet().feed(b"a\rb\xffc") == b"a\rb\xffc"
    assert not has_commands(b"\xff\xe9t\xe9")
    assert has_commands(b"a\xff\xfd\x03")


def test_an_endless_command_becomes_text() -> None:
    telnet = Telnet()
    assert telnet.feed(b"\xff\xfa" + b"x" * SUBNEGOTIATION_MAX) == b""
    assert telnet.feed(b"hello\r\n").endswith(b"xxhello\r\n")
    assert telnet.feed(b"hello\r\n") == b"hello\r\n"


@pytest.mark.parametrize(
    "unit", [b"\xff\xfa", b"\xff\xfax", b"\xff\xff", b"\xff\xfa\xff\xff", b"\xff\xfa\xff\xff\xff", b"\xff"]
)
def test_all_bytes_are_read_in_linear_time(unit: bytes) -> None:
    """Half a MiB takes well under a second; if each byte were looked at for each other one, it would be hours."""
    data = unit * ((1 << 19) // len(unit))
    start = time.perf_counter()
    Telnet().feed(data)
    assert time.perf_counter() - start < 20
