"""pychatd@.socket on a real systemd: what wakes a service, when it leaves, and where it listens."""

from __future__ import annotations

import pytest

from pychat_client.errors import ExitStatus
from tests.support.waiting import wait_for
from tests.system.machine import BUILD_SECONDS
from tests.system.system_service import SystemService

pytestmark = [pytest.mark.system, pytest.mark.timeout(BUILD_SECONDS + 120)]


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_call_wakes_a_service(idle_service: SystemService, host: str) -> None:
    idle_service.listen()
    assert idle_service.has_left()
    client = idle_service.client(host=host)
    client.notes("Send the first message")
    assert idle_service.is_active()


def test_a_console_wakes_a_service_without_its_port(idle_service: SystemService) -> None:
    idle_service.listen()
    found = idle_service.machine.run("pychatd-console --plain </dev/null", user="alice")
    assert f"Waiting for calls on port {idle_service.port}." in found.stderr
    assert idle_service.is_active()


def test_an_outsider_does_not_wake_it_by_its_console(idle_service: SystemService) -> None:
    idle_service.listen()
    outsider = idle_service.machine.run(f"pychatd-console {idle_service.port}", user="bob", check=False)
    assert outsider.returncode == ExitStatus.REFUSED
    assert idle_service.has_left()


def test_when_nobody_is_there_it_leaves_until_the_next_one_comes(idle_service: SystemService) -> None:
    with idle_service.configured(f"[port.{idle_service.port}]\nexit_idle = 2"):
        idle_service.start()
        console, client = idle_service.talk()
        client.enter("\\quit")
        assert client.exit_status() == ExitStatus.OK
        console.notes("Client1 ended the conversation.")
        assert idle_service.is_active()
        console.end_input()
        wait_for(idle_service.has_left, "it leaves")
        idle_service.logs("No connection for 2 s", "-p info")
        idle_service.has_status("The next call or console starts the daemon again.")
        assert idle_service.show("NRestarts") == "0"
        assert idle_service.journal("-p notice") == []

        history = idle_service.machine.run(f"pychatd-console --history {idle_service.port}", user="alice")
        assert "Client1> Hi!" in history.stdout
        wait_for(idle_service.has_left, "it leaves again")
        status = idle_service.machine.run(f"pychatd status {idle_service.port}", user="alice")
        assert "No conversation." in status.stdout
        wait_for(idle_service.has_left, "it leaves once more")
        idle_service.talk()


def test_a_returning_caller_wakes_the_service_and_talks_on(service: SystemService) -> None:
    console, client = service.talk()
    service.stop()
    client.notes("The daemon is stopping.")
    service.listen()
    wait_for(service.is_active, "somebody has called again")
    console.enter("Still there?")
    client.says("alice> Still there?")


def test_stopped_it_takes_no_calls(service: SystemService) -> None:
    service.stop()
    assert not service.machine.exists(service.runtime)
    words = f"pychat --plain --accept-new --handle Client1 127.0.0.1 {service.port} </dev/null"
    assert service.machine.run(words, check=False).returncode == ExitStatus.ABSENT
    assert service.has_left()


def test_its_service_stopped_alone_the_next_call_starts_it(service: SystemService) -> None:
    service.machine.run(f"systemctl stop {service.unit}")
    assert service.has_left()
    service.client().notes("Send the first message")
    assert service.is_active()


def test_a_service_that_root_has_started_is_left_alone(idle_service: SystemService) -> None:
    machine, port = idle_service.machine, idle_service.port
    machine.run(f"pychatd start {port}")
    assert machine.run(f"systemctl start {idle_service.unit}", check=False).returncode != 0
    wait_for(lambda: idle_service.show("ActiveState", idle_service.socket) == "failed", "the port is another's")
    assert "No conversation." in machine.run(f"pychatd status {port}").stdout
    machine.run(f"pychatd stop {port}; systemctl reset-failed {idle_service.socket}")


@pytest.mark.parametrize(
    "end", ["pychatd stop {port}", "kill -KILL $(cat {runtime}/pid)"], ids=["stopped", "killed"]
)
def test_after_a_service_of_root_the_group_can_use_the_console(idle_service: SystemService, end: str) -> None:
    machine, port = idle_service.machine, idle_service.port
    machine.run(f"pychatd start {port}; {end.format(port=port, runtime=idle_service.runtime)}")
    wait_for(
        lambda: machine.run(f"pychatd status {port}", check=False).returncode == ExitStatus.ABSENT, "it is gone"
    )
    idle_service.start()
    assert "No conversation." in machine.run(f"pychatd status {port}", user="alice").stdout
    idle_service.stop()
    assert not machine.exists(idle_service.runtime)


def test_pychatd_stop_tells_what_stops_it(service: SystemService) -> None:
    refused = service.machine.run(f"pychatd stop {service.port}", check=False)
    assert refused.returncode == ExitStatus.FAILED
    words = f"systemctl stop pychatd@{service.port}.socket"
    assert f"systemd runs the service on port {service.port}: stop it with '{words}'." in refused.stderr
    service.machine.run(words)
    assert service.has_left()


