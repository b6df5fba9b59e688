"""The measurements: each asks the load generator, or /proc, and returns plain figures for the JSON file.

Times are in microseconds, memory in KiB. What is compared is measured in turn, again and again, so that a
machine which is busy for a while is so for everybody.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from tests.bench.systems import (
    KINDS,
    LINE,
    PATIENCE,
    SERVER_CPU,
    WINDOW,
    MissingError,
    Server,
    Tools,
    ended,
    on_cpus,
)
from tests.support.ports import free_port
from tests.support.service import Service

Running = tuple[dict[str, Server], dict[str, str]]
"""What has been started, by name; and what has not, and why."""

MODES = ("same", "split")
"""The generator on the server's processor, which shows what the software costs, or on one of its own."""

SETTLE_SECONDS = 3
"""Until the last acks of what was said have arrived, and nobody waits for a terminal's answer any more."""

LAST_TEXT = "{:08d}"
"""How the generator's message of that number begins, from 0."""


IMPORTS = "import os, pychatd.daemon_cli, pychatd.serve, pychatd.network.server; os._exit(0)"
"""A program that reads what a start of the daemon reads, and ends without tidying up."""


AT_THE_PORT = "import argparse, os, pathlib, re, socket, tomllib; os._exit(0)"
"""What it reads of the standard library until its port is open."""

LIBRARY = "import argparse, asyncio, os, pathlib, re, sqlite3, ssl, tomllib; os._exit(0)"
"""And until it serves."""

PARTS = ("at_the_port", "library", "modules")
"""The names of these three among the starts: another version of the daemon reads something else."""


def say(words: str) -> None:
    print(words, file=sys.stderr, flush=True)


def load(tools: Tools, *words: object, mode: str | None = None, env: Mapping[str, str] | None = None) -> Any:
    """What the generator prints. mode: where it runs; None for anywhere."""
    cpus = {None: os.sched_getaffinity(0), "same": {SERVER_CPU}, "split": _other_cpus()}[mode]
    result = subprocess.run(
        [*on_cpus(cpus), str(tools.load), *map(str, words)],
        stdout=subprocess.PIPE,
        env=None if env is None else {**os.environ, **env},
        check=True,
    )
    return json.loads(result.stdout)


def _other_cpus() -> set[int]:
    return os.sched_getaffinity(0) - {SERVER_CPU} or {SERVER_CPU}


# ------------------------------------------------------------------ /proc


def cpu_us(pid: int) -> float:
    """Time that a process has spent on processors (/proc/PID/schedstat counts nanoseconds)."""
    tasks = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(task.read_text().split()[0]) for task in tasks) / 1000


def wakeups(pid: int) -> int:
    """How often a process has gone to sleep, and so was woken (proc(5), voluntary_ctxt_switches)."""
    return sum(
        int(re.findall(r"^voluntary_ctxt_switches:\s+(\d+)", task.read_text(), re.MULTILINE)[0])
        for task in Path(f"/proc/{pid}/task").glob("*/status")
    )


def resident(pid: int, key: str) -> int:
    """`key` (Rss, Pss) of a process in KiB (proc(5), smaps_rollup)."""
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return int(re.findall(rf"^{key}:\s+(\d+)", rollup, re.MULTILINE)[0])


# ------------------------------------------------------------------ the disk


def sync(tools: Tools, directory: Path) -> list[float]:
    """Quantiles of fdatasync in `directory`."""
    quantiles: list[float] = load(tools, "sync", directory, 500)["sync"]
    return quantiles


def file_system(directory: Path) -> str:
    words = ["stat", "--file-system", "--format", "%T", str(directory)]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()


# ------------------------------------------------------------------ speed


@contextmanager
def servers(tools: Tools, names: Sequence[str], directory: Path) -> Iterator[Running]:
    """Those of `names` that could be started, and why the others could not."""
    running: dict[str, Server] = {}
    missing: dict[str, str] = {}
    try:
        for number, name in enumerate(names):
            try:
                running[name] = Server(KINDS[name], tools, directory / str(number))
            except MissingError as error:
                missing[name] = str(error)
                say(f"left out: {name}: {error}")
        yield running, missing
    finally:
        for server in running.values():
            server.close()


def talking(tools: Tools, names: Sequence[str], directory: Path, repeats: int) -> dict[str, dict[str, list[int]]]:
    """Rss and Pss of servers while two talk over them, each time on one that has just been started."""
    figures: dict[str, dict[str, list[int]]] = {"talking": {}, "talking_pss": {}}
    for number in range(repeats):
        say(f"memory {number + 1}/{repeats}")
        for place, name in enumerate(names):
            server = Server(KINDS[name], tools, directory / f"{number}-{place}")
            try:
                for key, most in zip(figures, _talking(tools, server), strict=True):
                    figures[key].setdefault(name, []).append(most)
            finally:
                server.close()
    return figures


