"""Errors of the operating system and of TLS, as clauses that fit into a sentence for a user."""

from __future__ import annotations

import errno
import os
import ssl

NOT_LISTED = "your certificate is not on the allowlist of that host"

_REFUSED_CERTIFICATE = frozenset(
    (
        "tlsv13 alert certificate required",
        "tlsv1 alert unknown ca",
        "sslv3 alert bad certificate",
        "sslv3 alert certificate expired",
        "sslv3 alert unsupported certificate",
    )
)
_TLS_CLAUSES = {
    **dict.fromkeys(_REFUSED_CERTIFICATE, NOT_LISTED),
    "tlsv1 alert protocol version": "the other side does not support TLS 1.3",
    "unsupported protocol": "the other side does not support TLS 1.3",
    "wrong version number": "the other side does not use TLS",
}


def describe(error: Exception) -> str:
    """What went wrong, as a clause without error numbers."""
    if isinstance(error, ssl.SSLError):
        reason = _openssl_reason(error)
        return _TLS_CLAUSES.get(reason, reason) or "the other side ended the TLS handshake"
    if isinstance(error, UnicodeEncodeError):  # of a path or of a program's words
        return "it has characters that your locale cannot write"
    if isinstance(error, OSError) and error.errno is not None:
        return os.strerror(error.errno).lower()  # asyncio puts its own sentence into strerror
    if isinstance(error, OSError) and "[Errno" in str(error):  # several addresses failed: the first stands for all
        number = str(error).split("[Errno ", 1)[1].split("]", 1)[0]
        return os.strerror(int(number)).lower()
    if isinstance(error, ConnectionResetError):  # asyncio's own, without a number and without words
        return os.strerror(errno.ECONNRESET).lower()
    return str(error) or type(error).__name__


def refuses_certificate(error: Exception | None) -> bool:
    """Whether the other side ended the TLS handshake because it does not accept our certificate."""
    return isinstance(error, ssl.SSLError) and _openssl_reason(error) in _REFUSED_CERTIFICATE


def _openssl_reason(error: ssl.SSLError) -> str:
    """OpenSSL's reason in words ("tlsv1 alert unknown ca"); empty where it gives none."""
    return (error.reason or "").lower().replace("_", " ")
