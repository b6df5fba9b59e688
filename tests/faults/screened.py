"""A client with a screen, for a driver that reads it as one on pipes: a row is a message, a notice or neither."""

from __future__ import annotations

import fcntl
import os
import re
import struct
import termios
from contextlib import suppress

import pyte

from tests.support.service import Service
from tests.support.waiting import wait_for

COLUMNS, ROWS = 200, 24
"""No row is so long that it has to be broken."""

_EMPTY_LINE = "\x05\x15"
"""Removes what an earlier program had in the line."""

_MESSAGE = re.compile(r"\d\d:\d\d ([^>\s]+> .+)")
_NOTICE = "-- "


class _Screen(pyte.HistoryScreen):
    """Tells where its cursor is when it is asked."""

    def __init__(self, fd: int) -> None:
        super().__init__(COLUMNS, ROWS, history=10_000, ratio=0.5)
        self._fd = fd

    def write_process_input(self, data: str) -> None:
        os.write(self._fd, data.encode())


class Screened:
    """A program on a pty, with the methods of `Piped` that `tests.faults.run` needs."""

    def __init__(self, service: Service, words: list[str], env: dict[str, str]) -> None:
        self._fd, terminal = os.openpty()
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        self.process = service.popen(
            words, env=env, stdin=terminal, stdout=terminal, stderr=terminal, start_new_session=True
        )
        os.close(terminal)
        os.set_blocking(self._fd, False)
        self._screen = _Screen(self._fd)
        self._stream = pyte.ByteStream(self._screen)

    def files(self) -> list[int]:
        return [self._fd]

    def enter(self, text: str) -> None:
        data = f"{_EMPTY_LINE}{text}\n".replace("\n", "\r").encode()
        while data:
            with suppress(BlockingIOError):
                data = data[os.write(self._fd, data) :]
            self._read()

    def out(self) -> str:
        """The other side's messages, one a line."""
        found = (_MESSAGE.fullmatch(row) for row in self._rows())
        return "".join(f"{match[1]}\n" for match in found if match is not None)

    def notices(self) -> str:
        return "".join(f"pychat: {row.removeprefix(_NOTICE)}\n" for row in self._rows() if row.startswith(_NOTICE))

    def notes(self, words: str) -> None:
        """Waits for a notice with `words`."""
        wait_for(lambda: words in self.notices(), f"{words!r} in a notice", shown=lambda: "\n".join(self._rows()))

    def exit_status(self) -> int:
        """Waits for the program's end; its exit status."""
        wait_for(self._has_ended, "the program ends")
        return int(self.process.returncode)

    def end_input(self) -> None:
        """Ctrl-D."""
        os.write(self._fd, b"\x04")

    def _has_ended(self) -> bool:
        self._read()  # it may wait for that
        return self.process.poll() is not None

    def _rows(self) -> list[str]:
        self._read()
        history = (
            "".join(row[column].data for column in range(self._screen.columns)) for row in self._screen.history.top
        )
        return [row.rstrip() for row in (*history, *self._screen.display)]

    def _read(self) -> None:
        with suppress(OSError):  # nothing now, or the program has ended
            while data := os.read(self._fd, 65536):
                self._stream.feed(data)
