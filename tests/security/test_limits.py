"""What callers without the seat send costs the talk nothing, and nobody is read faster than agreed."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import time
from contextlib import suppress
from pathlib import Path

import pytest

from pychat_client.protocol.turns import Turns
from pychat_client.transport.connection import DISCARD_MAX, READ_MAX
from pychatd.conversation.quota import UNREAD_MAX
from pychatd.conversation.reading_price import STRANGER_READ
from pychatd.conversation.switchboard import RATE_BURST, RATE_SLICE
from tests.support.in_process import InProcessService, with_service
from tests.support.raw_ends import KEY_GAP, AsyncEnd
from tests.support.service import Service
from tests.support.waiting import wait_for

STRANGERS = 10
BUSY_PART = 0.3
"""The part of a processor that strangers may take in this test: three times as much as is promised, for a machine
that is slow or counts roughly. Without a limit they take nearly all of it."""


def _lines(line: str, size: int) -> bytes:
    """About `size` bytes of one line."""
    return f"{line}\n".encode() * (size // (len(line) + 1))


# ------------------------------------------------------------------ messages


@pytest.mark.parametrize("rate", [1, 10, 1000])
def test_what_refused_callers_send_is_not_charged_to_the_peer(tmp_path: Path, rate: int) -> None:
    @with_service(turns=Turns.FREE, rate=rate)
    async def check(service: InProcessService) -> None:
        peer, _ = await service.peer("Hi!")
        for number in range(STRANGERS):
            stranger = await service.call()
            await stranger.raw(b"\\hello 1 Eve\n" + _lines(f"Eve> {number}", 45_000))
            assert (await stranger.rest())[-1].startswith("\\busy")
        assert service.transport(peer).is_reading()
        await peer.say("Bob> still here")
        assert "\\ack 2" in await peer.news()
        assert service.stored() == ["Hi!", "still here"]

    check(tmp_path)


@with_service(turns=Turns.FREE, rate=10, grace=0.0)
async def test_a_waiting_caller_is_not_charged_to_the_peer(service: InProcessService) -> None:
    peer, token = await service.peer("Hi!")
    await service.lose(peer)
    stranger, _ = await service.greeted("Eve")
    peer, _ = await service.resumed(token)
    with suppress(OSError):
        await stranger.raw(_lines("Eve> x", 45_000))
    await stranger.rest()
    assert service.transport(peer).is_reading()


@with_service(turns=Turns.FREE, rate=1)
async def test_the_next_peer_inherits_no_debt(service: InProcessService) -> None:
    for handle in ("Bob", "Eve"):
        await service.peer("Hi!", handle=handle)
        assert service.switchboard.peer is not None
        assert service.switchboard.pause_for(service.switchboard.peer) <= 1 - RATE_BURST
        service.switchboard.end_conversation("", None)


@with_service(turns=Turns.FREE, rate=20)
async def test_the_debt_of_a_peer_is_bounded(service: InProcessService) -> None:
    """However much it has sent, its next message is stored after a moment."""
    peer, token = await service.peer("Hi!")
    await peer.raw(_lines("Bob> x", 60_000))
    while len(service.stored()) < 8:
        await asyncio.sleep(0.01)
    assert service.switchboard.peer is not None
    assert service.switchboard.pause_for(service.switchboard.peer) <= RATE_SLICE
    again, hello = await service.resumed(token)
    await again.say("Bob> next")
    assert f"\\ack {(hello.got or 0) + 1}" in [await again.hear() for _ in range(2)]


@pytest.mark.parametrize("rate", [7, 100, 1000])
@pytest.mark.parametrize("mixed", [False, True])
def test_the_rate_is_kept(tmp_path: Path, rate: int, mixed: bool) -> None:
    """No more than `rate` messages a second are stored, however they come."""

    @with_service(turns=Turns.FREE, rate=rate)
    async def check(service: InProcessService) -> None:
        peer, _ = await service.peer("Hi!")
        begin = time.monotonic()
        flood = asyncio.create_task(_flood(peer, _lines("Bob> x\n\\typing" if mixed else "Bob> x", 1 << 18)))
        while (stored := service.counts()[0]) < 0.8 * rate:
            await asyncio.sleep(0.01)
        seconds = time.monotonic() - begin
        flood.cancel()
        assert stored <= rate * (seconds + RATE_BURST + RATE_SLICE) + 2

    check(tmp_path)


async def _flood(end: AsyncEnd, data: bytes) -> None:
    with suppress(OSError):
        await end.raw(data)


@with_service(turns=Turns.FREE, rate=50)
async def test_what_waits_is_stored_in_order_before_the_end(service: InProcessService) -> None:
    peer, _ = await service.peer("Hi!")
    await peer.say(*(f"Bob> {n}" for n in range(40)), "\\quit bye")
    assert (await peer.rest())[-2:] == ["\\ack 41", "\\quit bye"]  # the daemon has got the end, too
    assert [e.text for e in service.journal.entries(1, 0)] == ["Hi!", *map(str, range(40))]
    ended = service.journal.by_id(1)
    assert ended
    assert ended.reason == "bye"


@with_service(turns=Turns.FREE, rate=50)
async def test_what_waits_of_a_classic_peer_is_stored_though_it_leaves(service: InProcessService) -> None:
    peer = await service.classic("Bob> Hi!")
    await peer.say(*(f"Bob> {n}" for n in range(40)))
    while service.transport(peer).is_reading():
        await asyncio.sleep(0.01)
    service.transport(peer).abort()
    await service.lose(peer)
    assert [e.text for e in service.journal.entries(1, 0)] == ["Hi!", *map(str, range(40))]


@with_service(turns=Turns.FREE, rate=1)
async def test_a_peer_that_waits_for_its_rate_does_not_count_as_dead(service: InProcessService) -> None:
    peer, _ = await service.peer("Hi!")
    await peer.raw(_lines("Bob> x", 1000))
    while service.transport(peer).is_reading():
        await asyncio.sleep(0.01)
    connection = service.connections[-1]
    connection._last_received -= 3600.0
    connection._check_alive()
    connection._check_alive()
    assert not service.is_closed(peer)
    assert b"\\ping" not in peer.waiting()


# ------------------------------------------------------------------ a caller that has been told to go


@with_service()
async def test_nothing_is_read_of_a_caller_that_was_told_to_go(service: InProcessService) -> None:
    await service.peer("Hi!")
    stranger = await service.call("\\hello 1 Eve")
    assert (await stranger.hear()).startswith("\\busy")
    sent, data = 0, bytes(READ_MAX)
    while sent < 100 * DISCARD_MAX:
        try:
            sent += stranger.sock.send(data)
        except BlockingIOError:
            if not service.transport(stranger).is_reading():
                break
            await asyncio.sleep(0)
    assert sent < 10 * DISCARD_MAX


# ------------------------------------------------------------------ control lines


@pytest.mark.parametrize("line", ["\\ping", "\\typing", "\\a", "\\pong", "\\read 1"])
def test_a_flood_of_control_lines_stays_in_the_socket(tmp_path: Path, line: str) -> None:
    @with_service()
    async def check(service: InProcessService) -> None:
        stranger, _ = await service.greeted("Eve")
        flood = asyncio.create_task(_flood(stranger, _lines(line, 1 << 20)))
        while service.transport(stranger).is_reading():
            await asyncio.sleep(0)
        answers = len(stranger.waiting()) / len("\\pong\n")
        assert answers <= STRANGER_READ / len("\\ping\n")
        flood.cancel()

    check(tmp_path)


@with_service()
async def test_a_peers_flood_of_control_lines_stays_in_the_socket(service: InProcessService) -> None:
    peer, _ = await service.peer("Hi!")
    flood = asyncio.create_task(_flood(peer, _lines("\\ping", 1 << 20)))
    while service.transport(peer).is_reading():
        await asyncio.sleep(0)
    flood.cancel()


@pytest.mark.parametrize("line", ["\\ping", "\\dance the=tango"])
def test_a_silent_caller_leaves_the_processor_to_others(service: Service, line: str) -> None:
    """It says nothing of use, as fast as it can."""
    _check_takes_little(service, service.greeted("Eve").socket, _lines(line, 30_000))


def test_a_caller_that_types_and_erases_leaves_the_processor_too(service: Service) -> None:
    """Its line is empty again and again, so it never becomes too long."""
    stranger = socket.create_connection(("127.0.0.1", service.port))
    for key in (b"h", b"i"):
        stranger.sendall(key)
        time.sleep(KEY_GAP)  # by this pause it is known that somebody types
    half = STRANGER_READ // 2
    _check_takes_little(service, stranger, b"x" * (half - 1) + b"\b" * (half + 1))
    stranger.close()


@pytest.mark.parametrize("nothing", [b"\0", b" ", b"x", b"\xff\xf1"])
def test_who_sends_and_sends_without_a_message_is_put_out(service: Service, nothing: bytes) -> None:
    """It is no caller that says nothing: it would hide one, for as long as the daemon takes to read it."""
    stranger = service.connect()
    stranger.raw(nothing * 20_000)
    stranger.reads("\\error empty You sent more than 16,384 bytes without a message.")
    stranger.close()


def _check_takes_little(service: Service, stranger: socket.socket, data: bytes) -> None:
    stranger.setblocking(False)
    begin, used = time.monotonic(), _processor_seconds(service.pid())
    while (passed := time.monotonic() - begin) < 1.0:
        with suppress(BlockingIOError):
            stranger.send(data)
        with suppress(BlockingIOError):
            stranger.recv(1 << 16)
    assert (_processor_seconds(service.pid()) - used) / passed < BUSY_PART


def _processor_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


# ------------------------------------------------------------------ the disk


@with_service(turns=Turns.FREE, rate=0)
async def test_a_stranger_that_nobody_reads_fills_no_disk(service: InProcessService) -> None:
    peer, token = await service.peer("Hi!")
    answers: list[str] = []
    while not any("\\error journal" in line for line in answers):
        await _flood(peer, _lines("Bob> x", READ_MAX))
        answers = await peer.news()
    stored = service.counts()[0]
    assert UNREAD_MAX <= stored < UNREAD_MAX + READ_MAX / len("Bob> x\n")
    again, hello = await service.resumed(token)
    assert hello.got == stored  # all that was confirmed is still there
    await again.say("Bob> more")
    assert (await again.rest())[-1].startswith("\\error journal No more messages are stored ")
    assert service.counts()[0] == stored


def test_a_client_keeps_what_a_full_journal_does_not_take(idle_service: Service) -> None:
    """And sends it when there is room again."""
    service, settings = idle_service, 'turns = "free"\nrate = 0\ngrace = 0\n'
    service.start("--config", service.configure(f"{settings}journal_max = 1"))
    console = service.ready_plain("pychatd-console", "--plain", "--handle", "Server")
    stranger, answer = service.greeted("Eve"), "\\ack"
    while answer.startswith("\\ack"):
        stranger.send(*["Eve> " + 500 * "x"] * 100)
        answer = stranger.reads("\\ack", "\\error journal")
    console.notes("No more messages are stored: the journal has reached journal_max (1 MB).")
    stranger.close()
    wait_for(lambda: not service.status()["peer"]["connected"], "the seat is free")
    client = service.ready_plain("pychat", "--plain", "--handle", "Client1")
    client.enter("Are you there?")
    client.notes("The other host cannot store messages now")
    assert "Client1> " not in console.out()
    service.configure(f"{settings}journal_max = 0")
    service.send(signal.SIGHUP)
    console.says("Client1> Are you there?\n")
    console.notes("pychatd can store messages again.")
