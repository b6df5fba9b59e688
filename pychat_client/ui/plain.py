"""Plain lines instead of a screen: messages on stdout, notices on stderr, what the user types on stdin.

For pipes, TERM=dumb and screen readers: it redraws nothing and writes no escape sequence. For a person at a
terminal it rings the bell and runs the notification command.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime

from pychat_client.config.preferences import Preferences
from pychat_client.errors import HandleError, MessageError, PychatError
from pychat_client.layout import fit
from pychat_client.protocol import wire
from pychat_client.session.commands import is_command, unescaped
from pychat_client.session.session import Session
from pychat_client.text import check_handle, printable, printable_lines
from pychat_client.ui.alerts import Alerts
from pychat_client.ui.input_lines import is_cut
from pychat_client.ui.line_view import LEFTOVERS_MAX, LineView


class Plain(LineView):
    """The front end for a pipe, a plain terminal or a screen reader."""

    def __init__(self, program: str, preferences: Preferences, source: int = 0) -> None:
        """program: its name is put in front of notices; source: the file descriptor to read."""
        super().__init__(source)
        self._program = program
        bell = preferences.bell if sys.stderr.isatty() else "off"
        calls = replace(preferences, bell=bell, notify="off")  # a notification would be an escape sequence
        self._alerts = Alerts(calls, self._ring, self.notice) if os.isatty(source) else None
        self._handling = False  # a message that is sent now has just been typed

    # -------------------------------------------------------------- View

    def message(self, message: wire.Message, *, own: bool, time: datetime, replayed: bool) -> None:
        text = "\n".join(printable_lines(message.text))
        if not own:
            self.write(sys.stdout, fit(sys.stdout, f"{printable(message.handle)}> {text}"))
        elif replayed:
            self.notice(f"sent earlier: {text}")
        elif not self._handling and os.isatty(self._source):  # it was held: a person may have forgotten it by now
            self.notice(f"your turn; sent now: {text}")

    def notice(self, sentence: str) -> None:
        self.write(sys.stderr, fit(sys.stderr, f"{self._program}: {sentence}"))

    def alert(self, words: str, *, ring: bool) -> None:
        if self._alerts is not None:
            self._alerts.alert(words, ring=ring)

    def recalled(self, text: str) -> None:
        self.notice(f"taken back: {' '.join(printable_lines(text))}")

    # -------------------------------------------------------------- LineView

    def handle_line(self, session: Session, line: bytes) -> None:
        if self._alerts is not None:
            self._alerts.touched()
        try:
            text = line.decode().removesuffix("\n").removesuffix("\r")
        except UnicodeDecodeError:
            raise MessageError("Not sent: a line of the input is not UTF-8.") from None
        self._handling = True
        try:
            session.submit(text)
        finally:
            self._handling = False

    def refused(self, line: bytes, error: PychatError) -> None:
        self.notice(str(error))

    def leftovers(self, lines: Sequence[bytes]) -> bool:
        texts = [line.decode(errors="replace").rstrip("\r\n") + ("…" if is_cut(line) else "") for line in lines]
        texts = [unescaped(text) for text in texts if text.strip() and not is_command(text)]
        for text in texts[:LEFTOVERS_MAX]:
            self.not_sent(text)
        if more := len(texts[LEFTOVERS_MAX:]):
            self.notice(f"Not sent: {more} more lines of the input.")
        return bool(texts)

    def ready_for_line(self, session: Session) -> bool:
        """Lines of a file wait for their turns. A person's do not: the next one can be \\recall."""
        return os.isatty(self._source) or not session.endpoint.held

    # -------------------------------------------------------------- inside

    def _ring(self, bell: str) -> None:
        with suppress(OSError, ValueError):
            print(bell, end="", file=sys.stderr, flush=True)


def ask_handle() -> str:
    """Asks for a handle on stderr until it is a good one. Raises EOFError."""
    while True:
        print("Your handle: ", end="", file=sys.stderr, flush=True)
        line = sys.stdin.buffer.readline()
        if not line:
            raise EOFError
        try:
            return check_handle(line.decode(errors="replace").strip())
        except HandleError as error:
            print(error, file=sys.stderr)
