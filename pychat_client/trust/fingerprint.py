"""Fingerprints of certificates (SHA-256 of their DER form), and the safety numbers that people compare."""

from __future__ import annotations

import base64
import hashlib

from pychat_client.errors import UsageError
from pychat_client.text import printable


def fingerprint(der: bytes) -> str:
    """The fingerprint of a certificate, in the form of ssh: `SHA256:` and base64 without padding."""
    return of_digest(hashlib.sha256(der).digest())


def of_digest(digest: bytes) -> str:
    """The same from the SHA-256 of the DER form."""
    return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")


def safety_number(fingerprint: str) -> str:
    """The fingerprint as 30 digits in groups of five, to read aloud: 99 bits of another SHA-256."""
    digest = hashlib.sha256(f"pychat safety number {fingerprint}".encode()).digest()
    digits = f"{int.from_bytes(digest, 'big') % 10**30:030}"
    return " ".join(digits[i : i + 5] for i in range(0, 30, 5))


def check_fingerprint(text: str) -> str:
    """`text`, without white space and padding, if it is a fingerprint. Raises UsageError."""
    word = text.strip().rstrip("=")
    try:
        digest = base64.b64decode(word.removeprefix("SHA256:") + "=", validate=True)
    except ValueError:
        digest = b""
    if not word.startswith("SHA256:") or len(digest) != hashlib.sha256().digest_size:
        raise UsageError(f"'{printable(text[:80])}' is not a fingerprint: use SHA256: and 43 characters.")
    return word
