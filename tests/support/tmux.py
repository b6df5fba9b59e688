"""tmux: a real terminal with job control, a clipboard, and lines that it wraps again in another size."""

from __future__ import annotations

import os
import subprocess
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.waiting import wait_for


class Tmux:
    """A tmux server with one program in it, by default a shell."""

    def __init__(self, directory: Path, env: dict[str, str], *words: str) -> None:
        self._socket = directory / "tmux"
        self._env = env
        # a first line of the shell's that cannot be mistaken for the chat
        words = words or ("PS1='$ ' bash --norc -i",)
        self.tmux("-f", "/dev/null", "new-session", "-d", "-x", "80", "-y", "24", *words)

    def tmux(self, *words: str, text: str | None = None) -> str:
        command = ["tmux", "-S", str(self._socket), *words]
        return subprocess.run(
            command, env=self._env, input=text, text=True, check=True, stdout=subprocess.PIPE, timeout=20
        ).stdout

    def type(self, text: str) -> None:
        self.tmux("send-keys", "-l", text)

    def press(self, *keys: str) -> None:
        """Keys by tmux's names: Enter, C-z."""
        self.tmux("send-keys", *keys)

    def paste(self, text: str) -> None:
        """Pastes `text`: in brackets, if the program has asked for them."""
        self.tmux("load-buffer", "-", text=text)
        self.tmux("paste-buffer", "-p")

    def modes(self) -> list[Any]:
        """Those of the terminal, as termios has them."""
        with self._terminal() as terminal:
            return termios.tcgetattr(terminal)

    def resize(self, columns: int, rows: int) -> None:
        """Returns when the program can know the size; tmux reports sizes at most four times a second."""
        self.tmux("resize-window", "-x", str(columns), "-y", str(rows))
        with self._terminal() as terminal:
            wait_for(lambda: os.get_terminal_size(terminal) == (columns, rows), f"a size of {columns}x{rows}")

    @contextmanager
    def _terminal(self) -> Iterator[int]:
        terminal = os.open(self.tmux("display-message", "-p", "#{pane_tty}").strip(), os.O_RDONLY | os.O_NOCTTY)
        try:
            yield terminal
        finally:
            os.close(terminal)

    def lines(self) -> list[str]:
        """Scrollback and screen, with the lines that the terminal has wrapped joined again."""
        return self.tmux("capture-pane", "-p", "-J", "-S", "-500").rstrip("\n").split("\n")

    def sees(self, words: str) -> None:
        wait_for(lambda: any(words in line for line in self.lines()), f"{words!r} in tmux", shown=self._text)

    def line_is(self, words: str) -> None:
        """Waits until the line with the cursor is `words`."""
        wait_for(lambda: self._cursor_line() == words, f"{words!r} in the line", shown=self._text)

    def _text(self) -> str:
        return "\n".join(self.lines())

    def redrawn(self) -> None:
        """Waits until the program draws again after a change of size. Before, it draws no typed text."""
        self.type("#")
        wait_for(lambda: "#" in self._window(), "what is typed is drawn")
        self.press("BSpace")
        wait_for(lambda: "#" not in self._window(), "what is deleted is not drawn")

    def _window(self) -> str:
        return self.tmux("capture-pane", "-p")

    def _cursor_line(self) -> str:
        row = self.tmux("display-message", "-p", "#{cursor_y}").strip()
        return self.tmux("capture-pane", "-p", "-S", row, "-E", row).rstrip().replace("\u2060", "")

    def shell(self) -> int:
        """The pid of the shell in the window."""
        return int(self.tmux("display-message", "-p", "#{pane_pid}"))

    def close(self) -> None:
        subprocess.run(["tmux", "-S", str(self._socket), "kill-server"], check=False, capture_output=True)


def children(pid: int) -> list[Path]:
    """The children of a process: their directories in /proc, which exist as long as they do."""
    return [Path("/proc", child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@contextmanager
def tmux(directory: Path, env: dict[str, str]) -> Iterator[Tmux]:
    one = Tmux(directory, env)
    try:
        yield one
    finally:
        one.close()
