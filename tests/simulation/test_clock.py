"""What is ready at the same time happens in any order, and a seed always makes the same one."""

from __future__ import annotations

import asyncio
from itertools import permutations

from tests.simulation import clock


def order_of(seed: int, *delays: float) -> tuple[int, ...]:
    """In which order events happen that come after these seconds; 0 for those that are ready at once."""
    happened: list[int] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        for number, delay in enumerate(delays):
            if delay:
                loop.call_later(delay, happened.append, number)
            else:
                loop.call_soon(happened.append, number)
        await asyncio.sleep(1)

    clock.run(main(), seed)
    return tuple(happened)


def test_events_that_are_ready_together_happen_in_every_order() -> None:
    assert {order_of(seed, 0, 0, 0) for seed in range(100)} == set(permutations(range(3)))
    assert {order_of(seed, 0.5, 0.5, 0.5) for seed in range(100)} == set(permutations(range(3)))


def test_also_those_that_come_while_the_machine_is_slow() -> None:
    assert {order_of(seed, 0.5, 0.5 + clock.SLOWNESS / 2) for seed in range(400)} == {(0, 1), (1, 0)}


def test_those_that_are_far_apart_keep_their_order() -> None:
    assert {order_of(seed, 0.5, 0.5 + 2 * clock.SLOWNESS) for seed in range(400)} == {(0, 1)}


def test_a_seed_makes_the_same_order_again() -> None:
    delays = [0.0, 0.5, 0.5, 0.5] * 10
    assert order_of(7, *delays) == order_of(7, *delays) != order_of(8, *delays)
