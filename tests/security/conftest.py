"""Hosts for each test that asks for them. Tests marked slow run only on request (`-m slow`)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.fake_hosts import Hosts


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("markexpr"):
        here = Path(__file__).parent
        for item in items:
            if here in item.path.parents and item.get_closest_marker("slow"):
                item.add_marker(pytest.mark.skip(reason="slow: `make faults` runs it"))


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[Hosts]:
    """Hosts that are not what they should be; all of them are closed behind the test."""
    made = Hosts(tmp_path)
    yield made
    made.close()
