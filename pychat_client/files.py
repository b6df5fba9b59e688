"""Files that are to last, and that are this user's alone: what is written or made here survives power loss.

Knows nothing of what is in them.
"""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path

from pychat_client.errors import PychatError

_CANNOT_SYNC = (errno.EINVAL, errno.EACCES)
"""What a file system says that syncs no directories, and the kernel to who may not read one."""


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


def write_private(path: Path, data: bytes, what: str) -> None:
    """Puts `data` into `path` (0600, its directory 0700), whole or not at all; on return it survives power
    loss. Raises PychatError."""
    try:
        make_directory(path.parent)
        fd, new = tempfile.mkstemp(prefix=f"{path.name}.", dir=path.parent)  # 0600
        try:
            with os.fdopen(fd, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(fd)
            Path(new).replace(path)
        except OSError:
            Path(new).unlink()
            raise
        sync_directory(path.parent)
    except OSError as error:
        raise PychatError(f"The {what} in {path} cannot be written: {error.strerror}.") from None


def make_sure(path: Path) -> None:
    """A file that was found here is not gone after power loss: who put it here may have died before the
    directory was synced. Raises PychatError."""
    try:
        sync_directory(path.parent)
    except OSError as error:
        raise PychatError(f"The directory {path.parent} cannot be synced: {error.strerror}.") from None
