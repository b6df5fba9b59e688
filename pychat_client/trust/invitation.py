"""An invitation: one word that names a host's key, and lets one person in. Knows no host and no daemon.

The word has 48 letters and digits (Crockford's base 32), in groups of four. It has no character that a shell or
a mail program changes. Capitals and hyphens do not matter, and neither does O for 0, or I or L for 1.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import field

from pychat_client.errors import UsageError
from pychat_client.records import record
from pychat_client.trust.public_key import KEY_ID_BYTES

SECRET_BYTES = 10
"""80 bits: nobody can try so many, not even with the hash that the daemon keeps."""

CHECK_BYTES = 4
"""One of 4 billion typing errors is not found. All 30 bytes of the word together make 48 whole letters."""

_GROUP = 4
_DIGITS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_READ = {digit: value for value, digit in enumerate(_DIGITS)} | {"O": 0, "I": 1, "L": 1}
_BYTES = KEY_ID_BYTES + SECRET_BYTES + CHECK_BYTES
_LETTERS = _BYTES * 8 // 5


@record
class Invitation:
    """key: names the key of the host (`public_key.key_id`); secret: lets one person in, once."""

    key: bytes
    secret: bytes = field(repr=False)

    def __str__(self) -> str:
        data = self.key + self.secret
        number = int.from_bytes(data + _checksum(data), "big")
        word = "".join(_DIGITS[number >> 5 * place & 31] for place in reversed(range(_LETTERS)))
        return "-".join(word[start : start + _GROUP] for start in range(0, _LETTERS, _GROUP))


def new_secret() -> bytes:
    """The secret of a new invitation."""
    return os.urandom(SECRET_BYTES)


def secret_hash(secret: bytes) -> str:
    """What a daemon keeps of the secret."""
    return hashlib.sha256(secret).hexdigest()


def parse(word: str) -> Invitation:
    """The invitation that a user has typed or pasted. Raises UsageError."""
    letters = "".join(word.upper().split()).replace("-", "")
    if len(letters) != _LETTERS:
        raise UsageError(
            f"The invitation is not complete: it has {len(letters)} letters and digits, not {_LETTERS}. "
            "Copy all of it."
        )
    number = 0
    for letter in letters:
        number = number << 5 | _READ.get(letter, 0)
    data = number.to_bytes(_BYTES, "big")
    data, check = data[:-CHECK_BYTES], data[-CHECK_BYTES:]
    if check != _checksum(data) or not set(letters) <= set(_READ):
        raise UsageError("The invitation has a typing error. Copy it again, or compare it letter by letter.")
    return Invitation(data[:KEY_ID_BYTES], data[KEY_ID_BYTES:])


def _checksum(data: bytes) -> bytes:
    return hashlib.sha256(b"pychat invitation " + data).digest()[:CHECK_BYTES]
