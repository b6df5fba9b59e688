"""What the programs read where another program has set the input up: a mark of UTF-8, or non-blocking."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator

import pytest

from tests.support.service import BIN, Service
from tests.support.waiting import PATIENCE, wait_for

MARK = "\ufeff"


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """A pipe that nobody waits for: both ends are non-blocking."""
    ends = os.pipe()
    for end in ends:
        os.set_blocking(end, False)
    yield ends
    os.close(ends[0])


def _call(service: Service, *words: str) -> list[str]:
    name, *options = words
    command = ["send"] if name == "send" else []
    target = ["--accept-new", "--handle", "Bob", "localhost", str(service.port)]
    return [str(BIN / "pychat"), *command, *target, *options]


@pytest.mark.parametrize(
    ("words", "typed"),
    [
        (["send"], f"{MARK}Hello\n"),
        (["send", "-"], f"{MARK}Hello"),
        (["call"], f"{MARK}Hello\n"),
        (["call", "--plain"], f"{MARK}Hello"),
        (["call", "--json"], MARK + '{"text": "Hello"}\n'),
    ],
)
def test_the_mark_of_utf_8_is_no_text(service: Service, words: list[str], typed: str) -> None:
    console = service.ready_plain("pychatd-console")
    done = subprocess.run(
        _call(service, *words), env=service.env, input=typed.encode(), timeout=PATIENCE, check=False
    )
    assert done.returncode == 0
    console.says("Bob> Hello\n")


@pytest.mark.parametrize(
    ("words", "typed"), [(["send"], "Hello"), (["call"], "Hello\n"), (["call", "--json"], '{"text": "Hello"}\n')]
)
def test_an_input_that_is_non_blocking_is_read_to_its_end(
    service: Service, pipe: tuple[int, int], words: list[str], typed: str
) -> None:
    console = service.ready_plain("pychatd-console")
    source, sink = pipe
    client = subprocess.Popen(_call(service, *words), env=service.env, stdin=source, stdout=subprocess.DEVNULL)
    try:
        wait_for(lambda: os.get_blocking(source) or client.poll() is not None, "it has looked at its input")
        half = len(typed) // 2
        for part in (typed[:half], typed[half:]):
            os.write(sink, part.encode())
        os.close(sink)
        assert client.wait(PATIENCE) == 0
    finally:
        client.kill()
        client.wait()
    console.says("Bob> Hello\n")


def test_an_output_that_is_non_blocking_gets_everything(idle_service: Service, pipe: tuple[int, int]) -> None:
    source, sink = pipe
    before = os.write(sink, b"x" * (1 << 20))  # as much as it takes: whoever reads it is slow
    with subprocess.Popen([str(BIN / "pychat"), "--help"], env=idle_service.env, stdout=sink) as program:
        wait_for(lambda: os.get_blocking(sink) or program.poll() is not None, "it has looked at its output")
        os.close(sink)
        os.set_blocking(source, True)
        with open(source, "rb", closefd=False) as output:
            text = output.read()[before:].decode()
    assert program.returncode == 0
    assert text.endswith("130 interrupted.\n")
