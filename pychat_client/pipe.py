"""What the views without a screen have in common: lines come in on a file descriptor, lines go out.

The reading, the order and the end are here; what a line means, and how things are written, is for
plain.Plain and jsonl.Jsonl. Knows no sockets and no rules.
"""

from __future__ import annotations

import asyncio
import io
import os
import sys
import threading
from abc import abstractmethod
from collections.abc import Callable, Iterator
from typing import TextIO

from pychat_client.chat import Chat
from pychat_client.errors import Exit, PychatError
from pychat_client.view import View

LINE_MAX = 1 << 16
"""Bytes read of one input line: far over a message, so that its length can still be told."""


class Waiting(View):
    """A view that draws nothing: it waits until something has changed."""

    def __init__(self) -> None:
        self._changed = asyncio.Event()
        self._chat: Chat | None = None

    def alert(self, words: str, *, ring: bool) -> None:
        """The line that is written anyway is all there is."""

    def refresh(self) -> None:
        self._changed.set()

    def stop(self) -> None:
        self._changed.set()

    async def _until(self, condition: Callable[[], bool]) -> None:
        """Waits for `condition`, or the end of the chat."""
        assert self._chat is not None
        while not (condition() or self._chat.done):
            self._changed.clear()
            await self._changed.wait()


class Pipe(Waiting):
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
    def take(self, chat: Chat, line: bytes) -> None:
        """Does what a line of input, its line feed included, says. Raises PychatError when it is refused."""

    @abstractmethod
    def refused(self, line: bytes, error: PychatError) -> None:
        """Tells why `line` was refused."""

    @abstractmethod
    def may_go_on(self, chat: Chat) -> bool:
        """Whether the next line may be taken."""

    # -------------------------------------------------------------- chat.View

    async def run(self, chat: Chat) -> None:
        self._chat = chat
        lines: asyncio.Queue[bytes] = asyncio.Queue()
        ready = threading.Semaphore(0)
        threading.Thread(target=self._read, args=(lines, ready, asyncio.get_running_loop()), daemon=True).start()
        await self._until(lambda: chat.end.ready)
        while not chat.done:
            ready.release()
            line = await self._or_done(lines)
            if line:
                try:
                    self.take(chat, line)
                except PychatError as error:
                    self._refused = True
                    self.refused(line, error)
                await self._until(lambda: self.may_go_on(chat))
            elif line is not None:
                await self._until(chat.idle)
                chat.leave()
                await self._until(lambda: chat.done)
        if self._refused and chat.status is Exit.OK:
            chat.status = Exit.UNDELIVERED

    # -------------------------------------------------------------- inside

    async def _or_done(self, lines: asyncio.Queue[bytes]) -> bytes | None:
        """The next line (empty at the end of the input), or None when the chat is done first."""
        getting = asyncio.ensure_future(lines.get())
        getting.add_done_callback(lambda _: self._changed.set())
        await self._until(getting.done)
        if getting.done():
            return getting.result()
        getting.cancel()
        return None

    def _read(
        self, lines: asyncio.Queue[bytes], ready: threading.Semaphore, loop: asyncio.AbstractEventLoop
    ) -> None:
        """In a thread of its own, because a regular file cannot be waited for; ends with the process."""
        try:
            for line in read_lines(self._source):
                ready.acquire()
                loop.call_soon_threadsafe(lines.put_nowait, line)
            ready.acquire()
            loop.call_soon_threadsafe(lines.put_nowait, b"")
        except RuntimeError:  # the loop is closed: nobody is interested any more
            pass

    def write(self, stream: TextIO, line: str) -> None:
        """Writes a line; nobody there to read stdout ends the chat."""
        try:
            print(line, file=stream, flush=True)
        except (OSError, ValueError) as error:
            if self._chat is not None and not self._chat.done:
                self._chat.finish(Exit.FAILED)
                if stream is sys.stdout and not isinstance(error, BrokenPipeError):
                    self.notice(f"What arrives cannot be written: {error}.")


def read_lines(fd: int) -> Iterator[bytes]:
    """The lines of a file descriptor, each with its line feed; the last one may have none. Of a line
    longer than LINE_MAX the beginning is kept, so that memory stays bounded.

    Not through sys.stdin: a thread that waits in its buffer aborts Python's shutdown.
    """
    rest = b""
    while data := _read(fd):
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            yield line + b"\n"
        rest = rest[:LINE_MAX]
    if rest:
        yield rest


def _read(fd: int) -> bytes:
    try:
        return os.read(fd, LINE_MAX)
    except OSError:  # a terminal that went away
        return b""
