"""Whether two programs mean the same messages: both make a digest of the texts, and compare it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

UNACKED_MAX = 100
"""Unacked messages of an endpoint at most, and so the texts of a digest. Further ones are held, so that they do
not flood a slow connection."""


def digest_of(texts: Sequence[str]) -> str | None:
    """16 hexadecimal digits. None if there is nothing to compare: no text, more than an endpoint can have unacked,
    or one that is not kept any more (an empty one)."""
    if not 0 < len(texts) <= UNACKED_MAX or not all(texts):
        return None
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()[:16]
