"""Hosts that are not what they should be: a TLS server of the test's own, and somebody in the middle.

Each remembers what it was shown and told. Everything is on the loopback device, and bounded.
"""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.support import certificates
from tests.support.certificates import Made
from tests.support.waiting import PATIENCE, wait_for


def server_context(identity: Made) -> ssl.SSLContext:
    """TLS of any version with `identity`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(identity.both)
    return context


def client_context(own: Path | None = None) -> ssl.SSLContext:
    """TLS 1.3 with whoever answers; own: the PEM file of a client certificate to show."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if own is not None:
        context.load_cert_chain(own)
    return context


@dataclass
class Visit:
    """What one connection brought. handshake: it was made; told: application bytes."""

    handshake: bool = False
    certificate: bytes | None = None
    told: bytes = b""
    over: threading.Event = field(default_factory=threading.Event)


class FakeHost:
    """Takes connections on a free port, with TLS where there is a context; says `says` to each, and listens."""

    def __init__(
        self,
        context: ssl.SSLContext | None,
        says: bytes = b"",
        *,
        hangs_up: bool = False,
        answers: Callable[[bytes], bytes] = lambda data: b"",
    ) -> None:
        """hangs_up: closes behind what it says; answers: what it says to each piece that it is told."""
        self._answers = answers
        self.visits: list[Visit] = []
        self._context = context
        self._says = says
        self._hangs_up = hangs_up
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._open: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._serve, daemon=True)]
        self._threads[0].start()

    @property
    def told(self) -> bytes:
        """All application bytes of all connections that are over."""
        return b"".join(visit.told for visit in self.visits)

    def idle(self) -> None:
        """Waits until every connection so far is over."""
        wait_for(lambda: self.visits and all(visit.over.is_set() for visit in self.visits), "the calls are over")

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for sock in self._open:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(PATIENCE)

    def _serve(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            sock.settimeout(PATIENCE)
            visit = Visit()
            self.visits.append(visit)
            self._open.append(sock)
            thread = threading.Thread(target=self._host, args=(sock, visit), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _host(self, sock: socket.socket, visit: Visit) -> None:
        try:
            with suppress(OSError), sock:
                if self._context is None:
                    self._talk(sock, visit)
                else:
                    with self._context.wrap_socket(sock, server_side=True) as tls:
                        self._open.append(tls)
                        visit.handshake = True
                        visit.certificate = tls.getpeercert(binary_form=True)
                        self._talk(tls, visit)
        finally:
            visit.over.set()

    def _talk(self, sock: socket.socket, visit: Visit) -> None:
        sock.sendall(self._says)
        while not self._hangs_up and (data := sock.recv(65536)):
            visit.told += data
            sock.sendall(self._answers(data))


class Middle:
    """Somebody between a client and the daemon on `port`: hands on what comes, as it is or changed.

    context: from now on it is TLS of its own on either side, with everything in clear between.
    """

    def __init__(self, port: int) -> None:
        self.context: ssl.SSLContext | None = None
        self.change: Callable[[bytes], bytes] = lambda data: data  # applied to what the client sends
        self.upward: list[bytes] = []  # what the client sent, and the daemon answered
        self.downward: list[bytes] = []
        self.certificates: list[bytes | None] = []
        self._daemon = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._open: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._serve, daemon=True)]
        self._threads[0].start()

    def cut(self) -> None:
        """Ends all connections."""
        for sock in self._open:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        self._open = []

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()
        for thread in self._threads:
            thread.join(PATIENCE)

    def _serve(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            near.settimeout(PATIENCE)
            self._start(self._join, near)

    def _start(self, target: Callable[..., None], *args: object) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _join(self, near: socket.socket) -> None:
        far = socket.create_connection(("127.0.0.1", self._daemon), timeout=PATIENCE)
        self._open += [near, far]
        try:
            if self.context is not None:
                near = self.context.wrap_socket(near, server_side=True)
                self.certificates.append(near.getpeercert(binary_form=True))
                far = client_context().wrap_socket(far)
                self._open += [near, far]
        except OSError:
            near.close()
            far.close()
            return
        self._start(self._pump, far, near, self.downward, lambda data: data)
        self._pump(near, far, self.upward, self._change)

    def _change(self, data: bytes) -> bytes:
        return self.change(data)  # whatever it is now

    def _pump(
        self, source: socket.socket, sink: socket.socket, seen: list[bytes], change: Callable[[bytes], bytes]
    ) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                seen.append(data)
                sink.sendall(change(data))
        for sock in (source, sink):
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)


class Hosts:
    """Makes them, and closes them all."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory / "hosts"
        self._made: list[FakeHost | Middle] = []
        self._number = 0

    def identity(
        self, name: str = "localhost", *, by: Made | None = None, ends: int = 1, authority: bool = False
    ) -> Made:
        """A certificate of its own for each call; see certificates.make."""
        self._number += 1
        return certificates.make(self._directory / str(self._number), name, by=by, ends=ends, authority=authority)

    def fake(
        self,
        context: ssl.SSLContext | Made | None,
        says: bytes = b"",
        *,
        hangs_up: bool = False,
        answers: Callable[[bytes], bytes] = lambda data: b"",
    ) -> FakeHost:
        tls = server_context(context) if isinstance(context, Made) else context
        host = FakeHost(tls, says, hangs_up=hangs_up, answers=answers)
        self._made.append(host)
        return host

    def middle(self, port: int) -> Middle:
        middle = Middle(port)
        self._made.append(middle)
        return middle

    def close(self) -> None:
        for host in self._made:
            host.close()
