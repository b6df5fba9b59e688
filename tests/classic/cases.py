"""The rows of cases.toml."""

from __future__ import annotations

import re
import shlex
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_TABLE = tomllib.loads((Path(__file__).parent / "cases.toml").read_text())


def octets(text: str) -> bytes:
    """The bytes that a row's text stands for."""
    text = re.sub(r"\\0\*([0-9]+)", lambda found: r"\0" * int(found[1]), text)
    # `\q` is no escape: a backslash of its own
    return re.sub(
        rb"\\(n|r|0|x[0-9a-f]{2})",
        lambda found: (
            {b"n": b"\n", b"r": b"\r", b"0": b"\0"}.get(found[1]) or bytes.fromhex(found[1][1:].decode())
        ),
        text.encode(),
    )


def with_text(data: bytes, old: bytes, new: str) -> bytes:
    """`data` with another text, and with its length in front if `data` begins with one."""
    data = data.replace(old, new.encode())
    return len(data[4:]).to_bytes(4) + data[4:] if data.startswith(bytes(3)) else data


@dataclass(frozen=True)
class Client:
    """A classic client; see cases.toml for the fields."""

    family: str
    opening: list[list[str]]
    says: str
    gets: str
    quits: str
    end: str
    name: str = "Ann"
    first: str = ""
    last: str = ""
    prompt: bool = False
    slow: bool = False
    waits: bool = False
    keys: bool = False

    def row(self) -> str:
        """Its row in docs/classic.md."""
        opening = ", ".join(
            f"{code(sent)} (gets {code(got)})" if got else code(sent) for sent, got in self.opening
        )
        if self.waits:
            opening = f"{opening or 'nothing'}, and waits (gets {code(self.gets)})"
        cells = [
            self.family,
            opening or self._beginning(),
            code(self.says),
            code(self.gets),
        ]
        return _row([*cells, self._leaving(), code(self.end) or "the close"])

    def _beginning(self) -> str:
        return "nothing, for a while" if self.slow else "its message, at once" if self.prompt else "nothing"

    def _leaving(self) -> str:
        return code(self.quits) or (f"{code(self.last)}, and closes" if self.last else "closes")


@dataclass(frozen=True)
class Server:
    """A classic server; see cases.toml for the fields."""

    family: str
    options: list[str]
    opening: str
    hears: str
    says: str
    again: str
    quits: str
    end: str
    name: str = "Bob"
    keys: bool = False

    def hello(self) -> bytes:
        """What it is sent first."""
        if "--hello" in self.options:
            return self.options[self.options.index("--hello") + 1].encode()
        return b"" if "--no-hello" in self.options else b"Ann"

    def row(self) -> str:
        """Its row in docs/classic.md."""
        hears = code(self.hears) + ("" if self.again == self.hears else f", then {code(self.again)}")
        options = code(shlex.join(self.options)) or "none"
        cells = [self.family, options, code(self.opening) or "nothing", hears, code(self.says)]
        return _row([*cells, code(self.quits) or "closes", code(self.end) or "the close"])


def code(text: str) -> str:
    cell = text.replace("|", r"\|")  # it would end the cell of the table
    return f"`{cell}`" if text else ""


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _rows(kind: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = _TABLE[kind]
    return rows


CLIENTS = [Client(**row) for row in _rows("client")]
SERVERS = [Server(**row) for row in _rows("server")]
