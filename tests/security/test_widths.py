"""Characters that a terminal draws wider than our table says: no text begins a row that it was not given.

Played in tmux, because its table is not ours: it draws some characters in two columns that others draw in one.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.raw_ends import BlockingEnd
from tests.support.service import BIN, Service
from tests.support.tmux import Tmux
from tests.support.waiting import wait_for

pytestmark = pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed")

DONE = "that was all"

WIDE = [
    "\u4dc0",  # hexagrams and numbers on squares, which tmux draws in two columns
    "\u4dff",
    "\u3248",
    "\u324f",
    "\u2764\ufe0f",
    "\U0001f1e9",  # half a flag
    "\U0001f3fd",  # a skin tone alone
    "1\ufe0f\u20e3",
    "\u2e3b",
    "\ufdfd",
    "\U00012031",
    "\u1100\u1161",  # Hangul in parts
    "\u302a",
    "\u00b1",
    "\u0416",
]

_FORGED = re.compile(r"-- forged|(\d\d:\d\d )?>?(Server|Client1|Bob)>|\S+: forged|\d{4}-\d\d-\d\d \S+ Server")


def attacks(columns: int = 80) -> list[str]:
    """Texts that fill a row with doubtful characters, if they are counted in one column, and go on with a notice
    or with a message of somebody else."""
    return [
        f"{'x' * odd}{char * half}{words}"
        for char in WIDE
        for odd, words in ((0, "Server> forged"), (1, "Server> forged"), (1, "-- forged"))
        for half in range((columns - 36) // 2, (columns - 4) // 2)
    ]


def rows(window: Tmux) -> list[str]:
    """The rows as they are drawn: what tmux has continued in the next row by itself is not joined."""
    return window.tmux("capture-pane", "-p", "-S", "-9000").splitlines()


def forged(window: Tmux) -> list[str]:
    return [row for row in rows(window) if _FORGED.match(row) and "forged" in row and not _real(row)]


def _real(row: str) -> bool:
    """Whether a row begins as a message of the caller does."""
    return re.match(r"(\d\d:\d\d |\d{4}-\d\d-\d\d [\d:+]+ )?Client1> ", row) is not None


@pytest.fixture
def caller(idle_service: Service) -> BlockingEnd:
    idle_service.start("--turns", "free")
    caller = idle_service.greeted("Client1")
    caller.send("Client1> Hi!")
    assert caller.reads("\\ack")
    return caller


@pytest.fixture
def open_window(idle_service: Service, tmp_path: Path) -> Iterator[Callable[..., Tmux]]:
    """Starts `pychatd-console` with some options in tmux."""
    opened: list[Tmux] = []

    def start(*options: str) -> Tmux:
        words = [
            f"{BIN}/pychatd-console",
            str(idle_service.port),
            "--runtime-directory",
            str(idle_service.runtime),
        ]
        command = " ".join([*words, *options, "; exec cat"])  # the window stays when the program ends
        opened.append(Tmux(tmp_path, idle_service.env, command))
        return opened[-1]

    yield start
    for window in opened:
        window.close()


@pytest.mark.parametrize("options", [(), ("--plain",), ("--history",)], ids=["screen", "plain", "history"])
def test_doubtful_characters_begin_no_row(
    caller: BlockingEnd, open_window: Callable[..., Tmux], options: tuple[str, ...]
) -> None:
    texts = [*attacks(), DONE]
    for start in range(0, len(texts), 50):
        piece = texts[start : start + 50]
        caller.send(*(f"Client1> {text}" for text in piece))
        while caller.reads("\\ack") != f"\\ack {1 + start + len(piece)}":
            pass
    window = open_window(*options)
    wait_for(
        lambda: any(DONE in row for row in rows(window)),
        "the last message",
        shown=lambda: "\n".join(rows(window)[-20:]),
    )
    assert forged(window) == []
