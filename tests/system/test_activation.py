"""pychatd@.socket on a real systemd: who wakes a line, when it leaves, and where it listens."""

from __future__ import annotations

import pytest

from pychat_client.errors import ExitStatus
from tests.e2e.ends import wait_for
from tests.system.line import SystemLine
from tests.system.machine import BUILD_SECONDS

pytestmark = [pytest.mark.system, pytest.mark.timeout(BUILD_SECONDS + 120)]


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_call_wakes_a_line(idle_line: SystemLine, host: str) -> None:
    idle_line.listen()
    assert idle_line.has_left()
    client = idle_line.client(host=host)
    client.notes("Send the first message")
    assert idle_line.is_active()


def test_a_console_wakes_a_line_and_finds_it_without_its_port(idle_line: SystemLine) -> None:
    idle_line.listen()
    found = idle_line.machine.run("pychatd-console --plain </dev/null", user="alice")
    assert f"Waiting for calls on port {idle_line.port}." in found.stderr
    assert idle_line.is_active()


def test_an_outsider_does_not_wake_it_by_its_console(idle_line: SystemLine) -> None:
    idle_line.listen()
    outsider = idle_line.machine.run(f"pychatd-console {idle_line.port}", user="bob", check=False)
    assert outsider.returncode == ExitStatus.REFUSED
    assert idle_line.has_left()


def test_when_nobody_is_there_it_leaves_until_the_next_one_comes(idle_line: SystemLine) -> None:
    with idle_line.configured(f"[port.{idle_line.port}]\nexit_idle = 2"):
        idle_line.start()
        console, client = idle_line.talk()
        client.enter("\\quit")
        assert client.exit_status() == ExitStatus.OK
        console.notes("Client1 ended the conversation.")
        assert idle_line.is_active()
        console.end_input()
        wait_for(idle_line.has_left, "it leaves")
        idle_line.logs("No connection for 2 s", "-p info")
        idle_line.has_status("The next call or console starts the daemon again.")
        assert idle_line.show("NRestarts") == "0"
        assert idle_line.journal("-p notice") == []

        history = idle_line.machine.run(f"pychatd-console --history {idle_line.port}", user="alice")
        assert "Client1> Hi!" in history.stdout
        wait_for(idle_line.has_left, "it leaves again")
        status = idle_line.machine.run(f"pychatd status {idle_line.port}", user="alice")
        assert "No conversation." in status.stdout
        wait_for(idle_line.has_left, "it leaves once more")
        idle_line.talk()


def test_who_calls_back_wakes_the_line_and_the_conversation_goes_on(line: SystemLine) -> None:
    console, client = line.talk()
    line.stop()
    client.notes("The daemon is stopping.")
    line.listen()
    wait_for(line.is_active, "somebody has called again")
    console.enter("Still there?")
    client.says("alice> Still there?")


def test_stopped_it_takes_no_calls(line: SystemLine) -> None:
    line.stop()
    assert not line.machine.exists(line.runtime)
    words = f"pychat --plain --accept-new --handle Client1 127.0.0.1 {line.port} </dev/null"
    assert line.machine.run(words, check=False).returncode == ExitStatus.ABSENT
    assert line.has_left()


def test_its_service_stopped_alone_the_next_call_starts_it(line: SystemLine) -> None:
    line.machine.run(f"systemctl stop {line.unit}")
    assert line.has_left()
    line.client().notes("Send the first message")
    assert line.is_active()


def test_a_line_that_root_has_started_is_left_alone(idle_line: SystemLine) -> None:
    machine, port = idle_line.machine, idle_line.port
    machine.run(f"pychatd start {port}")
    assert machine.run(f"systemctl start {idle_line.unit}", check=False).returncode != 0
    wait_for(lambda: idle_line.show("ActiveState", idle_line.socket) == "failed", "the port is another's")
    assert "No conversation." in machine.run(f"pychatd status {port}").stdout
    machine.run(f"pychatd stop {port}; systemctl reset-failed {idle_line.socket}")


@pytest.mark.parametrize(
    "end", ["pychatd stop {port}", "kill -KILL $(cat {runtime}/pid)"], ids=["stopped", "killed"]
)
def test_after_a_line_of_root_members_of_the_group_may_use_the_console(idle_line: SystemLine, end: str) -> None:
    machine, port = idle_line.machine, idle_line.port
    machine.run(f"pychatd start {port}; {end.format(port=port, runtime=idle_line.runtime)}")
    wait_for(
        lambda: machine.run(f"pychatd status {port}", check=False).returncode == ExitStatus.ABSENT, "it is gone"
    )
    idle_line.start()
    assert "No conversation." in machine.run(f"pychatd status {port}", user="alice").stdout
    idle_line.stop()
    assert not machine.exists(idle_line.runtime)


def test_pychatd_stop_tells_what_stops_it(line: SystemLine) -> None:
    refused = line.machine.run(f"pychatd stop {line.port}", check=False)
    assert refused.returncode == ExitStatus.FAILED
    words = f"systemctl stop pychatd@{line.port}.socket"
    assert f"systemd runs the service on port {line.port}: stop it with '{words}'." in refused.stderr
    line.machine.run(words)
    assert line.has_left()


