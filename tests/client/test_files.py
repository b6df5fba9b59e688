"""Directories survive a power failure; and what happens where nothing can be synced."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from pychat_client.files import make_directory
from pychat_client.safe_paths import directory_of, sync
from tests.support.as_nobody import as_nobody, public_directory
from tests.support.disk import Disk


def test_each_new_directory_is_synced_into_its_parent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = Disk(monkeypatch)
    make_directory(tmp_path / "a/b/c")
    above = [(path, names) for _, path, names in disk.asked if path.is_relative_to(tmp_path)]
    assert above == [(tmp_path, ["a"]), (tmp_path / "a", ["b"]), (tmp_path / "a/b", ["c"])]


def test_an_existing_directory_is_synced_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").mkdir()
    disk = Disk(monkeypatch)
    make_directory(tmp_path / "a")
    assert disk.asked == [("sync", tmp_path, ["a"])]


def test_only_the_last_of_the_new_directories_is_private(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        make_directory(tmp_path / "a/b/c")
    finally:
        os.umask(before)
    modes = [stat.S_IMODE((tmp_path / place).stat().st_mode) for place in ("a", "a/b", "a/b/c")]
    assert modes == [0o755, 0o755, 0o700]


def test_a_file_in_the_place_of_a_directory_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file/a"):
        with pytest.raises(NotADirectoryError):
            make_directory(path)


def sync_directory(path: Path) -> None:
    with directory_of(path) as directory:
        sync(directory)


def test_a_sync_that_fails_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Disk(monkeypatch).breaks = lambda path: path == tmp_path
    with pytest.raises(OSError, match="Input/output error"):
        sync_directory(tmp_path)


def test_a_file_system_without_directory_sync_is_fine() -> None:
    sync_directory(Path("/proc"))


def test_a_directory_we_may_not_read_is_no_error() -> None:
    with public_directory() as directory:
        directory.chmod(0o311)
        (directory / "own").mkdir()
        assert as_nobody(lambda: make_directory(directory / "own")) == ""
        directory.chmod(0o755)


def test_no_descriptor_stays_open(tmp_path: Path) -> None:
    before = os.listdir("/proc/self/fd")  # noqa: PTH208 -- names alone
    sync_directory(tmp_path)
    sync_directory(Path("/proc"))
    assert os.listdir("/proc/self/fd") == before  # noqa: PTH208
