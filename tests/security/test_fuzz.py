"""Fuzzing what a stranger may send: a kept corpus and Hypothesis always, atheris where it is installed."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.security import fuzz

SECONDS = 10

_word = st.sampled_from(
    [
        b"\\hello 1 Client1",
        b"\\hello ",
        b"Client1> ",
        b"\\ack ",
        b"\\quit",
        b"\\ping",
        b"\n",
        b"\r\n",
        b"\0",
        b"\x1e",  # a silence, see fuzz.bursts
        b"@@@",
        b"\xff\xfd",
        b"> ",
        b"GET / HTTP/1.1",
        b"{",
        b'"id":',
        b"\r\n\r\n\0\r\nQUIT",
        b"\0\0\0\n\1",
    ]
)
_piece = st.one_of(
    _word,
    st.binary(max_size=40),
    st.text(max_size=20).map(str.encode),
    st.integers(0, 99).map(str).map(str.encode),
)
_streams = st.one_of(
    st.binary(max_size=300),
    st.lists(_piece, max_size=30).map(b"".join),
    st.lists(_piece, max_size=20).map(
        lambda lines: b"\\hello 1 Client1\nClient1> Hi!\n" + b"\n".join(lines) + b"\n"
    ),
    st.integers(4080, 4110).map(lambda size: b"x" * size + b"\n"),
)


@pytest.fixture(scope="module")
def one() -> Iterator[Callable[[bytes], None]]:
    with fuzz.targets() as target:
        yield target


@pytest.mark.parametrize("file", sorted(fuzz.CORPUS.iterdir()), ids=lambda file: file.name)
def test_what_was_found_before_is_no_surprise(one: Callable[[bytes], None], file: Path) -> None:
    one(file.read_bytes())


@settings(max_examples=300)
@given(data=_streams)
@example(data=b"")
def test_any_bytes_are_frames_or_a_protocol_error(one: Callable[[bytes], None], data: bytes) -> None:
    one(data)


def test_fuzzed_bytes_are_frames_or_a_protocol_error(tmp_path: Path) -> None:
    if importlib.util.find_spec("atheris") is None:
        pytest.skip("atheris is not installed")
    result = subprocess.run(
        [
            sys.executable,
            "-m",
            "tests.security.fuzz_run",
            f"-max_total_time={SECONDS}",
            "-rss_limit_mb=2048",
            "-timeout=20",
            f"-artifact_prefix={tmp_path}/",
            str(tmp_path),
        ],
        capture_output=True,
        timeout=SECONDS * 6,
        check=False,
        cwd=Path(__file__).parents[2],
    )
    words = result.stderr.decode(errors="replace")
    assert result.returncode == 0, words[-4000:] + result.stdout.decode(errors="replace")[-4000:]
    print([line for line in words.splitlines() if "DONE" in line or "Done" in line])
