"""Why a goal is missed: where the daemon's time and memory go, found by leaving parts out.

Times are in microseconds, memory in KiB, as in `measure`; for the JSON file.
"""

from __future__ import annotations

import pstats
import subprocess
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tests.bench.measure import load, resident, say
from tests.bench.systems import KINDS, Server, Tools

TRIPS = 500

# ------------------------------------------------------------------ what waiting for the disk does


def syncs(tools: Tools, directory: Path, wait: float, repeats: int) -> dict[str, Any]:
    """Round trips and acks of the service and of the bare relay, with syncs that are none (`sync.c`).

    wait: what a sync takes here, p50; the ones that sleep or spin take as long.
    """
    time = round(wait)
    ways: dict[str, Sequence[str]] = {
        "real": (),
        "sleeping": ("env", f"LD_PRELOAD={tools.sync}", f"BENCH_SLEEP={time}"),
        "spinning": ("env", f"LD_PRELOAD={tools.sync}", f"BENCH_SPIN={time}"),
        "none": ("env", f"LD_PRELOAD={tools.sync}"),
    }
    runs: dict[str, dict[str, dict[str, list[float]]]] = {
        way: {name: {"rtt": [], "ack": []} for name in ("pychat", "bare C relay")} for way in ways
    }
    with ExitStack() as stack:
        servers: list[tuple[Server, dict[str, list[float]]]] = []
        for way, within in ways.items():
            for name in runs[way]:
                server = Server(KINDS[name], tools, directory / f"{len(servers)}", within)
                stack.callback(server.close)
                servers.append((server, runs[way][name]))
        for number in range(repeats):
            say(f"syncs {number + 1}/{repeats}")
            for server, found in servers:
                ends = (server.kind.protocol, server.peer, server.operator)
                figures = load(tools, "rtt", *ends, TRIPS, mode="same")
                for key, values in found.items():
                    values.append(figures[key][49])
    return {"wait": time, "runs": runs}


# ------------------------------------------------------------------ where the time goes


AREAS = (
    ("poll' of 'select.epoll", None),  # that is waiting
    ("sqlite3", "SQLite, in C"),
    ("_ssl", "OpenSSL, in C"),
    ("of '_socket.socket'", "system calls of sockets, in C"),
    ("asyncio/", "asyncio"),
    ("pychat_client/transport/connection.py", "pychat_client/transport/connection.py"),
    ("pychat_client/", "the rest of pychat_client"),
    ("pychatd/conversation/journal.py", "pychatd/conversation/journal.py"),
    ("pychatd/", "the rest of pychatd"),
    ("", "Python's library, and functions in C that are called from all of them"),
)
"""What a function's place in a profile has in it, and where its time is counted."""


def profile(tools: Tools, directory: Path) -> dict[str, float]:
    """Shares of the daemon's time in round trips, by area: its own time in each function, without waiting."""
    say("profile")
    file = directory / "profile"
    within = [tools.program("python"), "-m", "cProfile", "-o", str(file)]
    server = Server(KINDS["pychat, no sync"], tools, directory / "server", within)
    try:
        load(tools, "rtt", "pychat", server.peer, server.operator, 20_000, mode="same")
    finally:
        server.close()
    times: dict[str, float] = {}
    # mypy: typeshed has no `stats`; keys are (file, line, function), values (calls, all calls, own time, ...)
    for (path, _, function), (_, _, own, *_) in pstats.Stats(str(file)).stats.items():  # type: ignore[attr-defined]
        if "importlib" in path or "<string>" in path:
            continue  # starting
        area = next(area for mark, area in AREAS if mark in f"{path} {function}")
        if area is not None:
            times[area] = times.get(area, 0.0) + own
    return {area: time_ / sum(times.values()) for area, time_ in sorted(times.items(), key=lambda item: -item[1])}


# ------------------------------------------------------------------ where the memory goes


STEPS = (
    ("python3 -c pass", ()),
    ("and argparse, dataclasses, logging", ("argparse", "dataclasses", "logging")),
    ("and ssl", ("ssl",)),
    ("and asyncio", ("asyncio",)),
    ("and sqlite3", ("sqlite3",)),
    ("and the daemon's own modules", ("pychatd.daemon_cli", "pychatd.serve", "pychatd.network.server")),
)
"""Modules that are imported one after the other, in one process."""


def floor(tools: Tools, repeats: int) -> dict[str, list[float]]:
    """Rss of an interpreter that imports what the daemon does, and does nothing else: after each of STEPS."""
    figures: dict[str, list[float]] = {}
    for _ in range(repeats):
        modules: list[str] = []
        for name, more in STEPS:
            modules += more
            words = [
                "-P",
                "-c",
                f"import {', '.join(['sys', *modules])}\nprint(end='.', flush=True)\nsys.stdin.read()",
            ]
            with subprocess.Popen(
                [tools.program("python"), *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE
            ) as process:
                assert process.stdout is not None
                process.stdout.read(1)
                figures.setdefault(name, []).append(resident(process.pid, "Rss"))
                process.communicate()
    return figures
