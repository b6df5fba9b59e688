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
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

LINKS_MAX = 40
"""Links on one path: as many as the kernel follows (path_resolution(7))."""

PARENT_MODE = 0o755
"""Of a missing directory above ours: other users' own directories may be below it (/run/pychatd)."""

_ENTER = getattr(os, "O_PATH", os.O_RDONLY) | os.O_NOFOLLOW | os.O_DIRECTORY | os.O_CLOEXEC
"""Opens a directory to go through it. Without O_PATH (macOS) this user has to be able to read it."""

_CANNOT_SYNC = (errno.EINVAL, errno.EACCES)
"""The errors of a file system that cannot sync directories, and of a directory that we may not read."""


class DirectoryEntry(NamedTuple):
    """Where a file is or may be made: the descriptor of its directory, and its name there, which is no link."""

    directory: int
    name: str
    linked: bool
    """Whether the path that was looked for is a link to here."""

    alone: bool
    """Whether only this user can come here; then it does not matter whose the files are."""


class _Walk:
    """The directory in which a walk along a path is. Owns its descriptor until `close`."""

    def __init__(self) -> None:
        self.path = Path("/")
        self.directory = os.open("/", _ENTER)
        self.alone = False

    def close(self) -> None:
        os.close(self.directory)

    def enter(self, name: str) -> None:
        """Goes into the directory `name`. Raises OSError."""
        above, (self.directory, self.alone) = self.directory, self.descriptor(name)
        os.close(above)
        self.path = self.path.parent if name == ".." else self.path / name

    def descriptor(self, name: str) -> tuple[int, bool]:
        """A descriptor of the directory `name`, and whether only this user can come there. Raises OSError."""
        fd = os.open(name, _ENTER, dir_fd=self.directory)
        try:
            status = os.fstat(fd)
            alone = self.alone and name not in ("/", "..")
            self._check_step(name, status, alone=alone)
            if is_changeable(status) and not (alone or status.st_mode & stat.S_ISVTX):
                raise PermissionError(
                    errno.EPERM,
                    f"other users may change {self.path / name} (mode {stat.S_IMODE(status.st_mode):04o}); "
                    "'chmod go-w' prevents that",
                )
        except OSError:
            os.close(fd)
            raise
        return fd, alone or (status.st_uid == os.geteuid() and not status.st_mode & (stat.S_IXGRP | stat.S_IXOTH))

    def link(self, name: str) -> Path | None:
        """Where the link `name` leads; None if it is no link or is missing. Raises OSError.

        Nobody else can put another one in its place meanwhile: others cannot change this directory, or (sticky)
        only what is theirs, and the link is not.
        """
        try:
            status = os.stat(name, dir_fd=self.directory, follow_symlinks=False)
        except FileNotFoundError:
            return None
        if not stat.S_ISLNK(status.st_mode):
            return None
        self._check_step(name, status, alone=self.alone)
        return Path(os.readlink(name, dir_fd=self.directory))

    def _check_step(self, name: str, status: os.stat_result, *, alone: bool) -> None:
        """Raises PermissionError for a step that belongs to neither this user nor root (in a container: the owner
        of the root directory), where others can come."""
        if not alone and status.st_uid not in (os.geteuid(), 0, Path("/").stat().st_uid):
            owner = _user_name(status.st_uid)
            raise PermissionError(errno.EPERM, f"{self.path / name} belongs to another user ({owner})")


@contextmanager
def entry_of(path: Path, *, make: bool = False) -> Iterator[DirectoryEntry]:
    """Where `path` is, behind all links. make: makes the missing directories above it. Raises OSError."""
    with _walked(path, make=make) as (walk, name, linked):
        yield DirectoryEntry(walk.directory, name, linked, walk.alone)


@contextmanager
def _walked(path: Path, *, make: bool) -> Iterator[tuple[_Walk, str, bool]]:
    """The walk to the directory of `path`; the name there, which is no link; whether `path` is a link to it."""
    steps = _steps(path.absolute())
    links, linked = 0, False
    with closing(_Walk()) as walk:
        while True:
            name = steps.pop()
            target = walk.link(name)
            if target is not None:
                linked, links = linked or not steps, links + 1
                if links > LINKS_MAX:
                    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
                steps += _steps(target)
                name = "/" if target.is_absolute() else "."
            elif not steps:
                break
            elif make and _make(walk.directory, name, PARENT_MODE):
                sync(walk.directory)
            walk.enter(name)
        yield walk, name, linked


@contextmanager
def directory_of(path: Path, *, mode: int | None = None) -> Iterator[int]:
    """A descriptor (for `dir_fd`) of the directory at `path`. mode: makes it with this mode if it is missing, and
    the missing ones above it; they survive a power failure. Raises OSError."""
    with _walked(path, make=mode is not None) as (walk, name, _):
        if mode is not None:
            _make(walk.directory, name, mode)
            sync(walk.directory)
        inside, _ = walk.descriptor(name)
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


def _user_name(uid: int) -> str:
    with suppress(KeyError):
        return pwd.getpwuid(uid).pw_name
    return f"uid {uid}"
