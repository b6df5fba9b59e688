"""Strangers before the door: many connections that say nothing, drip, send garbage, shake half a hand.

One thread, so that the machine's own work stays small. Every connection that the daemon ends is made again.
"""

from __future__ import annotations

import random
import socket
import ssl
import threading
import time
from contextlib import suppress
from pathlib import Path

from tests.support.fake_hosts import client_context

EACH = 2
"""How many call from one address on the loopback device: 8 from one are let in at once."""

ROUND = 0.05
"""Seconds between two words of everybody."""


def _client_hello() -> bytes:
    """The first flight of a TLS handshake."""
    out = ssl.MemoryBIO()
    with suppress(ssl.SSLWantReadError):
        client_context().wrap_bio(ssl.MemoryBIO(), out).do_handshake()
    return out.read()


HELLO = _client_hello()


class _Stranger:
    """One place in the crowd: connects again whenever it is thrown out."""

    def __init__(self, kind: str, number: int, port: int) -> None:
        self._kind = kind
        host = 2 + number // EACH
        self._host = f"127.0.{host // 250}.{host % 250 + 1}"
        self._port = port
        self._socket: socket.socket | None = None
        self._said = 0
        self.calls = 0

    def turn(self) -> None:
        try:
            if self._socket is None:
                self._socket = socket.socket()
                self._socket.setblocking(False)
                self._socket.bind((self._host, 0))
                self._said = 0
                self.calls += 1
                self._socket.connect_ex(("127.0.0.1", self._port))
                return
            sock = self._socket
            if self._kind != "does not read" and not sock.recv(4096):
                raise ConnectionResetError
        except BlockingIOError:
            pass
        except OSError:
            self.leave()
            return
        self._speak(sock)

    def _speak(self, sock: socket.socket) -> None:
        try:
            if words := self._words():
                sock.send(words)
                self._said += 1
        except BlockingIOError:
            pass
        except OSError:
            self.leave()

    def _words(self) -> bytes:
        match self._kind:
            case "says nothing":
                return b""
            case "drips":
                return b"\\hello 1 Drip"[self._said : self._said + 1] if self._said < 13 else b"x"
            case "sends garbage":
                return random.randbytes(4096)
            case "drips TLS":
                return HELLO[self._said : self._said + 1]
            case "half a handshake":
                return HELLO if self._said == 0 else b""
            case "does not read":
                return b"\\hello 1 Deaf\n" if self._said == 0 else b"\\ping\n" * 1000
            case _:
                return b"\\hello 1 Caller\n" if self._said == 0 else b""

    def leave(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None


KINDS = (
    "says nothing",
    "drips",
    "sends garbage",
    "drips TLS",
    "half a handshake",
    "does not read",
    "says hello only",
)


class Siege:
    """`count` strangers at the daemon on `port`, from now until `end`."""

    def __init__(self, port: int, pid: int, count: int) -> None:
        self.most = 0  # KiB of the daemon's memory
        self._pid = pid
        self._crowd = [_Stranger(KINDS[number % len(KINDS)], number, port) for number in range(count)]
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @property
    def calls(self) -> int:
        """How many connections there have been so far."""
        return sum(stranger.calls for stranger in self._crowd)

    def end(self) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._over.is_set():
            begin = time.monotonic()
            for stranger in self._crowd:
                stranger.turn()
            self.most = max(self.most, memory(self._pid))
            self._over.wait(max(0.0, ROUND - (time.monotonic() - begin)))
        for stranger in self._crowd:
            stranger.leave()


def memory(pid: int) -> int:
    """KiB of a process's memory that are in RAM."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    raise AssertionError("no VmRSS")
