"""Watchers that mean no good, as a program of their own: `python -m tests.security.observers SOCKET KIND...`.

Each KIND is one connection. One that is ended is made again after a moment. It says "ready" when all are there.
"""

from __future__ import annotations

import socket
import sys
import threading
import time

AGAIN_SECONDS = 0.02
"""Until a connection is made again."""


def _observe(path: str, kind: str, there: threading.Barrier) -> None:
    first = True
    while True:
        with socket.socket(socket.AF_UNIX) as sock:
            try:
                sock.connect(path)
                sock.sendall(b"\\watch\n")
                if first:
                    there.wait()
                    first = False
                _go_on(sock, kind)
            except OSError:
                pass
        time.sleep(AGAIN_SECONDS)


def _go_on(sock: socket.socket, kind: str) -> None:
    match kind:
        case "does not read":
            threading.Event().wait()
        case "floods":
            threading.Thread(target=_read, args=(sock,), daemon=True).start()
            while True:
                sock.sendall(500 * b"\\ping\n")
        case "asks for everything":  # it takes all that is unread, and asks again
            sock.settimeout(0.2)
            _read(sock)


def _read(sock: socket.socket) -> None:
    try:
        while sock.recv(65536):
            pass
    except OSError:
        pass


def main(path: str, *kinds: str) -> None:
    there = threading.Barrier(len(kinds) + 1)
    for kind in kinds:
        threading.Thread(target=_observe, args=(path, kind, there), daemon=True).start()
    there.wait()
    print("ready", flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    main(*sys.argv[1:])
