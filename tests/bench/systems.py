"""What is measured: a service of pychat, and what one would pick instead, each as a process on loopback.

Every server is started here, with a configuration from `peers` and everything it writes in a directory of
its own, on one processor; it is ended by its pid. Knows nothing of figures.
"""

from __future__ import annotations

import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from pychatd.settings import UNSAFE_NO_SYNC
from tests.support.ports import free_port

HERE = Path(__file__).parent
WINDOW = 2000
"""How many messages of a stream are on their way at once, with every server."""

PATIENCE = 30.0
SERVER_CPU = 0

LINE = """
rate = 0                 # the limit for strangers would be all that is measured
turns = "{turns}"
listen = ["127.0.0.1"]
"""


class MissingError(Exception):
    """A server that is not installed, or not all it needs; `str()` says what."""


@dataclass(frozen=True, slots=True)
class Tools:
    """The programs that the bench has made: see `build`."""

    load: Path
    relay: Path
    sync: Path
    """A library that takes the place of a program's syncs: see sync.c."""

    env: Path
    """A virtual environment with pychat installed as a user has it."""

    def program(self, name: str) -> str:
        return str(self.env / "bin" / name)


@dataclass(frozen=True, slots=True)
class Emphasis:
    """How a server is measured, and what a reader has to know to compare."""

    name: str
    protocol: str
    tls: bool
    durable: str
    """What a confirmed message survives, in words."""

    round_trips: int = 1000
    streamed: int = 100_000


KINDS = {
    kind.name: kind
    for kind in (
        Emphasis("pychat", "pychat", True, "power loss: synced before the ack"),
        Emphasis("pychat, no sync", "pychat", True, "a killed daemon"),
        Emphasis("pychat, no sync, plain TCP", "pychat", False, "a killed daemon"),
        Emphasis("bare C relay", "relay", False, "power loss: synced before the ack"),
        Emphasis("mosquitto, autosave", "mqtt", False, "a killed broker; not synced for each message", 500, 3_000),
        Emphasis("mosquitto", "mqtt", False, "nothing"),
        Emphasis("prosody, MAM", "xmpp", False, "power loss: synced, in an archive", 150, 500),
        Emphasis("prosody", "xmpp", True, "nothing", 1000, 20_000),
        Emphasis("ngircd", "irc", False, "nothing, and nothing is confirmed", 1000, 20_000),
        Emphasis("socat", "raw", False, "nothing, and nothing is confirmed", 1000, 100_000),
    )
}
QUICK = ("pychat", "pychat, no sync", "bare C relay")


class Server:
    """One running server, and the addresses of its two ends."""

    def __init__(self, kind: Emphasis, tools: Tools, directory: Path, within: Sequence[str] = ()) -> None:
        """Starts it in `directory`, which is made, and waits until it accepts. Raises MissingError.

        within: a command that runs it, such as a profiler.
        """
        directory.mkdir(parents=True)
        self.kind = kind
        self.tools = tools
        self.directory = directory
        self.port = free_port()
        self.peer = self.operator = f"{'tls' if kind.tls else 'tcp'}:{self.port}"
        words = self._command()
        if shutil.which(words[0]) is None:
            raise MissingError(f"{words[0]} is not installed")
        self._log = (directory / "output").open("wb")
        self.process = subprocess.Popen(
            [*on_cpus({SERVER_CPU}), *within, *words],
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            cwd=directory,
            env={**os.environ, UNSAFE_NO_SYNC: "1" if "no sync" in kind.name else "0"},
        )
        try:
            self._wait()
            self._check_archive()
        except BaseException:
            self.close()
            raise

    def _command(self) -> list[str]:
        match self.kind.protocol:
            case "pychat":
                return self._pychatd()
            case "relay":
                self.operator = f"unix:{self.directory}/console.sock"
                return [str(self.tools.relay), str(self.port), self.operator[5:], f"{self.directory}/journal.db"]
            case "raw":
                other = free_port()
                self.operator = f"tcp:{other}"
                where = "bind=127.0.0.1,reuseaddr,nodelay"
                return ["socat", f"TCP-LISTEN:{self.port},{where},fork", f"TCP-LISTEN:{other},{where}"]
            case "mqtt":
                saved = f"persistence true\npersistence_location {self.directory}/\n"
                saved += "autosave_on_changes true\nautosave_interval 1"
                kept = "persistence false" if self.kind.name == "mosquitto" else saved
                file = self._configure("mosquitto.conf", port=self.port, durability=kept)
                return ["mosquitto", "-c", str(file)]
            case "irc":
                file = self._configure("ngircd.conf", port=self.port)
                return ["ngircd", "--nodaemon", "--config", str(file)]
            case _:
                return self._prosody()

    def _pychatd(self) -> list[str]:
        config = self.directory / "pychatd.toml"
        config.write_text(LINE.format(turns="free"))
        runtime = self.directory / "run"
        self.operator = f"unix:{runtime}/{self.port}/console.sock"
        return [
            *(self.tools.program("pychatd"), "run", str(self.port), "--config", str(config)),
            *("--state-directory", str(self.directory / "state"), "--runtime-directory", str(runtime)),
        ]

    def _prosody(self) -> list[str]:
        archive = "MAM" in self.kind.name
        accounts = self.directory / "data/localhost/accounts"
        accounts.mkdir(parents=True)
        for name in "ab":
            (accounts / f"{name}.dat").write_text('return { ["password"] = "secret" };\n')
        subprocess.run(
            [
                *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"),
                *("-subj", "/CN=localhost", "-keyout", "key.pem", "-out", "cert.pem"),
            ],
            cwd=self.directory,
            capture_output=True,
            check=True,
        )
        other = free_port()
        plain, tls = (self.port, other) if archive else (other, self.port)
        file = self._configure(
            "prosody.cfg.lua",
            directory=self.directory,
            mam=str(archive).lower(),
            plain_port=plain,
            tls_port=tls,
            modules='"mam"' if archive else "",
        )
        return ["prosody", "--config", str(file)]

    def _configure(self, name: str, **values: object) -> Path:
        """The configuration `name` of `peers` with its values, in this server's directory."""
        file = self.directory / name
        file.write_text((HERE / "peers" / name).read_text().format(**values))
        return file

    def _wait(self) -> None:
        """Until it accepts. Raises AssertionError with what it has said."""
        end = time.monotonic() + PATIENCE
        while self.process.poll() is None and time.monotonic() < end:
            if self.kind.protocol in ("raw", "relay"):  # a connection would be taken for the first end
                if _listens(self.port):
                    return
            else:
                with suppress(OSError), socket.create_connection(("127.0.0.1", self.port)):
                    return
            time.sleep(0.01)
        raise AssertionError(f"{self.kind.name} does not start: {(self.directory / 'output').read_text()}")

    def _check_archive(self) -> None:
        """That a talk is archived, where it is to be: without its driver prosody goes on all the same.

        Raises MissingError.
        """
        if "MAM" not in self.kind.name:
            return
        talk = [str(self.tools.load), "rtt", self.kind.protocol, self.peer, self.operator, "1"]
        subprocess.run(talk, stdout=subprocess.DEVNULL, timeout=PATIENCE, check=True)
        kept = 0
        with suppress(sqlite3.OperationalError), closing(sqlite3.connect(self.directory / "prosody.sqlite")) as db:
            kept = db.execute("SELECT count(*) FROM prosodyarchive").fetchone()[0]
        if kept == 0:
            raise MissingError("prosody archives nothing: 'apt-get install lua-dbi-sqlite3'")

    def close(self) -> None:
        """Ends it, by its pid."""
        self.process.terminate()
        ended(self.process)
        self._log.close()