def test_a_low_port_needs_no_privilege_of_the_daemon(idle_line: SystemLine) -> None:
    low = SystemLine(idle_line.machine, 99)
    low.start()
    try:
        client = low.client()
        client.notes("Send the first message")
        assert low.show("User") == "pychatd-99"
    finally:
        low.stop()


def test_a_port_in_use_is_told(line: SystemLine) -> None:
    taken = SystemLine(line.machine, line.port + 1000)
    with taken.drop_in("socket", f"[Socket]\nListenStream=0.0.0.0:{line.port}"):
        refused = line.machine.run(f"systemctl start {taken.unit}", check=False)
        assert refused.returncode != 0
        log = line.machine.run(f"journalctl --sync; journalctl -q -o cat -u {taken.socket}").stdout
        assert f"listening socket (0.0.0.0:{line.port})" in log  # systemd 252 may tell no more than that
    taken.stop()


def test_without_ipv6_it_serves_on_ipv4(idle_line: SystemLine) -> None:
    switch = "sysctl -q -w net.ipv6.conf.all.disable_ipv6="
    idle_line.machine.run(f"{switch}1")
    try:
        idle_line.start()
        idle_line.client(host="127.0.0.1").notes("Send the first message")
    finally:
        idle_line.machine.run(f"{switch}0")


def test_a_drop_in_says_where_it_listens(idle_line: SystemLine) -> None:
    lines = ["", "127.0.0.1:%i", "192.0.2.1:%i", "/run/pychatd/%i/console.sock"]
    addresses = "\n".join(f"ListenStream={line}" for line in lines)
    with idle_line.drop_in("socket", f"[Socket]\n{addresses}\nFreeBind=yes"):
        idle_line.start()
        port = idle_line.port
        idle_line.logs(f"pychatd serves on 127.0.0.1:{port}, 192.0.2.1:{port}, console at")
        idle_line.stop()


def test_a_drop_in_gives_the_console_to_another_group(idle_line: SystemLine) -> None:
    with idle_line.drop_in("socket", "[Socket]\nSocketGroup=bob"):
        idle_line.start()
        status = f"pychatd status {idle_line.port}"
        assert "No conversation." in idle_line.machine.run(status, user="bob").stdout
        assert idle_line.machine.run(status, user="alice", check=False).returncode == ExitStatus.REFUSED
        idle_line.stop()


def test_a_line_that_cannot_start_closes_its_port_until_it_is_mended(idle_line: SystemLine) -> None:
    idle_line.listen()
    with idle_line.configured('turn = "free"'):
        assert idle_line.client().exit_status() in (ExitStatus.FAILED, ExitStatus.ABSENT)
        wait_for(lambda: idle_line.show("ActiveState", idle_line.socket) == "failed", "the port is closed")
    idle_line.logs("pychatd.toml: turn: unknown setting", "-p err")
    idle_line.machine.run(f"systemctl reset-failed 'pychatd@{idle_line.port}.*'; systemctl start {idle_line.unit}")
    idle_line.client().notes("Send the first message")


@pytest.mark.parametrize(
    ("address", "sentence"),
    [
        ("/run/pychatd/%i/console.sock", "The socket unit does not open the port: add a ListenStream="),
        ("127.0.0.1:%i", "The socket unit does not open the console's socket: add a ListenStream="),
    ],
)
def test_a_socket_unit_that_lacks_one_of_both_fails_with_a_sentence(
    idle_line: SystemLine, address: str, sentence: str
) -> None:
    with idle_line.drop_in("socket", f"[Socket]\nListenStream=\nListenStream={address}"):
        assert idle_line.machine.run(f"systemctl start {idle_line.unit}", check=False).returncode != 0
        idle_line.logs(sentence, "-p err")
        idle_line.stop()


def test_addresses_in_the_configuration_change_nothing_and_that_is_logged(idle_line: SystemLine) -> None:
    with idle_line.configured('listen = "127.0.0.1"'):
        idle_line.start()
    idle_line.logs("'listen' has no effect: ListenStream=", "-p warning")
    idle_line.client(host="::1").notes("Send the first message")


def test_a_drop_in_narrows_who_may_call(idle_line: SystemLine) -> None:
    with idle_line.drop_in("socket", "[Socket]\nIPAddressDeny=any\nIPAddressAllow=127.0.0.0/8"):
        idle_line.start()
        idle_line.client(host="127.0.0.1").notes("Send the first message")
        call = f"timeout 2 python3 -c \"import socket; socket.create_connection(('::1', {idle_line.port}))\""
        assert idle_line.machine.run(call, check=False).returncode == 124, "it hears nothing"
        idle_line.stop()


def test_enabled_it_is_back_after_a_reboot(idle_line: SystemLine, other_line: SystemLine) -> None:
    machine = idle_line.machine
    machine.run(f"systemctl enable --now {idle_line.socket} {other_line.unit}")
    console, client = idle_line.talk()
    client.enter("\\quit")
    client.exit_status()
    console.end_input()
    machine.reboot()
    assert machine.run(f"systemctl is-active {idle_line.socket} {other_line.unit}").stdout == "active\nactive\n"
    assert idle_line.has_left()
    history = machine.run(f"pychatd-console --history {idle_line.port}", user="alice")
    assert "Client1> Hi!" in history.stdout
    idle_line.talk()
    other_line.talk()
    machine.run(f"systemctl disable {idle_line.socket} {other_line.unit}")
