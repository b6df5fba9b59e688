"""The real programs on real pseudo-terminals, and what their screens show.

`Line` is a daemon on a free port with directories of its own; `Terminal` is a program on a pty whose
output goes through a terminal emulator (pyte), so that a test looks at what a person would see.
Waiting is always for a condition, with a bound.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pexpect
import pyte

BIN = Path(sys.executable).parent
PATIENCE = 20.0
"""Seconds until a condition that never comes true fails a test; a loaded machine is slow, not wrong."""


def wait_for(condition: Callable[[], object], what: str, seconds: float = PATIENCE) -> None:
    """Waits until `condition` holds; fails with `what` after a while."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds:.0f} s: {what}")
        time.sleep(0.01)


def free_port() -> int:
    """A port that nobody listens on, on either family."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


class Line:
    """A daemon's port, directories and syslog socket; the daemon itself is started by the test."""

    def __init__(self, directory: Path) -> None:
        self.port = free_port()
        self.directory = directory
        self.runtime = directory / "run"
        self.place = self.runtime / str(self.port)
        self.syslog = directory / "log"
        self._log = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._log.bind(str(self.syslog))
        self._log.setblocking(False)
        self._lines: list[str] = []
        self._terminals: list[Terminal] = []
        self._processes: list[subprocess.Popen[bytes]] = []
        self.env = {
            **os.environ,
            "HOME": str(directory),
            "XDG_STATE_HOME": str(directory / "xdg-state"),
            "XDG_RUNTIME_DIR": str(directory),
            "XDG_CONFIG_HOME": str(directory / "config"),
            "TERM": "xterm-256color",
            "LANG": "C.UTF-8",
        }

    # -------------------------------------------------------------- the daemon

    def pychatd(self, command: str, *options: str, **more: Any) -> subprocess.CompletedProcess[str]:
        """Runs `pychatd COMMAND PORT` to its end, with this line's directories."""
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
        words = [str(BIN / "pychatd"), command, str(self.port), "--runtime-directory", str(self.runtime)]
        if command in ("start", "run"):
            words += ["--state-directory", str(self.directory / "state"), "--syslog", str(self.syslog)]
        return [*words, *options]

    def start(self, *options: str) -> None:
        result = self.pychatd("start", *options)
        assert result.returncode == 0, result.stderr

    def pid(self) -> int:
        return int((self.place / "pid").read_text())

    def status(self) -> dict[str, Any]:
        result = self.pychatd("status", "--json")
        assert result.returncode == 0, result.stderr
        report: dict[str, Any] = json.loads(result.stdout)
        return report

    def alive(self) -> bool:
        return self.pychatd("status").returncode == 0

    def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        """Sends a signal to the daemon and waits until it is gone."""
        pid = self.pid()
        handle = os.pidfd_open(pid)
        signal.pidfd_send_signal(handle, number)
        wait_for(lambda: _gone(handle), f"pid {pid} ends on {number.name}")
        os.close(handle)

    def log(self) -> list[str]:
        """The syslog lines received so far."""
        try:
            while True:
                self._lines.append(self._log.recv(65536).decode())
        except BlockingIOError:
            return self._lines

    # -------------------------------------------------------------- the two ends

    def client(self, handle: str | None = "Client1", *options: str, **more: Any) -> Terminal:
        words = [str(BIN / "pychat"), "localhost", str(self.port)]
        if handle is not None:
            words += ["--handle", handle]
        return self.terminal([*words, *options], **more)

    def console(self, *options: str, **more: Any) -> Terminal:
        words = [str(BIN / "pychatd-console"), str(self.port), "--runtime-directory", str(self.runtime)]
        return self.terminal([*words, *options], **more)

    def terminal(self, words: Sequence[str], columns: int = 80, lines: int = 24) -> Terminal:
        terminal = Terminal(words, self.env, columns, lines)
        self._terminals.append(terminal)
        return terminal

    def plain(self, program: str, *options: str) -> subprocess.Popen[bytes]:
        """`pychat` or `pychatd-console` on pipes."""
        if program == "pychat":
            words = [str(BIN / "pychat"), "localhost", str(self.port), *options]
        else:
            words = [str(BIN / program), str(self.port), "--runtime-directory", str(self.runtime), *options]
        process = subprocess.Popen(
            words, env=self.env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        self._processes.append(process)
        return process

    def connect(self) -> socket.socket:
        """A bare TCP connection, as nc makes it."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)

    def close(self) -> None:
        """Ends, by pid, all that was started here."""
        for terminal in self._terminals:
            terminal.close()
        for process in self._processes:
            if process.poll() is None:
                process.kill()
            process.communicate()
        with suppress(OSError, ValueError):  # it has stopped already
            self.kill()
        self._log.close()


def _gone(handle: int) -> bool:
    try:
        signal.pidfd_send_signal(handle, 0)
    except ProcessLookupError:
        return True
    return False


class _AnsweringScreen(pyte.HistoryScreen):
    """A terminal that tells where its cursor is when it is asked."""

    def __init__(self, columns: int, lines: int, answer: Callable[[str], None]) -> None:
        super().__init__(columns, lines, history=5000, ratio=0.5)
        self._answer_with = answer

    def write_process_input(self, data: str) -> None:
        self._answer_with(data)


class Terminal:
    """A program on a pty, and the screen a person would see."""

    def __init__(self, words: Sequence[str], env: dict[str, str], columns: int, lines: int) -> None:
        self._screen = _AnsweringScreen(columns, lines, self._answer)
        self._stream = pyte.ByteStream(self._screen)
        self.raw = b""
        self.child: Any = pexpect.spawn(
            words[0], list(words[1:]), env=env, dimensions=(lines, columns), timeout=PATIENCE, echo=False
        )

    def _answer(self, data: str) -> None:
        """The terminal's own answers (where the cursor is), as a real one gives them."""
        self.child.send(data)

    def type(self, text: str) -> None:
        self.child.send(text)

    def enter(self, text: str = "") -> None:
        self.child.send(f"{text}\r")

    def update(self) -> None:
        """Feeds what the program has written to the screen."""
        try:
            while True:
                data = self.child.read_nonblocking(65536, timeout=0)
                self.raw += data
                self._stream.feed(data)
        except (pexpect.TIMEOUT, pexpect.EOF):
            pass

    def lines(self) -> list[str]:
        """Scrollback and screen, without blanks at the ends of lines."""
        self.update()
        above = [
            "".join(row[column].data for column in range(self._screen.columns)) for row in self._screen.history.top
        ]
        return [line.rstrip() for line in (*above, *self._screen.display)]

    def text(self) -> str:
        return "\n".join(self.lines())

    def cursor_line(self) -> str:
        """The line the cursor is on: what is being typed."""
        self.update()
        return str(self._screen.display[self._screen.cursor.y]).rstrip()

    def sees(self, words: str) -> None:
        """Waits until `words` are on the screen or in the scrollback."""
        try:
            wait_for(lambda: words in self.text(), f"{words!r} on the screen")
        except AssertionError as error:
            raise AssertionError(f"{error}; it shows:\n{self.text()}") from None

    def resize(self, columns: int, lines: int) -> None:
        self._screen.resize(lines, columns)
        self.child.setwinsize(lines, columns)

    def exit_status(self) -> int:
        """Waits for the program's end; its exit status."""
        wait_for(self._ended, "the program ends")
        return int(self.child.exitstatus)

    def _ended(self) -> bool:
        self.update()
        return not self.child.isalive()

    def close(self) -> None:
        self.update()
        self.child.close(force=True)
