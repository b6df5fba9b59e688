"""Calling again: after which close, with which pauses, and for how long."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

import pytest

from pychat_client.errors import ExitStatus, PychatError, TransportError, UnreachableError, UntrustedHostError
from pychat_client.protocol.endpoint import Endpoint
from pychat_client.protocol.saved import SavedEndpoint
from pychat_client.session import reconnect
from pychat_client.session.reconnect import ConnectionSupervisor, Verdict
from pychat_client.session.session import Session, run_session
from pychat_client.transport.connection import Connection
from tests.support.aio import in_loop
from tests.support.endpoints import HELLO, say
from tests.support.notes import Notes
from tests.support.raw_ends import AsyncEnd, attach
from tests.support.recorder import Recorder


class Calls:
    """What a session calls: answers some calls with a connection, and lets the others fail."""

    def __init__(self, *, wait: bool = False, saved: SavedEndpoint | None = None) -> None:
        """saved: what an earlier program has left."""
        self.view = Notes()
        self.session = Session(Endpoint("Bob", saved=saved), self.view, "the test", wait=wait)
        self.times: list[float] = []
        self._up = True
        self._answered: asyncio.Queue[AsyncEnd] = asyncio.Queue()

    async def connect(self) -> Connection:
        self.times.append(asyncio.get_running_loop().time())
        if not self._up:
            raise UnreachableError("No answer.")
        connection = Connection(self.session)
        self._answered.put_nowait(await attach(connection))
        return connection

    async def answered(self) -> AsyncEnd:
        """The other end of the next call, greeted."""
        raw = await self._answered.get()
        await raw.hear()
        await raw.say(HELLO)
        return raw

    def go_down(self) -> None:
        self._up = False

    async def come_back_after(self, calls: int) -> None:
        while len(self.times) < calls:
            await asyncio.sleep(0)
        self._up = True

    def start(self, retry_for: float | None = None) -> asyncio.Task[ExitStatus]:
        return asyncio.create_task(run_session(self.session, self.view.run, self.connect, retry_for))


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses of 10, 20, 40, 40, ... milliseconds, with no random part."""
    monkeypatch.setattr(reconnect, "PAUSE_FIRST", 0.01)
    monkeypatch.setattr(reconnect, "PAUSE_MAX", 0.04)
    uniform: Callable[[float, float], float] = lambda low, high: high  # noqa: E731 -- the type of both
    monkeypatch.setattr(random, "uniform", uniform)


@in_loop
async def test_no_call_follows_the_end_of_a_conversation() -> None:
    calls = Calls()
    status = calls.start()
    raw = await calls.answered()
    await raw.say("\\quit bye")
    assert await status == ExitStatus.OK
    assert len(calls.times) == 1
    raw.hang_up()


@in_loop
async def test_a_first_call_that_fails_is_the_end() -> None:
    calls = Calls()
    calls.go_down()
    assert await calls.start() == ExitStatus.ABSENT
    assert (calls.view.sentences, len(calls.times)) == (["No answer."], 1)


@in_loop
async def test_a_returning_program_calls_again_after_a_lost_connection() -> None:
    calls = Calls(saved=SavedEndpoint("Bob", session="token", received=1, stored=1))
    status = calls.start()
    for _ in range(2):
        raw = await calls._answered.get()
        await raw.hear()
        raw.hang_up()  # before the hello
    raw = await calls._answered.get()
    assert len([words for words in calls.view.sentences if "Reconnecting" in words]) == 1
    await raw.say(HELLO)
    await raw.say("\\quit")
    assert await status == ExitStatus.OK
    raw.hang_up()


@in_loop
async def test_a_program_that_returns_ends_when_its_first_call_fails() -> None:
    calls = Calls(saved=SavedEndpoint("Bob", session="token", received=1, stored=1))
    calls.go_down()
    await calls.start()
    assert len(calls.times) == 1


@in_loop
async def test_pauses_grow_up_to_the_longest_one() -> None:
    calls = Calls()
    status = calls.start()
    raw = await calls.answered()
    calls.go_down()
    raw.hang_up()
    await calls.come_back_after(6)
    raw = await calls.answered()
    pauses = [later - earlier for earlier, later in zip(calls.times[1:], calls.times[2:], strict=False)]
    for pause, least in zip(pauses, (0.02, 0.04, 0.04, 0.04), strict=False):
        assert pause >= least * 0.99
    assert pauses[3] < 0.08 * 4  # no longer doubled; a busy machine may be late
    await raw.say("\\quit")
    assert await status == ExitStatus.OK
    raw.hang_up()


