"""The parts of small worlds: what a part does is worked out once, by the real code, and looked up from then on.

A small world consists of three parts, which have nothing in common but the frames that they exchange: a caller's
program, an operator's, and the daemon. So what a part does depends on nothing but its own state and what it is
given. Among millions of worlds there are few different parts: each gets a number, and a world is a few numbers.
"""

from __future__ import annotations

from typing import Any

from tests.simulation.copies import Copy, copied, number_of, restored, value_of

Frames = tuple[int, ...]
"""Frames as numbers: a world is compared often."""


class Parts:
    """All parts that there are, and what they do."""

    def __init__(self) -> None:
        self._numbers: dict[Copy, int] = {}
        self._copies: list[Copy] = []
        self._facts: list[Any] = []
        self._known: dict[tuple[Any, ...], Any] = {}

    @property
    def count(self) -> int:
        return len(self._copies)

    @property
    def worked_out(self) -> int:
        """How many steps of parts were worked out."""
        return len(self._known)

    def add(self, part: Any) -> int:
        copy = copied(part)
        number = self._numbers.setdefault(copy, len(self._copies))
        if number == len(self._copies):
            self._copies.append(copy)
            self._facts.append(part.facts())
        return number

    def facts(self, number: int) -> Any:
        return self._facts[number]

    def step(self, number: int, does: str, *given: Any) -> tuple[int, Any]:
        """The number of the part after it was given something, and the frames that it gives back."""
        question = (number, does, given)
        answer = self._known.get(question)
        if answer is None:
            answer = self._known[question] = self._work_out(number, does, given)
        return answer

    def _work_out(self, number: int, does: str, given: tuple[Any, ...]) -> tuple[int, Any]:
        part = restored(self._copies[number])
        sent = done(part, does, given)
        return self.add(part), sent


class LiveParts(Parts):
    """Parts of one world that are never copied. A test compares them with those that are looked up."""

    def __init__(self) -> None:
        super().__init__()
        self._parts: list[Any] = []

    def add(self, part: Any) -> int:
        self._parts.append(part)
        return len(self._parts) - 1

    def facts(self, number: int) -> Any:
        return self._parts[number].facts()

    def step(self, number: int, does: str, *given: Any) -> tuple[int, Any]:
        return number, done(self._parts[number], does, given)


def done(part: Any, does: str, given: tuple[Any, ...]) -> Any:
    """Lets a part do something. Returns the frames that it gives back, in numbers."""
    return _numbers(getattr(part, does)(*(_frames(one) if isinstance(one, tuple) else one for one in given)))


def _frames(numbers: Frames) -> tuple[Any, ...]:
    return tuple(map(value_of, numbers))


def _numbers(frames: tuple[Any, ...]) -> Any:
    """Frames, or a pair of them, in numbers."""
    return tuple(_numbers(one) if type(one) is tuple else number_of(one) for one in frames)
