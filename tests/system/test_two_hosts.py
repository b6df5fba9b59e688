"""Two hosts with a cable between them, each with the Debian packages and nothing else of ours."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from pychat_client import __version__
from tests.support.programs import Piped
from tests.support.waiting import wait_for
from tests.system.conftest import booted
from tests.system.machine import BUILD_SECONDS, SUITES, Machine, connect
from tests.system.system_service import SystemService
from tests.system.test_debian import APT, build

pytestmark = [pytest.mark.system, pytest.mark.timeout(BUILD_SECONDS + 300)]

ADDRESSES = ("10.77.0.1", "10.77.0.2")
USERS = "useradd --create-home alice; useradd --create-home bob"
NAMES = f"printf '%s\\n' '{ADDRESSES[0]} hosta' '{ADDRESSES[1]} hostb' >>/etc/hosts"


@pytest.fixture(scope="module", params=SUITES)
def hosts(request: pytest.FixtureRequest) -> Iterator[tuple[Machine, Machine]]:
    """Host A and host B."""
    packages = build(__version__, "two")
    with ExitStack() as stack:
        a, b = (stack.enter_context(booted(request.param, f"{USERS}; {NAMES}")) for _ in range(2))
        for machine in (a, b):
            machine.run(f"{APT} install {packages}; usermod --append --groups pychat alice")
        connect(a, b, ADDRESSES)
        yield a, b


def _command(operator: Piped) -> list[str]:
    """The command for the other user, as `pychat listen` prints it."""
    wait_for(lambda: "--invite" in operator.out(), "the invitation")
    found = re.search(r"^ +(pychat hosta \d+ --invite [0-9A-Z-]+)$", operator.out(), re.MULTILINE)
    assert found, operator.out()
    return found[1].split()


def test_one_command_on_each_host_and_no_question(hosts: tuple[Machine, Machine]) -> None:
    """The programs get pipes: they would end where they wanted to ask something."""
    a, b = hosts
    began = time.monotonic()
    operator = a.piped("pychat", "listen", "--host", "hosta", "--plain", user="alice")
    command = _command(operator)
    printed = time.monotonic()
    caller = b.piped(*command, "--plain", user="bob")
    caller.notes("Send the first message")
    caller.enter("Hi!")
    operator.says("bob> Hi!")
    ready = time.monotonic()
    print(f"{printed - began:.1f} s to the command, {ready - printed:.1f} s from it to the first message")
    operator.enter("\\status")
    operator.notes("The caller has the certificate of guest1.")
    caller.enter("\\status")
    caller.notes('The host has the key of your invitation. The host knows you as "guest1".')
    operator.enter("Hello, Bob")
    caller.says("alice> Hello, Bob")
    caller.enter("\\quit")
    assert caller.exit_status() == 0
    operator.end_input()
    assert operator.exit_status() == 0
    assert a.run("pgrep --full 'pychatd [r]un|pychatd [s]tart'", check=False).stdout == ""


@pytest.fixture
def service(hosts: tuple[Machine, Machine]) -> Iterator[SystemService]:
    service = SystemService(hosts[0], 7100)
    service.start()
    yield service
    service.stop()


@pytest.mark.parametrize("at_once", [False, True], ids=["in order", "without power"])
def test_a_conversation_outlives_a_reboot_of_host_b(
    hosts: tuple[Machine, Machine], service: SystemService, at_once: bool
) -> None:
    a, b = hosts
    words = ("pychat", "--plain", "--accept-new", "hosta", str(service.port))
    console = service.console()
    console.notes("Waiting for calls")
    caller = b.piped(*words, "--handle", "Client1", user="bob")
    caller.notes("Send the first message")
    caller.enter("one")
    console.says("Client1> one")
    console.enter("two")
    caller.says("alice> two")
    caller.enter("three")
    caller.enter("not yet")  # it is not his turn
    console.says("Client1> three")
    caller.notes("held until your turn: not yet")
    b.reboot(at_once=at_once)
    connect(a, b, ADDRESSES)
    console.enter("four")
    back = b.piped(*words, user="bob")
    back.notes("Connected to alice again.")
    back.says("alice> two\nalice> four\n")
    assert "sent earlier: one\n" in back.notices()
    console.says("Client1> not yet")
    for text in ("one", "three", "not yet"):
        assert console.out().count(f"Client1> {text}\n") == 1
    assert "Busy" not in back.notices()
    assert "window" not in back.notices()
    back.enter("\\quit")
    assert back.exit_status() == 0
    console.end_input()
    assert console.exit_status() == 0
