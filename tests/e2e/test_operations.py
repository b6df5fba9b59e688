"""Every command of docs/operations.md, in the order of the page, on a service of this test.

`systemctl` is a script that starts and stops the daemon of the test. The firewalls, and fail2ban with the filter
of docs/systemd.md, are tried where they are installed.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import time
from pathlib import Path

import pytest

from pychat_client.protocol import wire
from pychat_client.protocol.turns import Role, Turns, TurnState
from pychatd.conversation.journal import Journal
from pychatd.conversation.model import Conversation, Entry
from tests.e2e.test_unread import PAST, start_with
from tests.support.programs import Piped
from tests.support.service import BIN, Service
from tests.support.waiting import PATIENCE, wait_for

PAGE = (Path(__file__).parents[2] / "docs" / "operations.md").read_text()
SYSTEMD = (Path(__file__).parents[2] / "docs" / "systemd.md").read_text()
FIREWALLS = ("nft", "ufw", "firewall-cmd")

SYSTEMCTL = """#!/bin/sh -e
case $1 in
  stop | disable) pychatd stop {port} --runtime-directory {runtime} 2>/dev/null || test $? = 3 ;;
  start) pychatd start {port} --runtime-directory {runtime} --state-directory {state} --syslog {syslog} ;;
  *) exit 1 ;;
