"""The same chat without a screen: messages on stdout, notices on stderr, what is typed on stdin.

For pipes, TERM=dumb and screen readers: nothing is ever redrawn and no escape sequence is written.
"""

from __future__ import annotations

import os
import shutil
import sys
from datetime import datetime

from pychat_client import wire
from pychat_client.chat import Chat
from pychat_client.errors import HandleError, MessageError, PychatError
from pychat_client.pipe import Pipe
from pychat_client.text import check_handle, printable, printable_lines, wrap

_INDENT = "    "


class Plain(Pipe):
    """The view of a pipe, a plain terminal or a screen reader."""

    def __init__(self, program: str, source: int = 0) -> None:
        """program: whose name stands in front of notices; source: the file descriptor to read."""
        super().__init__(source)
        self._program = program
        self._taking = False  # what is said now has just been typed

    # -------------------------------------------------------------- chat.View

    def message(self, message: wire.Message, *, own: bool, time: datetime, replayed: bool) -> None:
        name, indented = f"{printable(message.handle)}> ", f"\n{_INDENT}".join
        lines = printable_lines(message.text)
        if not own:
            if sys.stdout.isatty():  # the terminal would break a long line where another's could begin
                room = shutil.get_terminal_size().columns - len(_INDENT)
                first = room + len(_INDENT) - len(name)
                lines = [piece for i, line in enumerate(lines) for piece in wrap(line, room, room if i else first)]
            self.write(sys.stdout, name + indented(lines))
        elif replayed:
            self.notice(f"said earlier: {indented(lines)}")
        elif not self._taking and os.isatty(self._source):  # a person has gone on meanwhile, and a file has not
            self.notice(f"your turn; sent now: {indented(lines)}")

    def held(self, text: str) -> None:
        self.notice(f"held until your turn: {' '.join(printable_lines(text))}")

    def notice(self, sentence: str) -> None:
        self.write(sys.stderr, f"{self._program}: {sentence}")

    def restore(self, text: str) -> None:
        self.notice(f"taken back: {printable(' '.join(text.splitlines()))}")

    # -------------------------------------------------------------- pipe.Pipe

    def take(self, chat: Chat, line: bytes) -> None:
        try:
            text = line.decode().removesuffix("\n").removesuffix("\r")
        except UnicodeDecodeError:
            raise MessageError("Not sent: a line of the input is not UTF-8.") from None
        self._taking = True
        try:
            chat.typed(text)
        finally:
            self._taking = False

    def refused(self, line: bytes, error: PychatError) -> None:
        self.notice(str(error))

    def may_go_on(self, chat: Chat) -> bool:
        """A file goes at the pace of the turns; a person may want to recall what is held."""
        return os.isatty(self._source) or not chat.end.held


def ask_handle() -> str:
    """Asks for a handle on stderr until there is a good one. Raises EOFError."""
    while True:
        print("Your handle: ", end="", file=sys.stderr, flush=True)
        line = sys.stdin.buffer.readline()
        if not line:
            raise EOFError
        try:
            return check_handle(line.decode(errors="replace").strip())
        except HandleError as error:
            print(error, file=sys.stderr)