STOPPING = "\\error stopping The service stops."
FULL = "\\error journal The other host cannot store messages now."


@pytest.mark.parametrize(
    ("last", "pauses"),
    [((), [0.01, 0.01]), ((STOPPING,), [0.01, 0.01]), ((FULL,), [0.01, 0.02])],
    ids=["cut", "stopped", "full"],
)
def test_pauses_start_small_again_after_a_good_call(last: tuple[str, ...], pauses: list[float]) -> None:
    """A daemon that cannot store anything is not called the more often for its answers."""

    @in_loop
    async def check() -> None:
        calls = Calls()
        waits: list[float] = []
        sleep = asyncio.sleep

        async def noted(seconds: float) -> None:
            waits.append(seconds)
            await sleep(0)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(asyncio, "sleep", noted)
            status = calls.start()
            for _ in range(2):
                raw = await calls.answered()
                await raw.say(*last)
                raw.hang_up()
            raw = await calls.answered()
        assert waits == pauses
        await raw.say("\\quit")
        assert await status == ExitStatus.OK
        raw.hang_up()

    check()


@in_loop
async def test_the_next_call_sends_unacked_messages_again() -> None:
    calls = Calls()
    status = calls.start()
    raw = await calls.answered()
    while not calls.session.status.connected:
        await asyncio.sleep(0)
    calls.session.submit("Hi!")
    assert await raw.hear() == "Bob> Hi!"
    raw.hang_up()
    raw = await calls.answered()
    assert await raw.hear() == "Bob> Hi!"
    await raw.say("\\ack 1", "\\quit")
    assert await status == ExitStatus.OK
    assert calls.view.messages == ["Hi!"]
    raw.hang_up()


@in_loop
async def test_retry_for_gives_up_with_a_sentence() -> None:
    calls = Calls()
    status = calls.start(retry_for=2)
    raw = await calls.answered()
    calls.go_down()
    raw.hang_up()
    assert await status == ExitStatus.ABSENT
    assert calls.view.sentences[-1] == "No answer for 2 s; giving up."
    assert calls.times[-1] - calls.times[1] < 4  # a busy machine may be late
    assert len(calls.times) > 2


@pytest.mark.parametrize("answers", [False, True], ids=["call", "handshake"])
@pytest.mark.parametrize("earlier", [False, True], ids=["first call", "conversation"])
def test_retry_for_ends_a_call_that_is_under_way(answers: bool, earlier: bool) -> None:
    """A host that is stopped takes connections, and says nothing."""

    @in_loop
    async def check() -> None:
        calls = Calls()
        silent = not earlier
        ends: list[AsyncEnd] = []

        async def connect() -> Connection:
            if silent and not answers:
                await asyncio.Event().wait()
            return await calls.connect()

        status = asyncio.create_task(run_session(calls.session, calls.view.run, connect, 2))
        if earlier:
            raw = await calls.answered()
            await raw.news()
            silent = True
            raw.hang_up()
        if answers:
            ends.append(await calls._answered.get())
        assert await asyncio.wait_for(status, 10) == ExitStatus.ABSENT
        assert calls.view.sentences[-1] == "No answer for 2 s; giving up."
        for end in ends:
            end.hang_up()

    check()


@pytest.mark.parametrize("last", [(), (STOPPING,), (FULL,)], ids=["cut", "stopped", "full"])
def test_retry_for_counts_from_the_last_good_call(last: tuple[str, ...]) -> None:
    @in_loop
    async def check() -> None:
        calls = Calls()
        status = calls.start(retry_for=2)
        raw = await calls.answered()
        while calls.times[-1] - calls.times[0] <= 2:
            await raw.say(*last)
            raw.hang_up()
            raw = await calls.answered()
        await raw.say("\\quit")
        assert await status == ExitStatus.OK
        raw.hang_up()

    check()


