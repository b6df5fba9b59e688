"""Prints messages and notices above the line being typed, into the terminal's own scrollback."""

from __future__ import annotations

import locale
from bisect import bisect
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from itertools import accumulate

from prompt_toolkit.formatted_text import FormattedText, StyleAndTextTuples
from prompt_toolkit.renderer import print_formatted_text

from pychat_client.protocol import wire
from pychat_client.session.view import named
from pychat_client.text import printable_lines
from pychat_client.ui.prompt import Prompt
from pychat_client.ui.terminal import Holder, Terminal
from pychat_client.ui.theme import Theme
from pychat_client.width import DOUBTFUL, Row, joined, most_columns, rows, wrap

_TIME = "%H:%M "
_DAY = "%A, %d %B %Y"

_NOTICE = "-- "

_INDENT = 8
"""Columns before the later lines of a message. No message can look like two: a name never begins there."""

_ROOM_MIN = 6
"""Columns that text has to get; in a window that has fewer, it is indented by only one column."""

FOLDED_MAX = 50
"""Folded messages that \\show can still show: as many as somebody wants to read."""

_NO_WRAP, _WRAP = ("[ZeroWidthEscape]", "\x1b[?7l"), ("[ZeroWidthEscape]", "\x1b[?7h")
"""The terminal does not continue a row by itself (DECAWM): what is still too wide never gets to the left edge.
Only a whole word may get there (width.Row)."""


