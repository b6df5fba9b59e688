"""Terminal emulators of X, each on an invisible display (Xvfb).

The X server sends keys and sizes, as a keyboard and a window manager would. Each emulator has its own way to give
its text: it prints it, has a remote control, or copies it.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import ClassVar

from tests.support.waiting import wait_for
from tests.terminals.base import Emulator, settled

DISPLAY = "4000x1600x24"
"""Pixels, for 300 columns in the font of each emulator."""

HISTORY = "5000"


class XWindow(Emulator):
    TOOLS: ClassVar[tuple[str, ...]] = ("Xvfb", "xdotool")

    @classmethod
    def missing(cls) -> str:
        return " ".join(program for program in (*cls.PROGRAMS, *cls.TOOLS) if shutil.which(program) is None)

    def _command(self) -> list[str]:
        """The command that starts the emulator; the program in it and its arguments follow."""
        raise NotImplementedError

    def start(self, *words: str) -> None:
        self._x: subprocess.Popen[bytes] | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._start_x()
        with (self.directory / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [*self._command(), *self._in_window(words)],
                env=self.env,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._wait_until_open()
        wait_for(self._find, f"the window of {self.NAME}")
        self._learn_cell()

    def _start_x(self) -> None:
        read, write = os.pipe()
        self._x = subprocess.Popen(
            ["Xvfb", "-displayfd", str(write), "-screen", "0", DISPLAY, "-nolisten", "tcp"],
            pass_fds=[write],
            stderr=subprocess.DEVNULL,
        )
        os.close(write)
        with os.fdopen(read) as answer:
            display = answer.readline().strip()
        self.env = {**self.env, "DISPLAY": f":{display}", "LIBGL_ALWAYS_SOFTWARE": "1"}
        self.env.pop("WAYLAND_DISPLAY", None)

    def _xdotool(self, *words: str) -> str:
        quiet = subprocess.DEVNULL  # it complains of windows that are gone since it was asked
        pipe = subprocess.PIPE
        return subprocess.run(
            ["xdotool", *words], check=False, env=self.env, text=True, stdout=pipe, stderr=quiet, timeout=20
        ).stdout.strip()

    def _find(self) -> bool:
        """The window of the terminal: the largest one, except the root."""
        root = tuple(int(word) for word in self._xdotool("getdisplaygeometry").split())
        sizes = {w: self._pixels(w) for w in self._xdotool("search", "--onlyvisible", "--name", ".*").split()}
        sizes = {window: size for window, size in sizes.items() if size != root}
        self._window = max(sizes, key=lambda window: sizes[window], default="")
        return bool(self._window) and min(sizes[self._window]) > 50

    def _pixels(self, window: str) -> tuple[int, int]:
        answer = self._xdotool("getwindowgeometry", "--shell", window)
        found = dict(line.split("=") for line in answer.splitlines())
        return int(found.get("WIDTH", 0)), int(found.get("HEIGHT", 0))

    def _learn_cell(self) -> None:
        """The pixels of a column and a row: from what the program is told, or from two sizes of the window."""
        width, height = settled(lambda: self._pixels(self._window))
        columns, rows, x, y = settled(self.size)
        if not x:
            self._xdotool("windowsize", self._window, str(width * 2), str(height * 2))
            wait_for(lambda: self.size()[0] > columns and self.size()[1] > rows, "a larger window")
            more_columns, more_rows, *_ = settled(self.size)
            x, y = width * columns // (more_columns - columns), height * rows // (more_rows - rows)
        self._cell = round(x / columns), round(y / rows)
        self._border = width - columns * self._cell[0], height - rows * self._cell[1]
        self.resize(self.columns, self.rows)

    def _ask_size(self, columns: int, rows: int) -> None:
        (width, height), (x, y) = self._cell, self._border
        self._xdotool("windowsize", self._window, str(columns * width + x), str(rows * height + y))

    def type(self, text: str) -> None:
        self._xdotool("windowfocus", self._window)
        self._xdotool("type", "--delay", "1", text)

    def enter(self) -> None:
        self._press("Return")

    def blur(self) -> None:
        """No window has the focus."""
        self._xdotool("windowfocus", "0")

    def title(self) -> str:
        return self._xdotool("getwindowname", self._window)

    def _press(self, *keys: str) -> None:
        self._xdotool("windowfocus", self._window)
        self._xdotool("key", *keys)

    def select_line(self, row: int) -> str:
        """Selects a line by three clicks in one of its rows, from 0. Returns what can be pasted then."""
        (width, height), (x, y) = self._cell, self._border
        place = (str(x // 2 + 2 * width), str(y // 2 + row * height + height // 2))
        self._xdotool(
            "mousemove", "--window", self._window, *place, "click", "--repeat", "3", "--delay", "40", "1"
        )
        return settled(self._selected)  # by then the next click is not one more of these

    def _selected(self) -> str:
        command = ["xclip", "-selection", "primary", "-o"]
        copied = subprocess.run(command, env=self.env, check=False, capture_output=True, timeout=20).stdout
        return copied.decode(errors="replace").rstrip("\n")

    def _write(self, sequence: str) -> None:
        """Writes to the terminal, as the program in it could."""
        with self.tty.open("wb", buffering=0) as tty:
            tty.write(sequence.encode())

    def close(self) -> None:
        if self._process:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            assert self._process.stdin
            self._process.stdin.close()
            self._process.wait()
        if self._x:
            self._x.terminate()
            self._x.wait()


class Xterm(XWindow):
    """Cuts rows that are too long, as emulators of DEC terminals do."""

    NAME = "xterm"
    PROGRAMS = ("xterm",)

    def _command(self) -> list[str]:
        self._printed = self.directory / "printed"
        pipe = f"cat >{self._printed}.new; mv {self._printed}.new {self._printed}"
        resources = (f"printerCommand: {pipe}", "printerAutoClose: true", "printAttributes: 0")
        options = [word for one in resources for word in ("-xrm", f"XTerm*{one}")]
        return ["xterm", "-u8", "-sl", HISTORY, *options, "-geometry", f"{self.columns}x{self.rows}", "-e"]

    def lines(self) -> list[str]:
        self._printed.unlink(missing_ok=True)
        self._write("\x1b[?11i")  # "print all pages"
        wait_for(self._printed.exists, "xterm prints")
        return self._printed.read_text(errors="replace").splitlines()


class Urxvt(XWindow):
    """Before it has scrolled once, it loses the rows that do not fit in a lower window, even the cursor's."""

    NAME = "urxvt"
    COPIES = True
    PROGRAMS = ("urxvt",)

    def _command(self) -> list[str]:
        self._printed = self.directory / "printed"
        pipe = f"cat >{self._printed}.new; mv {self._printed}.new {self._printed}"
        options = ("-sl", HISTORY, "+sb", "--print-pipe", pipe)
        return ["urxvt", *options, "-geometry", f"{self.columns}x{self.rows}", "-e"]

    def lines(self) -> list[str]:
        self._printed.unlink(missing_ok=True)
        self._press("ctrl+Print")
        wait_for(self._printed.exists, "urxvt prints")
        return self._printed.read_text(errors="replace").splitlines()

    def _in_window(self, words: tuple[str, ...]) -> list[str]:
        return super()._in_window(("sh", "-c", 'seq 1000 1099; exec "$@"', "sh", *words))


