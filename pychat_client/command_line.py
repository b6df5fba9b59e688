"""What the command lines of the programs share: how the help is laid out, and the options of a conversation."""

from __future__ import annotations

import argparse
import os
import sys
from contextlib import suppress
from pathlib import Path

from pychat_client.errors import UsageError
from pychat_client.text import printable

TYPE_CHECKING = False  # as mypy knows it; the module `typing` would take time at each start
if TYPE_CHECKING:
    from typing import Any, NoReturn

COLUMNS = 80
"""The width of the help where no terminal has one."""


class Parser(argparse.ArgumentParser):
    """A command line, whose help fits the terminal. argparse itself asks `shutil` for the width whenever it adds
    an option, and that imports all compression libraries: 2 ms at each start."""

    def _get_value(self, action: argparse.Action, arg_string: str) -> Any:
        """The value of an option. Raises UsageError for a bad one: a sentence, without the lines of the usage."""
        try:
            return super()._get_value(action, arg_string)
        except UsageError as error:
            raise UsageError(f"{'/'.join(action.option_strings)}: {error}") from None

    def error(self, message: str) -> NoReturn:
        super().error(printable(message))

    def _get_formatter(self) -> argparse.HelpFormatter:
        return argparse.HelpFormatter(self.prog, width=_columns() - 2)


def _columns() -> int:
    """The width for the help: as `shutil.get_terminal_size` has it."""
    with suppress(ValueError):
        if (columns := int(os.environ.get("COLUMNS", ""))) > 0:
            return columns
    try:
        return os.get_terminal_size(sys.stdout.fileno()).columns or COLUMNS
    except (OSError, ValueError):  # no terminal, or closed
        return COLUMNS


def add_conversation_options(parser: argparse.ArgumentParser) -> None:
    """The options that a conversation has in both programs, `pychat` and `pychatd-console`."""
    parser.add_argument("--plain", action="store_true", help="plain lines on stdin and stdout, no screen")
    parser.add_argument("--json", action="store_true", help="JSON objects, one per line, on stdin and stdout")
    both = "live typing: each of you sees what the other one types, if both use this option"
    parser.add_argument("--live", action="store_true", help=both)
    parser.add_argument("--log", metavar="FILE", type=Path, help="append the conversation to FILE (mode 0600)")
    parser.add_argument("--no-history", action="store_true", help="do not save or suggest typed lines")
    parser.add_argument(
        "--retry-for",
        metavar="SECONDS",
        type=seconds,
        help="give up after this many seconds without a connection, also at the first call (default: never)",
    )


def seconds(word: str) -> float:
    """A time limit of the command line. Raises UsageError."""
    with suppress(ValueError):
        number = float(word)
        if 0 < number < float("inf"):
            return number
    raise UsageError(f"'{printable(word)}' is not a time limit: use a number of seconds above 0, such as 30.")


def process_number(word: str) -> int:
    """The number of a process (`--while`). Raises UsageError."""
    if not (word.isascii() and word.isdigit() and 0 < len(word) < 10 and int(word)):
        raise UsageError(f"'{printable(word)}' is not the number of a process.")
    return int(word)
