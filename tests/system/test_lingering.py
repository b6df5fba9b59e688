"""A service of one's own that goes on without a login, by the commands of docs/install.md."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pychat_client import __version__
from tests.support.waiting import wait_for
from tests.system.conftest import booted
from tests.system.machine import BUILD_SECONDS, SUITES, Machine
from tests.system.test_debian import APT, build, documented

pytestmark = [pytest.mark.system, pytest.mark.timeout(BUILD_SECONDS + 120)]


LOGINS = ",libpam-systemd,polkitd"
"""What makes a login a session, and what lets a user change what is his: desktops have both."""


@pytest.fixture(scope="module", params=SUITES)
def host(request: pytest.FixtureRequest) -> Iterator[Machine]:
    """A machine with the packages, on which alice has only a login."""
    packages = build(__version__, "lingering")
    with booted(request.param, "useradd --create-home --shell /bin/sh alice", LOGINS) as machine:
        machine.run(f"{APT} install {packages}")
        yield machine


COMMANDS = documented("let your units run while you are not logged in:")


def _log_in(host: Machine, script: str, *, check: bool = True) -> str:
    """What alice's script prints in a login of its own, which ends with it."""
    quoted = script.replace("'", "'\\''")
    return host.run(
        "systemd-run --quiet --pipe --wait --uid=alice --property=PAMName=login --setenv=TERM=dumb "
        f"--working-directory=/home/alice sh -eu -c '{quoted}' 2>&1",
        check=check,
    ).stdout


def _has_no_login(host: Machine) -> bool:
    return "alice" not in host.run("loginctl list-sessions --no-legend", check=False).stdout


def _is_found(host: Machine) -> None:
    """Another login finds the service, once it has started."""
    wait_for(lambda: "Port 7000" in _log_in(host, "pychatd status 7000", check=False), "another login finds it")


def test_the_documented_commands_keep_a_service_without_a_login(host: Machine) -> None:
    _log_in(host, COMMANDS)
    wait_for(lambda: _has_no_login(host), "the login has ended")
    _is_found(host)
    assert "pychatd serves on" in _log_in(host, "journalctl --user --no-pager -u pychatd-7000")
    wait_for(lambda: _has_no_login(host), "that login has ended, too")
    host.reboot()
    assert "No service runs" in _log_in(host, "pychatd status 7000", check=False)
    _log_in(host, COMMANDS.splitlines()[1])
    _is_found(host)
    _log_in(host, "systemctl --user stop pychatd-7000")
    assert "No service runs" in _log_in(host, "pychatd status 7000", check=False)


def test_without_polkit_only_root_can_let_units_run(host: Machine) -> None:
    host.run("loginctl disable-linger alice; systemctl mask --now polkit")
    try:
        assert "Could not enable linger" in _log_in(host, "loginctl enable-linger", check=False)
        assert not host.exists("/var/lib/systemd/linger/alice")
        host.run("loginctl enable-linger alice")
        assert host.exists("/var/lib/systemd/linger/alice")
    finally:
        host.run("systemctl unmask polkit")
