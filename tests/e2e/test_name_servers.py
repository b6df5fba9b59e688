"""Name servers that do not answer: a signal ends the programs at once. In a network of the test's own.

The signal goes to the thread that asks, so that it interrupts nothing in the main thread. One that arrives just
before the main thread begins to sleep does not either, but no test can choose that moment.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys

import pytest

from tests.support.certificates import make
from tests.support.service import BIN, Service
from tests.support.user import known_hosts
from tests.support.waiting import PATIENCE

SOON = 15.0
"""Seconds: a question to a name server takes 30 here, so this tells them apart, also on a busy machine."""

PRIVATE = ["unshare", "--user", "--map-root-user", "--net", "--mount"]
SILENT_SERVER = """
import ctypes, os, socket, subprocess, sys
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("127.0.0.1", 53))
number, seconds, *words = sys.argv[1:]
program = subprocess.Popen(words, stdin=subprocess.DEVNULL)
server.recv(512)  # the question
asking = max(map(int, os.listdir(f"/proc/{program.pid}/task")))
assert asking != program.pid
if ctypes.CDLL(None).tgkill(program.pid, asking, int(number)) != 0:
    sys.exit("the thread that asks is gone")
sys.exit(program.wait(float(seconds)))
"""


def _unavailable() -> str:
    """Why there can be no network of our own; empty if there can."""
    if not all(map(shutil.which, ("unshare", "ip", "mount"))):
        return "unshare, ip or mount is not installed"
    done = subprocess.run([*PRIVATE, "ip", "link", "set", "lo", "up"], capture_output=True, text=True, check=False)
    return done.stderr


pytestmark = pytest.mark.skipif(bool(why := _unavailable()), reason=f"no network of our own: {why}")


def _interrupted(service: Service, number: signal.Signals, *words: str) -> subprocess.CompletedProcess[bytes]:
    """Runs `pychat`, and sends it a signal while it asks the name server."""
    script = "ip link set lo up"
    servers = "nameserver 127.0.0.1\noptions timeout:30\n"
    for name, text in (("resolv.conf", servers), ("nsswitch.conf", "hosts: files dns\n")):
        (service.directory / name).write_text(text)
        script += f" && mount --bind {service.directory / name} /etc/{name}"
    program = [sys.executable, "-c", SILENT_SERVER, str(int(number)), str(SOON), str(BIN / "pychat"), *words]
    return subprocess.run(
        [*PRIVATE, "sh", "-c", f'{script} && exec "$@"', "sh", *program],
        env=service.env,
        capture_output=True,
        timeout=PATIENCE,
        check=False,
    )


@pytest.mark.parametrize("words", ["", "--plain", "--json", "--wait"])
def test_ctrl_c_ends_a_first_call_at_once(idle_service: Service, words: str) -> None:
    call = ["host.test", "7000", "--handle", "Bob", "--accept-new", *words.split()]
    assert _interrupted(idle_service, signal.SIGINT, *call).returncode == 130


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT])
def test_a_signal_ends_a_call_to_a_known_host_at_once(idle_service: Service, number: signal.Signals) -> None:
    known_hosts(idle_service).accept("host.test", 7000, make(idle_service.directory, "host.test").der)
    assert _interrupted(idle_service, number, "host.test", "7000", "--handle", "Bob").returncode == 130


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT])
def test_a_signal_gives_the_text_back_at_once(idle_service: Service, number: signal.Signals) -> None:
    done = _interrupted(idle_service, number, "send", "host.test", "7000", "not lost")
    assert (done.returncode, done.stderr) == (130, b"pychat: Not sent:\npychat:     not lost\n")


def test_a_limit_counts_for_name_servers_too(idle_service: Service) -> None:
    words = ("send", "--timeout", "1", "host.test", "7000", "not lost")
    done = _interrupted(idle_service, signal.SIGCONT, *words)  # which changes nothing
    assert done.returncode == 3
    assert b"host.test does not answer on port 7000: no reply within" in done.stderr
