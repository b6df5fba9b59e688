"""`python -m tests.bench.live`: from a key at one terminal to the letter at the other, in milliseconds.

Compares live typing with a tmux that both users share over ssh, and with talk; as root also over a bad network
between two namespaces. They take turns, a line each, so that a machine that is busy for a while is busy for all of
them. Keys come in an uneven rhythm, as from a person. A letter counts as seen when its byte reaches the other
terminal.
"""

from __future__ import annotations

import getpass
import os
import random
import shutil
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.bench.run import save, version
from tests.bench.systems import MissingError
from tests.faults.hosts import CLIENT, DAEMON, Hosts, HostService, UnavailableError
from tests.support.ports import free_port
from tests.support.programs import Terminal
from tests.support.service import BIN, Service
from tests.support.waiting import wait_for

ROUNDS = 8
"""Lines of each."""

SYMBOLS = "NOQUVWY!#$%&*+,./:^_{|}~"
"""Letters that are in no escape sequence of tmux and ours, each once in a round."""

PAUSES = (0.08, 0.4)
"""Seconds between two keys, from a fast typist to one who thinks."""

DELAY, LOSS = 0.1, 0.05
"""Seconds, and a part of all packets, in each direction."""

Ends = tuple[Terminal, Terminal]


# ------------------------------------------------------------------ one measurement


def key_to_letter(sender: Terminal, receiver: Terminal, choice: random.Random) -> list[float]:
    """Seconds for each key of a line."""
    seconds = _line(sender, receiver, choice)
    sender.type("\x15")  # Ctrl-U: the next line begins empty
    _both_quiet(sender, receiver)
    return seconds


def _line(sender: Terminal, receiver: Terminal, choice: random.Random) -> list[float]:
    keys = "".join(choice.sample(SYMBOLS, len(SYMBOLS)))
    receiver.update()
    pressed: list[float] = []
    seen: list[float] = []
    at, due = len(receiver.raw), time.monotonic()
    while len(seen) < len(keys):
        now = time.monotonic()
        if len(pressed) < len(keys) and now >= due:
            sender.type(keys[len(pressed)])
            pressed.append(now)
            due = now + choice.uniform(*PAUSES)
        sender.update()
        receiver.update()
        while len(seen) < len(pressed) and (found := receiver.raw.find(keys[len(seen)].encode(), at)) >= 0:
            at = found + 1
            seen.append(time.monotonic())
        time.sleep(0.001)
    return [after - before for before, after in zip(pressed, seen, strict=True)]


def _both_quiet(*terminals: Terminal) -> None:
    since, sizes = time.monotonic(), [0]
    while time.monotonic() - since < 1:
        for terminal in terminals:
            terminal.update()
        if (now := [len(terminal.raw) for terminal in terminals]) != sizes:
            since, sizes = time.monotonic(), now
        time.sleep(0.01)


# ------------------------------------------------------------------ what is compared


@dataclass(frozen=True, slots=True)
class Network:
    """The way between host A, where the operator is, and host B."""

    name: str
    a: str = "127.0.0.1"
    b: str = "127.0.0.1"
    """The addresses of the hosts."""
    on_a: tuple[str, ...] = ()
    on_b: tuple[str, ...] = ()
    """The words before a command on a host."""
    hosts: Hosts | None = None

    @contextmanager
    def service(self, directory: Path) -> Iterator[Service]:
        directory.mkdir()
        one = Service(directory) if self.hosts is None else HostService(directory, self.hosts)
        try:
            yield one
        finally:
            one.close()


@contextmanager
def pychat(service: Service, network: Network) -> Iterator[Ends]:
    service.start("--turns", "free", "--listen", network.a)
    console = service.ready_console("--live")
    words = [*network.on_b, str(BIN / "pychat"), "--accept-new", "--live", "--handle", "Client1"]
    client = service.terminal([*words, network.a, str(service.port)])
    client.sees("Send the first message")
    client.enter("Hi!")
    for one in (console, client):
        one.sees("watched")
    _both_quiet(console, client)
    yield client, console


