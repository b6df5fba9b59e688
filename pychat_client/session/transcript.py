"""`--log FILE`: a transcript of the conversation, appended to a file of the user's own.

The other side does not learn of it. All text in it is printable, so that `cat` can show the file.
"""

from __future__ import annotations

import errno
import os
import stat
from datetime import UTC, datetime
from pathlib import Path

from pychat_client.errors import PychatError, UsageError
from pychat_client.session.view import named
from pychat_client.text import printable, printable_lines

INDENT = 30
"""Columns before the later lines of a message: none of them stands where a time or a name does."""


class Transcript:
    """A transcript that is open for appending. Each entry is in the file when the method returns.

    The method that cannot write raises PychatError. That ends the transcript, so that it has no gap: later
    calls do nothing.
    """

    def __init__(self, path: Path | None = None) -> None:
        """Opens `path`, or makes it, and sets its mode to 0600. Without a path nothing is written.
        Raises UsageError."""
        self._path = path
        self._fd = None if path is None else _open(path)

    def said(self, handle: str, text: str, time: datetime, *, own: bool) -> None:
        """Appends a message. own: this user has sent it."""
        if self._fd is not None:
            self._append(entry(handle, text, time, own=own))

    def note(self, sentence: str) -> None:
        """Appends a sentence about the conversation."""
        self._append(f"-- {local(datetime.now(UTC))} {printable(sentence)}")

    def _append(self, line: str) -> None:
        if self._fd is None:
            return
        rest = f"{line}\n".encode()
        try:
            while rest:
                rest = rest[os.write(self._fd, rest) :]
        except OSError as error:
            os.close(self._fd)
            self._fd = None
            raise PychatError(
                f"Cannot write to the log {self._path} any more: {error.strerror}. The conversation goes on."
            ) from None


def _open(path: Path) -> int:
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        fd = os.open(path, flags, 0o600)
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid():
            raise UsageError(f"Cannot use the log {path}: it has to be a regular file that belongs to you.")
        if status.st_nlink > 1:
            raise UsageError(f"Cannot use the log {path}: the file has other names (hard links). Name a new file.")
        os.fchmod(fd, 0o600)
    except OSError as error:
        why = "it is a symbolic link" if error.errno == errno.ELOOP else error.strerror
        raise UsageError(f"Cannot write the log {path}: {why}.") from None
    return fd


def entry(handle: str, text: str, time: datetime, *, own: bool) -> str:
    """A message as a transcript has it."""
    return f"\n{' ' * INDENT}".join(entry_lines(handle, text, time, own=own))


def entry_lines(handle: str, text: str, time: datetime, *, own: bool) -> list[str]:
    """The same in lines, all but the first without their indent."""
    first, *others = printable_lines(text)
    return [f"{local(time)} {named(handle, own=own)}{first}", *others]


def local(time: datetime) -> str:
    """A time for people: local, with its offset from UTC, so that it is clear in every time zone."""
    return time.astimezone().isoformat(" ", "seconds")
