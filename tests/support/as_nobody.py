"""Runs code as a user without privileges, also when root runs the tests."""

from __future__ import annotations

import codecs
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

NOBODY = 65534

ENCODINGS = ("ascii", "idna", "utf-8-sig")
"""Those that the programs use, and that Python loads when they are used first."""


def as_nobody(action: Callable[[], object]) -> str:
    """Runs `action` in a child process without privileges; returns "" or the name and text of its exception.

    Python's own files may be closed to the other user, below /root for example. So what `action` imports has to be
    loaded before.
    """
    for encoding in ENCODINGS:
        codecs.lookup(encoding)
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        words = ""
        try:
            if os.getuid() == 0:
                os.setgroups([])
                os.setresgid(NOBODY, NOBODY, NOBODY)
                os.setresuid(NOBODY, NOBODY, NOBODY)
            action()
        except BaseException as error:
            words = f"{type(error).__name__}: {error}"
        os.write(writer, words.encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as report:
        words = report.read()
    os.waitpid(child, 0)
    return words


@contextmanager
def public_directory() -> Iterator[Path]:
    """A directory that everybody may enter; only the user who runs pytest may enter its directories."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        directory.chmod(0o755)
        yield directory
