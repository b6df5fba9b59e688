"""Who is at the other end: certificates, fingerprints, and the pins of known hosts, as ssh has it.

A certificate is known by the SHA-256 of its DER form. Makes this user's own certificate, with the
library `cryptography`, loaded only then. Knows no connections.
"""

from __future__ import annotations

import base64
import fcntl
import hashlib
import os
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pychat_client.errors import PychatError, Untrusted, UsageError
from pychat_client.places import make_directory, sync_directory
from pychat_client.text import printable

YEARS = 100
"""How long a certificate made here is valid: it is trusted by its pin, and replaced by choice."""


def fingerprint(der: bytes) -> str:
    """The certificate's fingerprint, as ssh writes one: `SHA256:` and base64 without padding."""
    return "SHA256:" + base64.b64encode(hashlib.sha256(der).digest()).decode().rstrip("=")


def safety_number(fingerprint: str) -> str:
    """The fingerprint as 30 digits in groups of five, to be read aloud: 99 bits of another SHA-256."""
    digest = hashlib.sha256(f"pychat safety number {fingerprint}".encode()).digest()
    digits = f"{int.from_bytes(digest, 'big') % 10**30:030}"
    return " ".join(digits[i : i + 5] for i in range(0, 30, 5))


def check_fingerprint(text: str) -> str:
    """`text` if it is a fingerprint. Raises UsageError."""
    word = text.strip().rstrip("=")
    try:
        digest = base64.b64decode(word.removeprefix("SHA256:") + "=", validate=True)
    except ValueError:
        digest = b""
    if not word.startswith("SHA256:") or len(digest) != hashlib.sha256().digest_size:
        raise UsageError(f"'{printable(text[:80])}' is not a fingerprint: SHA256: and 43 characters are.")
    return word


# ------------------------------------------------------------------ known hosts


@dataclass(frozen=True, slots=True)
class KnownHosts:
    """The file of pins: a line `HOST:PORT FINGERPRINT CERTIFICATE` each; the last one of a host counts."""

    path: Path

    def certificate_of(self, host: str, port: int) -> bytes | None:
        """The certificate (DER) that was accepted for a host. Raises PychatError."""
        name = _host_name(host, port)
        found = [words for line in self._lines() if (words := line.split())[:1] == [name]]
        if not found:
            return None
        try:
            _, pinned, encoded = found[-1]
            certificate = base64.b64decode(encoded, validate=True)
        except ValueError:
            pinned, certificate = "", b""
        if fingerprint(certificate) != pinned:
            raise PychatError(f"The line of {printable(name)} in {self.path} is damaged; remove it.")
        return certificate

    def names(self) -> list[tuple[str, str]]:
        """The hosts and ports that there are pins of, sorted. Raises PychatError."""
        names = {words[0].rpartition(":") for line in self._lines() if (words := line.split())}
        return sorted((host, port) for host, colon, port in names if colon)

    def accept(self, host: str, port: int, certificate: bytes) -> None:
        """Accepts a certificate (DER) for a host from now on. Raises PychatError."""
        line = f"{_host_name(host, port)} {fingerprint(certificate)} {base64.b64encode(certificate).decode()}\n"
        with self._locked():
            self._write([*self._lines(but=_host_name(host, port)), line])

    def forget(self, host: str, port: int) -> bool:
        """Removes the pin of a host; False if there was none. Raises PychatError."""
        with self._locked():
            lines = self._lines(but=_host_name(host, port))
            if len(lines) == len(self._lines()):
                return False
            self._write(lines)
        return True

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Whoever else changes the file waits meanwhile. The lock has a file of its own: a write puts a new
        file in the place of the old one, which would take the lock with it."""
        lock = self.path.with_name(f"{self.path.name}.lock")
        try:
            make_directory(lock.parent)
            fd = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise PychatError(f"The known hosts in {self.path} cannot be written: {error.strerror}.") from None
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            yield
        finally:
            os.close(fd)

    def _lines(self, but: str | None = None) -> list[str]:
        try:
            lines = self.path.read_text(errors="replace").splitlines(keepends=True)
        except FileNotFoundError:
            return []
        except OSError as error:
            raise PychatError(f"The known hosts in {self.path} cannot be read: {error.strerror}.") from None
        return [line for line in lines if line.split()[:1] != [but]]

    def _write(self, lines: list[str]) -> None:
        write_private(self.path, "".join(lines).encode(), "known hosts")


def _host_name(host: str, port: int) -> str:
    """How a host is called in the file: one word, whatever was typed."""
    return f"{''.join(host.lower().split())}:{port}"


def changed_key(host: str, port: int, pinned: str, shown: str) -> Untrusted:
    """The page for a host whose key is not the one that was accepted: a paragraph a line, which views break."""
    name = printable(host)
    return Untrusted(
        f"The key of {name} port {port} HAS CHANGED. Nothing has been sent.\n"
        "\n"
        "Somebody may be listening between you and that host, or be posing as it. "
        "It is also possible that its daemon was installed anew, or lost its state directory.\n"
        "\n"
        f"    accepted before  {printable(pinned)}\n"
        f"    shown now        {printable(shown)}\n"
        "\n"
        f"Ask the person there, over another way than this, what 'pychatd fingerprint {port}' prints. "
        "If that is what is shown now, remove the old key with\n"
        "\n"
        f"    pychat --forget {name} {port}\n"
        "\n"
        "and call again."
    )


# ------------------------------------------------------------------ TLS settings of a client


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


# ------------------------------------------------------------------ certificates


def make_certificate(path: Path, name: str) -> None:
    """Makes a key and a self-signed certificate for it in one PEM file (0600, its directory 0700).

    ECDSA on P-256: what every TLS 1.3 has. Raises PychatError.
    """
    try:
        from datetime import UTC, datetime, timedelta

        from cryptography import x509
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.hazmat.primitives.asymmetric import ec
        from cryptography.x509.oid import NameOID
    except ImportError:
        raise PychatError("A key has to be made, and the library 'cryptography' is not installed.") from None
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))  # a clock that is a little behind
        .not_valid_after(now + timedelta(days=365 * YEARS))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem: bytes = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ) + certificate.public_bytes(serialization.Encoding.PEM)
    write_private(path, pem, "key")


def write_private(path: Path, data: bytes, what: str) -> None:
    """Puts `data` into `path` (0600, its directory 0700), whole or not at all; on return it survives power
    loss. Raises PychatError."""
    import tempfile

    try:
        make_directory(path.parent)
        fd, new = tempfile.mkstemp(prefix=f"{path.name}.", dir=path.parent)  # 0600
        try:
            with os.fdopen(fd, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(fd)
            Path(new).replace(path)
        except OSError:
            Path(new).unlink()
            raise
        sync_directory(path.parent)
    except OSError as error:
        raise PychatError(f"The {what} in {path} cannot be written: {error.strerror}.") from None


def make_sure(path: Path) -> None:
    """A file that was found here is not gone after power loss: who put it here may have died before the
    directory was synced. Raises PychatError."""
    try:
        sync_directory(path.parent)
    except OSError as error:
        raise PychatError(f"The directory {path.parent} cannot be synced: {error.strerror}.") from None


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
        raise PychatError(f"The certificate {path} cannot be read: {error.strerror}.") from None
    except ValueError:
        raise PychatError(f"There is no certificate in {path}.") from None
