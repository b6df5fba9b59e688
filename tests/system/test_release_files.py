"""`make dist`: whoever builds the files of a commit, when and where, gets the same bytes."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.packaging.programs import PACKAGING

pytestmark = pytest.mark.system

ROOT = PACKAGING.parent


def _built(directory: Path, umask: str, zone: str) -> dict[str, str]:
    """Clones the repository to `directory` and builds there; the checksum of each file."""
    subprocess.run(["git", "clone", "--quiet", ROOT, directory], check=True)
    (directory / ".venv").symlink_to(ROOT / ".venv")
    made = subprocess.run(
        ["sh", "-c", f"umask {umask}; exec packaging/make-dist"],
        cwd=directory,
        env={**os.environ, "TZ": zone},
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode == 0, made.stdout + made.stderr
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in (directory / "dist").iterdir()}


def test_two_builds_of_a_commit_are_the_same(tmp_path: Path) -> None:
    if not (ROOT / ".git").exists() or shutil.which("git") is None:
        pytest.skip("this is no checkout, or there is no git: 'apt-get install git'")
    first = _built(tmp_path / "first", "022", "UTC")
    assert sorted(Path(name).suffix for name in first) == [".gz", ".pyz", ".whl"]
    assert _built(tmp_path / "a" / "second", "077", "Asia/Tokyo") == first