class St(XWindow):
    NAME = "st"
    PROGRAMS = ("st",)
    SCROLLBACK = False

    def _command(self) -> list[str]:
        self._printed = self.directory / "printed"
        return ["st", "-g", f"{self.columns}x{self.rows}", "-o", str(self._printed), "-e"]

    def lines(self) -> list[str]:
        """Prints the screen into its log of everything that is written: the last rows of the log."""
        before = settled(lambda: self._printed.stat().st_size)
        self._write("\x1b[0i")
        wait_for(lambda: self._printed.stat().st_size > before, "st prints")
        log = settled(self._printed.read_bytes)
        return log[before:].decode(errors="replace").removeprefix("\x1b[0i").splitlines()


class Mlterm(XWindow):
    NAME = "mlterm"
    PROGRAMS = ("mlterm",)

    def _command(self) -> list[str]:
        self.env["HOME"] = str(self.directory)  # where it prints to
        return ["mlterm", "-l", HISTORY, "-g", f"{self.columns}x{self.rows}", "-e"]

    def lines(self) -> list[str]:
        files = self.directory / ".mlterm"
        shutil.rmtree(files, ignore_errors=True)
        files.mkdir()
        self._write("\x1b]5379;snapshot text utf8\a")
        wait_for(lambda: list(files.glob("text*")), "mlterm prints")
        (file,) = files.glob("text*")
        return settled(file.read_bytes).decode(errors="replace").splitlines()


