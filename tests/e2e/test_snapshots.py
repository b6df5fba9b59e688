"""What both users see at several widths, as text in tests/snapshots/.

`PYCHAT_SNAPSHOTS=write pytest tests/e2e/test_snapshots.py` writes them again. Then look at the difference.
"""

from __future__ import annotations

import os
import time
from difflib import unified_diff
from pathlib import Path

import pytest

from sample_talk import play, screen
from tests.support.programs import Terminal
from tests.support.service import Service
from tests.support.waiting import PATIENCE

SNAPSHOTS = Path(__file__).parent.parent / "snapshots"
WRITE = os.environ.get("PYCHAT_SNAPSHOTS") == "write"


@pytest.mark.parametrize("columns", [20, 40, 80, 300])
def test_both_screens_are_those_of_the_snapshots(service: Service, columns: int) -> None:
    for name, terminal in zip(("console", "client"), play(service, columns, 24), strict=True):
        file = SNAPSHOTS / f"{name}-{columns}.txt"
        if WRITE:
            time.sleep(1)
            file.write_text(screen(terminal))
        _becomes(terminal, file)


@pytest.mark.parametrize("columns", [20, 40, 80, 300])
def test_the_screen_with_live_typing_is_that_of_the_snapshot(service: Service, columns: int) -> None:
    """Alice's line is longer than the rows that Bob's screen has for it, but for the widest."""
    console, client = play(service, columns, 24, "--live")
    console.type("indy, but the forecast for the coast is worse: " + "rain and storm, " * 12 + "until Friday")
    file = SNAPSHOTS / f"client-live-{columns}.txt"
    if WRITE:
        time.sleep(1)
        file.write_text(screen(client))
    _becomes(client, file)


def _becomes(terminal: Terminal, file: Path) -> None:
    """Waits until the screen is that of the file, because some of it may still be on its way."""
    expected = file.read_text()
    end = time.monotonic() + PATIENCE
    while (shown := screen(terminal)) != expected:
        if time.monotonic() > end:
            lines = unified_diff(expected.splitlines(), shown.splitlines(), file.name, "the screen", lineterm="")
            raise AssertionError("\n".join(lines))
        time.sleep(0.02)
