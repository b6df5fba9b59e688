"""What a service tells about itself: the answer to `pychatd status`.

Any program can have written the answer, so each value is checked before it is used.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any, Self

from pychat_client.errors import ProtocolError, TransportError, UsageError
from pychat_client.phrases import counted, with_certificate
from pychat_client.protocol import grammar
from pychat_client.records import record
from pychat_client.session.transcript import local
from pychat_client.text import printable
from pychat_client.trust.fingerprint import check_fingerprint
from pychatd.caller_words import silent_words, unread_words, was_damaged

TEXT_MAX = 256
"""Characters of a text in a report: more than any name or address has."""

HANDLES_MAX = 100
"""Callers in a list: more than a daemon names."""

NUMBER_MAX = 2**53
"""Numbers up to here are the same in every program that reads JSON."""


@record
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


@record
class ConsoleReport:
    """The console that is attached."""

    user: str
    handle: str | None


@record
class CallingReport:
    """A caller that has not sent the first message yet. silent: it has not even said hello."""

    handle: str
    address: str
    encrypted: bool
    certificate: str | None
    silent: bool


@record
class UnreadReport:
    """The messages that no console has shown. from_: the first callers that sent some."""

    count: int
    from_: list[str]
    since: str | None


@record
class Report:
    """One service. directory: of its journal, if it is told. unread: None if the journal cannot be read."""

    port: int
    pid: int
    since: str
    turns: str
    key: str
    journal: str
    directory: str
    calling: CallingReport | None
    peer: PeerReport | None
    console: ConsoleReport | None
    unread: UnreadReport | None
    missed: int

    @property
    def journal_words(self) -> str:
        """What is wrong with the journal; "" if nothing is."""
        if self.journal == "damaged":
            return was_damaged(self.directory)
        works = self.journal == "ok" and self.unread is not None
        return "" if works else "Messages cannot be stored. The log says why."

    @property
    def unread_since(self) -> datetime | None:
        """When the oldest unread message came."""
        since = None if self.unread is None else self.unread.since
        return None if since is None else grammar.time(since)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Reads a report. Raises TransportError for anything else."""
        try:
            table = _ABSENT | _table(json.loads(text))
            calling, peer, console, unread = (table[key] for key in ("calling", "peer", "console", "unread"))
            return cls(
                **_checked(table, _SERVICE),
                calling=None if calling is None else _calling(_table(calling)),
                peer=None if peer is None else PeerReport(**_checked(_table(peer), _PEER)),
                console=None if console is None else ConsoleReport(**_checked(_table(console), _CONSOLE)),
                unread=None if unread is None else _unread(_table(unread)),
            )
        except (ValueError, KeyError, RecursionError, ProtocolError, UsageError):
            raise TransportError("it does not answer as a pychatd does") from None

    def json(self) -> str:
        """One line of ASCII."""
        table = asdict(self)
        if self.unread is not None:
            table["unread"]["from"] = table["unread"].pop("from_")
        return json.dumps(table)

    def in_words(self) -> str:
        """One line for people."""
        words = [f"Port {self.port}: pychatd is running (pid {self.pid}, since {_for_people(self.since)})."]
        if self.calling is not None:
            words.append(_calling_words(self.calling))
        elif self.peer is None:
            words.append("No conversation.")
        if self.peer is not None:
            words.append(_peer_words(self.peer))
            if not self.peer.connected:
                words.append("The connection is lost; the caller may come back.")
        if self.console is None:
            words.append("No console is attached.")
        else:
            words.append(f"{printable(self.console.user)} is at the console.")
        return " ".join([*words, *filter(None, self._waiting())])

    def _waiting(self) -> list[str]:
        """What waits for the operator, in sentences."""
        waiting = self.unread
        since = "" if waiting is None or waiting.since is None else f", since {_for_people(waiting.since)}"
        calls = f"{counted(self.missed, 'missed call')}." if self.missed else ""
        return [
            "" if waiting is None else unread_words(waiting.count, waiting.from_, since),
            calls,
            self.journal_words,
        ]


def _peer_words(peer: PeerReport) -> str:
    who = f"{printable(peer.handle)} from {printable(peer.address)}{with_certificate(peer.certificate, ',')}"
    counts = f"{counted(peer.received, 'message')} received, {peer.sent} sent"
    return f"{who} has talked since {_for_people(peer.since)} ({counts})."


def _calling_words(calling: CallingReport) -> str:
    if calling.silent:
        return silent_words(calling.address)
    who = f"{printable(calling.handle)} from {printable(calling.address)}"
    return f"{who} is calling and has not sent a message yet."


def _for_people(time: str) -> str:
    return local(datetime.fromisoformat(time))


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
    return grammar.timestamp(grammar.time(_text(value)))


def _word(value: Any) -> str:
    word = _text(value)
    if not (word.isascii() and word.isalpha()):
        raise ValueError("no word")
    return word


def _or_none(check: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda value: None if value is None else check(value)


def _unread(table: dict[str, Any]) -> UnreadReport:
    handles = table["from"]
    if not isinstance(handles, list) or len(handles) > HANDLES_MAX:
        raise ValueError("no list of handles")
    since = _or_none(_time)(table["since"])
    return UnreadReport(_number(table["count"]), [_text(handle) for handle in handles], since)


def _calling(table: dict[str, Any]) -> CallingReport:
    return CallingReport(**_checked({"silent": False} | table, _CALLING))


_ABSENT: dict[str, Any] = {
    "journal": "ok",
    "directory": "",
    "calling": None,
    "unread": {"count": 0, "from": [], "since": None},
    "missed": 0,
}
"""The values that a daemon of an earlier version does not tell."""

_SERVICE: Checks = {
    "port": _number,
    "pid": _number,
    "since": _time,
    "turns": _word,
    "key": lambda value: check_fingerprint(_text(value)),
    "journal": _word,
    "directory": _text,
    "missed": _number,
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
_CALLING: Checks = {
    "handle": _text,
    "address": _text,
    "encrypted": _flag,
    "certificate": _or_none(_text),
    "silent": _flag,
}
_CONSOLE: Checks = {"user": _text, "handle": _or_none(_text)}
