"""Reads a configuration file (TOML) and checks its keys one by one. An error names the file and the key.

The keys are in pychatd.settings and in preferences, each with the function that checks its value.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pychat_client.errors import PychatError, UsageError
from pychat_client.files import read_file
from pychat_client.text import check_handle, printable

Keys = Mapping[str, Callable[[Any], Any]]
"""The keys of a table. The function returns the value as the program uses it, or raises ValueError, TypeError or
a PychatError that tells what to write."""


class Document(NamedTuple):
    """A file that has been read."""

    file: Path
    tables: dict[str, Any]

    def check_table(self, heading: str, table: Any, keys: Keys) -> dict[str, Any]:
        """The checked values of `table`, whose heading is [heading]. Raises UsageError."""
        if not isinstance(table, dict):
            raise UsageError(f"{self.file}: [{printable(heading)}] has to be a table.")
        checked: dict[str, Any] = {}
        for key, value in table.items():
            try:
                checked[key] = _check(keys, key, value)
            except UsageError as error:
                raise self.error(heading, key, str(error)) from None
        return checked

    def error(self, heading: str, key: str, words: str) -> UsageError:
        """The error for `key` under [heading], with the name of the file."""
        table = f"[{printable(heading)}] " if heading else ""
        return UsageError(f"{self.file}: {table}{printable(key)}: {words}")


def read(file: Path) -> Document:
    """Reads a file. Raises UsageError."""
    try:
        data = read_file(file)
    except OSError as error:
        raise UsageError(f"Cannot read the configuration {file}: {error.strerror}.") from None
    import tomllib  # 4 ms that a program without a file does not need

    try:
        return Document(file, tomllib.loads(_decoded(data)))
    except UnicodeError:
        raise UsageError(f"The configuration {file} is not in UTF-8: save it in this encoding.") from None
    except RecursionError:
        raise UsageError(f"The configuration {file} is not valid: its brackets are nested too deeply.") from None
    except tomllib.TOMLDecodeError as error:  # names line and column
        raise UsageError(f"The configuration {file} is not valid TOML: {printable(str(error))}.") from None
    except ValueError:  # Python's own limit
        raise UsageError(f"The configuration {file} is not valid: a number in it has too many digits.") from None


def _decoded(data: bytes) -> str:
    """The text of a file, without the mark that some editors put in front of UTF-8. Raises UnicodeError."""
    if b"\0" in data:  # in no TOML, but in UTF-16 and UTF-32, which can look like UTF-8
        raise UnicodeError
    return data.decode("utf-8-sig")


def is_there(file: Path) -> bool:
    """Whether a file exists. Also True in a directory that we may not enter: reading it reports the error."""
    try:
        file.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        pass
    return True


def check(keys: Keys, key: str, value: Any) -> Any:
    """The checked value of an option. Raises UsageError, with the option in the sentence."""
    try:
        return _check(keys, key, value)
    except UsageError as error:
        raise UsageError(f"--{key.replace('_', '-')}: {error}") from None


def _check(keys: Keys, key: str, value: Any) -> Any:
    checker = keys.get(key)
    if checker is None:
        raise UsageError(f"unknown setting; the settings are {', '.join(keys)}.")
    try:
        return checker(value)
    except (ValueError, TypeError, PychatError) as error:
        raise UsageError(printable(str(error))) from None


# ------------------------------------------------------------------ values in both files


def handle(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("write a handle in quotation marks.")
    return check_handle(value)


def choice(*words: str) -> Callable[[Any], str]:
    def check(value: Any) -> str:
        if not isinstance(value, str):
            raise TypeError(f"use {_either(words)}.")
        if value not in words:
            raise ValueError(f"'{value}' is not valid; use {_either(words)}.")
        return value

    return check


def _either(words: Sequence[str]) -> str:
    """`"a", "b" or "c"`"""
    *some, last = (f'"{word}"' for word in words)
    return f"{', '.join(some)} or {last}" if some else last


def number(low: int, high: int) -> Callable[[Any], int]:
    def check(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise ValueError(f"use a whole number from {low} to {high}.")
        return value

    return check
