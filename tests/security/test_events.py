"""The log tells of each caller that does not get in, with its address; and of many of them with a few lines."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from pychatd.process.log_limit import FIRST
from tests.support.fake_hosts import Hosts, client_context
from tests.support.raw_ends import BlockingEnd
from tests.support.service import Service
from tests.support.waiting import PATIENCE


def test_each_kind_of_caller_that_does_not_get_in_is_logged(service: Service) -> None:
    peer = service.greeted("Ann")
    peer.send("Ann> hello")
    assert peer.reads("\\ack")
    busy = service.connect()
    busy.send("\\hello 1 Bob")
    assert busy.reads("\\busy")
    service.logs(": refused, somebody else is talking")
    service.connect().close()
    service.logs(": closed the connection without a word")
    sock = socket.create_connection(("127.0.0.1", service.port), timeout=PATIENCE)
    with client_context().wrap_socket(sock) as mute:
        assert mute.version() == "TLSv1.3"
    service.logs(": left without a hello")


def test_refused_plaintext_and_certificates_are_logged(idle_service: Service, hosts: Hosts) -> None:
    service = idle_service
    listed = service.directory / "authorized"
    listed.mkdir()
    authority = hosts.identity("authority", authority=True)
    (listed / "authority.pem").write_bytes(authority.certificate.read_bytes())
    service.start("--config", service.configure(f'authorized = "{listed}"\n'))
    service.connect().send("hello")
    service.logs("127.0.0.1: refused: it calls without encryption")
    sock = socket.create_connection(("127.0.0.1", service.port), timeout=PATIENCE)
    signed = BlockingEnd(client_context(hosts.identity("mallory", by=authority).both).wrap_socket(sock))
    signed.send("\\hello 1 Mallory")
    service.logs(": refused, it has no certificate that lets it in")
    signed.close()


def test_one_address_does_not_fill_the_log(service: Service) -> None:
    for _ in range(200):
        service.connect().reset()
    for _ in range(200):
        caller = service.connect()
        caller.send("\\hello 2 Ann")
        assert caller.rest()
    service.send(signal.SIGTERM)
    service.logs("pychatd has stopped")
    assert len([line for line in service.log() if "127.0.0.1" in line]) <= 4 * (FIRST + 1)
    assert any("127.0.0.1: 195 more like this (protocol) in the last minute" in line for line in service.log())


def test_a_caller_that_returns_does_not_fill_the_log(service: Service) -> None:
    caller = service.connect()
    session = caller.greet("Bob")
    caller.send("Bob> Hi!")
    caller.reads("\\ack")
    for _ in range(50):
        caller = service.connect()
        caller.send(f"\\hello 1 Bob {session} got=7")
        caller.reads("\\hello")
    caller.send("\\quit")
    assert caller.rest()
    service.send(signal.SIGTERM)
    service.logs("pychatd has stopped")
    for words in ("is connected", "the journal has lost"):
        assert len([line for line in service.log() if words in line]) == FIRST
    service.logs("127.0.0.1: 46 more like this (connected) in the last minute")


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[socket.socket]:
    """A socket that takes what a program sends to systemd's journal."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(tmp_path / "journal"))
        sock.settimeout(PATIENCE)
        yield sock


def test_the_journal_gets_events_with_fields(
    idle_service: Service, journal: socket.socket, tmp_path: Path
) -> None:
    """The real daemon, with a journal of the test's own in place of systemd's."""
    service = idle_service
    code = f"from pychatd.process import logs; logs.SYSTEMD_JOURNAL = {str(tmp_path / 'journal')!r}\n"
    code += "from pychatd.daemon_cli import main; raise SystemExit(main())"
    reader, writer = socket.socketpair()
    here = os.fstat(writer.fileno())
    words = [service.command("run")[0].replace("pychatd", "python"), "-c", code, *service.command("run")[1:]]
    env = {**service.env, "JOURNAL_STREAM": f"{here.st_dev}:{here.st_ino}"}
    with reader, writer, subprocess.Popen(words, env=env, stderr=writer.fileno()) as daemon:
        try:
            assert b"pychatd serves on" in journal.recv(65536)
            caller = service.connect()
            caller.send("\\hello 2 Ann")
            assert caller.rest()
            entry = journal.recv(65536).decode().splitlines()
        finally:
            daemon.terminate()
    assert {"PRIORITY=4", f"PYCHAT_PORT={service.port}", "PYCHAT_EVENT=protocol", "PYCHAT_PEER=127.0.0.1"} <= {
        *entry
    }
