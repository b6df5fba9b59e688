"""A talk over the lowest ends there are: a raw peer over TLS and a raw console, that speak in turn."""

from __future__ import annotations

import socket
import statistics
import time
from collections.abc import Sequence

from tests.support.fake_hosts import client_context
from tests.support.raw_ends import BlockingEnd
from tests.support.service import Service
from tests.support.waiting import PATIENCE, wait_for

ROUND_TRIPS = 300


class Talk:
    """A peer and an operator of a service that runs."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self.console = service.connect_console("\\hello 1 Server")
        self.peer = self.dial()
        self.token = self.peer.greet("Client1")
        self.said = 0
        self.heard = 0
        self.round_trip()

    def dial(self) -> BlockingEnd:
        sock = socket.create_connection(("127.0.0.1", self._service.port), timeout=PATIENCE)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # as the client does
        return BlockingEnd(client_context().wrap_socket(sock))

    def round_trip(self) -> float:
        """Seconds for a word of the peer and the operator's answer."""
        begin = time.monotonic()
        self.said += 1
        self.peer.send(f"Client1> word {self.said}")
        assert self.console.reads("Client1> ") == f"Client1> word {self.said}"
        self.console.send(f"\\ack {self.said}", f"Server> answer {self.said}")
        assert self.peer.reads("Server> ") == f"Server> answer {self.said}"
        self.heard += 1
        self.peer.send(f"\\ack {self.heard}")
        return time.monotonic() - begin

    def measure(self, seconds: float = 0.0) -> list[float]:
        """The round trips of at least so many seconds."""
        end = time.monotonic() + seconds
        times = [self.round_trip() for _ in range(ROUND_TRIPS)]
        while time.monotonic() < end:
            times.append(self.round_trip())
        return times

    def come_back(self) -> tuple[float, int]:
        """The peer is cut off and calls again, as the client does: the seconds until it has its seat, and its
        calls."""
        self.peer.reset()
        begin = time.monotonic()
        calls = self._resume()
        return time.monotonic() - begin, calls

    def _resume(self) -> int:
        calls = 0

        def call() -> bool:
            nonlocal calls
            calls += 1
            try:
                peer = self.dial()
                peer.send(f"\\hello 1 Client1 {self.token} got={self.heard}")
                answer = peer.line()
            except OSError:
                return False
            self.peer = peer
            return self.token in answer and f"got={self.said}" in answer

        wait_for(call, "the conversation goes on")
        return calls

    def close(self) -> None:
        self.peer.close()
        self.console.close()


def percentiles(times: Sequence[float]) -> tuple[float, float]:
    """p50 and p99."""
    hundredths = statistics.quantiles(times, n=100)
    return hundredths[49], hundredths[98]
