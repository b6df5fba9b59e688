"""The patch that docs/upstream offers to prompt_toolkit: it applies, and mends what the reproducer shows."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import prompt_toolkit
import pytest

UPSTREAM = Path(__file__).parents[2] / "docs/upstream"
PATCH = UPSTREAM / f"prompt_toolkit-{version('prompt_toolkit')}.patch"


def reproduce(directory: Path) -> subprocess.Popen[str]:
    """The reproducer, with the prompt_toolkit in `directory`."""
    env = {**os.environ, "PYTHONPATH": str(directory), "LANG": "C.UTF-8", "TERM": "xterm-256color"}
    words = [sys.executable, str(UPSTREAM / "prompt_toolkit_resize.py")]
    return subprocess.Popen(words, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


@pytest.mark.skipif(not PATCH.exists(), reason="the patch is for another release of prompt_toolkit than this one")
def test_the_patch_mends_what_the_reproducer_shows(tmp_path: Path) -> None:
    for tool in ("tmux", "patch"):
        if shutil.which(tool) is None:
            pytest.skip(f"no {tool}: 'apt-get install {tool}'")
    for name in ("released", "patched"):
        shutil.copytree(Path(prompt_toolkit.__file__).parent, tmp_path / name / "prompt_toolkit")
    with PATCH.open() as file:
        subprocess.run(["patch", "--directory", tmp_path / "patched", "-p2"], stdin=file, check=True)
    running = {name: reproduce(tmp_path / name) for name in ("released", "patched")}
    told = {name: program.communicate()[0] for name, program in running.items()}
    assert {name: program.returncode for name, program in running.items()} == {"released": 1, "patched": 0}, told
