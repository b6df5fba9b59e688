"""Where the simulated hosts have their files."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.simulation.disk import memory


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """In memory: the simulated disk decides what a loss of power leaves, so no sync has to wait for ours."""
    with tempfile.TemporaryDirectory(dir=memory()) as directory:
        yield Path(directory)
