"""Which services run: what answers on its socket, whatever directories are there."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from pychat_client.errors import UsageError
from pychat_client.protocol import codec
from pychat_client.transport import connect
from pychatd import administer, control, directories, oversee, report, services
from pychatd.network import identity
from pychatd.services import Place
from pychatd.settings import Settings
from tests.support.as_nobody import as_nobody, public_directory

LOADED = (codec, connect, identity, report)
"""Which the programs load when they need them: another user may not be able to read the files of this Python."""


@pytest.fixture
def bases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The directories of services of a user and of the system."""
    made = [tmp_path / "own", tmp_path / "system"]
    for base in made:
        base.mkdir()
    monkeypatch.setattr(directories, "runtime_bases", lambda: made)
    return made


@pytest.fixture
def sockets() -> Iterator[ExitStack]:
    with ExitStack() as opened:
        yield opened


def place(base: Path, port: int = 7001) -> Place:
    """The directory that a service has left, with a socket where nobody answers."""
    made = Place(port, base / str(port))
    made.directory.mkdir()
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(made.socket))
    return made


def runs(sockets: ExitStack, made: Place) -> Place:
    made.socket.unlink()
    sock = sockets.enter_context(socket.socket(socket.AF_UNIX))
    sock.bind(str(made.socket))
    sock.listen()
    return made


@pytest.mark.parametrize("port", [7001, None])
def test_a_directory_that_was_left_hides_no_service(
    bases: list[Path], sockets: ExitStack, port: int | None
) -> None:
    place(bases[0])
    running = runs(sockets, place(bases[1]))
    (bases[1] / "7002").mkdir()
    assert services.running(port, None) == [running]
    assert services.only_one(services.running(port, None)) == running


def test_two_services_on_one_port_are_a_question(bases: list[Path], sockets: ExitStack) -> None:
    for base in bases:
        runs(sockets, place(base))
    with pytest.raises(UsageError) as refused:
        services.only_one(services.running(7001, None))
    choice = f"--runtime-directory {bases[0]} or --runtime-directory {bases[1]}"
    assert str(refused.value) == f"Several services run on port 7001; add {choice}."
    assert len(services.running(7001, bases[1])) == 1


def test_services_on_several_ports_are_a_question(bases: list[Path], sockets: ExitStack) -> None:
    for port in (7002, 7001, 80):
        runs(sockets, place(bases[1], port))
    with pytest.raises(UsageError, match=r"^Several services run here; add a port: 80, 7001, 7002\.$"):
        services.only_one(services.running(None, None))


def test_a_service_that_does_not_run_is_not_a_port_in_use(bases: list[Path]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        words = str(services.not_running(port, None))
    assert words.startswith(f"No service runs on port {port} in {bases[0]} and {bases[1]}, but a program of ")
    assert "of your own user has this port" in words
    assert str(services.not_running(port, None)) == (
        f"No service runs on port {port}. Start one: 'pychatd start {port}', or with systemd "
        f"'systemctl start pychatd@{port}'."
    )
    assert str(services.not_running(port, None, "Do this.")) == f"No service runs on port {port}. Do this."
    assert str(services.not_running(None, None)) == (
        "No service runs on this host. Start one: 'pychatd start PORT', or with systemd "
        "'systemctl start pychatd@PORT'."
    )


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")
def test_the_program_of_another_user_is_named() -> None:
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as other:
        port = other.getsockname()[1]

        def ask() -> None:
            raise services.not_running(port, Path("/nowhere"))

        assert "but a program of root has this port" in as_nobody(ask)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")
def test_a_key_that_another_user_has_closed_is_named() -> None:
    with public_directory() as directory:
        closed = directory / "state"
        closed.mkdir(mode=0o700)
        settings = Settings(7000, state=closed / "7000", runtime=directory)
        for ask in (
            lambda: administer.config(settings, check=True),
            lambda: oversee.print_fingerprint(settings, directory),
            lambda: oversee.print_fingerprint(settings, closed),
        ):
            words = as_nobody(ask)
            assert words == f"PermissionDeniedError: Cannot read the key {settings.identity}: Permission denied."


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")
def test_what_another_user_has_closed_is_not_called_stopped() -> None:
    with public_directory() as directory:
        closed = directory / "run"
        closed.mkdir(mode=0o700)
        place(closed)
        words = as_nobody(lambda: services.running(None, closed))
        assert words.startswith(f"PermissionDeniedError: Permission denied for {closed}: ")
        words = as_nobody(lambda: control.ask_status(closed / "7001/console.sock"))
        assert words.startswith(f"PermissionDeniedError: Permission denied for {closed}/7001/console.sock: ")
