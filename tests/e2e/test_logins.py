"""A user's own services are found from each login of this user, and leave nothing behind."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from pychat_client.trust.certificates import make_certificate
from tests.support.ports import free_port
from tests.support.service import BIN
from tests.support.waiting import PATIENCE

USER = 65534


class User:
    """A user without privileges (for root, all services are the system's), with a home directory."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.port = str(free_port())
        self.state = home / ".local/state/pychatd"
        self.session = home / "session"  # as /run/user/UID
        self.session.mkdir()
        make_certificate(self.state / self.port / "identity.pem", "pychatd")
        for path in (home, *home.rglob("*")):
            os.chown(path, USER, USER)

    def run(self, program: str, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
        """Runs a program from a login with no other variables than `env`."""
        command = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups", str(BIN / program), *words]
        env = {"PATH": os.environ["PATH"], "HOME": str(self.home), "LANG": "C.UTF-8", **env}
        return subprocess.run(
            command,
            env=env,
            text=True,
            capture_output=True,
            timeout=PATIENCE,
            check=False,
            stdin=subprocess.DEVNULL,
        )

    def left(self) -> list[Path]:
        run = self.state / "run"
        return list(run.iterdir()) if run.exists() else []


@pytest.fixture
def user() -> Iterator[User]:
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        pytest.skip("needs root and setpriv")
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        home = Path(name) / "home"
        home.mkdir(mode=0o755)
        made = User(home)
        yield made
        made.run("pychatd", "stop", made.port)


@pytest.mark.parametrize("first", ["session", "cron", "other"])
def test_a_service_is_found_from_each_login(user: User, first: str) -> None:
    logins = {
        "session": {"XDG_RUNTIME_DIR": str(user.session)},
        "cron": {},
        "other": {"XDG_RUNTIME_DIR": "/run/user/0"},  # su keeps the one of the other user
    }
    started = user.run("pychatd", "start", user.port, **logins[first])
    assert started.returncode == 0, started.stderr
    user.session.rmdir()  # nothing of the service is there: the last logout removes it
    for env in logins.values():
        assert f"Port {user.port}: pychatd is running" in user.run("pychatd", "status", **env).stdout
    last = logins["cron"]
    assert user.run("pychatd", "status", user.port, **last).returncode == 0
    assert user.run("pychatd-console", "--history", **last).returncode == 0
    again = user.run("pychatd", "start", user.port, **last)
    assert again.returncode == 4
    assert "already running" in again.stderr
    assert user.run("pychatd", "stop", user.port, **last).returncode == 0
    assert user.left() == []


def test_a_start_names_the_service_that_has_the_port(user: User) -> None:
    assert user.run("pychatd", "start", user.port).returncode == 0
    again = user.run("pychatd", "start", user.port, "--runtime-directory", str(user.home / "else"))
    assert again.returncode == 4
    assert f"A service already runs on port {user.port}: its files are in {user.state}/run/" in again.stderr


def test_a_start_that_fails_leaves_nothing(user: User) -> None:
    with socket.create_server(("127.0.0.1", int(user.port))):
        started = user.run("pychatd", "start", user.port)
        assert started.returncode == 4
        assert user.left() == []
        status = user.run("pychatd", "status", user.port)
    assert status.returncode == 3
    assert "but a program of root has this port" in status.stderr


def test_a_killed_service_can_be_started_and_leaves_nothing(user: User) -> None:
    assert user.run("pychatd", "start", user.port).returncode == 0
    pid = int((user.state / "run" / user.port / "pid").read_text())
    handle = os.pidfd_open(pid)
    os.kill(pid, 9)
    os.close(handle)
    assert user.run("pychatd", "status", user.port).returncode == 3
    assert user.run("pychatd", "start", user.port).returncode == 0
    assert user.run("pychatd", "stop", user.port).returncode == 0
    assert user.left() == []
