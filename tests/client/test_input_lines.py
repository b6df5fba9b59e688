"""The lines of an input: each is taken or left over, whenever the program ends."""

from __future__ import annotations

import asyncio
import fcntl
import os
import struct
import termios
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import pytest

from pychat_client.ui import input_lines
from pychat_client.ui.input_lines import INPUT_LINE_MAX, InputLines, is_cut
from tests.support.aio import in_loop
from tests.support.waiting import PATIENCE


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """The two ends of a pipe, to read and to write."""
    ends = os.pipe()
    yield ends
    for end in ends:
        with suppress(OSError):
            os.close(end)


async def _taken(fd: int, count: int) -> list[bytes]:
    """The first lines of an input, as they arrive."""
    changed = asyncio.Event()
    lines = InputLines(fd, changed.set)
    found: list[bytes] = []
    while len(found) < count:
        while not lines.arrived:
            changed.clear()
            await changed.wait()
        found.append(lines.take())
    lines.close()  # another test may get the same descriptor, and its own lines
    return found


def _wait_until_read(fd: int) -> None:
    """Until the pipe is empty; the event loop does not run meanwhile."""
    end = time.monotonic() + PATIENCE
    while struct.unpack("i", fcntl.ioctl(fd, termios.FIONREAD, b"\0" * 4))[0]:
        assert time.monotonic() < end


@pytest.mark.parametrize(
    ("data", "lines"),
    [
        (b"", [b""]),
        (b"one", [b"one", b""]),
        (b"one\n", [b"one\n", b""]),
        (b"one\n\ntwo", [b"one\n", b"\n", b"two", b""]),
        (b"\xef\xbb\xbf", [b""]),
        (b"\xef\xbb\xbfone\n\xef\xbb\xbftwo", [b"one\n", b"\xef\xbb\xbftwo", b""]),
        (b"\xef\xbb\xbf\n", [b"\n", b""]),
        (b"\xef\xbbone\n", [b"\xef\xbbone\n", b""]),
        (b"\xff\xfeo\0", [b"\xff\xfeo\0", b""]),
        (b"x" * INPUT_LINE_MAX + b"\nnext\n", [b"x" * INPUT_LINE_MAX + b"\n", b"next\n", b""]),
    ],
)
@in_loop
async def test_a_file_is_read_line_by_line(tmp_path: Path, data: bytes, lines: list[bytes]) -> None:
    file = tmp_path / "input"
    file.write_bytes(data)
    with file.open("rb") as opened:
        assert await _taken(opened.fileno(), len(lines)) == lines


@in_loop
async def test_the_mark_of_utf_8_can_come_in_pieces(pipe: tuple[int, int]) -> None:
    source, sink = pipe
    taken = asyncio.create_task(_taken(source, 1))
    for byte in b"\xef\xbb\xbfone\n":
        os.write(sink, bytes([byte]))
        await asyncio.to_thread(_wait_until_read, source)
    assert await taken == [b"one\n"]


@in_loop
async def test_an_input_that_has_nothing_yet_is_not_at_its_end(
    pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    source, sink = pipe
    os.set_blocking(source, False)
    reads = iter((b"", b"", b"one\n"))

    def select_for_nothing(*_: object) -> None:
        os.write(sink, next(reads, b"two"))  # twice, another program has read what was there

    monkeypatch.setattr(input_lines, "select", SimpleNamespace(select=select_for_nothing))  # for nobody else
    assert await _taken(source, 1) == [b"one\n"]


@in_loop
async def test_of_a_line_that_is_too_long_the_beginning_is_kept(tmp_path: Path) -> None:
    file = tmp_path / "input"
    for size in (INPUT_LINE_MAX + 1, INPUT_LINE_MAX + 5, 10 * INPUT_LINE_MAX):
        file.write_bytes(b"x" * (INPUT_LINE_MAX + 1) + b"y" * (size - INPUT_LINE_MAX - 1) + b"\nnext\nend")
        with file.open("rb") as opened:
            first, *others = await _taken(opened.fileno(), 4)
        assert first == b"x" * (INPUT_LINE_MAX + 1) + b"\n"
        assert is_cut(first)
        assert others == [b"next\n", b"end", b""]
        assert not any(map(is_cut, others))


@in_loop
async def test_a_line_of_the_greatest_length_is_whole(tmp_path: Path) -> None:
    file = tmp_path / "input"
    file.write_bytes(b"x" * INPUT_LINE_MAX + b"\n" + b"y" * INPUT_LINE_MAX)
    with file.open("rb") as opened:
        lines = await _taken(opened.fileno(), 3)
    assert lines == [b"x" * INPUT_LINE_MAX + b"\n", b"y" * INPUT_LINE_MAX, b""]
    assert not any(map(is_cut, lines))


@in_loop
async def test_what_was_read_is_left_over_before_the_loop_runs(
    pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(input_lines, "LAST_READ_SECONDS", PATIENCE)
    source, sink = pipe
    lines = InputLines(source, lambda: None)
    os.write(sink, b"one\ntwo\nbegun")
    _wait_until_read(source)
    assert lines.close() == [b"one\n", b"two\n", b"begun"]


@in_loop
async def test_after_the_close_nothing_is_read(pipe: tuple[int, int]) -> None:
    source, sink = pipe
    lines = InputLines(source, lambda: None)
    assert lines.close() == []
    os.write(sink, b"too late\n")
    await asyncio.sleep(0.05)  # a read would be done by then
    assert os.read(source, 100) == b"too late\n"


@in_loop
async def test_what_was_taken_is_not_left_over(pipe: tuple[int, int]) -> None:
    source, sink = pipe
    changed = asyncio.Event()
    lines = InputLines(source, changed.set)
    os.write(sink, b"one\ntwo\n")
    await changed.wait()
    assert lines.take() == b"one\n"
    assert lines.close() == [b"two\n"]