@pytest.mark.parametrize(("wait", "status"), [(False, ExitStatus.TAKEN), (True, ExitStatus.OK)])
def test_only_wait_calls_a_busy_service_again(wait: bool, status: ExitStatus) -> None:
    @in_loop
    async def check() -> None:
        calls = Calls(wait=wait)
        result = calls.start()
        busy = await calls._answered.get()
        await busy.say("\\busy The line is taken: try --wait.")
        busy.hang_up()
        if wait:
            raw = await calls.answered()
            await raw.say("\\quit")
            await raw.rest()
            raw.hang_up()
        assert await result == status
        ours = "Busy: you cannot talk now. Calling again until you can."
        theirs = 'the test\'s program says: "The line is taken: try --wait."'
        assert calls.view.sentences[0] == (ours if wait else theirs)
        assert calls.view.rings == (["the test answers."] if wait else [])  # the user may look elsewhere meanwhile

    check()


@pytest.mark.parametrize(("down", "status"), [(False, ExitStatus.TAKEN), (True, ExitStatus.ABSENT)])
def test_giving_up_tells_a_busy_service_from_one_that_is_gone(down: bool, status: ExitStatus) -> None:
    @in_loop
    async def check() -> None:
        calls = Calls(wait=True)
        result = calls.start(retry_for=2)
        while not result.done():
            answers = asyncio.create_task(calls._answered.get())
            await asyncio.wait([answers, result], return_when=asyncio.FIRST_COMPLETED)
            if not answers.done():
                answers.cancel()
                break
            await answers.result().say("\\busy")
            if down:
                calls.go_down()
            answers.result().hang_up()
        assert await result == status
        assert calls.view.sentences[-1] == f"{'No answer' if down else 'Busy'} for 2 s; giving up."

    check()


@in_loop
async def test_an_unexpected_error_in_a_call_ends_the_program() -> None:
    async def connect() -> Connection:
        raise RuntimeError("a fault in connect")

    view = Notes()
    session = Session(Endpoint("Bob"), view, "the test", wait=True)
    with pytest.raises(PychatError, match=r"This is a bug in pychat \(RuntimeError: a fault in connect\)"):
        await asyncio.wait_for(run_session(session, view.run, connect), 5)
    assert session.done


@in_loop
async def test_an_error_of_the_front_end_reaches_the_caller_as_it_is() -> None:
    async def run(session: Session) -> None:
        raise UnreachableError("no group around it")

    calls = Calls()
    with pytest.raises(UnreachableError, match="no group around it"):
        await run_session(calls.session, run, calls.connect)


@in_loop
async def test_after_an_unexpected_error_unsent_texts_are_shown() -> None:
    calls = Calls()
    say(calls.session.endpoint, "not lost")

    async def connect() -> Connection:
        raise RuntimeError

    with pytest.raises(PychatError):
        await run_session(calls.session, calls.view.run, connect)
    assert calls.view.sentences[-2:] == ["Not sent:", "    not lost"]


@in_loop
async def test_the_status_follows_the_connection() -> None:
    calls = Calls()
    session, seen = calls.session, [calls.session.status.attempts]

    async def connect() -> Connection:
        seen.append(session.status.attempts)
        return await calls.connect()

    status = asyncio.create_task(run_session(session, calls.view.run, connect))
    raw = await calls._answered.get()
    await raw.hear()
    seen.append(session.status.attempts)
    for line in (HELLO, "\\error stopping The service stops."):
        await raw.say(line)
        await raw.news()
        seen.append(session.status.attempts)
    raw.hang_up()
    raw = await calls.answered()
    await raw.say("\\quit")
    assert await status == ExitStatus.OK
    raw.hang_up()
    assert not session.status.connected
    assert seen == [0, 0, 0, None, 0, 1]  # no calls have failed; connected; turned away; the connection is lost


@in_loop
async def test_a_new_route_ends_a_pause_and_makes_the_next_one_short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconnect, "PAUSE_MAX", 3600.0)
    calls = Calls()
    status = calls.start()
    raw = await calls.answered()
    await raw.news()
    monkeypatch.setattr(reconnect, "PAUSE_FIRST", 3600.0)
    calls.go_down()
    raw.hang_up()
    while calls.session.status.connected:
        await asyncio.sleep(0)
    await asyncio.sleep(0)
    monkeypatch.setattr(reconnect, "PAUSE_FIRST", 0.01)
    for count in (2, 3):
        calls.session.route_changed()
        while len(calls.times) < count:
            await asyncio.sleep(0.001)
    calls.session.interrupt()
    assert await status == ExitStatus.INTERRUPTED


