"""`pychatd run` with what systemd gives it: sockets, an address for notices, a watchdog."""

from __future__ import annotations

import signal
import socket
import subprocess
import time
from collections.abc import Iterator

import pytest

from pychat_client.errors import ExitStatus
from tests.support.service import BIN, Service
from tests.support.socket_passing import passing
from tests.support.waiting import PATIENCE, wait_for

IDLE = "2"


class Manager:
    """Does what systemd does for a service: keeps the sockets, starts the daemon, gets its notices."""

    def __init__(self, service: Service) -> None:
        self.service = service
        service.place.mkdir(parents=True)
        self.path = service.place / "console.sock"
        self.tcp = socket.create_server(("127.0.0.1", service.port))
        self.console = socket.socket(socket.AF_UNIX)
        self.console.bind(str(self.path))
        self.console.listen()
        self._notices = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._notices.bind(str(service.directory / "notify"))
        self._notices.setblocking(False)
        self._heard: list[str] = []

    def start(self, *options: str, **variables: str) -> subprocess.Popen[bytes]:
        variables["NOTIFY_SOCKET"] = str(self.service.directory / "notify")
        sockets = [self.tcp, self.console]
        words = passing(self.service.command("run", *options), sockets, **variables)
        process = self.service.popen(words, pass_fds=[sock.fileno() for sock in sockets])
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
def manager(idle_service: Service) -> Iterator[Manager]:
    manager = Manager(idle_service)
    yield manager
    manager.close()


def test_it_serves_on_passed_sockets_and_does_not_remove_them(manager: Manager) -> None:
    service = manager.service
    process = manager.start()
    console, client = service.talk()
    console.enter("Hello, Client1")
    client.sees("Server> Hello, Client1")
    assert service.status()["pid"] == process.pid
    assert not (service.place / "pid").exists()
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE) == 0
    assert manager.path.is_socket()
    manager.start()
    client.enter("Still here")
    console.sees("Client1> Still here")


def test_it_exits_when_idle_and_a_conversation_goes_on(manager: Manager) -> None:
    service = manager.service
    options = ("--exit-idle", IDLE, "--turns", "free")
    process = manager.start(*options)
    caller = service.connect()
    caller.send("\\hello 1 Client1")
    (token,) = [word for word in caller.reads("\\hello").split() if word.startswith("session=")]
    caller.send("Client1> Hi!")
    caller.reads("\\ack 1")
    time.sleep(float(IDLE) + 0.5)  # longer than exit_idle
    assert process.poll() is None
    caller.reset()
    assert process.wait(PATIENCE) == 0
    manager.hears("STATUS=The next call or console starts the daemon again.")
    manager.hears("STOPPING=1")
    assert process.stderr
    assert b"INFO No connection for 2 s: exiting until the next call\n" in process.stderr.read()

    caller = service.connect()  # it waits in systemd's socket
    caller.send(f"\\hello 1 Client1 {token} got=0")
    manager.start(*options)
    assert token in caller.reads("\\hello")
    caller.send("Client1> I am back", "\\quit")
    caller.reads("\\ack 2")


def test_an_attached_console_keeps_it_running(manager: Manager) -> None:
    caller = manager.service.connect()  # keeps it there until the console is
    process = manager.start("--exit-idle", IDLE)
    console = manager.service.console()
    console.sees("Waiting for calls")
    caller.close()
    time.sleep(float(IDLE) + 0.5)
    assert process.poll() is None
    console.enter("\\detach")
    assert process.wait(PATIENCE) == 0


def test_a_watcher_misses_nothing_and_keeps_no_daemon_awake(manager: Manager) -> None:
    """systemd makes and removes the directory that tells that the daemon runs; here the test does."""
    service = manager.service
    awake = service.runtime.with_name(f"{service.runtime.name}-awake") / str(service.port)
    watching = service.ready_watcher()
    process = manager.start("--exit-idle", IDLE)
    awake.mkdir(parents=True)
    watching.says("watching")
    assert process.wait(PATIENCE) == 0  # and the file is still there: systemd takes its time
    watching.says("asleep until the next call")
    manager.console.setblocking(False)
    time.sleep(1.0)  # twice as long as a watcher waits before it looks again
    with pytest.raises(BlockingIOError):  # nobody has connected, so systemd would start nothing
        manager.console.accept()
    caller = service.connect()
    caller.send("Client1> Hi!")
    manager.start("--exit-idle", IDLE)
    awake.touch()
    watching.says("Client1> Hi!")


