"""Where this user's files are, by the XDG base directories."""

from __future__ import annotations

import os
from pathlib import Path


def history_file(program: str) -> Path:
    """Where the lines typed into `program` are kept."""
    return _xdg("XDG_STATE_HOME", ".local/state") / f"{program}-history"


def known_hosts_file() -> Path:
    """Where the accepted keys of hosts are."""
    return _xdg("XDG_DATA_HOME", ".local/share") / "known_hosts"


def config_file() -> Path:
    """Where what this user likes is written down."""
    return _xdg("XDG_CONFIG_HOME", ".config") / "config.toml"


def key_file() -> Path:
    """Where this user's own key and certificate are."""
    return _xdg("XDG_DATA_HOME", ".local/share") / "identity.pem"


def _xdg(variable: str, default: str) -> Path:
    """pychat's directory below one of the XDG base directories."""
    value = os.environ.get(variable, "")
    return (Path(value) if value.startswith("/") else Path.home() / default) / "pychat"
