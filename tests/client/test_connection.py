"""A link on a real socket: what came in one read, how it ends, and what happens in silence."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from pychat_client.classic.person_codec import PersonCodec
from pychat_client.protocol import codec, wire
from pychat_client.protocol.codec import Codec
from pychat_client.transport import connection as link_module
from pychat_client.transport.connection import UNSENT_MAX, Connection, reason
from tests.aio import Raw, attach, in_loop
from tests.client.recorder import Recorder

HI = wire.Message("Bob", "Hi!")


@asynccontextmanager
async def linked(
    *, codec: Codec | None = None, liveness: bool = False
) -> AsyncIterator[tuple[Recorder, Connection, Raw]]:
    """An owner, its link, and the raw other end."""
    owner = Recorder()
    connection = Connection(owner, codec)
    raw = await attach(connection)
    if liveness:
        connection.start_keepalive()
    try:
        yield owner, connection, raw
    finally:
        raw.hang_up()
        connection.abort("the test is over")
        await connection.closed


# ------------------------------------------------------------------ reading


@in_loop
async def test_the_frames_of_one_read_are_handed_on_together() -> None:
    async with linked() as (owner, _, raw):
        await raw.say("Bob> one", "Bob> two", "\\ack 3")
        await raw.news()
        assert owner.reads[0] == [wire.Message("Bob", "one"), wire.Message("Bob", "two"), wire.Ack(3)]


@in_loop
async def test_all_that_is_sent_because_of_one_read_goes_out_behind_it_in_one_write() -> None:
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
async def test_a_line_that_comes_byte_by_byte_is_one_frame() -> None:
    async with linked() as (owner, _, raw):
        for byte in b"Bob> Hi!\n":
            await asyncio.get_running_loop().sock_sendall(raw.sock, bytes([byte]))
            await asyncio.sleep(0)  # to be read before the next one
        await owner.heard.wait()
        assert owner.reads == [[HI]]


@in_loop
async def test_an_error_comes_behind_the_good_frames_before_it_and_nothing_comes_after_it() -> None:
    async with linked() as (owner, connection, raw):
        await raw.say("Bob> Hi!", "nonsense", "Bob> too late")
        assert [line.split()[:2] for line in await raw.rest()] == [["\\error", "syntax"]]
        await raw.say("Bob> later still")
        raw.hang_up()
        await connection.closed
        assert (owner.reads, owner.broken) == ([[HI]], ["syntax"])


@in_loop
async def test_an_owner_that_finishes_with_the_good_frames_hears_of_no_error_behind_them() -> None:
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
async def test_an_endless_line_is_an_error_as_soon_as_it_is_too_long() -> None:
    async with linked() as (owner, _, raw):
        await asyncio.get_running_loop().sock_sendall(raw.sock, b"x" * (codec.LINE_MAX + 1))
        assert (await raw.hear()).startswith("\\error too-long")
        assert owner.broken == ["too-long"]


@in_loop
async def test_an_unfinished_last_line_counts_only_for_the_codec_that_says_so() -> None:
    for kind, reads in ((None, []), (PersonCodec(), [[wire.Hello(0, "Bob"), HI, wire.Quit()]])):
        async with linked(codec=kind) as (owner, connection, raw):
            await asyncio.get_running_loop().sock_sendall(raw.sock, b"Bob> Hi!")
            raw.sock.shutdown(socket.SHUT_WR)
            await connection.closed
            assert owner.reads == reads


# ------------------------------------------------------------------ the end


@in_loop
async def test_the_end_is_told_once_with_a_clause() -> None:
    async with linked() as (owner, connection, raw):
        raw.hang_up()
        await connection.closed
        assert owner.lost == ["closed by the other side"]
        connection.send([HI])
        connection.close([HI])
        connection.abort("again")
        assert connection.socket() is None
    assert owner.lost == ["closed by the other side"]


@in_loop
async def test_a_dropped_link_says_why() -> None:
    async with linked() as (owner, connection, raw):
        connection.abort("it was too slow")
        await connection.closed
        assert owner.lost == ["it was too slow"]
        assert await raw.rest() == []


@in_loop
async def test_the_last_line_arrives_although_the_other_side_is_still_sending() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    client = Raw(socket.create_connection(listener.getsockname()))
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
    assert (owner.reads, owner.lost) == ([], ["closed from here"])
    listener.close()


@in_loop
async def test_who_never_closes_after_the_last_line_is_cut_off() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(link_module, "FINISH_SECONDS", 0.01)
        async with linked() as (owner, connection, _):
            connection.close([wire.Quit()])
            await connection.closed
            assert owner.lost == ["closed from here"]


@in_loop
async def test_nothing_is_sent_behind_the_last_line() -> None:
    async with linked() as (_, connection, raw):
        connection.close([wire.Quit("first")])
        connection.send([HI])
        connection.close([wire.Quit("second")])
        assert await raw.rest() == ["\\quit first"]


# ------------------------------------------------------------------ liveness


@in_loop
async def test_a_ping_is_answered_and_neither_is_told_to_the_owner() -> None:
    async with linked() as (owner, _, raw):
        await raw.say("\\ping", "\\pong", "Bob> Hi!")
        assert await raw.hear() == "\\pong"
        await owner.heard.wait()
        assert owner.reads == [[HI]]


@in_loop
async def test_after_silence_a_link_asks_and_lives_on_while_it_is_answered() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(link_module, "PING_AFTER", 0.2)
        patch.setattr(link_module, "PONG_WITHIN", 0.15)
        async with linked(liveness=True) as (owner, _, raw):
            for _ in range(2):
                assert await raw.hear() == "\\ping"
                await raw.say("\\pong")
            assert owner.lost == []


@in_loop
async def test_after_an_unanswered_ping_the_link_is_dead() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(link_module, "PING_AFTER", 0.01)
        patch.setattr(link_module, "PONG_WITHIN", 0.02)
        async with linked(liveness=True) as (owner, connection, raw):
            began = asyncio.get_running_loop().time()
            await connection.closed
            assert asyncio.get_running_loop().time() - began >= 0.029
            assert owner.lost == ["the other side does not answer any more"]
            assert await raw.rest() == ["\\ping"]


@in_loop
async def test_without_liveness_nobody_is_asked() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(link_module, "PING_AFTER", 0.0)
        async with linked() as (_, __, raw):
            assert await raw.news() == []


# ------------------------------------------------------------------ writing


@in_loop
async def test_a_full_transport_is_told_and_so_is_room_in_it() -> None:
    async with linked() as (owner, connection, raw):
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
async def test_what_waits_for_who_does_not_read_is_bounded() -> None:
    piece = [wire.Message("Bob", "x" * 500)] * 100
    async with linked() as (owner, connection, _):
        for _ in range(2 * UNSENT_MAX // 50_000 + 20):
            connection.send(piece)
            assert (
                connection._transport is None
                or connection._transport.get_write_buffer_size() <= UNSENT_MAX + 60_000
            )
        await connection.closed
        assert owner.lost == ["it did not read what it was sent"]


@pytest.mark.parametrize(
    ("error", "clause"),
    [
        (ConnectionRefusedError(111, "Connect call failed ('127.0.0.1', 1)"), "connection refused"),
        (OSError("Multiple exceptions: [Errno 111] Connect call failed, [Errno 113] No"), "connection refused"),
        (OSError("out of luck"), "out of luck"),
        (ConnectionError(), "ConnectionError"),
    ],
)
def test_an_error_of_the_system_is_a_clause(error: Exception, clause: str) -> None:
    assert reason(error) == clause
