"""Finds the services of this host. A service is what answers on its console socket, not what has a directory."""

from __future__ import annotations

import os
import pwd
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path

from pychat_client.errors import PermissionDeniedError, UnreachableError, UsageError
from pychat_client.records import record
from pychatd import control, directories
from pychatd.caller_events import address_of

_TCP = ("/proc/net/tcp", "/proc/net/tcp6")
_LISTEN = "0A"
"""The state of a listening socket in these files (proc(5))."""


@record
class Place:
    """The runtime directory that a service has or may have."""

    port: int
    directory: Path

    @property
    def socket(self) -> Path:
        return directories.console_socket(self.directory)

    @property
    def pidfile(self) -> Path:
        return directories.pidfile(self.directory)

    @property
    def awake(self) -> Path:
        """Stands for the pidfile where systemd runs the daemon: pychatd@.service makes and removes it."""
        base = self.directory.parent
        return base.with_name(f"{base.name}-awake") / self.directory.name


def places(port: int | None, runtime: Path | None) -> list[Place]:
    """Where the service on `port` may run, or every service. runtime: only below this directory.

    Raises PermissionDeniedError if no directory that may have services can be read.
    """
    bases = directories.runtime_bases() if runtime is None else [runtime]
    if port is not None:
        return [Place(port, base / str(port)) for base in bases]
    found: list[Place] = []
    closed: list[Path] = []
    for base in bases:
        try:
            found += [Place(number, place) for number, place in directories.service_directories(base).items()]
        except PermissionError:
            closed.append(base)
        except OSError:  # there is none
            pass
    if closed and not found:
        raise PermissionDeniedError(
            f"Permission denied for {closed[0]}: run this as root, or as the user who started the services."
        )
    return found


def directories_of(found: Sequence[Place], runtime: Path | None) -> list[Path]:
    """Where it shows when a service comes or goes, one of `found` or a new one."""
    bases = directories.runtime_bases() if runtime is None else [runtime]
    awake = [base.with_name(f"{base.name}-awake") for base in bases]
    return [*bases, *awake, *(place.directory for place in found)]


def running(port: int | None, runtime: Path | None) -> list[Place]:
    """The places where a daemon answers. Raises PermissionDeniedError if we may ask none."""
    found: list[Place] = []
    refused: PermissionDeniedError | None = None
    for place in places(port, runtime):
        try:
            if control.answers(place.socket):
                found.append(place)
        except PermissionDeniedError as error:
            refused = error
    if refused is not None and not found:
        raise refused
    return found


def the_running(port: int | None, runtime: Path | None, note: Callable[[Place], str] = lambda place: "") -> Place:
    """The running service that is meant; without `port`, the only one. note: as for `only_one`.

    Raises UnreachableError if none runs, and what `running` and `only_one` raise.
    """
    if found := running(port, runtime):
        return only_one(found, note)
    raise not_running(port, runtime)


def awake_since(place: Place) -> int | None:
    """A number that is another one for each start of the daemon there; None while none runs, as far as its files
    tell: to connect would start one that sleeps."""
    times: list[int] = []
    for file in (place.pidfile, place.awake):
        try:
            times.append(file.lstat().st_mtime_ns)
        except PermissionError:  # the attempt to connect tells what to do
            return 0
        except OSError:  # there is none
            pass
    return max(times, default=None)


def only_one(found: list[Place], note: Callable[[Place], str] = lambda place: "") -> Place:
    """The service that is meant. note: words for the list, behind the port of a place.

    Raises UsageError that lists the services if there are several.
    """
    ports = sorted({place.port for place in found})
    if len(ports) > 1:
        listed = [f"{place.port}{note(place)}" for place in sorted(found, key=lambda place: place.port)]
        raise UsageError(f"Several services run here; add a port: {', '.join(dict.fromkeys(listed))}.")
    if len(found) > 1:
        bases = " or ".join(f"--runtime-directory {place.directory.parent}" for place in found)
        raise UsageError(f"Several services run on port {ports[0]}; add {bases}.")
    return found[0]


def not_running(port: int | None, runtime: Path | None, advice: str | None = None) -> UnreachableError:
    """The error if no daemon runs there, or without a port, anywhere. If a program has the port, tells whose.

    advice: what to do, by default to start one."""
    owner = None if port is None else next((uid for uid, _ in _listening(port)), None)
    if port is None or owner is None:
        where, number = ("on this host", "PORT") if port is None else (f"on port {port}", str(port))
        start = f"Start one: 'pychatd start {number}', or with systemd 'systemctl start pychatd@{number}'."
        return UnreachableError(f"No service runs {where}. {advice or start}")
    bases = " and ".join(str(place.directory.parent) for place in places(port, runtime))
    return UnreachableError(
        f"No service runs on port {port} in {bases}, but a program of {_name(owner)} has this port. If it is "
        f"pychatd, add its --runtime-directory. As root, 'ss -ltnp sport = :{port}' shows it."
    )


def is_local(port: int) -> bool:
    """Whether a program listens on a port, but on addresses that only this host has."""
    found = [address_of(address) for _, address in _listening(port)]
    return bool(found) and all(address.is_loopback for address in found)


def _listening(port: int) -> Iterator[tuple[int, str]]:
    """The users whose programs listen on a port, and the addresses; who may not use the port can see them too."""
    for file in _TCP:
        with suppress(OSError):
            for row in Path(file).read_text(encoding="ascii").splitlines()[1:]:
                _, local, _, state, _, _, _, uid, *_ = row.split()
                address, _, number = local.rpartition(":")
                if state == _LISTEN and int(number, 16) == port:
                    words = [int(address[start : start + 8], 16) for start in range(0, len(address), 8)]
                    yield int(uid), str(ip_address(b"".join(word.to_bytes(4, sys.byteorder) for word in words)))


def _name(uid: int) -> str:
    if uid == os.geteuid():
        return "your own user"
    with suppress(KeyError):
        return pwd.getpwuid(uid).pw_name
    return f"uid {uid}"
