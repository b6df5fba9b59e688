"""A record is compared by its fields, shown without its secrets, and matched as a dataclass is."""

from __future__ import annotations

import copy
import pickle
from dataclasses import field, replace

import pytest

from pychat_client.records import record


@record
class Place:
    row: int
    column: int = 0


class Corner(Place):
    """Has no fields of its own."""


@record
class Other:
    row: int
    column: int = 0


@record
class Nothing:
    pass


@record
class Nowhere:
    pass


@record
class Key:
    name: str
    secret: bytes = field(repr=False)


def test_records_are_equal_by_class_and_fields() -> None:
    for one in (Place(1), Corner(1), Nothing()):
        assert one == copy.copy(one)
        assert hash(one) == hash(copy.copy(one))
        assert one
    for other in (Place(1, 1), Place(2), Corner(1), Other(1), Nothing(), (1, 0), 1):
        assert Place(1) != other
        assert other != Place(1)
    nowhere: object = Nowhere()
    assert Nothing() != nowhere


def test_a_record_is_shown_without_its_secrets() -> None:
    assert repr(Place(1)) == "Place(row=1, column=0)"
    assert repr(Nothing()) == "Nothing()"
    assert repr(Key("a", b"hidden")) == "Key(name='a')"


def test_a_record_is_matched_copied_and_replaced() -> None:
    match Place(1, 2):
        case Place(row, column):
            assert (row, column) == (1, 2)
    assert replace(Place(1, 2), row=3) == Place(3, 2)
    assert copy.deepcopy(Place(1)) == pickle.loads(pickle.dumps(Place(1))) == Place(1)


def test_a_record_has_its_fields_alone() -> None:
    with pytest.raises(AttributeError):
        Place(1).other = 2  # type: ignore[attr-defined]
    with pytest.raises(TypeError):
        Place()  # type: ignore[call-arg]
