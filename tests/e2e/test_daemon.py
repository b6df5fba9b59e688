"""Starting, stopping and asking the daemon: exit statuses, sentences, and the daemon as a process."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import sqlite3
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from pathlib import Path

import pytest

from pychat_client.session.transcript import local
from tests.support.ports import free_port
from tests.support.service import BIN, Service
from tests.support.waiting import PATIENCE, wait_for


@pytest.fixture
def nobody() -> list[str]:
    """What to put in front of a command to run it without any privilege; empty where we have none."""
    if os.geteuid() != 0:
        return []
    if shutil.which("setpriv") is None:
        pytest.skip("root may do everything, and setpriv is not installed")
    return ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]


@pytest.fixture
def open_directory() -> Iterator[Path]:
    """A directory that everybody may write to, as /tmp (the one of pytest is ours alone)."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o1777)
        yield Path(name)


def _sentence(result: subprocess.CompletedProcess[str]) -> str:
    """The one line that was written, and it is no traceback."""
    (line,) = result.stderr.splitlines()
    assert line.startswith("pychatd: ")
    assert result.stdout == ""
    return line


# ------------------------------------------------------------------ start


def test_start_returns_when_the_daemon_serves(idle_service: Service) -> None:
    assert idle_service.pychatd("start").returncode == 0
    caller = idle_service.greeted()
    caller.send("Client1> Hi!")
    assert caller.reads("\\ack") == "\\ack 1"


def test_start_prints_nothing_on_success(idle_service: Service) -> None:
    result = idle_service.pychatd("start")
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_a_key_that_was_lost_is_told_when_another_one_is_made(service: Service) -> None:
    service.kill(signal.SIGTERM)
    key = service.state / str(service.port) / "identity.pem"
    key.rename(key.with_name("copy.pem"))
    said = service.pychatd("start").stderr
    assert f"The key {key} was missing" in said
    assert "put the copy in the place of the new key" in said
    service.logs("was missing, although this service has a journal")
    assert service.pychatd("reload").stdout == ""
    service.kill(signal.SIGTERM)
    assert service.pychatd("start").stderr == ""


def test_start_names_the_pid_of_a_running_daemon(service: Service) -> None:
    for command in ("start", "run"):
        result = service.pychatd(command)
        assert result.returncode == 4
        port, pid = service.port, service.pid()
        assert _sentence(result) == (
            f"pychatd: Port {port}: pychatd is already running, with pid {pid}. "
            f"'pychatd-console {port}' opens its console, 'pychatd stop {port}' ends it."
        )
    assert service.alive()


def test_start_says_that_the_port_is_in_use(idle_service: Service) -> None:
    with socket.create_server(("127.0.0.1", idle_service.port)):
        result = idle_service.pychatd("start")
    assert result.returncode == 4
    assert f"Port {idle_service.port} is in use" in _sentence(result)
    idle_service.start()


def test_a_start_that_fails_late_leaves_nothing(idle_service: Service) -> None:
    _make_newer_journal(idle_service.state / str(idle_service.port))
    result = idle_service.pychatd("start")
    assert result.returncode != 0
    assert "journal" in _sentence(result)
    assert list(idle_service.runtime.iterdir()) == []


def _make_newer_journal(directory: Path) -> None:
    """The journal of a newer pychatd."""
    directory.mkdir(parents=True)
    with closing(sqlite3.connect(directory / "journal.db")) as journal:
        journal.execute("PRAGMA user_version = 99")


def test_a_late_failure_names_a_path_that_is_not_utf_8(idle_service: Service) -> None:
    state = idle_service.directory / os.fsdecode(b"st\xe4te")
    _make_newer_journal(state / str(idle_service.port))
    result = idle_service.pychatd("start", "--state-directory", str(state))
    assert "st\\udce4te" in _sentence(result)


def test_a_start_without_python_daemon_writes_nothing(idle_service: Service) -> None:
    without = "import sys; sys.modules['daemon'] = None; from pychatd.daemon_cli import main; main()"
    result = subprocess.run(
        [sys.executable, "-c", without, *idle_service.command("start")[1:]],
        env=idle_service.env,
        text=True,
        capture_output=True,
        timeout=PATIENCE,
        check=False,
    )
    assert "install 'pychat[daemon]'" in result.stderr
    assert not idle_service.runtime.exists()
    assert not idle_service.state.exists()


def test_start_says_that_a_directory_cannot_be_made(idle_service: Service) -> None:
    (idle_service.directory / "state").write_text("a file in the way")
    result = idle_service.pychatd("start")
    assert result.returncode == 5
    assert str(idle_service.directory / "state") in _sentence(result)


