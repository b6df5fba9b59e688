"""Shows what prompt_toolkit leaves behind when a terminal changes its size: needs tmux, and takes some seconds.

    python3 prompt_toolkit_resize.py                          # with the prompt_toolkit that is installed
    PYTHONPATH=DIRECTORY python3 prompt_toolkit_resize.py     # with the one in DIRECTORY

A prompt with a line of three rows and a toolbar runs in tmux, below some lines of output. The window changes its
width several times. After each change, each line of output and each word of the line has to be there exactly once,
in the scrollback or on the screen. Exit status 0: so it is; 1: it is not; 2: the prompt did not get that far.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable

OUTPUT = [f"output-{number:02}" for number in range(18)]
WORDS = [f"word-{number:02}" for number in range(25)]
WIDTHS = (61, 79, 47, 66, 58, 80)
"""In each of them, the rows of the line end in other columns."""

PATIENCE = 20.0
"""Seconds in which a prompt has drawn what was typed."""

SETTLED = 3.0
"""Seconds in which it has drawn everything: prompt_toolkit also looks at the size twice a second."""


def prompt() -> None:
    """What runs in the terminal."""
    from prompt_toolkit import PromptSession
    from prompt_toolkit.patch_stdout import patch_stdout

    print("\n".join(OUTPUT))
    with patch_stdout():
        PromptSession[str](bottom_toolbar="a toolbar").prompt("> ", default=" ".join(WORDS))


class Terminal:
    """A tmux of its own, with the prompt in it."""

    def __init__(self, directory: str) -> None:
        self._socket = f"{directory}/tmux"
        program = f"exec {sys.executable} {__file__} prompt"
        self.tmux("-f", "/dev/null", "new-session", "-d", "-x", "80", "-y", "24", program)

    def tmux(self, *words: str) -> str:
        command = ["tmux", "-S", self._socket, *words]
        return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout

    def text(self) -> str:
        """Scrollback and screen without blanks: an edge may break a word."""
        return "".join(self.tmux("capture-pane", "-p", "-S", "-500").split())

    def resize(self, columns: int) -> None:
        """Returns when the prompt has drawn something in that size."""
        self.tmux("resize-window", "-x", str(columns), "-y", "24")
        self.tmux("send-keys", "-l", "#")
        wait_for(lambda: "#" in self.text())
        self.tmux("send-keys", "BSpace")
        wait_for(lambda: "#" not in self.text())

    def close(self) -> None:
        self.tmux("kill-server")


def holds(condition: Callable[[], bool], seconds: float) -> bool:
    """Whether `condition` becomes true within so many seconds."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def wait_for(condition: Callable[[], bool]) -> None:
    if not holds(condition, PATIENCE):
        print("The prompt does not draw.")
        sys.exit(2)


def is_clean(terminal: Terminal, columns: int) -> bool:
    """Changes the width, and tells what is wrong then."""

    def wrong() -> list[str]:
        text = terminal.text()
        return [word for word in [*OUTPUT, *WORDS, "atoolbar"] if text.count(word) != 1]

    terminal.resize(columns)
    if holds(lambda: not wrong(), SETTLED):
        print(f"{columns} columns: everything is there once")
        return True
    print(f"{columns} columns: not there once: {', '.join(wrong())}")
    print(terminal.tmux("capture-pane", "-p", "-S", "-500"))
    return False


def main() -> int:
    with tempfile.TemporaryDirectory() as directory:
        terminal = Terminal(directory)
        try:
            wait_for(lambda: WORDS[-1] in terminal.text() and "atoolbar" in terminal.text())
            return 0 if all(is_clean(terminal, columns) for columns in WIDTHS) else 1
        finally:
            terminal.close()


if __name__ == "__main__":
    if sys.argv[1:] == ["prompt"]:
        prompt()
    else:
        sys.exit(main())
