"""Certificates as a test needs them: of a test's own authority, for another name, expired."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from pychat_client.trust import fingerprint


@dataclass(frozen=True)
class Made:
    """A key with its certificate, in files of their own and together."""

    name: x509.Name
    secret: ec.EllipticCurvePrivateKey
    der: bytes
    certificate: Path
    key: Path
    both: Path

    @property
    def fingerprint(self) -> str:
        return fingerprint.fingerprint(self.der)


def make(
    directory: Path,
    name: str,
    *,
    by: Made | None = None,
    begins: int = -30,
    ends: int = 1,
    authority: bool = False,
    key_of: Made | None = None,
    secret: ec.EllipticCurvePrivateKey | None = None,
) -> Made:
    """A certificate for the host `name`, of the authority `by` (or its own), valid from `begins` until
    `ends` days from now.

    key_of: it is for the key of this other certificate. secret: it is for this key.
    """
    directory.mkdir(parents=True, exist_ok=True)
    if secret is None:
        secret = ec.generate_private_key(ec.SECP256R1()) if key_of is None else key_of.secret
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject if by is None else by.name)
        .public_key(secret.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + timedelta(days=begins))
        .not_valid_after(now + timedelta(days=ends))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(secret if by is None else by.secret, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    private = secret.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    made = Made(
        subject,
        secret,
        certificate.public_bytes(serialization.Encoding.DER),
        directory / f"{name}.crt",
        directory / f"{name}.key",
        directory / f"{name}.both",
    )
    for file, data in ((made.certificate, pem), (made.key, private), (made.both, private + pem)):
        file.write_bytes(data)
    return made
