"""Records are values: equal by what they hold, and not to be changed."""

from __future__ import annotations

import pytest

from pychat_client.record import record


@record
class Point:
    x: int
    y: int = 0


@record
class Size:
    x: int
    y: int = 0


def test_records_are_equal_by_class_and_values() -> None:
    assert {Point(1), Point(1, 0), Point(2)} == {Point(1), Point(2)}
    assert len({Point(1), Size(1)}) == 2


def test_a_record_has_no_other_attributes() -> None:
    with pytest.raises(AttributeError):
        Point(1).z = 3  # type: ignore[attr-defined]


def test_the_type_checker_refuses_to_change_a_record() -> None:
    """mypy complains of the comment if the line is no error."""
    Point(1).x = 2  # type: ignore[misc]
