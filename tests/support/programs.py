"""Programs that a test talks to: on a terminal, or on pipes."""

from __future__ import annotations

import os
import select
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import pexpect
import pyte

from tests.support.waiting import PATIENCE, wait_for


class Piped:
    """A program on pipes; what it wrote can be waited for."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        assert process.stdin
        assert process.stdout
        assert process.stderr
        self._input = process.stdin
        self._outputs = (process.stdout, process.stderr)
        self._read: dict[int, bytes] = {output.fileno(): b"" for output in self._outputs}
        for fd in (self._input.fileno(), *self._read):
            os.set_blocking(fd, False)

    def enter(self, text: str | bytes) -> None:
        """Reads meanwhile: a program that nobody reads reads no more itself."""
        data = (text.encode() if isinstance(text, str) else text) + b"\n"
        while data:
            select.select(self._open(), [self._input], [], PATIENCE)
            self._drain()
            with suppress(BlockingIOError):
                data = data[os.write(self._input.fileno(), data) :]

    def end_input(self) -> None:
        self._input.close()

    def files(self) -> list[int]:
        """The descriptors from which its output is read."""
        return [output.fileno() for output in self._outputs]

    def out(self) -> str:
        """What it has written to stdout so far."""
        return self._texts()[0]

    def notices(self) -> str:
        """What it has written to stderr so far."""
        return self._texts()[1]

    def says(self, words: str) -> None:
        """Waits until `words` are on stdout."""
        wait_for(lambda: words in self.out(), f"{words!r} on stdout")

    def notes(self, words: str) -> None:
        """Waits until `words` are on stderr."""
        wait_for(lambda: words in self.notices(), f"{words!r} on stderr")

    def forget(self) -> None:
        """What it has written so far counts no more: another test begins."""
        self._drain()
        self._read = dict.fromkeys(self._read, b"")

    def exit_status(self) -> int:
        """Waits for the program's end; its exit status."""
        wait_for(lambda: self._texts() and self.process.poll() is not None, "the program ends")
        return self.process.returncode

    def _open(self) -> list[int]:
        """Without what a test has closed."""
        return [output.fileno() for output in self._outputs if not output.closed]

    def _drain(self) -> None:
        for fd in self._open():
            with suppress(BlockingIOError):
                while data := os.read(fd, 65536):
                    self._read[fd] += data

    def _texts(self) -> list[str]:
        self._drain()
        return [data.decode() for data in self._read.values()]


class _AnsweringScreen(pyte.HistoryScreen):
    """A terminal that tells where its cursor is when it is asked."""

    def __init__(self, columns: int, lines: int, answer: Callable[[str], None]) -> None:
        super().__init__(columns, lines, history=5000, ratio=0.5)
        self._answer_with = answer

    def write_process_input(self, data: str) -> None:
        self._answer_with(data)


class Terminal:
    """A program on a pty, and the screen that a person would see, through a terminal emulator (pyte)."""

    def __init__(
        self, words: Sequence[str], env: dict[str, str], columns: int, lines: int, *, answers: bool = True
    ) -> None:
        self._answers = answers
        self._screen = _AnsweringScreen(columns, lines, self._answer)
        self._stream = pyte.ByteStream(self._screen)
        self._lines: list[str] | None = None
        self.raw = b""
        child: Any = pexpect.spawn(
            words[0], list(words[1:]), env=env, dimensions=(lines, columns), timeout=PATIENCE, echo=False
        )
        self.child = child
        self.child.delaybeforesend = None
        self.child.ptyproc.delayafterclose = 0.0

    def _answer(self, data: str) -> None:
        """The terminal's own answers (where the cursor is), as a real one gives them."""
        if self._answers:
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
                self._lines = None
        except (pexpect.TIMEOUT, pexpect.EOF):
            pass

    def lines(self) -> list[str]:
        """Scrollback and screen, without blanks at the ends of lines."""
        self.update()
        if self._lines is None:  # tests look again and again, and the program has mostly written nothing new
            screen = self._screen
            rows = [*screen.history.top, *(screen.buffer[line] for line in range(screen.lines))]
            self._lines = [self._line(row) for row in rows]
        return self._lines

    def _line(self, row: Mapping[int, pyte.screens.Char]) -> str:
        """Its second column of a wide character is empty."""
        columns = range(self._screen.columns)
        return "".join(row[column].data for column in columns).rstrip()

    def text(self) -> str:
        return "\n".join(self.lines())

    def cursor_line(self) -> str:
        """The line the cursor is on: what is being typed."""
        self.update()
        return self._line(self._screen.buffer[self._screen.cursor.y])

    def sees(self, words: str) -> None:
        """Waits until `words` are on the screen or in the scrollback."""
        wait_for(lambda: words in self.text(), f"{words!r} on the screen", shown=self.text)

    def tells(self, words: str) -> None:
        """Waits until `words` are shown, in as many rows as they need."""
        wait_for(lambda: words in " ".join(self.text().split()), f"{words!r} in rows", shown=self.text)

    def line_is(self, words: str) -> None:
        """Waits until the line being typed is `words`, its prompt included."""
        wait_for(lambda: self.cursor_line() == words, f"{words!r} in the line", shown=self.text)

    def line_with(self, words: str) -> str:
        """Waits until one line has `words` in it: what is sent is for a moment also the line being typed."""

        def found() -> list[str]:
            return [line for line in self.lines() if words in line]

        wait_for(lambda: len(found()) == 1, f"one line with {words!r}", shown=self.text)
        return found()[0]

    def resize(self, columns: int, lines: int) -> None:
        """As terminals do that cut their rows, and keep the cursor in the window."""
        self._screen.resize(lines, columns)
        self._lines = None
        self._screen.cursor.x = min(self._screen.cursor.x, columns - 1)
        self.child.setwinsize(lines, columns)

    def exit_status(self) -> int:
        """Waits for the program's end; its exit status."""
        wait_for(self._ended, "the program ends")
        return int(self.child.exitstatus)

    def _ended(self) -> bool:
        self.update()
        return not self.child.isalive()

    def close(self) -> None:
        if self.child.isalive():
            self.child.kill(signal.SIGKILL)
            self.child.wait()
        self.child.close()
