"""What changes in a directory wakes up who waits for it, and nothing else does."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pychatd.directory_changes import DirectoryChanges
from tests.support.aio import in_loop
from tests.support.waiting import PATIENCE

NOTHING = 0.2
"""Seconds in which nothing happens."""


@contextmanager
def _changes() -> Iterator[DirectoryChanges]:
    changes = DirectoryChanges()
    try:
        yield changes
    finally:
        changes.close()


def _refuse(*_: object) -> None:
    raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))


def _rewrite(directory: Path) -> None:
    (directory / "old").write_text("again")


@pytest.mark.parametrize(
    "change",
    [
        lambda directory: (directory / "new").touch(),
        lambda directory: (directory / "new").mkdir(),
        lambda directory: (directory / "old").unlink(),
        lambda directory: (directory / "old").rename(directory / "new"),
        _rewrite,
    ],
)
@in_loop
async def test_a_change_wakes_up_at_once(tmp_path: Path, change: Callable[[Path], object]) -> None:
    (tmp_path / "old").touch()
    with _changes() as changes:
        if not changes.watch([tmp_path]):
            pytest.skip("this kernel does not tell of changes")
        assert not await changes.wait(NOTHING)
        change(tmp_path)
        assert await changes.wait(PATIENCE / 2)
        while await changes.wait(NOTHING):  # one change may be told twice
            pass


@in_loop
async def test_a_directory_that_is_not_there_yet_is_waited_for(tmp_path: Path) -> None:
    with _changes() as changes:
        if not changes.watch([tmp_path / "a" / "b"]):
            pytest.skip("this kernel does not tell of changes")
        (tmp_path / "a").mkdir()
        assert await changes.wait(PATIENCE / 2)


@in_loop
async def test_to_watch_again_and_again_leaves_nothing_open(tmp_path: Path) -> None:
    with _changes() as changes:
        changes.watch([tmp_path])
        before = len(list(Path("/proc/self/fd").iterdir()))
        for _ in range(5):
            changes.watch([tmp_path, tmp_path])
        assert len(list(Path("/proc/self/fd").iterdir())) == before


@in_loop
async def test_where_the_system_tells_nothing_that_is_known(tmp_path: Path) -> None:
    patch = pytest.MonkeyPatch()
    patch.setattr(fcntl, "fcntl", _refuse)
    try:
        with _changes() as changes:
            assert not changes.watch([tmp_path])
            asyncio.get_running_loop().call_later(0.01, changes.note)
            assert await changes.wait(PATIENCE / 2)
    finally:
        patch.undo()


@in_loop
async def test_a_flood_of_changes_writes_nothing_to_the_terminal(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """asyncio keeps only some hundreds of signals, and Python tells of each more on stderr."""
    with _changes() as changes:
        if not changes.watch([tmp_path]):
            pytest.skip("this kernel does not tell of changes")
        for _ in range(1000):
            (tmp_path / "new").touch()
            (tmp_path / "new").unlink()
        assert await changes.wait(PATIENCE / 2)
    assert capfd.readouterr().err == ""
