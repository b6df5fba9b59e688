"""What a service tells about itself: the answer to `pychatd status`.

Any program can have written the answer, so each value is checked before it is used.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Self

from pychat_client.errors import TransportError, UsageError
from pychat_client.text import printable
from pychat_client.trust.fingerprint import check_fingerprint

TEXT_MAX = 256
"""Characters of a text in a report: more than any name or address has."""

NUMBER_MAX = 2**53
"""Numbers up to here are the same in every program that reads JSON."""


@dataclass(frozen=True, slots=True)
class PeerReport:
    """The caller that has the seat."""

    handle: str
    address: str
    since: str
    connected: bool
    classic: bool
    encrypted: bool | None
    certificate: str | None
    received: int
    sent: int


@dataclass(frozen=True, slots=True)
class ConsoleReport:
    """The console that is attached."""

    user: str
    handle: str | None


@dataclass(frozen=True, slots=True)
class Report:
    """One service."""

    port: int
    pid: int
    since: str
    turns: str
    key: str
    peer: PeerReport | None
    console: ConsoleReport | None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Reads a report. Raises TransportError for anything else."""
        try:
            table = _table(json.loads(text))
            peer, console = table["peer"], table["console"]
            return cls(
                **_checked(table, _SERVICE),
                peer=None if peer is None else PeerReport(**_checked(_table(peer), _PEER)),
                console=None if console is None else ConsoleReport(**_checked(_table(console), _CONSOLE)),
            )
        except (ValueError, KeyError, RecursionError, UsageError):
            raise TransportError("it does not answer as a pychatd does") from None

    def json(self) -> str:
        """One line of ASCII."""
        return json.dumps(asdict(self))

    def in_words(self) -> str:
        """One line for people."""
        words = [f"Port {self.port}: pychatd is running (pid {self.pid}, since {self.since})."]
        if self.peer is None:
            words.append("No conversation.")
        else:
            words.append(
                f"{printable(self.peer.handle)} from {printable(self.peer.address)} has talked since "
                f"{self.peer.since} ({self.peer.received} messages received, {self.peer.sent} sent)."
            )
            if not self.peer.connected:
                words.append("The connection is lost; the caller may come back.")
        if self.console is None:
            words.append("No console is attached.")
        else:
            words.append(f"{printable(self.console.user)} is at the console.")
        return " ".join(words)


Checks = Mapping[str, Callable[[Any], Any]]


def _checked(table: dict[str, Any], checks: Checks) -> dict[str, Any]:
    return {key: check(table[key]) for key, check in checks.items()}


def _table(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError("no table")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str) or len(value) > TEXT_MAX:
        raise ValueError("no text")
    return value


def _number(value: Any) -> int:
    if type(value) is not int or not 0 <= value <= NUMBER_MAX:
        raise ValueError("no number")
    return value


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("neither true nor false")
    return value


def _time(value: Any) -> str:
    word = _text(value)
    datetime.fromisoformat(word)
    return word


def _word(value: Any) -> str:
    word = _text(value)
    if not (word.isascii() and word.isalpha()):
        raise ValueError("no word")
    return word


def _or_none(check: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda value: None if value is None else check(value)


_SERVICE: Checks = {
    "port": _number,
    "pid": _number,
    "since": _time,
    "turns": _word,
    "key": lambda value: check_fingerprint(_text(value)),
}
_PEER: Checks = {
    "handle": _text,
    "address": _text,
    "since": _time,
    "connected": _flag,
    "classic": _flag,
    "encrypted": _or_none(_flag),
    "certificate": _or_none(_text),
    "received": _number,
    "sent": _number,
}
_CONSOLE: Checks = {"user": _text, "handle": _or_none(_text)}
