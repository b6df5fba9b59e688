"""The terminal as the screen writes to it, who uses it, and its modes while the session does.

prompt_toolkit switches bracketed paste off and on again whenever it starts a new drawing. A paste at that moment
would arrive as typed lines, and be sent. Here the modes last from `take` to `leave`.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from typing import Self

from prompt_toolkit.data_structures import Size
from prompt_toolkit.input.ansi_escape_sequences import ANSI_SEQUENCES
from prompt_toolkit.keys import Keys
from prompt_toolkit.output.vt100 import Vt100_Output

from pychat_client.ui.input_lines import hung_up

FOCUS_KEY = Keys.ControlF24
"""The key that stands for a report of the focus; no keyboard has it. Its data is one of the two below."""

FOCUS_IN, FOCUS_OUT = "\x1b[I", "\x1b[O"

_ERASE_DOWN = "\x1b[K\x1b[C\x1b[J\x1b[D"
"""Erases from the first column to the end, in two steps: if a program erases everything from the first place of
the window on, tmux keeps it in the scrollback, as if a person had cleared the window."""

_PASTE_ON, _PASTE_OFF = "\x1b[?2004h", "\x1b[?2004l"
_FOCUS_ON, _FOCUS_OFF = "\x1b[?1004h", "\x1b[?1004l"

# The toolkit has one table for the whole process, in which these two have no other meaning.
ANSI_SEQUENCES[FOCUS_IN] = ANSI_SEQUENCES[FOCUS_OUT] = FOCUS_KEY


_NARROW = 40
"""With fewer columns, the menu shows only names and text is indented less."""


def is_narrow(size: Size) -> bool:
    return size.columns < _NARROW


class Foreground(Enum):
    """Who uses the terminal."""

    SHELL = "the shell, before and after the session"
    SESSION = "the session"
    EDITOR = "the user's editor"
    SUSPENDED = "the shell, while the session is suspended"

    @property
    def is_guest(self) -> bool:
        """Whether the session gets the terminal back later."""
        return self in {Foreground.EDITOR, Foreground.SUSPENDED}


class TerminalOutput(Vt100_Output):
    """The terminal on standard output, for a question before the session."""

    _gone = False  # nothing can be written to it any more
    _collecting = False  # see `one_write`

    @classmethod
    def on_stdout(cls) -> Self:
        output = cls.from_pty(sys.stdout, term=os.environ.get("TERM"))
        assert isinstance(output, cls)
        return output

    def erase_down(self) -> None:
        """Erases what has been drawn; the toolkit has moved the cursor to the first column before.

        In GNU screen the rows are inserted again then. It does not forget which of them were one line when they
        are erased, and would join what is drawn there next. kitty leaves copies of a draft when rows are inserted.
        """
        self.write_raw(_ERASE_DOWN)
        if (self.term or "").startswith("screen"):
            self.write_raw(f"\x1b[{self.get_size().rows}L")

    def go_to_bottom(self) -> None:
        """Moves the cursor to the last row of the window. Then the rows above are those that leave a window which
        becomes smaller, and no row of the line."""
        self.cursor_down(self.get_size().rows)
        self.flush()

    @contextmanager
    def one_write(self) -> Iterator[None]:
        """Collects what is written until the end of the block. If the window changes its size meanwhile, all of it
        arrives before the change, or all of it after."""
        self._collecting = True
        try:
            yield
        finally:
            self._collecting = False
            self.flush()

    def flush(self) -> None:
        """Writes to the terminal. One that is gone, or that nobody reads (`interruptible`), ends the program as
        SIGHUP does: the kernel does not send this signal to every program, and an error here would reach whatever
        has drawn something."""
        if self._collecting:
            return
        try:
            super().flush()
        except OSError as error:
            if error.errno not in (errno.EIO, errno.EBADF):
                raise
            if not self._gone:
                self._gone = True
                signal.raise_signal(signal.SIGHUP)


class Terminal(TerminalOutput):
    """The same for the session."""

    _foreground = Foreground.SHELL

    @property
    def foreground(self) -> Foreground:
        return self._foreground

    @property
    def columns(self) -> int:
        return self.get_size().columns

    @property
    def must_not_be_asked(self) -> bool:
        """Whether the user keeps prompt_toolkit from asking where the cursor is, by a variable of its own."""
        return os.environ.get("PROMPT_TOOLKIT_NO_CPR") == "1"

    @property
    def narrow(self) -> bool:
        return is_narrow(self.get_size())

    def enable_bracketed_paste(self) -> None:
        """See `take`."""

    def disable_bracketed_paste(self) -> None:
        """See `leave`."""

    def take(self, *, focus: bool) -> None:
        """The session uses the terminal. A paste comes in one piece; `focus`: the terminal reports its focus."""
        self._foreground = Foreground.SESSION
        self.write_escape(_PASTE_ON + _FOCUS_ON * focus)

    def lend(self, guest: Foreground) -> None:
        """A guest uses the terminal, with the modes that it had before the session."""
        self._foreground = guest
        self.write_escape(_PASTE_OFF + _FOCUS_OFF)

    def leave(self) -> None:
        """The session is over, and the terminal has the modes that it had before."""
        self._foreground = Foreground.SHELL
        self.write_escape(_PASTE_OFF + _FOCUS_OFF)

    def hung_up(self) -> bool:
        """Whether the terminal is gone: its window or its connection is closed, or nobody reads it."""
        try:
            return self._gone or hung_up(self.fileno())
        except (OSError, ValueError):  # not a file
            return False

    def write_escape(self, text: str) -> None:
        """Writes at once what the terminal is to obey."""
        self.write_raw(text)
        self.flush()
