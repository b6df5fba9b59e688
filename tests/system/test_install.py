"""The units without Debian's packages: what docs/install.md says to do, done."""

from __future__ import annotations

import re

import pytest

from tests.system.line import SystemLine
from tests.system.machine import BUILD_SECONDS, REPOSITORY, SOURCE, Machine

pytestmark = [pytest.mark.system, pytest.mark.timeout(BUILD_SECONDS + 120)]

PROGRAMS = f"""
source=$(mktemp -d)
cp -r {SOURCE}/pychat_client {SOURCE}/pychatd {SOURCE}/pyproject.toml {SOURCE}/README.md {SOURCE}/LICENSE $source/
python3 -m venv --system-site-packages /opt/pipx
/opt/pipx/bin/pip install --quiet --no-index --no-deps --no-build-isolation $source
ln -s /opt/pipx/bin/pychat* /usr/local/bin/
"""
"""What pipx does, without a network."""


def documented(after: str) -> str:
    """The first block of commands in docs/install.md behind the words `after`."""
    behind = (REPOSITORY / "docs/install.md").read_text().partition(after)[2]
    block = re.search(r"(?:^    .*\n)+", behind, re.MULTILINE)
    assert block
    return block[0]


def test_the_units_are_placed_as_documented(bare: Machine) -> None:
    bare.run(PROGRAMS)
    bare.run(f"cd {SOURCE}; {documented('Then, in the checkout')}")
    bare.run("usermod --append --groups pychat alice; systemctl enable --now pychatd@7000")
    console, client = SystemLine(bare, 7000).talk()
    console.enter("Hello, Client1")
    client.says("alice> Hello, Client1")


def test_pages_and_settings_are_placed_as_documented(bare: Machine) -> None:
    bare.run(f"cd {SOURCE}; {documented('### Man pages, completions, settings')}")
    assert "pychatd.8" in bare.run("ls /usr/local/share/man/man8").stdout
