"""What the views without a screen have in common: lines come in on a file descriptor, lines go out.

The reading, the order and the end are here; what a line means, and how things are written, is for
plain.Plain and jsonl.Jsonl. Knows no sockets and no rules.
"""

from __future__ import annotations

import asyncio
import io
import sys
from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import TextIO

from pychat_client.errors import ExitStatus, PychatError
from pychat_client.session.session import Session
from pychat_client.session.view import View
from pychat_client.ui.input_lines import InputLines

LEFTOVERS_MAX = 10
"""Lines of the input that are shown as not sent when the chat has ended; of more, the number is told."""


class HeadlessView(View):
    """A view that draws nothing: it waits until something has changed."""

    def __init__(self) -> None:
        self._changed = asyncio.Event()
        self._session: Session | None = None

    def alert(self, words: str, *, ring: bool) -> None:
        """The line that is written anyway is all there is."""

    def refresh(self) -> None:
        self._changed.set()

    def stop(self) -> None:
        self._changed.set()

    async def _until(self, condition: Callable[[], bool]) -> None:
        """Waits for `condition`, or the end of the chat."""
        assert self._session is not None
        while not (condition() or self._session.done):
            self._changed.clear()
            await self._changed.wait()


class LineView(HeadlessView):
    """A view of lines; see chat.View for the contract.

    A line of input is taken once the one before it has been dealt with, so a long file waits where it
    is and not in memory. At the end of the input the chat is left when all has been confirmed.
    """

    def __init__(self, source: int = 0) -> None:
        """source: the file descriptor to read."""
        super().__init__()
        self._source = source
        for stream in (sys.stdout, sys.stderr):  # a character that does not fit ends nothing
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="backslashreplace")
        self._refused = False

    @abstractmethod
    def take(self, session: Session, line: bytes) -> None:
        """Does what a line of input, its line feed included, says. Raises PychatError when it is refused."""

    @abstractmethod
    def refused(self, line: bytes, error: PychatError) -> None:
        """Tells why `line` was refused."""

    @abstractmethod
    def leftovers(self, lines: Sequence[bytes]) -> bool:
        """The chat has ended before these lines of the input could be taken; whether that matters."""

    @abstractmethod
    def may_go_on(self, session: Session) -> bool:
        """Whether the next line may be taken."""

    # -------------------------------------------------------------- chat.View

    async def run(self, session: Session) -> None:
        self._session = session
        lines = InputLines(self._source, self._changed.set)
        await self._until(lambda: session.endpoint.ready)
        while not session.done:
            await self._until(lambda: lines.arrived)
            if session.done:
                break
            if line := lines.take():
                self._take(session, line)
                await self._until(lambda: self.may_go_on(session))
            else:
                await self._until(session.all_stored)
                session.leave()
            if session.leaving:
                await self._until(lambda: session.done)
        if self.leftovers(lines.close()) or self._refused:
            session.exit_status = (
                ExitStatus.NOT_SENT if session.exit_status is ExitStatus.OK else session.exit_status
            )

    # -------------------------------------------------------------- inside

    def _take(self, session: Session, line: bytes) -> None:
        try:
            self.take(session, line)
        except PychatError as error:
            self._refused = True
            self.refused(line, error)

    def write(self, stream: TextIO, line: str) -> None:
        """Writes a line; nobody there to read stdout ends the chat."""
        try:
            print(line, file=stream, flush=True)
        except (OSError, ValueError) as error:
            if self._session is not None and not self._session.done:
                self._session.finish(ExitStatus.FAILED)
                if stream is sys.stdout and not isinstance(error, BrokenPipeError):
                    self.notice(f"What arrives cannot be written: {error}.")
