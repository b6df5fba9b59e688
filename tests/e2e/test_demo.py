"""`make run` ends what it has started."""

from __future__ import annotations

import os
import select
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

import demo
from tests.support.service import Service
from tests.support.tmux import tmux
from tests.support.waiting import wait_for


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory for its files, with a short name: the path of a socket is limited, and pytest's are long."""
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


@contextmanager
def _cleaned_up(place: Path) -> Iterator[None]:
    """Checks that the code inside ends the daemon in `place` and removes its files."""
    written = [file.read_text() for file in place.glob("pychat-*/run/*/pid")]
    (pid,) = [int(text) for text in written if text]  # empty where the port was in use
    daemon = os.pidfd_open(pid)
    try:
        yield
        wait_for(lambda: not list(place.glob("pychat-*")), "its files are gone")
        assert select.select([daemon], [], [], 0)[0]
    finally:
        with suppress(ProcessLookupError):  # it has ended
            signal.pidfd_send_signal(daemon, signal.SIGKILL)
        os.close(daemon)


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM])
def test_a_signal_leaves_no_daemon_behind(idle_service: Service, place: Path, number: signal.Signals) -> None:
    terminal = idle_service.terminal([sys.executable, demo.__file__], env={"TMPDIR": str(place)})
    terminal.sees("Waiting for calls")
    with _cleaned_up(place):
        terminal.child.kill(number)
    assert terminal.exit_status() == 128 + number


def test_a_port_in_use_is_replaced_by_another(idle_service: Service, place: Path) -> None:
    with ExitStack() as taken:
        with suppress(OSError):  # another program has it, which is fine too
            taken.enter_context(socket.create_server(("", demo.PORT)))
        terminal = idle_service.terminal([sys.executable, demo.__file__], env={"TMPDIR": str(place)})
        terminal.sees("Waiting for calls")
        terminal.type("\x04")
        assert terminal.exit_status() == 0


@pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed")
def test_a_closed_window_leaves_no_daemon_behind(idle_service: Service, place: Path) -> None:
    with tmux(place, {**idle_service.env, "TMPDIR": str(place)}) as window:
        window.type(f"{sys.executable} {demo.__file__}")
        window.press("Enter")
        window.sees("Waiting for calls")
        with _cleaned_up(place):
            window.close()
