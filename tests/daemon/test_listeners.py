"""The sockets and directories of a line: what is bound or passed, for whom, and what a user is told."""

from __future__ import annotations

import errno
import os
import socket
import stat
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from pychat_client.errors import BusyError, PermissionDeniedError, TransportError, UsageError
from pychatd.network.listeners import Listeners, bind_console, bind_tcp, make_directory, sort
from pychatd.settings import Settings
from tests.daemon.nobody import as_nobody, public_directory
from tests.disk import Disk
from tests.e2e.harness import free_port


@pytest.fixture
def sockets() -> Iterator[ExitStack]:
    """Closes what is entered into it."""
    with ExitStack() as stack:
        yield stack


def bound(sockets: ExitStack, settings: Settings) -> list[socket.socket]:
    return [sockets.enter_context(sock) for sock in bind_tcp(settings)]


# ------------------------------------------------------------------ TCP


def test_by_default_both_families_are_listened_on_and_take_connections(sockets: ExitStack) -> None:
    port = free_port()
    listeners = bound(sockets, Settings(port))
    assert [sock.getsockname()[:2] for sock in listeners] == [("0.0.0.0", port), ("::", port)]
    for address, listener in zip(("127.0.0.1", "::1"), listeners, strict=True):
        with socket.create_connection((address, port)):
            accepted, who = listener.accept()
            accepted.close()
            assert who[0] == address
    assert not any(sock.getblocking() for sock in listeners)


def test_only_the_addresses_that_were_asked_for_are_listened_on(sockets: ExitStack) -> None:
    (listener,) = bound(sockets, Settings(free_port(), ("127.0.0.1",)))
    assert listener.getsockname()[0] == "127.0.0.1"


def test_a_port_in_use_is_taken_and_nothing_stays_bound(sockets: ExitStack) -> None:
    port = free_port()
    (other,) = bound(sockets, Settings(port, ("::",)))
    with pytest.raises(BusyError, match=rf"^Port {port} is in use by another program \(on ::\)\.$"):
        bind_tcp(Settings(port))
    other.close()
    bound(sockets, Settings(port))


def test_a_port_can_be_bound_again_while_old_connections_linger(sockets: ExitStack) -> None:
    port = free_port()
    (listener,) = bound(sockets, Settings(port, ("127.0.0.1",)))
    client = sockets.enter_context(socket.create_connection(("127.0.0.1", port)))
    accepted, _ = listener.accept()
    accepted.close()  # this side closes first, and so waits in TIME_WAIT
    assert client.recv(1) == b""
    client.close()
    listener.close()
    bound(sockets, Settings(port, ("127.0.0.1",)))


def test_an_address_of_another_machine_is_wrong_use() -> None:
    with pytest.raises(UsageError, match=r"^192\.0\.2\.1 is not an address of this machine; see --listen\.$"):
        bind_tcp(Settings(free_port(), ("127.0.0.1", "192.0.2.1")))


def test_a_low_port_is_not_permitted_to_everybody() -> None:
    if int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text()) < 2:
        pytest.skip("here every port is for everybody")
    words = as_nobody(lambda: bind_tcp(Settings(1)))
    assert words == "PermissionDeniedError: Port 1 cannot be opened: ports below 1024 are root's."


