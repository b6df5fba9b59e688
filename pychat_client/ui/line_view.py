"""What the front ends without a screen share: they read lines from a file descriptor, and write lines.

This module reads the lines, keeps their order, and finds the end. What a line means, and how things are written,
is in plain and json_lines.
"""

from __future__ import annotations

import sys
from abc import abstractmethod
from collections.abc import Sequence
from typing import TextIO

from pychat_client.errors import ExitStatus, MessageError, PychatError
from pychat_client.session.session import Session
from pychat_client.transport.os_errors import describe
from pychat_client.ui.headless import HeadlessView
from pychat_client.ui.input_lines import INPUT_LINE_MAX, InputLines, is_cut

LEFTOVERS_MAX = 10
"""Lines of the input that are shown as not sent after the end. Of further ones only the number is shown."""


class LineView(HeadlessView):
    """A front end of lines.

    It takes a line of input once the line before it is dealt with, so a long file waits on the disk and not in
    memory. At the end of the input it leaves the session as soon as all messages are stored. When its terminal is
    gone, it leaves at once, as the screen does.
    """

    def __init__(self, source: int = 0) -> None:
        """source: the file descriptor to read."""
        super().__init__()
        self._source = source
        self._any_refused = False

    @abstractmethod
    def handle_line(self, session: Session, line: bytes) -> None:
        """Does what a line of input, its line feed included, says. Raises PychatError if it is refused."""

    @abstractmethod
    def refused(self, line: bytes, error: PychatError) -> None:
        """Shows why `line` was refused."""

    @abstractmethod
    def leftovers(self, lines: Sequence[bytes]) -> bool:
        """The session is done, and these lines of the input are left. Returns whether that is a loss."""

    @abstractmethod
    def ready_for_line(self, session: Session) -> bool:
        """Whether to take the next line."""

    # -------------------------------------------------------------- FrontEnd

    async def run(self, session: Session) -> None:
        self._session = session
        await session.caught_up()
        if session.over_at_return:  # the input is for the next call
            return
        lines = InputLines(self._source, self._changed.set)
        await self._until(lambda: session.endpoint.ready)
        while not session.done:
            await self._until(lambda: lines.arrived)
            if session.done:
                break
            if line := lines.take():
                self._handle(session, line)
                await self._until(lambda: self.ready_for_line(session))
            elif lines.hung_up:  # the system sends SIGHUP too, perhaps later
                session.interrupt()
            else:
                await self._until(session.all_stored)
                session.leave()
            if session.leaving:
                await self._until(lambda: session.done)
        if (self.leftovers(lines.close()) or self._any_refused) and session.exit_status is ExitStatus.OK:
            session.conclude(ExitStatus.NOT_SENT)

    # -------------------------------------------------------------- inside

    def _handle(self, session: Session, line: bytes) -> None:
        try:
            if is_cut(line):
                raise MessageError(f"Not sent: a line of the input has more than {INPUT_LINE_MAX} bytes.")
            self.handle_line(session, line)
        except PychatError as error:
            self._any_refused = True
            self.refused(line, error)

    def write(self, stream: TextIO, line: str) -> None:
        """Writes a line. If that fails, the session is done: the user would not see what arrives."""
        try:
            print(line, file=stream, flush=True)
        except (OSError, ValueError) as error:
            if self._session is not None and not self._session.done:
                self._session.finish(ExitStatus.FAILED)
                if stream is sys.stdout:
                    self.notice(f"Cannot write to stdout: {describe(error)}.")
