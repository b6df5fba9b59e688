"""The world of one run: the service with its daemons, one after the other, and their connections.

Switchboard, Journal, PeerSession and ConsoleSession are the real ones; what is replaced is what they stand on: the
event loop (clock), the connections (cable), the wall clock, and the disk when its power fails (disk). A daemon
that is killed is thrown away with its ends, and the next one finds the file as it was.
"""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import cache, partial
from pathlib import Path, PosixPath
from random import Random
from typing import Any, TypeVar

from pychat_client.errors import UnreachableError
from pychat_client.protocol.turns import Role, TurnState
from pychat_client.transport.connection import Connection
from pychatd.conversation.console_session import ConsoleSession
from pychatd.conversation.interfaces import PeerInterface
from pychatd.conversation.journal import Journal
from pychatd.conversation.model import Conversation, Entry
from pychatd.conversation.orders import Orders
from pychatd.conversation.peer_session import PeerSession
from pychatd.conversation.service_status import status_json
from pychatd.conversation.switchboard import Switchboard
from pychatd.settings import Settings
from tests.simulation.cable import Cable
from tests.simulation.checker import Event, Stored
from tests.simulation.clock import START, Killed
from tests.simulation.disk import FULL, LogEnd, end_of, left_alone, log_of, lose_power, memory
from tests.simulation.guests import GuestBook, ProvedByTls
from tests.simulation.onlooker import Onlooker
from tests.simulation.people import Person
from tests.support.allowed_callers import Anybody
from tests.support.endpoints import NOON

TIDIED_EVERY = 5.0
"""Seconds after which a daemon looks for old conversations."""


