"""Runs code as a user without privileges, also when root runs the tests."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

NOBODY = 65534


def as_nobody(action: Callable[[], object]) -> str:
    """Runs `action` in a child process without privileges; returns "" or the name and text of its exception."""
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
