"""The sockets and directories of a service: opened here or passed by systemd, and the sentences for users."""

from __future__ import annotations

import errno
import os
import socket
import stat
from collections.abc import Iterator
from contextlib import ExitStack
from ipaddress import IPv6Address
from pathlib import Path
from typing import Any

import pytest

from pychat_client.errors import BusyError, PermissionDeniedError, TransportError, UsageError
from pychatd.network.listeners import Listeners, bind_console, bind_tcp, make_directory, sort
from pychatd.settings import Settings
from tests.support.as_nobody import as_nobody, public_directory
from tests.support.disk import Disk
from tests.support.ports import free_port


@pytest.fixture
def sockets() -> Iterator[ExitStack]:
    """Closes what is entered into it."""
    with ExitStack() as stack:
        yield stack


def bound(sockets: ExitStack, settings: Settings) -> list[socket.socket]:
    return [sockets.enter_context(sock) for sock in bind_tcp(settings)]


# ------------------------------------------------------------------ TCP


def test_the_default_listens_on_ipv4_and_ipv6(sockets: ExitStack) -> None:
    port = free_port()
    listeners = bound(sockets, Settings(port))
    assert [sock.getsockname()[:2] for sock in listeners] == [("0.0.0.0", port), ("::", port)]
    for address, listener in zip(("127.0.0.1", "::1"), listeners, strict=True):
        with socket.create_connection((address, port)):
            accepted, who = listener.accept()
            accepted.close()
            assert who[0] == address
    assert not any(sock.getblocking() for sock in listeners)


def test_only_the_given_addresses_are_listened_on(sockets: ExitStack) -> None:
    (listener,) = bound(sockets, Settings(free_port(), ("127.0.0.1",)))
    assert listener.getsockname()[0] == "127.0.0.1"


def test_a_port_in_use_is_an_error_and_nothing_stays_bound(sockets: ExitStack) -> None:
    port = free_port()
    (other,) = bound(sockets, Settings(port, ("::",)))
    with pytest.raises(BusyError, match=rf"^Port {port} is in use by another program \(on ::\)\.$"):
        bind_tcp(Settings(port))
    other.close()
    bound(sockets, Settings(port))


def test_a_port_can_be_bound_while_old_connections_linger(sockets: ExitStack) -> None:
    port = free_port()
    (listener,) = bound(sockets, Settings(port, ("127.0.0.1",)))
    client = sockets.enter_context(socket.create_connection(("127.0.0.1", port)))
    accepted, _ = listener.accept()
    accepted.close()  # this side closes first, and so waits in TIME_WAIT
    assert client.recv(1) == b""
    client.close()
    listener.close()
    bound(sockets, Settings(port, ("127.0.0.1",)))


def link_local() -> str:
    """A link-local address of this host, with its interface."""
    try:
        lines = Path("/proc/net/if_inet6").read_text().splitlines()
    except FileNotFoundError:
        lines = []
    for digits, *_, scope, _, interface in map(str.split, lines):
        if scope == "20":
            return f"{IPv6Address(int(digits, 16))}%{interface}"
    pytest.skip("this host has no link-local address")


def test_a_link_local_address_is_one_of_its_interface(sockets: ExitStack) -> None:
    port = free_port()
    address = link_local()
    (listener,) = bound(sockets, Settings(port, (address,)))
    host, _, _, scope = listener.getsockname()
    assert host == address.partition("%")[0]
    assert scope
    with socket.create_connection((address, port)):
        listener.accept()[0].close()


@pytest.mark.parametrize(
    ("zone", "words"),
    [("", "needs the name of its interface: write"), ("%none", "does not have"), ("%4095", "does not have")],
)
def test_a_link_local_address_without_its_interface_is_a_usage_error(zone: str, words: str) -> None:
    address, _, _ = link_local().partition("%")
    with pytest.raises(UsageError, match=words):
        bind_tcp(Settings(free_port(), (f"{address}{zone}",)))


def test_an_address_of_another_machine_is_a_usage_error() -> None:
    with pytest.raises(
        UsageError,
        match=r"^This host does not have the address 192\.0\.2\.1: set 'listen' to an address that it has\.$",
    ):
        bind_tcp(Settings(free_port(), ("127.0.0.1", "192.0.2.1")))


def test_a_low_port_needs_a_privilege() -> None:
    if int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text()) < 2:
        pytest.skip("here every port is for everybody")
    words = as_nobody(lambda: bind_tcp(Settings(1)))
    assert words == "PermissionDeniedError: Cannot open port 1: only root may open ports below 1024."


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


def test_a_given_ipv6_address_has_to_work(monkeypatch: pytest.MonkeyPatch) -> None:
    port = free_port()
    without_ipv6(monkeypatch, errno.EAFNOSUPPORT)
    with pytest.raises(TransportError, match=f"^Cannot open port {port} on ::: Address family not supported"):
        bind_tcp(Settings(port, ("::",)))


# ------------------------------------------------------------------ the console's socket