class World:
    """A service, its people, and the story of what was done to them."""

    def __init__(self, directory: Path, seed: int = 0, **settings: Any) -> None:
        self.rng = Random(seed)
        self.slowest = 0.02  # seconds that a piece of bytes takes at most
        self.clock_is_off = timedelta()
        self.file = directory / "journal.db"
        self.file.write_bytes(_empty_journal())
        self._sessions = Path(tempfile.mkdtemp(dir=memory()))
        self.people: list[Person] = []
        self.onlookers: list[Onlooker] = []
        self.stored: list[Stored] = []
        self.ended: dict[int, float] = {}  # when which conversation was
        self.on_call: Callable[[Person], None] = lambda person: None  # somebody has just been connected
        self._words = 0
        self._told: list[Event] = []
        self.switchboard: Switchboard | None = None
        self.dies = self.fails = ""  # the daemon, or its disk: "before" or "after" the next commit
        self.power_fails = False  # on the daemon's host, in the middle of the next commit
        self.full_until = 0.0  # no space is left on the daemon's disk until then
        self.down_for = 0.5  # seconds until there is a daemon again
        self._settings = Settings(7000, **settings)
        self.guest_book = GuestBook(directory / "state")
        self._journal: WatchedJournal | None = None
        self._cables: list[Cable] = []
        self._over = False
        self._loop = asyncio.get_running_loop()
        self.start()

    @property
    def now(self) -> float:
        return self._loop.time()

    def wall(self) -> datetime:
        """What the clock on the daemon's wall shows."""
        return NOON + timedelta(seconds=self.now - START) + self.clock_is_off

    def by_name(self, name: str) -> Person:
        return next(person for person in self.people if person.name == name)

    def session_file(self, name: str) -> Path:
        """Where a user's programs keep a conversation, one after the other."""
        return NamedPath(self._sessions / "sessions" / f"{name}.db")

    def has_files(self, name: str) -> bool:
        """Whether something is kept there, and no program has it."""
        in_use = any(person.running and person.history.file == name for person in self.people)
        return not in_use and self.session_file(name).exists()

    def new_word(self) -> str:
        """One that nobody has said yet."""
        self._words += 1
        return f"w{self._words}"

    def tell(self, words: str) -> None:
        """Adds to the story."""
        self._told.append(Event(self.now, words))

    @property
    def faults(self) -> int:
        """How much has gone wrong so far, and who has come and gone."""
        return len(self._told)

    @property
    def story(self) -> list[str]:
        """All that was done, and what the users saw of it."""
        told = [(event, "") for event in self._told]
        seen = [(event, f"{person.name}: ") for person in self.people for event in person.history.events]
        in_order = sorted([*told, *seen], key=lambda pair: pair[0].time)
        return [f"{e.time - START:8.3f}  {name}{e.kind} {e.text}".rstrip() for e, name in in_order]

    # -------------------------------------------------------------- the daemon

    def start(self) -> None:
        """A daemon runs. It keeps the seat from now on, for whoever had it."""
        if self.switchboard is None and not self._over:
            self._journal = WatchedJournal(self)
            self.switchboard = ClockedSwitchboard(self, self._settings, self._journal)
            self.guest_book.open()
            self._tidy(self.switchboard)
            for person in self.people:
                person.cut_off()

    def _tidy(self, switchboard: Switchboard) -> None:
        """The daemon removes old conversations now and then, as the server has it do daily."""
        if switchboard is self.switchboard:
            self._loop.call_later(TIDIED_EVERY, self._tidy, switchboard)
            switchboard.prune()

    def kill(self) -> None:
        """The daemon is gone, and the file is as it was at that moment: a journal that is closed would be
        tidied up."""
        if self.switchboard is None:
            return
        self.tell("the daemon dies")
        self.switchboard = None
        for cable in self._cables:
            cable.daemon.die()
        with left_alone(self.file):
            self._close_journal()
        asyncio.get_running_loop().call_later(self.down_for, self.start)

    def stop(self) -> None:
        """The daemon stops in order, as server does it."""
        if self.switchboard is not None:
            self.tell("the daemon stops")
            self.switchboard.stop()
            self.switchboard = None
            for cable in self._cables:
                cable.daemon.connection.close()
            asyncio.get_running_loop().call_later(1.0, self._stopped)

    def unread_is_what_the_journal_has(self) -> None:
        """The count that the status tells is that of the messages in the file which no console has shown."""
        switchboard = self.switchboard
        if switchboard is None or self._journal is None or not switchboard.check_journal():
            return
        running = switchboard.conversation
        found = self._journal._db.execute(
            "SELECT ifnull(sum((SELECT count(*) FROM message WHERE conversation = id AND role = 'peer' AND n > "
            "CASE WHEN id = ? THEN ? ELSE operator_shown END)), 0) FROM conversation",
            (0, 0) if running is None else (running.id, running.shown[Role.OPERATOR]),
        ).fetchone()[0]
        assert switchboard.unread().count == found, "the status miscounts what is unread"

    def all_is_shown(self) -> None:
        """The daemon knows that nothing is unread where both sides are there and all has settled."""
        switchboard = self.switchboard
        if switchboard is None or (talk := switchboard.conversation) is None:
            return
        if switchboard.peer is not None and switchboard.operator is not None:
            assert not any(map(talk.unread, Role)), "the daemon does not know what was shown"

    def _stopped(self) -> None:
        for cable in self._cables:
            cable.daemon.die()
        self._close_journal()
        asyncio.get_running_loop().call_later(self.down_for, self.start)

    def _close_journal(self) -> None:
        if self._journal is not None:
            self._journal.bury()
            self._journal = None

    def committed(self, conversation: Conversation, entries: Sequence[Entry]) -> None:
        """The daemon has stored something."""
        now, number = self.now, conversation.id
        self.stored += [Stored(now, number, e.role is Role.PEER, e.text) for e in entries]

    def over(self, conversation: Conversation) -> None:
        """The daemon has stored that a conversation is over."""
        self.ended[conversation.id] = self.now

    @property
    def calm(self) -> bool:
        """Whether nothing is to go wrong at the next commit."""
        return not (self.dies or self.fails or self.power_fails or self.now < self.full_until)

    def at_commit(self, moment: str) -> None:
        """The daemon is at this moment of a commit. Raises what is to go wrong at it."""
        if self.dies == moment:
            self.dies = ""
            self.kill()
            raise Killed
        if self.fails == moment:
            self.fails = ""
            self.tell(f"the disk fails {moment} a commit")
            raise sqlite3.OperationalError("disk I/O error")
        if moment == "before" and self.now < self.full_until:
            raise sqlite3.OperationalError("database or disk is full")

    def lose_power(self, synced: LogEnd | None = None) -> bool:
        """The daemon's host loses power, and so do all consoles. synced: so much of the journal's log is; None for
        all. Returns whether nothing is gone."""
        self.tell("the daemon's host loses power")
        synced = synced or (None if self._journal is None else self._journal.unsynced)
        self.power_fails = False
        for person in self.people:
            if person.role is Role.OPERATOR:
                person.kill(power=True)
        self.kill()
        return synced is None or lose_power(log_of(self.file), synced, self.rng)

    # -------------------------------------------------------------- its connections

    async def connect(self, person: Person) -> Connection:
        """Calls the daemon. Raises UnreachableError while there is none."""
        rng = Random(self.rng.random())  # of its own: what this cable does changes nothing for others
        await asyncio.sleep(rng.uniform(0.0, self.slowest))
        if (switchboard := self.switchboard) is None or person.unreachable:
            raise UnreachableError("Nobody answers.")
        connection, end = Connection(person.session), self._daemons_end(switchboard, person)

        def lost() -> None:
            if end is switchboard.peer:
                person.cut_off()

        local = person.role is Role.OPERATOR
        tls = None if person.guest is None else ProvedByTls(person.guest.certificate)
        person.cable = Cable(rng, self.slowest, connection, end.connection, local=local, lost=lost, tls=tls)
        self._cables = [*(cable for cable in self._cables if not cable.daemon.dead), person.cable]
        if not local:
            connection.start_keepalive()
        self.on_call(person)
        return connection

    def connect_onlooker(self, onlooker: Onlooker) -> Connection | None:
        """None while there is no daemon. On its host, so its connection breaks only with the daemon."""
        if (switchboard := self.switchboard) is None:
            return None
        connection = Connection(onlooker)
        end = ConsoleSession(switchboard, "onlooker", 1000, partial(status_json, switchboard), lambda _: [])
        rng = Random(self.rng.random())
        self._cables.append(Cable(rng, self.slowest, connection, end.connection, local=True, lost=lambda: None))
        return connection

    def _daemons_end(self, switchboard: Switchboard, person: Person) -> PeerSession | ConsoleSession:
        if person.role is Role.OPERATOR:
            status = partial(status_json, switchboard)
            execute = Orders(switchboard, list).execute
            return ConsoleSession(switchboard, f"{person.name} (pid 7)", 1000, status, execute)
        return PeerSession(switchboard, person.name, self.guest_book.allowed or Anybody(), secure=True)

    def close(self) -> None:
        """The run is over: nothing goes on, and the file can be read."""
        self._over = True
        for onlooker in self.onlookers:
            onlooker.leave()
        for person in self.people:
            person.kill()
        self.kill()
        shutil.rmtree(self._sessions)


