"""A daemon that ends: a call at that very moment is for the next daemon, and nobody's reading keeps it long."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

KEEPER = r"""
import asyncio, logging, select, socket, sys, threading
from pathlib import Path
from pychatd.settings import Settings
from pychatd.network.identity import load
from pychatd.conversation.journal import Journal
from pychatd.network.listeners import Listeners
from pychatd.network.server import Server

directory = Path(sys.argv[1])
settings = Settings(7000, state=directory, exit_idle=0.01)
tcp, console = socket.create_server(("127.0.0.1", 0)), socket.socket(socket.AF_UNIX)
console.bind(str(directory / "console.sock"))
console.listen()
for sock in (tcp, console):
    sock.setblocking(False)
identity = load(settings, make=True)

def call():
    sock = socket.create_connection(tcp.getsockname(), timeout=10)
    sock.sendall(b"\\hello 1 Client1\n")
    threading.Thread(target=hear, args=[sock]).start()

def hear(sock):
    with sock:
        print(sock.makefile().readline().split()[:2], flush=True)

class Late(logging.Handler):
    def emit(self, record):
        global calls
        if "exiting until the next call" in record.getMessage() and calls:
            calls -= 1
            call()

async def serve():
    listeners = Listeners([tcp.dup()], console.dup(), passed=True)
    server = Server(settings, listeners, Journal(settings.journal, full=False), identity)
    await server.run(lambda: None, lambda: settings)

log = logging.getLogger("pychatd")
log.addHandler(Late())
log.setLevel(logging.INFO)
calls = int(sys.argv[2])
call()
while select.select([tcp, console], [], [], 1)[0]:
    asyncio.run(serve())
"""
"""Keeps the sockets and starts the service for each connection, as systemd does. Calls at the moment when the
service decides to exit."""

CALLS = 20


def test_no_call_is_lost_between_exit_and_start(tmp_path: Path) -> None:
    words = [sys.executable, "-c", KEEPER, str(tmp_path), str(CALLS)]
    result = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True, timeout=60)
    assert result.stdout.splitlines() == ["['\\\\hello', '1']"] * (CALLS + 1)


READER = r"""
import asyncio, os, signal, socket, sys
from pathlib import Path
from pychat_client.transport.connection import TransportState
from pychatd.settings import Settings
from pychatd.network import server
from pychatd.network.identity import load
from pychatd.conversation.journal import Journal
from pychatd.network.listeners import Listeners

directory = Path(sys.argv[1])
settings = Settings(7000, state=directory)
console = socket.socket(socket.AF_UNIX)
console.bind(str(directory / "console.sock"))
console.listen()
console.setblocking(False)
server.FINISH_SECONDS = 300
reader = socket.socket(socket.AF_UNIX)

async def reads_all(_):
    reader.connect(console.getsockname())
    reader.sendall(b"\\history\n")
    while await asyncio.to_thread(reader.recv, 1000):
        pass
    os.kill(os.getpid(), signal.SIGTERM)

async def reads_late(service):
    service._consoles._execute = lambda words: 1000 * [500 * "x"]  # more than the kernel takes
    reader.connect(console.getsockname())
    reader.sendall(b"\\order something\n")
    while not any(one.state is TransportState.CLOSING for one in service._consoles.connections):
        await asyncio.sleep(0)
    os.kill(os.getpid(), signal.SIGTERM)
    while console.fileno() != -1:
        await asyncio.sleep(0)
    data = b""
    while piece := await asyncio.to_thread(reader.recv, 1000):
        data += piece
    reader.close()
    print(data.count(500 * b"x"))

async def serve():
    journal, identity = Journal(settings.journal, full=False), load(settings, make=True)
    service = server.Server(settings, Listeners([], console, passed=True), journal, identity)
    reading = asyncio.create_task(globals()[sys.argv[2]](service))
    await service.run(lambda: None, lambda: settings)
    await reading

asyncio.run(serve())
"""
"""A service that stops when somebody has read its history to the end, and does not close, as a pager; or reads the
rest of an answer only then."""


def _read(state: Path, how: str) -> str:
    words = [sys.executable, "-c", READER, str(state), how]
    return subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True, timeout=60).stdout


def test_who_has_read_all_does_not_delay_a_stop(tmp_path: Path) -> None:
    _read(tmp_path, "reads_all")


def test_who_was_not_sent_all_yet_gets_it_before_the_daemon_ends(tmp_path: Path) -> None:
    assert _read(tmp_path, "reads_late") == "1000\n"
