"""Services that an administrator starts by hand, beside those of systemd; and users on a real machine."""

from __future__ import annotations

import pytest

from tests.support.waiting import wait_for
from tests.system.machine import BUILD_SECONDS, Machine
from tests.system.system_service import SystemService

pytestmark = [pytest.mark.system, pytest.mark.timeout(BUILD_SECONDS + 120)]


@pytest.mark.parametrize("umask", ["000", "022", "027", "077"])
def test_a_start_by_hand_leaves_room_for_units(machine: Machine, idle_service: SystemService, umask: str) -> None:
    port = 17000 + int(umask, 8)
    machine.run("rm -rf /run/pychatd")  # as before any unit has run since the boot
    machine.run(f"umask {umask}; pychatd start {port}")
    try:
        idle_service.start()
        wait_for(idle_service.is_active, "the unit serves")
        modes = "stat -c %a /run/pychatd /var/lib/pychatd"
        assert set(machine.run(modes).stdout.split()) == {"755"}
        assert f"Port {port}" in machine.run("pychatd status").stdout
        assert f"Port {idle_service.port}" in machine.run("pychatd status").stdout
    finally:
        machine.run(f"pychatd stop {port}")


@pytest.mark.parametrize("instance", ["007000", "70000", "0", "http"])
def test_a_unit_with_an_odd_port_says_what_is_wrong(machine: Machine, instance: str) -> None:
    unit = f"pychatd@{instance}.service"
    result = machine.run(f"systemctl start {unit}", check=False)
    assert result.returncode != 0
    lines = machine.run(f"journalctl --sync; journalctl -q -b -o cat -u {unit}").stdout
    assert "is not a valid port" in lines
    machine.run(f"systemctl reset-failed {unit}", check=False)


def test_a_conversation_outlives_both_programs_of_its_users(service: SystemService) -> None:
    console, client = service.talk()
    console.enter("Hello")
    client.says("alice> Hello")
    service.machine.run("pkill -9 -u bob")
    client.exit_status()
    console.notes("Client1 is not connected now")
    back = service.client(handle="Client1")
    back.notes("Connected to alice again.")
    back.says("alice> Hello")
    back.enter("Still here")
    console.says("Client1> Still here")
