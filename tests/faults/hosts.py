"""Two hosts on this machine: network namespaces with a cable (veth) or a bad wire (wire.py) between them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.faults import wire
from tests.support.programs import Piped
from tests.support.service import BIN, Service

DAEMON, CLIENT = "10.212.7.1", "10.212.7.2"


class UnavailableError(Exception):
    """This machine does not let us; `str()` of it says why."""


@contextmanager
def or_skip() -> Iterator[None]:
    """Skips the test, with the reason, where this machine does not let us."""
    try:
        yield
    except UnavailableError as reason:
        pytest.skip(str(reason))


class Hosts:
    """Host A for the daemon, host B for the client."""

    def __init__(self) -> None:
        self.a, self.b = f"pychat-a{os.getpid()}", f"pychat-b{os.getpid()}"
        self._wire: subprocess.Popen[bytes] | None = None
        self._set_cable: Callable[[str], None] = lambda how: None
        try:
            for name in (self.a, self.b):
                _ip("netns", "add", name)
                _ip("-n", name, "link", "set", "lo", "up")
        except (OSError, subprocess.SubprocessError) as error:
            self.close()
            raise UnavailableError(f"network namespaces cannot be made: {error}") from None

    def cable(self, *netem: str) -> None:
        """A veth cable; netem: what tc(8) does to each direction. Raises UnavailableError."""
        try:
            _ip("-n", self.a, "link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns", self.b)
            self._address("eth0")
            for name in (self.a, self.b) if netem else ():
                _run("tc", "-n", name, "qdisc", "add", "dev", "eth0", "root", "netem", *netem)
        except (OSError, subprocess.SubprocessError) as error:
            raise UnavailableError(f"there is no veth, or no netem: {error}") from None
        self._set_cable = lambda how: _ip("-n", self.a, "link", "set", "eth0", how)

    def bad_wire(self, seed: int, loss: float, delay: float) -> None:
        """A wire that loses and delays, of our own making. Raises UnavailableError."""
        try:
            for name in (self.a, self.b):
                _ip("-n", name, "tuntap", "add", "dev", wire.DEVICE, "mode", "tun")
            self._address(wire.DEVICE)
        except (OSError, subprocess.SubprocessError) as error:
            raise UnavailableError(f"there is no TUN device: {error}") from None
        words = [sys.executable, str(Path(wire.__file__)), self.a, self.b, str(seed), str(loss), str(delay)]
        self._wire = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self._wire.stdout
        assert self._wire.stdout.readline() == b"ready\n"
        self._set_cable = self._tell_wire

    def down(self) -> None:
        """The cable is gone; no FIN, no RST."""
        self._set_cable("down")

    def up(self) -> None:
        self._set_cable("up")

    def leave(self) -> None:
        """Host B has no network: where `cable` is its only one, there is no route, and each call fails at once."""
        _ip("-n", self.b, "link", "set", "eth0", "down")

    def join(self) -> None:
        _ip("-n", self.b, "link", "set", "eth0", "up")

    def close(self) -> None:
        if self._wire is not None:
            self._wire.communicate(timeout=10)  # the end of its stdin ends it
        for name in (self.a, self.b):
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True, timeout=10)

    def _address(self, device: str) -> None:
        for name, own, other in ((self.a, DAEMON, CLIENT), (self.b, CLIENT, DAEMON)):
            _ip("-n", name, "addr", "add", own, "peer", other, "dev", device)
            _ip("-n", name, "link", "set", device, "up")

    def _tell_wire(self, word: str) -> None:
        assert self._wire
        assert self._wire.stdin
        assert self._wire.stdout
        self._wire.stdin.write(f"{word}\n".encode())
        self._wire.stdin.flush()
        self._wire.stdout.readline()


class HostService(Service):
    """A service whose daemon runs on host A, and whose clients run on host B."""

    def __init__(self, directory: Path, hosts: Hosts) -> None:
        super().__init__(directory)
        self._hosts = hosts

    def command(self, command: str, *options: str) -> list[str]:
        return ["ip", "netns", "exec", self._hosts.a, *super().command(command, *options)]

    def remote(self) -> Piped:
        words = ["ip", "netns", "exec", self._hosts.b, str(BIN / "pychat"), "--accept-new", DAEMON, str(self.port)]
        return Piped(self.popen([*words, "--plain", "--handle", "Client1"]))


def _ip(*words: str) -> None:
    _run("ip", *words)


def _run(*words: str) -> None:
    subprocess.run(words, check=True, capture_output=True, timeout=10)
