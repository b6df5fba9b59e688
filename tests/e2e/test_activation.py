"""`pychatd run` with what systemd gives it: sockets, a place for notices, a watchdog."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pychat_client.errors import ExitStatus
from tests.daemon.passing import passing
from tests.e2e.harness import BIN, PATIENCE, Line, wait_for

IDLE = "2"


class Manager:
    """What systemd is to a line: it keeps the sockets, starts the daemon, and hears of it."""

    def __init__(self, line: Line) -> None:
        self.line = line
        line.place.mkdir(parents=True)
        self.path = line.place / "console.sock"
        self.tcp = socket.create_server(("127.0.0.1", line.port))
        self.console = socket.socket(socket.AF_UNIX)
        self.console.bind(str(self.path))
        self.console.listen()
        self._notices = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._notices.bind(str(line.directory / "notify"))
        self._notices.setblocking(False)
        self._heard: list[str] = []

    def start(self, *options: str, **variables: str) -> subprocess.Popen[bytes]:
        variables["NOTIFY_SOCKET"] = str(self.line.directory / "notify")
        sockets = [self.tcp, self.console]
        words = passing(self.line.command("run", *options), sockets, **variables)
        process = self.line.popen(words, pass_fds=[sock.fileno() for sock in sockets])
        self.hears("READY=1")
        return process

    def heard(self) -> list[str]:
        """All notices so far."""
        try:
            while True:
                self._heard.append(self._notices.recv(4096).decode())
        except BlockingIOError:
            return self._heard

    def hears(self, words: str) -> None:
        """Waits for a notice with `words`, and forgets it and those before it."""
        wait_for(lambda: any(words in notice for notice in self.heard()), f"{words!r} for systemd")
        (at, *_) = [at for at, notice in enumerate(self._heard) if words in notice]
        del self._heard[: at + 1]

    def close(self) -> None:
        for sock in (self.tcp, self.console, self._notices):
            sock.close()


@pytest.fixture
def manager(idle_line: Line) -> Iterator[Manager]:
    manager = Manager(idle_line)
    yield manager
    manager.close()


def test_it_serves_on_the_sockets_it_is_given_and_leaves_them(manager: Manager) -> None:
    line = manager.line
    process = manager.start()
    console, client = line.talk()
    console.enter("Hello, Client1")
    client.sees("Server> Hello, Client1")
    assert line.status()["pid"] == process.pid
    assert not (line.place / "pid").exists()
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE) == 0
    assert manager.path.is_socket()
    manager.start()
    client.enter("Still here")
    console.sees("Client1> Still here")


def test_nobody_there_it_leaves_and_a_conversation_that_was_cut_goes_on(manager: Manager) -> None:
    line = manager.line
    options = ("--exit-idle", IDLE, "--turns", "free")
    process = manager.start(*options)
    caller = line.connect()
    caller.send("\\hello 1 Client1")
    (token,) = [word for word in caller.reads("\\hello").split() if word.startswith("session=")]
    caller.send("Client1> Hi!")
    caller.reads("\\ack 1")
    time.sleep(float(IDLE) + 0.5)  # longer than it would wait for somebody
    assert process.poll() is None
    caller.reset()
    assert process.wait(PATIENCE) == 0
    manager.hears("STATUS=The next call or console starts the line again.")
    manager.hears("STOPPING=1")
    assert process.stderr
    assert b"INFO Nobody has been here for 2 s: leaving until the next call\n" in process.stderr.read()

    caller = line.connect()  # it waits in systemd's socket
    caller.send(f"\\hello 1 Client1 {token} got=0")
    manager.start(*options)
    assert token in caller.reads("\\hello")
    caller.send("Client1> I am back", "\\quit")
    caller.reads("\\ack 2")


def test_a_console_that_is_attached_keeps_it_there(manager: Manager) -> None:
    caller = manager.line.connect()  # keeps it there until the console is
    process = manager.start("--exit-idle", IDLE)
    console = manager.line.console()
    console.sees("Waiting for calls")
    caller.close()
    time.sleep(float(IDLE) + 0.5)
    assert process.poll() is None
    console.enter("\\detach")
    assert process.wait(PATIENCE) == 0


@pytest.mark.parametrize("command", ["start", "run"])
def test_where_nobody_keeps_the_sockets_it_does_not_leave(idle_line: Line, command: str) -> None:
    file = idle_line.configure("exit_idle = 60")
    result = idle_line.pychatd(command, "--config", file)
    assert result.returncode == ExitStatus.USAGE
    assert result.stderr.startswith("pychatd: exit_idle needs systemd's pychatd@.socket")
    assert len(result.stderr.splitlines()) == 1


def test_stop_tells_who_can_stop_a_line_of_systemd(manager: Manager) -> None:
    manager.start()
    result = manager.line.pychatd("stop")
    assert result.returncode == ExitStatus.FAILED
    port = manager.line.port
    assert result.stderr == (
        f"pychatd: systemd runs the service on port {port}: stop it with 'systemctl stop pychatd@{port}.socket'.\n"
    )


def test_addresses_that_systemd_did_not_ask_for_are_told_to_change_nothing(manager: Manager) -> None:
    process = manager.start("--listen", "127.0.0.1")
    assert process.stderr
    assert process.stderr.readline() == (
        b"WARNING The setting listen changes nothing: systemd opens the port, at its unit's ListenStream=\n"
    )


def test_systemd_is_told_how_the_line_fares(manager: Manager) -> None:
    line = manager.line
    process = manager.start()
    manager.hears("STATUS=Waiting for a caller.")
    caller = line.greeted()
    caller.send("Client1> Hi!")
    manager.hears("STATUS=Talking with Client1 from 127.0.0.1:")
    caller.reset()
    manager.hears("STATUS=Waiting for Client1 to come back.")
    before = time.monotonic_ns() // 1000
    process.send_signal(signal.SIGHUP)
    wait_for(lambda: any("READY=1" in notice for notice in manager.heard()), "the reload is over")
    reloading = manager.heard()[0]
    assert reloading.startswith("RELOADING=1\nMONOTONIC_USEC=")
    assert before <= int(reloading.rpartition("=")[2]) <= time.monotonic_ns() // 1000
    process.send_signal(signal.SIGTERM)
    manager.hears("STOPPING=1")


def test_the_watchdog_is_fed_while_the_event_loop_runs_and_not_while_it_hangs(manager: Manager) -> None:
    file = Path(manager.line.configure(""))
    process = manager.start("--config", str(file), WATCHDOG_USEC="100000")
    for _ in range(3):
        manager.hears("WATCHDOG=1")
    file.unlink()
    os.mkfifo(file)  # reading it again hangs until somebody writes
    process.send_signal(signal.SIGHUP)
    manager.hears("RELOADING=1")
    manager.heard().clear()
    time.sleep(0.5)
    assert manager.heard() == []
    file.write_text("")
    manager.hears("READY=1")
    manager.hears("WATCHDOG=1")


def test_what_a_hung_daemon_did_is_in_the_log_when_the_watchdog_ends_it(manager: Manager) -> None:
    process = manager.start()
    process.send_signal(signal.SIGABRT)
    assert process.wait(PATIENCE) == -signal.SIGABRT
    assert process.stderr
    assert b"Fatal Python error: Aborted" in process.stderr.read()


def test_seconds_that_are_too_few_are_refused(idle_line: Line) -> None:
    words = [str(BIN / "pychatd"), "run", str(idle_line.port), "--exit-idle", "1"]
    result = subprocess.run(
        words, env=idle_line.env, text=True, capture_output=True, check=False, timeout=PATIENCE
    )
    assert result.returncode == ExitStatus.USAGE
    assert "exit_idle: at least 2 seconds are needed" in result.stderr
