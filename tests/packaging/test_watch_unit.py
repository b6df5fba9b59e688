"""The commands of docs/install.md for the unit of the watcher make one that starts the installed program."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from tests.support.service import BIN
from tests.support.waiting import PATIENCE

REPOSITORY = Path(__file__).parents[2]


def test_the_unit_starts_the_program_that_is_installed(tmp_path: Path) -> None:
    page = (REPOSITORY / "docs/install.md").read_text().partition("### The watcher as a unit")[2]
    commands = "\n".join(line for line in page.split("###")[0].splitlines() if line.startswith("    "))
    (stub := tmp_path / "systemctl").write_text('#!/bin/sh\necho "$@" >>"$HOME/asked"\n')
    stub.chmod(0o700)
    env = {**os.environ, "HOME": str(tmp_path), "PATH": f"{tmp_path}:{BIN}:{os.environ['PATH']}"}
    subprocess.run(["sh", "-ec", commands], cwd=REPOSITORY, env=env, timeout=PATIENCE, check=True)
    unit = (tmp_path / ".config/systemd/user/pychat-watch.service").read_text()
    assert f"\nExecStart={BIN / 'pychatd-console'} --watch --remind 10m\n" in unit
    assert (tmp_path / "asked").read_text().split() == [
        *["--user", "daemon-reload"],
        *["--user", "enable", "--now", "pychat-watch"],
    ]
