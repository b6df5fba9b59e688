"""The settings of a service: from the command line, then the TOML file, then defaults.

Errors name the file and the key.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Any, NamedTuple

from pychat_client.config import config_file
from pychat_client.errors import PermissionDeniedError, UsageError
from pychat_client.protocol.turns import Turns
from pychat_client.text import WORDS_MAX, is_port, printable
from pychatd import directories

SOCKET_PATH_MAX = 107
"""Bytes of a UNIX socket's path (unix(7): sun_path has 108, with the NUL)."""

EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104 -- the daemon serves other hosts; `listen` narrows it

EXIT_IDLE_MIN = 2.0
"""Seconds: systemd gives up a unit that it has to start more than 5 times in 10 s (StartLimitBurst=)."""

UNSAFE_NO_SYNC = "PYCHATD_UNSAFE_NO_SYNC"
"""Undocumented, for tests/bench: with 1 in this variable, the daemon does not sync its journal, so that a power
failure can lose confirmed messages."""


class Settings(NamedTuple):
    """All settings of one service. The fields down to `syslog` are the keys of the configuration file.

    A tuple, as all that is made before the port is open: records load `dataclasses`, a tenth of that time.
    """

    port: int
    listen: tuple[str, ...] = EVERYWHERE
    handle: str | None = None  # the operator's, when the console does not set one
    away: str | None = None  # what callers are told while no console is attached
    turns: Turns = Turns.ALTERNATE
    callers: int = 64  # connections from other programs at the same time; see admission
    rate: int = 1000  # messages a second from a peer, 0 for no limit; faster ones wait in its socket
    answer_handle: bool = True  # a classic program that begins with its handle gets the operator's
    grace: float = 60.0  # seconds in which a peer that lost its connection keeps the seat
    plaintext: str = "loopback"  # who may call without TLS: "always" everybody, "loopback", "never"
    certificate: Path | None = None  # the operator's own PEM file; without it the daemon makes one
    key: Path | None = None  # the private key, if it is in another file
    authorized: Path | None = None  # a directory of NAME.pem: only these may call
    invited_only: bool = False  # only invited callers, and those of `authorized`
    exit_idle: float | None = None  # seconds without a connection, after which the daemon ends until the next call
    keep: str = "forever"  # "forever", "none", or a number of days such as "30d"
    journal_max: int = 1000  # megabytes; a journal that has reached them takes no messages; 0 for no limit
    syslog: Path = Path("/dev/log")

    state: Path = Path()  # the directories of this service
    runtime: Path = Path()
    file: Path | None = None  # the configuration file that was read
    sync: bool = True  # whether a confirmed message survives a power failure; False: UNSAFE_NO_SYNC

    @property
    def console_socket(self) -> Path:
        return directories.console_socket(self.runtime)

    @property
    def pidfile(self) -> Path:
        return directories.pidfile(self.runtime)

    @property
    def journal(self) -> Path:
        return self.state / "journal.db"

    @property
    def blocklist(self) -> Path:
        return self.state / "blocked"

    @property
    def invitations(self) -> Path:
        return self.state / "invitations.json"

    @property
    def identity(self) -> Path:
        """The PEM file with the certificate that callers see."""
        return self.certificate or self.state / "identity.pem"

    @property
    def has_identity(self) -> bool:
        """Whether that file is there. Raises PermissionDeniedError if it cannot be seen."""
        try:
            self.identity.stat()
        except FileNotFoundError:
            return False
        except OSError as error:
            raise PermissionDeniedError(f"Cannot read the key {self.identity}: {error.strerror}.") from None
        return True

    @property
    def keep_days(self) -> int | None:
        """After how many days ended conversations are removed; None: never."""
        return int(self.keep[:-1]) if self.keep.endswith("d") else None


def load(
    port: int,
    options: Mapping[str, Any],
    *,
    config: Path | None = None,
    state: Path | None = None,
    runtime: Path | None = None,
) -> Settings:
    """The settings of the service on `port`.

    options: from the command line, None where an option is not given. config: a file that has to exist.
    state, runtime: base directories, with a directory for each service. Raises UsageError.
    """
    settings = Settings(
        port,
        state=directories.state_directory(port, state),
        runtime=directories.runtime_directory(port, runtime),
        sync=os.environ.get(UNSAFE_NO_SYNC) != "1",
    )
    file = config or directories.config_file()
    if file is not None and (config is not None or config_file.is_there(file)):
        settings = settings._replace(file=file.absolute(), **_read(file, port))
    given = {key: config_file.check(_KEYS, key, value) for key, value in options.items() if value is not None}
    settings = _with_credentials(settings._replace(**given))
    if len(os.fsencode(settings.console_socket)) > SOCKET_PATH_MAX:
        raise UsageError(
            f"The name of the runtime directory {settings.runtime} is too long: the path of the socket in it, "
            f"{settings.console_socket}, can have at most {SOCKET_PATH_MAX} bytes."
        )
    return settings


