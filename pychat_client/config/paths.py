"""Where this user's files are, by the XDG base directories."""

from __future__ import annotations

import os
from pathlib import Path


def history_file(program: str) -> Path:
    """The lines that the user typed into `program`."""
    return _own("XDG_STATE_HOME", ".local/state") / f"{program}-history"


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


def xdg(variable: str, default: str) -> Path:
    """One of the XDG base directories. default: below the home directory."""
    value = os.environ.get(variable, "")
    return Path(value) if value.startswith("/") else Path.home() / default
