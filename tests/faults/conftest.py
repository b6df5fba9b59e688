"""A service without turns, or two hosts, for each test that asks for them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.hosts import Hosts, HostService, or_skip
from tests.support.service import Service


@pytest.fixture
def free_service(idle_service: Service) -> Service:
    """A running daemon; both may speak at any time."""
    idle_service.start("--turns", "free")
    return idle_service


@pytest.fixture
def hosts() -> Iterator[Hosts]:
    """Two hosts that nothing connects yet."""
    with or_skip():
        made = Hosts()
    yield made
    made.close()


@pytest.fixture
def host_service(tmp_path: Path, hosts: Hosts) -> Iterator[HostService]:
    """A service of host A that has not been started."""
    made = HostService(tmp_path, hosts)
    yield made
    made.close()
