"""Makes certificates, and reads them from PEM files. Loads the library `cryptography` only to make one."""

from __future__ import annotations

import ssl
from pathlib import Path

from pychat_client.errors import PychatError
from pychat_client.files import write_private

YEARS = 100
"""How long a new certificate is valid: users trust the certificate itself, and replace it when they want to."""


def make_certificate(path: Path, name: str) -> None:
    """Makes a key and a self-signed certificate in one PEM file (0600, its directory 0700). Raises PychatError.

    The key is for ECDSA on P-256, which every TLS 1.3 has.
    """
    try:
        from datetime import UTC, datetime, timedelta

        from cryptography import x509
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.hazmat.primitives.asymmetric import ec
        from cryptography.x509.oid import NameOID
    except ImportError:
        raise PychatError("Cannot make a key: install the Python package 'cryptography'.") from None
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))  # the clock of the other host may be a little behind
        .not_valid_after(now + timedelta(days=365 * YEARS))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem: bytes = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ) + certificate.public_bytes(serialization.Encoding.PEM)
    write_private(path, pem, "key")


def pem(certificate: bytes) -> str:
    """A certificate (DER) as text."""
    return ssl.DER_cert_to_PEM_cert(certificate)


def certificate_der(path: Path) -> bytes:
    """The (first) certificate of a PEM file. Raises PychatError."""
    try:
        text = path.read_text(encoding="ascii")
        start = text.index("-----BEGIN CERTIFICATE-----")
        end = text.index(ssl.PEM_FOOTER, start) + len(ssl.PEM_FOOTER)
        return ssl.PEM_cert_to_DER_cert(text[start:end])
    except OSError as error:
        raise PychatError(f"Cannot read the certificate {path}: {error.strerror}.") from None
    except ValueError:
        raise PychatError(f"There is no certificate in {path}.") from None