def test_a_low_port_needs_no_privilege_of_the_daemon(idle_service: SystemService) -> None:
    low = SystemService(idle_service.machine, 99)
    low.start()
    try:
        client = low.client()
        client.notes("Send the first message")
        assert low.show("User") == "pychatd-99"
    finally:
        low.stop()


def test_a_port_in_use_is_told(service: SystemService) -> None:
    taken = SystemService(service.machine, service.port + 1000)
    with taken.drop_in("socket", f"[Socket]\nListenStream=0.0.0.0:{service.port}"):
        refused = service.machine.run(f"systemctl start {taken.unit}", check=False)
        assert refused.returncode != 0
        log = service.machine.run(f"journalctl --sync; journalctl -q -o cat -u {taken.socket}").stdout
        assert f"listening socket (0.0.0.0:{service.port})" in log  # systemd 252 may tell no more than that
    taken.stop()


def test_without_ipv6_it_serves_on_ipv4(idle_service: SystemService) -> None:
    switch = "sysctl -q -w net.ipv6.conf.all.disable_ipv6="
    idle_service.machine.run(f"{switch}1")
    try:
        idle_service.start()
        idle_service.client(host="127.0.0.1").notes("Send the first message")
    finally:
        idle_service.machine.run(f"{switch}0")


def test_a_drop_in_says_where_it_listens(idle_service: SystemService) -> None:
    lines = ["", "127.0.0.1:%i", "192.0.2.1:%i", "/run/pychatd/%i/console.sock"]
    addresses = "\n".join(f"ListenStream={line}" for line in lines)
    with idle_service.drop_in("socket", f"[Socket]\n{addresses}\nFreeBind=yes"):
        idle_service.start()
        port = idle_service.port
        idle_service.logs(f"pychatd serves on 127.0.0.1:{port}, 192.0.2.1:{port}, console at")
        idle_service.stop()


def test_a_drop_in_gives_the_console_to_another_group(idle_service: SystemService) -> None:
    with idle_service.drop_in("socket", "[Socket]\nSocketGroup=bob"):
        idle_service.start()
        status = f"pychatd status {idle_service.port}"
        assert "No conversation." in idle_service.machine.run(status, user="bob").stdout
        assert idle_service.machine.run(status, user="alice", check=False).returncode == ExitStatus.REFUSED
        idle_service.stop()


def test_a_service_that_cannot_start_closes_its_port(idle_service: SystemService) -> None:
    idle_service.listen()
    with idle_service.configured('turn = "free"'):
        assert idle_service.client().exit_status() in (ExitStatus.FAILED, ExitStatus.ABSENT)
        wait_for(lambda: idle_service.show("ActiveState", idle_service.socket) == "failed", "the port is closed")
    idle_service.logs("pychatd.toml: turn: unknown setting", "-p err")
    idle_service.machine.run(
        f"systemctl reset-failed 'pychatd@{idle_service.port}.*'; systemctl start {idle_service.unit}"
    )
    idle_service.client().notes("Send the first message")


@pytest.mark.parametrize(
    ("address", "sentence"),
    [
        ("/run/pychatd/%i/console.sock", "The socket unit has no ListenStream= for the port: add one"),
        ("127.0.0.1:%i", "The socket unit has no ListenStream= for the console's socket: add one"),
    ],
)
def test_a_socket_unit_without_both_sockets_fails_in_words(
    idle_service: SystemService, address: str, sentence: str
) -> None:
    with idle_service.drop_in("socket", f"[Socket]\nListenStream=\nListenStream={address}"):
        assert idle_service.machine.run(f"systemctl start {idle_service.unit}", check=False).returncode != 0
        idle_service.logs(sentence, "-p err")
        idle_service.stop()


def test_configured_addresses_are_ignored_and_logged(idle_service: SystemService) -> None:
    with idle_service.configured('listen = "127.0.0.1"'):
        idle_service.start()
    idle_service.logs("'listen' has no effect: ListenStream=", "-p warning")
    idle_service.client(host="::1").notes("Send the first message")


def test_a_drop_in_narrows_who_may_call(idle_service: SystemService) -> None:
    with idle_service.drop_in("socket", "[Socket]\nIPAddressDeny=any\nIPAddressAllow=127.0.0.0/8"):
        idle_service.start()
        idle_service.client(host="127.0.0.1").notes("Send the first message")
        call = f"timeout 2 python3 -c \"import socket; socket.create_connection(('::1', {idle_service.port}))\""
        assert idle_service.machine.run(call, check=False).returncode == 124, "it hears nothing"
        idle_service.stop()


def test_enabled_it_is_back_after_a_reboot(idle_service: SystemService, other_service: SystemService) -> None:
    machine = idle_service.machine
    machine.run(f"systemctl enable --now {idle_service.socket} {other_service.unit}")
    console, client = idle_service.talk()
    client.enter("\\quit")
    client.exit_status()
    console.end_input()
    machine.reboot()
    assert (
        machine.run(f"systemctl is-active {idle_service.socket} {other_service.unit}").stdout == "active\nactive\n"
    )
    assert idle_service.has_left()
    history = machine.run(f"pychatd-console --history {idle_service.port}", user="alice")
    assert "Client1> Hi!" in history.stdout
    idle_service.talk()
    other_service.talk()
    machine.run(f"systemctl disable {idle_service.socket} {other_service.unit}")
