"""`make run`: what it starts, it also ends."""

from __future__ import annotations

import os
import select
import shutil
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests import demo
from tests.e2e.harness import Line, wait_for
from tests.e2e.tmux import tmux


@contextmanager
def _cleaned_up(place: Path) -> Iterator[None]:
    """What is done inside ends the daemon that runs in `place`, and removes its files."""
    (pid,) = [int(file.read_text()) for file in place.glob("pychat-*/run/*/pid")]
    daemon = os.pidfd_open(pid)
    try:
        yield
        wait_for(lambda: not list(place.glob("pychat-*")), "its files are gone")
        assert select.select([daemon], [], [], 0)[0]
    finally:
        with suppress(ProcessLookupError):  # it has ended, as it should
            signal.pidfd_send_signal(daemon, signal.SIGKILL)
        os.close(daemon)


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM])
def test_a_signal_leaves_no_daemon_behind(idle_line: Line, tmp_path: Path, number: signal.Signals) -> None:
    terminal = idle_line.terminal([sys.executable, demo.__file__], env={"TMPDIR": str(tmp_path)})
    terminal.sees("This is the line")
    with _cleaned_up(tmp_path):
        terminal.child.kill(number)
    assert terminal.exit_status() == 128 + number


@pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed")
def test_a_window_that_is_closed_leaves_no_daemon_behind(idle_line: Line, tmp_path: Path) -> None:
    with tmux(tmp_path, {**idle_line.env, "TMPDIR": str(tmp_path)}) as window:
        window.type(f"{sys.executable} {demo.__file__}")
        window.press("Enter")
        window.sees("This is the line")
        with _cleaned_up(tmp_path):
            window.close()
