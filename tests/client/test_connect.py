"""Opening a connection: which addresses are tried, and the sentence for a call that fails."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from pychat_client.errors import UnreachableError
from pychat_client.protocol import wire
from pychat_client.transport import connect as connect_module
from pychat_client.transport.connect import dial, dial_unix, fetch_certificate
from pychat_client.transport.connection import READ_MAX, USER_READ
from tests.support.aio import in_loop
from tests.support.certificates import make
from tests.support.fake_hosts import FakeHost, client_context, server_context
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


@pytest.mark.parametrize("way", ["port", "console"])
def test_a_users_program_reads_a_little_at_a_time(way: str, tmp_path: Path) -> None:
    """Its keys wait meanwhile."""

    @in_loop
    async def check() -> None:
        line = f"Bob> {'x' * 94}\n".encode()

        def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(line * (3 * READ_MAX // len(line)))
            writer.close()

        owner, path = Recorder(), tmp_path / "console.sock"
        if way == "port":
            server = await asyncio.start_server(serve, "127.0.0.1", 0)
            connection = await dial("127.0.0.1", server.sockets[0].getsockname()[1], owner, None)
        else:
            server = await asyncio.start_unix_server(serve, path)
            connection = await dial_unix(path, owner)
        await connection.closed
        server.close()
        assert sum(map(len, owner.reads)) == 3 * READ_MAX // len(line)
        assert max(map(len, owner.reads)) <= USER_READ // len(line) + 1

    check()


@in_loop
async def test_every_address_of_a_name_is_tried() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        infos = [_info(address, listener.getsockname()[1]) for address in ("127.0.0.2", "127.0.0.1")]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(socket, "getaddrinfo", lambda *_, **__: infos)
            connection = await dial("pychat.test", listener.getsockname()[1], Recorder())
        connection.abort()
        await connection.closed


@pytest.mark.parametrize("dead", [["::1"], ["127.0.0.1"], ["::1", "127.0.0.1"]])
def test_a_key_is_shown_although_the_first_addresses_are_dead(tmp_path: Path, dead: list[str]) -> None:
    made = make(tmp_path, "host")
    host = FakeHost(server_context(made))

    @in_loop
    async def check() -> None:
        with pytest.MonkeyPatch.context() as patch, ExitStack() as stack:
            silent = [stack.enter_context(_silent(address)) for address in dead]
            names = [*silent, ("127.0.0.1", host.port)]
            patch.setattr(socket, "getaddrinfo", lambda *_, **__: [_info(*name) for name in names])
            shown = await fetch_certificate("pychat.test", 7000, client_context(), seconds=5)
        assert shown == made.der

    check()
    host.close()


@contextmanager
def _silent(address: str) -> Iterator[tuple[str, int]]:
    """The address and port of a host that answers no call: more wait already than the kernel accepts."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.create_server((address, 0), family=family, backlog=0) as full, ExitStack() as waiting:
        for _ in range(4):
            sock = waiting.enter_context(socket.socket(family))
            sock.setblocking(False)
            sock.connect_ex(full.getsockname())
        yield address, full.getsockname()[1]


def _info(address: str, port: int) -> tuple[int, int, int, str, tuple[str, int]]:
    """An address as socket.getaddrinfo gives it."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return family, socket.SOCK_STREAM, 6, "", (address, port)


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
    words = r"does not answer on port [0-9]+: no reply within 0\.05 s\.$"
    with pytest.MonkeyPatch.context() as patch, _silent("127.0.0.1") as (address, port):
        patch.setattr(connect_module, "DIAL_SECONDS", 0.05)
        with pytest.raises(UnreachableError, match=words):
            await dial(address, port, Recorder())
        with pytest.raises(UnreachableError, match=words):
            await fetch_certificate(address, port, client_context(), seconds=0.05)


@in_loop
async def test_a_missing_console_socket_gets_a_sentence() -> None:
    with pytest.raises(UnreachableError) as absent:
        await dial_unix(Path("/nonexistent/console.sock"), Recorder())
    assert str(absent.value) == "No daemon answers at /nonexistent/console.sock: no such file or directory."
