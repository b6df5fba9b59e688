"""What the three programs share around their main function: standard streams, errors, the end of `--json`, and the
options of a conversation."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from pychat_client import core_dumps
from pychat_client.errors import ExitStatus, PychatError
from pychat_client.text import printable


def run_main(program: str, run: Callable[[], int]) -> int:
    """Runs a program and returns its exit status. An error becomes a sentence on stderr, never a traceback."""
    open_standard_streams()
    core_dumps.forbid()
    try:
        return int(run())
    except PychatError as error:
        print(f"{program}: {error}", file=sys.stderr)
        return error.status
    except (KeyboardInterrupt, EOFError):
        return ExitStatus.INTERRUPTED


def open_standard_streams() -> None:
    """Opens /dev/null in place of each closed standard stream, so that no other file gets its descriptor."""
    while (fd := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(fd)
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode))  # noqa: SIM115 -- for the life of the process


def with_json_end(run: Callable[[], int]) -> int:
    """Runs a conversation in JSON lines. The last object has its exit status, also after an error."""
    from pychat_client.ui.json_objects import encoded  # json, which only --json needs

    def write_end(status: int, *before: str) -> None:
        with suppress(OSError, ValueError):  # the reader is gone
            print(*before, encoded("end", status=int(status)), sep="\n", flush=True)

    try:
        status = run()
    except PychatError as error:
        write_end(error.status, encoded("error", text=str(error), input=None))
        raise
    except (KeyboardInterrupt, EOFError):
        write_end(ExitStatus.INTERRUPTED)
        raise
    write_end(status)
    return status


def add_conversation_options(parser: argparse.ArgumentParser) -> None:
    """The options that a conversation has in both programs, `pychat` and `pychatd-console`."""
    parser.add_argument("--plain", action="store_true", help="plain lines on stdin and stdout, no screen")
    parser.add_argument("--json", action="store_true", help="JSON objects, one per line, on stdin and stdout")
    parser.add_argument("--log", metavar="FILE", type=Path, help="append the conversation to FILE (mode 0600)")
    parser.add_argument("--no-history", action="store_true", help="do not save or suggest typed lines")
    parser.add_argument(
        "--retry-for",
        metavar="SECONDS",
        type=seconds,
        help="stop reconnecting after this many seconds (default: never)",
    )


def seconds(word: str) -> float:
    """A time limit of the command line. Raises argparse's error for a bad one."""
    with suppress(ValueError):
        number = float(word)
        if 0 < number < float("inf"):
            return number
    raise argparse.ArgumentTypeError(
        f"'{printable(word)}' is not a time limit: use a number of seconds above 0, such as 30."
    )
