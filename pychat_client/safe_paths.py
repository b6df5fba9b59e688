"""Finds a path step by step, by descriptor, so that no other user can put something of his own in its place.

A step is safe if only root or this user can have set it. Links that they have set are followed: people keep their
files in other places on purpose. Below a directory that only this user can enter, every step is safe. What is not
safe is an OSError whose words fit behind "Cannot ...: ".
"""

from __future__ import annotations

import errno
import os
import pwd
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

LINKS_MAX = 40
"""Links on one path: as many as the kernel follows (path_resolution(7))."""

PARENT_MODE = 0o755
"""Of a missing directory above ours: other users' own directories may be below it (/run/pychatd)."""

_LOOK = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_CANNOT_SYNC = (errno.EINVAL, errno.EACCES)
"""The errors of a file system that cannot sync directories, and of a directory that we may not read."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a file is or may be made: the descriptor of its directory, and its name there, which is no link."""

    directory: int
    name: str
    linked: bool
    """Whether the path that was looked for is a link to here."""

    alone: bool
    """Whether only this user can come here; then it does not matter whose the files are."""


@contextmanager
def place_of(path: Path, *, make: bool = False) -> Iterator[Place]:
    """Where `path` is, behind all links. make: makes the missing directories above it. Raises OSError."""
    steps = _steps(path.absolute())
    directory, alone, links, linked = os.open("/", _LOOK | os.O_DIRECTORY), False, 0, False
    try:
        while True:
            name = steps.pop()
            target = _link(directory, name, alone=alone)
            if target is not None:
                linked, links = linked or not steps, links + 1
                if links > LINKS_MAX:
                    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
                steps += _steps(target)
                name = "/" if target.is_absolute() else "."
            elif not steps:
                break
            elif make and _make(directory, name, PARENT_MODE):
                sync(directory)
            above, (directory, alone) = directory, _enter(directory, name, alone=alone)
            os.close(above)
        yield Place(directory, name, linked, alone)
    finally:
        os.close(directory)


@contextmanager
def directory_of(path: Path, *, mode: int | None = None) -> Iterator[int]:
    """A descriptor (O_PATH) of the directory at `path`. mode: makes it with this mode if it is missing, and the
    missing ones above it; they survive a power failure. Raises OSError."""
    with place_of(path, make=mode is not None) as place:
        if mode is not None:
            _make(place.directory, place.name, mode)
            sync(place.directory)
        inside, _ = _enter(place.directory, place.name, alone=place.alone)
    try:
        yield inside
    finally:
        os.close(inside)


def sync(directory: int) -> None:
    """Makes changes in a directory (files made, renamed, removed) survive a power failure. Raises OSError."""
    try:
        fd = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=directory)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
    except OSError as error:
        if error.errno not in _CANNOT_SYNC:
            raise


def check_owner(status: os.stat_result) -> None:
    """Raises PermissionError for what does not belong to this user."""
    if status.st_uid != os.geteuid():
        raise PermissionError(errno.EPERM, f"it belongs to another user ({_user_name(status.st_uid)})")


def is_changeable(status: os.stat_result) -> bool:
    """Whether other users may change a file or directory. The groups of this process are its user's own."""
    shared = status.st_mode & stat.S_IWGRP and status.st_gid not in (0, os.getegid())
    return bool(status.st_mode & stat.S_IWOTH or shared)


def _steps(path: Path) -> list[str]:
    """The names on a path, the last one first."""
    parts = path.parts[1:] if path.is_absolute() else path.parts
    return list(reversed(parts)) or ["."]


def _link(directory: int, name: str, *, alone: bool) -> Path | None:
    """Where the link `name` leads; None if it is no link or is missing. Raises PermissionError."""
    try:
        fd = os.open(name, _LOOK, dir_fd=directory)
    except FileNotFoundError:
        return None
    try:
        status = os.fstat(fd)
        if not stat.S_ISLNK(status.st_mode):
            return None
        _check_step(fd, status, alone=alone)
        return Path(os.readlink("", dir_fd=fd))
    finally:
        os.close(fd)


def _enter(directory: int, name: str, *, alone: bool) -> tuple[int, bool]:
    """A descriptor of the directory `name` in `directory`, and whether only this user can come there."""
    fd = os.open(name, _LOOK | os.O_DIRECTORY, dir_fd=directory)
    try:
        status = os.fstat(fd)
        alone = alone and name not in ("/", "..")
        _check_step(fd, status, alone=alone)
        if is_changeable(status) and not (alone or status.st_mode & stat.S_ISVTX):
            mode = stat.S_IMODE(status.st_mode)
            raise PermissionError(
                errno.EPERM, f"other users may change {_path(fd)} (mode {mode:04o}); 'chmod go-w' prevents that"
            )
    except OSError:
        os.close(fd)
        raise
    return fd, alone or (status.st_uid == os.geteuid() and not status.st_mode & (stat.S_IXGRP | stat.S_IXOTH))


def _check_step(fd: int, status: os.stat_result, *, alone: bool) -> None:
    """Raises PermissionError for a step that belongs to neither this user nor root (in a container: the owner of
    the root directory), where others can come."""
    if not alone and status.st_uid not in (os.geteuid(), 0, Path("/").stat().st_uid):
        raise PermissionError(errno.EPERM, f"{_path(fd)} belongs to another user ({_user_name(status.st_uid)})")


def _make(directory: int, name: str, mode: int) -> bool:
    """Makes a directory with `mode`, whatever the umask; False if something has this name already."""
    try:
        os.mkdir(name, 0o700, dir_fd=directory)
    except FileExistsError:
        return False
    fd = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
    try:
        check_owner(os.fstat(fd))
        os.fchmod(fd, mode)
    finally:
        os.close(fd)
    return True


def _path(fd: int) -> str:
    return os.readlink(f"/proc/self/fd/{fd}")  # noqa: PTH115 -- a string


def _user_name(uid: int) -> str:
    with suppress(KeyError):
        return pwd.getpwuid(uid).pw_name
    return f"uid {uid}"
