"""`make run` ends what it has started."""

from __future__ import annotations

import os
import re
import select
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

import demo
from pychat_client.listen import PORT
from pychat_client.transport.interruptible import ENDING
from tests.support.programs import Piped
from tests.support.service import Service
from tests.support.tmux import tmux
from tests.support.user import known_hosts
from tests.support.waiting import PATIENCE, wait_for


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
        assert select.select([daemon], [], [], PATIENCE)[0]
    finally:
        with suppress(ProcessLookupError):  # it has ended
            signal.pidfd_send_signal(daemon, signal.SIGKILL)
        os.close(daemon)


def _without_terminal(service: Service, place: Path, **env: str) -> subprocess.Popen[bytes]:
    """`make run </dev/null`."""
    return subprocess.Popen(
        [sys.executable, demo.__file__],
        env={**service.env, "TMPDIR": str(place), **env},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


@pytest.mark.parametrize("options", ["handle = 7", "[contacts]", ""])
def test_it_plays_whatever_the_users_files_say(idle_service: Service, place: Path, options: str) -> None:
    file = idle_service.directory / "config/pychat/config.toml"
    file.parent.mkdir(parents=True)
    file.write_text(options)
    with _without_terminal(idle_service, place) as played:
        out, err = played.communicate(timeout=PATIENCE)
    assert (played.returncode, err) == (0, b"")
    assert out.endswith(b"(client and console ended with 0 and 0)\n")
    assert list(place.iterdir()) == []
    assert not known_hosts(idle_service).path.exists()


def test_a_program_that_fails_ends_it(idle_service: Service, place: Path) -> None:
    """The client cannot load a module of Python's."""
    (place / "lib").mkdir()
    module = "import sys\nif sys.argv[0].endswith('/pychat'): raise SystemExit('no client today')\n"
    (place / "lib/sitecustomize.py").write_text(module)
    with _without_terminal(idle_service, place, PYTHONPATH=str(place / "lib")) as played:
        _, err = played.communicate(timeout=PATIENCE)
    assert played.returncode == 1
    assert err.startswith(b"The conversation has stopped. The programs say:\n")
    assert b"no client today" in err
    assert [file.name for file in place.iterdir()] == ["lib"]


@pytest.mark.parametrize("number", ENDING)
def test_a_signal_at_any_time_leaves_no_daemon_behind(
    idle_service: Service, place: Path, number: signal.Signals
) -> None:
    with _without_terminal(idle_service, place) as played:
        wait_for(lambda: [file for file in place.glob("pychat-*/run/*/pid") if file.read_text()], "a daemon runs")
        with _cleaned_up(place):
            played.send_signal(number)
            assert played.wait(PATIENCE) == 128 + number


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM])
def test_a_signal_leaves_no_daemon_behind(idle_service: Service, place: Path, number: signal.Signals) -> None:
    terminal = idle_service.terminal([sys.executable, demo.__file__], env={"TMPDIR": str(place)})
    terminal.sees("Waiting for calls")
    with _cleaned_up(place):
        terminal.child.kill(number)
    assert terminal.exit_status() == 128 + number


def test_a_kill_leaves_no_daemon_behind(idle_service: Service, place: Path) -> None:
    terminal = idle_service.terminal([sys.executable, demo.__file__], env={"TMPDIR": str(place)})
    terminal.sees("Waiting for calls")
    with _cleaned_up(place):
        terminal.child.kill(signal.SIGKILL)


def test_the_caller_keeps_nothing_of_a_service_that_is_gone(idle_service: Service, place: Path) -> None:
    operator = idle_service.terminal([sys.executable, demo.__file__], env={"TMPDIR": str(place)}, columns=200)
    operator.sees("Waiting for calls")
    command = re.search(r"^ *(sh .* --invite [0-9A-Z-]+)", operator.text(), re.MULTILINE)
    assert command, operator.text()
    caller = Piped(idle_service.popen([*shlex.split(command[1]), "--handle", "Zoe"], env=idle_service.env))
    caller.notes("Send the first message")
    caller.enter("Hi!")
    operator.sees("Zoe> Hi!")
    operator.enter("\\quit")
    assert caller.exit_status() == 0
    operator.type("\x04")
    assert operator.exit_status() == 0
    assert list(place.iterdir()) == []
    assert [path for path in idle_service.directory.rglob("*") if path.is_file()] == []


def test_a_port_in_use_is_replaced_by_another(idle_service: Service, place: Path) -> None:
    with ExitStack() as taken:
        with suppress(OSError):  # another program has it, which is fine too
            taken.enter_context(socket.create_server(("", PORT)))
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
