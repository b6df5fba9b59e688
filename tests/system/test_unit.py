"""pychatd@.service on a real systemd: confined, and everything works in there."""

from __future__ import annotations

import pytest

from pychat_client.errors import ExitStatus
from tests.e2e.ends import wait_for
from tests.system.line import SystemLine
from tests.system.machine import BUILD_SECONDS, Machine

pytestmark = [pytest.mark.system, pytest.mark.timeout(BUILD_SECONDS + 120)]

EXPOSURE_LIVE, EXPOSURE_OFFLINE = 4, 4
"""Tenths of what `systemd-analyze security` may find; the unit tells the reasons for what is left."""

_BREAK_THE_PROTOCOL = """
import socket, sys
with socket.create_connection(("127.0.0.1", int(sys.argv[1]))) as sock:
    sock.sendall(b"\\\\hello 2 Client1 x=secret\\n")
    assert b"error version" in sock.makefile("rb").read()
"""


def test_the_units_are_clean(machine: Machine) -> None:
    result = machine.run("systemd-analyze verify --man=no pychatd@7000.service pychatd@7000.socket")
    assert result.stdout + result.stderr == ""


def test_it_is_confined(line: SystemLine) -> None:
    line.machine.run(f"systemd-analyze security --threshold={EXPOSURE_LIVE} {line.unit}")


def test_its_file_says_so(machine: Machine) -> None:
    file = "/etc/systemd/system/pychatd@.service"
    machine.run(f"systemd-analyze security --offline=true --threshold={EXPOSURE_OFFLINE} {file}")


def test_started_it_serves_and_says_so(line: SystemLine) -> None:
    assert line.show("ActiveState") == "active"
    assert line.show("StatusText") == "Waiting for a caller."
    assert f"serves on 0.0.0.0:{line.port}, [::]:{line.port}" in "\n".join(line.journal())
    assert line.machine.run(f"stat -c '%a %U %G' {line.runtime}/console.sock {line.state}").stdout == (
        f"660 root pychat\n700 pychatd-{line.port} pychat\n"
    )


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_two_people_talk(line: SystemLine, host: str) -> None:
    console = line.console()
    console.notes("Waiting for calls")
    client = line.client(host=host)
    client.notes("Send the first message")
    client.enter("Hi!")
    console.says("Client1> Hi!")
    line.has_status("Talking with Client1 from ")
    console.enter("Hello, Client1")
    client.says("alice> Hello, Client1")
    client.enter("\\quit")
    assert client.exit_status() == ExitStatus.OK
    console.notes("Client1 ended the conversation.")
    line.has_status("Waiting for a caller.")
    line.logs("console: alice")


def test_the_console_is_for_members_of_the_group(line: SystemLine) -> None:
    for command in ("pychatd-console", "pychatd status"):
        outsider = line.machine.run(f"{command} {line.port}", user="bob", check=False)
        assert outsider.returncode == ExitStatus.REFUSED
        assert f"Permission denied for {line.runtime}/console.sock: " in outsider.stderr
        assert "to add you to the group pychat, then log in again." in outsider.stderr
    member = line.machine.run(f"pychatd status {line.port}", user="alice")
    assert "No conversation." in member.stdout


def test_killed_it_comes_back_and_so_does_the_conversation(line: SystemLine) -> None:
    console, client = line.talk()
    killed = line.show("MainPID")
    line.machine.run(f"kill -KILL {killed}")
    wait_for(lambda: line.is_active() and line.show("MainPID") != killed, "it is started again")
    line.has_status("Talking with Client1 from ")
    console.enter("Still there?")
    client.says("alice> Still there?")
    client.enter("Yes")
    console.says("Client1> Yes")
    assert console.out().count("Hi!") == 1


def test_who_calls_before_it_is_started_again_waits_and_is_greeted(idle_line: SystemLine) -> None:
    with idle_line.drop_in("service", "[Service]\nRestartSec=5s"):
        idle_line.start()
        idle_line.machine.run(f"kill -KILL {idle_line.show('MainPID')}")
        wait_for(lambda: idle_line.show("SubState") == "auto-restart", "it is killed")
        client = idle_line.client()
        assert idle_line.show("SubState") == "auto-restart", "the call comes too late"
        client.notes("Send the first message")
        assert idle_line.is_active()


def test_restarted_its_sockets_stay_open(line: SystemLine) -> None:
    opened = line.show("ActiveEnterTimestampMonotonic", line.socket)
    line.machine.run(f"systemctl restart {line.unit}")
    assert line.show("ActiveEnterTimestampMonotonic", line.socket) == opened
    line.client().notes("Send the first message")


def test_hung_it_is_killed_by_the_watchdog_and_started_again(idle_line: SystemLine) -> None:
    with idle_line.drop_in("service", "[Service]\nWatchdogSec=1s"):
        idle_line.start()
        console, client = idle_line.talk()
        hung = idle_line.show("MainPID")
        idle_line.machine.run(f"kill -STOP {hung}")
        wait_for(lambda: idle_line.is_active() and idle_line.show("MainPID") != hung, "it is started again")
        idle_line.logs("Watchdog timeout", "-p err")
        console.enter("Still there?")
        client.says("alice> Still there?")


