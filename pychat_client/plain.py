"""The same chat without a terminal: lines on stdin and stdout, notices on stderr.

For pipes, scripts, TERM=dumb and screen readers: nothing is ever redrawn and no escape sequence is
written. Knows no sockets and no rules.
"""

from __future__ import annotations

import asyncio
import io
import os
import shutil
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import TextIO

from pychat_client import wire
from pychat_client.chat import Chat
from pychat_client.errors import Exit, HandleError, PychatError
from pychat_client.text import check_handle, printable, printable_lines, wrap

LINE_MAX = 1 << 16
"""Bytes read of one input line: far over a message, so that its length can still be told."""

_INDENT = "    "


class Plain:
    """The view of a pipe; see chat.View for the contract.

    A line of input is taken once the one before it has been sent, so a long file waits where it is
    and not in memory. At the end of the input the chat is left when all has been confirmed.
    """

    def __init__(self, program: str, source: int = 0) -> None:
        """program: whose name stands in front of notices; source: the file descriptor to read."""
        self._program = program
        self._source = source
        for stream in (sys.stdout, sys.stderr):  # a character that does not fit ends nothing
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="backslashreplace")
        self._changed = asyncio.Event()
        self._chat: Chat | None = None
        self._refused = False

    # -------------------------------------------------------------- chat.View

    def message(self, message: wire.Message, *, own: bool, time: datetime, replayed: bool) -> None:
        name, indented = f"{printable(message.handle)}> ", f"\n{_INDENT}".join
        lines = printable_lines(message.text)
        if not own:
            if sys.stdout.isatty():  # the terminal would break a long line where another's could begin
                room = shutil.get_terminal_size().columns - len(_INDENT)
                first = room + len(_INDENT) - len(name)
                lines = [piece for i, line in enumerate(lines) for piece in wrap(line, room, room if i else first)]
            self._write(sys.stdout, name + indented(lines))
        elif replayed:
            self.notice(f"said earlier: {indented(lines)}")

    def held(self, text: str) -> None:
        self.notice(f"held until your turn: {' '.join(printable_lines(text))}")

    def notice(self, sentence: str) -> None:
        self._write(sys.stderr, f"{self._program}: {sentence}")

    def alert(self, words: str, *, ring: bool) -> None:
        """The line that is written anyway is all there is."""

    def restore(self, text: str) -> None:
        self.notice(f"taken back: {printable(' '.join(text.splitlines()))}")

    @property
    def keys(self) -> Sequence[tuple[str, str]]:
        return ()

    def refresh(self) -> None:
        self._changed.set()

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
                self._take(chat, line)
                if not os.isatty(self._source):  # a person may want to recall what is held
                    await self._until(lambda: not chat.end.held)
            elif line is not None:
                await self._until(chat.idle)
                chat.leave()
                await self._until(lambda: chat.done)
        if self._refused and chat.status is Exit.OK:
            chat.status = Exit.UNDELIVERED

    def stop(self) -> None:
        self._changed.set()

    # -------------------------------------------------------------- inside

    def _take(self, chat: Chat, line: bytes) -> None:
        try:
            text = line.decode().removesuffix("\n").removesuffix("\r")
            if text:
                chat.typed(text)
        except UnicodeDecodeError:
            self._refused = True
            self.notice("Not sent: a line of the input is not UTF-8.")
        except PychatError as error:
            self._refused = True
            self.notice(str(error))

    async def _until(self, condition: Callable[[], bool]) -> None:
        assert self._chat is not None
        while not (condition() or self._chat.done):
            self._changed.clear()
            await self._changed.wait()

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

    def _write(self, stream: TextIO, line: str) -> None:
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
