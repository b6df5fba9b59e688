"""Detaches the daemon from the terminal that started it.

All that can go wrong at a start goes wrong before, so that the terminal shows it and gets an exit status.
"""

from __future__ import annotations

import logging
import os
import resource
import signal
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from importlib.util import find_spec
from typing import TextIO

from pychat_client.errors import ExitStatus, PychatError, UsageError
from pychat_client.text import printable
from pychatd.process.pidfile import Pidfile

FILES_MAX = 4096
"""Open files: a daemon needs about a hundred. python-daemon 2.3 closes every possible one."""

log = logging.getLogger("pychatd")


def require() -> None:
    """Raises UsageError where python-daemon is missing."""
    if find_spec("daemon") is None:
        raise UsageError(
            "'pychatd start PORT' needs the Python package 'python-daemon': install 'pychat[daemon]'. "
            "'pychatd run PORT' works without it."
        )


Serve = Callable[[Callable[[list[str]], None]], int]
"""serve(ready): what the daemon process does. It calls ready(warnings) when it serves; returns its status."""


def detach(pidfile: Pidfile, keep: Iterable[int], serve: Serve) -> int:
    """Runs `serve(ready)` in a daemon process (python-daemon); returns when the daemon has called ready().

    keep: file descriptors that stay open. Returns ExitStatus.OK once the daemon serves, and prints its warnings.
    If it fails before that, prints its sentence and returns its status. In the daemon process, it never returns.
    """
    reader, writer = os.pipe()
    if os.fork():
        os.close(writer)
        with os.fdopen(reader, encoding="utf-8") as report:
            word, _, sentence = report.read().partition(" ")
        if word == "ready":
            for warning in sentence.splitlines():
                print(f"pychatd: {printable(warning)}", file=sys.stderr)
            return ExitStatus.OK
        print(f"pychatd: {sentence or 'The daemon ended during its start; see the system log.'}", file=sys.stderr)
        return int(word or ExitStatus.FAILED)
    os.close(reader)
    answer = os.fdopen(writer, "w", encoding="utf-8", errors="backslashreplace")  # a path can be no UTF-8
    try:
        status = _serve_detached(pidfile, keep, serve, answer)
    except PychatError as error:
        _answer(answer, f"{int(error.status)} {error}")
        status = error.status
    except Exception:
        log.exception("The daemon failed")
        status = ExitStatus.FAILED
    logging.shutdown()
    os._exit(status)


def _serve_detached(pidfile: Pidfile, keep: Iterable[int], serve: Serve, answer: TextIO) -> int:
    limit_files()  # before the import, in which python-daemon reads the limit
    from daemon import DaemonContext

    context = DaemonContext(
        working_directory="/",
        umask=0o077,
        detach_process=True,
        files_preserve=[*keep, pidfile.fileno(), answer.fileno()],
        pidfile=pidfile,
        signal_map={signal.SIGTSTP: None, signal.SIGTTIN: None, signal.SIGTTOU: None},
    )
    with context:
        return serve(lambda warnings: _answer(answer, "ready " + "\n".join(warnings)))


def _answer(answer: TextIO, words: str) -> None:
    """Answers the starting process, once."""
    with suppress(OSError, ValueError), answer:  # that one is gone, or has its answer already
        answer.write(words)


def limit_files() -> None:
    """Limits the number of open files to what a daemon can need."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY or hard > FILES_MAX:
        resource.setrlimit(resource.RLIMIT_NOFILE, (FILES_MAX, FILES_MAX))
