"""Tests that run at the same time get different ports."""

from __future__ import annotations

import subprocess
import sys

from tests.support.ports import free_port

COUNT = 450
"""More than one process has; then it starts again with those that are free."""


def test_two_processes_never_choose_the_same_port() -> None:
    ours = {free_port() for _ in range(COUNT)}
    choose = f"from tests.support.service import free_port\nfor _ in range({COUNT}): print(free_port())"
    told = subprocess.run([sys.executable, "-c", choose], check=True, stdout=subprocess.PIPE, text=True).stdout
    theirs = {int(word) for word in told.split()}
    assert 0 < len(theirs) < COUNT
    assert not ours & theirs