@pytest.mark.parametrize("umask", [0o000, 0o077])
def test_the_console_socket_is_private_from_the_first_moment(
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


def test_the_console_socket_accepts_connections(tmp_path: Path, sockets: ExitStack) -> None:
    path = tmp_path / "console.sock"
    listener = sockets.enter_context(bind_console(path))
    client = sockets.enter_context(socket.socket(socket.AF_UNIX))
    client.connect(str(path))
    sockets.enter_context(listener.accept()[0])
    assert not listener.getblocking()


def test_the_socket_of_a_killed_daemon_is_replaced(tmp_path: Path, sockets: ExitStack) -> None:
    path = tmp_path / "console.sock"
    bind_console(path).close()
    assert path.is_socket()
    sockets.enter_context(bind_console(path))
    sockets.enter_context(socket.socket(socket.AF_UNIX)).connect(str(path))


def test_a_console_socket_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "none" / "console.sock"
    with pytest.raises(PermissionDeniedError) as refused:
        bind_console(path)
    assert str(refused.value) == f"Cannot make the console socket {path}: No such file or directory."


# ------------------------------------------------------------------ systemd's


def listening(sockets: ExitStack, family: int, address: Any) -> socket.socket:
    sock = sockets.enter_context(socket.socket(family))
    sock.bind(address)
    sock.listen()
    return sock


def test_passed_sockets_are_sorted_by_family(tmp_path: Path, sockets: ExitStack) -> None:
    console = listening(sockets, socket.AF_UNIX, str(tmp_path / "console.sock"))
    tcp = [listening(sockets, socket.AF_INET6, ("::1", 0)), listening(sockets, socket.AF_INET, ("127.0.0.1", 0))]
    listeners = sort([tcp[0], console, tcp[1]])
    assert (listeners.tcp, listeners.console, listeners.console_path) == (tcp, console, tmp_path / "console.sock")
    assert not any(sock.getblocking() for sock in (*tcp, console))


def test_a_missing_socket_is_a_usage_error(tmp_path: Path, sockets: ExitStack) -> None:
    with pytest.raises(
        UsageError, match=r"^The socket unit has no ListenStream= for the console's socket: add one with "
    ):
        sort([listening(sockets, socket.AF_INET, ("127.0.0.1", 0))])
    with pytest.raises(UsageError, match=r"^The socket unit has no ListenStream= for the port: add one with "):
        sort([listening(sockets, socket.AF_UNIX, str(tmp_path / "console.sock"))])


def test_an_unusable_passed_socket_is_a_usage_error(tmp_path: Path, sockets: ExitStack) -> None:
    both = [listening(sockets, socket.AF_UNIX, str(tmp_path / name)) for name in ("console.sock", "more.sock")]
    with pytest.raises(
        UsageError, match=r"^The socket unit passes a socket that pychatd cannot use: '.*/more\.sock'\.$"
    ):
        sort(both)
    with pytest.raises(UsageError):
        sort([listening(sockets, socket.AF_UNIX, f"\0pychat-test-{os.getpid()}")])


def test_only_our_own_console_socket_is_removed(tmp_path: Path, sockets: ExitStack) -> None:
    path = tmp_path / "console.sock"
    console = listening(sockets, socket.AF_UNIX, str(path))
    Listeners([], console.dup(), passed=True).close()
    assert path.is_socket()
    sockets.enter_context(socket.socket(socket.AF_UNIX)).connect(str(path))
    with pytest.raises(BusyError, match=r"^Another service has the console socket /"):
        bind_console(path)
    assert path.is_socket()
    own = tmp_path / "own.sock"
    for _ in range(2):  # also where a daemon that was killed has left one
        killed = bind_console(own)
        killed.close()
    Listeners([], bind_console(own), passed=False).close()
    assert not own.exists()


# ------------------------------------------------------------------ directories


def test_directories_are_private(tmp_path: Path) -> None:
    directory = tmp_path / "var/state/7000"
    before = os.umask(0)
    try:
        make_directory(directory)
    finally:
        os.umask(before)
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert stat.S_IMODE(directory.parent.stat().st_mode) == 0o755


def test_a_directory_survives_a_power_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With its journal and its key, for what is inside was synced."""
    disk = Disk(monkeypatch)
    make_directory(tmp_path / "state/7000")
    assert disk.asked[-2:] == [("sync", tmp_path, ["state"]), ("sync", tmp_path / "state", ["7000"])]


def test_existing_directories_keep_their_modes(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run").chmod(0o750)
    make_directory(tmp_path / "run")
    make_directory(tmp_path / "run")
    assert stat.S_IMODE((tmp_path / "run").stat().st_mode) == 0o750


def test_a_directory_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(PermissionDeniedError, match=r"^Cannot use the directory .*/file/7000: Not a directory\.$"):
        make_directory(tmp_path / "file/7000")


def test_a_directory_of_another_user_is_an_error() -> None:
    with public_directory() as directory:
        directory.chmod(0o555)
        words = as_nobody(lambda: make_directory(directory))
    why = "it is not yours, or it is read-only"
    assert words == f"PermissionDeniedError: Cannot write to the directory {directory}: {why}."
