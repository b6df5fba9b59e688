"""Calling again: with growing pauses while nobody answers, at once less often, and not for ever if told so."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime

import pytest

from pychat_client.errors import ExitStatus, UnreachableError
from pychat_client.protocol import wire
from pychat_client.protocol.endpoint import Endpoint
from pychat_client.session import reconnect
from pychat_client.session.reconnect import run_session
from pychat_client.session.session import Session
from pychat_client.session.view import View
from pychat_client.transport.connection import Connection
from tests.aio import Raw, attach, in_loop

HELLO = "\\hello 1 alice session=5f0c turns=free"


class Notes(View):
    """A view that keeps what it is told, and reads nothing."""

    def __init__(self) -> None:
        self.sentences: list[str] = []
        self.messages: list[str] = []
        self.rings: list[str] = []
        self._stopped = asyncio.Event()

    def message(self, message: wire.Message, *, own: bool, time: datetime, replayed: bool) -> None:
        self.messages.append(message.text)

    def held(self, text: str) -> None: ...

    def notice(self, sentence: str) -> None:
        self.sentences.append(sentence)

    def alert(self, words: str, *, ring: bool) -> None:
        self.rings += [words] if ring else []

    def restore(self, text: str) -> None: ...

    keys: Sequence[tuple[str, str]] = ()

    def refresh(self) -> None: ...

    async def run(self, session: Session) -> None:
        await self._stopped.wait()

    def stop(self) -> None:
        self._stopped.set()


class Calls:
    """What a chat calls: answers some calls with a link, and lets the others fail."""

    def __init__(self, *, wait: bool = False) -> None:
        self.view = Notes()
        self.session = Session(Endpoint("Bob"), self.view, "the test", wait=wait)
        self.times: list[float] = []
        self._up = True
        self._answered: asyncio.Queue[Raw] = asyncio.Queue()

    async def connect(self) -> Connection:
        self.times.append(asyncio.get_running_loop().time())
        if not self._up:
            raise UnreachableError("Nobody answers.")
        connection = Connection(self.session)
        self._answered.put_nowait(await attach(connection))
        return connection

    async def answered(self) -> Raw:
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

    def start(self, retry_for: float | None = None) -> Awaitable[ExitStatus]:
        return asyncio.create_task(run_session(self.session, self.view, self.connect, retry_for))


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses of 10, 20, 40, 40, ... milliseconds, with nothing left to chance."""
    monkeypatch.setattr(reconnect, "PAUSE_FIRST", 0.01)
    monkeypatch.setattr(reconnect, "PAUSE_MAX", 0.04)
    uniform: Callable[[float, float], float] = lambda low, high: high  # noqa: E731 -- the type of both
    monkeypatch.setattr(random, "uniform", uniform)


@in_loop
async def test_a_chat_that_ends_is_not_called_again() -> None:
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
    assert (calls.view.sentences, len(calls.times)) == (["Nobody answers."], 1)


@in_loop
async def test_a_cut_connection_is_made_again_with_growing_pauses_up_to_the_longest() -> None:
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


@in_loop
async def test_after_a_good_call_the_pauses_begin_small_again() -> None:
    calls = Calls()
    waits: list[float] = []
    sleep = asyncio.sleep

    async def noted(seconds: float) -> None:
        waits.append(seconds)
        await sleep(0)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(asyncio, "sleep", noted)
        status = calls.start()
        (await calls.answered()).hang_up()
        (await calls.answered()).hang_up()
        raw = await calls.answered()
    assert waits == [0.01, 0.01]
    await raw.say("\\quit")
    assert await status == ExitStatus.OK
    raw.hang_up()


@in_loop
async def test_what_was_not_acked_is_said_again_on_the_next_call() -> None:
    calls = Calls()
    status = calls.start()
    raw = await calls.answered()
    while not calls.session.greeted:
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
async def test_retry_for_gives_up_after_that_time_with_a_sentence() -> None:
    calls = Calls()
    status = calls.start(retry_for=0.1)
    raw = await calls.answered()
    calls.go_down()
    raw.hang_up()
    assert await status == ExitStatus.ABSENT
    assert calls.view.sentences[-1] == "Nobody answered for 0 s; giving up."
    assert calls.times[-1] - calls.times[1] <= 0.1
    assert len(calls.times) > 2


@in_loop
async def test_the_time_of_retry_for_counts_from_the_last_good_call() -> None:
    calls = Calls()
    status = calls.start(retry_for=0.05)
    for _ in range(10):  # together longer than that
        (await calls.answered()).hang_up()
    raw = await calls.answered()
    await raw.say("\\quit")
    assert await status == ExitStatus.OK
    assert calls.times[-1] - calls.times[0] > 0.05
    raw.hang_up()


@pytest.mark.parametrize(("wait", "status"), [(False, ExitStatus.TAKEN), (True, ExitStatus.OK)])
def test_a_taken_line_is_called_again_only_by_who_waits(wait: bool, status: ExitStatus) -> None:
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
        ours = "The line is taken. Calling again until it is free."
        assert calls.view.sentences[0] == (ours if wait else "The line is taken: try --wait.")
        assert calls.view.rings == (["the test answers."] if wait else [])  # who waits may look elsewhere

    check()
