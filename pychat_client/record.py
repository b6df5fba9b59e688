"""Records: classes of values that do not change. The type checker sees to that, not the program."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar, dataclass_transform

_Class = TypeVar("_Class")


@dataclass_transform(frozen_default=True)
def record(cls: type[_Class]) -> type[_Class]:
    """`cls` as a dataclass with slots and a hash. To make it frozen at run time, too, would take half as long
    again, and each program makes dozens of them when it starts."""
    return dataclass(slots=True, unsafe_hash=True)(cls)
