"""Signals and the system log: an orderly stop, a forced one, a reload, and what the log says."""

from __future__ import annotations

import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

from pychat_client.transport.connection import FINISH_SECONDS
from tests.support.service import Service
from tests.support.waiting import PATIENCE, wait_for

STOPS = [signal.SIGINT, signal.SIGTERM]


@pytest.mark.parametrize("number", STOPS)
def test_both_sides_see_that_the_daemon_stops(service: Service, number: signal.Signals) -> None:
    console, client = service.talk()
    with service.ends():
        service.send(number)
    console.sees("The daemon is stopping.")
    client.sees("The daemon is stopping.")
    service.logs("has stopped")
    assert not (service.place / "console.sock").exists()
    assert service.pychatd("status").returncode == 3


def test_a_waiting_caller_sees_that_the_daemon_stops(service: Service) -> None:
    caller = service.greeted()
    with service.ends():
        service.send(signal.SIGTERM)
        assert caller.reads("\\error").startswith("\\error stopping ")
        caller.close()


@pytest.mark.parametrize("number", STOPS)
def test_a_second_signal_forces_the_stop(idle_service: Service, number: signal.Signals) -> None:
    process = idle_service.popen(idle_service.command("run"))
    wait_for(idle_service.alive, "the daemon serves")
    caller = idle_service.greeted()
    caller.send("Client1> Hi!")
    caller.reads("\\ack")
    process.send_signal(number)
    caller.reads("\\error stopping")  # and it does not close: the stop waits for it
    start = time.monotonic()
    process.send_signal(number)
    assert process.wait(PATIENCE) == 128 + number
    assert time.monotonic() - start < FINISH_SECONDS


def test_a_peer_that_does_not_close_only_delays_the_stop(service: Service) -> None:
    caller = service.greeted()
    caller.send("Client1> Hi!")
    caller.reads("\\ack")
    assert service.pychatd("stop").returncode == 0


@pytest.mark.parametrize("number", STOPS)
def test_a_signal_stops_a_background_job_of_a_script(idle_service: Service, number: signal.Signals) -> None:
    script = '"$@" & echo $!; wait $!; echo "status $?"'
    process = idle_service.popen(["sh", "-c", script, "sh", *idle_service.command("run")])
    assert process.stdout
    pid = int(process.stdout.readline())
    wait_for(idle_service.alive, "the daemon serves")
    assert idle_service.pid() == pid
    idle_service.kill(number)
    assert process.stdout.readline() == b"status 0\n"


# ------------------------------------------------------------------ reload


def test_sighup_reloads_the_configuration(idle_service: Service) -> None:
    idle_service.start("--config", idle_service.configure("handle = 'Alice'\n"))
    before = idle_service.connect()
    before.send("\\hello 1 Client1")
    assert before.line().startswith("\\hello 1 Alice ")
    before.send("\\quit")
    before.rest()
    pid = idle_service.pid()
    idle_service.configure("handle = 'Bob'\nturns = 'free'\n")
    idle_service.send(signal.SIGHUP)
    idle_service.logs("The configuration has been reloaded")
    after = idle_service.connect()
    after.send("\\hello 1 Client2")
    answer = after.line()
    assert answer.startswith("\\hello 1 Bob ")
    assert "turns=free" in answer
    assert idle_service.pid() == pid


def test_a_broken_configuration_is_logged_and_the_old_one_stays(idle_service: Service) -> None:
    file = idle_service.configure("handle = 'Alice'\n")
    idle_service.start("--config", file)
    idle_service.configure("handle = 'Elevenchars'\n")
    idle_service.send(signal.SIGHUP)
    idle_service.logs(f"not reloaded: {file}: handle: ")
    caller = idle_service.connect()
    caller.send("\\hello 1 Client1")
    assert caller.line().startswith("\\hello 1 Alice ")


def test_settings_that_need_a_restart_are_logged(idle_service: Service) -> None:
    idle_service.start("--config", idle_service.configure("handle = 'Alice'\n"))
    idle_service.configure("handle = 'Bob'\nlisten = '127.0.0.1'\n")
    idle_service.send(signal.SIGHUP)
    idle_service.logs("Restart the service to apply: listen.")


def test_sighup_does_not_disturb_a_conversation(service: Service) -> None:
    console, client = service.talk()
    service.send(signal.SIGHUP)
    service.logs("The configuration has been reloaded")
    console.enter("Hello")
    client.sees("Server> Hello")


# ------------------------------------------------------------------ the system log


def test_the_log_has_people_and_times_but_no_messages(service: Service) -> None:
    console, client = service.talk()
    console.enter("Rosebud is a word")
    client.sees("Server> Rosebud")
    client.enter("\\quit because of xylophones")
    assert client.exit_status() == 0
    console.type("\x04")
    assert console.exit_status() == 0
    service.logs("detached")
    pid = service.pid()
    with service.ends():
        service.send(signal.SIGTERM)
    service.logs("has stopped")
    entries = service.log()
    for entry in entries:
        priority, _, rest = entry.partition(">")
        assert int(priority.removeprefix("<")) // 8 == 3  # facility daemon
        assert rest.startswith(f"pychatd@{service.port}[{pid}]: ")
        assert "\0" not in entry
        assert "\n" not in entry
    whole = "\n".join(entries)
    for words in ("serves on", "console: ", " attached", "is connected", "ended by the peer", "detached"):
        assert words in whole
    for words in ("Hi!", "Rosebud", "xylophones"):
        assert words not in whole


def test_a_stranger_cannot_forge_a_log_line(service: Service) -> None:
    caller = service.connect()
    caller.send("\\hello 1 Client1", "\\error x\x1b[31mroot")
    caller.rest()
    caller = service.connect()
    caller.send("Evil\u202e> Hi!")
    wait_for(lambda: service.status()["peer"], "the message has arrived")
    caller.close()
    with service.ends():
        service.send(signal.SIGTERM)
    service.logs("has stopped")
    assert all(entry.isprintable() and "\u202e" not in entry for entry in service.log())


def test_the_daemon_serves_without_syslog(idle_service: Service) -> None:
    idle_service.syslog.unlink()
    idle_service.start()
    console, client = idle_service.talk()
    console.enter("Hello")
    client.sees("Server> Hello")
    assert idle_service.pychatd("stop").returncode == 0


def test_the_daemon_serves_when_syslog_goes_away(service: Service) -> None:
    service.syslog.unlink()
    console, client = service.talk()
    console.enter("Hello")
    client.sees("Server> Hello")
    assert service.pychatd("stop").returncode == 0


def test_the_daemon_serves_when_syslog_does_not_read(idle_service: Service) -> None:
    deaf = idle_service.directory / "deaf"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(deaf))
        idle_service.start("--syslog", str(deaf))
        holds = int(Path("/proc/sys/net/unix/max_dgram_qlen").read_text())
        for _ in range(min(holds, 1000) + 10):  # each is worth a line in the log
            caller = idle_service.connect()
            caller.send("\\hello 9 Client1")
            assert caller.reads("\\error version")
            caller.close()
        assert idle_service.alive()


def test_stop_by_another_user_is_not_permitted(service: Service) -> None:
    words = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *service.command("stop")]
    try:
        result = subprocess.run(words, text=True, capture_output=True, timeout=PATIENCE, check=False)
    except FileNotFoundError:
        pytest.skip("setpriv is not installed")
    if "setpriv" in result.stderr:
        pytest.skip("only root can become another user")
    assert result.returncode in (3, 5)
    assert "Traceback" not in result.stderr
    assert service.alive()
