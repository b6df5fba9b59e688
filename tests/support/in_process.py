"""A switchboard with its two ends on real sockets and a real journal, for tests that send raw lines."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import pytest

from pychat_client.protocol import wire
from pychat_client.protocol.turns import Role, Turns, TurnState
from pychat_client.transport.connection import Connection
from pychatd.conversation.console_session import ConsoleSession
from pychatd.conversation.journal import Journal
from pychatd.conversation.model import Conversation, Entry, JournalDamagedError, JournalError, hash_token
from pychatd.conversation.orders import Orders
from pychatd.conversation.peer_session import PeerSession
from pychatd.conversation.service_status import status_json
from pychatd.conversation.switchboard import Switchboard
from pychatd.settings import Settings
from tests.support.aio import in_loop
from tests.support.allowed_callers import Anybody
from tests.support.raw_ends import AsyncEnd, ConsoleEnd, attach, connected

R = TypeVar("R", bound=AsyncEnd)
ADDRESS = "198.51.100.7:40000"
TOKEN = "5f0c"


class InProcessService:
    """A switchboard on a real journal, and the raw ends of the connections that the test makes to it."""

    def __init__(self, directory: Path, settings: dict[str, Any]) -> None:
        self.file = directory / "journal.db"
        self._settings = Settings(7000, state=directory, **settings)
        self.connections: list[Connection] = []
        self._raws: list[AsyncEnd] = []
        self.removed: set[bytes | None] = set()  # the hashes of certificates that do not let in any more
        self._open()

    def _open(self) -> None:
        self.journal = Journal(self.file, full=False)
        self.switchboard = Switchboard(
            self._settings, self.journal, may_go_on=lambda certificate: certificate not in self.removed
        )

    async def close(self) -> None:
        for raw in self._raws:
            raw.hang_up()
        for connection in self.connections:
            connection.abort()
            await connection.closed
        self.connections, self._raws = [], []
        self.journal.close()

    async def restart(self) -> None:
        """Another daemon on the same journal."""
        await self.close()
        self._open()

    async def connect(self, owner: PeerSession | ConsoleSession) -> AsyncEnd:
        return self._remember(owner.connection, await attach(owner.connection))

    def _remember(self, connection: Connection, raw: R) -> R:
        self.connections.append(connection)
        self._raws.append(raw)
        return raw

    async def call(self, *lines: str, address: str = ADDRESS) -> AsyncEnd:
        """A caller's connection that sends `lines`."""
        raw = await self.connect(PeerSession(self.switchboard, address, Anybody(), secure=True))
        if lines:
            await raw.say(*lines)
        return raw

    async def resume(self, token: str, *lines: str, got: int = 0, call: int | None = None) -> AsyncEnd:
        """The peer's next call: it has received `got` messages, and says `lines` behind its hello."""
        number = "" if call is None else f" call={call}"
        return await self.call(f"\\hello 1 Bob session={token} got={got}{number}", *lines)

    async def resumed(self, token: str, got: int = 0, address: str = ADDRESS) -> tuple[AsyncEnd, wire.Hello]:
        """The peer's next call, and the daemon's answer."""
        raw = await self.call(f"\\hello 1 Bob session={token} got={got}", address=address)
        return raw, await hello_of(raw)

    async def greeted(self, handle: str = "Bob") -> tuple[AsyncEnd, str]:
        """A caller that has read the daemon's hello; and its token."""
        raw = await self.call(f"\\hello 1 {handle}")
        hello = await hello_of(raw)
        assert hello.session is not None
        await raw.news()
        return raw, hello.session

    async def peer(self, *texts: str, handle: str = "Bob") -> tuple[AsyncEnd, str]:
        """A peer that has sent `texts` and has read the acks; and its token."""
        raw, token = await self.greeted(handle)
        await raw.say(*(f"{handle}> {text}" for text in texts))
        assert f"\\ack {len(texts)}" in await raw.news()
        return raw, token

    async def classic(self, *lines: str) -> AsyncEnd:
        """A peer at nc, after its first message. The daemon waits for a pause before it knows what calls."""
        return await self._talking(await self.call(*lines))

    async def program(self, data: bytes) -> AsyncEnd:
        """A classic program, after its first message."""
        raw = await self.call()
        await raw.raw(data)
        return await self._talking(raw)

    async def _talking(self, raw: AsyncEnd) -> AsyncEnd:
        while self.switchboard.conversation is None:
            await asyncio.sleep(0.01)
        return raw

    def console_session(self, user: str = "alice", uid: int = 1000) -> ConsoleSession:
        status = partial(status_json, self.switchboard)
        return ConsoleSession(self.switchboard, user, uid, status, Orders(self.switchboard, list).execute)

    async def console(self, words: str = "") -> ConsoleEnd:
        """An attached console that has read its hello, and nothing more."""
        session = self.console_session("alice (pid 7)")
        raw = self._remember(session.connection, ConsoleEnd(await connected(session.connection)))
        await raw.say(f"\\hello 1 alice{words}")
        assert (await raw.hear()).startswith("\\hello 1 alice")
        return raw

    async def talk(self, *, acked: bool = False) -> tuple[ConsoleEnd, AsyncEnd, str]:
        """A console and a peer that has said "Hi!", which the console has read; and the peer's token.

        acked: the console has also acked it."""
        console = await self.console()
        peer, token = await self.peer("Hi!")
        if acked:
            await console.say("\\ack 1")
        await console.news()
        return console, peer, token

    def fail_next_append(self, *, durable: bool) -> None:
        """Makes the next message report an error. durable: and yet the journal has it."""
        append, patch = self.journal.append, pytest.MonkeyPatch()

        def fail(conversation: Conversation, entries: Sequence[Entry], turn_state: TurnState) -> NoReturn:
            patch.undo()
            if durable:
                append(replace(conversation), entries, turn_state)
            raise JournalError("The journal cannot be used: disk I/O error.")

        patch.setattr(self.journal, "append", fail)

    async def lose(self, raw: AsyncEnd) -> None:
        """Cuts the connection, and waits until the daemon has noticed."""
        raw.hang_up()
        await self.closed(raw)

    async def cut(self, raw: AsyncEnd) -> None:
        """The same at the daemon's end, which notices it also while it does not read; there is no end of input."""
        self.transport(raw).abort()
        await self.closed(raw)

    async def closed(self, raw: AsyncEnd) -> None:
        """Waits until the daemon has closed its end."""
        await self.connections[self._raws.index(raw)].closed

    def is_closed(self, raw: AsyncEnd) -> bool:
        return self.connections[self._raws.index(raw)].closed.done()

    def transport(self, raw: AsyncEnd) -> asyncio.Transport:
        """The daemon's end of a connection."""
        transport = self.connections[self._raws.index(raw)]._transport
        assert transport is not None
        return transport

    def fill(self, role: Role, texts: list[str]) -> Conversation:
        """Stores a first message and `texts` of `role` as the running conversation."""
        start = datetime(2024, 5, 1, tzinfo=UTC)
        conversation = Conversation("Bob", ADDRESS, hash_token(TOKEN), TurnState(Turns.FREE), start)
        turn_state = TurnState(Turns.FREE)
        entries = [Entry.numbered(turn_state, Role.PEER, wire.Message("Bob", "Hi"), start)]
        handle = "Bob" if role is Role.PEER else "alice"
        entries += [Entry.numbered(turn_state, role, wire.Message(handle, text), start) for text in texts]
        self.journal.append(conversation, entries, turn_state)
        self.switchboard.conversation = conversation
        return conversation

    def break_journal(self) -> None:
        """Makes the next transaction fail in SQLite. The journal then opens the file again, which repairs it."""
        self.journal._db.execute("PRAGMA query_only = ON")

    def fail_journal(self) -> None:
        """An error of SQLite has closed the file."""
        self.journal.close()
        self.switchboard.journal_failed(JournalError("broken"))

    def damage_journal(self) -> None:
        """The daemon finds its journal damaged, and goes on with a new one."""
        self.journal.close()
        self.file.write_bytes(b"no database" * 1000)
        with pytest.raises(JournalDamagedError) as damage:
            self.journal.running()
        self.switchboard.journal_failed(damage.value)

    def stored(self) -> list[str]:
        """The texts that the journal has of the running conversation."""
        running = self.journal.running()
        return [] if running is None else [e.text for e in self.journal.entries(running.id, 0, limit=1000)]

    def counts(self) -> tuple[int, int]:
        assert self.switchboard.conversation is not None
        turn_state = self.switchboard.conversation.turn_state
        return turn_state.peer, turn_state.operator


async def hello_of(raw: AsyncEnd) -> wire.Hello:
    """The daemon's answer to a hello, which is the next service."""
    hello = await raw.frame()
    assert isinstance(hello, wire.Hello)
    return hello


ServiceTest = Callable[[InProcessService], Coroutine[Any, Any, None]]


def with_service(**settings: Any) -> Callable[[ServiceTest], Callable[[Path], None]]:
    """Runs an async test with a service of its own."""

    def decorate(test: ServiceTest) -> Callable[[Path], None]:
        async def run(tmp_path: Path) -> None:
            service = InProcessService(tmp_path, settings)
            try:
                await test(service)
            finally:
                await service.close()

        return in_loop(run)

    return decorate
