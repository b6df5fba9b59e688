"""Notifications and titles as they reach the terminal in which tmux or GNU screen runs."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.programs import Terminal
from tests.support.service import BIN, Service
from tests.support.waiting import wait_for

NOTIFICATION = b"\x1b]777;notify;pychat;Server> one\a"
TITLE = b";Server (1)\a"
TITLE_BACK = (b"\x1b[23;2t", b"\x1b]0;")
"""As screen passes it on, and as tmux writes the title of before."""


def _in_tmux(directory: Path, words: list[str]) -> list[str]:
    config = directory / "tmux.conf"
    config.write_text("set -g allow-passthrough on\nset -g set-titles on\nset -g set-titles-string '#T'\n")
    return ["tmux", "-S", str(directory / "tmux"), "-f", str(config), "new-session", *words]


def _in_screen(directory: Path, words: list[str]) -> list[str]:
    config = directory / "screenrc"
    config.write_text("startup_message off\nautodetach off\n")
    return ["screen", "-U", "-c", str(config), *words]


@pytest.fixture(params=["tmux", "screen"])
def outside(request: pytest.FixtureRequest, idle_service: Service, tmp_path: Path) -> Iterator[Terminal]:
    """The terminal outside, with a client in tmux or screen that is in a conversation."""
    if shutil.which(request.param) is None:
        pytest.skip(f"{request.param} is not installed")
    file = idle_service.directory / "config/pychat/config.toml"
    file.parent.mkdir(parents=True)
    file.write_text("notify = true\n")
    sockets = tmp_path / "sockets"
    sockets.mkdir(mode=0o700)
    idle_service.start("--turns", "free")
    idle_service.env["SCREENDIR"] = str(sockets)
    client = [str(BIN / "pychat"), "localhost", str(idle_service.port), "--accept-new", "--handle", "Bob"]
    wrapped = (_in_tmux if request.param == "tmux" else _in_screen)(tmp_path, client)
    terminal = idle_service.terminal(wrapped)
    terminal.sees("Send the first message")
    terminal.enter("Hi!")
    terminal.sees("Bob> Hi!")
    yield terminal
    if request.param == "tmux":
        subprocess.run(["tmux", "-S", str(tmp_path / "tmux"), "kill-server"], check=False, capture_output=True)


def _arrives(terminal: Terminal, *sequences: bytes, since: int = 0) -> None:
    """Waits until one of `sequences` has come, behind the first bytes."""

    def is_there() -> bool:
        terminal.update()
        return any(sequence in terminal.raw[since:] for sequence in sequences)

    wait_for(is_there, repr(sequences), shown=lambda: repr(terminal.raw[-500:]))


def test_they_reach_the_terminal_outside(outside: Terminal, idle_service: Service) -> None:
    console = idle_service.console()
    console.sees("Bob> Hi!")
    outside.type("\x1b[O")  # the terminal has lost the focus
    console.enter("one")
    outside.sees("Server> one")
    _arrives(outside, NOTIFICATION)
    assert outside.raw.count(NOTIFICATION) == 1
    _arrives(outside, TITLE)
    seen = len(outside.raw)
    outside.type("x")
    _arrives(outside, *TITLE_BACK, since=seen)
    assert TITLE not in outside.raw[seen:]
