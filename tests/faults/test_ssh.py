"""A real sshd is the way to a service that listens only on its own host; the way dies in the middle of a talk."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.hosts import DAEMON, Hosts, HostService, or_skip
from tests.support.programs import Piped
from tests.support.service import BIN
from tests.support.user import known_hosts
from tests.support.waiting import wait_for

PORT = 2222
"""Of sshd, in a network of its own."""

SETTINGS = """
ListenAddress {address}
Port {port}
HostKey {place}/host_key
AuthorizedKeysFile {place}/user_key.pub
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
PermitRootLogin prohibit-password
PermitOpen 127.0.0.1:*
"""


class Bastion:
    """sshd on host A, and the program that reaches it from host B."""

    def __init__(self, directory: Path, hosts: Hosts) -> None:
        self._place = directory / "ssh"
        self._place.mkdir()
        for name in ("host_key", "user_key"):
            words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self._place / name)]
            subprocess.run(words, check=True, stdin=subprocess.DEVNULL)
        config = self._place / "sshd_config"
        config.write_text(SETTINGS.format(address=DAEMON, port=PORT, place=self._place))
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # sshd wants it
        sshd = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin")
        self.log = self._place / "log"
        with self.log.open("wb") as log:
            self._sshd = subprocess.Popen(
                ["ip", "netns", "exec", hosts.a, str(sshd), "-D", "-e", "-f", str(config)],
                stdin=subprocess.DEVNULL,
                stderr=log,
            )
        wait_for(lambda: "Server listening on" in self.log.read_text(), "sshd listens", shown=self.log.read_text)

    @property
    def via(self) -> str:
        options = ["BatchMode=yes", "IdentitiesOnly=yes", f"IdentityFile={self._place}/user_key"]
        options += ["StrictHostKeyChecking=no", f"UserKnownHostsFile={self._place}/known_hosts"]
        words = " ".join(f"-o {option}" for option in options)
        return f"ssh -F none {words} -p {PORT} -W %h:%p root@{DAEMON}"

    def connections(self) -> list[int]:
        """The processes of sshd that serve a connection."""
        found = Path(f"/proc/{self._sshd.pid}/task/{self._sshd.pid}/children").read_text().split()
        return [int(pid) for pid in found]

    def close(self) -> None:
        for pid in (*self.connections(), self._sshd.pid):
            os.kill(pid, signal.SIGKILL)
        self._sshd.wait()


@pytest.fixture
def bastion(tmp_path: Path, hosts: Hosts) -> Iterator[Bastion]:
    if os.geteuid() or not shutil.which("sshd", path="/usr/sbin:/usr/local/sbin") or not shutil.which("ssh"):
        pytest.skip("it takes root and sshd: 'apt-get install openssh-server'")
    with or_skip():
        hosts.cable()
    made = Bastion(tmp_path, hosts)
    yield made
    made.close()


def _calls(service: HostService, hosts: Hosts, *options: str) -> Piped:
    words = ["ip", "netns", "exec", hosts.b, str(BIN / "pychat"), "--accept-new", "--plain", "--handle", "Client1"]
    return Piped(service.popen([*words, *options, "127.0.0.1", str(service.port)]))


def _messages(program: Piped, who: str) -> list[str]:
    return re.findall(rf"^{who}> (.+)$", program.out(), re.MULTILINE)


@pytest.mark.parametrize("victim", ["sshd's process", "ssh"])
def test_a_talk_through_sshd_goes_on_when_the_way_dies(
    host_service: HostService, hosts: Hosts, bastion: Bastion, victim: str
) -> None:
    host_service.start("--turns", "free", "--listen", "127.0.0.1")
    console = host_service.plain("pychatd-console", "--plain", "--handle", "Server")
    console.notes("Waiting for calls")
    assert _calls(host_service, hosts).exit_status() == 3  # there is no other way
    caller = _calls(host_service, hosts, "--via", bastion.via)
    caller.notes("Send the first message")
    caller.enter("one")
    console.says("Client1> one")
    pin = known_hosts(host_service).certificate_of("127.0.0.1", host_service.port)
    before = bastion.connections()
    for pid in before if victim == "sshd's process" else _ssh_of(caller):
        os.kill(pid, signal.SIGKILL)
    console.enter("two")
    caller.enter("three")
    caller.notes("Connected to Server again")
    caller.says("Server> two")
    console.says("Client1> three")
    assert (_messages(console, "Client1"), _messages(caller, "Server")) == (["one", "three"], ["two"])
    assert known_hosts(host_service).certificate_of("127.0.0.1", host_service.port) == pin
    caller.enter("\\quit")
    assert caller.exit_status() == 0
    wait_for(lambda: not bastion.connections(), "nothing is left running")


def _ssh_of(caller: Piped) -> list[int]:
    pid = caller.process.pid
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    assert found
    return [int(child) for child in found]
