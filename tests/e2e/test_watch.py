"""`pychatd-console --watch`: the user's hook starts for what nobody reads, also after a crash and an idle exit."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pychat_client.errors import ExitStatus
from pychatd.conversation.watchers import OF_ONE_USER
from pychatd.watch import LOOK_SECONDS
from tests.support.programs import Piped
from tests.support.service import BIN, Service
from tests.support.waiting import PATIENCE, wait_for

Watch = Callable[..., Piped]


@pytest.fixture
def calls(idle_service: Service) -> Path:
    """What the hook has been called with."""
    directory = idle_service.directory
    calls, hook = directory / "calls", directory / "hook"
    hook.write_text(f'#!/bin/sh\nprintf "%s|%s\\n" "$PYCHAT_EVENT" "$PYCHAT_WORDS" >> {calls}\n')
    hook.chmod(0o755)
    file = directory / "config/pychat/config.toml"
    file.parent.mkdir(parents=True)
    file.write_text(f'hook = ["{hook}"]\n')
    calls.touch()
    return calls


def _watch(service: Service, *options: str, all_services: bool = False) -> Piped:
    words = [*_words(service), *options]
    return Piped(service.popen(words if all_services else [*words, str(service.port)]))


def _words(service: Service) -> list[str]:
    return [str(BIN / "pychatd-console"), "--watch", "--runtime-directory", str(service.runtime)]


def _called(calls: Path, line: str, count: int = 1) -> None:
    wait_for(lambda: calls.read_text().splitlines().count(line) == count, f"{line!r}", shown=calls.read_text)


def test_the_hook_starts_at_once_and_once_for_what_is_unread(calls: Path, service: Service) -> None:
    watching = _watch(service)
    watching.says(f"port {service.port}: watching")
    caller = service.greeted()
    _called(calls, f"calling|port {service.port}: Client1 is calling")
    begin = time.monotonic()
    caller.send("Client1> Hi!")
    caller.reads("\\ack 1")
    _called(calls, f"message|port {service.port}: Client1> Hi!")
    assert time.monotonic() - begin < 1.0
    watching.says("Client1> Hi!")
    caller.send("\\ring", "\\quit bye")
    _called(calls, f"ring|port {service.port}: Client1 rings")
    watching.says('the conversation with Client1 has ended: "bye"')
    assert "message" in calls.read_text()
    assert calls.read_text().count("message|") == 1
    watching.process.send_signal(signal.SIGTERM)
    assert watching.exit_status() == ExitStatus.INTERRUPTED


def test_a_watcher_says_that_no_service_runs_on_its_port(idle_service: Service) -> None:
    watching = _watch(idle_service)
    words = f"No service runs on port {idle_service.port}, or it sleeps until the next call. Waiting for it."
    watching.notes(f"pychatd-console: {words}\n")
    idle_service.start()
    watching.says(f"port {idle_service.port}: watching")
    second = _watch(idle_service)
    second.says("watching")
    assert second.notices() == ""


def test_a_watcher_ends_when_nobody_reads_what_it_writes(service: Service) -> None:
    reader, writer = os.pipe()
    watching = service.popen([*_words(service), str(service.port)], stdout=writer, stderr=writer)
    os.close(writer)
    assert b"watching, the service runs\n" in os.read(reader, 1000)
    os.close(reader)
    service.greeted()
    assert watching.wait(PATIENCE) == ExitStatus.FAILED


def test_no_hook_starts_while_a_console_reads(calls: Path, service: Service) -> None:
    watching = _watch(service)
    watching.says("watching")
    console, client = service.talk()
    watching.says("a console is attached")
    console.enter("\\detach")
    assert console.exit_status() == 0
    watching.says("no console is attached any more")
    client.sees("is not at the console now")
    client.enter("\\ring")
    _called(calls, f"ring|port {service.port}: Client1 rings")
    client.sees("You asked Server for attention")
    assert "message|" not in calls.read_text()


def test_the_hook_starts_again_while_it_stays_unread(calls: Path, service: Service) -> None:
    caller = service.greeted()
    caller.send("Client1> Hi!")
    caller.reads("\\ack 1")
    watching = _watch(service, "--remind", "1s")
    _called(calls, f"message|port {service.port}: Client1> Hi!", 2)
    console = service.console()
    watching.says("a console is attached")
    console.sees("Client1> Hi!")


def test_a_watcher_survives_a_killed_daemon(calls: Path, service: Service) -> None:
    begin = datetime.now(UTC).replace(microsecond=0)
    watching = _watch(service, "--json")
    watching.says('"watching"')
    service.kill()
    watching.says('"down"')
    service.start()
    caller = service.greeted()
    caller.send("Client1> Hi!")
    caller.reads("\\ack 1")
    _called(calls, f"message|port {service.port}: Client1> Hi!")
    watching.says('"text": "Hi!"')
    objects = [json.loads(line) for line in watching.out().splitlines()]
    assert all(one["v"] == 1 and one["port"] == service.port for one in objects)
    assert all(datetime.fromisoformat(one["time"]) >= begin for one in objects)


def test_a_watcher_that_comes_back_tells_nothing_twice(service: Service) -> None:
    watching = _watch(service, "--json")
    for text in ("one", "two"):
        caller = service.greeted()
        caller.send(f"Client1> {text}", "\\quit")
        caller.rest()
        watching.says(f'"text": "{text}"')
        watching.says('"ended"')
        service.kill()
        service.start()
    watching.process.send_signal(signal.SIGTERM)
    watching.exit_status()
    objects = [json.loads(line) for line in watching.out().splitlines()]
    assert [one["text"] for one in objects if one["type"] == "message"] == ["one", "two"]


def test_without_a_port_a_service_that_comes_later_is_watched(service: Service, tmp_path: Path) -> None:
    watching = _watch(service, all_services=True)
    watching.says(f"port {service.port}: watching")
    (tmp_path / "second").mkdir()
    second = Service(tmp_path / "second", runtime=service.runtime)
    try:
        second.start()
        watching.says(f"port {second.port}: watching")
    finally:
        second.close()


def test_one_watcher_too_many_says_so_and_puts_out_none(service: Service, tmp_path: Path) -> None:
    watching = [_watch(service) for _ in range(OF_ONE_USER)]
    for one in watching:
        one.says("watching")
    refused, calm = _watch(service), _watch(service, all_services=True)
    assert refused.exit_status() == ExitStatus.TAKEN
    assert refused.notices() == (
        f"pychatd-console: Not watching port {service.port}: 4 programs of your user watch it already. "
        "End one of them first.\n"
    )
    calm.says(f"port {service.port}: not watching: 4 programs")
    (tmp_path / "second").mkdir()
    second = Service(tmp_path / "second", runtime=service.runtime)
    try:
        second.start()
        calm.says(f"port {second.port}: watching")
    finally:
        second.close()
    assert calm.out().count("not watching") == 1
    assert "not running" not in calm.out().split(f"port {second.port}")[0]
    assert all(one.process.poll() is None for one in watching)
    calm.process.terminate()
    calm.exit_status()
    service.kill()
    service.start()
    for one in watching:
        wait_for(lambda one=one: one.out().count(": watching,") == 2, "it watches again")  # type: ignore[misc]


def test_a_watcher_sleeps_until_a_service_comes(idle_service: Service) -> None:
    idle_service.runtime.mkdir(exist_ok=True)
    watching = _watch(idle_service, all_services=True)
    status = Path(f"/proc/{watching.process.pid}/status")

    def wakes_up() -> bool:
        times = re.compile(r"^voluntary_ctxt_switches:\s*(\d+)$", re.MULTILINE)
        before = times.findall(status.read_text())
        time.sleep(5 * LOOK_SECONDS)
        return bool(before) and times.findall(status.read_text()) != before

    wait_for(lambda: watching.process.poll() is None and not wakes_up(), "it sleeps")
    idle_service.start()
    begin = time.monotonic()
    watching.says(f"port {idle_service.port}: watching")
    assert time.monotonic() - begin < 4 * LOOK_SECONDS


def test_a_change_in_a_directory_while_it_ends_does_no_harm(service: Service) -> None:
    """The signal that tells of it would end a program that expects it no more."""
    watching = _watch(service)
    watching.says("watching")
    watching.process.send_signal(signal.SIGTERM)
    new = service.runtime / "new"
    end = time.monotonic() + PATIENCE
    while watching.process.poll() is None and time.monotonic() < end:
        new.touch()
        new.unlink()
    assert watching.exit_status() == ExitStatus.INTERRUPTED
    assert watching.notices() == ""


@pytest.fixture
def unprivileged() -> list[str]:
    """What to put in front of a command, so that the modes of files count for root too."""
    if os.geteuid() != 0:
        return []
    if shutil.which("setpriv") is None:
        pytest.skip("root may do everything, and setpriv is not installed")
    less = "-dac_override,-dac_read_search"
    return ["setpriv", "--bounding-set", less, "--inh-caps", less]


def test_a_port_in_a_directory_of_others_is_a_sentence(tmp_path: Path, unprivileged: list[str]) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o000)
    if unprivileged:
        os.chown(closed, 65534, 65534)
    words = [*unprivileged, str(BIN / "pychatd-console"), "--watch", "7001", "--runtime-directory", str(closed)]
    result = subprocess.run(words, capture_output=True, text=True, timeout=PATIENCE, check=False)
    closed.chmod(0o700)
    assert f"Permission denied for {closed}/7001/console.sock: " in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert result.returncode == ExitStatus.REFUSED


@pytest.mark.parametrize("options", [("--remind", "soon"), ("--remind", "0m"), ("--history",)])
def test_wrong_use_is_a_sentence(idle_service: Service, options: tuple[str, ...]) -> None:
    watching = _watch(idle_service, *options)
    assert watching.exit_status() == ExitStatus.USAGE
    assert len(watching.notices().splitlines()) == 1
