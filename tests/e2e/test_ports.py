"""Tests that run beside each other do not get in each other's way."""

from __future__ import annotations

import subprocess
import sys

from tests.e2e.harness import free_port

COUNT = 250
"""More than one process has: then it begins again with those that are free."""


def test_processes_of_tests_never_choose_the_same_port() -> None:
    ours = {free_port() for _ in range(COUNT)}
    choose = f"from tests.e2e.harness import free_port\nfor _ in range({COUNT}): print(free_port())"
    told = subprocess.run([sys.executable, "-c", choose], check=True, stdout=subprocess.PIPE, text=True).stdout
    theirs = {int(word) for word in told.split()}
    assert 0 < len(theirs) < COUNT
    assert not ours & theirs
