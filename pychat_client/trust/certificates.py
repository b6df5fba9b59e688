"""Makes certificates, and reads them from PEM files. Only making one loads the library `cryptography`, or, where
there is none, runs the program `openssl`."""

from __future__ import annotations

import base64
import re
import ssl
from codecs import BOM_UTF8
from pathlib import Path
from typing import TYPE_CHECKING

from pychat_client.errors import PychatError
from pychat_client.files import make_directory, read_file, write_private
from pychat_client.trust.public_key import SEQUENCE, element

if TYPE_CHECKING:
    from datetime import datetime

YEARS = 100
"""How long a new certificate is valid: users trust the certificate itself, and replace it when they want to."""

FILE_MAX = 1 << 20
"""Bytes of a PEM file that are read: far more than a certificate with its chain and its text has."""

_PEM = re.compile(
    rb"^-----BEGIN (?P<kind>(?:X509 |TRUSTED )?CERTIFICATE)-----[ \t\r]*\n"
    rb"(?P<base64>[A-Za-z0-9+/=\s]*)^-----END (?P=kind)-----[ \t\r]*$",
    re.MULTILINE,
)


def make_certificate(path: Path, name: str) -> None:
    """Makes a key and a self-signed certificate in one PEM file (0600, its directory 0700). Raises PychatError.

    The key is for ECDSA on P-256, which every TLS 1.3 has.
    """
    from datetime import UTC, datetime, timedelta

    now = datetime.now(UTC)
    first = now - timedelta(days=1)  # the clock of the other host may be a little behind
    last = now + timedelta(days=365 * YEARS)
    try:
        made = _self_signed(name, first, last)
    except ImportError:
        made = _made_by_program(path, name, first, last)
    write_private(path, made, "key")


def _self_signed(name: str, first: datetime, last: datetime) -> bytes:
    """Raises ImportError."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(first)
        .not_valid_after(last)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ) + certificate.public_bytes(serialization.Encoding.PEM)


def _made_by_program(path: Path, name: str, first: datetime, last: datetime) -> bytes:
    """Raises PychatError."""
    from pychat_client.trust import openssl_program

    try:
        make_directory(path.parent)
        return openssl_program.self_signed(name, first, last, path.parent)
    except OSError as error:
        raise PychatError(f"Cannot write the key to {path}: {error.strerror}.") from None


def pem(certificate: bytes) -> str:
    """A certificate (DER) as text."""
    return ssl.DER_cert_to_PEM_cert(certificate)


def certificate_der(path: Path) -> bytes:
    """The first certificate of a PEM file, read as OpenSSL reads it: text around it does not matter.

    Raises PychatError.
    """
    try:
        found = _PEM.search(read_file(path, FILE_MAX).removeprefix(BOM_UTF8))
        if found is None:
            raise ValueError
        der = base64.b64decode(b"".join(found["base64"].split()), validate=True)
        _, certificate, _ = element(der, SEQUENCE)  # OpenSSL's "trusted" form appends its own notes
        return certificate
    except OSError as error:
        raise PychatError(f"Cannot read the certificate {path}: {error.strerror}.") from None
    except ValueError:
        raise PychatError(f"There is no certificate in {path}.") from None


def weakness(error: ssl.SSLError) -> str:
    """Why OpenSSL does not load a key and its certificate, if they are too weak for it; otherwise ""."""
    reason = (error.reason or "").lower().replace("_", " ")
    return "too weak for TLS" if reason.endswith(("too small", "too weak")) else ""
