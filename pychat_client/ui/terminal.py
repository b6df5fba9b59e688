"""The terminal as the screen writes to it and reads it, and the modes it is in while a chat owns it.

prompt_toolkit leaves bracketed paste at each drawing that begins anew; a paste that falls into that moment
would come as typed lines, and send itself. Here the modes last from `take` to `leave`.
"""

from __future__ import annotations

import os
import select
import sys
from typing import Self

from prompt_toolkit.input.ansi_escape_sequences import ANSI_SEQUENCES
from prompt_toolkit.keys import Keys
from prompt_toolkit.output.vt100 import Vt100_Output

FOCUS_KEY = Keys.ControlF24
"""What a report of the focus comes as: a key that no keyboard has. Its data is one of the two below."""

FOCUS_IN, FOCUS_OUT = "\x1b[I", "\x1b[O"

_ERASE_DOWN = "\x1b[K\x1b[C\x1b[J\x1b[D"
"""From the first column to the end, but not all at once: what is erased from a window's first place on, tmux
keeps in its scrollback, as if a person had cleared the window."""

_PASTE_ON, _PASTE_OFF = "\x1b[?2004h", "\x1b[?2004l"
_FOCUS_ON, _FOCUS_OFF = "\x1b[?1004h", "\x1b[?1004l"

# The table is the toolkit's, for everybody; these two are in it for nothing else.
ANSI_SEQUENCES[FOCUS_IN] = ANSI_SEQUENCES[FOCUS_OUT] = FOCUS_KEY


class Output(Vt100_Output):
    """The terminal on standard output, for a question before the chat."""

    @classmethod
    def on_stdout(cls) -> Self:
        output = cls.from_pty(sys.stdout, term=os.environ.get("TERM"))
        assert isinstance(output, cls)
        return output

    def erase_down(self) -> None:
        """What has been drawn; the toolkit's renderer goes to the first column before."""
        self.write_raw(_ERASE_DOWN)


class Terminal(Output):
    """The same for the chat, which owns it."""

    def enable_bracketed_paste(self) -> None:
        """See `take`."""

    def disable_bracketed_paste(self) -> None:
        """See `leave`."""

    def take(self, *, focus: bool) -> None:
        """From now on a paste comes in one piece, and, if wanted, the terminal reports its focus."""
        self.raw(_PASTE_ON + _FOCUS_ON * focus)

    def leave(self) -> None:
        """Nobody here reads the terminal now: it is as it was before."""
        self.raw(_PASTE_OFF + _FOCUS_OFF)

    def hung_up(self) -> bool:
        """Whether there is no terminal any more: its window or its connection is closed."""
        try:
            poll = select.poll()
            poll.register(self.fileno(), 0)  # a hang-up is told unasked
            return bool(poll.poll(0))
        except (OSError, ValueError):  # no file at all
            return False

    def raw(self, text: str) -> None:
        """Writes `text`, which the terminal obeys, at once."""
        self.write_raw(text)
        self.flush()