class Scrollback:
    """Everything that the screen has shown, from the first message to the last."""

    def __init__(self, terminal: Terminal, theme: Theme) -> None:
        self._terminal = terminal
        self._theme = theme
        self._prompt: Prompt | None = None
        self._waiting: list[Callable[[], StyleAndTextTuples]] = []  # to be printed together
        self._day = date.min  # of the newest message
        self._folded: deque[_Shown] = deque(maxlen=FOLDED_MAX)
        self._letters = ambiguous_columns(locale.setlocale(locale.LC_CTYPE))

    def print_above(self, prompt: Prompt) -> None:
        """From now on prints above `prompt` while it is on the screen."""
        self._prompt = prompt

    def message(self, message: wire.Message, *, own: bool, time: datetime) -> None:
        if time.date() != self._day:
            if self._day != date.min or time.date() != datetime.now(time.tzinfo).date():
                self.notice(time.strftime(_DAY))
            self._day = time.date()
        style = "class:own" if own else "class:other"
        shown = _Shown(time.strftime(_TIME), style, named(message.handle, own=own), printable_lines(message.text))
        self._print(lambda: self._folded_message(shown))

    def show_folded(self) -> bool:
        """Prints the newest message whole that was folded, and not printed whole since. False if there is none."""
        if not self._folded:
            return False
        shown = self._folded.pop()
        self._print(lambda: self._message(shown, self._body(shown)))
        return True

    def notice(self, sentence: str) -> None:
        self._print(lambda: self._notice(sentence))

    def flush(self) -> None:
        """Prints what waits, unless an editor or the shell has the terminal.

        The toolkit's run_in_terminal would let the terminal itself echo the keys that are pressed at that moment.
        """
        if self._terminal.holder is Holder.GUEST or not self._waiting:
            return
        text = FormattedText([part for lay_out in self._waiting for part in (*lay_out(), ("", "\n"))])
        self._waiting = []
        if self._prompt is None:
            self._write(text)
        else:
            with self._prompt.erased():
                self._write(text)

    def _print(self, lay_out: Callable[[], StyleAndTextTuples]) -> None:
        """Prints soon, so that many lines are drawn at once, and wraps them for the window of that moment."""
        self._waiting.append(lay_out)
        if self._prompt is None or not self._prompt.is_running:
            self.flush()
        elif len(self._waiting) == 1:
            self._prompt.when_settled(self.flush)

    def _write(self, text: FormattedText) -> None:
        text = FormattedText([_NO_WRAP, *text, _WRAP])
        print_formatted_text(self._terminal, text, self._theme.style, color_depth=self._theme.depth)

    def _notice(self, sentence: str) -> StyleAndTextTuples:
        margin = self._margin(len(_NOTICE))
        return [("", _NOTICE), *margin.drawn(margin.rows(printable_lines(sentence), len(_NOTICE)))]

    def _folded_message(self, shown: _Shown) -> StyleAndTextTuples:
        """A message takes at most half of the window: no caller can push everything else out of it."""
        limit = max(self._terminal.get_size().rows // 2 - 1, 1)  # the notice takes a row too
        columns, body = self._terminal.columns, self._body(shown)
        heights = list(accumulate(row.height(columns) for row in body))
        if heights[-1] <= limit + 1:
            return self._message(shown, body)
        self._folded.append(shown)
        fitting = bisect(heights, limit)  # a whole word is shown whole, or later
        visible = body[:fitting]
        if visible == [Row("")]:
            visible = [self._beginning(shown, body[1])]
        more = f"{heights[-1] - heights[fitting - 1]} more rows of this message. \\show shows them."
        return [*self._message(shown, visible), ("", "\n"), *self._notice(more)]

    def _beginning(self, shown: _Shown, row: Row) -> Row:
        """What of `row` has room behind the name. The dots tell that a link does not end there."""
        left = self._terminal.columns - self._used(shown) - DOUBTFUL  # columns of the dots
        return Row(wrap(row.text, left, left, self._letters)[0] + "…")

    def _name(self, shown: _Shown) -> str:
        margin = self._message_margin()
        return joined(margin.rows([shown.name], len(shown.when)), margin.indent)

    def _used(self, shown: _Shown) -> int:
        """The columns before the text, in the row of the name."""
        return self._message_margin().used(self._name(shown), len(shown.when))

    def _body(self, shown: _Shown) -> list[Row]:
        return self._message_margin().rows(shown.lines, self._used(shown))

    def _message(self, shown: _Shown, body: list[Row]) -> StyleAndTextTuples:
        name = [("class:time", shown.when), (shown.style, self._name(shown))]
        return [*name, *self._message_margin().drawn(body)]

    def _message_margin(self) -> Margin:
        return self._margin(_INDENT // 2 if self._terminal.narrow else _INDENT)

    def _margin(self, indent: int) -> Margin:
        columns = self._terminal.columns
        return Margin(columns, max(min(indent, columns - _ROOM_MIN), 1), self._letters)


@dataclass(frozen=True, slots=True)
class _Shown:
    """A message as it is shown, before it is laid out in rows."""

    when: str
    style: str
    name: str
    lines: list[str]


@dataclass(frozen=True, slots=True)
class Margin:
    """How the rows of one entry lie in a window of `columns`: all but the first are indented."""

    columns: int
    indent: int
    letters: int
    """See width.wrap."""

    @property
    def room(self) -> int:
        return self.columns - self.indent

    def rows(self, lines: list[str], used: int) -> list[Row]:
        """The lines behind `used` columns. What leaves too little room for them has a row of its own."""
        left = self.columns - used
        found = [Row("")] if left < min(_ROOM_MIN, self.room) else []
        for line in lines:
            found += rows(line, self.room, None if found else left, self.letters)
        return found

    def drawn(self, found: list[Row]) -> StyleAndTextTuples:
        """The rows. A whole word is underlined in all its rows, as no name and no notice is."""
        drawn: StyleAndTextTuples = [("", found[0].text)]
        for row in found[1:]:
            if row.whole:
                drawn += [("", "\n"), _WRAP, ("class:whole", row.text), _NO_WRAP]
            else:
                drawn.append(("", f"\n{' ' * self.indent}{row.text}"))
        return drawn

    def used(self, rows: str, before: int) -> int:
        """The columns behind which the next text stands, after `rows` that began behind `before` columns."""
        return most_columns(rows.rpartition("\n")[2], self.letters) + (0 if "\n" in rows else before)


def ambiguous_columns(language: str) -> int:
    """The columns of a letter of ambiguous width: terminals draw it wide only where the language is one of those
    that have wide letters. Were it counted so everywhere, Greek and Russian would fill half of each row."""
    return DOUBTFUL if language[:2] in ("ja", "ko", "zh") else 1
