"""Programs that break the rules of version 1 get a clear error, and harm nobody else.

tests/daemon/test_switchboard.py has every rule; these are samples through real sockets and programs.
"""

from __future__ import annotations

from contextlib import suppress

import pytest

from tests.support.service import Service
from tests.support.waiting import wait_for


def _serves(service: Service) -> None:
    """The daemon takes calls as before."""
    wait_for(
        lambda: service.status()["peer"] is None or not service.status()["peer"]["connected"], "the seat is left"
    )
    caller = service.connect()
    caller.send("\\hello 1 Next")
    assert caller.reads("\\hello", "\\busy")
    caller.close()


@pytest.mark.parametrize(
    ("code", "data"),
    [("utf-8", b"\\hello 1 Cl\xffent\n"), ("too-long", b"\\hello 1 Client1 x=" + b"x" * 5000)],
)
def test_a_bad_hello_gets_its_code(service: Service, code: str, data: bytes) -> None:
    caller = service.connect()
    caller.raw(data)
    (answer,) = caller.rest()
    assert answer.startswith(f"\\error {code} ")
    assert len(answer.split()) > 3  # words for people
    _serves(service)


@pytest.mark.parametrize(
    ("code", "data"), [("control", b"Client1> Hi\x1b[2J!\n"), ("turn", b"Client1> and another\n")]
)
def test_a_broken_rule_loses_no_acked_message(service: Service, code: str, data: bytes) -> None:
    console = service.ready_console()
    caller = service.connect()
    session = caller.greet("Client1")
    caller.send("Client1> Hi!")
    assert caller.reads("\\ack") == "\\ack 1"
    caller.raw(data)
    answer = caller.reads("\\error")
    assert answer.startswith(f"\\error {code} ")
    assert len(answer.split()) > 3
    assert caller.rest() == []
    caller.close()
    console.sees("Client1> Hi!")
    assert service.status()["peer"]["received"] == 1
    _serves(service)
    again = service.connect()
    again.send(f"\\hello 1 Client1 {session} got=0")
    assert "got=1" in again.line().split()


def test_ten_megabytes_without_a_line_end_are_not_kept(service: Service) -> None:
    before = _memory(service)
    caller = service.greeted()
    caller.raw(b"Client1> ")
    with suppress(BrokenPipeError, ConnectionResetError):  # behind the error, the daemon reads only a little
        for _ in range(160):
            caller.raw(b"x" * 65536)
            assert _memory(service) - before < 4000
    assert caller.reads("\\error").startswith("\\error too-long ")
    assert _memory(service) - before < 4000
    caller.close()
    _serves(service)


def test_a_reset_in_the_middle_of_a_line_harms_nobody(service: Service) -> None:
    console, client = service.talk()
    for data in (b"", b"\\hel", b"\\hello 1 Client1\nClient1> half a li", b"half a li"):
        caller = service.connect()
        caller.raw(data)
        caller.reset()
        console.enter(f"undisturbed by {len(data)}")
        client.sees(f"Server> undisturbed by {len(data)}")
        client.enter(f"Indeed, {len(data)}")
        console.sees(f"Client1> Indeed, {len(data)}")
    assert "half" not in console.text()


def test_a_peer_reset_in_the_middle_of_a_line_can_come_back(service: Service) -> None:
    console = service.ready_console()
    caller = service.connect()
    session = caller.greet("Client1")
    caller.send("Client1> Hi!")
    assert caller.reads("\\ack") == "\\ack 1"
    console.sees("Client1> Hi!")
    console.enter("Go on")
    caller.reads("Server> Go on")
    caller.raw(b"Client1> half a li")
    caller.reset()
    console.sees("Client1 is not connected")
    again = service.connect()
    again.send(f"\\hello 1 Client1 {session} got=1", "Client1> half a line no more")
    assert "got=1" in again.line().split()
    assert again.reads("\\ack") == "\\ack 2"
    console.sees("Client1> half a line no more")
    assert console.text().count("half a li") == 1


def test_a_hundred_connections_do_not_disturb_a_talk(service: Service) -> None:
    console, client = service.talk()
    crowd = [service.connect() for _ in range(100)]
    console.enter("undisturbed")
    client.sees("Server> undisturbed")
    for caller in crowd:
        caller.close()
    client.enter("indeed")
    console.sees("Client1> indeed")


def _memory(service: Service) -> int:
    """KiB that the daemon holds."""
    with open(f"/proc/{service.pid()}/status") as file:  # noqa: PTH123 -- one line of it
        return next(int(row.split()[1]) for row in file if row.startswith("VmRSS"))
