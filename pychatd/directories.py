"""Where the files of a service are: in the directories of systemd, of the system (root), or of a user (XDG).

Each service has its own directory, named after its port, in a base directory.
"""

from __future__ import annotations

import os
import pwd
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from pychat_client.config.paths import xdg
from pychat_client.errors import UsageError
from pychat_client.text import is_port, printable

SYSTEM_RUNTIME = Path("/run/pychatd")
SYSTEM_STATE = Path("/var/lib/pychatd")
STATE = ".local/state"


def runtime_bases() -> list[Path]:
    """The directories in which services of this user and of the system run. A new service goes into the first.

    Not in $XDG_RUNTIME_DIR: cron, su and sudo have none or another one, and it goes at logout with what is in it.
    """
    if os.geteuid() == 0:
        return [SYSTEM_RUNTIME]
    state = xdg("XDG_STATE_HOME", STATE, "--runtime-directory") / "pychatd"
    own = [base / "run" for base in (state, *_home_state())]
    return list(dict.fromkeys([*own, SYSTEM_RUNTIME]))


def state_base() -> Path:
    """The directory of all journals and keys of this user, or of the system for root."""
    if os.geteuid() == 0:
        return SYSTEM_STATE
    return xdg("XDG_STATE_HOME", STATE, "--state-directory") / "pychatd"


def _home_state() -> list[Path]:
    """The same where no variable of the environment is set, or another one than at the start."""
    try:
        return [Path(pwd.getpwuid(os.geteuid()).pw_dir, STATE, "pychatd")]
    except KeyError:  # a container's user
        return []


def absolute(word: str) -> Path:
    """A path of the command line. Made absolute now, because the working directory of a daemon will be /.
    Raises UsageError."""
    try:
        return Path(word).absolute()
    except FileNotFoundError:
        raise UsageError(
            f"The current directory no longer exists: write the whole path of '{printable(word)}', from / on."
        ) from None


def service_directories(base: Path) -> dict[int, Path]:
    """The directories of services in `base`, by port; whether a daemon runs there is not known. Raises OSError."""
    return {int(directory.name): directory for directory in sorted(base.iterdir()) if is_port(directory.name)}


def state_directory(port: int, base: Path | None) -> Path:
    """Where the service keeps its journal and key. base: from the command line, before all others."""
    return _service_directory(port, base, "STATE_DIRECTORY", state_base)


def runtime_directory(port: int, base: Path | None) -> Path:
    """Where the service has its pidfile and console socket. base: from the command line, before all others."""
    return _service_directory(port, base, "RUNTIME_DIRECTORY", lambda: runtime_bases()[0])


def console_socket(runtime: Path) -> Path:
    """The socket on which the service with this runtime directory answers consoles and questions."""
    return runtime / "console.sock"


def pidfile(runtime: Path) -> Path:
    """The file in which the daemon with this runtime directory writes its pid, and which it locks."""
    return runtime / "pid"


def _service_directory(port: int, base: Path | None, variable: str, default: Callable[[], Path]) -> Path:
    if base is not None:
        return base / str(port)
    return _from_systemd(variable) or default() / str(port)  # a unit gives each service its own directory


def config_file() -> Path | None:
    """The configuration file, which does not have to exist. None for a user without a home directory."""
    if (directory := _from_systemd("CONFIGURATION_DIRECTORY")) is not None:
        return directory / "pychatd.toml"
    if os.geteuid() == 0:
        return Path("/etc/pychatd/pychatd.toml")
    with suppress(UsageError):
        return xdg("XDG_CONFIG_HOME", ".config") / "pychatd/pychatd.toml"
    return None


def credential(name: str) -> Path | None:
    """The file that systemd passes as credential `name` (LoadCredential= of the unit), if it does."""
    directory = _from_systemd("CREDENTIALS_DIRECTORY")
    file = None if directory is None else directory / name
    return file if file is not None and file.exists() else None


def _from_systemd(variable: str) -> Path | None:
    """The first directory in one of systemd's variables (systemd.exec(5))."""
    directory = os.environ.get(variable, "").split(":")[0]
    return Path(directory) if directory.startswith("/") else None
