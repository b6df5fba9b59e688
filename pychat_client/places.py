"""Where this user's files are, by the XDG base directories; directories that a crash does not take away again."""

from __future__ import annotations

import errno
import os
from pathlib import Path

_CANNOT_SYNC = (errno.EINVAL, errno.EACCES)
"""What a file system says that syncs no directories, and the kernel to who may not read one."""


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


# ------------------------------------------------------------------ directories that last


def make_directory(path: Path, mode: int = 0o700) -> None:
    """Makes a directory, and those above it that are missing (0755), to stay. Raises OSError.

    One that is there already is made sure of too: who made it may have died before its sync.
    """
    if not path.is_dir():
        make_directory(path.parent, 0o755)
        path.mkdir(mode=mode, exist_ok=True)
    sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """What was made, renamed or removed in a directory survives power loss from here on. Raises OSError."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
    except OSError as error:
        if error.errno not in _CANNOT_SYNC:
            raise
