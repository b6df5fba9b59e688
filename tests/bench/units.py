"""`python -m tests.bench.units`: what idle lines cost where systemd keeps their sockets; as root, a few minutes.

On a systemd in a container of its own (tests/system/machine.py): many `pychatd@PORT.socket` units that
nobody calls, and how long the first caller of one waits.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from statistics import median
from typing import Any

from tests.bench.measure import say
from tests.bench.report import dumped
from tests.system.conftest import INSTALL
from tests.system.machine import SUITES, Machine, UnavailableError

OUTPUT = Path(__file__).parents[2] / "build/bench/units.json"
COUNTS = (200, 1000)
FIRST = 20_000
AT_ONCE = 100
"""Units in one command: a machine that works for longer than RUN_SECONDS is taken for dead."""

CALLS = 5
_CALL = """
import socket, sys, time
start = time.monotonic()
with socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=30) as sock:
    sock.sendall(b"\\\\hello 1 Bench\\n")
    answer = sock.recv(4096)
assert answer.startswith(b"\\\\hello 1 "), answer
print((time.monotonic() - start) * 1e6)
"""


def measure(machine: Machine) -> list[dict[str, Any]]:
    """Figures of systemd (memory in KiB) with ever more socket units, above those without any."""
    memory, files = _systemd(machine)
    figures, started, seconds = [], 0, 0.0
    for count in COUNTS:
        say(f"{count} socket units")
        begin = time.monotonic()
        while started < count:
            more = min(AT_ONCE, count - started)
            names = f"$(seq -f 'pychatd@%.0f.socket' {FIRST + started} {FIRST + started + more - 1})"
            machine.run(f"systemctl start {names}")
            started += more
        seconds += time.monotonic() - begin
        now = _systemd(machine)
        figures.append(
            {
                "units": count,
                "memory": now[0] - memory,
                "files": now[1] - files,
                "start": seconds,
                "answered": median(_first_call(machine, FIRST + count - 1 - call) for call in range(CALLS)),
            }
        )
    return figures


def _systemd(machine: Machine) -> tuple[int, int]:
    """Resident memory and open files of the machine's systemd."""
    words = machine.run("awk '/^VmRSS/ {print $2}' /proc/1/status; ls /proc/1/fd | wc -l").stdout.split()
    return int(words[0]), int(words[1])


def _first_call(machine: Machine, port: int) -> float:
    """Microseconds from a connection to the daemon's hello, on a service that was not running."""
    return float(machine.run(f"python3 -c '{_CALL}' {port}").stdout)


def main() -> int:
    try:
        machine = Machine(SUITES[0])
    except UnavailableError as error:
        say(f"not measured: {error}")
        return 1
    try:
        machine.run(INSTALL)
        figures = measure(machine)
    finally:
        machine.close()
    OUTPUT.parent.mkdir(parents=True, exist_ok=True)
    OUTPUT.write_text(dumped({"units": figures}))
    print(f"Written to {OUTPUT}; 'make bench-docs' keeps it.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
