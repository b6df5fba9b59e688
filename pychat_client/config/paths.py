"""Where this user's files are, by the XDG base directories."""

from __future__ import annotations

import os
import pwd
import re
from contextlib import suppress
from pathlib import Path

from pychat_client.errors import UsageError


def history_file(program: str) -> Path:
    """The lines that the user typed into `program`."""
    return _own("XDG_STATE_HOME", ".local/state") / f"{program}-history"


def session_file(service: str) -> Path:
    """What this user needs to go on with a conversation. service: which one, for example `hosta:7000`. Its name
    is in UTF-8 in every locale."""
    name = re.sub(r"[^\w.:-]", lambda char: f"%{ord(char[0]):X}", service)
    return _own("XDG_STATE_HOME", ".local/state") / "sessions" / os.fsdecode(f"{name}.db".encode())


def known_hosts_file() -> Path:
    """The accepted keys of hosts."""
    return _own("XDG_DATA_HOME", ".local/share") / "known_hosts"


def config_file() -> Path:
    """The preferences and contacts."""
    return _own("XDG_CONFIG_HOME", ".config") / "config.toml"


def key_file() -> Path:
    """The key and certificate of this user."""
    return _own("XDG_DATA_HOME", ".local/share") / "identity.pem"


def _own(variable: str, default: str) -> Path:
    return xdg(variable, default) / "pychat"


def xdg(variable: str, default: str, option: str = "") -> Path:
    """One of the XDG base directories. default: below the home directory; option: one of the command line that
    would do as well. Raises UsageError where neither is known."""
    value = os.environ.get(variable, "")
    if value.startswith("/"):
        return Path(value)
    if (home := _home()) is None:
        instead = f", or use {option}" if option else ""
        raise UsageError(f"Your home directory is not known: set HOME or {variable} to a directory{instead}.")
    return home / default


def _home() -> Path | None:
    """None for a user without one: in a container, or a user of a service."""
    home = os.environ.get("HOME", "")
    if not home.startswith("/"):
        with suppress(KeyError):
            home = pwd.getpwuid(os.getuid()).pw_dir
    return Path(home) if home.startswith("/") else None
