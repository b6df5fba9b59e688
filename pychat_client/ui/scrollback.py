"""Prints messages and notices above the line being typed, into the terminal's own scrollback."""

from __future__ import annotations

import locale
from bisect import bisect
from collections import deque
from collections.abc import Callable
from datetime import date, datetime
from itertools import accumulate

from prompt_toolkit.data_structures import Size
from prompt_toolkit.formatted_text import FormattedText, StyleAndTextTuples
from prompt_toolkit.renderer import print_formatted_text

from pychat_client.protocol import wire
from pychat_client.records import record
from pychat_client.session.view import named
from pychat_client.text import printable_lines
from pychat_client.ui.prompt import Prompt
from pychat_client.ui.terminal import Terminal, is_narrow
from pychat_client.ui.theme import Theme
from pychat_client.width import DOUBTFUL, Row, joined, most_columns, rows, wrap

_DAY = "%A, %d %B %Y"

_NOTICE = "-- "

_INDENT = 8
"""Columns before the later lines of a message. No message can look like two: a name never begins there."""

_ROOM_MIN = 6
"""Columns that text has to get; in a window that has fewer, it is indented by only one column."""

AT_ONCE = 300
"""Entries that are printed before a key is handled: more would let it wait for longer than a person notices."""

WAITING_MAX = 1000
"""Entries that may wait to be printed before the connection is read no further: more than the messages that can
wait for an ack. A host that sends faster than the terminal prints, or while an editor has it, must not fill the
memory."""

FOLDED_MAX = 50
"""Folded messages that \\show can still show: as many as somebody wants to read."""

_WHOLE = "class:whole"

_NO_WRAP, _WRAP = ("[ZeroWidthEscape]", "\x1b[?7l"), ("[ZeroWidthEscape]", "\x1b[?7h")
"""The terminal does not continue a row by itself (DECAWM): what is still too wide never gets to the left edge.
Only a whole word may get there (width.Row)."""


