"""Hosts for each test that asks for them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.fake_hosts import Hosts


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[Hosts]:
    """Hosts that are not what they should be; all of them are closed behind the test."""
    made = Hosts(tmp_path)
    yield made
    made.close()
