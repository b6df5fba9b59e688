"""Who uses a service: people at a client or a console, and what they do, see and are told.

Session, Endpoint and reconnect are the real ones; the screen is a list.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from pychat_client.errors import PychatError
from pychat_client.protocol import wire
from pychat_client.protocol.console_endpoint import ConsoleEndpoint
from pychat_client.protocol.endpoint import Endpoint
from pychat_client.protocol.turns import Role
from pychat_client.session.session import Session
from pychat_client.session.session_file import Kept, SessionFile
from pychat_client.session.view import View
from tests.simulation.cable import Cable
from tests.simulation.checker import Event, History
from tests.simulation.clock import Killed
from tests.simulation.disk import NOWHERE, LogEnd, end_of, left_alone, log_of, lose_power
from tests.simulation.guests import Guest

if TYPE_CHECKING:
    from tests.simulation.world import World


class MortalFile(SessionFile):
    """A session file whose program can die, and whose disk can be full or lose power. Nothing is written any more
    then, whatever the program's timers wanted."""

    dead = full = False
    doom = ""  # the program dies "before" or "after" the next thing that is kept, or the power fails "in" it
    kill: Callable[..., None] = staticmethod(lambda **_: None)
    unsynced: LogEnd | None = None  # the log is synced only so far; None for all of it
    _end = NOWHERE  # of the log, before what was kept last

    @classmethod
    def of(cls, path: Path, kill: Callable[..., None]) -> MortalFile:
        """The file, which can kill its program."""
        file = cls.take(path)
        assert isinstance(file, cls)
        file.kill = kill
        return file

    def save(self, kept: Kept) -> None:
        if kept == self.kept:
            return
        self._dies("before")
        before = self._end = end_of(log_of(self.path), self._end)
        super().save(kept)
        self.unsynced = None if self._db is None else self.unsynced or before
        if self.doom == "in":
            self.kill(power=True)
        self._dies("after")

    def sync(self) -> None:
        self.unsynced = None

    def _write(self, kept: Kept) -> None:
        if self.full:
            raise sqlite3.OperationalError("database or disk is full")
        super()._write(kept)

    def _dies(self, moment: str) -> None:
        if self.doom == moment:
            self.kill()
        if self.dead:
            raise Killed

    def give_up(self) -> None:
        if not self.dead:
            super().give_up()

    def tidy(self) -> None:
        if not self.dead:
            super().tidy()
            self.unsynced = None

    def die(self, rng: Random | None) -> None:
        """Its program is gone. rng: the power is, too."""
        with left_alone(self.path):
            self.close()
        if rng is not None and self.unsynced is not None:
            lose_power(log_of(self.path), self.unsynced, rng)
        self.dead = True


