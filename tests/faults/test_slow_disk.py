"""A person goes on typing while the disk is slow, and nothing is sent before it is synced."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.strace import attached, why_not
from tests.support.service import Service
from tests.support.waiting import PATIENCE

SLOW = ("-e", "trace=fdatasync", "-e", f"inject=fdatasync:delay_enter={PATIENCE / 2:.0f}s")
"""Each sync takes longer than a busy machine takes to draw a line."""


def test_keys_are_on_the_screen_while_the_disk_syncs(service: Service, tmp_path: Path) -> None:
    if reason := why_not(tmp_path):
        pytest.skip(reason)
    console, client = service.talk()
    console.enter("Your turn")
    client.sees("Server> Your turn")
    with attached(client.child.pid, tmp_path / "trace", *SLOW):
        client.enter("slowly")
        client.type("and on")
        client.line_is("Client1> and on")
        client.sees(">Client1> slowly")
        assert "slowly" not in console.text()
        console.sees("Client1> slowly")
