"""`make pictures`: the animated picture in the README, of live typing and of a cut cable that heals.

It is drawn from a real conversation. Each frame is what both terminals showed at one moment.
"""

from __future__ import annotations

import socket
import tempfile
import threading
from contextlib import suppress
from pathlib import Path

from pictures import GAP, HEIGHT, STYLE, WIDTH, window
from tests.support.programs import Terminal
from tests.support.service import BIN, Service
from tests.support.waiting import wait_for

PICTURE = Path(__file__).parents[2] / "docs" / "pictures" / "live.svg"
COLUMNS, ROWS = 60, 14

_LETTERS = 5
"""Letters of a line between two frames, about what arrives with one draft."""

_READ, _TYPE, _END = 1.6, 0.3, 4.0
"""Seconds of a frame: to read what has happened, while somebody types, and at the end."""


class Cable:
    """The way to a port of this host, which can be cut."""

    def __init__(self, port: int) -> None:
        self._to = port
        self._is_cut = False
        self._ends: list[socket.socket] = []
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._server.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        self._is_cut = True
        for end in self._ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def mend(self) -> None:
        self._is_cut = False

    def close(self) -> None:
        self.cut()
        for end in (self._server, *self._ends):
            end.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                caller, _ = self._server.accept()
                if self._is_cut:
                    caller.close()
                    continue
                daemon = socket.create_connection(("127.0.0.1", self._to))
                self._ends += [caller, daemon]
                for one, other in ((caller, daemon), (daemon, caller)):
                    threading.Thread(target=_pump, args=(one, other), daemon=True).start()


def _pump(one: socket.socket, other: socket.socket) -> None:
    with suppress(OSError):
        while data := one.recv(65536):
            other.sendall(data)
        other.shutdown(socket.SHUT_WR)


class Film:
    """The frames of a conversation."""

    def __init__(self, console: Terminal, client: Terminal) -> None:
        self.console, self.client = console, client
        self._frames: list[tuple[list[str], float]] = []

    def take(self, seconds: float) -> None:
        console = window(self.console, "host A: pychatd-console 40000", 0)
        client = window(self.client, "host B: pychat hostA 40000", WIDTH + GAP)
        self._frames.append(([*console, *client], seconds))

    def types(self, sender: Terminal, receiver: Terminal, text: str, name: str) -> None:
        """The user of `sender` types, and the other one sees it."""
        for start in range(0, len(text), _LETTERS):
            sender.type(text[start : start + _LETTERS])
            shown = f"{name} … {text[: start + _LETTERS].rstrip()}"
            wait_for(lambda: shown in receiver.text(), shown)  # noqa: B023
            sender.update()
            self.take(_TYPE)

    def svg(self) -> str:
        """All frames in one picture that repeats. A reader who wants no motion gets the last one."""
        whole = sum(seconds for _, seconds in self._frames)
        rules, drawn, at = [], [], 0.0
        for number, (frame, seconds) in enumerate(self._frames):
            begin, end = 100 * at / whole, 100 * (at + seconds) / whole
            at += seconds
            rules.append(
                f"@keyframes f{number}{{0%{{visibility:hidden}}{begin:.2f}%{{visibility:visible}}"
                f"{end:.2f}%{{visibility:{'visible' if end > 99.99 else 'hidden'}}}}}"
                f".f{number}{{visibility:hidden;animation:f{number} {whole:.1f}s step-end infinite}}"
            )
            drawn += [f'<g class="f{number}">', *frame, "</g>"]
        last = len(self._frames) - 1
        still = f"@media(prefers-reduced-motion){{g{{animation:none!important}}.f{last}{{visibility:visible}}}}"
        width = 2 * WIDTH + GAP
        return "\n".join(
            [
                f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {HEIGHT}" width="{width:g}" '
                f'height="{HEIGHT}" role="img">',
                "<title>Bob and Alice see each other type; the cable between them is cut, and heals</title>",
                f"<style>{STYLE}{''.join(rules)}{still}</style>",
                *drawn,
                "</svg>",
                "",
            ]
        )


def play(service: Service) -> Film:
    """Starts the service, and plays the conversation."""
    service.start("--turns", "free")
    cable = Cable(service.port)
    try:
        return _play(service, cable)
    finally:
        cable.close()


def _play(service: Service, cable: Cable) -> Film:
    console = service.console("--live", handle="alice", columns=COLUMNS, lines=ROWS)
    console.line_is("alice>")
    words = [str(BIN / "pychat"), "127.0.0.1", str(cable.port), "--accept-new", "--live", "--handle", "Bob"]
    client = service.terminal(words, columns=COLUMNS, lines=ROWS)
    client.sees("Send the first message")
    console.tells("Bob")
    client.tells("you send first")
    film = Film(console, client)
    film.take(_READ)
    client.enter("Hi!")
    for one in (console, client):
        one.sees("Bob> Hi!")
        one.sees("watched")
    film.take(_READ)
    film.types(console, client, "Hello, Bob. Is it still raining?", "alice")
    console.enter()
    client.sees("alice> Hello, Bob")
    console.tells("| read")
    console.line_is("alice>")
    film.take(_READ)
    film.types(client, console, "No, but the ca", "Bob")
    cable.cut()
    client.tells("calling")
    console.tells("not connected")
    film.take(_READ)
    client.type("ble is cut.")
    client.line_is("Bob> No, but the cable is cut.")
    client.enter()
    client.tells("1 not confirmed")
    film.take(_READ)
    cable.mend()
    console.tells("No, but the cable is cut.")
    client.tells("watched")
    client.tells("| read")
    console.sees("connected again")
    console.tells("watched")
    film.take(_END)
    return film


def draw() -> None:
    with tempfile.TemporaryDirectory(prefix="pychat-") as directory:
        service = Service(Path(directory))
        try:
            PICTURE.write_text(play(service).svg(), encoding="utf-8")
        finally:
            service.close()
    print(f"Drew {PICTURE}.")
