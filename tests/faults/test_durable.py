"""What an ack claims: the order of write, sync and telling anyone, seen in the daemon's system calls."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from pychatd.settings import UNSAFE_NO_SYNC
from tests.faults.strace import SYNCS, WRITES, Call, attached, why_not
from tests.support.programs import Piped
from tests.support.service import Service

TRACED = f"trace={WRITES},{SYNCS}"
SLOW_DISK = ("-e", "trace=pwrite64,fdatasync", "-e", "inject=pwrite64,fdatasync:delay_enter=100000")
"""Every write and every sync takes a tenth of a second: time to be killed in between."""

TOLD = {
    "peer": (("TCP", "\\ack"), ("UNIX", "Client1> ")),
    "operator": (("UNIX", "\\ack"), ("TCP", "Server> ")),
}
"""Who is told of a message of each role, and how: the sender with an ack, the other side with the words."""


@pytest.fixture(autouse=True)
def _needs_strace(tmp_path: Path) -> None:
    if reason := why_not(tmp_path):
        pytest.skip(reason)


def _console(service: Service) -> Piped:
    console = service.plain("pychatd-console", "--plain", "--handle", "Server")
    console.notes("The caller sends the first message")
    return console


def _burst(service: Service, file: Path) -> list[Call]:
    """The daemon's calls while both ends say something, in several bursts."""
    console = _console(service)
    peer = service.greeted()
    peer.send("Client1> first")
    peer.reads("\\ack 1")
    console.says("first")
    with attached(service.pid(), file, "-e", TRACED) as trace:
        for n in range(2, 12, 2):
            peer.send(f"Client1> p{n}", f"Client1> p{n + 1}")
            peer.reads(f"\\ack {n + 1}")
            console.enter(f"o{n}")
            peer.reads(f"Server> o{n}")
        console.says("p11")
        trace.waits_for("UNIX", "\\ack 5")
        return trace.calls()


def _check_order(calls: list[Call], *, synced: bool) -> int:
    """Each ack and each message forwarded comes after a write to the WAL that nobody has been told of
    yet, and after the sync of it; how many transactions there were."""
    written = durable = False
    told: set[str] = set()
    transactions = 0
    for call in calls:
        if call.writes_wal:
            if told or not written:
                transactions += 1
            written, durable, told = True, False, set()
        elif call.syncs_wal:
            durable = written
        else:
            for role, words in TOLD.items():
                for family, start in words:
                    if call.sends(family, start):
                        news = f"{role} {family}"
                        assert written, f"told before anything was written: {call}"
                        assert news not in told, f"told twice of one transaction: {call}"
                        assert all(earlier.startswith(role) for earlier in told), f"told before the write: {call}"
                        assert durable or not synced, f"told before the sync: {call}"
                        told.add(news)
    return transactions


def test_acks_and_messages_follow_the_write_and_its_sync(free_service: Service, tmp_path: Path) -> None:
    calls = _burst(free_service, tmp_path / "trace")
    assert _check_order(calls, synced=True) == 10  # five bursts of two messages and five answers
    assert sum(call.syncs_wal for call in calls) == 10


def test_without_syncs_a_commit_is_written_before_it_is_sent(idle_service: Service, tmp_path: Path) -> None:
    idle_service.env[UNSAFE_NO_SYNC] = "1"
    idle_service.start("--turns", "free")
    idle_service.logs("PYCHATD_UNSAFE_NO_SYNC is set: confirmed messages may not survive a power failure")
    calls = _burst(idle_service, tmp_path / "trace")
    assert _check_order(calls, synced=False) == 10
    assert not any(call.syncs for call in calls)


def test_a_daemon_killed_at_the_ack_has_the_message(free_service: Service, tmp_path: Path) -> None:
    service = free_service
    peer = service.connect()
    session = peer.greet("Client1")
    peer.send("Client1> first")
    peer.reads("\\ack 1")
    with attached(service.pid(), tmp_path / "trace", *SLOW_DISK):
        peer.send("Client1> second")
        peer.reads("\\ack 2")
        service.kill()
    service.start("--turns", "free")
    back = service.connect()
    back.send(f"\\hello 1 Client1 {session} got=0")
    assert " got=2 " in back.line()


def test_a_daemon_killed_after_delivery_has_the_message(free_service: Service, tmp_path: Path) -> None:
    service = free_service
    console = _console(service)
    peer = service.connect()
    session = peer.greet("Client1")
    peer.send("Client1> first")
    console.says("first")
    pid = service.pid()
    with attached(pid, tmp_path / "trace", *SLOW_DISK), service.ends():
        peer.send("Client1> second")
        console.says("second")
        os.kill(pid, signal.SIGKILL)
    console.process.kill()
    service.start("--turns", "free")
    with attached(service.pid(), tmp_path / "trace", *SLOW_DISK), service.ends():
        console = service.plain("pychatd-console", "--plain", "--handle", "Server")
        console.says("second")
        back = service.connect()
        back.send(f"\\hello 1 Client1 {session} got=0")
        assert " got=2 " in back.line()
        console.enter("an answer")
        back.reads("Server> an answer")
        service.send(signal.SIGKILL)
    console.process.kill()
    service.start("--turns", "free")
    again = service.connect()
    again.send(f"\\hello 1 Client1 {session} got=1")
    assert " got=2 " in again.line()
