"""Which connection has to go when there is no place for a new one. Knows standings, no sockets."""

from __future__ import annotations

import random
from collections.abc import Mapping
from enum import Enum
from typing import TypeVar

T = TypeVar("T")


class Standing(Enum):
    """What a connection has shown so far."""

    SILENT = "silent"  # not one byte
    UNPROVEN = "unproven"  # it talks, as any stranger can
    PROVEN = "proven"  # its certificate is on the list, or its token is that of a conversation


def choose(standings: Mapping[T, Standing]) -> T | None:
    """The connection that has to go, at random so that nobody can time it; None if there is none.

    First one that has said nothing, then one without a proof. But those that have said nothing keep half of the
    places: a peer that was cut off has said nothing either when it comes back, and has to have the time to.
    """
    silent, unproven, proven = (
        [one for one, has in standings.items() if has is standing] for standing in Standing
    )
    silent_first = 2 * len(silent) > len(standings)
    order = (silent, unproven, proven) if silent_first else (unproven, silent, proven)
    candidates = next(filter(None, order), [])
    return random.choice(candidates) if candidates else None  # noqa: S311 -- not a secret
