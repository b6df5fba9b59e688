"""Whether the two users take turns: a setting of a service, and a word of the protocol."""

from __future__ import annotations

from enum import Enum


class Turns(Enum):
    """Whether the two take turns, or can both speak at any time after the first message."""

    ALTERNATE = "alternate"
    FREE = "free"
