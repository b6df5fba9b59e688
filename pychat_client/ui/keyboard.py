"""What the terminal sends for the keys: adds to prompt_toolkit's table, and drops what is in no table.

The toolkit types the end of a sequence that it does not know into the line. Knows nothing of what keys do.
"""

from __future__ import annotations

import re

from prompt_toolkit.input import Input, create_input
from prompt_toolkit.input.ansi_escape_sequences import ANSI_SEQUENCES
from prompt_toolkit.input.vt100 import Vt100Input
from prompt_toolkit.input.vt100_parser import Vt100Parser
from prompt_toolkit.key_binding.key_processor import KeyPress
from prompt_toolkit.keys import Keys

LINE_BREAK = (Keys.Escape, Keys.ControlM)
"""The keys of Alt-Enter, which stand for Enter with any modifier."""

_LOCKS = 0b11000000
"""The bits of Caps Lock and Num Lock among the modifiers: they change nothing."""

_SHIFT = 0b1

_CSI, _SS3, _OSC, _DCS = r"\[[0-?]*[ -/]*", r"O[0-9;]*", r"\][0-9][^\x07\x1b]*", r"(?:P[0-9>!+$|]|_G)[^\x1b]*"

_SEQUENCE = re.compile(
    rf"\x1b(?:\[\[.|\[[235678]\$|{_CSI}[@-~]|{_SS3}[@-~]|{_OSC}(?:\x07|\x1b\\)|{_DCS}\x1b\\)", re.DOTALL
)
"""A whole control sequence (ECMA-48; the Linux console's with two brackets; that of rxvt for a key with Shift)."""

_BEGUN = re.compile(rf"\x1b(?:\[\[|{_CSI}|{_SS3}|\]|{_OSC}\x1b?|[P_]|{_DCS}\x1b?)?", re.DOTALL)
"""One whose end has not arrived."""

_BY_HAND = 2
"""Characters of a sequence that a person may have typed with Alt. A terminal sends longer ones at once."""

SEQUENCE_MAX = 4096
"""Characters of a sequence that are kept until its end arrives: it is looked for in all of them each time. The
longest that a terminal sends of its own is a title."""

_PASTE_END = "\x1b[201~"

_CURSOR = re.compile(r"\x1b\[\d{1,5};\d{1,5}R")


def _add_enter() -> None:
    """Enter with modifiers, as terminals report it: Konsole, CSI u (also kitty's), and xterm's modifyOtherKeys."""
    ANSI_SEQUENCES["\x1bOM"] = LINE_BREAK
    ANSI_SEQUENCES["\x1b[13u"] = ANSI_SEQUENCES["\x1b[57414u"] = Keys.ControlM
    for modifiers in range(256):
        key = LINE_BREAK if modifiers & ~_LOCKS else Keys.ControlM
        ANSI_SEQUENCES[f"\x1b[13;{modifiers + 1}u"] = ANSI_SEQUENCES[f"\x1b[27;{modifiers + 1};13~"] = key


def _add_backspace() -> None:
    """Backspace with modifiers, in the same forms: Shift changes nothing, Ctrl or Alt takes a word."""
    for modifiers in range(1, 8):
        key = Keys.ControlH if modifiers == _SHIFT else (Keys.Escape, Keys.ControlH)
        ANSI_SEQUENCES[f"\x1b[127;{modifiers + 1}u"] = ANSI_SEQUENCES[f"\x1b[27;{modifiers + 1};127~"] = key


def _add_rxvt() -> None:
    """Keys with Ctrl or Shift, of which only rxvt has these forms."""
    ANSI_SEQUENCES["\x1b[3^"] = Keys.ControlDelete
    ANSI_SEQUENCES["\x1b[7^"], ANSI_SEQUENCES["\x1b[8^"] = Keys.ControlHome, Keys.ControlEnd
    ANSI_SEQUENCES["\x1b[7$"], ANSI_SEQUENCES["\x1b[8$"] = Keys.ShiftHome, Keys.ShiftEnd
    ANSI_SEQUENCES["\x1b[d"], ANSI_SEQUENCES["\x1b[c"] = Keys.ShiftLeft, Keys.ShiftRight


_add_enter()  # the toolkit has one table for the whole process
_add_backspace()
_add_rxvt()


class KnownKeys(Vt100Parser):
    """The toolkit's parser without the sequences that it does not know.

    What arrives may be long, and comes in pieces. The toolkit looks for the end of a paste in all of it with each
    piece.
    """

    def reset(self, request: bool = False) -> None:
        self._begun = ""  # a sequence of which the end has not arrived
        self._pasted = [""]  # the pieces of a paste so far; in the last one its end may have begun
        super().reset(request)

    def feed(self, data: str) -> None:
        if not self._in_bracketed_paste:
            data, self._begun = self._begun + data, ""
        while data and not self._in_bracketed_paste:
            if _BEGUN.fullmatch(data) and not _SEQUENCE.fullmatch(data):
                self._begun = _shortened(data)
                return
            found = _SEQUENCE.match(data)
            end = _text_end(data) if found is None else found.end()
            if found is None or _is_known(found[0]):
                super().feed(data[:end])
            data = data[end:]
        if self._in_bracketed_paste:
            self._feed_paste(data)

    def _feed_paste(self, data: str) -> None:
        text, end, behind = (self._pasted.pop() + data).partition(_PASTE_END)
        if not end:
            place = max(len(text) - len(_PASTE_END), 0)
            self._pasted += [text[:place], text[place:]]
            return
        pasted = "".join([*self._pasted, text])
        self.reset()
        self.feed_key_callback(KeyPress(Keys.BracketedPaste, pasted))
        self.feed(behind)

    def flush(self) -> None:
        begun, self._begun = self._begun, ""
        if len(begun) <= _BY_HAND:
            super().feed(begun)
        super().flush()


def _text_end(data: str) -> int:
    """Where the next sequence begins behind the first character, or where `data` ends."""
    place = data.find("\x1b", 1)
    return len(data) if place < 0 else place


def _shortened(begun: str) -> str:
    """A sequence without its end, which no key has when it is so long. Its last character may begin the end."""
    return begun if len(begun) <= SEQUENCE_MAX else begun[: SEQUENCE_MAX - 1] + begun[-1]


def _is_known(sequence: str) -> bool:
    return sequence in ANSI_SEQUENCES or _CURSOR.fullmatch(sequence) is not None


def open_keyboard() -> Input:
    """The keyboard of the terminal on standard input."""
    keyboard = create_input()
    drop_unknown(keyboard)
    return keyboard


def drop_unknown(keyboard: Input) -> None:
    """From now on, `keyboard` types nothing for a sequence that nobody knows."""
    if isinstance(keyboard, Vt100Input):
        keyboard.vt100_parser = KnownKeys(keyboard.vt100_parser.feed_key_callback)