@cache
def _empty_journal() -> bytes:
    """The file of a service that nobody has called yet: to make one takes longer than a talk."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "journal.db")
        Journal(path).close()
        return path.read_bytes()


class ClockedSwitchboard(Switchboard):
    """A switchboard that looks at the world's clock."""

    def __init__(self, world: World, settings: Settings, journal: Journal) -> None:
        self._world = world
        super().__init__(settings, journal)

    def now(self) -> datetime:
        return self._world.wall()

    def take_seat(self, caller: PeerInterface, conversation: Conversation) -> None:
        super().take_seat(caller, conversation)
        self._world.by_name(caller.address).seated()


Stores = TypeVar("Stores")


class NamedPath(PosixPath):
    """A path that errors call by its name alone, wherever it is: so a seed makes the same run everywhere."""

    def __str__(self) -> str:
        return self.name

    def __fspath__(self) -> str:
        return super().__str__()


class WatchedJournal(Journal):
    """A journal whose daemon can die at a commit, and whose commits are noted down."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._buried = False
        self.unsynced: LogEnd | None = None  # the log is synced only so far; None for all of it
        super().__init__(NamedPath(world.file))

    def bury(self) -> None:
        """Its daemon is gone. What still waited there for its time is not done any more."""
        self._buried = True
        self.close()

    @property
    def _db(self) -> sqlite3.Connection:
        if self._buried:
            raise Killed
        return super()._db

    def _recover_wal(self, db: sqlite3.Connection) -> None:
        """Syncs all, as the last step of opening the file. A sync costs a moment, so from now on it is only noted
        whether there would be one."""
        super()._recover_wal(db)
        each_commit_is_synced = db.execute("PRAGMA synchronous").fetchone()[0] == FULL
        self.unsynced = None if each_commit_is_synced else LogEnd()
        db.execute("PRAGMA synchronous = OFF")

    def append(self, conversation: Conversation, entries: Sequence[Entry], turn_state: TurnState) -> None:
        store = partial(super().append, conversation, entries, turn_state)
        self._commit(store, lambda: self._world.committed(conversation, entries))

    def end_conversation(
        self, conversation: Conversation, reason: str, now: datetime, by: Role | None = None
    ) -> None:
        store = partial(super().end_conversation, conversation, reason, now, by)
        self._commit(store, lambda: self._world.over(conversation))

    def prune(self, before: datetime) -> tuple[int, bool]:
        """A daemon that only begins, or finds nothing to remove, has nothing to lose."""
        if self._world.switchboard is None or self._old(before) is None:
            return super().prune(before)
        return self._commit(partial(super().prune, before), lambda: None)

    def forget_text(self, conversation: Conversation, role: Role, count: int) -> bool:
        if self._world.switchboard is None:
            return super().forget_text(conversation, role, count)
        return self._commit(partial(super().forget_text, conversation, role, count), lambda: None)

    def _commit(self, store: Callable[[], Stores], note: Callable[[], None]) -> Stores:
        """A commit, and what goes wrong at it. note: notes down what is stored."""
        world = self._world
        if world.calm:
            stored = store()
            note()
            return stored
        with self._translated:  # which makes our own error of the system's, as it does of any
            world.at_commit("before")
        synced = end_of(log_of(self._path))
        stored = store()
        if world.power_fails:
            if world.lose_power(synced):
                note()
            raise Killed
        note()
        with self._translated:
            world.at_commit("after")
        return stored
