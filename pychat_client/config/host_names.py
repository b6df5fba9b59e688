"""The name of a host in its one spelling, so that a key that was accepted for a name is the key of that host only.

Two standards say what a name with other letters than a to z means: IDNA 2003, which Python has, and IDNA 2008 with
UTS 46, which browsers follow. Where they differ, nobody knows which host is meant, and the name is refused. With a
library for the second, the answer would depend on what is installed, and other programs still follow the first.
"""

from __future__ import annotations

import re
from contextlib import suppress
from unicodedata import normalize

from pychat_client.errors import UsageError
from pychat_client.text import printable

_IGNORED = re.compile("[\U000e0100-\U000e01ef]")
"""The invisible characters that printable() shows, and that only UTS 46 leaves out."""


def host_name(word: str) -> str:
    """The spelling of `word` that is used everywhere. Raises UsageError."""
    if not is_host(word):
        raise UsageError(f"'{printable(word)}' is not a valid host name.")
    if word.isascii() and "xn--" not in word.lower():
        return word
    readings = _readings(word)
    if not readings:
        raise UsageError(f"'{printable(word)}' is not a valid host name.")
    if len(readings) > 1:
        raise UsageError(f"'{printable(word)}' can mean {' or '.join(readings)}: use the one that you mean.")
    (name,) = readings
    with suppress(UnicodeError):
        return name.encode().decode("idna")
    return name  # IDNA 2003 cannot write it in other letters


def is_host(word: str) -> bool:
    """Whether `word` may be the name or the address of a host; TLS accepts no leading dot."""
    return word != "" and not word.startswith(".") and " " not in word and printable(word) == word


def _readings(word: str) -> list[str]:
    """What `word` can mean, in ASCII; nothing if it is not valid.

    UTS 46 keeps `ß` as lower() does, and maps most other letters as casefold() does. Tried for each character of
    Unicode 15: where IDNA 2003 agrees with both, it agrees with UTS 46.
    """
    if _IGNORED.search(word):
        return []
    try:
        old = word.encode("idna").decode().lower()
    except UnicodeError:
        return []
    compatible = normalize("NFKC", word)
    return sorted({old, _ascii(compatible.lower()), _ascii(compatible.casefold())})


def _ascii(name: str) -> str:
    labels = re.split("[.\u3002]", normalize("NFKC", name))
    return ".".join(label if label.isascii() else f"xn--{label.encode('punycode').decode()}" for label in labels)
