"""A service of a real systemd moves, by the commands of docs/operations.md, and its caller goes on."""

from __future__ import annotations

import pytest

from tests.e2e.test_operations import blocks
from tests.support.waiting import wait_for
from tests.system.machine import BUILD_SECONDS
from tests.system.system_service import SystemService

pytestmark = [pytest.mark.system, pytest.mark.timeout(BUILD_SECONDS + 120)]


def test_a_service_moves_and_its_caller_goes_on(service: SystemService) -> None:
    """The new host is the old one without the service's directory."""
    leave, arrive = (block.replace("7000", str(service.port)) for block in blocks("Another host"))
    machine = service.machine
    fingerprint = machine.run(f"pychatd fingerprint {service.port}").stdout
    console, client = service.talk()
    machine.run(f"mkdir /root/move-{service.port}; cd /root/move-{service.port}; {leave}")
    machine.run(f"rm -r {service.state} /var/lib/pychatd/{service.port}")
    assert machine.run(f"cd /root/move-{service.port}; {arrive}").stdout == fingerprint
    assert machine.run(f"stat --format=%U {service.state}/journal.db").stdout == f"pychatd-{service.port}\n"
    wait_for(lambda: "Talking with Client1" in service.show("StatusText"), "the caller is back", 60)
    console.enter("here")
    client.says("alice> here")
    client.enter("after")
    console.says("Client1> after")
