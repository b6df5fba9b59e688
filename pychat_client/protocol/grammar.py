"""What the words of a line look like: how a count, a time or a handle is read and written.

A reader makes a value of one word. It raises ProtocolError for a word that does not look like one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, fields
from datetime import UTC, datetime
from enum import Enum
from functools import lru_cache
from typing import Any

from pychat_client.errors import HandleError, ProtocolError
from pychat_client.protocol.turns import Turns
from pychat_client.text import CONTROL, WORDS_MAX, check_handle

ORDER_MAX = 1000
"""Characters of an order, of a line of its answer, or of an error: a line has room for as many of four bytes, and
the longest name of a file fits in, written as JSON."""

_EPOCH = datetime.fromtimestamp(0, UTC)
_DOOMSDAY = datetime(9999, 1, 1, tzinfo=UTC)  # a year before the last one, so that every time zone can show it
_NUMBER = re.compile(r"[0-9]{1,15}")
_SESSION = re.compile(r"[0-9A-Za-z_-]{1,64}")
_DIGEST = re.compile(r"[0-9a-f]{16}")
_KEEP = re.compile(r"forever|none|[1-9][0-9]{0,4}d")

Reader = Callable[[str], object]
Keys = Mapping[str, Reader]
"""The `key=value` words of a frame, in their order on the line. Each key is the name of the frame's attribute."""


# ------------------------------------------------------------------ one word


@lru_cache(maxsize=16)  # every message of a conversation begins with one of two handles
def handle(word: str) -> str:
    try:
        return check_handle(word)
    except HandleError as error:
        raise ProtocolError("handle", str(error)) from None


def number(word: str) -> int:
    if _NUMBER.fullmatch(word) is None:
        raise ProtocolError("syntax", "A count is a decimal number.")
    return int(word)


def session(word: str) -> str:
    if _SESSION.fullmatch(word) is None:
        raise ProtocolError("syntax", "A session or a console is 1 to 64 letters, digits, '-' or '_'.")
    return word


def digest(word: str) -> str:
    if _DIGEST.fullmatch(word) is None:
        raise ProtocolError("syntax", "A digest is 16 hexadecimal digits in lower case.")
    return word


def turns(word: str) -> Turns:
    try:
        return Turns(word)
    except ValueError:
        raise ProtocolError("syntax", "Turns are 'alternate' or 'free'.") from None


def keep(word: str) -> str | None:
    """None for what a later version may say: it stands in a sentence of ours, so only known words are taken."""
    return word if _KEEP.fullmatch(word) is not None else None


def time(word: str) -> datetime:
    try:
        read = datetime.fromisoformat(word)
        if read.tzinfo is not None and _EPOCH <= read < _DOOMSDAY:
            return read
    except ValueError:
        pass
    raise ProtocolError("syntax", "A time has the form of RFC 3339, and is not before 1970.")


def flag(word: str) -> bool:
    return word == "1"


# ------------------------------------------------------------------ the key=value words of a frame


def read_keys(frame: type[Any], words: Iterable[str]) -> dict[str, Any]:
    """The values of `frame.KEYS` in `words`, by name. Ignores other words, so that version 1 can grow. Raises
    ProtocolError when the frame cannot be without a key that is missing."""
    keys: Keys = frame.KEYS
    given = dict(word.split("=", 1) for word in words if "=" in word)
    for field in fields(frame):
        if field.name in keys and field.default is MISSING and field.name not in given:
            raise ProtocolError("syntax", f"The word {field.name}= is missing.")
    return {key: read(given[key]) for key, read in keys.items() if key in given}


def write_keys(frame: Any) -> str:
    """` key=value` for each of `frame.KEYS`, except for those that are None or False."""
    values = {key: getattr(frame, key) for key in frame.KEYS}
    return "".join(f" {key}={_written(v)}" for key, v in values.items() if v is not None and v is not False)


def _written(value: object) -> object:
    if value is True:
        return 1
    if isinstance(value, datetime):
        return timestamp(value)
    return value.value if isinstance(value, Enum) else value


# ------------------------------------------------------------------ other words


def timestamp(moment: datetime) -> str:
    """RFC 3339 in UTC with milliseconds."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def shortened(sentence: str, most: int = WORDS_MAX) -> str:
    """A sentence that fits into a line, and cannot begin another one. A path in it can have a byte that is no
    UTF-8."""
    sentence = CONTROL.sub(" ", sentence).encode(errors="backslashreplace").decode()
    return sentence if len(sentence) <= most else sentence[: most - 1] + "…"
