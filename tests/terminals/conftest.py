"""The emulators of X run only on request (`-m terminals`)."""

from __future__ import annotations

import pytest


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("markexpr"):
        for item in items:
            if item.get_closest_marker("terminals"):
                item.add_marker(pytest.mark.skip(reason="needs an X server: `make terminals` runs it"))
