"""Settings and places: command line, then the TOML file, then defaults, into one frozen object.

Where things are: options, then systemd's variables, then /run and /var/lib for root and the XDG
directories for a user. Errors name the file, the line and the key.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from pychat_client.config import config_file
from pychat_client.errors import UsageError
from pychat_client.protocol.turns import Turns
from pychat_client.text import printable

SOCKET_PATH_MAX = 107
"""Bytes of a UNIX socket's path (unix(7): sun_path has 108, with the NUL)."""


EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104 -- a daemon for other hosts; `listen` narrows it

EXIT_IDLE_MIN = 2.0
"""Seconds: systemd starts a unit that ends at once no more than 5 times in 10 s (StartLimitBurst=)."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything a running line needs to know; the config file's keys are the fields in its first part."""

    port: int
    listen: tuple[str, ...] = EVERYWHERE
    handle: str | None = None  # the operator's, when the console does not set one
    turns: Turns = Turns.ALTERNATE
    callers: int = 64  # connections from outside at once; see door
    rate: int = 1000  # messages a second from a peer, 0 for any number; faster ones wait in its socket
    grace: float = 60.0  # seconds the seat is kept for a peer whose connection was cut
    durability: str = "full"  # what an acked message survives: "full" power loss, "process" a killed daemon
    plaintext: str = "loopback"  # who may call without TLS: "always" everybody, "loopback", "never"
    certificate: Path | None = None  # a PEM file of the operator's own; the line makes one itself otherwise
    key: Path | None = None  # its private key, when that is in a file of its own
    authorized: Path | None = None  # a directory of NAME.pem: only these may call
    exit_idle: float | None = None  # seconds without anybody, after which the line leaves until the next call
    keep: str = "forever"  # "forever", "none", or a number of days such as "30d"
    syslog: Path = Path("/dev/log")

    state: Path = Path()  # this line's own directories
    runtime: Path = Path()
    file: Path | None = None  # the config file that was read

    @property
    def console_socket(self) -> Path:
        return self.runtime / "console.sock"

    @property
    def pidfile(self) -> Path:
        return self.runtime / "pid"

    @property
    def journal(self) -> Path:
        return self.state / "journal.db"

    @property
    def identity(self) -> Path:
        """The PEM file with the certificate that callers see."""
        return self.certificate or self.state / "identity.pem"

    @property
    def keep_days(self) -> int | None:
        """After how many days ended conversations are removed; None for never."""
        return int(self.keep[:-1]) if self.keep.endswith("d") else None


def load(
    port: int,
    options: Mapping[str, Any],
    *,
    config: Path | None = None,
    state: Path | None = None,
    runtime: Path | None = None,
) -> Settings:
    """The settings of the line on `port`.

    options: what the command line says, None for what it does not; config: a file that must exist;
    state, runtime: directories that hold one directory a line. Raises UsageError.
    """
    settings = Settings(
        port,
        state=_line_directory(port, state, "STATE_DIRECTORY", state_base()),
        runtime=_line_directory(port, runtime, "RUNTIME_DIRECTORY", runtime_bases()[0]),
    )
    file = config or _config_file()
    if config is not None or config_file.is_there(file):
        settings = replace(settings, file=file.absolute(), **_read(file, port))
    given = {key: config_file.check(_KEYS, key, value) for key, value in options.items() if value is not None}
    settings = _with_credentials(replace(settings, **given))
    if len(os.fsencode(settings.console_socket)) > SOCKET_PATH_MAX:
        raise UsageError(
            f"The runtime directory {settings.runtime} has too long a name for a socket: "
            f"{settings.console_socket} has more than {SOCKET_PATH_MAX} bytes."
        )
    return settings


# ------------------------------------------------------------------ places


def runtime_bases() -> list[Path]:
    """Where lines may run, the place for a new one first: a directory for each port is below."""
    system = Path("/run/pychatd")
    if os.geteuid() == 0:
        return [system]
    own = os.environ.get("XDG_RUNTIME_DIR", "")
    base = Path(own) / "pychatd" if own.startswith("/") else state_base() / "run"
    return [base, system]


def state_base() -> Path:
    """Where the journals of all lines are."""
    if os.geteuid() == 0:
        return Path("/var/lib/pychatd")
    return _xdg("XDG_STATE_HOME", ".local/state") / "pychatd"


