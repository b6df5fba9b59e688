"""The public key in a certificate, which a renewed one can have too, and how long it is valid. Reads DER without a
library."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime

SEQUENCE = 0x30
INTEGER = 0x02
VERSION_TAG = 0xA0
UTC_TIME = 0x17
GENERALIZED_TIME = 0x18

KEY_ID_BYTES = 16
"""Bytes of a key's name in an invitation: making another key with the same 128 bits is out of reach."""


def public_key_of(certificate: bytes) -> bytes:
    """The public key (DER of its SubjectPublicKeyInfo, RFC 5280) in a certificate. Raises ValueError.

    It takes only the tags that have to be there, so that it finds the same key as OpenSSL, or none.
    """
    _, _, rest = element(_from_validity(certificate), SEQUENCE)
    _, _, rest = element(rest, SEQUENCE)  # subject
    _, key, _ = element(rest, SEQUENCE)
    return key


def validity_of(certificate: bytes) -> tuple[datetime, datetime]:
    """From when and until when a certificate (DER) is valid. Raises ValueError."""
    rest, _, _ = element(_from_validity(certificate), SEQUENCE)
    first, rest = _time(rest)
    last, _ = _time(rest)
    return first, last


def _from_validity(certificate: bytes) -> bytes:
    """A certificate from the time of its validity on. Raises ValueError."""
    outer, _, _ = element(certificate, SEQUENCE)
    rest, _, _ = element(outer, SEQUENCE)
    if rest[:1] == bytes([VERSION_TAG]):
        _, _, rest = element(rest, VERSION_TAG)
    for tag in (INTEGER, SEQUENCE, SEQUENCE):  # serial, algorithm, issuer
        _, _, rest = element(rest, tag)
    return rest


def _time(der: bytes) -> tuple[datetime, bytes]:
    """The time that an element is, and what follows it. Raises ValueError."""
    tag, form = (UTC_TIME, "%y") if der[:1] == bytes([UTC_TIME]) else (GENERALIZED_TIME, "%Y")
    text, _, rest = element(der, tag)
    return datetime.strptime(text.decode("ascii"), f"{form}%m%d%H%M%SZ").replace(tzinfo=UTC), rest


def key_id(certificate: bytes) -> bytes:
    """The name of the public key in a certificate: the first bytes of its SHA-256. Raises ValueError."""
    return hashlib.sha256(public_key_of(certificate)).digest()[:KEY_ID_BYTES]


def element(der: bytes, tag: int) -> tuple[bytes, bytes, bytes]:
    """The content of the first element, the whole element, and what follows it. Raises ValueError."""
    if len(der) < 2 or der[0] != tag or der[1] == 0x80:  # 0x80: a length that is not told
        raise ValueError("not a certificate")
    size = 0 if der[1] < 0x80 else der[1] - 0x80  # bytes of a long length
    start = 2 + size
    end = start + (der[1] if der[1] < 0x80 else int.from_bytes(der[2:start], "big"))
    if len(der) < end:
        raise ValueError("not a whole certificate")
    return der[start:end], der[:end], der[end:]