@contextmanager
def shared_tmux(service: Service, network: Network) -> Iterator[Ends]:
    """The operator attaches on host A, the caller over ssh."""
    _need("tmux")
    place = service.directory
    with ExitStack() as ends:
        ssh = ends.enter_context(ssh_server(place, network.a, network.on_a))
        tmux = ["tmux", "-S", str(place / "tmux"), "-f", "/dev/null"]
        subprocess.run(
            [*tmux, "new-session", "-d", "-x", "80", "-y", "24", "cat", ";", "set", "-g", "status", "off"],
            check=True,
        )
        ends.callback(subprocess.run, [*tmux, "kill-server"], check=False)
        local = service.terminal([*tmux, "attach"])
        remote = service.terminal([*network.on_b, *ssh, " ".join([*tmux, "attach"])])
        remote.type("ready")
        local.sees("ready")
        remote.type("\x15")
        _both_quiet(local, remote)
        yield remote, local


@contextmanager
def ssh_server(place: Path, host: str, on_a: tuple[str, ...] = ()) -> Iterator[list[str]]:
    """A server of its own for this user; yields the words of an ssh that logs in. Raises MissingError."""
    _need("ssh", "ssh-keygen", "sshd")
    port = free_port()
    for name in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(place / name)], check=True)
    settings = f"Port {port}\nHostKey {place}/host\nAuthorizedKeysFile {place}/user.pub\nStrictModes no\n"
    (place / "sshd").write_text(f"{settings}UsePAM no\nPidFile none\nPermitRootLogin yes\n")
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    command = [*on_a, str(shutil.which("sshd", path="/usr/sbin:/usr/bin")), "-D", "-e", "-f", str(place / "sshd")]
    server = subprocess.Popen(command, stderr=subprocess.PIPE)
    try:
        assert server.stderr is not None
        wait_for(lambda: b"listening" in server.stderr.readline(), "sshd listens")  # type: ignore[union-attr]
        options = ["StrictHostKeyChecking=no", f"UserKnownHostsFile={place}/known", "LogLevel=ERROR"]
        login = [word for option in options for word in ("-o", option)]
        yield [
            "ssh",
            "-t",
            "-F",
            "none",
            *login,
            "-i",
            str(place / "user"),
            "-p",
            str(port),
            f"{getpass.getuser()}@{host}",
        ]
    finally:
        server.terminate()
        server.wait()


@contextmanager
def talk(service: Service, network: Network) -> Iterator[Ends]:
    """Between terminals of one user; talk itself does not mind."""
    _need("talk", "in.ntalkd", "unshare")
    if network.hosts is not None:
        raise MissingError("it takes the address of the other host for its own there")
    if os.geteuid() != 0:
        raise MissingError("its daemon needs root")
    user = getpass.getuser()
    callee = service.terminal(["sh"])
    tty = Path(f"/proc/{callee.child.pid}/fd/0").readlink()
    tty.chmod(0o620)  # as mesg(1) does
    logins = service.directory / "utmp"
    logins.write_bytes(_login(user, tty.name, callee.child.pid))
    with _talk_daemon(network.a, logins):
        caller = service.terminal(["talk", f"{user}@{network.a}", f"pts/{tty.name}"])
        callee.sees("connection requested")
        callee.enter(f"exec talk {user}@{network.b}")
        for one in (callee, caller):
            one.sees("Connection established")
        _both_quiet(callee, caller)
        yield caller, callee


def _login(user: str, terminal: str, pid: int) -> bytes:
    """A record of utmp(5): `user` is logged in at a pseudo-terminal."""
    line, key = f"pts/{terminal}".encode(), terminal.encode()
    return struct.pack("hi32s4s32s256shhiii4i20x", 7, pid, line, key, user.encode(), b"", *[0] * 9)