def test_exit_idle_has_no_effect_without_systemds_sockets(idle_service: Service) -> None:
    """One line for the services of systemd does not keep down those of `pychatd start`, nor end them."""
    words = "exit_idle has no effect: without systemd's pychatd@.socket, no call could start the daemon again."
    service = idle_service
    service.start("--config", service.configure(""))
    service.configure("exit_idle = 2")
    reloaded = service.pychatd("reload")
    assert (reloaded.returncode, reloaded.stdout) == (ExitStatus.OK, f"{words}\n")
    service.kill(signal.SIGTERM)
    started = service.pychatd("start", "--config", str(service.directory / "pychatd.toml"))
    assert (started.returncode, started.stderr) == (ExitStatus.OK, f"pychatd: {words}\n")
    service.logs(words)
    pid = service.pid()
    time.sleep(2.5)  # longer than exit_idle
    assert service.status()["pid"] == pid


def test_stop_names_systemds_command_for_its_service(manager: Manager) -> None:
    manager.start()
    result = manager.service.pychatd("stop")
    assert result.returncode == ExitStatus.FAILED
    port = manager.service.port
    assert result.stderr == (
        f"pychatd: systemd runs the service on port {port}: stop it with 'systemctl stop pychatd@{port}.socket'.\n"
    )


def test_listen_has_no_effect_with_passed_sockets(manager: Manager) -> None:
    process = manager.start("--listen", "127.0.0.1")
    assert process.stderr
    assert process.stderr.readline() == (
        b"WARNING 'listen' has no effect: ListenStream= in systemd's socket unit opens the port.\n"
    )


def test_systemd_gets_the_status_of_the_service(manager: Manager) -> None:
    service = manager.service
    process = manager.start()
    manager.hears("STATUS=Waiting for a caller.")
    caller = service.greeted()
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


HANGING = """
import os, pathlib, signal, time

def hang(*_):
    path = pathlib.Path(os.environ["HANGS"])
    path.touch()
    while path.exists():
        time.sleep(0.01)

signal.signal(signal.SIGUSR2, hang)
"""
"""For a daemon whose event loop hangs as long as a file is there."""


def test_the_watchdog_is_fed_only_while_the_event_loop_runs(manager: Manager) -> None:
    directory = manager.service.directory
    (directory / "sitecustomize.py").write_text(HANGING)
    process = manager.start(WATCHDOG_USEC="100000", PYTHONPATH=str(directory), HANGS=str(directory / "hangs"))
    for _ in range(3):
        manager.hears("WATCHDOG=1")
    process.send_signal(signal.SIGUSR2)
    wait_for((directory / "hangs").exists, "the event loop hangs")
    manager.heard().clear()
    time.sleep(0.5)
    assert manager.heard() == []
    (directory / "hangs").unlink()
    manager.hears("WATCHDOG=1")
    manager.hears("WATCHDOG=1")


def test_the_watchdogs_signal_logs_where_the_daemon_hangs(manager: Manager) -> None:
    process = manager.start()
    process.send_signal(signal.SIGABRT)
    assert process.wait(PATIENCE) == -signal.SIGABRT
    assert process.stderr
    assert b"Fatal Python error: Aborted" in process.stderr.read()


def test_too_short_an_exit_idle_is_refused(idle_service: Service) -> None:
    words = [str(BIN / "pychatd"), "run", str(idle_service.port), "--exit-idle", "1"]
    result = subprocess.run(
        words, env=idle_service.env, text=True, capture_output=True, check=False, timeout=PATIENCE
    )
    assert result.returncode == ExitStatus.USAGE
    assert "--exit-idle: use at least 2 seconds" in result.stderr
