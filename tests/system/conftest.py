"""One machine for all tests, which run only when asked for: `-m system`, which is `make system-test`."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.system.machine import SOURCE, SUITES, Machine, UnavailableError
from tests.system.system_service import SystemService

INSTALL = f"""
source=$(mktemp -d)
for name in pychat_client pychatd pyproject.toml README.md LICENSE; do cp -r {SOURCE}/$name $source/; done
python3 -m venv --system-site-packages /opt/pychat
/opt/pychat/bin/pip install --quiet --no-index --no-deps --no-build-isolation $source

install -m 644 {SOURCE}/packaging/sysusers.d/pychatd.conf /usr/lib/sysusers.d/
install -m 644 {SOURCE}/packaging/systemd/pychatd@.* /etc/systemd/system/
install -d /etc/systemd/system/pychatd@.service.d
cat >/etc/systemd/system/pychatd@.service.d/program.conf <<END
[Service]
ExecStart=
ExecStart=/opt/pychat/bin/pychatd run %i
ExecReload=
ExecReload=/bin/sh -c 'exec /opt/pychat/bin/pychatd reload --runtime-directory /run/pychatd %i >/dev/null'
END
systemd-sysusers
systemctl daemon-reload
useradd --create-home --groups pychat alice
useradd --create-home bob
"""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("markexpr"):
        for item in items:
            if item.get_closest_marker("system"):
                item.add_marker(pytest.mark.skip(reason="system: `make system-test` runs it, as root"))


@contextmanager
def booted(suite: str, script: str, more: str = "") -> Iterator[Machine]:
    """A machine on which `script` has run; skips, with the reason, where none can be had. more: as for Machine."""
    try:
        machine = Machine(suite, more)
    except UnavailableError as error:
        pytest.skip(f"no machine: {error}")
    try:
        machine.run(script)
        yield machine
    finally:
        machine.close()


@pytest.fixture(scope="session", params=SUITES)
def machine(request: pytest.FixtureRequest) -> Iterator[Machine]:
    """A booted Debian with the programs, the units and the group; alice is a member, bob is not."""
    with booted(request.param, INSTALL) as machine:
        yield machine


@pytest.fixture(scope="session")
def _ports() -> Iterator[int]:
    return itertools.count(7000)


@pytest.fixture
def idle_service(machine: Machine, _ports: Iterator[int]) -> Iterator[SystemService]:
    """A service on a port that no test has used before; nothing of it runs yet."""
    service = SystemService(machine, next(_ports))
    yield service
    service.stop()


@pytest.fixture
def service(idle_service: SystemService) -> SystemService:
    """A started service."""
    idle_service.start()
    return idle_service


@pytest.fixture
def other_service(machine: Machine, _ports: Iterator[int]) -> Iterator[SystemService]:
    """A second one beside it."""
    service = SystemService(machine, next(_ports))
    service.start()
    yield service
    service.stop()
