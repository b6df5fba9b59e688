"""What it costs to read the bytes of strangers grows as their number, whatever they are."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from pychat_client.classic.detecting_codec import DetectingCodec
from pychat_client.classic.keys import edited
from pychat_client.classic.program_codec import ProgramCodec
from pychat_client.classic.telnet import Telnet

Work = Callable[[], object]


def _seconds(prepare: Callable[[int], Work], size: int) -> float:
    """The least of a few attempts: others use the processor, too."""
    took = []
    for _ in range(5):
        work = prepare(size)
        begin = time.thread_time()
        work()
        took.append(time.thread_time() - begin)
    return min(took)


def _erased(size: int) -> Work:
    return lambda: edited(b"", b"x" * (size // 2) + b"\b" * (size // 2))


def _erased_behind_no_utf_8(size: int) -> Work:
    return lambda: edited(b"\n", b"\x80" * (size // 2) + b"\b" * (size // 2))


def _telnet_questions(size: int) -> Work:
    return lambda: Telnet().feed(b"\xff\xfd\x01" * (size // 3))


def _line_feeds(size: int) -> Work:
    """None of the lines is a person's, because of the NUL."""
    return lambda: list(DetectingCodec(lambda _: None).feed(b"\0" + b"\n" * size))


def _long_names(size: int) -> Work:
    """In front of messages, after a first message that looks like them."""
    codec = ProgramCodec()
    list(codec.feed(b"!" * (size - 3) + b"@@@"))
    list(codec.silence())
    return lambda: list(codec.feed(b"!" * (size // 2) + b"?> x@@@"))


@pytest.mark.parametrize(
    ("prepare", "size"),
    [
        (_erased, 8192),
        (_erased_behind_no_utf_8, 8192),
        (_telnet_questions, 1 << 16),
        (_line_feeds, 960),
        (_long_names, 1000),
    ],
)
def test_four_times_the_bytes_cost_four_times_the_work(prepare: Callable[[int], Work], size: int) -> None:
    assert _seconds(prepare, 4 * size) < 8 * _seconds(prepare, size)
