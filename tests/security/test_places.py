"""Strangers take no place from the peer who talks, or who was cut off and comes back."""

from __future__ import annotations

import select
import socket
from collections.abc import Iterator

import pytest

from pychatd.conversation.console_session import VISITORS_MAX
from pychatd.network.admission import CALLERS_PER_NETWORK
from tests.support.raw_ends import BlockingEnd
from tests.support.service import Service
from tests.support.waiting import PATIENCE, wait_for

CALLERS = 64


class Crowd:
    """Callers from many addresses of the loopback device."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._hosts = (f"127.0.{high}.{low}" for high in range(1, 250) for low in range(1, 250))
        self.ends: list[BlockingEnd] = []

    def call(self, host: str | None = None) -> BlockingEnd:
        """One more connection, by default from an address that nobody has used."""
        address = (host or next(self._hosts), 0)
        sock = socket.create_connection(
            ("127.0.0.1", self._service.port), timeout=PATIENCE, source_address=address
        )
        self.ends.append(BlockingEnd(sock))
        return self.ends[-1]

    def silent(self, count: int) -> None:
        for _ in range(count):
            self.call()

    def begun(self, count: int) -> None:
        """Callers who have sent a part of a hello, which the daemon has seen."""
        for _ in range(count):
            self.call().raw(b"\\hel")
        self._service.status()  # asked behind them

    def open(self, ends: list[BlockingEnd] | None = None) -> int:
        """How many are still connected."""
        return sum(not _is_closed(end) for end in (self.ends if ends is None else ends))

    def close(self) -> None:
        for end in self.ends:
            end.close()


def _is_closed(end: BlockingEnd) -> bool:
    if end.socket.fileno() < 0:
        return True
    if not select.select([end.socket], [], [], 0)[0]:
        return False
    try:
        return end.socket.recv(1, socket.MSG_PEEK) == b""
    except OSError:
        return True


@pytest.fixture
def crowd(service: Service) -> Iterator[Crowd]:
    crowd = Crowd(service)
    yield crowd
    crowd.close()


def _talks(service: Service, caller: BlockingEnd) -> str:
    """The caller takes the seat. The word with its token."""
    token = caller.greet("Peer")
    caller.send("Peer> Hi!")
    assert caller.reads("\\ack") == "\\ack 1"
    return token


def _resumes(caller: BlockingEnd, token: str) -> None:
    caller.send(f"\\hello 1 Peer {token} got=0")
    assert f"{token} got=1" in caller.line()


def _cut_off(service: Service, caller: BlockingEnd) -> None:
    caller.reset()
    wait_for(lambda: not service.status()["peer"]["connected"], "the daemon notices")


def test_a_peer_that_was_cut_off_comes_back_from_another_address(service: Service, crowd: Crowd) -> None:
    peer = crowd.call()
    token = _talks(service, peer)
    crowd.silent(CALLERS)
    _cut_off(service, peer)
    crowd.silent(CALLERS)
    _resumes(crowd.call(), token)


def test_a_peer_that_comes_back_has_time_to_speak(service: Service, crowd: Crowd) -> None:
    """As many others come behind it as half of the places; those that began a hello have to go."""
    crowd.begun(CALLERS)
    returning = crowd.call("127.0.250.1")
    crowd.silent(CALLERS // 2 - 1)
    wait_for(lambda: crowd.open() == CALLERS, "the others are put out")
    assert not _is_closed(returning)
    returning.greet("Peer")


def test_the_address_of_a_peer_that_was_cut_off_keeps_its_place(service: Service, crowd: Crowd) -> None:
    """However many come before it speaks. The address is the last one, not that of its first call."""
    peer = crowd.call()
    token = _talks(service, peer)
    _cut_off(service, peer)
    again = crowd.call("127.0.250.1")
    _resumes(again, token)
    _cut_off(service, again)
    returning = crowd.call("127.0.250.1")
    crowd.silent(3 * CALLERS)
    wait_for(lambda: crowd.open() <= CALLERS, "the others are put out")
    _resumes(returning, token)


def test_who_has_the_seat_is_never_put_out(service: Service, crowd: Crowd) -> None:
    peer = crowd.call("127.0.250.1")
    _talks(service, peer)
    for _ in range(2 * CALLERS_PER_NETWORK):
        crowd.call("127.0.250.1")
    crowd.silent(2 * CALLERS)
    wait_for(lambda: crowd.open() == CALLERS + 1, "the others are put out")
    peer.send("\\ping")
    assert peer.line() == "\\pong"


def test_the_seat_does_not_count_against_its_address(service: Service, crowd: Crowd) -> None:
    _talks(service, crowd.call("127.0.250.1"))
    others = [crowd.call("127.0.250.1") for _ in range(CALLERS_PER_NETWORK)]
    crowd.call("127.0.250.2").send("\\hello 1 Late")
    assert crowd.ends[-1].line().startswith("\\busy")
    assert crowd.open(others) == CALLERS_PER_NETWORK
    crowd.call("127.0.250.1")
    wait_for(lambda: crowd.open([*others, crowd.ends[-1]]) == CALLERS_PER_NETWORK, "one is put out")


def test_a_silent_crowd_keeps_no_caller_out(service: Service, crowd: Crowd) -> None:
    """A caller who has said hello has the seat, whatever number of silent ones comes behind."""
    crowd.silent(CALLERS - 1)
    ann = crowd.call()
    ann.greet("Ann")
    crowd.begun(CALLERS)
    wait_for(lambda: crowd.open() == CALLERS + 1, "the silent ones are put out")
    ann.send("Ann> hello")
    assert ann.reads("\\ack") == "\\ack 1"


# ------------------------------------------------------------------ the console socket


def _reader(service: Service) -> BlockingEnd:
    """A member of the group who asks for the history, and does not read it."""
    sock = socket.socket(socket.AF_UNIX)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
    sock.settimeout(PATIENCE)
    sock.connect(str(service.place / "console.sock"))
    reader = BlockingEnd(sock)
    reader.send("\\history")
    return reader


def _long_history(service: Service) -> None:
    """More than the buffers of a socket take."""

    caller = service.connect()
    caller.greet("Ann")
    for _ in range(40):
        caller.send(*[f"Ann> {'x' * 500}"] * 25)
    wait_for(lambda: caller.reads("\\ack") == "\\ack 1000", "all is stored")
    caller.send("\\quit")


def test_readers_who_do_not_read_keep_no_operator_out(idle_service: Service) -> None:
    service = idle_service
    service.start("--turns", "free")
    _long_history(service)
    readers = [_reader(service) for _ in range(2 * VISITORS_MAX)]
    console = service.ready_plain("pychatd-console")
    readers += [_reader(service) for _ in range(2 * VISITORS_MAX)]
    service.logs("a newer one took the place")
    assert service.status()["console"] is not None
    console.end_input()
    for reader in readers:
        reader.close()
