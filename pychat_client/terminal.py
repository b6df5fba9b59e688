"""The terminal as the screen writes to it and reads it, and the modes it is in while a chat owns it.

prompt_toolkit leaves bracketed paste at each drawing that begins anew; a paste that falls into that moment
would come as typed lines, and send itself. Here the modes last from `take` to `leave`.
"""

from __future__ import annotations

import os
import select
import sys
from collections.abc import Callable

from prompt_toolkit.input import Input, create_input
from prompt_toolkit.input.ansi_escape_sequences import ANSI_SEQUENCES
from prompt_toolkit.input.typeahead import store_typeahead
from prompt_toolkit.input.vt100 import Vt100Input
from prompt_toolkit.input.vt100_parser import Vt100Parser
from prompt_toolkit.key_binding import KeyPress
from prompt_toolkit.keys import Keys
from prompt_toolkit.output.vt100 import Vt100_Output

from pychat_client.background import LateAnswers

FOCUS_KEY = Keys.ControlF24
"""What a report of the focus comes as: a key that no keyboard has. Its data is one of the two below."""

FOCUS_IN, FOCUS_OUT = "\x1b[I", "\x1b[O"

_PASTE_ON, _PASTE_OFF = "\x1b[?2004h", "\x1b[?2004l"
_FOCUS_ON, _FOCUS_OFF = "\x1b[?1004h", "\x1b[?1004l"

# The table is the toolkit's, for everybody; these two are in it for nothing else.
ANSI_SEQUENCES[FOCUS_IN] = ANSI_SEQUENCES[FOCUS_OUT] = FOCUS_KEY


class Terminal(Vt100_Output):
    """The terminal on standard output."""

    @classmethod
    def on_stdout(cls) -> Terminal:
        terminal = cls.from_pty(sys.stdout, term=os.environ.get("TERM"))
        assert isinstance(terminal, Terminal)
        return terminal

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


class _Parser(Vt100Parser):
    """The toolkit's, which would take an answer that it did not ask for for something typed."""

    def __init__(self, take: Callable[[KeyPress], None], late: LateAnswers) -> None:
        super().__init__(take)
        self._late = late

    def feed(self, data: str) -> None:
        super().feed(self._late.without(data))


def open_keyboard(typed: str, late: LateAnswers | None) -> Input:
    """The keyboard on standard input. typed: what was typed before; late: if the terminal may still answer."""
    keyboard = create_input()
    presses: list[KeyPress] = []
    before = Vt100Parser(presses.append)
    if late is not None and isinstance(keyboard, Vt100Input):
        before = _Parser(presses.append, late)
        keyboard.vt100_parser = _Parser(keyboard.vt100_parser.feed_key_callback, late)
    before.feed(typed)
    store_typeahead(keyboard, presses)
    return keyboard