esac
"""


def blocks(heading: str) -> list[str]:
    """The indented commands below a heading, each block as a script."""
    section = re.split(rf"^## {heading}\n", PAGE, flags=re.MULTILINE)[1].split("\n## ")[0]
    found = re.findall(r"(?:^    .*\n)+", section, re.MULTILINE)
    return [re.sub(r"^    ", "", block, flags=re.MULTILINE) for block in found]


def run(service: Service, script: str, directory: Path) -> str:
    """Runs a block of the page in `directory`, for the service of the test; what it prints."""
    tools = directory / "bin"
    if not tools.exists():
        tools.mkdir(parents=True)
        words = {
            "port": service.port,
            "runtime": service.runtime,
            "state": service.state,
            "syslog": service.syslog,
        }
        (tools / "systemctl").write_text(SYSTEMCTL.format(**words))
        (tools / "systemctl").chmod(0o755)
    for name in ("block", "blocked", "unblock", "forget", "status", "fingerprint", "backup", "config"):
        option = "" if name == "config" else f" --runtime-directory {service.runtime}"
        more = f" --state-directory {service.state}" if name in ("backup", "config", "fingerprint") else ""
        script = re.sub(
            rf"^pychatd {name} (?=[0-9])", f"pychatd {name}{option}{more} ", script, flags=re.MULTILINE
        )
    script = script.replace("pychatd-console ", f"pychatd-console --runtime-directory {service.runtime} ")
    script = script.replace("/var/lib/pychatd", str(service.state)).replace("7000", str(service.port))
    env = {**service.env, "PATH": f"{tools}:{BIN}:{os.environ['PATH']}"}
    result = subprocess.run(
        ["sh", "-e", "-c", script],
        cwd=directory,
        env=env,
        text=True,
        capture_output=True,
        timeout=PATIENCE * 2,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def test_a_backup_is_restored(service: Service, tmp_path: Path) -> None:
    (backup,), (restore,) = blocks("Backup"), blocks("Restore")
    caller = service.greeted("Ann")
    caller.send("Ann> before")
    caller.reads("\\ack 1")
    out = run(service, backup, tmp_path / "admin")
    assert "is whole: 1 conversation, 1 message." in out
    caller.close()
    out = run(service, restore, tmp_path / "admin")
    assert "Ann from 127.0.0.1" in out
    assert "Ann> before" in out
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "admin").glob("*-*")} == {0o600}


def known_callers(service: Service) -> list[str]:
    """Who may call, who may come, and who may not."""
    return [service.pychatd(command).stdout for command in ("authorized", "invitations", "blocked")]


def test_a_service_moves_and_its_caller_goes_on(service: Service, tmp_path: Path) -> None:
    """The name of the host leads to the new one: here both have the same address."""
    leave, arrive = blocks("Another host")
    words = service.pychatd("invite", "--for", "Bob", "--host", "localhost").stdout.split()
    call = words[words.index("pychat") : words.index("--invite") + 2]
    service.pychatd("invite", "--for", "Zoe")
    service.pychatd("block", "192.0.2.7")
    caller = Piped(service.popen([str(BIN / call[0]), *call[1:], "--plain", "--handle", "Client1"]))
    caller.enter("before")
    wait_for(lambda: (service.status()["peer"] or {}).get("received") == 1, "it is stored")
    known, key = known_callers(service), service.status()["key"]
    run(service, leave, tmp_path / "admin")
    there = tmp_path / "new" / "admin"
    shutil.copytree(tmp_path / "admin", there, ignore=shutil.ignore_patterns("bin"))
    shutil.rmtree(service.state)
    new = Service(tmp_path / "new", port=service.port)
    try:
        assert key in run(new, arrive, there)
        assert known_callers(new) == known
        console = new.plain("pychatd-console", "--plain", "--handle", "Server")
        console.says("Client1> before\n")
        wait_for(lambda: (new.status()["peer"] or {}).get("connected"), "the caller is back", 60)
        console.enter("here")
        caller.says("Server> here\n")
        caller.enter("after")
        console.says("Client1> after\n")
    finally:
        new.close()


def test_callers_who_annoy_are_kept_out(idle_service: Service, tmp_path: Path) -> None:
    start_with(idle_service, 12)
    (commands,) = blocks("Callers who annoy")
    assert "192.0.2.0/24 is blocked." in run(idle_service, commands, tmp_path / "admin")


def test_the_disk_is_looked_at(service: Service, tmp_path: Path) -> None:
    (commands,) = blocks("The disk")
    assert "journal_max = 1000" in run(service, commands, tmp_path / "admin")


@pytest.mark.parametrize("tool", FIREWALLS)
def test_the_firewalls_take_the_commands(tool: str, tmp_path: Path) -> None:
    (commands,) = blocks("Firewall and NAT")
    (command,) = [line for line in commands.splitlines() if line.startswith(tool)]
    if shutil.which(tool) is None or shutil.which("unshare") is None or os.geteuid() != 0:
        pytest.skip(f"needs {tool}, unshare and root")
    ready = "nft add table inet filter; nft 'add chain inet filter input { type filter hook input priority 0; }'; "
    options = command.split(maxsplit=1)[1]
    script = {
        "nft": ready + command,
        "ufw": f"ufw --dry-run {options}",
        # The same without a daemon, and on files of this test.
        "firewall-cmd": f"firewall-offline-cmd --system-config {tmp_path} {options.removeprefix('--permanent ')}",
    }[tool]
    result = subprocess.run(["unshare", "--net", "sh", "-ec", script], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


def test_fail2ban_takes_the_filter_of_the_page(service: Service, tmp_path: Path) -> None:
    if shutil.which("fail2ban-regex") is None:
        pytest.skip("needs fail2ban-regex: 'apt-get install fail2ban'")
    (found,) = re.findall(r"^    \[Definition\]\n(?:    .*\n)+", SYSTEMD, re.MULTILINE)
    (tmp_path / "filter.conf").write_text(re.sub(r"^    ", "", found, flags=re.MULTILINE))
    service.greeted("Bob").send("Bob> Hi!")  # an honest caller
    wrong = {"127.0.1.1": "GET / HTTP/1.1\r\n", "127.0.1.2": "\\hello 99 Eve\n", "127.0.1.3": ""}
    for address, said in wrong.items():
        with socket.create_connection(("127.0.0.1", service.port), source_address=(address, 0)) as caller:
            caller.sendall(said.encode())
            caller.shutdown(socket.SHUT_WR)
        service.logs(address)
    lines = [f"{time.strftime('%b %d %T')} hostA {line.partition('>')[2]}\n" for line in service.log()]
    (tmp_path / "lines").write_text("".join(lines))
    words = ["fail2ban-regex", "--out", "ip", str(tmp_path / "lines"), str(tmp_path / "filter.conf")]
    result = subprocess.run(words, capture_output=True, text=True, check=False)
    assert set(result.stdout.split()) == set(wrong), result.stdout + result.stderr + "".join(lines)


def bytes_of(what: str) -> int:
    """A number in the table of the page."""
    found = re.search(rf"^\| {re.escape(what)} \| ([0-9,]+) \|$", PAGE, re.MULTILINE)
    assert found, what
    return int(found[1].replace(",", ""))


def test_the_numbers_of_the_page_are_true(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.db", full=False)
    assert journal.size() == pytest.approx(bytes_of("a new journal"), rel=0.1)
    for length in (50, 500):
        before, turn_state = journal.size(), TurnState(Turns.FREE)
        conversation = Conversation("Bob", "198.51.100.7:40000", None, TurnState(Turns.FREE), PAST)
        message = wire.Message("Bob", "x" * length)
        entries = [Entry.numbered(turn_state, Role.PEER, message, PAST) for _ in range(5000)]
        journal.append(conversation, entries, turn_state)
        size = (journal.size() - before) / len(entries)
        assert size == pytest.approx(bytes_of(f"a message of {length} characters"), rel=0.15)
    before = journal.size()
    for number in range(2000):
        turn_state = TurnState(Turns.FREE)
        conversation = Conversation(
            f"Bob{number}", "198.51.100.7:40000", number.to_bytes(32), TurnState(Turns.FREE), PAST
        )
        entry = Entry.numbered(turn_state, Role.PEER, wire.Message(conversation.handle, "x" * 50), PAST)
        journal.append(conversation, [entry], turn_state)
    size = (journal.size() - before) / 2000 - bytes_of("a message of 50 characters")
    assert size == pytest.approx(bytes_of("a conversation, besides its messages"), rel=0.3)
    journal.close()