def without_ipv6(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """A kernel that answers every IPv6 socket with an error."""

    class Socket(socket.socket):
        def __init__(self, family: int = -1, *args: Any, **kwargs: Any) -> None:
            if family == socket.AF_INET6:
                raise OSError(number, os.strerror(number))
            super().__init__(family, *args, **kwargs)

    monkeypatch.setattr(socket, "socket", Socket)


@pytest.mark.parametrize("number", [errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL])
def test_a_machine_without_ipv6_serves_on_ipv4(
    sockets: ExitStack, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    port = free_port()
    without_ipv6(monkeypatch, number)
    assert [sock.family for sock in bound(sockets, Settings(port))] == [socket.AF_INET]


def test_ipv6_that_was_asked_for_and_is_missing_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    port = free_port()
    without_ipv6(monkeypatch, errno.EAFNOSUPPORT)
    with pytest.raises(TransportError, match=f"^Port {port} cannot be opened on ::: Address family not supported"):
        bind_tcp(Settings(port, ("::",)))


# ------------------------------------------------------------------ the console's socket


@pytest.mark.parametrize("umask", [0o000, 0o077])
def test_the_console_socket_is_never_for_everybody_not_even_briefly(
    tmp_path: Path, sockets: ExitStack, monkeypatch: pytest.MonkeyPatch, umask: int
) -> None:
    path = tmp_path / "console.sock"
    modes: list[int] = []

    class Socket(socket.socket):
        def bind(self, address: Any) -> None:
            super().bind(address)
            modes.append(stat.S_IMODE(path.stat().st_mode))

    monkeypatch.setattr(socket, "socket", Socket)
    before = os.umask(umask)
    try:
        sockets.enter_context(bind_console(path))
    finally:
        after = os.umask(before)
    assert [*modes, stat.S_IMODE(path.stat().st_mode)] == [0o660, 0o660]
    assert after == umask


def test_the_console_socket_takes_connections(tmp_path: Path, sockets: ExitStack) -> None:
    path = tmp_path / "console.sock"
    listener = sockets.enter_context(bind_console(path))
    client = sockets.enter_context(socket.socket(socket.AF_UNIX))
    client.connect(str(path))
    sockets.enter_context(listener.accept()[0])
    assert not listener.getblocking()


def test_what_a_dead_daemon_left_is_replaced(tmp_path: Path, sockets: ExitStack) -> None:
    path = tmp_path / "console.sock"
    bind_console(path).close()
    assert path.is_socket()
    sockets.enter_context(bind_console(path))
    sockets.enter_context(socket.socket(socket.AF_UNIX)).connect(str(path))


def test_a_console_socket_that_cannot_be_made_is_not_permitted(tmp_path: Path) -> None:
    path = tmp_path / "none" / "console.sock"
    with pytest.raises(PermissionDeniedError) as refused:
        bind_console(path)
    assert str(refused.value) == f"The console socket {path} cannot be made: No such file or directory."


# ------------------------------------------------------------------ systemd's


def listening(sockets: ExitStack, family: int, address: Any) -> socket.socket:
    sock = sockets.enter_context(socket.socket(family))
    sock.bind(address)
    sock.listen()
    return sock


def test_passed_sockets_tell_by_their_family_what_they_are_for(tmp_path: Path, sockets: ExitStack) -> None:
    console = listening(sockets, socket.AF_UNIX, str(tmp_path / "console.sock"))
    tcp = [listening(sockets, socket.AF_INET6, ("::1", 0)), listening(sockets, socket.AF_INET, ("127.0.0.1", 0))]
    listeners = sort([tcp[0], console, tcp[1]])
    assert (listeners.tcp, listeners.console, listeners.console_path) == (tcp, console, tmp_path / "console.sock")
    assert not any(sock.getblocking() for sock in (*tcp, console))


def test_one_without_the_other_is_wrong_use(tmp_path: Path, sockets: ExitStack) -> None:
    with pytest.raises(UsageError, match=r"^The socket unit does not open the console's socket: it needs"):
        sort([listening(sockets, socket.AF_INET, ("127.0.0.1", 0))])
    with pytest.raises(UsageError, match=r"^The socket unit does not open the port: it needs a ListenStream="):
        sort([listening(sockets, socket.AF_UNIX, str(tmp_path / "console.sock"))])


def test_a_second_console_socket_or_one_without_a_path_is_wrong_use(tmp_path: Path, sockets: ExitStack) -> None:
    both = [listening(sockets, socket.AF_UNIX, str(tmp_path / name)) for name in ("console.sock", "more.sock")]
    with pytest.raises(UsageError, match=r"^systemd passes a socket that is of no use here: '.*/more\.sock'\.$"):
        sort(both)
    with pytest.raises(UsageError):
        sort([listening(sockets, socket.AF_UNIX, f"\0pychat-test-{os.getpid()}")])


def test_systemds_console_socket_is_left_where_it_is_and_our_own_is_removed(
    tmp_path: Path, sockets: ExitStack
) -> None:
    path = tmp_path / "console.sock"
    console = listening(sockets, socket.AF_UNIX, str(path))
    Listeners([], console.dup(), passed=True).close()
    assert path.is_socket()
    sockets.enter_context(socket.socket(socket.AF_UNIX)).connect(str(path))
    Listeners([], bind_console(path), passed=False).close()
    assert not path.exists()


# ------------------------------------------------------------------ directories


def test_a_lines_directories_are_made_for_the_owner_alone(tmp_path: Path) -> None:
    directory = tmp_path / "var/state/7000"
    before = os.umask(0)
    try:
        make_directory(directory)
    finally:
        os.umask(before)
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert stat.S_IMODE(directory.parent.stat().st_mode) == 0o755


def test_a_lines_directory_survives_power_loss(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With its journal and its key, for what is inside was synced."""
    disk = Disk(monkeypatch)
    make_directory(tmp_path / "state/7000")
    assert disk.asked[-2:] == [("sync", tmp_path, ["state"]), ("sync", tmp_path / "state", ["7000"])]


def test_directories_that_are_there_keep_their_modes(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run").chmod(0o750)
    make_directory(tmp_path / "run")
    make_directory(tmp_path / "run")
    assert stat.S_IMODE((tmp_path / "run").stat().st_mode) == 0o750


def test_a_directory_that_cannot_be_made_is_not_permitted(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(PermissionDeniedError, match=r"^The directory .*/file/7000 cannot be made: "):
        make_directory(tmp_path / "file/7000")


def test_a_directory_of_somebody_else_is_not_permitted() -> None:
    with public_directory() as directory:
        directory.chmod(0o555)
        words = as_nobody(lambda: make_directory(directory))
    why = "it is not yours, or read-only"
    assert words == f"PermissionDeniedError: The directory {directory} cannot be written: {why}."