def test_while_it_is_fed_the_watchdog_does_nothing(line: SystemLine) -> None:
    assert line.show("WatchdogUSec") == "3min"
    with line.drop_in("service", "[Service]\nWatchdogSec=1s"):
        line.machine.run(f"systemctl restart {line.unit}")
        fed = line.show("WatchdogTimestampMonotonic")
        for _ in range(4):  # each is half a second
            before = fed
            wait_for(lambda: line.show("WatchdogTimestampMonotonic") != before, "it is fed")  # noqa: B023
            fed = line.show("WatchdogTimestampMonotonic")
        assert line.show("NRestarts") == "0"


@pytest.mark.parametrize("kind", ["service", "socket"])
def test_restarted_it_goes_on_with_the_conversation(line: SystemLine, kind: str) -> None:
    console, client = line.talk()
    before = line.show("MainPID")
    line.machine.run(f"systemctl restart pychatd@{line.port}.{kind}")
    wait_for(lambda: line.is_active() and line.show("MainPID") != before, "it is started again")
    console.enter("Still there?")
    client.says("alice> Still there?")


def test_a_key_of_ones_own_is_a_credential_that_only_root_can_read(
    idle_line: SystemLine, other_line: SystemLine
) -> None:
    machine, place = idle_line.machine, "/etc/pychatd-test"
    machine.run(
        f"install -d -m 700 {place}; cd {place}; umask 077; pem={other_line.state}/identity.pem\n"
        "sed -n '/BEGIN.*PRIVATE KEY/,/END.*PRIVATE KEY/p' $pem >key.pem\n"
        "sed -n '/BEGIN CERT/,/END CERT/p' $pem >certificate.pem"
    )
    credentials = [f"LoadCredential={name}.pem:{place}/{name}.pem" for name in ("key", "certificate")]
    with idle_line.drop_in("service", "\n".join(["[Service]", *credentials])):
        idle_line.start()
        own, other = (
            machine.run(f"pychatd fingerprint {line.port}", user="alice").stdout
            for line in (idle_line, other_line)
        )
        assert own == other
        assert not machine.exists(f"{idle_line.state}/identity.pem")
        idle_line.talk()


def test_reload_reads_the_configuration_again(line: SystemLine) -> None:
    pid = line.show("MainPID")
    with line.configured('turns = "free"'):
        line.reload()
        line.logs("The configuration has been reloaded")
    assert '"turns": "free"' in line.machine.run(f"pychatd status --json {line.port}").stdout
    with line.configured('turn = "free"'):
        line.reload()
        line.logs("The configuration was not reloaded", "-p err")
    assert line.show("MainPID") == pid
    assert line.show("ActiveState") == "active"


def test_with_a_wrong_configuration_it_fails_once(line: SystemLine) -> None:
    line.stop()
    with line.configured('turn = "free"'):
        started = line.machine.run(f"systemctl start {line.unit}", check=False)
    assert started.returncode != 0
    assert (line.show("ActiveState"), line.show("NRestarts")) == ("failed", "0")
    line.logs("pychatd.toml: turn: unknown setting", "-p err")


def test_stopped_it_leaves_its_state_alone(line: SystemLine) -> None:
    console, client = line.talk()
    client.enter("\\quit")
    client.exit_status()
    line.stop()
    assert line.show("Result") == "success"
    console.end_input()
    assert not line.machine.exists(line.runtime)
    assert line.machine.run(f"ls {line.state}").stdout.split() == ["identity.pem", "journal.db"]
    line.start()
    history = line.machine.run(f"pychatd-console --history {line.port}", user="alice")
    assert "Client1> Hi!" in history.stdout


def test_two_lines_do_not_see_each_other(line: SystemLine, other_line: SystemLine) -> None:
    user, other = (each.machine.run(f"stat -c %u {each.state}").stdout.strip() for each in (line, other_line))
    assert user != other
    within = (
        f"nsenter --target {line.show('MainPID')} --mount setpriv --reuid {user} --regid pychat --clear-groups"
    )
    for own, foreign in ((line.state, other_line.state), (line.runtime, other_line.runtime)):
        line.machine.run(f"{within} ls {own}")
        result = line.machine.run(f"{within} ls {foreign}", check=False)
        assert "No such file or directory" in result.stderr
    # Nor would its user outside of that view.
    as_user = f"setpriv --reuid {user} --regid {user} --clear-groups"
    assert "Permission denied" in line.machine.run(f"{as_user} ls {other_line.state}", check=False).stderr
    call = f"import socket; socket.socket(socket.AF_UNIX).connect('{other_line.runtime}/console.sock')"
    assert "Permission denied" in line.machine.run(f'{as_user} python3 -c "{call}"', check=False).stderr


def test_the_journal_has_priorities_and_no_words(line: SystemLine) -> None:
    console, client = line.talk()
    console.enter("a secret answer")
    client.says("a secret answer")
    client.enter("a secret question")
    console.says("a secret question")
    client.enter("\\quit a secret reason")
    client.exit_status()
    line.logs("ended by the peer", "-p info")
    line.machine.run(f"python3 -c '{_BREAK_THE_PROTOCOL}' {line.port}")
    with line.configured("exit_idle = 60"):
        line.reload()
        line.logs("Restart the service to apply: exit_idle", "-p warning")
    with line.configured('turn = "a secret setting"'):
        line.reload()
        line.logs("The configuration was not reloaded", "-p err")
    broken, later, not_reloaded = line.journal("-p warning")
    assert broken.endswith("broke the protocol (version)")
    assert later.startswith("Restart the service to apply: ")
    assert line.journal("-p err") == [not_reloaded]
    everything = line.machine.run("journalctl --sync; journalctl -q -o verbose --all").stdout
    for words in ("Hi!", "secret"):
        assert words not in everything