class Person(View):
    """Somebody at a program of their own: a client, or a console. Sees no screen, and records everything."""

    def __init__(
        self,
        world: World,
        name: str,
        *,
        console: bool = False,
        wait: bool = False,
        take: bool = False,
        file: str = "",
        quiet: bool = False,
        guest: Guest | None = None,
    ) -> None:
        """file: the name of a session file, in which an earlier program may have left a conversation; quiet: this
        user sends no signs; guest: a caller whom the operator has invited."""
        self.world, self.name, self.guest = world, name, guest
        self.role = Role.OPERATOR if console else Role.PEER
        self.history = History(name, not console, file, quiet, "" if guest is None else guest.name)
        self._events, self._now = self.history.events, asyncio.get_running_loop().time
        self.cable: Cable | None = None
        self.running = True
        self._killed = False
        self.unreachable = False  # no call gets through
        self._line = ""  # that is being typed
        self._known_as: str | None = None  # to the daemon, since an invitation
        self._read: dict[str | int | None, int] = {}  # how many messages were read, as far as was said, by session
        number = f"{len(world.people):016x}"
        self._file = MortalFile.of(world.session_file(file), self.kill) if file else None
        saved = None if self._file is None else self._file.kept.endpoint
        calls = round(self._now() * 1000)
        if console:
            end: Endpoint = ConsoleEndpoint(
                name, console=number, take_over=take, saved=saved, calls=calls, quiet=quiet
            )
        else:
            credentials = None if guest is None else guest.credentials
            end = Endpoint(name, saved=saved, calls=calls, quiet=quiet, credentials=credentials)
        self.session = Session(end, self, "the line", wait=wait, file=self._file)
        world.people.append(self)
        loop = asyncio.get_running_loop()
        self._calling = loop.create_task(self.session.keep_connected(lambda: world.connect(self)))
        self._looking = loop.create_task(self._look_at_line()) if file else None

    # -------------------------------------------------------------- what they do

    def types(self, line: str) -> bool:
        """A line: a message of one word, or a command. Returns whether it was not refused."""
        if not self.running:
            return False
        self._record("command" if line.startswith("\\") else "typed", line)
        self._line = ""
        try:
            self.session.submit(line)
        except Killed:
            self._note("cut short", line)
            return False
        except PychatError as refusal:
            self._record("refused", line)
            self._record("notice", str(refusal))
            return False
        return True

    def doom(self, moment: str) -> None:
        """The program dies "before" or "after" the next thing that it keeps in its session file, or the power
        fails "in" that."""
        if self._file is not None and self.running:
            self._file.doom = moment

    def disk_is_full(self) -> None:
        """Nothing more can be written into the session file."""
        if self._file is not None:
            self._file.full = True

    def kill(self, *, power: bool = False) -> None:
        """The program is gone; the system closes what it had open. power: its host has lost that."""
        if self.running:
            self._record("killed", "by a loss of power" if power else "")
            self._exit(self.world.rng if power else None)
            self._killed = True

    # -------------------------------------------------------------- what is known of them

    def seated(self) -> None:
        """The daemon has found out that this is who talks."""
        self._note("seated")

    def cut_off(self) -> None:
        """The daemon has lost the connection of who had the seat, or begins to wait for them anew."""
        if self.role is Role.PEER:
            self._note("cut off")

    def rest(self) -> None:
        """All has settled, as far as this process can know."""
        if not self.running:
            return
        self._record("rest")
        end = self.session.endpoint
        if self.connected and end.is_open:
            self._record("talks", "with somebody" if end.other.present else "with nobody now")
            self._record("signs", "without" if end.other.quiet else "with")
            self._record("unread", str(end.unread_count))
            self._record("waits", str(len(end.held) + len(end.unacked)))

    @property
    def status(self) -> int | None:
        """The exit status, once there is one."""
        return int(self.session.exit_status) if self.session.done else None

    @property
    def connected(self) -> bool:
        """Whether the daemon has answered on a connection that is still there, as far as is known here."""
        return self.session.status.connected

    def knows(self, kind: str, text: str) -> bool:
        return any(event.kind == kind and text in event.text for event in self.history.events)

    def texts(self, kind: str) -> list[str]:
        return [event.text for event in self.history.events if event.kind == kind]

    # -------------------------------------------------------------- what they see (View)

    def message(self, message: wire.Message, *, own: bool, time: datetime, replayed: bool) -> None:
        self._record("shown", message.text)

    def held(self, text: str) -> None:
        self._record("held", text)

    def notice(self, sentence: str) -> None:
        self._record("notice", sentence)

    def recalled(self, text: str) -> None:
        self._record("recalled", text)
        self._line = text

    @property
    def line(self) -> str:
        return self._line

    def not_sent(self, text: str) -> None:
        self._record("not_sent", text)

    def not_confirmed(self, text: str) -> None:
        self._record("not_confirmed", text)

    def alert(self, words: str, *, ring: bool) -> None:
        self._record("alert", words)

    def refresh(self) -> None:
        """The toolbar tells how many of the user's messages have been read; an invited user can learn the name."""
        end = self.session.endpoint
        if self.guest is not None and end.invited_as != self._known_as:
            self._known_as = end.invited_as
            self._record("known as", end.invited_as or "nobody")
        if (count := end.read_count) and count > self._read.get(end.session, 0):
            self._read[end.session] = count
            self._record("read", f"{end.session if self.role is Role.OPERATOR else ''} {count}")

    def stop(self) -> None:
        """The chat is done: so is the program, as soon as this is dealt with."""
        self._record("status", str(self.status))
        asyncio.get_running_loop().call_soon(self._exit)

    # -------------------------------------------------------------- inside

    def _exit(self, rng: Random | None = None) -> None:
        self.running = False
        self._calling.cancel()
        if self._looking is not None:
            self._looking.cancel()
        if self._file is not None:
            self._file.die(rng)
            for word in () if self._file.kept.endpoint is None else self._file.kept.endpoint.texts:
                self._record("left", word)
        if self.cable is not None:
            self.cable.user.die()

    async def _look_at_line(self) -> None:
        """What an earlier program had in the line when it ended is there again."""
        await self.session.caught_up()
        if self.running and not self.session.done and (line := self.session.take_line()):
            self._line = line
            for word in line.split("\n"):
                self._record("in the line", word)

    def _record(self, kind: str, text: str = "") -> None:
        """What the program does or says: a killed one has timers here, and says nothing."""
        if not self._killed:
            self._note(kind, text)

    def _note(self, kind: str, text: str = "") -> None:
        self._events.append(Event(self._now(), kind, text))


async def until(condition: Callable[[], object], seconds: float = 200.0) -> None:
    """Waits, on virtual time, in small steps."""
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while not condition():
        assert loop.time() < end, "it does not come about"
        await asyncio.sleep(0.001)
