"""tmux and GNU screen: terminals without a display. Both wrap their lines again when the width changes."""

from __future__ import annotations

import os
import signal
import threading
from contextlib import suppress
from typing import Any

import pexpect

from tests.support import tmux
from tests.support.waiting import wait_for
from tests.terminals.base import Emulator


class Tmux(Emulator):
    NAME = "tmux"
    PROGRAMS = ("tmux",)

    def start(self, *words: str) -> None:
        self._one = tmux.Tmux(self.directory, self.env, *self._in_window(words))
        self._wait_until_open()

    def type(self, text: str) -> None:
        self._one.type(text)

    def enter(self) -> None:
        self._one.press("Enter")

    def _ask_size(self, columns: int, rows: int) -> None:
        self._one.resize(columns, rows)

    def lines(self) -> list[str]:
        return self._one.lines()

    def close(self) -> None:
        self._one.close()


class GnuScreen(Emulator):
    """GNU screen on a pseudo-terminal that has the size of the window.

    Rows that a lower window has moved into the scrollback can only be read when the window is higher again.
    """

    NAME = "screen"
    KEEPS_DRAFTS = True
    PROGRAMS = ("screen",)
    SCROLLBACK = False

    def start(self, *words: str) -> None:
        sockets = self.directory / "sockets"
        sockets.mkdir(mode=0o700)
        self._copy, self._copied = self.directory / "copy", self.directory / "copied"
        config = self.directory / "config"
        config.write_text(
            "startup_message off\nautodetach off\ndefscrollback 5000\nmsgwait 0\n"
            f'bind w eval "writebuf {self._copy}" "writebuf {self._copied}"\n'
        )
        child: Any = pexpect.spawn(
            "screen",
            ["-U", "-c", str(config), *self._in_window(words)],
            env={**self.env, "SCREENDIR": str(sockets)},
            dimensions=(self.rows, self.columns),
            echo=False,
        )
        self._child = child
        self._child.delaybeforesend = None
        self._child.ptyproc.delayafterclose = 0.0
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        self._wait_until_open()

    def _read(self) -> None:
        """Reads what it draws, because it stops otherwise."""
        with suppress(OSError):
            while os.read(self._child.child_fd, 65536):
                pass

    def type(self, text: str) -> None:
        self._child.send(text)

    def enter(self) -> None:
        self._child.send("\r")

    def _ask_size(self, columns: int, rows: int) -> None:
        self._child.setwinsize(rows, columns)

    def lines(self) -> list[str]:
        """Copies everything into a file, in copy mode. The file is whole when screen begins the next one."""
        self._copied.unlink(missing_ok=True)
        self._child.send("\x01[g G$ \x01w")
        wait_for(self._copied.exists, "screen writes what was copied")
        return self._copy.read_text().lstrip("\n").splitlines()

    def close(self) -> None:
        self._child.kill(signal.SIGHUP)
        self._reader.join()
        self._child.wait()
        self._child.close()
