"""`pychat` on a POSIX system that lacks what only Linux has: the names are taken away from Python's own modules.

The list of names is the type checker's (typeshed), so that none is forgotten.
"""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from tests.support import typeshed
from tests.support.programs import Terminal
from tests.support.service import BIN, Service

MODULES = ("fcntl", "os", "resource", "select", "signal", "socket")

TAKE_AWAY = """
import importlib, json, pathlib
for module, names in json.loads(pathlib.Path(__file__).with_name("names.json").read_text()).items():
    for name in names:
        vars(importlib.import_module(module)).pop(name, None)
"""


SYSTEMS = {"macOS": ("darwin",), "FreeBSD": ("freebsd14",), "neither": ("darwin", "freebsd14")}


def _missing(module: str, system: str) -> set[str]:
    """What Python lacks there; on "neither", what any of the two lacks."""
    return set().union(*(typeshed.missing(module, platform) for platform in SYSTEMS[system]))


every_system = pytest.mark.parametrize("other_system", SYSTEMS, indirect=True)


@pytest.fixture(params=["neither"])
def other_system(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, str]:
    """The environment in which Python has only what it has on another system, or on all of them."""
    directory = tmp_path / "other-system"
    directory.mkdir()
    (directory / "sitecustomize.py").write_text(TAKE_AWAY)
    names = {module: sorted(_missing(module, request.param)) for module in MODULES}
    (directory / "names.json").write_text(json.dumps(names))
    return {"PYTHONPATH": str(directory)}


def _client(service: Service, env: dict[str, str], *options: str) -> Terminal:
    words = [str(BIN / "pychat"), "--accept-new", "localhost", str(service.port), "--handle", "Client1", *options]
    return service.terminal(words, env=env)


def test_the_names_of_linux_are_known() -> None:
    assert {"TCP_INFO", "TCP_USER_TIMEOUT", "TCP_KEEPIDLE", "SO_PEERCRED"} <= _missing("socket", "macOS")
    assert {"O_PATH", "pidfd_open"} <= _missing("os", "FreeBSD")
    assert not {"SO_KEEPALIVE", "TCP_NODELAY"} & _missing("socket", "neither")


@every_system
def test_a_whole_talk(service: Service, other_system: dict[str, str]) -> None:
    console = service.ready_console()
    client = _client(service, other_system)
    client.sees("Send the first message")
    client.enter("Hi!")
    console.sees("Client1> Hi!")
    console.enter("Hello")
    client.sees("Server> Hello")
    client.enter("\\quit")
    console.sees("Client1 ended the conversation")
    assert client.exit_status() == 0


def test_a_killed_client_goes_on(service: Service, other_system: dict[str, str]) -> None:
    console = service.ready_console()
    client = _client(service, other_system)
    client.enter("Hi!")
    console.sees("Client1> Hi!")
    client.child.kill(signal.SIGKILL)
    again = _client(service, other_system)
    again.sees("Client1> Hi!")
    console.enter("Hello")
    again.sees("Server> Hello")


@every_system
def test_a_conversation_moves_to_another_window(service: Service, other_system: dict[str, str]) -> None:
    console = service.ready_console()
    client = _client(service, other_system)
    client.enter("Hi!")
    console.sees("Client1> Hi!")
    second = _client(service, other_system)
    second.sees("is open in another window")
    third = _client(service, other_system, "--take-over")
    console.enter("Hello")
    third.sees("Server> Hello")
    assert client.exit_status() == 4


def test_a_console_attaches(service: Service, other_system: dict[str, str]) -> None:
    words = [str(BIN / "pychatd-console"), str(service.port), "--runtime-directory", str(service.runtime)]
    service.terminal(words, env=other_system).sees("Waiting for calls")


@pytest.mark.parametrize("command", ["start", "run", "stop"])
def test_a_service_says_that_it_needs_linux(
    idle_service: Service, other_system: dict[str, str], command: str
) -> None:
    idle_service.env.update(other_system)
    result = idle_service.pychatd(command)
    assert result.returncode == 2
    assert result.stderr == (
        "pychatd: A service needs Linux. This system can only call one: run 'pychat HOST PORT'.\n"
    )


def test_without_linux_no_own_certificate_is_lost(service: Service, other_system: dict[str, str]) -> None:
    environment = {**service.env, **other_system}
    first, second = (
        service.popen([str(BIN / "pychat"), "certificate"], env=environment).communicate()[0] for _ in range(2)
    )
    assert first == second
    assert os.fsencode("BEGIN CERTIFICATE") in first