class Scrollback:
    """Everything that the screen has shown, from the first message to the last."""

    def __init__(self, terminal: Terminal, theme: Theme, printed: Callable[[], None]) -> None:
        """printed: called when all is printed that had to wait, and when less waits than had been too much."""
        self._terminal = terminal
        self._printed = printed
        self._theme = theme
        self._prompt: Prompt | None = None
        self._waiting: deque[Callable[[_Window], StyleAndTextTuples]] = deque()  # to be printed together
        self.unprinted = 0  # messages of the other side that have not been printed, at most
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
        shown = _Shown(
            f"{time.hour:02}:{time.minute:02} ",
            style,
            named(message.handle, own=own),
            printable_lines(message.text),
        )
        self._print(lambda window: self._folded_message(window, shown))
        if self._waiting and not own:
            self.unprinted += 1

    def show_folded(self) -> bool:
        """Prints the newest message whole that was folded, and not printed whole since. False if there is none."""
        if not self._folded:
            return False
        shown = self._folded.pop()
        self._print(lambda window: window.message(shown, window.body(shown)))
        return True

    def notice(self, sentence: str) -> None:
        self._print(lambda window: window.notice(sentence))

    @property
    def is_behind(self) -> bool:
        """Whether so much waits that nothing more should come."""
        return len(self._waiting) > WAITING_MAX

    def flush(self) -> None:
        """Prints what waits, unless an editor or the shell has the terminal.

        The toolkit's run_in_terminal would let the terminal itself echo the keys that are pressed at that moment.
        """
        was_behind = self.is_behind
        while self._waiting and not self._terminal.foreground.is_guest:
            self._print_some()
            if self._waiting and self._prompt is not None and self._prompt.is_running:
                self._prompt.when_settled(self.flush)  # after the keys that were pressed meanwhile
                break
        self._tell_printed(was_behind=was_behind)

    def flush_all(self) -> None:
        """The same, but all at once: it is the end."""
        was_behind = self.is_behind
        while self._waiting and not self._terminal.foreground.is_guest:
            self._print_some()
        self._tell_printed(was_behind=was_behind)

    def _tell_printed(self, *, was_behind: bool) -> None:
        all_printed = self.unprinted and not self._waiting
        if all_printed:
            self.unprinted = 0
        if all_printed or (was_behind and not self.is_behind):
            self._printed()

    def _print_some(self) -> None:
        window = _Window(self._terminal.get_size(), self._letters)
        some = [self._waiting.popleft() for _ in range(min(len(self._waiting), AT_ONCE))]
        text = FormattedText([part for lay_out in some for part in (*lay_out(window), ("", "\n"))])
        if self._prompt is None:
            self._write(text)
        else:
            with self._prompt.replaced(window.height(text)):
                self._write(text)

    def _print(self, lay_out: Callable[[_Window], StyleAndTextTuples]) -> None:
        """Prints soon, so that many lines are drawn at once, and wraps them for the window of that moment."""
        self._waiting.append(lay_out)
        if self._prompt is None or not self._prompt.is_running:
            self.flush()
        elif len(self._waiting) == 1:
            self._prompt.when_settled(self.flush)

    def _write(self, text: FormattedText) -> None:
        text = FormattedText([_NO_WRAP, *text, _WRAP])
        print_formatted_text(self._terminal, text, self._theme.style, color_depth=self._theme.depth)

    def _folded_message(self, window: _Window, shown: _Shown) -> StyleAndTextTuples:
        """A message takes at most half of the window: no caller can push everything else out of it."""
        limit = max(window.rows // 2 - 1, 1)  # the notice takes a row too
        body = window.body(shown)
        heights = list(accumulate(row.height(window.columns) for row in body))
        if heights[-1] <= limit + 1:
            return window.message(shown, body)
        self._folded.append(shown)
        fitting = bisect(heights, limit)  # a whole word is shown whole, or later
        visible = body[:fitting]
        if visible == [Row("")]:
            visible = [window.beginning(shown, body[1])]
        more = f"{heights[-1] - heights[fitting - 1]} more rows of this message. \\show shows them."
        return [*window.message(shown, visible), ("", "\n"), *window.notice(more)]


class _Window:
    """How entries lie in a window of one size."""

    def __init__(self, size: Size, letters: int) -> None:
        self.rows, self.columns = size.rows, size.columns
        self._letters = letters
        self._messages = self._margin(_INDENT // 2 if is_narrow(size) else _INDENT)
        self._notices = self._margin(len(_NOTICE))
        self._names: dict[tuple[str, str], tuple[str, int]] = {}

    def notice(self, sentence: str) -> StyleAndTextTuples:
        margin = self._notices
        style = "class:notice"
        return [(style, _NOTICE), *margin.drawn(margin.rows(printable_lines(sentence), len(_NOTICE)), style)]

    def body(self, shown: _Shown) -> list[Row]:
        return self._messages.rows(shown.lines, self._name(shown)[1])

    def beginning(self, shown: _Shown, row: Row) -> Row:
        """What of `row` has room behind the name. The dots tell that a link does not end there."""
        left = self.columns - self._name(shown)[1] - DOUBTFUL  # columns of the dots
        return Row(wrap(row.text, left, left, self._letters)[0] + "…")

    def message(self, shown: _Shown, body: list[Row]) -> StyleAndTextTuples:
        name = [("class:time", shown.when), (shown.style, self._name(shown)[0])]
        return [*name, *self._messages.drawn(body)]

    def height(self, text: StyleAndTextTuples) -> int:
        """The rows of entries with a line feed behind each."""
        breaks = "".join(part for _, part, *_ in text).count("\n")
        return breaks + sum(
            Row(part, whole=True).height(self.columns) - 1 for style, part, *_ in text if style == _WHOLE
        )

    def _name(self, shown: _Shown) -> tuple[str, int]:
        """The name, and the columns before the text in its row. Laid out once: it stands in front of most messages
        of a conversation."""
        key = (shown.when, shown.name)
        if key not in self._names:
            margin = self._messages
            name = joined(margin.rows([shown.name], len(shown.when)), margin.indent)
            self._names[key] = name, margin.used(name, len(shown.when))
        return self._names[key]

    def _margin(self, indent: int) -> Margin:
        return Margin(self.columns, max(min(indent, self.columns - _ROOM_MIN), 1), self._letters)


@record
class _Shown:
    """A message as it is shown, before it is laid out in rows."""

    when: str
    style: str
    name: str
    lines: list[str]


@record
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

    def drawn(self, found: list[Row], style: str = "") -> StyleAndTextTuples:
        """The rows. A whole word is underlined in all its rows, as no name and no notice is."""
        drawn: StyleAndTextTuples = [(style, found[0].text)]
        for row in found[1:]:
            if row.whole:
                drawn += [("", "\n"), _WRAP, (_WHOLE, row.text), _NO_WRAP]
            else:
                drawn.append((style, f"\n{' ' * self.indent}{row.text}"))
        return drawn

    def used(self, rows: str, before: int) -> int:
        """The columns behind which the next text stands, after `rows` that began behind `before` columns."""
        return most_columns(rows.rpartition("\n")[2], self.letters) + (0 if "\n" in rows else before)


def ambiguous_columns(language: str) -> int:
    """The columns of a letter of ambiguous width: terminals draw it wide only where the language is one of those
    that have wide letters. Were it counted so everywhere, Greek and Russian would fill half of each row."""
    return DOUBTFUL if language[:2] in ("ja", "ko", "zh") else 1
