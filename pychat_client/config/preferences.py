"""A user's preferences and contacts: ~/.config/pychat/config.toml, which both programs read.

    handle = "Client1"
    bell = "unfocused"

    [contacts.alice]             # then `pychat alice` calls her
    host = "chat.example.net"
    port = 7000
    fingerprint = "SHA256:…"     # then even the first call asks no question

A command-line option wins over the file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from pathlib import Path
from typing import Any, Literal

from pychat_client.config import config_file, paths
from pychat_client.config.host_names import is_host
from pychat_client.errors import UsageError
from pychat_client.records import record
from pychat_client.text import printable

COMMANDS = ("send", "replies", "listen", "forget", "certificate")
"""The commands of `pychat`, which stand where a contact could: no contact has such a name."""


@record
class Contact:
    """A service that the user has saved under a name: `pychat NAME` calls it."""

    host: str
    port: int
    fingerprint: str | None = None  # of the host's certificate: accepted without a question; no other is
    handle: str | None = None  # the user's own, for calls to this contact
    via: tuple[str, ...] = ()  # a program that connects, with %h and %p for host and port
    invitation: str | None = None  # in an address that somebody has sent; the file has none


@record
class Preferences:
    """The settings of the file, each with its default."""

    handle: str | None = None
    keys: Literal["emacs", "vi"] = "emacs"
    bell: Literal["off", "unfocused", "all"] = "unfocused"
    notify: Literal["off", "auto", "osc9", "osc777"] = "off"
    hook: tuple[str, ...] = ()  # a program and its arguments, started for an alert; never through a shell
    history: bool = True
    signs: bool = True  # others see that the user types, and what they have read
    live: bool = False  # live typing, where the other side wants it too
    contacts: Mapping[str, Contact] = field(default_factory=dict)


def load(file: Path | None = None) -> Preferences:
    """Reads `file`; by default the user's own, which need not exist. Raises UsageError."""
    file = file or paths.config_file()
    if not config_file.is_there(file):
        return Preferences()
    document = config_file.read(file)
    for key, sentence in _REMOVED.items():
        if key in document.tables:
            raise document.error("", key, sentence)
    values = document.check_table("", document.tables, _KEYS)
    tables = values.get("contacts", {})
    values["contacts"] = {name: _contact(document, name, table) for name, table in tables.items()}
    return Preferences(**values)


def _contact(document: config_file.Document, name: str, table: Any) -> Contact:
    heading = f"contacts.{name}"
    if name in COMMANDS:
        raise document.error("contacts", name, f"'{name}' is a command of pychat; use another name.")
    if not name or name.startswith("-") or printable(name) != name or " " in name:
        raise document.error(
            "contacts", name, f"'{printable(name)}' is not a valid name for a contact; use one word."
        )
    values = document.check_table(heading, table, _CONTACT_KEYS)
    for key in ("host", "port"):
        if key not in values:
            raise document.error(heading, key, f"add a {key}; a contact needs one.")
    return Contact(**values)


# ------------------------------------------------------------------ the keys


def _yes_or_no(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError("use true or false.")
    return value


def _notify(value: Any) -> str:
    if isinstance(value, bool):
        return "auto" if value else "off"
    if value not in ("off", "osc9", "osc777"):
        raise ValueError('use true or false; "osc9" or "osc777" choose the sequence.')
    return str(value)


def _hook(value: Any) -> tuple[str, ...]:
    return _program(value, '["paplay", "/usr/share/sounds/ring.wav"]')


def _command(value: Any) -> tuple[str, ...]:
    return _program(value, '["ssh", "-W", "%h:%p", "bastion"]')


def _program(value: Any, example: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not value or not all(_is_argument(word) for word in value):
        raise ValueError(f"use a list of a program and its arguments, such as {example}.")
    return tuple(value)


def _is_argument(word: Any) -> bool:
    return isinstance(word, str) and word != "" and "\0" not in word  # as execve(2) takes it


def _contacts(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TypeError("use a table for each contact: [contacts.NAME].")
    return value


def _host(value: Any) -> str:
    if not isinstance(value, str) or not is_host(value):
        raise ValueError('use the name or the address of a host, such as "chat.example.net".')
    return value


def _fingerprint(value: Any) -> str:
    from pychat_client.trust.fingerprint import check_fingerprint  # loads hashlib, which few configurations need

    if not isinstance(value, str):
        raise UsageError("write the fingerprint that 'pychatd fingerprint PORT' prints, in quotation marks.")
    return check_fingerprint(value)


_KEYS: config_file.Keys = {
    "handle": config_file.handle,
    "keys": config_file.choice("emacs", "vi"),
    "bell": config_file.choice("off", "unfocused", "all"),
    "notify": _notify,
    "hook": _hook,
    "history": _yes_or_no,
    "signs": _yes_or_no,
    "live": _yes_or_no,
    "contacts": _contacts,
}

_CONTACT_KEYS: config_file.Keys = {
    "host": _host,
    "port": config_file.number(1, 65535),
    "fingerprint": _fingerprint,
    "handle": config_file.handle,
    "via": _command,
}

_REMOVED = {
    "lines": "[lines.NAME] is now [contacts.NAME].",
    "palette": "delete 'palette': the colours now follow those of your terminal.",
}
"""Settings that no longer exist, each with what to do."""
