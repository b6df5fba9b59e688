"""pychatd@.service on a real systemd: confined, and everything works in there."""

from __future__ import annotations

import json

import pytest

from pychat_client.errors import ExitStatus
from tests.support.waiting import wait_for
from tests.system.machine import BUILD_SECONDS, Machine
from tests.system.system_service import SystemService

pytestmark = [pytest.mark.system, pytest.mark.timeout(BUILD_SECONDS + 120)]

EXPOSURE_LIVE, EXPOSURE_OFFLINE = 4, 4
"""Tenths of what `systemd-analyze security` may find; the unit tells the reasons for what is left."""

_BREAK_THE_PROTOCOL = """
import socket, sys
with socket.create_connection(("127.0.0.1", int(sys.argv[1]))) as sock:
    sock.sendall(b"\\\\hello 2 Client1 x=secret\\n")
    assert b"error version" in sock.makefile("rb").read()
"""

_CALL = """
import socket, sys
with socket.create_connection(("127.0.0.1", int(sys.argv[1]))) as sock:
    sock.sendall(b"\\\\hello 1 Eve\\n")
    sock.makefile("rb").read()
"""


def test_the_units_are_clean(machine: Machine) -> None:
    result = machine.run("systemd-analyze verify --man=no pychatd@7000.service pychatd@7000.socket")
    assert result.stdout + result.stderr == ""


def test_it_is_confined(service: SystemService) -> None:
    service.machine.run(f"systemd-analyze security --threshold={EXPOSURE_LIVE} {service.unit}")


def test_its_file_says_so(machine: Machine) -> None:
    file = "/etc/systemd/system/pychatd@.service"
    machine.run(f"systemd-analyze security --offline=true --threshold={EXPOSURE_OFFLINE} {file}")


def test_started_it_serves_and_says_so(service: SystemService) -> None:
    assert service.show("ActiveState") == "active"
    assert service.show("StatusText") == "Waiting for a caller."
    assert f"serves on 0.0.0.0:{service.port}, [::]:{service.port}" in "\n".join(service.journal())
    assert service.machine.run(f"stat -c '%a %U %G' {service.runtime}/console.sock {service.state}").stdout == (
        f"660 root pychat\n700 pychatd-{service.port} pychat\n"
    )


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_two_people_talk(service: SystemService, host: str) -> None:
    console = service.console()
    console.notes("Waiting for calls")
    client = service.client(host=host)
    client.notes("Send the first message")
    client.enter("Hi!")
    console.says("Client1> Hi!")
    service.has_status("Talking with Client1 from ")
    console.enter("Hello, Client1")
    client.says("alice> Hello, Client1")
    client.enter("\\quit")
    assert client.exit_status() == ExitStatus.OK
    console.notes("Client1 ended the conversation.")
    service.has_status("Waiting for a caller.")
    service.logs("console: alice")


def test_the_console_is_for_members_of_the_group(service: SystemService) -> None:
    for command in ("pychatd-console", "pychatd status"):
        outsider = service.machine.run(f"{command} {service.port}", user="bob", check=False)
        assert outsider.returncode == ExitStatus.REFUSED
        assert f"Permission denied for {service.runtime}/console.sock: " in outsider.stderr
        assert "to add you to the group pychat, then log in again." in outsider.stderr
    member = service.machine.run(f"pychatd status {service.port}", user="alice")
    assert "No conversation." in member.stdout


def test_killed_it_comes_back_and_so_does_the_conversation(service: SystemService) -> None:
    console, client = service.talk()
    killed = service.show("MainPID")
    service.machine.run(f"kill -KILL {killed}")
    wait_for(lambda: service.is_active() and service.show("MainPID") != killed, "it is started again")
    service.has_status("Talking with Client1 from ")
    console.enter("Still there?")
    client.says("alice> Still there?")
    client.enter("Yes")
    console.says("Client1> Yes")
    assert console.out().count("Hi!") == 1


