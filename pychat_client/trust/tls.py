"""The TLS settings of a client: whom it trusts, and what it shows of itself. Opens no connection."""

from __future__ import annotations

import ssl
from pathlib import Path

from pychat_client.errors import PychatError


def pinned_context(accepted: bytes, own: Path | None) -> ssl.SSLContext:
    """TLS 1.3 with exactly the host whose certificate (DER) was accepted, whatever its name or issuer.

    own: this user's key and certificate, shown to the host after it has proved who it is.
    """
    context = _context(own)
    context.verify_mode = ssl.CERT_REQUIRED
    # The accepted one counts, not who signed it, nor when it ends (X509_V_FLAG_NO_CHECK_TIME).
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN | ssl.VerifyFlags(0x200000)
    context.load_verify_locations(cadata=accepted)
    return context


def authority_context(own: Path | None) -> ssl.SSLContext:
    """TLS 1.3 with a host whose name the system's certificate authorities vouch for."""
    context = _context(own)
    context.verify_mode = ssl.CERT_REQUIRED
    context.check_hostname = True
    context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    return context


def looking_context() -> ssl.SSLContext:
    """TLS 1.3 to see a certificate, and to send nothing."""
    return _context(None)


def _context(own: Path | None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if own is not None and own.exists():
        try:
            context.load_cert_chain(own)
        except (OSError, ssl.SSLError) as error:
            why = "it is damaged" if isinstance(error, ssl.SSLError) else error.strerror
            raise PychatError(f"Your key in {own} cannot be used: {why}.") from None
    return context