_ON_A_SOCKET = """
import os, socket, sys
one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
one.bind((sys.argv[1], 518))
os.dup2(one.fileno(), 0)
os.dup2(one.fileno(), 1)
os.execv(sys.argv[2], sys.argv[2:])
"""
"""What inetd does."""


@contextmanager
def _talk_daemon(address: str, logins: Path) -> Iterator[None]:
    """A daemon that takes `logins` for the list of who is logged in: this host's own stays as it is."""
    listed = ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs tmpfs /run; cp "$0" /run/utmp; exec "$@"']
    daemon = [sys.executable, "-c", _ON_A_SOCKET, address, str(_path("in.ntalkd"))]
    process = subprocess.Popen([*listed, str(logins), *daemon], stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: Path(f"/proc/{process.pid}/comm").read_text() == "in.ntalkd\n", "the talk daemon")
        yield
    finally:
        process.terminate()
        process.wait()


PROGRAMS: dict[str, Callable[[Service, Network], AbstractContextManager[Ends]]] = {
    "pychat, live typing": pychat,
    "tmux, shared over ssh": shared_tmux,
    "talk": talk,
}


def _path(program: str) -> str | None:
    return shutil.which(program, path="/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin")


def _need(*programs: str) -> None:
    """Raises MissingError."""
    if missing := [name for name in programs if _path(name) is None]:
        raise MissingError(f"{' '.join(missing)} is not installed")


# ------------------------------------------------------------------ everything


def measure(network: Network, place: Path, seed: int) -> dict[str, list[float]]:
    """Milliseconds for each key, by program."""
    found: dict[str, list[float]] = {}
    with ExitStack() as running:
        ends = {}
        for name, opened in PROGRAMS.items():
            service = running.enter_context(network.service(place / f"{network.name[:3]}-{opened.__name__}"))
            try:
                ends[name] = running.enter_context(opened(service, network))
            except MissingError as reason:
                print(f"bench: {name} is not measured: {reason}", file=sys.stderr)
        for line in range(ROUNDS):
            for name, (sender, receiver) in ends.items():
                seconds = key_to_letter(sender, receiver, random.Random(seed + line))
                found.setdefault(name, []).extend(second * 1000 for second in seconds)
    return found


@contextmanager
def bad_network() -> Iterator[Network]:
    """What makes it bad: the kernel, or a wire of our own. Raises UnavailableError."""
    hosts = Hosts()
    try:
        try:
            hosts.cable("delay", f"{DELAY}s", "loss", f"{LOSS:.0%}")
            how = "netem"
        except UnavailableError:
            hosts.close()
            hosts = Hosts()
            hosts.bad_wire(0, LOSS, DELAY)
            how = "a TUN device"
        on_a, on_b = (("ip", "netns", "exec", name) for name in (hosts.a, hosts.b))
        name = f"{DELAY * 1000:.0f} ms and {LOSS:.0%} loss each way ({how})"
        yield Network(name, DAEMON, CLIENT, on_a, on_b, hosts)
    finally:
        hosts.close()


def main() -> int:
    seed, load = time.time_ns() % 10_000, os.getloadavg()[0]
    networks = {}
    with tempfile.TemporaryDirectory(prefix="pychat-live-") as place:
        networks["loopback"] = measure(Network("loopback"), Path(place), seed)
        try:
            with bad_network() as network:
                networks[network.name] = measure(network, Path(place), seed)
        except UnavailableError as reason:
            print(f"bench: not measured on a bad network: {reason}", file=sys.stderr)
    about = {"versions": {name: version(name) for name in PACKAGES}, "load": load, "processors": os.cpu_count()}
    save("live", {"live": {"networks": networks, **about}})
    return 0


PACKAGES = ("tmux", "openssh-server", "talk")


if __name__ == "__main__":
    sys.exit(main())
