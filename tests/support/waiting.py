"""How tests wait: for a condition, never for a fixed time, and with a bound."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

PATIENCE = float(os.environ.get("PYCHAT_TEST_PATIENCE", "20"))
"""Seconds until a condition that never comes true fails a test; a loaded machine is slow, not wrong."""

PAUSE_MIN, PAUSE_MAX = 0.01, 0.1
"""Seconds between two looks. A look that costs much is taken less often, so that what it waits for can run."""


def wait_for(
    condition: Callable[[], object], what: str, seconds: float = PATIENCE, shown: Callable[[], str] | None = None
) -> None:
    """Waits until `condition` holds; fails with `what` after a while, and with what is shown then."""
    end = time.monotonic() + seconds
    while True:
        begun = time.monotonic()
        if condition():
            return
        now = time.monotonic()
        if now > end:
            shows = "" if shown is None else f"; it shows:\n{shown()}"
            raise AssertionError(f"not within {seconds:.0f} s: {what}{shows}")
        time.sleep(min(max(PAUSE_MIN, 3 * (now - begun)), PAUSE_MAX))
