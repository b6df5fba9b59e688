"""pychat-watch.service of a user on a real systemd: the hook starts, whatever the daemon does."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.waiting import wait_for
from tests.system.machine import BUILD_SECONDS, SOURCE, Machine
from tests.system.system_service import SystemService

pytestmark = [pytest.mark.system, pytest.mark.timeout(BUILD_SECONDS + 120)]

WITHIN = 1.0
"""Seconds from the moment at which a message is stored to the start of the hook."""

CALLS = "/home/alice/calls"

_CALL = """
import socket, sys, time
with socket.create_connection(("127.0.0.1", int(sys.argv[1]))) as sock, sock.makefile("rb") as lines:
    sock.sendall(f"\\\\hello 1 Client1\\nClient1> {sys.argv[2]}\\n".encode())
    while lines.readline() != b"\\\\ack 1\\n":
        pass
    print(time.time())
    sock.sendall(b"\\\\quit\\n")
    lines.read()
"""

_HOOK = f"""#!/bin/sh
echo "$(date +%s.%N) $PYCHAT_EVENT $PYCHAT_WORDS" >>{CALLS}
"""

_LOGIN = "import pty; pty.spawn(['login', '-f', 'alice'])"
"""alice logs in on a terminal of her own; what it shows goes to stdout."""

PAGE = Path(__file__).parents[2] / "docs/use.md"


class Watching:
    """alice's user unit, with a hook that writes down when it starts."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine

    def systemctl(self, words: str) -> str:
        script = f"XDG_RUNTIME_DIR=/run/user/$(id -u) systemctl --user {words}"
        return self.machine.run(script, user="alice").stdout.strip()

    def calls(self) -> list[str]:
        return self.machine.run(f"cat {CALLS}").stdout.splitlines()

    def is_called_for(self, text: str, stored: float) -> None:
        """Waits until the hook has started for a message, and looks whether that was in time."""
        wait_for(lambda: any(text in call for call in self.calls()), f"the hook starts for {text!r}")
        (call,) = (call for call in self.calls() if text in call)
        assert " message port " in call
        assert float(call.split()[0]) - stored < WITHIN


@pytest.fixture
def watching(machine: Machine) -> Iterator[Watching]:
    unit = "/etc/systemd/user/pychat-watch.service"
    machine.run(
        f"sed s,/usr/bin/,/opt/pychat/bin/, {SOURCE}/packaging/systemd/user/pychat-watch.service >{unit}\n"
        f"cat >/home/alice/hook <<'END'\n{_HOOK}\nEND\nchmod 755 /home/alice/hook\n"
        "install -d -o alice /home/alice/.config /home/alice/.config/pychat\n"
        "echo 'hook = [\"/home/alice/hook\"]' >/home/alice/.config/pychat/config.toml\n"
        f"install -o alice -m 644 /dev/null {CALLS}\n"
        "systemctl start user@$(id -u alice).service"
    )
    watching = Watching(machine)
    watching.systemctl("enable --now pychat-watch.service")
    yield watching
    watching.systemctl("disable --now pychat-watch.service")
    machine.run("systemctl stop user@$(id -u alice).service")


def leave_word(service: SystemService, text: str) -> float:
    """Somebody calls, says one thing and goes. Returns when it was stored."""
    return float(service.machine.run(f"python3 -c '{_CALL}' {service.port} '{text}'").stdout)


def read_it(service: SystemService, text: str) -> None:
    """alice reads what waits, and leaves: the next message calls her again."""
    console = service.console()
    console.says(text)
    console.end_input()
    console.exit_status()


def test_the_hook_starts_after_a_kill_and_after_an_idle_exit(
    watching: Watching, idle_service: SystemService
) -> None:
    with idle_service.configured(f"[port.{idle_service.port}]\nexit_idle = 2"):
        idle_service.start()
        watching.is_called_for("first", leave_word(idle_service, "first"))
        read_it(idle_service, "first")
        killed = idle_service.show("MainPID")
        idle_service.machine.run(f"kill -KILL {killed}")
        wait_for(lambda: idle_service.show("MainPID") not in ("0", killed), "it is started again")
        watching.is_called_for("second", leave_word(idle_service, "second"))
        read_it(idle_service, "second")
        wait_for(idle_service.has_left, "it leaves")
        starts = idle_service.show("InvocationID")
        time.sleep(3 * WITHIN)  # the watcher has looked several times
        assert idle_service.has_left()
        assert idle_service.show("InvocationID") == starts
        watching.is_called_for("third", leave_word(idle_service, "third"))
        assert watching.systemctl("show --value --property NRestarts pychat-watch.service") == "0"


def test_no_message_is_in_the_users_log(watching: Watching, service: SystemService) -> None:
    watching.is_called_for("a secret word", leave_word(service, "a secret word"))
    everything = service.machine.run("journalctl --sync; journalctl -q -o verbose --all").stdout
    assert "a secret word" not in everything


def test_the_unit_ends_in_order(watching: Watching) -> None:
    watching.systemctl("stop pychat-watch.service")
    assert watching.systemctl("show --value --property Result pychat-watch.service") == "success"


def test_the_pages_hook_writes_to_terminals_of_the_user(watching: Watching, service: SystemService) -> None:
    machine = watching.machine
    (hook,) = re.findall(r"^ {4}(hook = .*loginctl.*)$", PAGE.read_text(), re.MULTILINE)
    machine.run(f"cat >/home/alice/.config/pychat/config.toml <<'END'\n{hook}\nEND")
    watching.systemctl("restart pychat-watch.service")
    terminal = machine.piped("python3", "-c", _LOGIN)
    wait_for(lambda: "pts/" in machine.run("loginctl list-sessions").stdout, "the session of the terminal")
    leave_word(service, r"to the terminal \0033c")
    terminal.says(rf"port {service.port}: Client1> to the terminal \0033c")
