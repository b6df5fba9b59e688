"""The public key in a certificate: a renewed certificate can have the same one. Reads DER without a library."""

from __future__ import annotations

import hashlib

SEQUENCE = 0x30
INTEGER = 0x02
VERSION_TAG = 0xA0

KEY_ID_BYTES = 16
"""Bytes of a key's name in an invitation: making another key with the same 128 bits is out of reach."""


def public_key_of(certificate: bytes) -> bytes:
    """The public key (DER of its SubjectPublicKeyInfo, RFC 5280) in a certificate. Raises ValueError.

    It takes only the tags that have to be there, so that it finds the same key as OpenSSL, or none.
    """
    outer, _, _ = element(certificate, SEQUENCE)
    rest, _, _ = element(outer, SEQUENCE)
    if rest[:1] == bytes([VERSION_TAG]):
        _, _, rest = element(rest, VERSION_TAG)
    for tag in (INTEGER, SEQUENCE, SEQUENCE, SEQUENCE, SEQUENCE):  # serial, algorithm, issuer, validity, subject
        _, _, rest = element(rest, tag)
    _, key, _ = element(rest, SEQUENCE)
    return key


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
