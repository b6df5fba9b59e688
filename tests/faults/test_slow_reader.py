"""An end that stops reading for a while: what waits for it is in the journal, and arrives once, in order."""

from __future__ import annotations

import re
import signal
import socket

from tests.support.service import Service
from tests.support.waiting import wait_for

TEXT = "\N{MATHEMATICAL BOLD SMALL X}" * 480  # four bytes each
FOR_PEER = 3000
FOR_CONSOLE = 600
"""More than the sockets of one connection hold on their way: with TCP that is up to four megabytes, with a UNIX
socket some hundred kilobytes."""


def test_a_peer_that_stops_reading_gets_all_in_order(free_service: Service) -> None:
    console = free_service.plain("pychatd-console", "--plain", "--handle", "Server")
    console.notes("The caller sends the first message")
    peer = free_service.greeted()
    peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)  # so that the daemon feels it
    peer.send("Client1> p1")
    console.says("> p1")
    for n in range(1, FOR_PEER + 1):
        console.enter(f"o{n} {TEXT}")
    wait_for(lambda: free_service.status()["peer"]["sent"] == FOR_PEER, "all is stored", 60)
    console.enter(f"o{FOR_PEER + 1} {TEXT}")
    peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    numbers: list[int] = []
    while len(numbers) <= FOR_PEER:
        line = peer.line()
        assert line, "the connection is gone"
        if found := re.match(r"\w+> o([0-9]+) ", line):
            numbers.append(int(found[1]))
    assert numbers == list(range(1, FOR_PEER + 2))


def test_a_console_that_is_stopped_gets_all_in_order(free_service: Service) -> None:
    console = free_service.plain("pychatd-console", "--plain", "--handle", "Server")
    console.notes("The caller sends the first message")
    peer = free_service.greeted()
    peer.send("Client1> p1")
    console.says("> p1")
    console.process.send_signal(signal.SIGSTOP)
    try:
        for n in range(2, FOR_CONSOLE, 50):
            peer.send(*(f"Client1> p{m} {TEXT}" for m in range(n, n + 50)))
            peer.reads(f"\\ack {n + 49}")
    finally:
        console.process.send_signal(signal.SIGCONT)
    last = n + 49
    wait_for(lambda: f"> p{last} " in console.out(), "all at the console", 60)
    peer.send(f"Client1> p{last + 1}")
    console.says(f"> p{last + 1}\n")
    assert re.findall(r"^\w+> p([0-9]+)", console.out(), re.M) == [str(n) for n in range(1, last + 2)]
