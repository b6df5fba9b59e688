"""What the status calls unread is what the journal has and no console has shown, whatever happens."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Coroutine
from pathlib import Path
from typing import TypeVar

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from pychat_client.protocol.turns import Turns
from tests.support.in_process import InProcessService, hello_of
from tests.support.raw_ends import AsyncEnd, ConsoleEnd

T = TypeVar("T")

IN_JOURNAL = """
SELECT count(*) FROM message JOIN conversation ON id = conversation
WHERE role = 'peer' AND n > CASE WHEN ended IS NULL THEN ? ELSE operator_shown END
"""
"""What the file has and no console has shown; of the running conversation the daemon knows more than the file."""


class Unread(RuleBasedStateMachine):
    """A real service: callers come, talk and go, consoles attach, read a part and go, the daemon restarts."""

    def __init__(self) -> None:
        super().__init__()
        self._runner = asyncio.Runner()
        self._directory = tempfile.TemporaryDirectory()
        self.path = Path(self._directory.name)
        self.service = self._run(self._begin())
        self.caller: AsyncEnd | None = None
        self.said = 0
        self.console: ConsoleEnd | None = None
        self.seen = 0  # by consoles, in this conversation
        self.unread = 0  # of conversations that are over

    async def _begin(self) -> InProcessService:
        return InProcessService(self.path, {"turns": Turns.FREE, "rate": 0})

    def _run(self, work: Coroutine[None, None, T]) -> T:
        return self._runner.run(work)

    def teardown(self) -> None:
        self._run(self.service.close())
        self._runner.close()
        self._directory.cleanup()

    # -------------------------------------------------------------- what can happen

    @precondition(lambda self: self.caller is None)
    @rule(count=st.integers(1, 3))
    def somebody_calls(self, count: int) -> None:
        async def call() -> AsyncEnd:
            raw = await self.service.call("\\hello 1 Bob")
            token = (await hello_of(raw)).session
            assert token is not None
            self.token = token
            return raw

        self.caller = self._run(call())
        self.said = self.seen = 0
        self.says(count)

    @precondition(lambda self: self.caller is not None)
    @rule(count=st.integers(1, 3))
    def says(self, count: int) -> None:
        async def say() -> None:
            assert self.caller is not None
            await self.caller.say(*(f"Bob> {self.said + n}" for n in range(1, count + 1)))
            await self.caller.news()

        self._run(say())
        self.said += count

    @precondition(lambda self: self.caller is not None)
    @rule()
    def the_caller_ends_it(self) -> None:
        async def leave() -> None:
            assert self.caller is not None
            await self.caller.say("\\quit")
            await self.caller.rest()

        self._run(leave())
        self.caller = None
        self.unread += self.said - self.seen
        if self.console is not None:
            self.console_goes()

    @precondition(lambda self: self.console is None and self.caller is not None and not self.unread)
    @rule()
    def console_comes(self) -> None:
        async def attach() -> ConsoleEnd:
            console = await self.service.console()
            await console.news()
            await console.say(f"\\ack {self.seen}")
            await console.news()
            return console

        self.console = self._run(attach())

    @precondition(lambda self: self.console is not None and self.seen < self.said)
    @rule(data=st.data())
    def console_shows_some(self, data: st.DataObject) -> None:
        count = data.draw(st.integers(self.seen, self.said))

        async def show() -> None:
            assert self.console is not None
            await self.console.say(f"\\ack {count}")
            await self.console.news()

        self._run(show())
        self.seen = count

    @precondition(lambda self: self.console is not None)
    @rule()
    def console_goes(self) -> None:
        assert self.console is not None
        self._run(self.service.lose(self.console))
        self.console = None

    @rule()
    def the_daemon_restarts(self) -> None:
        async def restart() -> None:
            await self.service.restart()
            if self.caller is not None:
                self.caller = await self.service.resume(self.token, got=0)
                await self.caller.news()

        if self.console is not None:
            self.console_goes()
        self._run(restart())

    # -------------------------------------------------------------- what must hold

    @invariant()
    def the_status_tells_what_nobody_has_shown(self) -> None:
        unread = self.service.switchboard.unread()
        running = self.said - self.seen if self.caller is not None else 0
        assert unread.count == self.unread + running
        assert unread.count == self.service.journal._db.execute(IN_JOURNAL, (self.seen,)).fetchone()[0]
        assert unread.handles == (("Bob",) if unread.count else ())
        assert (unread.since is None) is (unread.count == 0)


TestUnread = Unread.TestCase
TestUnread.settings = settings(max_examples=15, stateful_step_count=15, deadline=None)