def _talking(tools: Tools, server: Server) -> tuple[int, int]:
    """The most that is seen in a short conversation: Rss, and Pss."""
    kind = server.kind
    words = ["rtt", kind.protocol, server.peer, server.operator, str(kind.round_trips // 2)]
    rss = pss = 0
    with subprocess.Popen([tools.load, *words], stdout=subprocess.DEVNULL) as talk:
        while talk.poll() is None:
            rss = max(rss, resident(server.process.pid, "Rss"))
            pss = max(pss, resident(server.process.pid, "Pss"))
            time.sleep(0.002)
    if talk.returncode != 0:
        raise AssertionError(f"{kind.name}: the generator failed")
    return rss, pss


def speed(tools: Tools, running: dict[str, Server], repeats: int) -> dict[str, Any]:
    """Round trips and streams over every server in turn, `repeats` times."""
    figures: dict[str, Any] = {name: {} for name in running}
    for number in range(repeats):
        for name, server in running.items():
            say(f"speed {number + 1}/{repeats}: {name}")
            for mode in MODES:
                found = figures[name].setdefault(mode, {})
                for key, value in {**_talk(tools, server, mode), **_stream(tools, server, mode)}.items():
                    found.setdefault(key, []).append(value)
    for found in (figures[name][mode] for name in figures for mode in MODES):
        found["quantiles"] = [median(runs) for runs in zip(*found["quantiles"], strict=True)]
    return figures


def _talk(tools: Tools, server: Server, mode: str) -> dict[str, Any]:
    kind = server.kind
    before = cpu_us(server.process.pid)
    found = load(tools, "rtt", kind.protocol, server.peer, server.operator, kind.round_trips, mode=mode)
    cost = (cpu_us(server.process.pid) - before) / found["messages"]
    figures = {"rtt": found["rtt"][49], "rtt99": found["rtt"][98], "cpu": cost, "quantiles": found["rtt"]}
    if "ack" in found:
        figures["ack"] = found["ack"][49]
    return figures


def _stream(tools: Tools, server: Server, mode: str) -> dict[str, Any]:
    kind = server.kind
    before = cpu_us(server.process.pid)
    found = load(tools, "stream", kind.protocol, server.peer, server.operator, kind.streamed, WINDOW, mode=mode)
    cost = (cpu_us(server.process.pid) - before) / found["messages"]
    return {"rate": found["messages"] / found["seconds"], "stream_cpu": cost}


# ------------------------------------------------------------------ starting


def starts(tools: Tools, directory: Path, repeats: int, left_out: Collection[str] = ()) -> dict[str, list[float]]:
    """How long programs take to be of use, each beside an empty run of the same interpreter.

    left_out: names among PARTS.
    """
    directory.mkdir(parents=True)
    port, runtime = free_port(), directory / "run"
    home = {"HOME": str(directory), "XDG_DATA_HOME": f"{directory}/data", "TERM": "xterm-256color"}
    home |= {"XDG_STATE_HOME": f"{directory}/state", "XDG_CONFIG_HOME": f"{directory}/config"}
    config = directory / "pychatd.toml"
    config.write_text(LINE.format(turns="alternate"))
    daemon = [
        *(tools.program("pychatd"), "run", port, "--config", config),
        *("--state-directory", directory / "lines", "--runtime-directory", runtime),
    ]
    ends = (f"tls:{port}", f"unix:{runtime}/{port}/console.sock")
    load(tools, "start", *ends, "--", *daemon)  # the first start of all makes the key
    with subprocess.Popen(list(map(str, daemon)), stderr=subprocess.DEVNULL) as once:
        try:
            _accept_key(tools, port, home)
        finally:
            once.terminate()
    python = tools.program("python")
    programs = {
        "pass": ("exec", python, "-c", "pass"),
        "at_the_port": ("exec", python, "-P", "-c", AT_THE_PORT),
        "library": ("exec", python, "-P", "-c", LIBRARY),
        "modules": ("exec", python, "-P", "-c", IMPORTS),
        "version": ("exec", tools.program("pychat"), "--version"),
        "import": ("exec", python, "-c", "import prompt_toolkit"),
        "prompt": ("prompt", "Your handle", tools.program("pychat"), "localhost", port),
    }
    for part in left_out:
        del programs[part]
    figures: dict[str, list[float]] = {}
    for number in range(repeats):
        say(f"starts {number + 1}/{repeats}")
        for name, words in programs.items():
            figures.setdefault(name, []).append(load(tools, *words, env=home)["time"])
        for name, value in load(tools, "start", *ends, "--", *daemon).items():
            figures.setdefault(name, []).append(value)
    return figures


def _accept_key(tools: Tools, port: int, home: dict[str, str]) -> None:
    """One call, so that the host's key is known."""
    words = [tools.program("pychat"), "--accept-new", "--plain", "--handle", "x", "localhost", str(port)]
    end = time.monotonic() + PATIENCE
    env = {**os.environ, **home}
    while subprocess.run(words, env=env, input=b"", capture_output=True, check=False).returncode != 0:
        if time.monotonic() > end:
            raise AssertionError("pychat cannot call the line")
        time.sleep(0.05)


# ------------------------------------------------------------------ nothing to do


def idle(running: dict[str, Server], directory: Path, seconds: int) -> dict[str, Any]:
    """How often programs wake while nobody says anything: two real ends on terminals, and all servers."""
    directory.mkdir(parents=True)
    service = Service(directory)
    try:
        service.start("--turns", "free")
        console, client = service.talk()
        pids = {"pychatd": service.pid(), "pychatd-console": console.child.pid, "pychat": client.child.pid}
        pids |= {name: server.process.pid for name, server in running.items() if "pychat" not in name}
        say(f"idle for {seconds} s")
        time.sleep(SETTLE_SECONDS)
        before = {name: wakeups(pid) for name, pid in pids.items()}
        time.sleep(seconds)
        counts = {name: wakeups(pid) - before[name] for name, pid in pids.items()}
    finally:
        service.close()
    return {"seconds": seconds, "wakeups": counts}


# ------------------------------------------------------------------ growth


def growth(tools: Tools, directory: Path, sizes: Sequence[int], repeats: int) -> list[dict[str, Any]]:
    """A round trip and a console's attach, with ever more messages before them: medians of conversations."""
    server = Server(KINDS["pychat"], tools, directory)
    runs: list[list[dict[str, Any]]] = []
    try:
        for number in range(repeats):
            say(f"growth to {sizes[-1]} messages {number + 1}/{repeats}")
            runs.append(load(tools, "grow", server.peer, server.operator, 300, *sizes, mode="same"))
    finally:
        server.close()
    return [
        {
            "history": size,
            "attach": median(run[place]["attach"] for run in runs),
            "rtt": median(run[place]["rtt"][49] for run in runs),
        }
        for place, size in enumerate(sizes)
    ]


def console(tools: Tools, directory: Path, size: int, repeats: int) -> dict[str, Any]:
    """From exec of the real console to the last of `size` messages on its terminal."""
    server = Server(KINDS["pychat"], tools, directory)
    figures: dict[str, Any] = {"messages": size, "screen": [], "plain": []}
    try:
        with subprocess.Popen(
            [tools.load, "hold", server.peer, server.operator, str(size)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        ) as held:
            assert held.stdin is not None
            assert held.stdout is not None
            held.stdout.readline()
            place = server.operator.removeprefix("unix:").removesuffix(f"/{server.port}/console.sock")
            words = [tools.program("pychatd-console"), str(server.port), "--handle", "Server"]
            words += ["--runtime-directory", place]
            home = {"HOME": str(directory), "XDG_STATE_HOME": f"{directory}/xdg", "TERM": "xterm-256color"}
            for number in range(repeats):
                say(f"console {number + 1}/{repeats}")
                for view, option in (("screen", []), ("plain", ["--plain"])):
                    time_ = load(tools, "prompt", LAST_TEXT.format(size - 1), *words, *option, env=home)["time"]
                    figures[view].append(time_)
            held.stdin.close()
    finally:
        server.close()
    return figures


# ------------------------------------------------------------------ many lines


def lines(tools: Tools, directory: Path, counts: Sequence[int], repeats: int) -> list[dict[str, Any]]:
    """What one service costs beside others that do nothing: daemons on ports of their own."""
    directory.mkdir(parents=True)
    first = Server(KINDS["pychat"], tools, directory / "first")
    processes: list[subprocess.Popen[bytes]] = []
    figures: list[dict[str, Any]] = []
    config = directory / "pychatd.toml"
    identity = directory / "first/state" / str(first.port) / "identity.pem"
    config.write_text(LINE.format(turns="free") + f'certificate = "{identity}"\n')
    try:
        for count in counts:
            say(f"{count} lines")
            while len(processes) + 1 < count:
                processes.append(start_line(tools, directory, config))
            pids = [first.process.pid, *(process.pid for process in processes)]
            talk = ("rtt", "pychat", first.peer, first.operator, 1000)
            trips = [load(tools, *talk, mode="same")["rtt"][49] for _ in range(repeats)]
            before = sum(map(wakeups, pids[1:]))
            time.sleep(5)
            figures.append(
                {
                    "lines": count,
                    "rtt": median(trips),
                    "pss": sum(resident(pid, "Pss") for pid in pids) / count,
                    "rss": sum(resident(pid, "Rss") for pid in pids) / count,
                    "start_cpu": sum(map(cpu_us, pids[1:])) / (count - 1) if count > 1 else None,
                    "wakeups": sum(map(wakeups, pids[1:])) - before,
                }
            )
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            ended(process)
        first.close()
    return figures


def start_line(tools: Tools, directory: Path, config: Path) -> subprocess.Popen[bytes]:
    """One more service; returns when it serves."""
    port = free_port()
    words = [tools.program("pychatd"), "run", str(port), "--config", str(config)]
    words += ["--state-directory", str(directory / "state"), "--runtime-directory", str(directory / "run")]
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=log)
        end = time.monotonic() + PATIENCE
        while os.fstat(log.fileno()).st_size == 0:  # its first word is that it serves
            if process.poll() is not None or time.monotonic() > end:
                process.kill()
                process.wait()
                log.seek(0)
                raise AssertionError(f"a line does not start: {log.read().decode()}")
            time.sleep(0.002)
    return process
