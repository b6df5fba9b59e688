"""A configuration file: TOML whose keys are checked one by one; an error names the file, the line and the key.

Knows no key: pychatd.settings and preferences bring theirs, each with the function that checks its value.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pychat_client.errors import PychatError, UsageError
from pychat_client.text import check_handle, printable

Keys = Mapping[str, Callable[[Any], Any]]
"""The keys of a table. The function returns the value as it is used, or raises ValueError, TypeError or a
PychatError that says what is needed."""


@dataclass(frozen=True, slots=True)
class Document:
    """A file that has been read."""

    file: Path
    text: str
    tables: dict[str, Any]

    def check_table(self, heading: str, table: Any, keys: Keys) -> dict[str, Any]:
        """The checked values of `table`, which stands under [heading]. Raises UsageError."""
        if not isinstance(table, dict):
            raise UsageError(f"{self.file}: [{printable(heading)}] has to be a table.")
        checked: dict[str, Any] = {}
        for key, value in table.items():
            try:
                checked[key] = check(keys, key, value)
            except UsageError as error:
                raise self.error(heading, key, str(error)) from None
        return checked

    def error(self, heading: str, key: str, words: str) -> UsageError:
        """What is wrong with `key` under [heading], with the line of the file."""
        return UsageError(f"{self.file}, line {self._line_of(_bare(f'{heading}.{key}').lstrip('.'))}: {words}")

    def _line_of(self, wanted: str) -> int:
        """The line that sets the dotted key `wanted`, or the table it is in; 1 where neither can be found."""
        table, best = "", (0, 1)
        for number, line in enumerate(self.text.split("\n"), 1):
            if found := re.match(r"\s*\[([^\]]*)\]", line):
                path = table = _bare(found[1])
            elif found := re.match(r"([^=#]+)=", line):
                path = f"{table}.{_bare(found[1])}".lstrip(".")
            else:
                continue
            if f"{wanted}.".startswith(f"{path}."):
                best = max(best, (len(path), number))
        return best[1]


def read(file: Path) -> Document:
    """Reads a file. Raises UsageError."""
    try:
        text = file.read_bytes().decode()
        return Document(file, text, tomllib.loads(text))
    except OSError as error:
        raise UsageError(f"The configuration {file} cannot be read: {error.strerror}.") from None
    except ValueError as error:  # TOMLDecodeError and UnicodeDecodeError; the first names line and column
        raise UsageError(f"The configuration {file} is not TOML: {printable(str(error))}.") from None


def is_there(file: Path) -> bool:
    """Whether a file exists, or could: one in a directory that we may not enter is an error to report."""
    try:
        file.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        pass
    return True


def check(keys: Keys, key: str, value: Any) -> Any:
    """`value` as `key` has it. Raises UsageError, with the key in the sentence."""
    checker = keys.get(key)
    if checker is None:
        raise UsageError(f"there is no setting '{printable(key)}'; there are {', '.join(keys)}.")
    try:
        return checker(value)
    except (ValueError, TypeError, PychatError) as error:
        raise UsageError(f"{key}: {printable(str(error))}") from None


def _bare(key: str) -> str:
    return re.sub(r"[\s\"']", "", key)


# ------------------------------------------------------------------ values of several files


def handle(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("a handle is text in quotation marks.")
    return check_handle(value)


def choice(*words: str) -> Callable[[Any], str]:
    def check(value: Any) -> str:
        if value not in words:
            raise ValueError(f"'{value}' is none of {', '.join(words)}.")
        return str(value)

    return check


def number(low: int, high: int) -> Callable[[Any], int]:
    def check(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise ValueError(f"a number from {low} to {high} is needed.")
        return value

    return check