def ended(process: subprocess.Popen[bytes]) -> None:
    """Waits for a process that was told to end; kills one that does not."""
    try:
        process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def on_cpus(cpus: Iterable[int]) -> list[str]:
    """What goes before a command so that it runs on these processors, and before all else that wants them."""
    return [*_first(), "taskset", "--cpu-list", ",".join(map(str, cpus))]


@cache
def _first() -> list[str]:
    """A priority over what else runs on this machine (sched(7), SCHED_FIFO), where we may have one."""
    words = ["chrt", "--fifo", "10"]
    try:
        allowed = subprocess.run([*words, "true"], capture_output=True, check=False).returncode == 0
    except OSError:
        allowed = False
    return words if allowed else []


def _listens(port: int) -> bool:
    """Whether somebody listens on `port` of 127.0.0.1 (proc(5), /proc/net/tcp)."""
    return f" 0100007F:{port:04X} 00000000:0000 0A " in Path("/proc/net/tcp").read_text()


def build(directory: Path, repository: Path | None) -> Tools:
    """Compiles the programs in C with the system's compiler, and installs pychat as a user would.

    repository: where it is installed from; None for the pychat of this very environment. Raises MissingError.
    """
    directory.mkdir(parents=True, exist_ok=True)
    env = Path(sys.prefix) if repository is None else directory / "env"
    tools = Tools(directory / "load", directory / "relay", directory / "sync.so", env)
    compiler = os.environ.get("CC", "cc")
    if shutil.which(compiler) is None:
        raise MissingError("no C compiler: 'apt-get install gcc libc6-dev libssl-dev libsqlite3-dev'")
    sources = sorted(str(file) for file in (HERE / "load").glob("*.c"))
    for words in (
        [compiler, *FLAGS, "-o", str(tools.load), *sources, "-lssl", "-lcrypto", "-lutil"],
        [compiler, *FLAGS, "-o", str(tools.relay), str(HERE / "relay.c"), "-lsqlite3"],
        [compiler, *FLAGS, "-shared", "-fPIC", "-o", str(tools.sync), str(HERE / "sync.c")],
    ):
        _run(words)
    if repository is None:
        return tools
    if not (tools.env / "bin/pip").exists():
        _run(["python3", "-m", "venv", str(tools.env)])
        _run([str(tools.env / "bin/pip"), "install", "--quiet", f"{repository}[daemon]"])
    else:
        install = [str(tools.env / "bin/pip"), "install", "--quiet", "--force-reinstall", "--no-deps"]
        _run([*install, str(repository)])
    return tools


FLAGS = ("-O2", "-Wall", "-Wextra", "-Wshadow", "-Werror")


def _run(words: Sequence[str]) -> None:
    result = subprocess.run(words, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise MissingError(f"'{' '.join(words[:3])} …' failed: {(result.stderr or result.stdout)[-2000:]}")
