"""Opening a connection: which addresses are tried, and the sentence for a call that fails."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from pychat_client.errors import UnreachableError
from pychat_client.protocol import wire
from pychat_client.transport import connect as connect_module
from pychat_client.transport.connect import dial, dial_unix
from tests.support.aio import in_loop
from tests.support.raw_ends import AsyncEnd
from tests.support.recorder import Recorder

HI = wire.Message("Bob", "Hi!")


@in_loop
async def test_a_connection_reaches_the_listener() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        connection = await dial("127.0.0.1", listener.getsockname()[1], Recorder())
        accepted, _ = listener.accept()
        raw = AsyncEnd(accepted)
        sock = connection.socket()
        assert sock is not None
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        connection.close([HI])
        assert await raw.rest() == ["Bob> Hi!"]
        raw.hang_up()
        await connection.closed


@in_loop
async def test_every_address_of_a_name_is_tried() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(socket, "getaddrinfo", lambda *_, **__: _addresses(listener.getsockname()[1]))
            connection = await dial("pychat.test", listener.getsockname()[1], Recorder())
        connection.abort()
        await connection.closed


def _addresses(port: int) -> list[tuple[int, int, int, str, tuple[str, int]]]:
    """First an address without a listener, then one with a listener."""
    return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, port)) for host in ("127.0.0.2", "127.0.0.1")]


@in_loop
async def test_a_refused_port_gets_a_sentence() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        with pytest.raises(UnreachableError) as absent:
            await dial("127.0.0.1", port, Recorder())
        assert str(absent.value) == f"Cannot connect to 127.0.0.1 port {port}: connection refused."
        with pytest.raises(UnreachableError) as absent:
            await dial("localhost", port, Recorder())  # several addresses: one sentence
        assert str(absent.value) == f"Cannot connect to localhost port {port}: connection refused."


@in_loop
async def test_an_unknown_host_gets_a_sentence() -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", unknown)  # tests have no resolver
        with pytest.raises(
            UnreachableError, match=r"^Unknown host 'nowhere\.invalid': Name or service not known\.$"
        ):
            await dial("nowhere.invalid", 7000, Recorder())


@pytest.mark.parametrize("host", ["a..b", "x" * 64])
def test_an_invalid_host_name_gets_a_sentence(host: str) -> None:
    @in_loop
    async def check() -> None:
        with pytest.raises(UnreachableError, match=f"^'{host}' is not a valid host name"):
            await dial(host, 7000, Recorder())

    check()


@in_loop
async def test_a_silent_host_gets_a_sentence() -> None:
    with pytest.MonkeyPatch.context() as patch, socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        patch.setattr(connect_module, "DIAL_SECONDS", 0.05)
        waiting = [socket.socket() for _ in range(4)]  # more than the kernel accepts for the backlog
        for sock in waiting:
            sock.setblocking(False)
            sock.connect_ex(full.getsockname())
        with pytest.raises(UnreachableError, match=r"does not answer on port [0-9]+: no reply within 0 s\.$"):
            await dial("127.0.0.1", full.getsockname()[1], Recorder())
        for sock in waiting:
            sock.close()


@in_loop
async def test_a_missing_console_socket_gets_a_sentence() -> None:
    with pytest.raises(UnreachableError) as absent:
        await dial_unix(Path("/nonexistent/console.sock"), Recorder())
    assert str(absent.value) == "No daemon answers at /nonexistent/console.sock: no such file or directory."
