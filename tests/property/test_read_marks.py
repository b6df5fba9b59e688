"""What each end calls read is what the other user has seen, whatever happens: real service, real endpoints."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from pychat_client.protocol import codec
from pychat_client.protocol.console_endpoint import ConsoleEndpoint
from pychat_client.protocol.endpoint import Endpoint
from pychat_client.protocol.turns import Role, Turns
from pychatd.conversation.peer_session import PeerSession
from tests.support.allowed_callers import Anybody
from tests.support.endpoints import HANDLES, OTHER, say
from tests.support.in_process import ADDRESS, InProcessService
from tests.support.raw_ends import AsyncEnd

PEER, OPERATOR = Role.PEER, Role.OPERATOR

T = TypeVar("T")

roles = st.sampled_from(Role)


@dataclass
class Program:
    """One side's program, and its connection."""

    end: Endpoint
    raw: AsyncEnd | None = None


class ReadMarks(RuleBasedStateMachine):
    """Users speak, connections break, other programs go on, with signs or without, and the daemon restarts."""

    def __init__(self) -> None:
        super().__init__()
        self._runner = asyncio.Runner()
        self._directory = tempfile.TemporaryDirectory()
        self._consoles = 0
        self.programs: dict[Role, Program] = {}
        self.service = self._run(self._open())

    async def _open(self) -> InProcessService:
        return InProcessService(Path(self._directory.name), {"turns": Turns.FREE, "rate": 0})

    def _run(self, work: Coroutine[None, None, T]) -> T:
        return self._runner.run(work)

    def teardown(self) -> None:
        for role in Role:
            self.comes_back(role)
        self.all_arrives()
        self._run(self.service.close())
        self._runner.close()
        self._directory.cleanup()

    # -------------------------------------------------------------- what can happen

    @initialize(quiet=st.sets(roles))
    def they_meet(self, quiet: set[Role]) -> None:
        self.programs[PEER] = Program(Endpoint(HANDLES[PEER], quiet=PEER in quiet))
        self.programs[OPERATOR] = Program(self._console(quiet=OPERATOR in quiet))
        for role in (OPERATOR, PEER):
            self.comes_back(role)
            self.speaks(role, 1)
        self.all_arrives()

    @rule(role=roles, count=st.integers(1, 3))
    def speaks(self, role: Role, count: int) -> None:
        end = self.programs[role].end
        if end.is_open or role is PEER:
            for n in range(count):
                say(end, f"{end.sent_count + n}")
            self._run(self._sends(role))

    @rule(role=roles, shown=st.booleans(), again=st.booleans())
    def is_cut_off(self, role: Role, shown: bool, again: bool) -> None:
        """Something was just sent to this end. That is lost, or else the answer to it; then it may call again."""
        self.speaks(OTHER[role], 1)
        program = self.programs[role]
        if program.raw is not None:
            if shown:
                self._run(self._shows(program))
            self._run(self._loses(program))
        if again:
            self.comes_back(role)

    @rule(role=roles, quiet=st.booleans(), again=st.booleans())
    def another_program_goes_on(self, role: Role, quiet: bool, again: bool) -> None:
        self.is_cut_off(role, shown=True, again=False)
        program = self.programs[role]
        if role is OPERATOR:
            program.end = self._console(quiet=quiet)
        else:
            program.end = Endpoint(HANDLES[PEER], saved=program.end.saved(), quiet=quiet)
        if again:
            self.comes_back(role)

    @rule(role=roles)
    def comes_back(self, role: Role) -> None:
        if self.programs[role].raw is None:
            self._run(self._calls(role))

    @rule()
    def the_daemon_restarts(self) -> None:
        for role in Role:
            self.is_cut_off(role, shown=False, again=False)
        self._run(self.service.restart())

    @rule(role=roles)
    def something_arrives(self, role: Role) -> None:
        if self.programs[role].raw is not None:
            self._run(self._reads(role))

    # -------------------------------------------------------------- what must hold

    @precondition(lambda self: all(program.raw for program in self.programs.values()))
    @rule()
    def all_arrives(self) -> None:
        """Then both sides' counts agree, at both ends and in the daemon."""
        while self._run(self._reads(PEER)) + self._run(self._reads(OPERATOR)):
            pass
        talk = self.service.switchboard.conversation
        for role, program in self.programs.items():
            end, other = program.end, self.programs[OTHER[role]].end
            assert talk is not None
            assert talk.unread(role) == 0
            assert end.stored_count == end.sent_count == other.received_count == talk.turn_state.count(role)
            assert end.other.quiet is other.quiet
            assert end.unread_count == 0
            assert other.quiet or end.read_count == end.stored_count

    # -------------------------------------------------------------- inside

    def _console(self, *, quiet: bool) -> ConsoleEndpoint:
        self._consoles += 1
        return ConsoleEndpoint(HANDLES[OPERATOR], console=f"{self._consoles:016x}", quiet=quiet)

    async def _calls(self, role: Role) -> None:
        program, service = self.programs[role], self.service
        peer = role is PEER
        owner = PeerSession(service.switchboard, ADDRESS, Anybody(), secure=True) if peer else None
        program.raw = await service.connect(service.console_session() if owner is None else owner)
        program.end.greet()
        await self._sends(role)

    async def _sends(self, role: Role) -> None:
        program = self.programs[role]
        if program.raw is not None:
            await program.raw.say(*map(str, program.end.take_frames()))

    async def _loses(self, program: Program) -> None:
        assert program.raw is not None
        await self.service.lose(program.raw)
        program.raw = None
        program.end.connection_lost()

    async def _reads(self, role: Role) -> int:
        """Shows all that has been sent to this end, and says so; how many lines that were."""
        count = await self._shows(self.programs[role])
        await self._sends(role)
        return count

    async def _shows(self, program: Program) -> int:
        assert program.raw is not None
        lines = await program.raw.news()
        for line in lines:
            frame = codec.parse(line.encode())
            assert frame is not None
            program.end.receive(frame)
        program.end.mark_displayed()
        return len(lines)


TestReadMarks = ReadMarks.TestCase
TestReadMarks.settings = settings(max_examples=100, stateful_step_count=20, deadline=None)
