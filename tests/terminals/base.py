"""The interface of the terminal emulators in these tests, and what they have in common.

A test runs a program in an emulator, changes the size of its window, and reads the text, including the scrollback.
"""

from __future__ import annotations

import fcntl
import shutil
import struct
import termios
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar, TypeVar

from pychat_client.ui.resize import REST_SECONDS
from tests.support.waiting import wait_for

Seen = TypeVar("Seen")

QUIET = REST_SECONDS + 0.3
"""Seconds without a change after which the screen counts as settled: the programs have drawn again."""


def settled(look: Callable[[], Seen]) -> Seen:
    """What `look` returns as soon as it returns the same for a while."""
    seen, since = look(), time.monotonic()
    while time.monotonic() - since < QUIET:
        time.sleep(0.02)
        now = look()
        if now != seen:
            seen, since = now, time.monotonic()
    return seen


class Emulator(ABC):
    """One window with one program in it."""

    NAME: ClassVar[str]
    PROGRAMS: ClassVar[tuple[str, ...]]
    """The programs that have to be installed."""
    SCROLLBACK: ClassVar[bool] = True
    """Whether the text that has left the window can be read."""
    KEEPS_DRAFTS: ClassVar[bool] = False
    """Whether copies of a draft can stay, because nothing tells at the first change of both sizes what it does."""
    COPIES: ClassVar[bool] = False
    """Whether it leaves copies of a long line, because the place of its cursor does not tell where the line is."""

    def __init__(self, directory: Path, env: dict[str, str], columns: int = 80, rows: int = 24) -> None:
        """directory: an empty one, for what this window needs."""
        self.directory = directory
        self.env = env
        self.columns, self.rows = columns, rows

    @classmethod
    def missing(cls) -> str:
        """The programs that are not installed."""
        return " ".join(program for program in cls.PROGRAMS if shutil.which(program) is None)

    @abstractmethod
    def start(self, *words: str) -> None:
        """Opens the window with the program `words` in it."""

    @abstractmethod
    def type(self, text: str) -> None: ...

    @abstractmethod
    def enter(self) -> None: ...

    @abstractmethod
    def lines(self) -> list[str]:
        """Scrollback and screen. Rows of one line may be joined."""

    @abstractmethod
    def close(self) -> None: ...

    @abstractmethod
    def _ask_size(self, columns: int, rows: int) -> None: ...

    def resize(self, columns: int, rows: int) -> None:
        """Returns when the program can know the size."""
        self._ask_size(columns, rows)
        wait_for(lambda: self.size()[:2] == (columns, rows), f"{self.NAME} has {columns} columns, {rows} rows")
        self.columns, self.rows = columns, rows

    def size(self) -> tuple[int, int, int, int]:
        """Columns and rows, and the same in pixels, as the program sees them."""
        with self.tty.open("rb", buffering=0) as tty:
            rows, columns, width, height = struct.unpack("4H", fcntl.ioctl(tty, termios.TIOCGWINSZ, bytes(8)))
        return columns, rows, width, height

    def text(self) -> str:
        return "\n".join(self.lines())

    def sees(self, words: str) -> None:
        wait_for(lambda: words in self.text(), f"{words!r} in {self.NAME}", shown=self.text)

    def _in_window(self, words: tuple[str, ...]) -> list[str]:
        """The command for a window: writes the name of its terminal to a file, then becomes the program."""
        return ["sh", "-c", 'tty >"$0.new"; mv "$0.new" "$0"; exec "$@"', str(self.directory / "tty"), *words]

    def _wait_until_open(self) -> None:
        file = self.directory / "tty"
        wait_for(file.exists, f"a window of {self.NAME}")
        self.tty = Path(file.read_text().strip())