def in_toml(settings: Settings) -> list[str]:
    """The settings as lines of a configuration file; what is not set is a comment."""
    import json  # only for this list

    lines = [f"# {settings.file or 'No configuration file'}"]
    for key in _KEYS:
        value = getattr(settings, key)
        if value is None:
            lines.append(f"# {key} is not set")
        else:
            plain = value.value if isinstance(value, Turns) else str(value) if isinstance(value, Path) else value
            lines.append(f"{key} = {printable(json.dumps(plain, ensure_ascii=False))}")
    return lines


def _with_credentials(settings: Settings) -> Settings:
    """Takes key and certificate from systemd where none are configured."""
    return settings._replace(
        certificate=settings.certificate or directories.credential("certificate.pem"),
        key=settings.key or directories.credential("key.pem"),
    )


# ------------------------------------------------------------------ the file


def _read(file: Path, port: int) -> dict[str, Any]:
    """The checked values of `file` for this port: from its top, then from its table [port.PORT].

    Checks the tables of other ports as well, so that a mistake shows early.
    """
    document = config_file.read(file)
    top = document.tables
    ports = top.pop("port", {})
    for name, value in top.items():
        if isinstance(value, dict) and name not in _KEYS:
            raise UsageError(f"{file}: the table of a port is [port.PORT], not [{printable(name)}.PORT].")
    if not isinstance(ports, dict):
        raise UsageError(f"{file}: 'port' has to be a table: [port.{port}].")
    for name in ports:
        if not is_port(name):
            raise UsageError(f"{file}: [port.{printable(name)}] is not a valid port (1-65535).")
    values = document.check_table("", top, _KEYS)
    for name, table in ports.items():
        checked = document.check_table(f"port.{name}", table, _KEYS)
        if name == str(port):
            values |= checked
    return values


# ------------------------------------------------------------------ the keys


def _listen(value: Any) -> tuple[str, ...]:
    addresses = [value] if isinstance(value, str) else value
    if not isinstance(addresses, list | tuple) or not addresses:
        raise ValueError('use an address, or a list such as ["127.0.0.1", "::1"].')
    for address in addresses:
        try:
            ip_address(str(address))
        except ValueError:
            raise ValueError(f"'{address}' is not an IPv4 or IPv6 address.") from None
    return tuple(dict.fromkeys(addresses))


def _away(value: Any) -> str:
    if not isinstance(value, str) or len(value) > WORDS_MAX or printable(value) != value:
        raise ValueError(f"use a line of at most {WORDS_MAX} printable characters.")
    return value


def _turns(value: Any) -> Turns:
    return Turns(config_file.choice("alternate", "free")(value))


def _seconds(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 86400:
        raise ValueError("use a number of seconds from 0 to 86400.")
    return float(value)


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError("use true or false.")
    return value


def _idle(value: Any) -> float:
    if (seconds := _seconds(value)) < EXIT_IDLE_MIN:
        raise ValueError(f"use at least {EXIT_IDLE_MIN:g} seconds, or systemd gives up starting the daemon.")
    return seconds


def _keep(value: Any) -> str:
    if not isinstance(value, str) or re.fullmatch(r"forever|none|[1-9][0-9]{0,4}d", value) is None:
        raise ValueError('use "forever", "none" or a number of days such as "30d".')
    return value


def _path(value: Any) -> Path:
    if not isinstance(value, str | Path) or not Path(value).is_absolute() or "\0" in str(value):
        raise ValueError("use an absolute path.")
    return Path(value)


_KEYS: config_file.Keys = {
    "listen": _listen,
    "handle": config_file.handle,
    "away": _away,
    "turns": _turns,
    "answer_handle": _flag,
    "grace": _seconds,
    "callers": config_file.number(2, 1000),
    "rate": config_file.number(0, 1_000_000),
    "keep": _keep,
    "journal_max": config_file.number(0, 1_000_000),
    "plaintext": config_file.choice("always", "loopback", "never"),
    "certificate": _path,
    "key": _path,
    "authorized": _path,
    "invited_only": _flag,
    "exit_idle": _idle,
    "syslog": _path,
}
