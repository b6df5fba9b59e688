"""A service without turns for each test that asks for one. Tests marked slow run only on request (`-m slow`)."""

from __future__ import annotations

import pytest

from tests.support.service import Service


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("markexpr"):
        for item in items:
            if item.get_closest_marker("slow"):
                item.add_marker(pytest.mark.skip(reason="slow: `make faults` runs it"))


@pytest.fixture
def free_service(idle_service: Service) -> Service:
    """A running daemon; both may speak at any time."""
    idle_service.start("--turns", "free")
    return idle_service
