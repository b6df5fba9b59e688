"""The options of TCP, where a system has them, under its own names, or lacks them."""

from __future__ import annotations

import socket
import struct
from typing import cast

import pytest

from pychat_client.transport import tcp

LINUX = {"TCP_KEEPIDLE", "TCP_USER_TIMEOUT", "TCP_INFO"}


class Recorder:
    """A socket that keeps what it is given, and answers with `info`."""

    def __init__(self, info: bytes = b"") -> None:
        self._info = info
        self.set: dict[int, int] = {}

    def setsockopt(self, _level: int, option: int, value: int) -> None:
        self.set[option] = value

    def getsockopt(self, _level: int, _option: int, size: int) -> bytes:
        return self._info[:size]


def without(monkeypatch: pytest.MonkeyPatch, *names: str, **others: int) -> None:
    """A system without `names`, and with `others`."""
    for name in names:
        monkeypatch.delattr(socket, name)
    for name, value in others.items():
        monkeypatch.setattr(socket, name, value, raising=False)


def options(recorder: Recorder) -> dict[int, int]:
    tcp.set_options(cast(socket.socket, recorder), 15, 30)
    return recorder.set


def test_linux_has_all_options() -> None:
    found = options(Recorder())
    assert found[socket.TCP_KEEPIDLE] == 15
    assert found[socket.TCP_USER_TIMEOUT] == 45_000


def test_macos_has_its_own_name(monkeypatch: pytest.MonkeyPatch) -> None:
    without(monkeypatch, *LINUX, TCP_KEEPALIVE=16, TCP_CONNECTION_INFO=262)
    assert options(Recorder())[16] == 15


def test_what_a_system_lacks_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    without(monkeypatch, *LINUX, "TCP_KEEPINTVL", "TCP_KEEPCNT")
    assert set(options(Recorder())) == {socket.TCP_NODELAY, socket.SO_KEEPALIVE}


def test_one_refused_option_leaves_the_others() -> None:
    class Strict(Recorder):
        def setsockopt(self, level: int, option: int, value: int) -> None:
            if option == socket.TCP_KEEPIDLE:
                raise OSError
            super().setsockopt(level, option, value)

    assert options(Strict())[socket.TCP_USER_TIMEOUT] == 45_000


@pytest.mark.parametrize(
    ("info", "seconds"),
    [
        (bytes(44) + struct.pack("=I", 250), 0.25),
        (bytes(44) + struct.pack("=III", 7, 9, 9), 0.007),
        (bytes(20), 0.0),
        (b"", 0.0),
    ],
)
def test_macos_tells_milliseconds(monkeypatch: pytest.MonkeyPatch, info: bytes, seconds: float) -> None:
    without(monkeypatch, "TCP_INFO", TCP_CONNECTION_INFO=262)
    assert tcp.round_trip(cast(socket.socket, Recorder(info))) == seconds


def test_a_real_connection_has_a_round_trip() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as sock:
        assert 0 < tcp.round_trip(sock) < 1


def test_no_kernel_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    without(monkeypatch, "TCP_INFO")
    one, other = socket.socketpair()
    with one, other:
        assert tcp.round_trip(one) == tcp.round_trip(None) == 0.0


def test_a_unix_socket_has_no_round_trip() -> None:
    one, other = socket.socketpair()
    with one, other:
        assert tcp.round_trip(one) == 0.0
