"""Prints messages and notices above the line being typed, into the terminal's own scrollback."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime

from prompt_toolkit.formatted_text import FormattedText, StyleAndTextTuples
from prompt_toolkit.renderer import print_formatted_text

from pychat_client.protocol import wire
from pychat_client.text import printable, printable_lines
from pychat_client.ui.prompt import Prompt
from pychat_client.ui.terminal import Holder, Terminal
from pychat_client.ui.theme import Theme
from pychat_client.ui.width import most_columns, wrap

_TIME = "%H:%M "
_DAY = "%A, %d %B %Y"

_NOTICE = "-- "

_INDENT = 8
"""Columns before the later lines of a message. No message can look like two: a name never begins there."""

_ROOM_MIN = 10
"""Columns that text gets in the narrowest window."""


class Scrollback:
    """Everything that the screen has shown, from the first message to the last."""

    def __init__(self, terminal: Terminal, theme: Theme) -> None:
        self._terminal = terminal
        self._theme = theme
        self._prompt: Prompt | None = None
        self._waiting: list[Callable[[], StyleAndTextTuples]] = []  # to be printed together
        self._day = date.min  # of the newest message

    def print_above(self, prompt: Prompt) -> None:
        """From now on prints above `prompt` while it is on the screen."""
        self._prompt = prompt

    def message(self, message: wire.Message, *, own: bool, time: datetime) -> None:
        if time.date() != self._day:
            if self._day != date.min or time.date() != datetime.now(time.tzinfo).date():
                self.notice(time.strftime(_DAY))
            self._day = time.date()
        when, name = time.strftime(_TIME), f"{printable(message.handle)}> "
        style = "class:own" if own else "class:other"
        used = most_columns(when + name)
        self._print(lambda: [("class:time", when), (style, name), ("", self._body(message.text, used))])

    def notice(self, sentence: str) -> None:
        used = len(_NOTICE)
        self._print(lambda: [("class:notice", _NOTICE + self._body(sentence, used, used))])

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
        print_formatted_text(self._terminal, text, self._theme.style, color_depth=self._theme.depth)

    def _body(self, text: str, used: int, indent: int | None = None) -> str:
        """`text` printable, and wrapped behind `used` columns; the later lines are indented."""
        columns = self._terminal.columns
        if indent is None:
            indent = _INDENT // 2 if self._terminal.narrow else _INDENT
        room = max(columns - indent, _ROOM_MIN)
        pieces: list[str] = []
        for line in printable_lines(text):
            pieces += wrap(line, room, room if pieces else columns - used)
        return f"\n{' ' * indent}".join(pieces)