@in_loop
async def test_a_new_route_asks_whether_the_other_side_is_still_there() -> None:
    calls = Calls()
    status = calls.start()
    raw = await calls.answered()
    await raw.news()
    calls.session.route_changed()
    assert await raw.hear() == "\\ping"
    await raw.say("\\pong", "\\quit")
    assert await status == ExitStatus.OK
    raw.hang_up()


@in_loop
async def test_a_new_route_begins_a_call_again() -> None:
    calls = Calls()
    begun: list[int] = []

    async def connect() -> Connection:
        begun.append(len(begun))
        if len(begun) == 1:
            await asyncio.Event().wait()  # an address that does not answer
        return await calls.connect()

    status = asyncio.create_task(run_session(calls.session, calls.view.run, connect))
    while not begun:
        await asyncio.sleep(0)
    calls.session.route_changed()
    raw = await calls.answered()
    assert begun == [0, 1]
    await raw.say("\\quit")
    assert await status == ExitStatus.OK
    raw.hang_up()


@pytest.mark.parametrize("returning", [False, True])
@pytest.mark.parametrize("wait", [False, True])
@pytest.mark.parametrize("resumable", [False, True])
def test_it_calls_again_if_the_conversation_can_go_on(returning: bool, wait: bool, resumable: bool) -> None:
    @in_loop
    async def check() -> None:
        supervisor = ConnectionSupervisor(Deaf(), wait=wait, returning=returning)
        connection = Connection(Recorder())
        supervisor.connected(connection)
        verdict = supervisor.connection_lost(connection, resumable=resumable)
        first = Verdict.BEGIN_TO_RETRY if returning else Verdict.KEEP_RETRYING
        assert verdict is (first if resumable and (returning or wait) else Verdict.GIVE_UP)
        assert not supervisor.send([])

    check()


@in_loop
async def test_a_user_reads_once_that_calls_fail() -> None:
    supervisor = ConnectionSupervisor(Deaf(), wait=True)
    verdicts = []
    for _ in range(3):
        verdicts.append(supervisor._verdict_on(UnreachableError("No answer.")))
        supervisor._attempts += 1
    assert verdicts == [Verdict.BEGIN_TO_RETRY, Verdict.KEEP_RETRYING, Verdict.KEEP_RETRYING]
    assert supervisor._verdict_on(TransportError("Refused.")) is Verdict.GIVE_UP
    connection = Connection(Recorder())
    supervisor.connected(connection)
    assert supervisor.greeted()  # the first answer after a wait
    supervisor.connection_lost(connection, resumable=True)
    assert supervisor._verdict_on(UnreachableError("No answer.")) is Verdict.BEGIN_TO_RETRY
    assert supervisor._verdict_on(UntrustedHostError("Another key.")) is Verdict.GIVE_UP
    supervisor.connected(connection)
    assert supervisor.send([])
    assert not supervisor.greeted()


@in_loop
async def test_a_first_answer_without_a_wait_calls_nobody() -> None:
    supervisor = ConnectionSupervisor(Deaf(), wait=True)
    supervisor.connected(Connection(Recorder()))
    assert not supervisor.greeted()


def test_a_pause_is_twice_the_one_before_up_to_the_longest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconnect, "PAUSE_MAX", 5.0)
    assert [reconnect.longer_pause(pause) for pause in (1.0, 2.0, 4.0, 5.0)] == [2.0, 4.0, 5.0, 5.0]


@in_loop
async def test_each_call_that_fails_is_counted() -> None:
    calls = Calls(wait=True)
    calls.go_down()
    status = calls.start()
    assert calls.session.status.attempts == 0
    for count in (1, 2, 3):
        while len(calls.times) < count:
            await asyncio.sleep(0)
        while calls.session.status.attempts != count:
            await asyncio.sleep(0)
    calls.session.interrupt()
    assert await status == ExitStatus.INTERRUPTED


@in_loop
async def test_a_call_that_is_answered_too_late_is_closed() -> None:
    calls = Calls()
    answered: list[AsyncEnd] = []

    async def connect() -> Connection:
        calls.session.finish(ExitStatus.OK)
        connection = await calls.connect()
        answered.append(await calls._answered.get())
        return connection

    await calls.session.keep_connected(connect)
    assert await answered[0].rest() == []
    answered[0].hang_up()


class Deaf:
    """A listener that does nothing."""

    def connection_made(self) -> None: ...

    def call_failed(self, error: TransportError, verdict: Verdict) -> None: ...

    def give_up(self, seconds: float) -> None: ...
