"""`python -m tests.bench.strangers`: the processor time that a stranger costs whom TLS refuses.

Beside `openssl s_server`, which asks for a certificate with the same key. A stranger shakes hands, shows no
certificate, and is told that it may not come in.
"""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.bench.goals import ALLOWLIST, OPENSSL
from tests.bench.measure import cpu_us, say
from tests.bench.run import save
from tests.bench.systems import PATIENCE, ended
from tests.support.ports import free_port
from tests.support.service import BIN, Service
from tests.support.waiting import wait_for

ROUNDS, STRANGERS = 5, 200


def refused(port: int) -> None:
    """One stranger, until the server has refused it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as sock:
        try:
            with context.wrap_socket(sock) as tls:
                answer = repr(tls.recv(1))
        except ssl.SSLError as error:
            answer = str(error)
    assert "CERTIFICATE_REQUIRED" in answer, f"not refused: {answer}"


@contextmanager
def pychatd(place: Path, programs: Path = BIN) -> Iterator[tuple[int, int]]:
    """Its port and its pid."""
    (listed := place / "authorized").mkdir()
    service = Service(place, programs=programs)
    try:
        service.start("--config", service.configure(f'authorized = "{listed}"\n'))
        yield service.port, service.pid()
    finally:
        service.close()


@contextmanager
def s_server(place: Path, key: Path) -> Iterator[tuple[int, int]]:
    """key: with its certificate."""
    port = free_port()
    words = [
        "openssl",
        "s_server",
        "-quiet",
        "-tls1_3",
        "-num_tickets",
        "0",
        "-Verify",
        "1",
        "-verify_return_error",
    ]
    words += ["-accept", f"127.0.0.1:{port}", "-cert", str(key), "-key", str(key)]
    with (place / "output").open("wb") as log:
        server = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=log, stderr=log)
        try:
            wait_for(lambda: _accepts(port), "s_server accepts")
            yield port, server.pid
        finally:
            server.terminate()
            ended(server)


@contextmanager
def servers(place: Path) -> Iterator[dict[str, tuple[int, int]]]:
    """Port and pid of each."""
    (ours := place / "pychatd").mkdir()
    with pychatd(ours) as daemon, s_server(place, next(ours.glob("state/*/identity.pem"))) as openssl:
        yield {ALLOWLIST: daemon, OPENSSL: openssl}


def _accepts(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
        return True
    return False


def cost(port: int, pid: int) -> float:
    """Microseconds for each stranger."""
    refused(port)  # the first one may find something that is made once
    before = cpu_us(pid)
    for _ in range(STRANGERS):
        refused(port)
    return (cpu_us(pid) - before) / STRANGERS


def main() -> int:
    if shutil.which("openssl") is None:
        print("bench: strangers are not measured: openssl is not installed.", file=sys.stderr)
        return 0
    times: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory(prefix="pychat-strangers-") as place, servers(Path(place)) as running:
        for number in range(ROUNDS):
            say(f"strangers {number + 1}/{ROUNDS}")
            for name, where in running.items():
                times.setdefault(name, []).append(cost(*where))
    save("strangers", {"strangers": times})
    return 0


if __name__ == "__main__":
    sys.exit(main())