def test_a_caller_during_a_restart_waits_and_is_greeted(idle_service: SystemService) -> None:
    with idle_service.drop_in("service", "[Service]\nRestartSec=5s"):
        idle_service.start()
        idle_service.machine.run(f"kill -KILL {idle_service.show('MainPID')}")
        wait_for(lambda: idle_service.show("SubState") == "auto-restart", "it is killed")
        client = idle_service.client()
        assert idle_service.show("SubState") == "auto-restart", "the call comes too late"
        client.notes("Send the first message")
        assert idle_service.is_active()


def test_restarted_its_sockets_stay_open(service: SystemService) -> None:
    opened = service.show("ActiveEnterTimestampMonotonic", service.socket)
    service.machine.run(f"systemctl restart {service.unit}")
    assert service.show("ActiveEnterTimestampMonotonic", service.socket) == opened
    service.client().notes("Send the first message")


def test_hung_it_is_killed_by_the_watchdog_and_started_again(idle_service: SystemService) -> None:
    with idle_service.drop_in("service", "[Service]\nWatchdogSec=1s"):
        idle_service.start()
        console, client = idle_service.talk()
        hung = idle_service.show("MainPID")
        idle_service.machine.run(f"kill -STOP {hung}")
        wait_for(lambda: idle_service.is_active() and idle_service.show("MainPID") != hung, "it is started again")
        idle_service.logs("Watchdog timeout", "-p err")
        console.enter("Still there?")
        client.says("alice> Still there?")


def test_while_it_is_fed_the_watchdog_does_nothing(service: SystemService) -> None:
    assert service.show("WatchdogUSec") == "3min"
    with service.drop_in("service", "[Service]\nWatchdogSec=1s"):
        service.machine.run(f"systemctl restart {service.unit}")
        fed = service.show("WatchdogTimestampMonotonic")
        for _ in range(4):  # each is half a second
            before = fed
            wait_for(lambda: service.show("WatchdogTimestampMonotonic") != before, "it is fed")  # noqa: B023
            fed = service.show("WatchdogTimestampMonotonic")
        assert service.show("NRestarts") == "0"


@pytest.mark.parametrize("kind", ["service", "socket"])
def test_restarted_it_goes_on_with_the_conversation(service: SystemService, kind: str) -> None:
    console, client = service.talk()
    before = service.show("MainPID")
    service.machine.run(f"systemctl restart pychatd@{service.port}.{kind}")
    wait_for(lambda: service.is_active() and service.show("MainPID") != before, "it is started again")
    console.enter("Still there?")
    client.says("alice> Still there?")


def test_an_own_key_is_a_credential_that_only_root_can_read(
    idle_service: SystemService, other_service: SystemService
) -> None:
    machine, place = idle_service.machine, "/etc/pychatd-test"
    machine.run(
        f"install -d -m 700 {place}; cd {place}; umask 077; pem={other_service.state}/identity.pem\n"
        "sed -n '/BEGIN.*PRIVATE KEY/,/END.*PRIVATE KEY/p' $pem >key.pem\n"
        "sed -n '/BEGIN CERT/,/END CERT/p' $pem >certificate.pem"
    )
    credentials = [f"LoadCredential={name}.pem:{place}/{name}.pem" for name in ("key", "certificate")]
    with idle_service.drop_in("service", "\n".join(["[Service]", *credentials])):
        idle_service.start()
        own, other = (
            machine.run(f"pychatd fingerprint {each.port}", user="alice").stdout
            for each in (idle_service, other_service)
        )
        assert own == other
        assert not machine.exists(f"{idle_service.state}/identity.pem")
        idle_service.talk()


def test_reload_reads_the_configuration_again(service: SystemService) -> None:
    pid = service.show("MainPID")
    with service.configured('turns = "free"'):
        service.reload()
        service.logs("The configuration has been reloaded")
    assert '"turns": "free"' in service.machine.run(f"pychatd status --json {service.port}").stdout
    with service.configured('turn = "free"'):
        assert service.machine.run(f"systemctl reload {service.unit}", check=False).returncode != 0
        service.logs("The configuration was not reloaded", "-p err")
    assert service.show("MainPID") == pid
    assert service.show("ActiveState") == "active"


