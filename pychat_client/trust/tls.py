"""The TLS settings of a client: which hosts it trusts, and which certificate it shows. Opens no connection."""

from __future__ import annotations

import ssl
from pathlib import Path

from pychat_client.errors import PychatError
from pychat_client.files import read_file
from pychat_client.trust.certificates import weakness


def pinned_context(accepted: bytes, own: Path | None) -> ssl.SSLContext:
    """TLS 1.3 with only the host that has this accepted certificate (DER); name and issuer do not matter.

    own: this user's key and certificate, which the host gets after it has proved its own. The settings are for
    asyncio, which writes the last part of a handshake only when that has succeeded.
    """
    context = _context(own)
    context.verify_mode = ssl.CERT_REQUIRED
    # Trust the certificate itself, without its issuer and its end (X509_V_FLAG_NO_CHECK_TIME).
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN | ssl.VerifyFlags(0x200000)
    context.load_verify_locations(cadata=accepted)
    context.sslobject_class = _object_for(accepted)
    return context


def authority_context(own: Path | None) -> ssl.SSLContext:
    """TLS 1.3 with a host whose certificate is for its name, and signed by the system's CAs."""
    context = _context(own)
    context.verify_mode = ssl.CERT_REQUIRED
    context.check_hostname = True
    context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    return context


def looking_context() -> ssl.SSLContext:
    """TLS 1.3 that accepts any certificate: only to fetch it, never to send anything."""
    return _context(None)


def _object_for(accepted: bytes) -> type[ssl.SSLObject]:
    """A TLS object whose handshake fails for each other certificate.

    An accepted certificate that may sign would let in all that it has signed: `openssl req -x509` makes such ones.
    The end of the handshake brings our own certificate, so we compare before that leaves the object.
    """

    class PinnedObject(ssl.SSLObject):
        def do_handshake(self) -> None:
            super().do_handshake()
            if self.getpeercert(binary_form=True) != accepted:
                error = ssl.SSLCertVerificationError(1, "not the accepted certificate")
                error.verify_message = "it is not the accepted one"
                raise error

    return PinnedObject


def _context(own: Path | None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.post_handshake_auth = own is not None  # a daemon can ask for the certificate after the hello
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if own is not None:
        _load_own(context, own)
    return context


def _load_own(context: ssl.SSLContext, own: Path) -> None:
    """Shows the other side the user's certificate, if there is one. Raises PychatError."""
    try:
        read_file(own, 1)  # OpenSSL would wait for a FIFO
        context.load_cert_chain(own)
    except FileNotFoundError:
        pass
    except OSError as error:
        why = f"it is {weakness(error) or 'damaged'}" if isinstance(error, ssl.SSLError) else error.strerror
        raise PychatError(f"Cannot use your key in {own}: {why}.") from None
