"""A line that leaves when nobody is there: at no moment is a call lost between two daemons."""

from __future__ import annotations

import random
import socket
import subprocess
import sys
import time
from pathlib import Path

PATIENCE = 20.0

KEEPER = """
import asyncio, select, socket, sys
from pathlib import Path
from pychatd.config import Settings
from pychatd.identity import load
from pychatd.journal import Journal
from pychatd.listeners import Listeners, Passed
from pychatd.server import Server

directory = Path(sys.argv[1])
settings = Settings(7000, state=directory, exit_idle=float(sys.argv[2]))
tcp, console = socket.create_server(("127.0.0.1", 0)), socket.socket(socket.AF_UNIX)
console.bind(str(directory / "console.sock"))
console.listen()
for sock in (tcp, console):
    sock.setblocking(False)
identity = load(settings, make=True)
print(tcp.getsockname()[1], flush=True)

async def serve():
    listeners = Listeners([tcp.dup()], console.dup(), Passed([tcp], console))
    server = Server(settings, listeners, Journal(settings.journal, full=False), identity)
    await server.run(lambda: None, lambda: settings)

while sys.stdin not in select.select([tcp, console, sys.stdin], [], [])[0]:
    asyncio.run(serve())
    print("left", flush=True)
"""
"""Keeps the sockets and starts the line whenever somebody waits there, as systemd does."""

CALLS = 150
IDLE = 0.01


def test_no_call_is_lost_between_leaving_and_being_woken(tmp_path: Path) -> None:
    words = [sys.executable, "-c", KEEPER, str(tmp_path), str(IDLE)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as keeper:
        try:
            assert keeper.stdin
            assert keeper.stdout
            port = int(keeper.stdout.readline())
            chance = random.Random(7)
            for call in range(CALLS):
                with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as sock:
                    sock.sendall(b"\\hello 1 Client1\n")
                    assert sock.makefile().readline().startswith("\\hello 1 "), call
                time.sleep(chance.uniform(0, 3 * IDLE))
            keeper.stdin.close()
            left = keeper.stdout.read().count("left")
        finally:
            keeper.kill()
    assert CALLS / 5 < left < CALLS * 4 / 5, "the calls come before, at and after the leaving"
