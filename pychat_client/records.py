"""What a record is: a value made of named fields, that nothing changes. Knows no class that is one."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from operator import attrgetter
from typing import TypeVar, dataclass_transform

_Record = TypeVar("_Record")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def record(cls: type[_Record]) -> type[_Record]:
    """A dataclass with slots. Two of a class are equal if their fields are; mypy says where one would be changed.

    `dataclass(frozen=True, slots=True)` does the same, but compiles six methods for each class, which takes
    a tenth of a start. Here only `__init__` is compiled, and it is quicker than that of a frozen one.
    """
    cls.__doc__ = cls.__doc__ or cls.__name__  # without one, dataclass formats a signature
    made = dataclass(eq=False, repr=False, slots=True)(cls)
    values = attrgetter("__class__", *made.__match_args__)  # type: ignore[attr-defined]  # dataclass has set it

    def equal(self: object, other: object) -> bool:
        return values(self) == values(other) if type(other) is type(self) else NotImplemented

    def hashed(self: object) -> int:
        return hash(values(self))

    made.__eq__ = equal  # type: ignore[method-assign]  # as dataclass does it
    made.__hash__ = hashed  # type: ignore[method-assign]
    made.__repr__ = _shown  # type: ignore[method-assign]
    return made


def _shown(self: object) -> str:
    """The fields, without those that keep a secret (`repr=False`)."""
    shown = (f"{one.name}={getattr(self, one.name)!r}" for one in fields(self) if one.repr)  # type: ignore[arg-type]
    return f"{type(self).__qualname__}({', '.join(shown)})"
