"""A program whose output nobody reads: a signal ends it all the same, and no message is lost."""

from __future__ import annotations

import fcntl
import json
import signal
import termios

import pytest

from tests.e2e.test_json import Program
from tests.support.programs import Piped
from tests.support.service import Service
from tests.support.waiting import PATIENCE, wait_for

COUNT = 200
"""Messages that fill a pipe, and a terminal."""


def _flood(service: Service, console: Piped) -> None:
    for number in range(COUNT):
        console.enter(f"{number} {'x' * 400}")
    wait_for(lambda: service.status()["peer"]["sent"] == COUNT, "all is stored")


def _waiting(fd: int) -> int:
    """Bytes that nobody has read yet."""
    return int.from_bytes(fcntl.ioctl(fd, termios.FIONREAD, bytes(4)), "little")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT])
def test_a_signal_ends_a_program_whose_pipe_nobody_reads(idle_service: Service, number: signal.Signals) -> None:
    idle_service.start("--turns", "free")
    console = idle_service.ready_plain("pychatd-console")
    first = Program(idle_service, "pychat", "--handle", "Client1", "--repeat", "0")
    first.tells("state", connected=True)
    first.say(text="Hi!")
    console.says("Hi!")
    _flood(idle_service, console)
    wait_for(lambda: _waiting(first.piped.files()[0]) > 50_000, "the pipe is full")
    first.piped.process.send_signal(number)
    assert first.piped.process.wait(PATIENCE) == 1
    whole = first.piped.out().rpartition("\n")[0].splitlines()
    second = Program(idle_service, "pychat", "--handle", "Client1", "--repeat", "0")
    read = [told["text"] for told in map(json.loads, whole) if told["type"] == "message" and not told["own"]]
    assert 0 < len(read) < COUNT

    def texts() -> list[str]:
        return [told["text"] for told in second.told("message")]

    wait_for(lambda: texts() and texts()[-1].startswith(f"{COUNT - 1} "), "the last message")
    assert {int(text.split()[0]) for text in [*read, *texts()]} == {*range(COUNT)}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT])
def test_a_signal_ends_a_program_whose_terminal_nobody_reads(
    idle_service: Service, number: signal.Signals
) -> None:
    idle_service.start("--turns", "free")
    console = idle_service.ready_plain("pychatd-console")
    client = idle_service.ready_client()
    client.enter("Hi!")
    console.says("Hi!")
    client.update()
    _flood(idle_service, console)
    wait_for(lambda: _waiting(client.child.child_fd) > 3_000, "the terminal is full")
    client.child.kill(number)
    wait_for(lambda: not client.child.isalive(), "the program ends")
    assert client.child.exitstatus == 130
