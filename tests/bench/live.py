"""`python -m tests.bench.live`: from a key at one terminal to the letter at the other, in milliseconds.

Compares live typing with a tmux that both users share over ssh, on the loopback and, as root, over a bad network
between two namespaces. Keys come in an uneven rhythm, as from a person. A letter counts as seen when its byte
reaches the other terminal.
"""

from __future__ import annotations

import getpass
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from statistics import quantiles

from tests.faults.hosts import DAEMON, Hosts, HostService, UnavailableError
from tests.support.ports import free_port
from tests.support.programs import Terminal
from tests.support.service import BIN, Service
from tests.support.waiting import wait_for

ROUNDS = 5
SYMBOLS = "NOQUVWY!#$%&*+,./:^_{|}~"
"""Letters that are in no escape sequence of tmux and ours, each once in a round."""

PAUSES = (0.08, 0.4)
"""Seconds between two keys, from a fast typist to one who thinks."""

DELAY, LOSS = 0.1, 0.05
"""Seconds, and a part of all packets, in each direction."""

Ends = tuple[Terminal, Terminal]


# ------------------------------------------------------------------ one measurement


def key_to_letter(sender: Terminal, receiver: Terminal, seed: int) -> list[float]:
    """Seconds for each key of ROUNDS lines."""
    choice = random.Random(seed)
    seconds: list[float] = []
    for _ in range(ROUNDS):
        seconds += _line(sender, receiver, choice)
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


@contextmanager
def pychat(service: Service, host: str, where: list[str]) -> Iterator[Ends]:
    """where: the words before a command on host B."""
    service.start("--turns", "free")
    console = service.ready_console("--live")
    words = [*where, str(BIN / "pychat"), "--accept-new", "--live", "--handle", "Client1", host, str(service.port)]
    client = service.terminal(words)
    client.sees("Send the first message")
    client.enter("Hi!")
    for one in (console, client):
        one.sees("watched")
    _both_quiet(console, client)
    yield client, console


@contextmanager
def shared_tmux(service: Service, host: str, on_a: list[str], on_b: list[str]) -> Iterator[Ends]:
    """The operator attaches on host A, the caller over ssh."""
    place, port = service.directory, free_port()
    with ExitStack() as ends:
        ends.enter_context(_ssh_server(place, port, on_a))
        tmux = ["tmux", "-S", str(place / "tmux"), "-f", "/dev/null"]
        subprocess.run(
            [*tmux, "new-session", "-d", "-x", "80", "-y", "24", "cat", ";", "set", "-g", "status", "off"],
            check=True,
        )
        ends.callback(subprocess.run, [*tmux, "kill-server"], check=False)
        local = service.terminal([*tmux, "attach"])
        options = ["StrictHostKeyChecking=no", f"UserKnownHostsFile={place}/known", "LogLevel=ERROR"]
        login = [word for option in options for word in ("-o", option)]
        login += ["-i", str(place / "user"), "-p", str(port), f"{getpass.getuser()}@{host}"]
        remote = service.terminal([*on_b, "ssh", "-t", *login, " ".join([*tmux, "attach"])])
        remote.type("ready")
        local.sees("ready")
        remote.type("\x15")
        _both_quiet(local, remote)
        yield remote, local


@contextmanager
def _ssh_server(place: Path, port: int, on_a: list[str]) -> Iterator[None]:
    for name in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(place / name)], check=True)
    settings = f"Port {port}\nHostKey {place}/host\nAuthorizedKeysFile {place}/user.pub\nStrictModes no\n"
    (place / "sshd").write_text(f"{settings}UsePAM no\nPidFile none\nPermitRootLogin yes\n")
    Path("/run/sshd").mkdir(exist_ok=True)
    command = [*on_a, str(shutil.which("sshd", path="/usr/sbin:/usr/bin")), "-D", "-e", "-f", str(place / "sshd")]
    server = subprocess.Popen(command, stderr=subprocess.PIPE)
    try:
        assert server.stderr is not None
        wait_for(lambda: b"listening" in server.stderr.readline(), "sshd listens")  # type: ignore[union-attr]
        yield
    finally:
        server.terminate()
        server.wait()


# ------------------------------------------------------------------ everything


def on_loopback(measure: Callable[[str, Ends], None], place: Path) -> None:
    for name in ("pychat", "tmux over ssh"):
        with _service(place / name.split()[0], None) as service:
            ends = (
                pychat(service, "localhost", []) if name == "pychat" else shared_tmux(service, "127.0.0.1", [], [])
            )
            with ends as pair:
                measure(f"{name}, loopback", pair)


def on_a_bad_network(measure: Callable[[str, Ends], None], place: Path) -> None:
    """Raises UnavailableError."""
    hosts, how = _bad_network()
    on_a, on_b = (["ip", "netns", "exec", name] for name in (hosts.a, hosts.b))
    try:
        for name in ("pychat", "tmux over ssh"):
            with _service(place / f"bad-{name.split()[0]}", hosts) as service:
                ends = (
                    pychat(service, DAEMON, on_b) if name == "pychat" else shared_tmux(service, DAEMON, on_a, on_b)
                )
                with ends as pair:
                    measure(f"{name}, 100 ms and 5 % loss each way ({how})", pair)
    finally:
        hosts.close()


def _bad_network() -> tuple[Hosts, str]:
    """Two hosts, and what makes the network bad: the kernel, or a wire of our own. Raises UnavailableError."""
    hosts = Hosts()
    try:
        hosts.cable("delay", f"{DELAY}s", "loss", f"{LOSS:.0%}")
        return hosts, "netem"
    except UnavailableError:
        hosts.close()
    hosts = Hosts()
    try:
        hosts.bad_wire(0, LOSS, DELAY)
    except UnavailableError:
        hosts.close()
        raise
    return hosts, "tun"


@contextmanager
def _service(directory: Path, hosts: Hosts | None) -> Iterator[Service]:
    directory.mkdir()
    one = Service(directory) if hosts is None else HostService(directory, hosts)
    try:
        yield one
    finally:
        one.close()


def main() -> int:
    if missing := [name for name in ("tmux", "ssh", "ssh-keygen") if shutil.which(name) is None]:
        print(f"bench: live typing is not measured: {' '.join(missing)} is not installed.", file=sys.stderr)
        return 0
    seed = time.time_ns() % 10_000
    print(f"From a key to the letter at the other terminal, in ms (seed {seed}):")

    def measure(name: str, ends: Ends) -> None:
        seconds = key_to_letter(*ends, seed)
        cuts = quantiles(seconds, n=100)
        print(f"  {name:55} p50 {cuts[49] * 1000:6.0f}  p99 {cuts[98] * 1000:6.0f}  ({len(seconds)} keys)")

    with tempfile.TemporaryDirectory(prefix="pychat-live-") as place:
        on_loopback(measure, Path(place))
        try:
            on_a_bad_network(measure, Path(place))
        except UnavailableError as reason:
            print(f"  not measured on a bad network: {reason}")
    with suppress(OSError):
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
