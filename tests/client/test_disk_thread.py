"""Work for the disk ends with what it has done, or with why it could not, in the loop's thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest

from pychat_client.errors import PychatError
from pychat_client.session.disk_thread import AtOnce, DiskThread
from tests.support.aio import in_loop
from tests.support.waiting import PATIENCE


@pytest.fixture(params=[AtOnce, DiskThread])
def apart(request: pytest.FixtureRequest) -> Iterator[AtOnce]:
    made: AtOnce = request.param()
    yield made
    made.close()


def _fail(error: Exception) -> Callable[[], None]:
    def work() -> None:
        raise error

    return work


async def _outcome(apart: AtOnce, work: Callable[[], None]) -> str:
    done: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def finish(error: PychatError | None) -> None:
        assert threading.current_thread() is threading.main_thread()
        done.set_result(str(error))

    apart.start(work, finish)
    async with asyncio.timeout(PATIENCE):
        return await done


@in_loop
async def test_one_work_follows_the_other(apart: AtOnce) -> None:
    did: list[int] = []
    assert await _outcome(apart, lambda: did.append(1)) == "None"
    assert await _outcome(apart, _fail(PychatError("The disk is full."))) == "The disk is full."
    assert await _outcome(apart, lambda: did.append(2)) == "None"
    assert did == [1, 2]


@in_loop
async def test_a_fault_of_ours_lets_nobody_wait_for_ever(apart: AtOnce) -> None:
    assert "TypeError" in await _outcome(apart, _fail(TypeError("no descriptor")))
    assert await _outcome(apart, lambda: None) == "None"


@in_loop
async def test_quick_work_is_done_before_the_loop_goes_on() -> None:
    with closing(DiskThread()) as apart:
        failures: list[PychatError | None] = []
        apart.start(lambda: None, failures.append, PATIENCE)
        assert failures == [None]
        assert await _outcome(apart, _fail(PychatError("The disk is full."))) == "The disk is full."


@in_loop
async def test_the_loop_goes_on_during_long_work() -> None:
    held = threading.Event()
    with closing(DiskThread()) as apart:
        done: asyncio.Future[PychatError | None] = asyncio.get_running_loop().create_future()
        apart.start(lambda: _wait(held), done.set_result, 0.001)
        assert not done.done()
        held.set()
        async with asyncio.timeout(PATIENCE):
            assert await done is None


def _wait(held: threading.Event) -> None:
    assert held.wait(PATIENCE)