class Vte(XWindow):
    """The terminal of GNOME, Xfce and others."""

    NAME = "vte"
    PROGRAMS = ("/usr/bin/python3",)

    @classmethod
    def missing(cls) -> str:
        command = ["/usr/bin/python3", "-c", "import gi; gi.require_version('Vte', '2.91')"]
        there = subprocess.run(command, check=False, capture_output=True).returncode == 0
        return super().missing() or ("" if there else "VTE's bindings for the system's Python")

    def _command(self) -> list[str]:
        self._printed = self.directory / "printed"
        script = Path(__file__).with_name("vte.py")
        return ["/usr/bin/python3", str(script), str(self.columns), str(self.rows), HISTORY, str(self._printed)]

    def lines(self) -> list[str]:
        assert self._process
        assert self._process.stdin
        self._printed.unlink(missing_ok=True)
        self._process.stdin.write(b"text\n")
        self._process.stdin.flush()
        wait_for(self._printed.exists, "vte prints")
        rows: list[str] = json.loads(self._printed.read_text())
        return rows


class Kitty(XWindow):
    NAME = "kitty"
    PROGRAMS = ("kitty",)

    def _command(self) -> list[str]:
        self._socket = f"unix:{self.directory}/socket"
        options = {
            "allow_remote_control": "yes",
            "scrollback_lines": HISTORY,
            "remember_window_size": "no",
            "initial_window_width": f"{self.columns}c",
            "initial_window_height": f"{self.rows}c",
            "placement_strategy": "top-left",
            "shell_integration": "disabled",
            "update_check_interval": "0",
        }
        words = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
        return ["kitty", "--config", "NONE", "--listen-on", self._socket, *words]

    def lines(self) -> list[str]:
        command = ["kitty", "@", "--to", self._socket, "get-text", "--extent", "all"]
        text = subprocess.run(command, env=self.env, stdout=subprocess.PIPE, check=True, timeout=20).stdout
        return text.decode(errors="replace").splitlines()


class Alacritty(XWindow):
    """Gives its text only by copying, in its vi mode, with keys that work in every state."""

    NAME = "alacritty"
    PROGRAMS = ("alacritty", "xclip")
    _CLIPBOARD = ("xclip", "-selection", "clipboard")
    _KEYS: ClassVar[dict[str, str]] = {
        "F1": "mode: ~Vi, action: ToggleViMode",
        "F2": "mode: Vi, action: ScrollToTop",
        "F3": "mode: Vi, action: ToggleLineSelection",
        "F4": "mode: Vi, action: ScrollToBottom",
        "F5": "mode: Vi, action: Copy",
        "F6": "mode: Vi, action: ClearSelection",
        "F7": "mode: Vi, action: ToggleViMode",
    }

    def _command(self) -> list[str]:
        config = self.directory / "config.yml"
        keys = [f"  - {{ key: {key}, {words} }}" for key, words in self._KEYS.items()]
        config.write_text("\n".join(["key_bindings:", *keys]))
        size = [f"window.dimensions.columns={self.columns}", f"window.dimensions.lines={self.rows}"]
        options = [word for one in (*size, f"scrolling.history={HISTORY}") for word in ("-o", one)]
        return ["alacritty", "--config-file", str(config), *options, "-e"]

    def lines(self) -> list[str]:
        quiet = subprocess.DEVNULL
        subprocess.run([*self._CLIPBOARD, "-i"], env=self.env, check=True, stdin=quiet, stdout=quiet, timeout=20)
        wait_for(self._copies, "alacritty copies")
        return self._clipboard().decode(errors="replace").splitlines()

    def _copies(self) -> bool:
        """Fails when something is written meanwhile, because that undoes the selection."""
        self._press(*self._KEYS)
        return bool(settled(self._clipboard))

    def _clipboard(self) -> bytes:
        """The clipboard; empty until something is copied."""
        command = [*self._CLIPBOARD, "-o"]
        return subprocess.run(command, env=self.env, check=True, stdout=subprocess.PIPE, timeout=20).stdout
