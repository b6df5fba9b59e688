"""A service for tests of the real programs: a daemon on a free port, with directories and a syslog of its own."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

from pychat_client.errors import UnreachableError
from pychat_client.files import write_private
from pychat_client.trust.certificates import make_certificate
from pychatd.control import ask_status
from tests.support.ports import free_port
from tests.support.programs import Piped, Terminal
from tests.support.raw_ends import BlockingEnd
from tests.support.waiting import PATIENCE, wait_for

BIN = Path(sys.executable).parent


@cache
def _key() -> bytes:
    """A key and its certificate, made once for all services: each daemon would need 0.2 s for its own."""
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "identity.pem"
        make_certificate(file, "pychatd")
        return file.read_bytes()


class Service:
    """A daemon's port, directories and syslog socket; the daemon itself is started by the test."""

    def __init__(
        self, directory: Path, runtime: Path | None = None, port: int | None = None, *, programs: Path = BIN
    ) -> None:
        """runtime: the directory of services that run beside each other; by default, this one has its own.
        port: that of a service that ends before this one starts. programs: where its `pychatd` and its
        `pychatd-console` are."""
        self._programs = programs
        self.port = port or free_port()
        self.directory = directory
        self.runtime = runtime or directory / "run"
        self.place = self.runtime / str(self.port)
        self.state = directory / "state"
        self.syslog = directory / "log"
        self._log = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._log.bind(str(self.syslog))
        self._lines: list[str] = []
        self._reader = threading.Thread(target=self._read_log, daemon=True)
        self._reader.start()
        self._terminals: list[Terminal] = []
        self._processes: list[subprocess.Popen[bytes]] = []
        self._callers: list[BlockingEnd] = []
        self.env = {
            **os.environ,
            "HOME": str(directory),
            "XDG_STATE_HOME": str(directory / "xdg-state"),
            "XDG_RUNTIME_DIR": str(directory),
            "XDG_DATA_HOME": str(directory / "data"),
            "XDG_CONFIG_HOME": str(directory / "config"),
            "TERM": "xterm-256color",
            "LANG": "C.UTF-8",
        }

    # -------------------------------------------------------------- the daemon

    def pychatd(self, command: str, *options: str, **more: Any) -> subprocess.CompletedProcess[str]:
        """Runs `pychatd COMMAND PORT` to its end, with the directories of this service."""
        return subprocess.run(
            self.command(command, *options),
            env=self.env,
            text=True,
            capture_output=True,
            timeout=PATIENCE * 2,
            check=False,
            **more,
        )

    def command(self, command: str, *options: str) -> list[str]:
        program = str(self._programs / "pychatd")
        words = [program, command, str(self.port), "--runtime-directory", str(self.runtime)]
        if command in ("start", "run"):
            words += ["--state-directory", str(self.state), "--syslog", str(self.syslog)]
        return [*words, *options]

    def configure(self, text: str) -> str:
        """Writes the configuration file; its path, for `--config`."""
        file = self.directory / "pychatd.toml"
        file.write_text(text)
        return str(file)

    def start(self, *options: str) -> None:
        """Starts the daemon, the first time with a key that is there; `pychatd("start")` makes one."""
        if not self.state.exists():
            write_private(self.state / str(self.port) / "identity.pem", _key(), "key")
        result = self.pychatd("start", *options)
        assert result.returncode == 0, result.stderr

    def pid(self) -> int:
        return int((self.place / "pid").read_text())

    def status(self) -> dict[str, Any]:
        """What `pychatd status --json` prints; without the program, as tests ask this again and again."""
        report: dict[str, Any] = json.loads(ask_status(self.place / "console.sock").json())
        return report

    def alive(self) -> bool:
        """Whether the daemon answers."""
        try:
            ask_status(self.place / "console.sock")
        except UnreachableError:
            return False
        return True

    def send(self, number: signal.Signals) -> None:
        """Sends a signal to the daemon."""
        os.kill(self.pid(), number)

    def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        """Sends a signal to the daemon and waits until it is gone."""
        with self.ends():
            self.send(number)

    @contextmanager
    def ends(self) -> Iterator[None]:
        """The daemon ends in consequence of what is done inside."""
        pid = self.pid()
        handle = os.pidfd_open(pid)
        try:
            yield
            assert select.select([handle], [], [], PATIENCE)[0], f"pid {pid} does not end"
        finally:
            os.close(handle)

    def log(self) -> list[str]:
        """The syslog lines received so far."""
        return list(self._lines)

    def _read_log(self) -> None:
        while line := self._log.recv(65536):
            self._lines.append(line.decode())

    def logs(self, words: str) -> None:
        """Waits until a syslog line has `words` in it."""
        try:
            wait_for(lambda: any(words in entry for entry in self.log()), f"{words!r} in the log")
        except AssertionError as error:
            raise AssertionError(f"{error}; it has: {self._lines}") from None

    # -------------------------------------------------------------- the two ends

    def client(self, handle: str | None = "Client1", *options: str, **more: Any) -> Terminal:
        words = [str(BIN / "pychat"), "--accept-new", "localhost", str(self.port)]
        if handle is not None:
            words += ["--handle", handle]
        return self.terminal([*words, *options], **more)

    def console(self, *options: str, handle: str | None = "Server", **more: Any) -> Terminal:
        words = self.console_words()
        if handle is not None:
            words += ["--handle", handle]
        return self.terminal([*words, *options], **more)

    def console_words(self) -> list[str]:
        return [str(self._programs / "pychatd-console"), str(self.port), "--runtime-directory", str(self.runtime)]

    def ready_console(self, *options: str, **more: Any) -> Terminal:
        """A console that is attached and waits for a call."""
        console = self.console(*options, **more)
        console.sees("Waiting for calls")
        return console

    def ready_client(self, *options: Any, **more: Any) -> Terminal:
        """A client that is connected and has sent nothing."""
        client = self.client(*options, **more)
        client.sees("Send the first message")
        return client

    def talk(self) -> tuple[Terminal, Terminal]:
        """A console and a client, after the first message, "Hi!"."""
        console = self.ready_console()  # so that the client will know its handle
        client = self.ready_client()
        client.line_is("Client1>")
        client.enter("Hi!")
        console.sees("Client1> Hi!")
        return console, client

    def terminal(
        self,
        words: Sequence[str],
        columns: int = 80,
        lines: int = 24,
        env: dict[str, str] | None = None,
        *,
        answers: bool = True,
    ) -> Terminal:
        """answers: the terminal tells where its cursor is, as nearly every one does."""
        terminal = Terminal(words, {**self.env_for(words), **(env or {})}, columns, lines, answers=answers)
        self._terminals.append(terminal)
        return terminal

    def plain(self, program: str, *options: str, host: str = "localhost", user: str | None = None) -> Piped:
        """`pychat` or `pychatd-console` on pipes. user: somebody with files of their own."""
        if program == "pychat":
            words = [str(BIN / "pychat"), "--accept-new", host, str(self.port), *options]
        else:
            words = [str(BIN / program), str(self.port), "--runtime-directory", str(self.runtime), *options]
        return Piped(self.popen(words, env=self.env_for(words) if user is None else self.env_of(user)))

    def ready_plain(self, program: str, *options: str) -> Piped:
        """The same, connected: a console without a call, or a client that has sent nothing."""
        piped = self.plain(program, *options)
        piped.notes("Waiting for calls" if program == "pychatd-console" else "Send the first message")
        return piped

    def ready_watcher(self, *options: str) -> Piped:
        """`pychatd-console --watch`, which may wait for the daemon."""
        words = [str(BIN / "pychatd-console"), "--watch", str(self.port), "--runtime-directory", str(self.runtime)]
        return Piped(self.popen([*words, *options]))

    def popen(self, words: Sequence[str], **more: Any) -> subprocess.Popen[bytes]:
        """A process on pipes; it ends with this service."""
        pipe = subprocess.PIPE
        more.setdefault("env", self.env_for(words))
        process = subprocess.Popen(words, **{"stdin": pipe, "stdout": pipe, "stderr": pipe, **more})
        self._processes.append(process)
        return process

    def env_for(self, words: Sequence[str]) -> dict[str, str]:
        """Callers with different handles are different users, each with a conversation of their own."""
        handle = words[words.index("--handle") + 1] if "--handle" in words else "Client1"
        if handle == "Client1" or "pychatd-console" in " ".join(words):
            return self.env
        return self.env_of(handle)

    def env_of(self, user: str) -> dict[str, str]:
        """The environment of a user with files of their own."""
        return {**self.env, "XDG_STATE_HOME": str(self.directory / f"state-of-{user}")}

    def connect(self) -> BlockingEnd:
        """A bare TCP connection, as nc makes it."""
        caller = BlockingEnd(socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE))
        self._callers.append(caller)
        return caller

    def connect_console(self, hello: str) -> BlockingEnd:
        """A bare connection to the console's socket that has said `hello`, and has been told all."""
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(PATIENCE)
        sock.connect(str(self.place / "console.sock"))
        console = BlockingEnd(sock)
        console.send(hello)
        console.reads("\\ready")
        return console

    def greeted(self, handle: str = "Client1") -> BlockingEnd:
        """A bare version-1 connection that has said hello and read the answer."""
        caller = self.connect()
        caller.greet(handle)
        return caller

    def close(self) -> None:
        """Ends, by pid, all that was started here."""
        for terminal in self._terminals:
            terminal.close()
        for caller in self._callers:
            caller.close()
        for process in self._processes:
            if process.poll() is None:
                process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout, process.stderr):
                if stream is not None:
                    with suppress(OSError):  # what was not read any more
                        stream.close()
        with suppress(OSError, ValueError):  # it has stopped already
            self.kill()
        self._log.shutdown(socket.SHUT_RDWR)
        self._reader.join()
        self._log.close()