def test_start_says_that_a_directory_cannot_be_written(
    idle_service: Service, open_directory: Path, nobody: list[str]
) -> None:
    (open_directory / "run").mkdir()
    (open_directory / "run").chmod(0o1777)
    closed = open_directory / "state" / str(idle_service.port)
    closed.mkdir(parents=True)
    closed.chmod(0o555)
    result = _start_in(open_directory, idle_service.port, nobody)
    assert result.returncode == 5
    assert str(closed) in _sentence(result)


def test_a_port_below_1024_needs_a_privilege(open_directory: Path, nobody: list[str]) -> None:
    if int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text()) < 1024:
        pytest.skip("this system opens all ports to everybody")
    result = _start_in(open_directory, 783, nobody)
    assert result.returncode == 5
    assert "Cannot open port 783" in _sentence(result)


def _start_in(directory: Path, port: int, nobody: list[str]) -> subprocess.CompletedProcess[str]:
    words = [*nobody, str(BIN / "pychatd"), "start", str(port), "--syslog", str(directory / "log")]
    places = ["--runtime-directory", str(directory / "run"), "--state-directory", str(directory / "state")]
    words += places
    env = {**os.environ, "HOME": str(directory)}
    return subprocess.run(words, env=env, text=True, capture_output=True, timeout=PATIENCE, check=False)


def test_an_unreadable_home_directory_gets_a_sentence(tmp_path: Path, nobody: list[str]) -> None:
    (tmp_path / "home").mkdir(mode=0)
    env = {**os.environ, "HOME": str(tmp_path / "home")}
    env.pop("XDG_CONFIG_HOME", None)
    words = [*nobody, str(BIN / "pychatd"), "start", str(free_port())]
    result = subprocess.run(words, env=env, text=True, capture_output=True, timeout=PATIENCE, check=False)
    assert result.returncode in (2, 5)
    assert str(tmp_path / "home") in _sentence(result)


def test_a_daemon_starts_after_one_that_was_killed(service: Service) -> None:
    service.kill(signal.SIGKILL)
    assert (service.place / "pid").exists()
    assert (service.place / "console.sock").exists()
    assert service.pychatd("status").returncode == 3
    service.start()
    console, client = service.talk()
    console.enter("Hello")
    client.sees("Server> Hello")


def test_start_survives_a_closed_stdin(idle_service: Service) -> None:
    words = ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", *idle_service.command("start")]
    assert subprocess.run(words, env=idle_service.env, timeout=PATIENCE, check=False).returncode == 0
    assert idle_service.alive()


# ------------------------------------------------------------------ stop and status


def test_stop_returns_when_the_daemon_is_gone(service: Service) -> None:
    pid = service.pid()
    result = service.pychatd("stop")
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    assert not _runs(pid)
    assert not (service.place / "pid").exists()
    assert not (service.place / "console.sock").exists()
    service.start()


def test_stop_and_status_say_that_nothing_runs(idle_service: Service) -> None:
    port = idle_service.port
    for command, advice in (
        ("stop", "'pychatd status' shows which ones run."),
        ("status", f"Start one: 'pychatd start {port}', "),
    ):
        result = idle_service.pychatd(command)
        assert result.returncode == 3
        assert f"No service runs on port {port}. {advice}" in _sentence(result)


def test_a_daemon_without_its_socket_is_started_again(service: Service) -> None:
    (service.place / "console.sock").unlink()
    result = service.pychatd("status")
    assert result.returncode == 1
    assert f"Stop it with 'pychatd stop {service.port}', and start it again." in _sentence(result)
    assert service.pychatd("stop").returncode == 0
    service.start()
    assert service.pychatd("status").returncode == 0


def test_status_shows_the_caller_and_the_time(service: Service) -> None:
    words = service.pychatd("status").stdout
    assert f"Port {service.port}: pychatd is running (pid {service.pid()}, since 2" in words
    assert "No conversation" in words
    console, _ = service.talk()
    words = service.pychatd("status").stdout
    assert "Client1 from " in words
    report = service.status()
    begun, called = (local(datetime.fromisoformat(one["since"])) for one in (report, report["peer"]))
    assert f"since {begun})" in words
    assert f"has talked since {called} (1 message received, 0 sent)" in words
    assert (report["port"], report["pid"]) == (service.port, service.pid())
    peer = report["peer"]
    assert (peer["handle"], peer["connected"], peer["received"], peer["sent"]) == ("Client1", True, 1, 0)
    assert peer["since"] >= report["since"]
    assert report["console"]["handle"] == "Server"
    assert f"(pid {console.child.pid})" in report["console"]["user"]


