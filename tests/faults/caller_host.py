"""The caller's host: starts one `pychat` after the other, and loses its power.

Knows what the session file has. What is typed, and when a program dies, is the driver's.
"""

from __future__ import annotations

import random
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

from tests.faults.power import TRACED, Disk, contents, events_of
from tests.faults.screened import Screened
from tests.support.programs import Piped
from tests.support.service import BIN, Service

SLOW_SYNC = ("-e", "inject=fdatasync:delay_enter=10ms")
"""A thread syncs as long as a disk does that turns, so that the program often dies meanwhile."""


class CallerHost:
    """The host of one caller, with one session file."""

    def __init__(
        self, service: Service, port: int, rng: random.Random, *, traced: bool, screen: bool = False
    ) -> None:
        """port: the one that is called; traced: strace sees what is synced, so that the power can fail; screen:
        the programs have one, so that a thread syncs."""
        self._service = service
        self._port = port
        self._rng = rng
        self._file = Path(service.env["XDG_STATE_HOME"]) / f"pychat/sessions/127.0.0.1:{port}.db"
        self._disk = Disk(self._file) if traced else None
        self._screen = screen
        self._programs = 0

    def start(self, *options: str) -> Piped | Screened:
        words = [str(BIN / "pychat"), "--accept-new", "127.0.0.1", str(self._port), *options]
        if self._disk is not None:
            tracer = ["strace", "-D", "-f", "-yy", "-s", str(1 << 18), "-e", TRACED, "-o", str(self._trace)]
            words = [*tracer, *(SLOW_SYNC if self._screen else []), *words]
        if self._screen:
            return Screened(self._service, words, self._service.env)
        return Piped(self._service.popen([*words, "--plain"], env=self._service.env))

    def killed(self, *, power: bool) -> int:
        """The program was killed; how many messages the next one knows of at least. power: with the power of this
        host; the files are one of the images that the disk may have then."""
        least = self.recorded()
        if self._disk is not None:
            for event in events_of(self._trace, contents(self._file)):
                self._disk.play(event)
            if power:
                least = self._lose_power(list(self._disk.images()))
        self._programs += 1
        return least

    def _lose_power(self, images: list[dict[str, bytes]]) -> int:
        """Looks at each image, since the promise is about all of them, and goes on with any one."""
        least = min(map(recorded, images))
        for name, content in self._rng.choice(images).items():
            self._file.with_name(name).write_bytes(content)
        self._disk = Disk(self._file)
        return least

    def left(self) -> None:
        """The program has ended by itself: SQLite has synced all that it had, and removed its log."""
        if self._disk is not None:
            self._disk = Disk(self._file)
        self._programs += 1

    def recorded(self) -> int:
        """How many of the caller's messages the next program knows of, stored ones included."""
        return recorded({Path(path).name: content for path, content in contents(self._file).items()})

    @property
    def _trace(self) -> Path:
        return self._service.directory / f"trace-of-caller-{self._programs}"


def recorded(image: dict[str, bytes]) -> int:
    """As `CallerHost.recorded`, of a session file and its log."""
    with tempfile.TemporaryDirectory() as directory:
        for name, content in image.items():
            (Path(directory) / name).write_bytes(content)
        (name,) = (name for name in image if not name.endswith("-wal"))
        try:
            with closing(sqlite3.connect(Path(directory) / name)) as db:
                row = db.execute("SELECT first, (SELECT count(*) FROM text) FROM state").fetchone()
        except sqlite3.OperationalError:  # it died before it had anything to keep
            return 0
    return 0 if row is None else int(row[0]) + int(row[1])
