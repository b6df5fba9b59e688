"""What a user likes, and the lines the user calls often: ~/.config/pychat/config.toml, read by both programs.

    handle = "Client1"
    bell = "unfocused"

    [lines.alice]                # then `pychat alice` calls her
    host = "chat.example.net"
    port = 7000
    fingerprint = "SHA256:…"     # then even the first call asks nothing

Options go before it. Errors name the file, the line and the key.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pychat_client.config import config_file, paths
from pychat_client.errors import UsageError
from pychat_client.text import printable

COMMANDS = ("send",)
"""Words that `pychat` takes for a command where a host or a line's name could stand."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line with a name of the user's: `pychat NAME`."""

    host: str
    port: int
    fingerprint: str | None = None  # of the host's key: accepted without a question, and no other one is
    handle: str | None = None  # for this line, before the general one


@dataclass(frozen=True, slots=True)
class Preferences:
    """The file's keys, each with its default."""

    handle: str | None = None
    keys: Literal["emacs", "vi"] = "emacs"
    bell: Literal["off", "unfocused", "all"] = "unfocused"
    notify: Literal["off", "osc9", "osc777"] = "off"
    hook: tuple[str, ...] = ()  # a program and its arguments, started for an alert; never through a shell
    history: bool = True
    lines: Mapping[str, Line] = field(default_factory=dict)


def load(file: Path | None = None) -> Preferences:
    """What `file` says (by default the user's own, which need not exist). Raises UsageError."""
    file = file or paths.config_file()
    if not config_file.is_there(file):
        return Preferences()
    document = config_file.read(file)
    if "palette" in document.tables:
        raise document.error("", "palette", "delete 'palette': the colours now follow those of your terminal.")
    values = document.check_table("", document.tables, _KEYS)
    values["lines"] = {name: _line(document, name, table) for name, table in values.get("lines", {}).items()}
    return Preferences(**values)


def _line(document: config_file.Document, name: str, table: Any) -> Line:
    heading = f"lines.{name}"
    if name in COMMANDS:
        raise document.error("lines", name, f"a line cannot be called '{name}': that is a command of pychat.")
    if not name or name.startswith("-") or printable(name) != name or " " in name:
        raise document.error("lines", name, f"'{printable(name)}' is not a name for a line: one word is.")
    values = document.check_table(heading, table, _LINE_KEYS)
    for key in ("host", "port"):
        if key not in values:
            raise document.error(heading, key, f"{key} is missing in [{heading}].")
    return Line(**values)


# ------------------------------------------------------------------ the keys


def _history(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError("true or false is needed.")
    return value


def _hook(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not value or not all(_is_argument(word) for word in value):
        raise ValueError(
            'a program and its arguments are needed, such as ["paplay", "/usr/share/sounds/ring.wav"].'
        )
    return tuple(value)


def _is_argument(word: Any) -> bool:
    return isinstance(word, str) and word != "" and "\0" not in word  # as execve(2) takes it


def _lines(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TypeError("tables are needed: [lines.NAME].")
    return value


def _host(value: Any) -> str:
    if not isinstance(value, str) or not value or printable(value) != value or " " in value:
        raise ValueError("the name or the address of a host is needed, in quotation marks.")
    return value


def _fingerprint(value: Any) -> str:
    from pychat_client.trust.fingerprint import check_fingerprint

    if not isinstance(value, str):
        raise UsageError("a fingerprint is text in quotation marks: what 'pychatd fingerprint PORT' prints.")
    return check_fingerprint(value)


_KEYS: config_file.Keys = {
    "handle": config_file.handle,
    "keys": config_file.choice("emacs", "vi"),
    "bell": config_file.choice("off", "unfocused", "all"),
    "notify": config_file.choice("off", "osc9", "osc777"),
    "hook": _hook,
    "history": _history,
    "lines": _lines,
}

_LINE_KEYS: config_file.Keys = {
    "host": _host,
    "port": config_file.number(1, 65535),
    "fingerprint": _fingerprint,
    "handle": config_file.handle,
}