def test_status_without_a_port_shows_every_service(service: Service, tmp_path: Path) -> None:
    (tmp_path / "2").mkdir()
    other = Service(tmp_path / "2", runtime=service.runtime)
    try:
        other.start()
        words = [str(BIN / "pychatd"), "status", "--json", "--runtime-directory", str(service.runtime)]
        result = subprocess.run(words, text=True, capture_output=True, timeout=PATIENCE, check=False)
        assert result.returncode == 0
        assert {json.loads(row)["port"] for row in result.stdout.splitlines()} == {service.port, other.port}
    finally:
        other.close()


# ------------------------------------------------------------------ the process


def test_the_daemon_is_detached_and_private(service: Service) -> None:
    pid = service.pid()
    proc = Path("/proc", str(pid))
    assert os.getsid(pid) == os.getpgid(pid) != os.getsid(0)
    fields = (proc / "stat").read_text().rsplit(") ", 1)[1].split()
    assert fields[4] == "0"  # no controlling terminal
    assert "Umask:\t0077" in (proc / "status").read_text()
    if os.geteuid() != 0:  # only root can look further (core_dumps.py)
        return
    assert (proc / "cwd").readlink() == Path("/")
    for fd in ("0", "1", "2"):
        assert (proc / "fd" / fd).readlink() == Path("/dev/null")


def test_the_daemon_closes_inherited_descriptors(idle_service: Service) -> None:
    reader, writer = os.pipe()
    assert idle_service.pychatd("start", pass_fds=[writer]).returncode == 0
    os.close(writer)
    assert os.read(reader, 1) == b""  # the end: nobody else holds the writer
    os.close(reader)


@pytest.mark.parametrize("umask", [0o000, 0o077])
def test_private_files_are_private_with_any_umask(idle_service: Service, umask: int) -> None:
    """And what is above them is open: other services have their directories there."""
    old = os.umask(umask)
    try:
        assert idle_service.pychatd("start").returncode == 0
    finally:
        os.umask(old)
    idle_service.talk()
    modes = {
        idle_service.runtime: 0o755,
        idle_service.state: 0o755,
        idle_service.place: 0o700,
        idle_service.state / str(idle_service.port): 0o700,
        idle_service.place / "console.sock": 0o660,
        **dict.fromkeys((idle_service.state / str(idle_service.port)).iterdir(), 0o600),
    }
    assert any(path.name == "journal.db" for path in modes)
    assert {path: stat.S_IMODE(path.stat().st_mode) for path in modes} == modes


def test_relative_directories_start_at_the_working_directory(idle_service: Service, tmp_path: Path) -> None:
    words = [str(BIN / "pychatd"), "start", str(idle_service.port), "--syslog", str(idle_service.syslog)]
    places = ["--runtime-directory", "run", "--state-directory", "state"]
    assert subprocess.run([*words, *places], cwd=tmp_path, timeout=PATIENCE, check=False).returncode == 0
    assert idle_service.alive()
    assert (idle_service.state / str(idle_service.port) / "journal.db").exists()


def test_after_a_conversation_the_daemon_waits_for_the_next_peer(service: Service) -> None:
    pid = service.pid()
    for _ in range(3):
        caller = service.greeted()
        caller.send("Client1> Hi!")
        assert caller.reads("\\ack") == "\\ack 1"
        caller.send("\\quit")
        caller.rest()
        wait_for(lambda: service.status()["peer"] is None, "the conversation is over")
    assert service.pid() == pid


def test_run_stays_in_the_foreground_and_logs_to_stderr(idle_service: Service) -> None:
    process = idle_service.popen(idle_service.command("run"))
    assert process.stderr
    assert process.stderr.readline().startswith(b"INFO pychatd serves on ")
    assert idle_service.pid() == process.pid
    caller = idle_service.greeted()
    caller.send("Client1> Hi!", "\\quit")
    caller.rest()
    caller.close()  # or the stop waits for it
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE) == 0
    assert re.sub(r"127.0.0.1:[0-9]+", "HERE", process.stderr.read().decode()).splitlines() == [
        "INFO HERE: Client1 calls",
        "INFO HERE: conversation 1: Client1 is connected",
        "INFO HERE: conversation 1: ended by the peer, unread from the peer: 1",
        "INFO SIGTERM: stopping",
        "INFO pychatd has stopped",
    ]
    assert process.stdout
    assert process.stdout.read() == b""
    assert not idle_service.log()


def _runs(pid: int) -> bool:
    """Whether a process lives (one that is dead and not yet reaped does not)."""
    try:
        return Path("/proc", str(pid), "stat").read_text().rsplit(") ", 1)[1][0] != "Z"
    except OSError:
        return False