def test_with_a_wrong_configuration_it_fails_once(service: SystemService) -> None:
    service.stop()
    with service.configured('turn = "free"'):
        started = service.machine.run(f"systemctl start {service.unit}", check=False)
    assert started.returncode != 0
    assert (service.show("ActiveState"), service.show("NRestarts")) == ("failed", "0")
    service.logs("pychatd.toml: turn: unknown setting", "-p err")


def test_stopped_it_leaves_its_state_alone(service: SystemService) -> None:
    console, client = service.talk()
    client.enter("\\quit")
    client.exit_status()
    service.stop()
    assert service.show("Result") == "success"
    console.end_input()
    assert not service.machine.exists(service.runtime)
    assert service.machine.run(f"ls {service.state}").stdout.split() == ["identity.pem", "journal.db"]
    service.start()
    history = service.machine.run(f"pychatd-console --history {service.port}", user="alice")
    assert "Client1> Hi!" in history.stdout


def test_two_services_do_not_see_each_other(service: SystemService, other_service: SystemService) -> None:
    user, other = (
        each.machine.run(f"stat -c %u {each.state}").stdout.strip() for each in (service, other_service)
    )
    assert user != other
    within = (
        f"nsenter --target {service.show('MainPID')} --mount setpriv --reuid {user} --regid pychat --clear-groups"
    )
    for own, foreign in ((service.state, other_service.state), (service.runtime, other_service.runtime)):
        service.machine.run(f"{within} ls {own}")
        result = service.machine.run(f"{within} ls {foreign}", check=False)
        assert "No such file or directory" in result.stderr
    # Nor would its user outside of that view.
    as_user = f"setpriv --reuid {user} --regid {user} --clear-groups"
    assert "Permission denied" in service.machine.run(f"{as_user} ls {other_service.state}", check=False).stderr
    call = f"import socket; socket.socket(socket.AF_UNIX).connect('{other_service.runtime}/console.sock')"
    assert "Permission denied" in service.machine.run(f'{as_user} python3 -c "{call}"', check=False).stderr


def test_the_journal_has_the_fields_of_the_page(service: SystemService) -> None:
    """docs/systemd.md: each caller that does not get in can be searched for."""
    service.talk()
    service.machine.run(f"python3 -c '{_CALL}' {service.port}")
    fields = f"PYCHAT_EVENT=busy PYCHAT_PORT={service.port} PYCHAT_PEER=127.0.0.1"
    search = f"journalctl --sync; journalctl -q -b -o json {fields}"
    wait_for(lambda: service.machine.run(search).stdout, "the busy call in the journal")
    (entry,) = map(json.loads, service.machine.run(search).stdout.splitlines())
    assert entry["_SYSTEMD_UNIT"] == service.unit
    assert "127.0.0.1" in entry["MESSAGE"]


def test_the_journal_has_priorities_and_no_words(service: SystemService) -> None:
    console, client = service.talk()
    console.enter("a secret answer")
    client.says("a secret answer")
    client.enter("a secret question")
    console.says("a secret question")
    client.enter("\\quit a secret reason")
    client.exit_status()
    service.logs("ended by the peer", "-p info")
    service.machine.run(f"python3 -c '{_BREAK_THE_PROTOCOL}' {service.port}")
    with service.configured("exit_idle = 60"):
        service.reload()
        service.logs("Restart the service to apply: exit_idle", "-p warning")
    with service.configured('turn = "a secret setting"'):
        service.machine.run(f"systemctl reload {service.unit}", check=False)
        service.logs("pychatd: The configuration was not reloaded", "-p err")
    broken, later, not_reloaded, reload_failed, *_ = service.journal("-p warning")  # systemd has a line, too
    assert broken.endswith("broke the protocol (version)")
    assert later.startswith("Restart the service to apply: ")
    assert service.journal("-p err")[:2] == [not_reloaded, reload_failed]
    everything = service.machine.run("journalctl --sync; journalctl -q -o verbose --all").stdout
    for words in ("Hi!", "secret"):
        assert words not in everything