def running_lines(bases: list[Path]) -> dict[int, Path]:
    """The runtime directories of lines below `bases`, by port; some may be dead."""
    lines: dict[int, Path] = {}
    for base in bases:
        try:
            places = sorted(base.iterdir())
        except OSError:
            continue
        for place in places:
            if place.name.isascii() and place.name.isdecimal():
                lines.setdefault(int(place.name), place)
    return lines


def _line_directory(port: int, option: Path | None, variable: str, base: Path) -> Path:
    if option is not None:
        return option.absolute() / str(port)
    own = os.environ.get(variable, "").split(":")[0]  # the unit gives each line its own
    return Path(own) if own.startswith("/") else base / str(port)


def _with_credentials(settings: Settings) -> Settings:
    """The key and certificate that systemd hands to the unit (LoadCredential=), where none are configured."""
    own = os.environ.get("CREDENTIALS_DIRECTORY", "")
    if not own.startswith("/"):
        return settings
    certificate, key = (
        file if file.exists() else None for file in (Path(own) / "certificate.pem", Path(own) / "key.pem")
    )
    return replace(settings, certificate=settings.certificate or certificate, key=settings.key or key)


def _config_file() -> Path:
    own = os.environ.get("CONFIGURATION_DIRECTORY", "").split(":")[0]
    if own.startswith("/"):
        return Path(own) / "pychatd.toml"
    if os.geteuid() == 0:
        return Path("/etc/pychatd/pychatd.toml")
    return _xdg("XDG_CONFIG_HOME", ".config") / "pychatd/pychatd.toml"


def _xdg(variable: str, default: str) -> Path:
    value = os.environ.get(variable, "")
    return Path(value) if value.startswith("/") else Path.home() / default


# ------------------------------------------------------------------ the file


def _read(file: Path, port: int) -> dict[str, Any]:
    """The checked values of `file` for this port: its top, then its table [line.PORT]."""
    document = config_file.read(file)
    tables = document.tables
    lines = tables.pop("line", {})
    if not isinstance(lines, dict):
        raise UsageError(f"{file}: 'line' has to be a table: [line.{port}].")
    for name in lines:
        if not (name.isascii() and name.isdecimal() and 0 < int(name[:6]) < 65536):
            raise UsageError(f"{file}: [line.{printable(name)}] names no port from 1 to 65535.")
    values: dict[str, Any] = {}
    for heading, table in [("", tables), *((f"line.{name}", table) for name, table in lines.items())]:
        checked = document.check_table(heading, table, _KEYS)
        if heading in ("", f"line.{port}"):
            values |= checked
    return values


# ------------------------------------------------------------------ the keys


def _listen(value: Any) -> tuple[str, ...]:
    addresses = [value] if isinstance(value, str) else value
    if not isinstance(addresses, list | tuple) or not addresses:
        raise ValueError('an address, or a list of addresses, such as ["127.0.0.1", "::1"], is needed.')
    for address in addresses:
        try:
            ip_address(str(address))
        except ValueError:
            raise ValueError(f"'{address}' is not an IPv4 or IPv6 address.") from None
    return tuple(dict.fromkeys(addresses))


def _turns(value: Any) -> Turns:
    return Turns(config_file.choice("alternate", "free")(value))


def _seconds(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 86400:
        raise ValueError("a number of seconds from 0 to 86400 is needed.")
    return float(value)


def _idle(value: Any) -> float:
    if (seconds := _seconds(value)) < EXIT_IDLE_MIN:
        raise ValueError(f"at least {EXIT_IDLE_MIN:g} seconds are needed, or systemd gives the line up.")
    return seconds


def _keep(value: Any) -> str:
    if not isinstance(value, str) or re.fullmatch(r"forever|none|[1-9][0-9]{0,4}d", value) is None:
        raise ValueError('"forever", "none" or a number of days such as "30d" is needed.')
    return value


def _path(value: Any) -> Path:
    if not isinstance(value, str | Path) or not Path(value).is_absolute():
        raise ValueError("an absolute path is needed.")
    return Path(value)


_KEYS: config_file.Keys = {
    "listen": _listen,
    "handle": config_file.handle,
    "turns": _turns,
    "grace": _seconds,
    "callers": config_file.number(2, 1000),
    "rate": config_file.number(0, 1_000_000),
    "durability": config_file.choice("full", "process"),
    "keep": _keep,
    "plaintext": config_file.choice("always", "loopback", "never"),
    "certificate": _path,
    "key": _path,
    "authorized": _path,
    "exit_idle": _idle,
    "syslog": _path,
}
