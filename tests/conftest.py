"""A service for each test that asks for one, and which tests run only on request.

Hypothesis is patient: a loaded machine is slow and not wrong."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.support.service import Service

os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # or each program that a test starts would compile our code
sys.dont_write_bytecode = False
gc.disable()  # until all tests are collected: what is made for them stays to the end

settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Tests marked slow run only on request (`-m slow`)."""
    if not config.getoption("markexpr"):
        for item in items:
            if item.get_closest_marker("slow"):
                item.add_marker(pytest.mark.skip(reason="slow: `make faults` runs it"))


def pytest_collection_finish() -> None:
    """From now on Python looks for garbage, but not among the tests."""
    gc.freeze()
    gc.enable()


@pytest.fixture
def idle_service(tmp_path: Path) -> Iterator[Service]:
    """A port and directories; no daemon runs yet."""
    service = Service(tmp_path)
    yield service
    service.close()


@pytest.fixture(scope="module")
def shared_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A running daemon for tests of a module that need one, and leave it as they found it."""
    service = Service(tmp_path_factory.mktemp("shared"))
    try:
        service.start()
        yield service
    finally:
        service.close()


@pytest.fixture
def service(idle_service: Service) -> Service:
    """A running daemon."""
    idle_service.start()
    return idle_service
