"""A connection on a real socket: what one read brings, how it ends, and what happens in silence."""

from __future__ import annotations

import asyncio
import select
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from pychat_client.classic.person_codec import PersonCodec
from pychat_client.protocol import codec, wire
from pychat_client.protocol.codec import Codec
from pychat_client.transport import connection as connection_module
from pychat_client.transport.connection import UNSENT_MAX, CloseReason, Connection, WriteBatch
from pychat_client.transport.os_errors import describe
from tests.support.aio import in_loop
from tests.support.certificates import make
from tests.support.fake_hosts import client_context, server_context
from tests.support.raw_ends import AsyncEnd, attach
from tests.support.recorder import Recorder

HI = wire.Message("Bob", "Hi!")


@asynccontextmanager
async def connected(
    *, codec: Codec | None = None, keepalive: bool = False
) -> AsyncIterator[tuple[Recorder, Connection, AsyncEnd]]:
    """An owner, its connection, and the raw other end."""
    owner = Recorder()
    connection = Connection(owner, codec)
    raw = await attach(connection)
    if keepalive:
        connection.start_keepalive()
    try:
        yield owner, connection, raw
    finally:
        raw.hang_up()
        connection.abort()
        await connection.closed


@in_loop
async def test_nothing_is_written_over_tls_once_the_connection_is_lost(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The first write finds out, and the loop tells the owner later: until then asyncio would warn of each one."""
    context = server_context(make(tmp_path, "localhost"))
    connection = Connection(Recorder())
    with socket.create_server(("127.0.0.1", 0)) as server:
        loop = asyncio.get_running_loop()
        calling = loop.create_connection(lambda: connection, *server.getsockname(), ssl=client_context())
        serving = loop.run_in_executor(None, lambda: context.wrap_socket(server.accept()[0], server_side=True))
        other, _ = await asyncio.gather(serving, calling)
        other.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        other.close()  # a reset
        below = connection.socket()
        assert below is not None
        poll = select.poll()
        poll.register(below, select.POLLHUP)
        assert poll.poll(10_000)
        for _ in range(20):
            connection.send([HI])
        await connection.closed
    assert not [record for record in caplog.records if record.levelname != "DEBUG"]


@in_loop
async def test_what_waits_below_tls_is_unsent(tmp_path: Path) -> None:
    context = server_context(make(tmp_path, "localhost"))
    connection = Connection(Recorder())
    with socket.create_server(("127.0.0.1", 0)) as server:
        loop = asyncio.get_running_loop()
        calling = loop.create_connection(lambda: connection, *server.getsockname(), ssl=client_context())
        serving = loop.run_in_executor(None, lambda: context.wrap_socket(server.accept()[0], server_side=True))
        other, _ = await asyncio.gather(serving, calling)
        with other:
            assert not connection.has_unsent
            while not connection.has_unsent:
                connection.send([wire.Message("Bob", "x" * 500)])
            assert connection._transport is not None
            assert connection._transport.get_write_buffer_size() == 0  # TLS itself has handed on all
            connection.abort()
            await connection.closed
    assert not connection.has_unsent


# ------------------------------------------------------------------ reading


@in_loop
async def test_frames_of_one_read_come_together() -> None:
    async with connected() as (owner, _, raw):
        await raw.say("Bob> one", "Bob> two", "\\ack 3")
        await raw.news()
        assert owner.reads[0] == [wire.Message("Bob", "one"), wire.Message("Bob", "two"), wire.Ack(3)]


@in_loop
async def test_answers_to_one_read_go_out_in_one_write() -> None:
    class Answering(Recorder):
        def frames_received(self, connection: Connection, frames: list[wire.Frame]) -> None:
            connection.send([wire.Ack(1)])
            connection.send([HI])
            self.early = raw.waiting()

    owner = Answering()
    connection = Connection(owner)
    raw = await attach(connection)
    await raw.say("Bob> Hi!")
    assert await raw.news() == ["\\ack 1", "Bob> Hi!"]
    assert owner.early == b""
    raw.hang_up()
    await connection.closed


@in_loop
async def test_a_read_makes_another_connection_write_once() -> None:
    class Forwarding(Recorder):
        def frames_received(self, connection: Connection, frames: list[wire.Frame]) -> None:
            for frame in frames:
                other.send([frame])
            self.early = raw.waiting()

    batch, owner = WriteBatch(), Forwarding()
    connection, other = Connection(owner, batch=batch), Connection(Recorder(), batch=batch)
    sender, raw = await attach(connection), await attach(other)
    writes: list[bytes] = []
    transport = other._transport
    assert transport is not None
    write = transport.write

    def remember(data: bytes) -> None:
        writes.append(data)
        write(data)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(transport, "write", remember)
        await sender.say("Bob> one", "Bob> two")
        assert [await raw.hear(), await raw.hear()] == ["Bob> one", "Bob> two"]
    assert (owner.early, writes) == (b"", [b"Bob> one\nBob> two\n"])
    for end, each in ((sender, connection), (raw, other)):
        end.hang_up()
        await each.closed


@in_loop
async def test_an_answer_to_the_last_line_arrives_after_eof() -> None:
    class Answering(Recorder):
        def frames_received(self, connection: Connection, frames: list[wire.Frame]) -> None:
            connection.send([HI])

    connection = Connection(Answering(), PersonCodec())
    raw = await attach(connection)
    await asyncio.get_running_loop().sock_sendall(raw.sock, b"Bob> Hi!")  # no line feed: eof makes it a line
    raw.sock.shutdown(socket.SHUT_WR)
    assert "Hi!" in (await raw.hear())
    raw.hang_up()
    await connection.closed


@in_loop
async def test_a_line_in_single_bytes_is_one_frame() -> None:
    async with connected() as (owner, _, raw):
        for byte in b"Bob> Hi!\n":
            await asyncio.get_running_loop().sock_sendall(raw.sock, bytes([byte]))
            await asyncio.sleep(0)  # to be read before the next one
        await owner.heard.wait()
        assert owner.reads == [[HI]]


@in_loop
async def test_an_error_follows_the_good_frames_and_ends_reading() -> None:
    async with connected() as (owner, connection, raw):
        await raw.say("Bob> Hi!", "nonsense", "Bob> too late")
        assert [line.split()[:2] for line in await raw.rest()] == [["\\error", "syntax"]]
        await raw.say("Bob> later still")
        raw.hang_up()
        await connection.closed
        assert (owner.reads, owner.broken) == ([[HI]], ["syntax"])


@in_loop
async def test_an_owner_that_closes_gets_no_later_error() -> None:
    class Finishing(Recorder):
        def frames_received(self, connection: Connection, frames: list[wire.Frame]) -> None:
            connection.close([wire.Quit()])

    owner = Finishing()
    connection = Connection(owner)
    raw = await attach(connection)
    await raw.say("Bob> Hi!", "nonsense")
    assert await raw.rest() == ["\\quit"]
    raw.hang_up()
    await connection.closed
    assert owner.broken == []


@in_loop
async def test_an_endless_line_is_an_error_once_it_is_too_long() -> None:
    async with connected() as (owner, _, raw):
        await asyncio.get_running_loop().sock_sendall(raw.sock, b"x" * (codec.LINE_MAX + 1))
        assert (await raw.hear()).startswith("\\error too-long")
        assert owner.broken == ["too-long"]


@in_loop
async def test_only_some_codecs_accept_an_unfinished_last_line() -> None:
    for kind, reads in ((None, []), (PersonCodec(), [[wire.Hello(0, "Bob"), HI, wire.Quit()]])):
        async with connected(codec=kind) as (owner, connection, raw):
            await asyncio.get_running_loop().sock_sendall(raw.sock, b"Bob> Hi!")
            raw.sock.shutdown(socket.SHUT_WR)
            await connection.closed
            assert owner.reads == reads


# ------------------------------------------------------------------ the end


@in_loop
async def test_the_owner_learns_of_the_end_once_with_a_clause() -> None:
    async with connected() as (owner, connection, raw):
        raw.hang_up()
        await connection.closed
        assert owner.lost == ["closed by the other side"]
        connection.send([HI])
        connection.close([HI])
        connection.abort(CloseReason.EVICTED)
        assert connection.socket() is None
        assert connection.close_reason is CloseReason.CLOSED_BY_PEER
    assert owner.lost == ["closed by the other side"]


@in_loop
async def test_an_aborted_connection_has_the_given_reason() -> None:
    async with connected() as (owner, connection, raw):
        connection.abort(CloseReason.EVICTED)
        await connection.closed
        assert (owner.lost, connection.close_reason) == (
            ["too many connections, and a newer one took the place"],
            CloseReason.EVICTED,
        )
        assert await raw.rest() == []


@in_loop
async def test_a_connection_aborted_before_it_is_made_closes() -> None:
    owner = Recorder()
    connection = Connection(owner)
    connection.abort(CloseReason.EVICTED)
    raw = await attach(connection)
    await connection.closed
    assert (owner.lost, connection.is_made) == (["too many connections, and a newer one took the place"], False)
    assert await raw.rest() == []
    raw.hang_up()


@in_loop
async def test_the_last_line_arrives_while_the_other_side_sends() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    client = AsyncEnd(socket.create_connection(listener.getsockname()))
    accepted, _ = listener.accept()
    owner = Recorder()
    connection = Connection(owner)
    await asyncio.get_running_loop().connect_accepted_socket(lambda: connection, accepted)
    await client.say(*1000 * ["Bob> Hi!"])
    connection.close([wire.Quit("enough")])
    await client.say(*1000 * ["Bob> Hi!"])  # a close on unread data would reset the connection
    assert await client.rest() == ["\\quit enough"]
    client.hang_up()
    await connection.closed
    assert (owner.reads, owner.lost) == ([], ["closed by this side"])
    listener.close()


@in_loop
async def test_a_side_that_never_closes_is_cut_off() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(connection_module, "FINISH_SECONDS", 0.01)
        async with connected() as (owner, connection, _):
            connection.close([wire.Quit()])
            await connection.closed
            assert owner.lost == ["closed by this side"]


@in_loop
async def test_nothing_is_sent_after_the_last_line() -> None:
    async with connected() as (_, connection, raw):
        connection.close([wire.Quit("first")])
        connection.send([HI])
        connection.close([wire.Quit("second")])
        assert await raw.rest() == ["\\quit first"]


# ------------------------------------------------------------------ keepalive


@in_loop
async def test_pings_are_answered_without_the_owner() -> None:
    async with connected() as (owner, _, raw):
        await raw.say("\\ping", "\\pong", "Bob> Hi!")
        assert await raw.hear() == "\\pong"
        await owner.heard.wait()
        assert owner.reads == [[HI]]


@in_loop
async def test_a_connection_lives_while_its_pings_are_answered() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(connection_module, "PING_AFTER", 0.2)
        patch.setattr(connection_module, "PONG_WITHIN", 0.15)
        async with connected(keepalive=True) as (owner, _, raw):
            for _ in range(2):
                assert await raw.hear() == "\\ping"
                await raw.say("\\pong")
            assert owner.lost == []


@in_loop
async def test_an_unanswered_ping_ends_the_connection() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(connection_module, "PING_AFTER", 0.01)
        patch.setattr(connection_module, "PONG_WITHIN", 0.02)
        async with connected(keepalive=True) as (owner, connection, raw):
            began = asyncio.get_running_loop().time()
            await connection.closed
            assert asyncio.get_running_loop().time() - began >= 0.029
            assert owner.lost == ["no answer"]
            assert await raw.rest() == ["\\ping"]


@in_loop
async def test_each_probe_asks_again_once_the_last_is_answered() -> None:
    with pytest.MonkeyPatch.context() as patch:
        async with connected(keepalive=True) as (owner, connection, raw):
            connection.probe()
            connection.probe()
            assert await raw.news() == ["\\ping"]
            patch.setattr(connection_module, "PROBE_WITHIN", 0.02)
            connection.probe()
            assert await raw.hear() == "\\ping"
            await connection.closed
            assert owner.lost == ["no answer"]


@in_loop
async def test_a_probe_shortens_the_wait_for_an_answer() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(connection_module, "PING_AFTER", 0.01)
        patch.setattr(connection_module, "PONG_WITHIN", 3600.0)
        async with connected(keepalive=True) as (owner, connection, raw):
            assert await raw.hear() == "\\ping"
            for seconds in (0.02, 3600.0):
                patch.setattr(connection_module, "PROBE_WITHIN", seconds)
                connection.probe()
            await connection.closed
            assert owner.lost == ["no answer"]
            assert await raw.rest() == []


@in_loop
async def test_without_keepalive_there_are_no_pings() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(connection_module, "PING_AFTER", 0.0)
        async with connected() as (_, __, raw):
            assert await raw.news() == []


# ------------------------------------------------------------------ writing


@in_loop
async def test_writable_turns_false_and_true_again() -> None:
    async with connected() as (owner, connection, raw):
        sent = 0
        while connection.writable:
            connection.send([HI])
            sent += 1
        assert owner.writable == 0
        heard = 0
        while heard < sent:
            assert await raw.frame() == HI
            heard += 1
        assert connection.writable
        assert owner.writable == 1


@in_loop
async def test_a_slow_reader_is_dropped_at_a_limit() -> None:
    piece = [wire.Message("Bob", "x" * 500)] * 100
    async with connected() as (owner, connection, _):
        for _ in range(2 * UNSENT_MAX // 50_000 + 20):
            connection.send(piece)
            assert (
                connection._transport is None
                or connection._transport.get_write_buffer_size() <= UNSENT_MAX + 60_000
            )
        await connection.closed
        assert owner.lost == ["the other side does not read what we send"]


@in_loop
async def test_last_lines_that_nobody_reads_do_not_hide_why_it_ended() -> None:
    piece = [wire.Message("Bob", "x" * 500)] * 100
    async with connected() as (owner, connection, _):
        connection.close(piece * (2 * UNSENT_MAX // 50_000 + 20))
        await connection.closed
        assert connection.close_reason is CloseReason.SLOW_READER
        assert owner.lost == ["the other side does not read what we send"]


@pytest.mark.parametrize(
    ("error", "clause"),
    [
        (ConnectionRefusedError(111, "Connect call failed ('127.0.0.1', 1)"), "connection refused"),
        (OSError("Multiple exceptions: [Errno 111] Connect call failed, [Errno 113] No"), "connection refused"),
        (OSError("out of luck"), "out of luck"),
        (ConnectionResetError(), "connection reset by peer"),
        (ConnectionError(), "ConnectionError"),
    ],
)
def test_a_system_error_becomes_a_clause(error: Exception, clause: str) -> None:
    assert describe(error) == clause
